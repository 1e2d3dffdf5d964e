//! ComfyUI servers as a generator: a workflow with slots, queued over HTTP, followed over a WebSocket.
//!
//! Routes and messages: <https://docs.comfy.org/development/comfyui-server/comms_routes> and `…/comms_messages`. Servers old
//! and new are served: an id is given and read back, the history answers when the socket is lost, and a job is stopped by the
//! narrowest means that a server has.

mod server;
mod socket;
mod template;

use crate::ends::ends_of_guide;
use crate::error::GeneratorError;
use crate::generator::{Capabilities, Generated, Generator, Job, Progress};
use crate::http::Fault;
use crate::process::{Lengths, Step, Verdict};
use crate::render::remove;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use server::{Remote, Server, Standing};
use socket::{Event, Socket};
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use template::Template;
use travel::{Grid, Rate};
use uuid::Uuid;

/// How often a job is looked after: whether it is still wanted, and what the server says.
const TICK: Duration = Duration::from_millis(100);

/// Between two looks at the history while the socket is silent, in case an event was lost.
const LOOK: Duration = Duration::from_secs(5);

/// The same without a socket, and between two tries to have one again.
const LOOK_BLIND: Duration = Duration::from_millis(500);

/// How long a server may be away in the middle of a job.
const AWAY: Duration = Duration::from_secs(30);

/// Between a job's end and its entry in the history.
const ENTRY: Duration = Duration::from_secs(5);

/// Looks in a row at which neither queue nor history may know a job: it may be on its way from one to the other.
const UNKNOWN_LOOKS: u32 = 3;

/// Endings of files that are clips.
const CLIPS: [&str; 6] = ["mp4", "mkv", "webm", "mov", "avi", "gif"];

/// `[generators.NAME.comfyui]`: ComfyUI instead of a program.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Comfyui {
    /// Addresses, such as `http://127.0.0.1:8188`; each renders one job of this host at a time.
    pub servers: Vec<String>,
    /// The workflow, in API format, with slots in its nodes' titles.
    pub workflow: PathBuf,
    /// Lengths and sizes that the workflow can render; Wan's when missing.
    #[serde(default)]
    pub grid: Option<Lengths>,
    /// Rates that it renders, `[num, den]`; any when missing.
    #[serde(default)]
    pub rates: Option<Vec<[u32; 2]>>,
    /// What may be stopped on a server that cannot stop one job alone.
    #[serde(default)]
    pub interrupt: Interrupt,
    /// The variable with what goes into the header `Authorization`.
    #[serde(default)]
    pub authorization_env: Option<String>,
    /// What was read of the workflow.
    #[serde(skip)]
    template: Option<Template>,
}

/// What may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interrupt {
    /// This host's job; where a server cannot, it renders to the end.
    #[default]
    Own,
    /// Whatever runs: nobody else uses these servers.
    Any,
}

impl Comfyui {
    /// Makes paths whole; what is wrong, in a sentence.
    pub(crate) fn prepare(&mut self, folder: &Path) -> Option<String> {
        if self.servers.is_empty() {
            return Some(
                "comfyui.servers is empty; it is a list of addresses such as `http://127.0.0.1:8188`".to_owned(),
            );
        }
        if let Some(fault) = self.servers.iter().find_map(|url| crate::http::fault_of_address(url)) {
            return Some(fault);
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.servers.iter().find(|url| !seen.insert(url.trim_end_matches('/'))) {
            return Some(format!("the server {twice} is listed twice"));
        }
        if self.rates.as_ref().is_some_and(|rates| rates.is_empty() || rates.iter().any(|[n, d]| *n == 0 || *d == 0)) {
            return Some("comfyui.rates is an empty list or holds a zero".to_owned());
        }
        if let Some(fault) = self.grid.as_ref().and_then(Lengths::fault) {
            return Some(fault);
        }
        self.workflow = folder.join(&self.workflow);
        let text = std::fs::read_to_string(&self.workflow).map_err(|e| e.to_string());
        match text.and_then(|text| Template::parse(&text)) {
            Ok(template) => {
                self.template = Some(template);
                None
            }
            Err(fault) => Some(format!("workflow {}: {fault}", self.workflow.display())),
        }
    }
}

/// ComfyUI servers that render one workflow.
pub struct ComfyuiServers {
    name: String,
    recipe: Comfyui,
    template: Template,
    pool: String,
    settings: Map<String, Value>,
    silence: Duration,
    posts: Vec<Post>,
}

/// A server, and who renders on it.
struct Post {
    server: Server,
    /// Held while this host renders there; with it, the classes that the server is known to have.
    busy: Mutex<BTreeSet<String>>,
    troubles: Mutex<Troubles>,
}

/// What has gone wrong on a server of late.
#[derive(Default)]
struct Troubles {
    /// Jobs that failed in a row.
    failures: u32,
    /// Until then others go first.
    until: Option<Instant>,
}

/// How long a server is passed over after a job that failed there; twice as long after each further one.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// Longest.
const PASSED_OVER_MOST: Duration = Duration::from_secs(600);

impl Post {
    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_passed_over(&self) -> bool {
        self.troubles().until.is_some_and(|until| until > Instant::now())
    }

