//! Ctrl-C and SIGTERM.

use crate::diagnostic::Diagnostic;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use travel_engine::Shutdown;

/// What the first signal asks for; the second always asks to stop now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// Finish what runs.
    Drain,
    /// Hand back what runs.
    Now,
}

/// Turns signals into a wish that grows. One more after that ends the process at once: the work is safe in the
/// queue.
pub fn on_signal(first: First) -> Result<watch::Receiver<Shutdown>, Diagnostic> {
    let failed = |e: std::io::Error| Diagnostic::failed("signals", format!("signals cannot be received: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (wish, wishes) = watch::channel(Shutdown::No);
    tokio::spawn(async move {
        let mut next = if first == First::Drain { Shutdown::Drain } else { Shutdown::Now };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if *wish.borrow() == Shutdown::Now {
                std::process::exit(130);
            }
            wish.send_replace(next);
            next = Shutdown::Now;
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
