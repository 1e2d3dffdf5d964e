//! The folder: put, find, import.
//!
//! ```text
//! <root>/cas/ab/cdef…   stored files, read-only, named by hash
//! <root>/tmp/<name>/    work in progress
//! ```

use crate::error::ArtifactError;
use crate::hash::Hash;
use crate::scratch::Scratch;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the scratch folders of tasks are called.
const TASK_PREFIX: &str = "task-";

/// An import that was not touched for so long is nobody's.
const ABANDONED: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A stored file that is younger may be about to be named by a row: whoever stores one does so first.
const YOUNG: std::time::Duration = std::time::Duration::from_secs(3600);

/// A file that is now stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub hash: Hash,
    /// Its length.
    pub bytes: u64,
}

/// A folder of stored files. Several processes may use one at the same time.
#[derive(Debug)]
pub struct Artifacts {
    root: PathBuf,
    cas: Dir,
    next: AtomicU64,
}

impl Artifacts {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// A folder that cannot be made or opened.
    pub fn open(root: &Path) -> Result<Self, ArtifactError> {
        for folder in [root.join("cas"), root.join("tmp")] {
            std::fs::create_dir_all(&folder).map_err(ArtifactError::io("make the folder", &folder))?;
        }
        let root = root.canonicalize().map_err(ArtifactError::io("open the folder", root))?;
        let cas = root.join("cas");
        let cas =
            Dir::open_ambient_dir(&cas, ambient_authority()).map_err(ArtifactError::io("open the folder", &cas))?;
        Ok(Self { root, cas, next: AtomicU64::new(0) })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a stored file lies, for programs that want a path.
    ///
    /// # Errors
    /// [`ArtifactError::Missing`] when it is not stored.
    pub fn path(&self, hash: Hash) -> Result<PathBuf, ArtifactError> {
        let name = name_of(hash);
        if self.cas.is_file(&name) {
            Ok(self.root.join("cas").join(name))
        } else {
            Err(ArtifactError::Missing { hash, folder: self.root.clone() })
        }
    }

    /// The same, after its bytes were held against its name: for what came from outside and decides what is made.
    ///
    /// # Errors
    /// A missing or unreadable file; [`ArtifactError::Changed`].
    pub fn verified_path(&self, hash: Hash) -> Result<PathBuf, ArtifactError> {
        let path = self.path(hash)?;
        if self.is_whole(hash, &path)? { Ok(path) } else { Err(ArtifactError::Changed { path }) }
    }

    /// A stored file's bytes, held against its name.
    ///
    /// # Errors
    /// A missing or unreadable file; [`ArtifactError::Changed`].
    pub fn read(&self, hash: Hash) -> Result<Vec<u8>, ArtifactError> {
        let path = self.path(hash)?;
        let bytes = self.cas.read(name_of(hash)).map_err(ArtifactError::io("read", &path))?;
        if Hash::of(&bytes) == hash { Ok(bytes) } else { Err(ArtifactError::Changed { path }) }
    }

    fn is_whole(&self, hash: Hash, path: &Path) -> Result<bool, ArtifactError> {
        let mut file = self.cas.open(name_of(hash)).map_err(ArtifactError::io("open", path))?;
        Ok(Hash::of_all(&mut file).map_err(ArtifactError::io("read", path))? == hash)
    }

    /// A folder for a task's unfinished files, new and empty.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn task_scratch(&self, task: impl std::fmt::Display) -> Result<Scratch, ArtifactError> {
        self.scratch(&format!("{TASK_PREFIX}{task}"))
    }

