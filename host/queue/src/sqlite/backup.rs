//! Copying the whole database while others work.

use std::borrow::Borrow;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use super::connection;
use super::fault::{Fault, words};
use crate::error::{Cause, QueueError, Result};

/// Copies the database from a connection of its own, while others go on writing.
pub(super) fn backup(from: &Path, to: &Path) -> Result<()> {
    copy(|| connection::open_reader(from), from, to)
}

/// Writes a whole, compact copy of one moment of the database. It has its name only when it is whole and on the disk; a file
/// that is there already is never replaced.
pub(super) fn copy<C: Borrow<Connection>>(open: impl FnOnce() -> Result<C>, from: &Path, to: &Path) -> Result<()> {
    let failed = |cause: Cause| QueueError::Backup { to: to.to_owned(), cause };
    let io = |cause: std::io::Error| failed(Arc::new(cause));
    let refuse_existing = || match to.exists() {
        true => Err(failed(words("it is there already, and is not replaced"))),
        false => Ok(()),
    };
    refuse_existing()?;
    let original = open()?;
    let unfinished = unfinished_path(to);
    let Some(name) = unfinished.to_str() else { return Err(failed(words("its name is not Unicode"))) };
    // Only one backup fills it at a time; what a killed one left is written over.
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&unfinished).map_err(io)?;
    match file.try_lock() {
        Ok(()) if is_at(&file, &unfinished) => {}
        Ok(()) | Err(TryLockError::WouldBlock) => return Err(failed(words("another backup to it is being made"))),
        Err(TryLockError::Error(cause)) => return Err(io(cause)),
    }
    let made = refuse_existing().and_then(|()| {
        file.set_len(0).map_err(io)?;
        original.borrow().execute("VACUUM INTO ?1", [name]).map_err(|error| match Fault::from(error).at(from) {
            full @ QueueError::DiskFull(_) => failed(Arc::new(full)),
            other => other,
        })?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&unfinished, to).map_err(io)
    });
    if made.is_err() {
        // Half a copy is of no use to anybody; the error is what is told.
        let _ = std::fs::remove_file(&unfinished);
        return made;
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

fn unfinished_path(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Whether the open file is the one of that name, and was not renamed or removed by somebody who had it before.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |about: std::fs::Metadata| (about.dev(), about.ino());
    matches!((file.metadata().map(identity), std::fs::metadata(path).map(identity)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::sqlite::SqliteStore;

    #[test]
    fn what_a_killed_backup_left_is_written_over_and_one_that_is_made_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("queue.db");
        drop(SqliteStore::open_for_submit(&from, Arc::new(SystemClock)).unwrap());
        let (to, other) = (folder.path().join("copy.db"), folder.path().join("copy.partial"));
        std::fs::write(&other, "somebody's").unwrap();
        let left = unfinished_path(&to);
        std::fs::write(&left, "half a copy").unwrap();

        let busy = File::open(&left).unwrap();
        busy.lock().unwrap();
        let refused = backup(&from, &to).unwrap_err().to_string();
        assert!(refused.contains("copy.db") && refused.contains("another backup"), "{refused}");
        assert_eq!(std::fs::read_to_string(&left).unwrap(), "half a copy");
        drop(busy);

        backup(&from, &to).unwrap();
        assert!(!left.exists());
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "somebody's");
        SqliteStore::open_for_read(&to).unwrap();
    }
}
