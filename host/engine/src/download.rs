//! A video that a run continues, fetched from the network: bounded, gone on with where it was cut off, and never from an
//! address that only this machine or its neighbours can reach, unless that is allowed.
//!
//! Addresses are judged where a connection is made, after every redirect, and the address that was judged is the one that is
//! connected to: a name that leads elsewhere at the second look-up gains nothing.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use travel_media::Watch;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// Between two reads.
const READ: Duration = Duration::from_secs(30);

/// Redirects that are followed.
const REDIRECTS: u32 = 5;

/// Tries after the first, when a transfer breaks.
const TRIES: u32 = 4;

/// Between two tries; doubled at each.
const PAUSE: Duration = Duration::from_millis(500);

/// What nobody has asked for in so long is removed.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Longest name of a file, characters.
const MAX_NAME: usize = 80;

/// What may be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Largest file, bytes.
    pub max_bytes: u64,
    /// How long it may take in all.
    pub time: Duration,
    /// Whether private, loopback and link-local addresses may be asked.
    pub allow_private: bool,
}

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// Not an address from which anything is fetched.
    #[error("`{url}` is not fetched: only http:// and https:// are, without a name and password in the address")]
    Address {
        /// As given.
        url: String,
    },
    /// Only this machine or its network reaches it.
    #[error("{host} is at {address}, which is a private address")]
    Private {
        /// The host's name.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// The server's answer is not a file.
    #[error("{url} answers {status}")]
    Status {
        /// Of the last redirect.
        url: String,
        /// Code and words.
        status: StatusCode,
    },
    /// The file is no video.
    #[error("{url} is {kind}, which is no video")]
    Kind {
        /// Of the last redirect.
        url: String,
        /// Its `Content-Type`.
        kind: String,
    },
    /// The file is too large.
    #[error("{url} has {}; at most {most} bytes are fetched", bytes.map_or_else(|| "more".to_owned(), |n| format!("{n} bytes")))]
    TooLarge {
        /// As given.
        url: String,
        /// Its length, where it is told.
        bytes: Option<u64>,
        /// The limit.
        most: u64,
    },
    /// It takes too long.
    #[error("{url} was not fetched within {}: {bytes} bytes came, and the next try goes on there", humantime::format_duration(*time))]
    TooSlow {
        /// As given.
        url: String,
        /// How long it might take.
        time: Duration,
        /// How much there is.
        bytes: u64,
    },
    /// The connection fails.
    #[error("{url} cannot be fetched: {reason}")]
    Broken {
        /// As given.
        url: String,
        /// Why, of the last try.
        reason: String,
    },
    /// The user does not want it any more.
    #[error("the download was cancelled")]
    Cancelled,
    /// It cannot be stored.
    #[error("{} cannot be written", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl DownloadError {
    /// A stable code, for scripts and documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "download_address",
            Self::Private { .. } => "download_private",
            Self::Status { .. } => "download_status",
            Self::Kind { .. } => "download_kind",
            Self::TooLarge { .. } => "download_too_large",
            Self::TooSlow { .. } => "download_too_slow",
            Self::Broken { .. } => "download_broken",
            Self::Cancelled => "cancelled",
            Self::Disk { .. } => "download_disk",
        }
    }

    /// Whether what was asked for is wrong, and not how it went.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::Private { .. }
                | Self::Kind { .. }
                | Self::TooLarge { .. }
                | Self::Status { .. }
        )
    }
}

/// Whether a path as users give it is an address: it has a scheme.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// What is known of a file that is there in part, or whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    url: String,
    /// By which the server knows this state of the file.
    tag: Option<String>,
}

/// A file that was fetched. Nobody else fetches or forgets it while this lives.
#[derive(Debug)]
pub struct Fetched {
    /// Where it lies.
    pub file: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Fetched {
    /// Removes it: it is stored elsewhere, or no good.
    pub fn forget(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "a download cannot be removed");
        }
    }
}

