//! A render farm as a generator: `travel-farm/1`, jobs over HTTP, files by their hash.
//!
//! `docs/farm-protocol.md` tells it to whoever runs one. A job is called by the hash of all that it says, so that it can be
//! handed in again, after a lost answer or by a host that was started anew, and is not rendered twice. It is forgotten once its
//! clip has come.

mod digest;
mod server;

use crate::ends::ends_of_guide;
use crate::error::GeneratorError;
use crate::generator::{Capabilities, Generated, Generator, Job, Progress, Upscale, Upscaled};
use crate::http::{Fault, failed, fault_of_address};
use crate::process::{Hello, Input, Patient, Step, Trial, Verdict};
use crate::render::remove;
use crate::work::Work;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use server::{Clip, Server, State, Submitted};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The version that this program speaks.
const FARM_PROTOCOL: &str = "travel-farm/1";

/// How long a farm may be away in the middle of a job.
const AWAY: Duration = Duration::from_secs(60);

/// Between two tries to reach it.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a job is handed in whose files the farm lacks.
const ROUNDS: u32 = 3;

/// Most jobs at a time.
const MAX_JOBS: u32 = 1024;

/// `[generators.NAME.farm]`: a render farm instead of a program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Farm {
    /// Its address, such as `https://farm.example/travel`.
    pub url: String,
    /// How many jobs it is given at a time.
    #[serde(default = "one")]
    pub jobs: u32,
    /// The variable with what goes into the header `Authorization`.
    #[serde(default)]
    pub authorization_env: Option<String>,
}

fn one() -> u32 {
    1
}

impl Farm {
    /// What is wrong, in a sentence.
    pub(crate) fn fault(&self) -> Option<String> {
        if !(1..=MAX_JOBS).contains(&self.jobs) {
            return Some(format!("farm.jobs is {}; 1 to {MAX_JOBS} are possible", self.jobs));
        }
        fault_of_address(&self.url)
    }
}

/// A render farm.
pub struct RenderFarm {
    name: String,
    recipe: Farm,
    pool: String,
    model: Option<String>,
    settings: Map<String, Value>,
    silence: Duration,
    server: Server,
    /// What it said of itself, once it was asked.
    described: Mutex<Option<Hello>>,
}

impl RenderFarm {
    pub(crate) fn new(
        name: &str,
        recipe: Farm,
        pool: &str,
        model: Option<String>,
        settings: Map<String, Value>,
        silence: Duration,
    ) -> Self {
        let authorization = recipe.authorization_env.as_ref().and_then(|variable| std::env::var(variable).ok());
        let server = Server::new(&recipe.url, authorization);
        let (name, pool) = (name.to_owned(), pool.to_owned());
        Self { name, recipe, pool, model, settings, silence, server, described: Mutex::default() }
    }

    fn hello(&self) -> Result<Hello, GeneratorError> {
        self.hello_by(|| self.server.hello().map_err(|fault| self.of_hello(&fault)))
    }

    /// The same in the midst of a job, for which a farm may be away for a while.
    fn hello_patiently(&self, work: Work<'_>, on: &dyn Progress) -> Result<Hello, GeneratorError> {
        self.hello_by(|| {
            self.patiently(on, || self.server.hello()).map_err(|fault| match fault {
                Some(fault) => self.of_hello(&fault),
                None => self.ended(None, work.out(), 0, work),
            })
        })
    }

