//! What can go wrong with stored files.

use crate::hash::Hash;
use std::io;
use std::path::{Path, PathBuf};

/// A file that could not be stored or found.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Not stored, or removed by hand.
    #[error("the stored file {hash} is missing from {}", folder.display())]
    Missing {
        /// Its name.
        hash: Hash,
        /// Where it should be.
        folder: PathBuf,
    },
    /// Its bytes are not those that it is named by.
    #[error("the stored file {} was changed: its bytes are not those that it is named by", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk is full: cannot {action} {}", path.display())]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// Anything else that the file system says.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl ArtifactError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { action, path },
            _ => Self::Io { action, path, source },
        }
    }
}