/// Fetches `url` into a folder of its own below `folder`, under its own name. What is there already is asked for no second time,
/// as far as the server says that it has not changed.
///
/// # Errors
/// See [`DownloadError`]; what came before a [`DownloadError::Broken`] or [`DownloadError::TooSlow`] is kept for the next try.
pub fn fetch(url: &str, folder: &Path, rules: &Rules, on: &dyn Watch) -> Result<Fetched, DownloadError> {
    // What stands before an `@` may be a password.
    let address = || DownloadError::Address { url: url.rsplit_once('@').map_or(url, |(_, host)| host).to_owned() };
    let uri: Uri = url.parse().map_err(|_| address())?;
    let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !is_plain {
        return Err(address());
    }
    forget_stale(folder);
    let name: String = travel_artifacts::Hash::of(url.as_bytes()).to_string().chars().take(16).collect();
    let own = folder.join(name);
    let begun = Instant::now();
    let lock = lock(&own, url, begun, rules, on)?;
    let file = own.join(name_of(&uri));
    let job = Fetch { url, agent: agent(rules), rules, part: own.join("part"), known: own.join("known.json"), file };
    let (mut tries, mut pause) = (TRIES, PAUSE);
    loop {
        match job.go_on(begun, on) {
            Ok(()) => return Ok(Fetched { file: job.file, folder: own, _lock: lock }),
            Err(DownloadError::Broken { .. }) if tries > 0 && begun.elapsed() < rules.time && !on.cancelled() => {
                std::thread::sleep(pause);
                (tries, pause) = (tries - 1, pause.saturating_mul(2));
            }
            Err(error) => {
                if !job.part.exists() && !job.file.exists() {
                    drop(std::fs::remove_dir_all(&own));
                }
                return Err(error);
            }
        }
    }
}

/// Waits until no other process fetches into this folder.
fn lock(own: &Path, url: &str, begun: Instant, rules: &Rules, on: &dyn Watch) -> Result<File, DownloadError> {
    let path = own.join("lock");
    let disk = |source| DownloadError::Disk { path: path.clone(), source };
    loop {
        std::fs::create_dir_all(own).map_err(disk)?;
        let held = match File::create(&path) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => Some(lock),
                Err(TryLockError::WouldBlock) => None,
                Err(TryLockError::Error(source)) => return Err(disk(source)),
            },
            // Forgotten in between.
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(disk(source)),
        };
        // Who had it may have removed it with all the rest: then this one guards nothing.
        let is_there = |lock: &File| {
            let (held, there) = (lock.metadata(), std::fs::metadata(&path));
            held.is_ok_and(|held| there.is_ok_and(|there| held.ino() == there.ino()))
        };
        if let Some(lock) = held.filter(is_there) {
            return Ok(lock);
        }
        if on.cancelled() {
            return Err(DownloadError::Cancelled);
        }
        if begun.elapsed() > rules.time {
            return Err(DownloadError::TooSlow { url: url.to_owned(), time: rules.time, bytes: 0 });
        }
        std::thread::sleep(PAUSE / 5);
    }
}

fn forget_stale(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).map(|at| SystemTime::now().duration_since(at));
        if matches!(age, Ok(Ok(age)) if age > STALE) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// The last part of the path, as far as it is harmless.
fn name_of(uri: &Uri) -> String {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    let kept = kept.trim_start_matches('.');
    let from = kept.len().saturating_sub(MAX_NAME);
    match kept.get(from..).unwrap_or_default() {
        "" | "part" | "known.json" | "lock" => "video".to_owned(),
        name => name.to_owned(),
    }
}

struct Fetch<'a> {
    url: &'a str,
    agent: Agent,
    rules: &'a Rules,
    part: PathBuf,
    known: PathBuf,
    file: PathBuf,
}

