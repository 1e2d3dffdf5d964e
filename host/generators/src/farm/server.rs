//! One farm over HTTP.

use super::FARM_PROTOCOL;
use super::digest;
use crate::http::{Fault, MAX_CLIP, agent};
use crate::process::{Class, Hello};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::Duration;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, SendBody};

/// Largest answer that is no clip, bytes.
const MAX_ANSWER: u64 = 4 << 20;

/// Until an answer is complete that is no clip, beyond what the farm was allowed to wait.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a farm may wait for news before it answers; a job that nobody wants any more is noticed in between.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// Where a job stands.
#[derive(Debug, Deserialize)]
pub(super) struct Look {
    /// Grows with every change.
    pub(super) version: u64,
    #[serde(flatten)]
    pub(super) state: State,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum State {
    /// So many jobs go before it.
    Queued {
        #[serde(default)]
        before: u32,
    },
    Running {
        #[serde(default)]
        phase: String,
        #[serde(default)]
        step: u32,
        /// 0 where nobody knows.
        #[serde(default)]
        of: u32,
    },
    Done {
        clip: Clip,
    },
    Failed {
        class: Class,
        message: String,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Clip {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

/// What comes of a job that is handed in.
pub(super) enum Submitted {
    Accepted,
    /// The farm lacks these files.
    Lacks(Vec<String>),
}

#[derive(Deserialize)]
struct Missing {
    missing: Vec<String>,
}

pub(super) struct Server {
    /// Without a slash at its end.
    pub(super) url: String,
    agent: Agent,
    authorization: Option<String>,
}

impl Server {
    pub(super) fn new(url: &str, authorization: Option<String>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), agent: agent(), authorization }
    }

    /// One call; `within` bounds it, unless it carries a file.
    fn call(
        &self,
        method: &str,
        path: &str,
        within: Option<Duration>,
        more: &[(&str, &str)],
        body: impl ureq::AsSendBody,
    ) -> Result<Response<Body>, Fault> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in more.iter().copied().chain(self.authorization.as_deref().map(|a| ("Authorization", a))) {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|e| self.away(&e))?;
        let request = self.agent.configure_request(request).timeout_global(within).build();
        let mut answer = self.agent.run(request).map_err(|e| self.away(&e))?;
        match answer.status() {
            // What stands before a farm that is being started anew says so.
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => {
                let status = answer.status();
                Err(self.away(&format!("{status}: {}", text(&mut answer).unwrap_or_default())))
            }
            _ => Ok(answer),
        }
    }

    fn away(&self, error: &dyn std::fmt::Display) -> Fault {
        Fault::Away(format!("{}: {error}", self.url))
    }

    /// An answer that is good with this status.
    fn parsed<T: DeserializeOwned>(&self, mut answer: Response<Body>, good: &[u16]) -> Result<T, Fault> {
        let status = answer.status().as_u16();
        let text = text(&mut answer).map_err(|e| self.away(&e))?;
        if !good.contains(&status) {
            return Err(Fault::Said(status, words(&text)));
        }
        serde_json::from_str(&text).map_err(|e| Fault::Said(status, format!("what is not of {FARM_PROTOCOL} ({e})")))
    }

    /// An answer without words.
    fn expect(&self, mut answer: Response<Body>, good: &[u16]) -> Result<(), Fault> {
        let status = answer.status().as_u16();
        if good.contains(&status) {
            return Ok(());
        }
        Err(Fault::Said(status, words(&text(&mut answer).map_err(|e| self.away(&e))?)))
    }

    pub(super) fn hello(&self) -> Result<Hello, Fault> {
        let hello: Hello = self.parsed(self.call("GET", "/hello", Some(ANSWER), &[], ())?, &[200])?;
        match hello.fault(FARM_PROTOCOL) {
            None => Ok(hello),
            Some(fault) => Err(Fault::Said(200, format!("a hello with which something is wrong: {fault}"))),
        }
    }

    /// Sends a file that the farm lacks; breaks off when `wanted` says no.
    pub(super) fn send(&self, sha256: &str, path: &Path, wanted: &dyn Fn() -> bool) -> Result<(), Fault> {
        let file = File::open(path).map_err(Fault::Unread)?;
        let length = file.metadata().map_err(Fault::Unread)?.len().to_string();
        let headers = [("Content-Type", "application/octet-stream"), ("Content-Length", &length)];
        self.expect(
            self.call(
                "PUT",
                &format!("/files/{sha256}"),
                None,
                &headers,
                SendBody::from_reader(&mut Wanted { file, wanted }),
            )?,
            &[200, 201, 204],
        )
    }

    /// Hands a job in; the same one again changes nothing.
    pub(super) fn submit(&self, id: &str, job: &str) -> Result<Submitted, Fault> {
        let json = [("Content-Type", "application/json")];
        let answer = self.call("PUT", &format!("/jobs/{id}"), Some(ANSWER), &json, job)?;
        if answer.status() == StatusCode::CONFLICT {
            let lacks: Missing = self.parsed(answer, &[409])?;
            return Ok(Submitted::Lacks(lacks.missing));
        }
        self.parsed::<Look>(answer, &[200, 201, 202]).map(|_| Submitted::Accepted)
    }

    /// Where a job stands, once that is not `since` any more or [`WAIT`] is over; nothing for a job that the farm does not have.
    pub(super) fn look(&self, id: &str, since: u64) -> Result<Option<Look>, Fault> {
        let path = format!("/jobs/{id}?since={since}&wait={}", WAIT.as_secs());
        let answer = self.call("GET", &path, Some(WAIT.saturating_add(ANSWER)), &[], ())?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.parsed(answer, &[200]).map(Some)
    }

    /// Stops a job that is not over, and forgets one that is.
    pub(super) fn forget(&self, id: &str) -> Result<(), Fault> {
        let answer = self.call("DELETE", &format!("/jobs/{id}"), Some(ANSWER), &[], ())?;
        self.expect(answer, &[200, 202, 204, 404])
    }

    /// Fetches what `path` lacks of a clip; stops early, without an error, when `wanted` says no. A file that is complete and
    /// not what its name says is removed.
    pub(super) fn fetch(&self, clip: &Clip, path: &Path, wanted: &dyn Fn() -> bool) -> Result<(), Fault> {
        let mut hash = Sha256::default();
        let mut have = match digest::add_file(&mut hash, path) {
            Ok(length) => length,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(Fault::Disk(e)),
        };
        let range = format!("bytes={have}-");
        let headers = [("Range", range.as_str())];
        let headers = if have > 0 { &headers[..] } else { &[] };
        let mut answer = self.call("GET", &format!("/files/{}", clip.sha256), None, headers, ())?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if have > 0 => {}
            StatusCode::OK => (hash, have) = (Sha256::default(), 0),
            _ => return self.expect(answer, &[]),
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Fault::Disk)?;
        file.set_len(have).map_err(Fault::Disk)?;
        let mut body = answer.body_mut().with_config().limit(MAX_CLIP).reader();
        let mut piece = vec![0; 1 << 18];
        while wanted() {
            let read = body.read(&mut piece).map_err(|e| self.away(&e))?;
            let piece = piece.get(..read).unwrap_or_default();
            have = have.saturating_add(read as u64);
            if read > 0 && have <= clip.bytes {
                file.write_all(piece).map_err(Fault::Disk)?;
                sha2::Digest::update(&mut hash, piece);
                continue;
            }
            if have < clip.bytes {
                return Err(self.away(&format!("{have} of the clip's {} bytes came", clip.bytes)));
            }
            if have == clip.bytes && digest::shown(hash) == clip.sha256 {
                return Ok(());
            }
            crate::render::remove(path);
            return Err(Fault::Said(200, format!("what is not the clip {}", clip.sha256)));
        }
        Ok(())
    }
}

/// A file that is sent for as long as it is wanted.
struct Wanted<'a> {
    file: File,
    wanted: &'a dyn Fn() -> bool,
}

impl Read for Wanted<'_> {
    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        match (self.wanted)() {
            true => self.file.read(piece),
            false => Err(std::io::Error::other("the job is not wanted any more")),
        }
    }
}

fn text(answer: &mut Response<Body>) -> Result<String, ureq::Error> {
    answer.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string()
}

/// What an answer says that is not the one hoped for: text, or its `message`.
fn words(text: &str) -> String {
    let said: Option<Value> = serde_json::from_str(text).ok();
    let message = said.as_ref().and_then(|said| said.get("message")).and_then(Value::as_str);
    message.unwrap_or(text).trim().to_owned()
}

/// A job as the farm is told of it.
pub(super) fn id_and_text(job: &Value) -> (String, String) {
    let text = job.to_string();
    (digest::of_text(&text), text)
}
