//! Whether a file holds all the bytes that its container declares.
//!
//! Demuxers take a file that was cut off for one that ended early, and then frames are missing in silence. The containers
//! say how long they are: every top-level box of MP4, the segment of Matroska, the RIFF chunk of AVI.

use crate::error::MediaError;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// More top-level boxes than any file of ours has; a longer list is left to the demuxer.
const MOST_BOXES: usize = 4096;

/// Refuses a file that is missing, empty, a folder, or shorter than it declares.
pub(crate) fn check(path: &Path) -> Result<(), MediaError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => MediaError::Missing { path: path.to_owned() },
        _ => MediaError::Io { path: path.to_owned(), source },
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let held = metadata.len();
    if metadata.is_file() && held == 0 {
        return Err(MediaError::Empty { path: path.to_owned() });
    }
    match declared_bytes(&mut file, held).map_err(unreadable)? {
        Some(declared) if declared > held => Err(MediaError::Truncated { path: path.to_owned(), held, declared }),
        _ => Ok(()),
    }
}

/// Bytes that the container declares; `None` for one that does not, or that we do not know.
fn declared_bytes(file: &mut File, held: u64) -> io::Result<Option<u64>> {
    let mut head = Vec::with_capacity(64);
    file.by_ref().take(64).read_to_end(&mut head)?;
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return Ok(matroska(&head));
    }
    if head.starts_with(b"RIFF") {
        return Ok(head.get(4..8).and_then(|b| b.try_into().ok()).map(|b| u64::from(u32::from_le_bytes(b)) + 8));
    }
    match head.get(4..8) {
        Some(b"ftyp" | b"moov" | b"mdat" | b"wide" | b"free" | b"skip") => boxes(file, held),
        _ => Ok(None),
    }
}

/// Walks the top-level boxes of ISO 14496-12 (§4.2): a 32-bit size and a type, a 64-bit size when it is 1, to the end of the
/// file when it is 0.
fn boxes(file: &mut File, held: u64) -> io::Result<Option<u64>> {
    let mut at = 0u64;
    for _ in 0..MOST_BOXES {
        if at.saturating_add(8) > held {
            break;
        }
        file.seek(SeekFrom::Start(at))?;
        let mut header = Vec::with_capacity(16);
        file.by_ref().take(16).read_to_end(&mut header)?;
        let short = header.get(..4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
        let long = header.get(8..16).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
        let size = match short {
            0 => return Ok(Some(held)),
            1 => long,
            size => u64::from(size),
        };
        if size < 8 {
            return Ok(None);
        }
        at = at.saturating_add(size);
    }
    Ok(Some(at))
}

/// Where the segment of a Matroska file ends (RFC 9559 §4.5, RFC 8794 §4); `None` while it is unknown.
fn matroska(head: &[u8]) -> Option<u64> {
    let (header_size, header_len) = varint(head.get(4..)?)?;
    let segment = 4 + header_len + usize::try_from(header_size?).ok()?;
    if head.get(segment..segment + 4)? != [0x18, 0x53, 0x80, 0x67] {
        return None;
    }
    let (size, len) = varint(head.get(segment + 4..)?)?;
    Some(size? + (segment + 4 + len) as u64)
}

/// An EBML variable-size integer and its length; `None` inside for the reserved "unknown".
fn varint(bytes: &[u8]) -> Option<(Option<u64>, usize)> {
    let first = *bytes.first()?;
    let len = first.leading_zeros() as usize + 1;
    let rest = bytes.get(1..len)?;
    let mask = 0xffu8.checked_shr(len as u32).unwrap_or(0);
    let value = rest.iter().fold(u64::from(first & mask), |v, b| v << 8 | u64::from(*b));
    let unknown = first & mask == mask && rest.iter().all(|b| *b == 0xff);
    Some(((!unknown).then_some(value), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_size_integers_are_read_and_the_unknown_size_is_told_apart() {
        assert_eq!(varint(&[0x81]), Some((Some(1), 1)));
        assert_eq!(varint(&[0x40, 0x7f]), Some((Some(127), 2)));
        assert_eq!(varint(&[0xff]), Some((None, 1)));
        assert_eq!(varint(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Some((None, 8)));
        assert_eq!(varint(&[0x40]), None);
    }
}
