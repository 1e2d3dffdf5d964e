//! `run`: be the host.

use crate::args::{Global, RunCommand};
use crate::diagnostic::{Diagnostic, STOPPED};
use crate::legacy::bridge::{self, Bridge};
use crate::progress::{observer, tell};
use crate::stop::{First, on_signal, runtime};
use crate::workplace::Workplace;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use travel_engine::queue::Store;
use travel_engine::{Host, Shutdown, Until};

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
    let host = Host::new(store, shop, place.places(), observer(global, None));
    let wish = runtime()?.block_on(async {
        let shutdown = on_signal(First::Drain)?;
        match bridge {
            None => host.work(until, shutdown.clone()).await?,
            Some(bridge) => work_for_two(&host, until, &shutdown, bridge).await?,
        }
        let wish = *shutdown.borrow();
        Ok::<_, Diagnostic>(wish)
    })?;
    if wish == Shutdown::Abandon {
        // Tasks may still be at work: nothing of them is waited for.
        std::process::exit(STOPPED.into());
    }
    drop(lock);
    Ok(if wish == Shutdown::Now { STOPPED } else { 0 })
}

/// Works on the queue and serves the original's database beside it.
async fn work_for_two(
    host: &Host,
    until: Until,
    shutdown: &watch::Receiver<Shutdown>,
    bridge: Arc<Mutex<Bridge>>,
) -> Result<(), Diagnostic> {
    bridge::pass(&bridge).await?;
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
            Err(error) => break Err(error),
        }
    };
    let _ = stop.send(true);
    let _ = serving.await;
    worked
}