    /// Takes note of how a job ended that the server was given.
    fn note(&self, result: &Result<(), GeneratorError>) {
        let mut troubles = self.troubles();
        match result {
            Ok(()) => *troubles = Troubles::default(),
            Err(error) if error.is_retryable() => {
                let pause = PASSED_OVER.saturating_mul(1 << troubles.failures.min(10)).min(PASSED_OVER_MOST);
                troubles.failures = troubles.failures.saturating_add(1);
                troubles.until = Instant::now().checked_add(pause);
            }
            // The job's fault, or nobody's.
            Err(_) => {}
        }
    }
}

/// A server that this host renders on for as long as this lives.
type Held<'a> = (&'a Post, MutexGuard<'a, BTreeSet<String>>);

impl ComfyuiServers {
    /// Nothing for a recipe that was not prepared.
    pub(crate) fn new(
        name: &str,
        mut recipe: Comfyui,
        pool: &str,
        settings: Map<String, Value>,
        silence: Duration,
    ) -> Option<Self> {
        let template = recipe.template.take()?;
        let authorization = recipe.authorization_env.as_ref().and_then(|variable| std::env::var(variable).ok());
        let post = |url: &String| {
            let server = Server::new(url, authorization.clone());
            Post { server, busy: Mutex::default(), troubles: Mutex::default() }
        };
        let posts = recipe.servers.iter().map(post).collect();
        Some(Self { name: name.to_owned(), recipe, template, pool: pool.to_owned(), settings, silence, posts })
    }

    /// Asks every server whether it could render: one step a server and question.
    pub fn check(&self, told: &mut dyn FnMut(&Step)) -> Vec<Step> {
        let mut steps = Vec::new();
        for post in &self.posts {
            let url = &post.server.url;
            let mut step = |rule: String, verdict| {
                let step = Step { rule: rule.into(), verdict };
                told(&step);
                steps.push(step);
            };
            let version = post.server.version();
            let answers = format!("{url} answers");
            match version {
                Ok(version) => {
                    step(format!("{answers}, as ComfyUI {version}"), Verdict::Holds);
                    let verdict = match self.missing(&post.server, &mut BTreeSet::new()) {
                        Ok(missing) if missing.is_empty() => Verdict::Holds,
                        Ok(missing) => Verdict::Broken(format!("it has not {}", missing.join(", "))),
                        Err(fault) => Verdict::Broken(fault.to_string()),
                    };
                    step(format!("{url} has every node of the workflow"), verdict);
                }
                Err(fault) => step(answers, Verdict::Broken(fault.to_string())),
            }
        }
        steps
    }

    /// Classes of the workflow that a server does not have.
    fn missing(&self, server: &Server, known: &mut BTreeSet<String>) -> Result<Vec<String>, Fault> {
        let mut missing = Vec::new();
        for class in self.template.classes() {
            if known.contains(class) {
                continue;
            }
            if server.has_class(class)? {
                known.insert(class.to_owned());
            } else {
                missing.push(class.to_owned());
            }
        }
        Ok(missing)
    }