    fn hello_by(&self, ask: impl FnOnce() -> Result<Hello, GeneratorError>) -> Result<Hello, GeneratorError> {
        if let Some(hello) = &*self.described.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(hello.clone());
        }
        if let Some(variable) = &self.recipe.authorization_env
            && std::env::var_os(variable).is_none()
        {
            return Err(self.refused(format!("the variable {variable}, which has its authorization, is not set")));
        }
        let hello = ask()?;
        hello.check_model(&self.name, self.model.as_deref())?;
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) = Some(hello.clone());
        Ok(hello)
    }

    fn of_hello(&self, fault: &Fault) -> GeneratorError {
        match fault {
            Fault::Said(200, reason) => self.protocol("hello", reason),
            fault => failed(&self.name, fault, Path::new(&self.recipe.url)),
        }
    }

    /// Tries it step by step, with a small job in an empty folder; `told` hears of each step as it is taken.
    ///
    /// # Errors
    /// The job's clips cannot be written: a fault of this machine, not of the farm.
    pub fn check(
        &self,
        settings: &Value,
        folder: &Path,
        told: &mut dyn FnMut(&Step),
    ) -> Result<Vec<Step>, GeneratorError> {
        let mut steps = Vec::new();
        let mut tell = |rule: Cow<'static, str>, verdict| {
            let step = Step { rule, verdict };
            told(&step);
            steps.push(step);
        };
        let answers = format!("{} answers", self.server.url);
        let hello = match self.hello() {
            Ok(hello) => hello,
            Err(e) => {
                tell(answers.into(), Verdict::of(Err(e)));
                return Ok(steps);
            }
        };
        tell(format!("{answers}, as {} {}", hello.name, hello.version).trim_end().to_owned().into(), Verdict::Holds);
        tell(
            "it takes the settings that it is given, by its own schema".into(),
            Verdict::of(self.check_settings(settings)),
        );
        let trial = Trial::new(&hello, settings, None, folder)?;
        let work = trial.work();
        tell(
            "it renders a clip of the length, size and rate that it was asked for".into(),
            trial.rendered(work, &|work| self.make(work, &Patient)),
        );
        tell(
            "it takes a job that was handed in before, and renders it anew once its clip was fetched".into(),
            trial.rendered(work, &|work| self.make(work, &Patient)),
        );
        let (mut job, _) = self.job(&hello, work)?;
        let (id, text) = server::id_and_text(&job);
        let cancelled = self.server.submit(&id, &text).and_then(|_| self.server.forget(&id));
        let verdict = match cancelled.and_then(|()| self.server.look(&id, 0)) {
            Ok(None) => Verdict::Holds,
            Ok(Some(_)) => Verdict::Broken("it still has the job".to_owned()),
            Err(fault) => Verdict::Broken(fault.to_string()),
        };
        tell("it stops and forgets a job that nobody wants any more".into(), verdict);
        for file in ["guide", "video"] {
            if let Some(file) = job.get_mut(file) {
                *file = json!("0".repeat(64));
            }
        }
        let (id, text) = server::id_and_text(&job);
        let verdict = match self.server.submit(&id, &text) {
            Ok(Submitted::Lacks(_)) => Verdict::Holds,
            Ok(Submitted::Accepted) => {
                drop(self.server.forget(&id));
                Verdict::Broken("it took the job".to_owned())
            }
            Err(fault) => Verdict::Broken(fault.to_string()),
        };
        tell("it names the files that it lacks for a job".into(), verdict);
        Ok(steps)
    }

    /// Has the farm do a job.
    fn make(&self, work: Work<'_>, on: &dyn Progress) -> Result<(), GeneratorError> {
        let hello = self.hello_patiently(work, on)?;
        work.check_for(&hello, &self.name)?;
        // Nothing of an earlier attempt is gone on with.
        remove(work.out());
        on.stage("upload");
        let (job, files) = self.job(&hello, work)?;
        let (id, text) = server::id_and_text(&job);
        let mut made =
            Err(self.transient("it does not know the job any more; somebody else has stopped it".to_owned()));
        for _ in 0..ROUNDS {
            self.submit(&id, &text, &files, work, on)?;
            match self.until_over(&id, work, on) {
                // Handed in by somebody else too, who does not want it any more.
                Ok(None) => {}
                Ok(Some(clip)) => {
                    made = self.fetch(&id, &clip, work, on);
                    break;
                }
                Err(error) => {
                    made = Err(error);
                    break;
                }
            }
        }
        // Forgotten when its clip has come, so that who is not content with it gets another; stopped when it is not wanted.
        if let Ok(()) | Err(GeneratorError::Cancelled { .. } | GeneratorError::Silent { .. }) = &made {
            self.forget(&id);
        }
        made.inspect_err(|_| remove(work.out()))
    }

    fn forget(&self, id: &str) {
        if let Err(fault) = self.server.forget(id) {
            tracing::warn!(farm = self.server.url, job = id, %fault, "the farm was not told that a job is over");
        }
    }

    /// What the farm is told of a job, and its files by their hashes.
    fn job(&self, hello: &Hello, work: Work<'_>) -> Result<(Value, BTreeMap<String, PathBuf>), GeneratorError> {
        let mut files = BTreeMap::new();
        let mut named = |path: &Path| {
            let sha256 = digest::of_file(path).map_err(|e| self.failed(&Fault::Unread(e), path))?;
            files.insert(sha256.clone(), path.to_owned());
            Ok::<_, GeneratorError>(sha256)
        };
        let own = match work {
            Work::Segment(job) => {
                let wants = |input| hello.reads(input);
                let (first, last) = ends_of_guide(job, wants(Input::FirstFrame), wants(Input::LastFrame))?;
                json!({
                    "type": "generate",
                    "guide": named(&job.guide)?,
                    "mask": named(&job.mask)?,
                    "first_frame": first.as_deref().map(&mut named).transpose()?,
                    "last_frame": last.as_deref().map(&mut named).transpose()?,
                    "references": job.references.iter().map(|path| named(path)).collect::<Result<Vec<_>, _>>()?,
                    "prompt": job.prompt, "negative_prompt": job.negative_prompt, "seed": job.seed,
                })
            }
            Work::Film(film) => json!({
                "type": "upscale",
                "video": named(&film.video)?,
                "prompt": film.prompt, "seed": film.seed,
            }),
        };
        let rate = work.rate().reduced();
        let all = json!({
            "width": work.dims().width, "height": work.dims().height, "frames": work.frames(),
            "rate": [rate.num, rate.den],
            "model": hello.model(work.model().or(self.model.as_deref())),
            "settings": crate::settings::over(&self.name, &self.settings, work.settings())?,
        });
        let mut job = own.as_object().cloned().unwrap_or_default();
        job.extend(all.as_object().cloned().unwrap_or_default());
        Ok((Value::Object(job), files))
    }

    /// Asks until the farm answers, which may be away for a while; no fault when the job is not wanted any more.
    fn patiently<T>(&self, on: &dyn Progress, mut ask: impl FnMut() -> Result<T, Fault>) -> Result<T, Option<Fault>> {
        let begun = Instant::now();
        loop {
            if on.cancelled() {
                return Err(None);
            }
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(Fault::Away(why)) if begun.elapsed() < AWAY.min(self.silence) => {
                    tracing::debug!(farm = self.server.url, why, "the farm does not answer; it is asked again");
                    std::thread::sleep(PAUSE);
                }
                Err(fault) => return Err(Some(fault)),
            }
        }
    }

    /// What becomes of a job after this fault, or without one because it is not wanted any more.
    fn ended(&self, fault: Option<Fault>, path: &Path, done: u32, work: Work<'_>) -> GeneratorError {
        fault.map_or(GeneratorError::Cancelled { done, total: work.frames() }, |fault| self.failed(&fault, path))
    }

    fn submit(
        &self,
        id: &str,
        job: &str,
        files: &BTreeMap<String, PathBuf>,
        work: Work<'_>,
        on: &dyn Progress,
    ) -> Result<(), GeneratorError> {
        for _ in 0..ROUNDS {
            let asked = self.patiently(on, || self.server.submit(id, job));
            let lacks = match asked.map_err(|fault| self.ended(fault, work.out(), 0, work))? {
                Submitted::Accepted => return Ok(()),
                Submitted::Lacks(lacks) => lacks,
            };
            for sha256 in lacks {
                let Some(path) = files.get(&sha256) else {
                    return Err(self.protocol(&sha256, "it asks for a file that is not the job's"));
                };
                let sent = self.patiently(on, || self.server.send(&sha256, path, &|| !on.cancelled()));
                sent.map_err(|fault| match fault {
                    // Garbled on its way.
                    Some(Fault::Said(422, words)) => self.transient(words),
                    fault => self.ended(fault, path, 0, work),
                })?;
            }
        }
        Err(self.transient("it goes on asking for files that it was sent".to_owned()))
    }

    /// The job's clip, once it is done; nothing when the farm does not have the job any more.
    fn until_over(&self, id: &str, work: Work<'_>, on: &dyn Progress) -> Result<Option<Clip>, GeneratorError> {
        let (mut since, mut sign) = (0, Instant::now());
        let mut phase = String::new();
        let mut done = 0;
        loop {
            let look = self.patiently(on, || self.server.look(id, since));
            let Some(look) = look.map_err(|fault| self.ended(fault, work.out(), done, work))? else { return Ok(None) };
            if look.version != since {
                (since, sign) = (look.version, Instant::now());
            }
            match look.state {
                State::Queued { before } => {
                    sign = Instant::now();
                    let waits = format!("queue, behind {before}");
                    if waits != phase {
                        on.stage(&waits);
                        phase = waits;
                    }
                }
                State::Running { phase: now, step, of } => {
                    let now = if now.is_empty() { "render".to_owned() } else { now };
                    if now != phase {
                        on.stage(&now);
                        phase = now;
                    }
                    done = step;
                    on.report(if of == 0 { step } else { step.min(of) }, of);
                }
                State::Done { clip } => return Ok(Some(clip)),
                State::Failed { class, message } => {
                    return Err(class.error(self.name.clone(), message, String::new));
                }
            }
            if sign.elapsed() > self.silence {
                return Err(GeneratorError::Silent {
                    generator: self.name.clone(),
                    during: work.verb(),
                    after: self.silence,
                    stderr: String::new(),
                });
            }
        }
    }

    /// Fetches a clip; a job whose clip is not what the farm has named is forgotten, so that another attempt renders it anew.
    fn fetch(&self, id: &str, clip: &Clip, work: Work<'_>, on: &dyn Progress) -> Result<(), GeneratorError> {
        on.stage("download");
        if clip.bytes == 0 || clip.bytes > crate::http::MAX_CLIP {
            self.forget(id);
            let reason = format!("it has {} bytes; 1 to {} are possible", clip.bytes, crate::http::MAX_CLIP);
            let path = PathBuf::from(format!("{}/files/{}", self.server.url, clip.sha256));
            return Err(GeneratorError::NoClip { generator: self.name.clone(), path, reason });
        }
        let mut had = 0;
        loop {
            let fetched = self.patiently(on, || self.server.fetch(clip, work.out(), &|| !on.cancelled()));
            let has = std::fs::metadata(work.out()).map_or(0, |file| file.len());
            match fetched {
                Ok(()) if on.cancelled() => return Err(self.ended(None, work.out(), work.frames(), work)),
                Ok(()) => return Ok(()),
                // It comes, if in pieces.
                Err(Some(Fault::Away(_))) if has > had => had = has,
                Err(fault) => {
                    if let Some(Fault::Said(..)) = fault {
                        self.forget(id);
                    }
                    return Err(self.ended(fault, work.out(), work.frames(), work));
                }
            }
        }
    }

    fn failed(&self, fault: &Fault, path: &Path) -> GeneratorError {
        match fault {
            Fault::Said(400 | 413 | 422, words) => self.refused(words.clone()),
            fault => failed(&self.name, fault, path),
        }
    }

    fn refused(&self, message: String) -> GeneratorError {
        GeneratorError::Refused { generator: self.name.clone(), message }
    }

    fn transient(&self, message: String) -> GeneratorError {
        GeneratorError::Transient { generator: self.name.clone(), message }
    }

    fn protocol(&self, said: &str, reason: &str) -> GeneratorError {
        let (generator, said, reason) = (self.name.clone(), said.to_owned(), reason.to_owned());
        GeneratorError::Protocol { generator, said, reason, stderr: String::new() }
    }
}

impl Generator for RenderFarm {
    fn describe(&self) -> Result<Capabilities, GeneratorError> {
        Ok(self.hello()?.capabilities(&self.name, &self.pool))
    }

    fn affinity(&self, _: Option<&str>) -> String {
        self.name.clone()
    }

    fn check_settings(&self, settings: &Value) -> Result<(), GeneratorError> {
        let all = crate::settings::over(&self.name, &self.settings, settings)?;
        self.hello()?.check_settings(&self.name, &Value::Object(all))
    }

    fn generate(&self, job: &Job, on: &dyn Progress) -> Result<Generated, GeneratorError> {
        self.make(Work::Segment(job), on)?;
        Ok(Generated::of(job))
    }

    fn upscale(&self, job: &Upscale, on: &dyn Progress) -> Result<Upscaled, GeneratorError> {
        self.make(Work::Film(job), on)?;
        Ok(Upscaled { clip: job.out.clone(), encoded: false })
    }
}
