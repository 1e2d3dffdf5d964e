//! `run`: be the host.

use crate::args::{Global, RunCommand};
use crate::diagnostic::{Diagnostic, STOPPED};
use crate::progress::{observer, tell};
use crate::stop::{First, on_signal, runtime};
use crate::workplace::Workplace;
use std::sync::Arc;
use travel_engine::{Host, Shutdown, Until};

pub fn run(global: &Global, args: &RunCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    let (sandbox, registry) = place.plugins()?;
    let output_dir = place.output_dir(args.output_dir.as_deref())?;
    let (lock, store) = place.store_to_work()?;
    let shop = place.workshop(sandbox, registry, place.generators(), output_dir)?;
    let until = if args.until_idle { Until::Idle } else { Until::Stopped };
    if !global.json {
        tell(&format!("working on {}; Ctrl-C stops when running tasks are done", place.db.display()));
    }
    let host = Host::new(Arc::new(store), shop, place.places(), observer(global, None));
    let wish = runtime()?.block_on(async {
        let shutdown = on_signal(First::Drain)?;
        host.work(until, shutdown.clone()).await?;
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