    /// A server on which this host renders nothing, the one with least to do first; nothing when all that answer are among those
    /// `without` which it has to be. One on which the last job failed is only taken when no other answers.
    fn hold(&self, without: &HashSet<&str>, on: &dyn Progress) -> Result<Option<Held<'_>>, GeneratorError> {
        loop {
            let (mut there, mut away, mut shut) = (Vec::new(), Vec::new(), None);
            for post in &self.posts {
                match post.server.load() {
                    Ok(load) => there.push((post.is_passed_over(), load, post)),
                    Err(fault @ Fault::Said(401 | 403, _)) => shut = Some(self.failed(&fault, Path::new(""))),
                    Err(fault) => away.push(fault.to_string()),
                }
            }
            if there.is_empty() {
                let away = || self.transient(format!("no server answers: {}", away.join("; ")));
                return Err(shut.unwrap_or_else(away));
            }
            there.retain(|(_, _, post)| !without.contains(post.server.url.as_str()));
            if there.is_empty() {
                return Ok(None);
            }
            if there.iter().any(|(passed_over, ..)| !passed_over) {
                there.retain(|(passed_over, ..)| !passed_over);
            }
            there.sort_by_key(|(_, load, _)| *load);
            for (_, _, post) in there {
                match post.busy.try_lock() {
                    Ok(known) => return Ok(Some((post, known))),
                    Err(TryLockError::Poisoned(poisoned)) => return Ok(Some((post, poisoned.into_inner()))),
                    Err(TryLockError::WouldBlock) => {}
                }
            }
            if on.cancelled() {
                return Err(GeneratorError::Cancelled { done: 0, total: 0 });
            }
            std::thread::sleep(TICK);
        }
    }

    fn render(&self, job: &Job, on: &dyn Progress) -> Result<(), GeneratorError> {
        if let Some(variable) = &self.recipe.authorization_env
            && std::env::var_os(variable).is_none()
        {
            return Err(self.refused(format!("the variable {variable}, which has its authorization, is not set")));
        }
        let (mut without, mut lacks) = (HashSet::new(), Vec::new());
        while let Some((post, mut known)) = self.hold(&without, on)? {
            let server = &post.server;
            let missing = self.missing(server, &mut known).map_err(|fault| self.failed(&fault, &job.out));
            let result = match missing {
                Ok(missing) if missing.is_empty() => self.render_on(server, job, on),
                Ok(missing) => {
                    lacks.push(format!("{} has no node {}", server.url, missing.join(", ")));
                    without.insert(server.url.as_str());
                    continue;
                }
                Err(error) => Err(error),
            };
            post.note(&result);
            return result;
        }
        Err(self.refused(format!("{}; install the custom nodes that bring it", lacks.join("; "))))
    }

    fn render_on(&self, server: &Server, job: &Job, on: &dyn Progress) -> Result<(), GeneratorError> {
        let id = Uuid::new_v4().to_string();
        let name = format!("travel-{id}");
        on.stage("upload");
        let values = self.values(server, job, &name)?;
        let prompt = self.template.filled(&values);
        let socket = Socket::connect(server, &id, TICK)
            .inspect_err(|why| tracing::debug!(server = server.url, why, "no WebSocket; the history is asked instead"))
            .ok();
        on.stage("queue");
        let client = id.clone();
        let id = server.submit(&prompt, &client, &id, &name).map_err(|fault| self.unwanted(&fault, &job.out))?;
        let mut watch = Watch { of: self, server, id: &id, client: &client, job, on, socket, pictures: 0 };
        let entry = watch.until_over()?;
        let clip = self.clip_of(&entry, server)?;
        on.stage("download");
        server.fetch(&clip, &job.out, || !on.cancelled()).map_err(|fault| self.failed(&fault, &job.out))?;
        if on.cancelled() {
            return Err(GeneratorError::Cancelled { done: job.place.total, total: job.place.total });
        }
        Ok(())
    }

