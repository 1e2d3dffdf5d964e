//! What lies beneath the database: which file system, and how much room.

use std::path::Path;

use serde::Serialize;

use crate::error::{QueueError, Result};

/// A file system, as far as a database cares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Its name where it is known, such as `ext4`; else its number in hexadecimal.
    pub kind: String,
    /// Whether other machines may write to it, behind the back of this one's locks.
    pub network: bool,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
}

/// The magic numbers of `statfs(2)` (linux/magic.h, and the file systems' own headers), and whether the file system is
/// one that is shared over a network. FUSE is taken for shared: most of what people mount with it is.
#[cfg(target_os = "linux")]
const KINDS: &[(u32, &str, bool)] = &[
    (0x6969, "NFS", true),
    (0xFF53_4D42, "CIFS", true),
    (0xFE53_4D42, "SMB2", true),
    (0x517B, "SMB", true),
    (0x5346_414F, "AFS", true),
    (0x7375_7245, "Coda", true),
    (0x0102_1997, "9P", true),
    (0x00C3_6400, "Ceph", true),
    (0x0BD0_0BD0, "Lustre", true),
    (0x4750_4653, "GPFS", true),
    (0x6573_5546, "FUSE", true),
    (0xEF53, "ext4", false),
    (0x5846_5342, "XFS", false),
    (0x9123_683E, "btrfs", false),
    (0x2FC1_2FC1, "ZFS", false),
    (0xF2F5_2010, "F2FS", false),
    (0x0102_1994, "tmpfs", false),
    (0x794C_7630, "overlayfs", false),
];

/// What lies beneath a file, or beneath the nearest folder above it that is there.
///
/// # Errors
/// A folder that cannot be asked.
pub fn beneath(path: &Path) -> Result<Disk> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = absolute.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let failed = |errno: rustix::io::Errno| QueueError::Io {
        path: there.to_owned(),
        cause: std::sync::Arc::new(std::io::Error::from(errno)),
    };
    let room = rustix::fs::statvfs(there).map_err(failed)?;
    let (kind, network) = kind_of(there).map_err(failed)?;
    Ok(Disk { kind, network, free_bytes: room.f_bavail.saturating_mul(room.f_frsize) })
}

#[cfg(target_os = "linux")]
fn kind_of(path: &Path) -> std::result::Result<(String, bool), rustix::io::Errno> {
    // The numbers have 32 bits, whatever the width of the field.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let magic = rustix::fs::statfs(path)?.f_type as u32;
    Ok(known_kind(magic))
}

#[cfg(target_os = "linux")]
fn known_kind(magic: u32) -> (String, bool) {
    match KINDS.iter().find(|(number, ..)| *number == magic) {
        Some((_, name, network)) => ((*name).to_owned(), *network),
        None => (format!("{magic:#x}"), false),
    }
}

#[cfg(not(target_os = "linux"))]
fn kind_of(_: &Path) -> std::result::Result<(String, bool), rustix::io::Errno> {
    Ok(("unknown".to_owned(), false))
}

/// Refuses a place where the database would not be safe.
pub(crate) fn refuse_network(path: &Path) -> Result<()> {
    // What cannot be asked is left to SQLite to judge.
    match beneath(path) {
        Ok(Disk { kind, network: true, .. }) => Err(QueueError::NetworkDisk { path: path.to_owned(), kind }),
        _ => Ok(()),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_machines_share_are_known_by_their_numbers() {
        for (magic, name, network) in [
            (0x6969, "NFS", true),
            (0xFF53_4D42, "CIFS", true),
            (0xEF53, "ext4", false),
            (0x1234_5678, "0x12345678", false),
        ] {
            assert_eq!(known_kind(magic), (name.to_owned(), network));
        }
    }

    #[test]
    fn the_disk_beneath_a_file_that_is_not_there_yet_is_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        let here = beneath(folder.path()).unwrap();
        let below = beneath(&folder.path().join("a/b/queue.db")).unwrap();
        assert_eq!(here.kind, below.kind);
        assert!(below.free_bytes > 0);
    }
}
