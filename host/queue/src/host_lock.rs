//! One working host a database: a lock that the operating system frees when its holder dies,
//! whatever it dies of.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{QueueError, Result};

/// Holds `<database>.lock` for as long as it lives. The file itself stays: removing it would let
/// two processes lock two files of the same name.
#[derive(Debug)]
pub struct HostLock {
    _file: File,
    path: PathBuf,
}

impl HostLock {
    /// Takes the lock of the database at `database`, or tells who holds it. Does not wait.
    pub fn acquire(database: &Path) -> Result<Self> {
        let path = lock_path(database);
        let unusable = |cause: std::io::Error| QueueError::LockFile { path: path.clone(), cause: Arc::new(cause) };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|cause| QueueError::Folder { path: folder.to_owned(), cause: Arc::new(cause) })?;
        }
        // Not truncated on opening: the text belongs to the holder until the lock is ours.
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
                // A host, or somebody who looks for one: that takes microseconds, and lets others look too.
                Err(TryLockError::WouldBlock) if is_locked(&file).map_err(unusable)? => {
                    return Err(QueueError::Locked { path: database.to_owned(), pid: holder(&mut file) });
                }
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        file.set_len(0).map_err(unusable)?;
        writeln!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { _file: file, path })
    }

    /// Whether a living process holds the lock of the database at `database`: no clock has a say in it.
    pub fn is_held(database: &Path) -> Result<bool> {
        let path = lock_path(database);
        let looked = match File::open(&path) {
            Ok(file) => is_locked(&file),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(cause),
        };
        looked.map_err(|cause| QueueError::LockFile { path, cause: Arc::new(cause) })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Whether somebody holds the file alone. Looks by a lock that others may have at the same time, given back at once.
fn is_locked(file: &File) -> std::io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(cause)) => Err(cause),
    }
}

/// The text in a lock file that another process holds; only for the message, so a file that
/// cannot be read is no further error.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(32).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sub/queue.db");
        let first = HostLock::acquire(&database).unwrap();
        match HostLock::acquire(&database) {
            Err(QueueError::Locked { path, pid }) => {
                assert_eq!(path, database);
                assert_eq!(pid, std::process::id().to_string());
            }
            other => panic!("expected Locked, got {other:?}"),
        }
        drop(first);
        let again = HostLock::acquire(&database).unwrap();
        assert!(again.path().ends_with("sub/queue.db.lock"));
    }

    #[test]
    fn who_looks_for_a_host_keeps_none_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("queue.db");
        assert!(!HostLock::is_held(&database).unwrap());
        assert!(!lock_path(&database).exists(), "looking leaves nothing behind");
        drop(HostLock::acquire(&database).unwrap());
        let looking = std::sync::atomic::AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while looking.load(std::sync::atomic::Ordering::Relaxed) {
                    HostLock::is_held(&database).unwrap();
                }
            });
            for _ in 0..1000 {
                let lock = HostLock::acquire(&database).unwrap();
                assert!(HostLock::is_held(&database).unwrap());
                drop(lock);
            }
            looking.store(false, std::sync::atomic::Ordering::Relaxed);
        });
        assert!(!HostLock::is_held(&database).unwrap());
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error_of_its_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = HostLock::acquire(&file.path().join("queue.db"));
        assert!(matches!(refused, Err(QueueError::Folder { .. })), "{refused:?}");
    }
}
