//! How the caller follows long work, and stops it.

use crate::error::MediaError;

/// Told of every frame, asked before every frame. Called from several threads.
pub trait Watch: Sync {
    /// `done` of `total` frames are through; `total` is 0 while it is unknown.
    fn frame(&self, done: u64, total: u64);

    /// Whether the work is to end with [`MediaError::Cancelled`], its output removed.
    fn cancelled(&self) -> bool;
}

/// Nobody looks, nobody stops it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn frame(&self, _done: u64, _total: u64) {}

    fn cancelled(&self) -> bool {
        false
    }
}

/// Reports a finished frame; ends the work if the watcher wants that.
pub(crate) fn step(on: &dyn Watch, done: u64, total: u64) -> Result<(), MediaError> {
    on.frame(done, total);
    if on.cancelled() { Err(MediaError::Cancelled { done, total }) } else { Ok(()) }
}