impl Fetch<'_> {
    /// Fetches what is missing.
    fn go_on(&self, begun: Instant, on: &dyn Watch) -> Result<(), DownloadError> {
        let known = std::fs::read(&self.known).ok().and_then(|text| serde_json::from_slice::<Known>(&text).ok());
        let tag = known.filter(|known| known.url == self.url).and_then(|known| known.tag);
        let is_whole = self.file.is_file();
        let had = std::fs::metadata(&self.part).map_or(0, |meta| meta.len());
        let mut request = self.agent.get(self.url);
        match &tag {
            Some(tag) if is_whole && tag.contains('"') => request = request.header(header::IF_NONE_MATCH, tag),
            Some(tag) if is_whole => request = request.header(header::IF_MODIFIED_SINCE, tag),
            // Without a tag it may be another file by now.
            Some(tag) if had > 0 => {
                request = request.header(header::RANGE, format!("bytes={had}-")).header(header::IF_RANGE, tag);
            }
            _ => {}
        }
        let mut answer = request.call().map_err(|e| self.broken(e))?;
        let status = answer.status();
        let mut have = match status {
            StatusCode::NOT_MODIFIED if is_whole => return Ok(()),
            StatusCode::PARTIAL_CONTENT if had > 0 => {
                let range = text(&answer, "content-range").unwrap_or_default();
                if !range.starts_with(&format!("bytes {had}-")) {
                    self.remove(&self.part);
                    return Err(self.broken(format!("it answers with another part than was asked for: `{range}`")));
                }
                had
            }
            StatusCode::OK => 0,
            StatusCode::RANGE_NOT_SATISFIABLE if had > 0 => {
                self.remove(&self.part);
                return Err(self.broken("what is there of it is not of this file".to_owned()));
            }
            // The server has trouble that may pass.
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(self.broken(format!("it answers {status}")));
            }
            status => return Err(DownloadError::Status { url: self.url.to_owned(), status }),
        };
        self.check_kind(&answer)?;
        let rest = text(&answer, header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
        let total = rest.map(|rest| rest.saturating_add(have));
        if total.is_some_and(|total| total > self.rules.max_bytes) {
            return Err(self.too_large(total));
        }
        self.remove(&self.file);
        let tag = text(&answer, "etag").filter(|tag| !tag.starts_with("W/")).or(text(&answer, "last-modified"));
        let known = Known { url: self.url.to_owned(), tag };
        let record = serde_json::to_vec(&known).unwrap_or_default();
        std::fs::write(&self.known, record).map_err(|source| self.disk(&self.known, source))?;
        let mut part = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.part)
            .and_then(|part| part.set_len(have).map(|()| part))
            .map_err(|source| self.disk(&self.part, source))?;
        let mut body = answer.body_mut().with_config().limit(u64::MAX).reader();
        let mut piece = vec![0; 1 << 18];
        loop {
            if on.cancelled() {
                return Err(DownloadError::Cancelled);
            }
            if begun.elapsed() > self.rules.time {
                return Err(DownloadError::TooSlow { url: self.url.to_owned(), time: self.rules.time, bytes: have });
            }
            let read = body.read(&mut piece).map_err(|e| self.broken(e))?;
            if read == 0 {
                break;
            }
            have = have.saturating_add(read as u64);
            if have > self.rules.max_bytes {
                self.remove(&self.part);
                return Err(self.too_large(None));
            }
            part.write_all(piece.get(..read).unwrap_or_default()).map_err(|source| self.disk(&self.part, source))?;
            on.frame(have, total.unwrap_or(0));
        }
        if total.is_some_and(|total| have < total) {
            return Err(self.broken(format!("it ended after {have} bytes")));
        }
        self.keep(part)
    }

    fn keep(&self, part: File) -> Result<(), DownloadError> {
        drop(part);
        std::fs::rename(&self.part, &self.file).map_err(|source| self.disk(&self.file, source))
    }

    /// What servers call a video, or do not know the kind of.
    fn check_kind(&self, answer: &Response<Body>) -> Result<(), DownloadError> {
        let kind = text(answer, header::CONTENT_TYPE.as_str()).unwrap_or_default().to_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        let unknown =
            ["", "application/octet-stream", "binary/octet-stream", "application/mp4", "application/x-matroska"];
        if kind.starts_with("video/") || kind == "image/gif" || unknown.contains(&kind.as_str()) {
            return Ok(());
        }
        Err(DownloadError::Kind { url: self.url.to_owned(), kind })
    }

    fn remove(&self, path: &Path) {
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(file = %path.display(), %error, "it cannot be removed");
        }
    }

    fn broken(&self, error: impl Into<Trouble>) -> DownloadError {
        match error.into() {
            Trouble::Private(host, address) => DownloadError::Private { host, address },
            Trouble::Words(reason) => DownloadError::Broken { url: self.url.to_owned(), reason },
        }
    }

    fn too_large(&self, bytes: Option<u64>) -> DownloadError {
        DownloadError::TooLarge { url: self.url.to_owned(), bytes, most: self.rules.max_bytes }
    }

    fn disk(&self, path: &Path, source: std::io::Error) -> DownloadError {
        DownloadError::Disk { path: path.to_owned(), source }
    }
}

