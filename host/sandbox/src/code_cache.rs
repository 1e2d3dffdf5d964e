//! Compiled code, kept between starts.
//!
//! Running a file of machine code is running a program, so the folder is ours alone (owner, mode 0700), and each file
//! bears a MAC under a key that never leaves the folder (mode 0600). A file is read into memory, its MAC checked, and
//! those very bytes are used. Anything that does not fit is compiled anew and replaced; nothing compiled is ever taken
//! from elsewhere. The file's name holds the wasm's hash and the engine's compatibility hash, so that another engine or
//! other settings never meet it.

use crate::error::PluginError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use wasmtime::Engine;
use wasmtime::component::Component;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;

/// A folder of compiled code that only this user can write.
#[derive(Debug)]
pub(crate) struct CodeCache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    compatibility: String,
}

impl CodeCache {
    /// Opens the folder; makes it and its key if they are not there.
    ///
    /// # Errors
    /// [`PluginError::CacheFolder`] when it belongs to another user or others can write to it, or its key is unusable.
    pub(crate) fn open(folder: &Path, engine: &Engine) -> Result<Self, PluginError> {
        let refuse = |reason: String| PluginError::CacheFolder { path: folder.to_owned(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| refuse(e.to_string()))?;
        check_private(folder).map_err(refuse)?;
        let key = read_or_make_key(folder).map_err(refuse)?;
        let mut hash = Blake3Hasher(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        let compatibility = hash.0.finalize().to_hex().chars().take(16).collect();
        Ok(Self { folder: folder.to_owned(), key, compatibility })
    }

    /// The compiled component of a wasm file whose hash is `digest`, if it is kept and untouched.
    pub(crate) fn get(&self, engine: &Engine, digest: &blake3::Hash) -> Option<Component> {
        let bytes = std::fs::read(self.path(digest)).ok()?;
        let (mac, code) = bytes.split_first_chunk::<{ blake3::OUT_LEN }>()?;
        // `blake3::Hash` compares in constant time.
        if self.mac(digest, code) != blake3::Hash::from_bytes(*mac) {
            tracing::warn!(target: "travel::plugin", file = %self.path(digest).display(),
                "compiled code was changed on disk; compiling anew");
            return None;
        }
        #[expect(unsafe_code, reason = "`deserialize` trusts its bytes to come from `serialize`; the MAC proves it")]
        // SAFETY: the MAC was made by `put` under a key that only this user can read, over this digest and these bytes,
        // and the bytes are in memory, out of anyone's reach.
        let component = unsafe { Component::deserialize(engine, code) };
        component.ok()
    }

    /// Keeps compiled code. A failure costs a compilation at the next start and is only logged.
    pub(crate) fn put(&self, digest: &blake3::Hash, component: &Component) {
        let result = component.serialize().map_err(|e| e.to_string()).and_then(|code| {
            let mac = self.mac(digest, &code);
            write_atomically(&self.folder, &self.path(digest), &[mac.as_bytes(), &code]).map_err(|e| e.to_string())
        });
        if let Err(reason) = result {
            tracing::warn!(target: "travel::plugin", folder = %self.folder.display(), reason, "compiled code is not kept");
        }
    }

    fn path(&self, digest: &blake3::Hash) -> PathBuf {
        self.folder.join(format!("{}-{}.code", digest.to_hex(), self.compatibility))
    }

    fn mac(&self, digest: &blake3::Hash, code: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.key)
            .update(digest.as_bytes())
            .update(self.compatibility.as_bytes())
            .update(code)
            .finalize()
    }
}

fn check_private(path: &Path) -> Result<(), String> {
    let meta = std::fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    let me = rustix::process::geteuid().as_raw();
    if meta.file_type().is_symlink() {
        return Err("it is a symbolic link".into());
    }
    if meta.uid() != me {
        return Err(format!("it belongs to user {}, and this is user {me}", meta.uid()));
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("its mode {:o} lets others write; make it 700", meta.mode() & 0o777));
    }
    Ok(())
}

fn read_or_make_key(folder: &Path) -> Result<[u8; KEY_BYTES], String> {
    let path = folder.join(KEY_FILE);
    if !path.exists() {
        let mut key = [0; KEY_BYTES];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key)).map_err(|e| e.to_string())?;
        // Linked into place only if nobody was quicker: two hosts that start together share one key.
        let temporary = temporary(folder);
        write_new(&temporary, &[&key]).map_err(|e| e.to_string())?;
        let linked = std::fs::hard_link(&temporary, &path);
        let _ = std::fs::remove_file(&temporary);
        if let Err(error) = linked
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(error.to_string());
        }
    }
    check_private(&path)?;
    let mode = std::fs::metadata(&path).map_err(|e| e.to_string())?.mode();
    if mode & 0o077 != 0 {
        return Err(format!("the mode {:o} of its file `key` lets others read it; delete the file", mode & 0o777));
    }
    let bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
    bytes.try_into().map_err(|_| format!("its file `key` does not have {KEY_BYTES} bytes; delete the file"))
}

fn temporary(folder: &Path) -> PathBuf {
    static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    folder.join(format!(".new-{}-{serial}", std::process::id()))
}

fn write_new(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    // What a killed process of the same number left behind.
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    Ok(())
}

/// Written aside and renamed. Not synced: after a power cut the MAC refuses a torn file.
fn write_atomically(folder: &Path, path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let temporary = temporary(folder);
    let result = write_new(&temporary, parts).and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// Lets `Hash` values be hashed by a function that is the same in every process.
struct Blake3Hasher(blake3::Hasher);

impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let (first, _) =
            self.0.finalize().as_bytes().split_first_chunk::<8>().map_or(([0; 8], &[][..]), |(a, b)| (*a, b));
        u64::from_le_bytes(first)
    }
}
