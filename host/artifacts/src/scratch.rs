//! A place for work in progress, gone when dropped.

use std::path::{Path, PathBuf};

/// A folder of one task's unfinished files. Dropping it removes the folder; what a killed process left is removed by
/// [`Artifacts::sweep_scratch`](crate::Artifacts::sweep_scratch) at the next start.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done here about a folder that stays; the sweep at the next start tries again.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