    fn scratch(&self, label: &str) -> Result<Scratch, ArtifactError> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join("tmp").join(format!("{label}-{}-{n}", std::process::id()));
        // A killed process with the same number may have left one.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).map_err(ArtifactError::io("make the folder", &path))?;
        Ok(Scratch::new(path))
    }

    /// Removes what killed processes left unfinished: every task's folder, for the caller holds the queue's lock and no
    /// other host works here; and imports that nobody has touched for a day.
    ///
    /// # Errors
    /// An unreadable folder; files that cannot be removed are left.
    pub fn sweep_scratch(&self) -> Result<(), ArtifactError> {
        let tmp = self.root.join("tmp");
        for entry in std::fs::read_dir(&tmp).map_err(ArtifactError::io("read the folder", &tmp))?.flatten() {
            let of_a_task = entry.file_name().to_string_lossy().starts_with(TASK_PREFIX);
            let modified = entry.metadata().and_then(|m| m.modified()).ok();
            let old = modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > ABANDONED);
            if of_a_task || old {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    /// Stored files that nothing refers to, and their lengths; those stored or stored again within the last hour are left
    /// out, as their row may be on its way.
    ///
    /// # Errors
    /// An unreadable folder.
    pub fn unreferenced(&self, is_referenced: impl Fn(&Hash) -> bool) -> Result<Vec<(Hash, u64)>, ArtifactError> {
        let cas = self.root.join("cas");
        let mut found = Vec::new();
        for shard in std::fs::read_dir(&cas).map_err(ArtifactError::io("read the folder", &cas))?.flatten() {
            let Ok(files) = std::fs::read_dir(shard.path()) else { continue };
            for file in files.flatten() {
                let name = format!("{}{}", shard.file_name().to_string_lossy(), file.file_name().to_string_lossy());
                // What is called otherwise is not ours to judge.
                let (Ok(hash), Ok(about)) = (name.parse::<Hash>(), file.metadata()) else { continue };
                let young = about.modified().is_ok_and(|at| at.elapsed().unwrap_or_default() < YOUNG);
                if !young && !is_referenced(&hash) {
                    found.push((hash, about.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn remove(&self, hash: Hash) -> Result<(), ArtifactError> {
        let path = self.path(hash)?;
        self.cas.remove_file(name_of(hash)).map_err(ArtifactError::io("remove", &path))
    }

    /// Removes a stored file unless it has become young since it was found; whether it did.
    ///
    /// # Errors
    /// A folder that may not be written.
    pub fn remove_old(&self, hash: Hash) -> Result<bool, ArtifactError> {
        match std::fs::metadata(self.root.join("cas").join(name_of(hash))).and_then(|about| about.modified()) {
            Ok(at) if at.elapsed().unwrap_or_default() >= YOUNG => self.remove(hash).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Stores a finished file of a [`Scratch`], which moves.
    ///
    /// # Errors
    /// An unreadable file, a full disk.
    pub fn put(&self, finished: &Path) -> Result<Stored, ArtifactError> {
        let mut file = File::open(finished).map_err(ArtifactError::io("open", finished))?;
        let mut hasher = blake3::Hasher::new();
        // The disk writes while the file is read from memory and hashed.
        let (copied, synced) = std::thread::scope(|scope| {
            let sync = scope.spawn(|| sync(finished));
            (std::io::copy(&mut file, &mut hasher), sync.join())
        });
        let bytes = copied.map_err(ArtifactError::io("read", finished))?;
        synced.unwrap_or_else(|_| sync(finished))?;
        let hash = Hash::from_bytes(*hasher.finalize().as_bytes());
        self.adopt(finished, hash)?;
        Ok(Stored { hash, bytes })
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// A full disk.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Stored, ArtifactError> {
        let scratch = self.scratch("put")?;
        let path = scratch.path("bytes");
        let mut file = File::create(&path).map_err(ArtifactError::io("write", &path))?;
        file.write_all(bytes).map_err(ArtifactError::io("write", &path))?;
        drop(file);
        self.put(&path)
    }

    /// Stores a copy of a file from elsewhere, which stays as it is.
    ///
    /// # Errors
    /// An unreadable file, a full disk.
    pub fn import(&self, from: &Path) -> Result<Stored, ArtifactError> {
        let scratch = self.scratch("import")?;
        let path = scratch.path("copy");
        let mut source = File::open(from).map_err(ArtifactError::io("open", from))?;
        let mut copy = File::create(&path).map_err(ArtifactError::io("write", &path))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = source.read(&mut buffer).map_err(ArtifactError::io("read", from))?;
            let Some(chunk) = buffer.get(..n).filter(|chunk| !chunk.is_empty()) else { break };
            copy.write_all(chunk).map_err(ArtifactError::io("write", &path))?;
        }
        drop(copy);
        self.put(&path)
    }

    /// Places a copy of a stored file at `to`, replacing what is there in one step: written beside, synced, renamed.
    ///
    /// # Errors
    /// A missing file, an unwritable folder, a full disk.
    pub fn export(&self, hash: Hash, to: &Path) -> Result<(), ArtifactError> {
        let from = self.path(hash)?;
        let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        // One name for all attempts: what a killed one left is written over by the next.
        let beside = folder.join(format!(".{name}.part"));
        let copied = std::fs::copy(&from, &beside)
            .map_err(ArtifactError::io("write", &beside))
            .and_then(|_| make_writable(&beside))
            .and_then(|()| sync(&beside))
            .and_then(|()| std::fs::rename(&beside, to).map_err(ArtifactError::io("rename to", to)))
            .and_then(|()| sync(folder));
        if copied.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        copied
    }

    /// Makes a stored file young again: a clean-up must not take it before its row is there.
    ///
    /// # Errors
    /// A missing file, a folder that may not be written.
    pub fn keep_young(&self, hash: Hash) -> Result<(), ArtifactError> {
        let path = self.root.join("cas").join(name_of(hash));
        File::open(&path)
            .and_then(|file| file.set_modified(std::time::SystemTime::now()))
            .map_err(ArtifactError::io("touch", &path))
    }

    /// Renames a synced file to its hash; a file that is already there and whole stays, being the same.
    fn adopt(&self, finished: &Path, hash: Hash) -> Result<(), ArtifactError> {
        let name = name_of(hash);
        let target = self.root.join("cas").join(&name);
        // A file that somebody changed is replaced, and not trusted for its name.
        if self.cas.is_file(&name) && self.is_whole(hash, &target)? {
            self.keep_young(hash)?;
            return std::fs::remove_file(finished).map_err(ArtifactError::io("remove", finished));
        }
        let shard = target.parent().unwrap_or(&self.root);
        if let Some(shard_name) = Path::new(&name).parent() {
            self.cas.create_dir_all(shard_name).map_err(ArtifactError::io("make the folder", shard))?;
        }
        let mut permissions = std::fs::metadata(finished).map_err(ArtifactError::io("read", finished))?.permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(finished, permissions).map_err(ArtifactError::io("protect", finished))?;
        std::fs::rename(finished, &target).map_err(ArtifactError::io("rename to", &target))?;
        sync(shard)
    }
}

fn name_of(hash: Hash) -> String {
    let hex = hash.to_string();
    let (shard, rest) = hex.split_at(2);
    format!("{shard}/{rest}")
}

fn sync(path: &Path) -> Result<(), ArtifactError> {
    File::open(path).and_then(|f| f.sync_all()).map_err(ArtifactError::io("sync", path))
}

/// A film handed to a user is theirs: the store's own copy is read-only, the exported one is not.
fn make_writable(path: &Path) -> Result<(), ArtifactError> {
    use std::os::unix::fs::PermissionsExt as _;
    let permissions = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(path, permissions).map_err(ArtifactError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_file_is_found_by_its_hash_and_equal_files_are_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(dir.path()).unwrap();
        let a = store.put_bytes(b"film").unwrap();
        let b = store.put_bytes(b"film").unwrap();
        assert_eq!(a, b);
        assert_eq!(a.hash, Hash::of(b"film"));
        assert_eq!(store.read(a.hash).unwrap(), b"film");
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "no scratch stays");
        let gone = store.path(Hash::of(b"other")).unwrap_err();
        assert!(matches!(gone, ArtifactError::Missing { .. }), "{gone}");
    }

    #[test]
    fn an_import_leaves_the_source_and_an_export_replaces_in_one_step() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(&dir.path().join("data")).unwrap();
        let source = dir.path().join("photo.bin");
        std::fs::write(&source, vec![7u8; 3 << 20]).unwrap();
        let stored = store.import(&source).unwrap();
        assert_eq!(stored.bytes, 3 << 20);
        assert!(source.exists());
        let out = dir.path().join("out.bin");
        std::fs::write(&out, b"old").unwrap();
        store.export(stored.hash, &out).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), vec![7u8; 3 << 20]);
        std::fs::write(&out, b"the user's to change").unwrap();
        let beyond = store.export(stored.hash, &dir.path().join("no/such/folder.bin")).unwrap_err();
        assert!(beyond.to_string().starts_with("cannot write"), "{beyond}");
    }

    #[test]
    fn a_file_that_somebody_changed_is_refused_and_replaced_when_it_is_stored_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(dir.path()).unwrap();
        let stored = store.put_bytes(b"film").unwrap();
        let path = store.path(stored.hash).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"mlif").unwrap();
        assert!(matches!(store.read(stored.hash), Err(ArtifactError::Changed { .. })));
        assert!(matches!(store.verified_path(stored.hash), Err(ArtifactError::Changed { .. })));
        store.put_bytes(b"film").unwrap();
        assert_eq!(store.read(stored.hash).unwrap(), b"film");
    }

    #[test]
    fn what_nothing_refers_to_is_found_unless_it_is_young() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(dir.path()).unwrap();
        let [kept, old, young, again] = [b"kept", b"oldd", b"youn", b"agai"].map(|b| store.put_bytes(b).unwrap().hash);
        let yesterday = std::time::SystemTime::now() - ABANDONED;
        for hash in [kept, old, again] {
            File::open(store.path(hash).unwrap()).unwrap().set_modified(yesterday).unwrap();
        }
        store.put_bytes(b"agai").unwrap();
        assert_eq!(store.unreferenced(|hash| *hash == kept).unwrap(), [(old, 4)]);
        store.keep_young(old).unwrap();
        assert_eq!(store.unreferenced(|hash| *hash == kept).unwrap(), []);
        assert!(store.keep_young(Hash::of(b"never stored")).is_err());
        store.remove(old).unwrap();
        assert!(matches!(store.path(old), Err(ArtifactError::Missing { .. })));
        assert!([kept, young, again].iter().all(|hash| store.path(*hash).is_ok()));
        assert!(matches!(store.remove(old), Err(ArtifactError::Missing { .. })));
    }

    #[test]
    fn the_sweep_removes_what_a_killed_process_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = Artifacts::open(dir.path()).unwrap();
        std::mem::forget(store.task_scratch(7).unwrap());
        let import = store.scratch("import").unwrap();
        store.sweep_scratch().unwrap();
        assert!(import.folder().exists(), "an import in progress stays");
        assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 1);
    }
}
