//! SHA-256 (FIPS 180-4), in hexadecimal: what a file and a job are called on a farm.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Result};
use std::path::Path;

/// Adds a file to a hash; its length, bytes.
pub(super) fn add_file(hash: &mut Sha256, path: &Path) -> Result<u64> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; 1 << 18];
    let mut length = 0_u64;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(length);
        }
        hash.update(piece.get(..read).unwrap_or_default());
        length = length.saturating_add(read as u64);
    }
}

pub(super) fn of_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    add_file(&mut hash, path)?;
    Ok(shown(hash))
}

pub(super) fn of_text(text: &str) -> String {
    shown(Sha256::new_with_prefix(text))
}

pub(super) fn shown(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
