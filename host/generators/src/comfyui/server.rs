//! One ComfyUI server over HTTP.

use crate::http::{Fault, MAX_CLIP, agent};
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;
use ureq::http::Response;
use ureq::unversioned::multipart::{Form, Part};
use ureq::{Agent, Body};

/// Largest answer that is no clip, bytes; `object_info` of a node may list thousands of files.
const MAX_ANSWER: u64 = 64 << 20;

/// `POST /interrupt` heeds its `prompt_id` (ComfyUI pull request 9607, September 2025) in this release for certain; earlier
/// ones stop whatever runs.
const TARGETED: (u32, u32, u32) = (0, 3, 60);

/// Where a job stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// So many go before it.
    Waits(usize),
    Runs,
    /// The server does not have it.
    Unknown,
}

/// A file on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) filename: String,
    pub(super) subfolder: String,
    pub(super) kind: String,
}

pub(super) struct Server {
    /// Without a slash at its end.
    pub(super) url: String,
    agent: Agent,
    pub(super) authorization: Option<String>,
}

impl Server {
    pub(super) fn new(url: &str, authorization: Option<String>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), agent: agent(), authorization }
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Response<Body>, Fault> {
        let mut request = self.agent.get(format!("{}{path}", self.url)).query_pairs(query.iter().copied());
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        request.call().map_err(|e| self.away(&e))
    }

    fn post(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let request = self.agent.post(format!("{}{path}", self.url));
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn away(&self, error: &ureq::Error) -> Fault {
        Fault::Away(format!("{}: {error}", self.url))
    }

    fn json(&self, answer: Result<Response<Body>, Fault>) -> Result<Value, Fault> {
        let mut answer = answer?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string();
        let text = text.map_err(|e| self.away(&e))?;
        if status != 200 {
            return Err(Fault::Said(status, text));
        }
        serde_json::from_str(&text).map_err(|e| Fault::Said(status, format!("what is no JSON ({e})")))
    }

    /// `comfyui_version`, where it is told.
    pub(super) fn version(&self) -> Result<String, Fault> {
        let stats = self.json(self.get("/system_stats", &[]))?;
        Ok(stats.pointer("/system/comfyui_version").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Jobs that wait or run, of everybody.
    pub(super) fn load(&self) -> Result<u64, Fault> {
        let state = self.json(self.get("/prompt", &[]))?;
        Ok(state.pointer("/exec_info/queue_remaining").and_then(Value::as_u64).unwrap_or(0))
    }

    pub(super) fn has_class(&self, class: &str) -> Result<bool, Fault> {
        match self.json(self.get(&format!("/object_info/{class}"), &[])) {
            Ok(info) => Ok(info.get(class).is_some()),
            Err(Fault::Said(404, _)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Sends a file; what a node's input has to say to get it.
    pub(super) fn upload(&self, path: &Path, name: &str) -> Result<String, Fault> {
        let part = Part::file(path).map_err(Fault::Unread)?.file_name(name);
        let form = Form::new().text("type", "input").part("image", part);
        let answer = self.json(self.post("/upload/image").send(form).map_err(|e| self.away(&e)))?;
        let of = |key| answer.get(key).and_then(Value::as_str).unwrap_or_default();
        match (of("subfolder"), of("name")) {
            (_, "") => Err(Fault::Said(200, "an upload without its name".to_owned())),
            ("", name) => Ok(name.to_owned()),
            (folder, name) => Ok(format!("{folder}/{name}")),
        }
    }

    /// Queues a job; its id. Asked again after a connection was lost, it must not be queued twice: newer servers refuse a
    /// number that they know, in older ones the job is looked for by `name`.
    pub(super) fn submit(&self, prompt: &Value, client: &str, id: &str, name: &str) -> Result<String, Fault> {
        let body = json!({ "prompt": prompt, "client_id": client, "prompt_id": id });
        let mut tries = 0;
        loop {
            match self.json(self.post("/prompt").send_json(&body).map_err(|e| self.away(&e))) {
                Ok(answer) => {
                    if let Some(errors) = answer.get("node_errors").filter(|errors| !is_empty(errors)) {
                        tracing::warn!(server = self.url, %errors, "ComfyUI leaves out a part of the workflow");
                    }
                    let given = answer.get("prompt_id").and_then(Value::as_str);
                    return given.map(str::to_owned).ok_or_else(|| Fault::Said(200, "a job without its id".to_owned()));
                }
                Err(Fault::Said(409, _)) => return Ok(id.to_owned()),
                Err(Fault::Away(why)) if tries < 2 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(500));
                    match self.find(name) {
                        Ok(Some(found)) => return Ok(found),
                        Ok(None) => {}
                        Err(_) => return Err(Fault::Away(why)),
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    /// The id of the job whose workflow has this name in it.
    fn find(&self, name: &str) -> Result<Option<String>, Fault> {
        let queue = self.json(self.get("/queue", &[]))?;
        for job in jobs(&queue, "queue_running").chain(jobs(&queue, "queue_pending")) {
            if job.get(2).is_some_and(|prompt| prompt.to_string().contains(name)) {
                return Ok(job.get(1).and_then(Value::as_str).map(str::to_owned));
            }
        }
        let history = self.json(self.get("/history", &[("max_items", "16")]))?;
        let found = history.as_object().into_iter().flatten().find(|(_, entry)| entry.to_string().contains(name));
        Ok(found.map(|(id, _)| id.clone()))
    }

    /// What became of a job, once it is over.
    pub(super) fn history(&self, id: &str) -> Result<Option<Value>, Fault> {
        let mut history = self.json(self.get(&format!("/history/{id}"), &[]))?;
        Ok(history.get_mut(id).map(Value::take))
    }

    pub(super) fn standing(&self, id: &str) -> Result<Standing, Fault> {
        let queue = self.json(self.get("/queue", &[]))?;
        let is = |job: &Value| job.get(1).and_then(Value::as_str) == Some(id);
        if jobs(&queue, "queue_running").any(is) {
            return Ok(Standing::Runs);
        }
        // The list is a heap: a job's number, not its place, says when its turn is.
        let number = |job: &Value| job.get(0).and_then(Value::as_f64).unwrap_or(f64::MAX);
        let own = jobs(&queue, "queue_pending").find(|job| is(job)).map(number);
        Ok(own.map_or(Standing::Unknown, |own| {
            let before = jobs(&queue, "queue_pending").filter(|job| number(job) < own).count();
            Standing::Waits(before + jobs(&queue, "queue_running").count())
        }))
    }

    /// Stops a job; false when it runs and only stopping whatever runs would help, which `whatever_runs` allows.
    pub(super) fn cancel(&self, id: &str, whatever_runs: bool) -> Result<bool, Fault> {
        let own =
            self.json(self.post(&format!("/api/jobs/{id}/cancel")).send_json(json!({})).map_err(|e| self.away(&e)));
        if own.is_ok_and(|answer| answer.get("cancelled") == Some(&Value::Bool(true))) {
            return Ok(true);
        }
        self.tell("/queue", &json!({ "delete": [id] }))?;
        if self.standing(id)? != Standing::Runs {
            return Ok(true);
        }
        let targeted = numbers(&self.version()?) >= Some(TARGETED);
        match (targeted, whatever_runs) {
            (true, _) => self.tell("/interrupt", &json!({ "prompt_id": id })).map(|()| true),
            (false, true) => self.tell("/interrupt", &json!({})).map(|()| true),
            (false, false) => Ok(false),
        }
    }

    /// A call whose answer has no words.
    fn tell(&self, path: &str, body: &Value) -> Result<(), Fault> {
        let mut answer = self.post(path).send_json(body).map_err(|e| self.away(&e))?;
        let status = answer.status().as_u16();
        let text =
            answer.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string().unwrap_or_default();
        if status == 200 { Ok(()) } else { Err(Fault::Said(status, text)) }
    }

    /// Fetches a file to `path`; stops early, without an error, when `wanted` says no.
    pub(super) fn fetch(&self, file: &Remote, path: &Path, wanted: impl Fn() -> bool) -> Result<(), Fault> {
        let query = [("filename", file.filename.as_str()), ("subfolder", &file.subfolder), ("type", &file.kind)];
        let mut answer = self.get("/view", &query)?;
        if answer.status().as_u16() != 200 {
            let words = answer.body_mut().with_config().limit(MAX_ANSWER).lossy_utf8(true).read_to_string();
            return Err(Fault::Said(answer.status().as_u16(), words.unwrap_or_default()));
        }
        let mut out = std::fs::File::create(path).map_err(Fault::Disk)?;
        let mut body = answer.body_mut().with_config().limit(MAX_CLIP).reader();
        let mut piece = vec![0; 1 << 18];
        while wanted() {
            match body.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => {
                    std::io::Write::write_all(&mut out, piece.get(..n).unwrap_or_default()).map_err(Fault::Disk)?
                }
                Err(e) => return Err(Fault::Away(format!("{}: {e}", self.url))),
            }
        }
        Ok(())
    }
}

fn jobs<'a>(queue: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    queue.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(serde_json::Map::is_empty)
}

fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_that_are_known_to_heed_the_id_are_trusted() {
        for (version, trusted) in [("0.3.59", false), ("0.3.60", true), ("0.24.0", true), ("1.0.0", true), ("", false)]
        {
            assert_eq!(numbers(version) >= Some(TARGETED), trusted, "{version}");
        }
    }
}
