//! What servers that render have in common: patience, faults, addresses.

use crate::error::GeneratorError;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use travel_media::MediaError;
use ureq::Agent;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);

/// Between two reads; whole transfers may take as long as they need.
const READ: Duration = Duration::from_secs(60);

/// Largest clip, bytes.
pub(crate) const MAX_CLIP: u64 = 8 << 30;

/// Why a call gave nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody answered, or not in full.
    Away(String),
    /// It answered with this status and these words.
    Said(u16, String),
    /// A file to send cannot be read.
    Unread(std::io::Error),
    /// A file that came cannot be written.
    Disk(std::io::Error),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(why) => f.write_str(why),
            Self::Said(status, words) => write!(f, "it answered {status}: {words}"),
            Self::Unread(error) | Self::Disk(error) => error.fmt(f),
        }
    }
}

/// What asks a server; statuses are answers, not errors.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(READ))
        .timeout_per_write(Some(READ))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

/// What is wrong with a server's address, in a sentence.
pub(crate) fn fault_of_address(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let is_odd = rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#']));
    is_odd.then(|| format!("`{url}` is no address of a server; one looks like `http://127.0.0.1:8188`"))
}

/// What becomes of a job after such a fault; `path` is the file that was read or written.
pub(crate) fn failed(generator: &str, fault: &Fault, path: &Path) -> GeneratorError {
    let generator = generator.to_owned();
    let because = |error: &std::io::Error| match error.kind() {
        ErrorKind::StorageFull => MediaError::DiskFull { path: path.to_owned() },
        ErrorKind::NotFound => MediaError::Missing { path: path.to_owned() },
        kind => MediaError::Io { path: path.to_owned(), source: std::io::Error::new(kind, error.to_string()) },
    };
    match fault {
        Fault::Unread(error) => GeneratorError::FileUnreadable { path: path.to_owned(), source: because(error) },
        Fault::Disk(error) => GeneratorError::OutUnwritable { path: path.to_owned(), source: because(error) },
        Fault::Said(401 | 403, words) => {
            GeneratorError::Refused { generator, message: format!("it does not let this host in: {words}") }
        }
        other => GeneratorError::Transient { generator, message: other.to_string() },
    }
}