/// Why a call failed.
enum Trouble {
    Private(String, IpAddr),
    Words(String),
}

impl From<ureq::Error> for Trouble {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Other(other) => match other.downcast::<Forbidden>() {
                Ok(forbidden) => Self::Private(forbidden.host, forbidden.address),
                Err(other) => Self::Words(other.to_string()),
            },
            other => Self::Words(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Words(error.to_string())
    }
}

impl From<String> for Trouble {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

fn text(answer: &Response<Body>, name: &str) -> Option<String> {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn agent(rules: &Rules) -> Agent {
    let config = Agent::config_builder()
        .timeout_connect(Some(CONNECT))
        .timeout_resolve(Some(CONNECT))
        .timeout_per_read(Some(READ))
        .timeout_per_write(Some(READ))
        .max_redirects(REDIRECTS)
        .http_status_as_error(false)
        // A proxy would look names up by itself, and connect to what they lead to.
        .proxy(None)
        .build();
    Agent::with_parts(
        config,
        DefaultConnector::default(),
        Judge { allow_private: rules.allow_private, names: DefaultResolver::default() },
    )
}

/// An address that may not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}, which is a private address")]
struct Forbidden {
    host: String,
    address: IpAddr,
}

/// Looks names up, and lets nobody connect to a private address.
#[derive(Debug)]
struct Judge {
    allow_private: bool,
    names: DefaultResolver,
}

impl Resolver for Judge {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        match found.iter().map(|address| address.ip()).find(|address| !self.allow_private && !is_public(*address)) {
            None => Ok(found),
            Some(address) => {
                let host = uri.host().unwrap_or_default().to_owned();
                Err(ureq::Error::Other(Box::new(Forbidden { host, address })))
            }
        }
    }
}

/// Whether an address is one that anybody on the internet reaches (IANA's special-purpose registries, RFC 6890 and its
/// successors). An address of version 4 within one of version 6 counts as what it is.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_broadcast()
        || v4.is_documentation()
        || v4.is_multicast()
        || a == 0
        // Shared between carriers and their customers (RFC 6598); protocol assignments (RFC 6890); benchmarks (RFC 2544);
        // reserved (RFC 1112).
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    let [first, second, third, .., g, h] = v6.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match first {
        // Translated (RFC 6052), and tunnelled (RFC 3056): the address of version 4 is the one that is reached.
        0x64 if second == 0xff9b => is_public_v4(inner(g, h)),
        0x2002 => is_public_v4(inner(second, third)),
        // Documentation (RFC 3849), and what was reserved for protocols (RFC 2928).
        0x2001 => second != 0xdb8 && second >= 0x200,
        // All else that was given to anybody (RFC 4291 §2.4).
        _ => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known_in_every_dress() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.9",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "203.0.113.7",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_name_is_the_last_of_its_path_and_harmless() {
        let name = |url: &str| name_of(&url.parse().unwrap());
        assert_eq!(name("http://a/b/shot 3.mp4".replace(' ', "%20").as_str()), "shot203.mp4");
        assert_eq!(name("http://a/b/take.mov?x=1"), "take.mov");
        assert_eq!(name("http://a/"), "video");
        assert_eq!(name("http://a/..%2f..%2fetc"), "2f..2fetc");
        assert_eq!(name("http://a/part"), "video");
        assert!(name(&format!("http://a/{}.mp4", "x".repeat(300))).len() <= MAX_NAME);
    }

    #[test]
    fn an_address_has_a_scheme() {
        assert!(is_address("http://a/b.mp4") && is_address("ftp://a/b") && is_address("s3://a"));
        assert!(
            !is_address("shots/a.mp4") && !is_address("C:\\a.mp4") && !is_address("://a") && !is_address("a b://c")
        );
    }
}
