//! Ctrl-C and SIGTERM.

use crate::diagnostic::{Diagnostic, STOPPED};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use travel_engine::Shutdown;

/// What the first Ctrl-C asks for; a first SIGTERM always asks to finish what runs, a second signal to stop now, and one more
/// to end at once: the work is safe in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Finish what runs.
    Drain,
    /// Hand back what runs.
    Now,
}

/// How long a host that is to end at once may take to tell the queue so.
const LEAVE: Duration = Duration::from_secs(2);

/// Turns signals into a wish that grows.
pub fn on_signal(first: First) -> Result<watch::Receiver<Shutdown>, Diagnostic> {
    let failed = |e: std::io::Error| Diagnostic::failed("signals", format!("signals cannot be received: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (wish, wishes) = watch::channel(Shutdown::No);
    tokio::spawn(async move {
        loop {
            let gentle = tokio::select! {
                _ = interrupt.recv() => first == First::Drain,
                _ = terminate.recv() => true,
            };
            let now = *wish.borrow();
            let next = match now {
                Shutdown::No if gentle => Shutdown::Drain,
                Shutdown::No | Shutdown::Drain => Shutdown::Now,
                Shutdown::Now | Shutdown::Abandon => Shutdown::Abandon,
            };
            wish.send_replace(next);
            if next == Shutdown::Abandon {
                // Another signal does not wait for that either.
                let again = tokio::time::timeout(LEAVE, async {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                });
                drop(again.await);
                std::process::exit(STOPPED.into());
            }
        }
    });
    Ok(wishes)
}

/// A runtime that waits; the work itself runs on threads of its own.
pub fn runtime() -> Result<tokio::runtime::Runtime, Diagnostic> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Diagnostic::failed("runtime", format!("no threads to wait with: {e}")))
}