    /// What goes into the slots; files are sent to the server.
    fn values(&self, server: &Server, job: &Job, name: &str) -> Result<Map<String, Value>, GeneratorError> {
        let mut values = self.settings(&job.settings)?;
        let rate = job.rate.reduced();
        let own = json!({
            "prompt": job.prompt, "negative_prompt": job.negative_prompt, "seed": job.seed,
            "width": job.dims.width, "height": job.dims.height, "frames": job.place.total,
            "rate": f64::from(rate.num) / f64::from(rate.den), "name": name,
        });
        values.extend(own.as_object().cloned().unwrap_or_default());
        for (slot, path) in [("guide", &job.guide), ("mask", &job.mask)] {
            if self.template.has(slot) {
                let sent = server.upload(path, &format!("{name}-{slot}.mkv"));
                values.insert(slot.to_owned(), json!(sent.map_err(|fault| self.failed(&fault, path))?));
            }
        }
        let (first, last) = ends_of_guide(job, self.template.has("first_frame"), self.template.has("last_frame"))?;
        for (slot, path) in [("first_frame", first), ("last_frame", last)] {
            if let Some(path) = path {
                let sent = server.upload(&path, &format!("{name}-{slot}.png"));
                values.insert(slot.to_owned(), json!(sent.map_err(|fault| self.failed(&fault, &path))?));
            }
        }
        let slots = self.template.references();
        if job.references.len() > slots.len() {
            let (given, read) = (job.references.len(), slots.len());
            return Err(self.refused(format!(
                "the segment has {given} references, and the workflow takes {read}; give one more node the title \
                 `travel: reference_2=INPUT`, or leave out --initial-image-strength or --final-image-strength"
            )));
        }
        for (slot, path) in slots.into_iter().zip(&job.references) {
            let sent = server.upload(path, &format!("{name}-{slot}.png"));
            values.insert(slot.to_owned(), json!(sent.map_err(|fault| self.failed(&fault, path))?));
        }
        Ok(values)
    }

    /// The clip among a job's outputs: of the node that says so, else the first that is kept.
    fn clip_of(&self, entry: &Value, server: &Server) -> Result<Remote, GeneratorError> {
        let mut found: Vec<((bool, bool), Remote)> = Vec::new();
        let mut others = 0;
        for (node, outputs) in entry.get("outputs").and_then(Value::as_object).into_iter().flatten() {
            let files = outputs.as_object().into_iter().flat_map(Map::values).filter_map(Value::as_array).flatten();
            for file in files {
                let of = |key| file.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let (filename, kind) = (of("filename"), of("type"));
                let ending = Path::new(&filename).extension().map(|ending| ending.to_string_lossy().to_lowercase());
                if !ending.is_some_and(|ending| CLIPS.contains(&ending.as_str())) {
                    others += u32::from(!filename.is_empty());
                    continue;
                }
                let rank = (!self.template.is_output(node), kind != "output");
                found.push((rank, Remote { filename, subfolder: of("subfolder"), kind }));
            }
        }
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().next().map(|(_, file)| file).ok_or_else(|| {
            let reason = match others {
                0 => "the job made nothing that is saved".to_owned(),
                n => format!("the job made {n} files, and none of them is a clip ({})", CLIPS.join(", ")),
            };
            GeneratorError::NoClip { generator: self.name.clone(), path: PathBuf::from(&server.url), reason }
        })
    }

    fn settings(&self, own: &Value) -> Result<Map<String, Value>, GeneratorError> {
        let all = crate::settings::over(&self.name, &self.settings, own)?;
        let schema = self.template.settings_schema();
        crate::settings::check_by(&self.name, &schema, &Value::Object(all.clone()))?;
        Ok(all)
    }

    fn refused(&self, message: String) -> GeneratorError {
        GeneratorError::Refused { generator: self.name.clone(), message }
    }

    fn transient(&self, message: String) -> GeneratorError {
        GeneratorError::Transient { generator: self.name.clone(), message }
    }

    fn failed(&self, fault: &Fault, path: &Path) -> GeneratorError {
        crate::http::failed(&self.name, fault, path)
    }

