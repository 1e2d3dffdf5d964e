//! `run`: be the host.

use super::print_json;
use crate::args::{Global, RunCommand};
use crate::diagnostic::{Diagnostic, STOPPED};
use crate::legacy::bridge::{self, Bridge};
use crate::progress::{observer, tell};
use crate::stop::{First, on_signal, runtime};
use crate::workplace::Workplace;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use travel_engine::clean_up::{CleanUp, clean_up};
use travel_engine::queue::{Clock as _, Store, SystemClock, Trial};
use travel_engine::{Host, Shutdown, Until, Workshop};

pub fn run(global: &Global, args: &RunCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    let (sandbox, registry) = place.plugins()?;
    let output_dir = place.output_dir(args.output_dir.as_deref())?;
    let (lock, store) = place.store_to_work()?;
    let store: Arc<dyn Store> = Arc::new(store);
    let bridge = match &args.legacy_db {
        None => None,
        Some(path) => {
            let (_, plugins) = place.plugins()?;
            let bridge = Bridge::open(path, Workplace::find(global)?, global, plugins, Arc::clone(&store))?;
            Some(Arc::new(Mutex::new(bridge)))
        }
    };
    let shop = place.workshop(sandbox, registry, place.generators(), output_dir)?;
    let until = if args.until_idle { Until::Idle } else { Until::Stopped };
    if !global.json {
        tell(&format!("working on {}; Ctrl-C stops when running tasks are done", place.db.display()));
    }
    let host = Host::new(Arc::clone(&store), Arc::clone(&shop), place.places(), observer(global, None));
    let policy = place.config.clean_up.policy();
    let queue = Arc::clone(&store);
    let wish = runtime()?.block_on(async {
        let shutdown = on_signal(First::Drain)?;
        if let Some(bridge) = &bridge {
            // Before a clean-up takes what is still to be answered.
            if let Err(why) = bridge::pass(bridge).await {
                tracing::warn!(%why, "the old database was not served; it is tried again");
            }
        }
        let cleaning = match policy {
            None => None,
            Some(policy) => {
                clean(&store, &shop, policy).await;
                Some(tokio::spawn(clean_now_and_then(store, shop, policy)))
            }
        };
        match bridge {
            None => host.work(until, shutdown.clone()).await?,
            Some(bridge) => work_for_two(&host, until, &shutdown, bridge).await?,
        }
        cleaning.inspect(tokio::task::JoinHandle::abort);
        let wish = *shutdown.borrow();
        Ok::<_, Diagnostic>(wish)
    })?;
    if wish == Shutdown::Abandon {
        // Tasks may still be at work: nothing of them is waited for.
        std::process::exit(STOPPED.into());
    }
    if until == Until::Idle && wish == Shutdown::No {
        tell_left(queue.as_ref(), global)?;
    }
    drop(lock);
    Ok(if wish == Shutdown::Now { STOPPED } else { 0 })
}

/// Says what a host leaves that ends because there is nothing that it may do.
fn tell_left(queue: &dyn Store, global: &Global) -> Result<(), Diagnostic> {
    let tasks = queue.stats()?.tasks;
    let left: u64 = tasks.iter().filter(|(state, _)| !state.is_final()).map(|(_, tasks)| tasks).sum();
    if left == 0 {
        return Ok(());
    }
    if global.json {
        return print_json(&serde_json::json!({ "event": "left", "tasks": left })).map(drop);
    }
    let tasks = if left == 1 { "1 task is" } else { &format!("{left} tasks are") };
    tell(&format!("{tasks} left that may not run now; `travel-host tasks explain ID` says why"));
    Ok(())
}

/// How often a host cleans up.
const CLEANING: Duration = Duration::from_secs(3600);

/// Cleans up while the host works.
async fn clean_now_and_then(store: Arc<dyn Store>, shop: Arc<Workshop>, policy: CleanUp) {
    loop {
        tokio::time::sleep(CLEANING).await;
        clean(&store, &shop, policy).await;
    }
}

/// Cleans up by the configured policy; what goes wrong is no reason to stop.
async fn clean(store: &Arc<dyn Store>, shop: &Arc<Workshop>, policy: CleanUp) {
    let (store, shop) = (Arc::clone(store), Arc::clone(shop));
    let cleaned = tokio::task::spawn_blocking(move || {
        clean_up(store.as_ref(), &shop.artifacts, policy, SystemClock.now(), Trial::Real)
    });
    match cleaned.await {
        Ok(Ok(done)) if !done.runs.is_empty() || done.removed > 0 => {
            tracing::info!(runs = done.runs.len(), files = done.removed, bytes = done.removed_bytes, "cleaned up");
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the clean-up failed; it is tried again in an hour"),
        Err(error) => tracing::warn!(%error, "the clean-up crashed; it is tried again in an hour"),
    }
}

/// Works on the queue and serves the original's database beside it.
async fn work_for_two(
    host: &Host,
    until: Until,
    shutdown: &watch::Receiver<Shutdown>,
    bridge: Arc<Mutex<Bridge>>,
) -> Result<(), Diagnostic> {
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(bridge::serve(Arc::clone(&bridge), stopped));
    let worked = loop {
        if let Err(error) = host.work(until, shutdown.clone()).await {
            break Err(error.into());
        }
        // What was queued there meanwhile is not left behind.
        match bridge::pass(&bridge).await {
            Ok(0) => break Ok(()),
            Ok(_) if *shutdown.borrow() == Shutdown::No => {}
            Ok(_) => break Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the old database was not served at the end");
                break Ok(());
            }
        }
    };
    let _ = stop.send(true);
    let _ = serving.await;
    worked
}