    /// Why a job was not queued.
    fn unwanted(&self, fault: &Fault, path: &Path) -> GeneratorError {
        match fault {
            Fault::Said(400, words) => self.refused(match serde_json::from_str(words) {
                Ok(said) => self.complaints(&said),
                Err(_) => words.clone(),
            }),
            other => self.failed(other, path),
        }
    }

    /// A refusal of `POST /prompt`, as people read it.
    fn complaints(&self, said: &Value) -> String {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut parts = vec![text(said.pointer("/error/message"))];
        for (id, node) in said.get("node_errors").and_then(Value::as_object).into_iter().flatten() {
            for error in node.get("errors").and_then(Value::as_array).into_iter().flatten() {
                let (message, details) = (text(error.get("message")), text(error.get("details")));
                parts.push(format!("node {id} ({}): {message}: {details}", self.template.label(id)));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join("; ")
    }

    /// Why a job ended badly, by its entry in the history; nothing if it did not.
    fn trouble(&self, entry: &Value) -> Option<GeneratorError> {
        if entry.pointer("/status/status_str").and_then(Value::as_str) != Some("error") {
            return None;
        }
        let messages = entry.pointer("/status/messages").and_then(Value::as_array).into_iter().flatten();
        for message in messages {
            let data = message.get(1);
            let text = |key: &str| data.and_then(|data| data.get(key)).and_then(Value::as_str).unwrap_or_default();
            match message.get(0).and_then(Value::as_str) {
                Some("execution_error") => {
                    let said = format!("{}: {}", text("exception_type"), text("exception_message").trim());
                    let message =
                        format!("node {} ({}): {said}", text("node_id"), self.template.label(text("node_id")));
                    let small = said.to_lowercase();
                    let memory = ["out of memory", "outofmemory", "allocation on device"];
                    return Some(if memory.iter().any(|sign| small.contains(sign)) {
                        GeneratorError::OutOfMemory { generator: self.name.clone(), message }
                    } else {
                        self.transient(message)
                    });
                }
                Some("execution_interrupted") => {
                    return Some(self.transient("somebody stopped the job on the server".to_owned()));
                }
                _ => {}
            }
        }
        Some(self.transient("the server says that the job failed, and not why".to_owned()))
    }
}

/// A job that is queued or renders.
struct Watch<'a> {
    of: &'a ComfyuiServers,
    server: &'a Server,
    id: &'a str,
    client: &'a str,
    job: &'a Job,
    on: &'a dyn Progress,
    socket: Option<Socket>,
    pictures: u32,
}

impl Watch<'_> {
    /// The job's entry in the history, once it ended well.
    fn until_over(&mut self) -> Result<Value, GeneratorError> {
        let (mut sign, mut looked, mut answered) = (Instant::now(), Instant::now(), Instant::now());
        let mut unknown = 0;
        loop {
            if self.on.cancelled() {
                self.stop();
                return Err(GeneratorError::Cancelled { done: 0, total: self.job.place.total });
            }
            let mut over = false;
            if let Some(event) = self.listen() {
                sign = Instant::now();
                over = self.tell(event);
            }
            let pause = if self.socket.is_some() && unknown == 0 { LOOK } else { LOOK_BLIND };
            if !over && looked.elapsed() < pause {
                continue;
            }
            looked = Instant::now();
            let asked = if over { self.entry() } else { self.server.history(self.id) };
            match asked {
                Ok(Some(entry)) => return self.of.trouble(&entry).map_or(Ok(entry), Err),
                Ok(None) if over => {
                    return Err(self.of.transient("the job is over, but not in the history".to_owned()));
                }
                Ok(None) => match self.server.standing(self.id) {
                    Ok(Standing::Unknown) => unknown += 1,
                    Ok(Standing::Waits(before)) => {
                        (unknown, sign) = (0, Instant::now());
                        self.on.stage(&format!("queue, behind {before}"));
                    }
                    Ok(Standing::Runs) => unknown = 0,
                    Err(_) => {}
                },
                Err(_) if answered.elapsed() < AWAY => continue,
                Err(fault) => return Err(self.of.failed(&fault, &self.job.out)),
            }
            answered = Instant::now();
            if unknown >= UNKNOWN_LOOKS {
                let url = &self.server.url;
                return Err(self.of.transient(format!("{url} does not know the job any more; was it started anew?")));
            }
            if sign.elapsed() > self.of.silence {
                self.stop();
                return Err(GeneratorError::Silent {
                    generator: self.of.name.clone(),
                    during: "generate",
                    after: self.of.silence,
                    stderr: String::new(),
                });
            }
            if self.socket.is_none() {
                self.socket = Socket::connect(self.server, self.client, TICK).ok();
            }
        }
    }

    /// What the socket says within a tick.
    fn listen(&mut self) -> Option<Event> {
        let Some(socket) = &mut self.socket else {
            std::thread::sleep(TICK);
            return None;
        };
        match socket.next(self.id) {
            Ok(event) => event,
            Err(why) => {
                tracing::debug!(server = self.server.url, why, "the WebSocket is lost; the history is asked instead");
                self.socket = None;
                None
            }
        }
    }

    /// Passes an event on; whether it was the last.
    fn tell(&mut self, event: Event) -> bool {
        match event {
            Event::Over => return true,
            Event::Node(node) => self.on.stage(&self.of.template.label(&node)),
            Event::Step(done, total) => self.on.report(done.min(total), total),
            Event::Preview(ending, picture) => {
                let path = self.job.work_dir.join(format!("preview-{}.{ending}", self.pictures % 2));
                self.pictures = self.pictures.wrapping_add(1);
                match std::fs::write(&path, picture) {
                    Ok(()) => self.on.preview(&path),
                    Err(error) => tracing::debug!(%error, "a preview cannot be written"),
                }
            }
            Event::Other => {}
        }
        false
    }

    /// The history's entry of a job that is over, which may come a little later.
    fn entry(&self) -> Result<Option<Value>, Fault> {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(2);
        loop {
            let entry = self.server.history(self.id)?;
            if entry.is_some() || begun.elapsed() > ENTRY {
                return Ok(entry);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(TICK);
        }
    }

    fn stop(&self) {
        let url = &self.server.url;
        match self.server.cancel(self.id, self.of.recipe.interrupt == Interrupt::Any) {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                server = url,
                "this ComfyUI cannot stop one job alone, so it renders to the end; set interrupt = \"any\" if nobody else uses it"
            ),
            Err(fault) => tracing::warn!(server = url, %fault, "the job could not be stopped"),
        }
    }
}

impl Generator for ComfyuiServers {
    fn describe(&self) -> Result<Capabilities, GeneratorError> {
        let wants_mask = self.template.has("mask");
        Ok(Capabilities {
            name: self.name.clone(),
            version: "ComfyUI".to_owned(),
            renders: true,
            upscales: None,
            grid: self.recipe.grid.as_ref().map_or(Grid { wants_mask, ..Grid::WAN }, |grid| grid.grid(wants_mask)),
            rates: self
                .recipe
                .rates
                .as_ref()
                .map(|rates| rates.iter().map(|[num, den]| Rate { num: *num, den: *den }).collect()),
            models: Vec::new(),
            wants_guide: self.template.has("guide"),
            reads_prompts: self.template.has("prompt"),
            memory_mb: None,
            references: self.template.references().len() as u32,
            settings_schema: self.template.settings_schema(),
            pool: self.pool.clone(),
            notice: None,
        })
    }

    fn affinity(&self, _: Option<&str>) -> String {
        self.name.clone()
    }

    fn check_settings(&self, settings: &Value) -> Result<(), GeneratorError> {
        self.settings(settings).map(drop)
    }

    fn generate(&self, job: &Job, on: &dyn Progress) -> Result<Generated, GeneratorError> {
        match self.render(job, on) {
            Ok(()) => Ok(Generated::of(job)),
            Err(error) => {
                remove(&job.out);
                Err(error)
            }
        }
    }
}
