//! Generators that are programs of their own, and speak `travel-generator/1` on their pipes.
//!
//! | module | holds |
//! |---|---|
//! | `recipe` | how a program is started |
//! | `protocol`, `line` | what is said, and how it is read |
//! | `child` | a running program and its process group |
//! | `warm` | programs that are kept between jobs |
//! | `wan2gp` | Wan2GP behind the protocol |
//! | `check` | tries a program against the protocol |
//!
//! The program is not trusted: its words are bounded and parsed once, its file has to lie where it was asked for, and the
//! engine decodes and counts it.

mod check;
mod child;
mod line;
mod protocol;
mod recipe;
mod wan2gp;
mod warm;

pub(crate) use check::Trial;
pub use check::{Step, Verdict, check};
pub use protocol::{Class, Lengths, PROTOCOL};
pub(crate) use protocol::{Hello, Input};
pub use recipe::{CardPools, PASSED, Recipe, ResourceLimits, duration};
pub use wan2gp::{Mode as Wan2gpMode, Wan2gp};
pub use warm::Warm;

use crate::ends::ends_of_guide;
use crate::error::{GeneratorError, said};
use crate::generator::{CPU, Capabilities, Device, Generated, Generator, Job, Progress, Upscale, Upscaled};
use crate::work::Work;
use child::{Child, Trouble};
use protocol::{Enlarge, Generate, Reply, Request};
use serde_json::Value;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Names the file in a job's working folder that keeps what the program said on standard error.
pub const LOG: &str = "generator.log";

/// A generator that is a program of its own.
pub struct Process {
    name: String,
    recipe: Recipe,
    warm: Warm,
    pools: CardPools,
    /// What it said of itself, once it was asked.
    described: Mutex<Option<Hello>>,
    jobs: AtomicU64,
}

/// A job's start, which cannot be cancelled while nobody runs it.
pub(crate) struct Patient;

impl Progress for Patient {
    fn report(&self, _: u32, _: u32) {}
    fn cancelled(&self) -> bool {
        false
    }
    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

impl Process {
    /// A generator of this name; nothing is started yet.
    #[must_use]
    pub fn new(name: &str, recipe: Recipe, warm: Warm) -> Self {
        let pools = CardPools::default();
        Self { name: name.to_owned(), recipe, warm, pools, described: Mutex::default(), jobs: AtomicU64::new(0) }
    }

    /// The same, on a machine whose cards have these pools.
    #[must_use]
    pub fn on(self, pools: CardPools) -> Self {
        Self { pools, ..self }
    }

    /// Who shares memory with it: the programs of its card, or where that has no name, those of its pool that are no more than
    /// this machine's processors.
    fn seat<'a>(&'a self, device: Option<&'a Device>) -> Option<&'a str> {
        let pool = self.recipe.pool_of(&self.name);
        device.map(|device| device.name.as_str()).or(Some(pool).filter(|pool| *pool != CPU))
    }

    /// What it says of itself; it is started for that, once a process.
    fn hello(&self) -> Result<Hello, GeneratorError> {
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hello) = &*described {
            return Ok(hello.clone());
        }
        // No device: whoever plans a run needs none, and a program loads nothing before it is told to.
        let child = Child::start(&self.name, &self.recipe, None, None, &Patient)?;
        let hello = child.hello().cloned().ok_or_else(|| self.protocol("", "it said no hello"))?;
        hello.check_model(&self.name, self.recipe.model.as_deref())?;
        Ok(described.insert(hello).clone())
    }

    /// Has a warm program do a job.
    fn make(&self, job: Work<'_>, on: &dyn Progress) -> Result<(), GeneratorError> {
        job.check_for(&self.hello()?, &self.name)?;
        let device = job.device();
        let log = job.work_dir().join(LOG);
        let started = self.ready(device, &log, on).inspect_err(|error| {
            if !matches!(error, GeneratorError::Cancelled { .. }) {
                self.warm.has_died(&self.name, self.seat(device));
            }
        });
        let child = started?;
        on.on_cancel(child.waker());
        let (kept, result) = self.converse(child, job, on);
        match kept {
            Some(child) => {
                child.log_no_more();
                self.warm.park(&self.name, self.seat(device), child, self.recipe.idle);
            }
            None if !matches!(result, Err(GeneratorError::Cancelled { .. })) => {
                self.warm.has_died(&self.name, self.seat(device));
            }
            None => {}
        }
        result.inspect_err(|_| crate::render::remove(job.out()))
    }

    /// The settings of a job, over those of the recipe.
    fn settings(&self, settings: &Value) -> Result<Value, GeneratorError> {
        crate::settings::over(&self.name, &self.recipe.settings, settings).map(Value::Object)
    }

    /// A program that is ready for a job, and writes to the job's log.
    fn ready(&self, device: Option<&Device>, log: &Path, on: &dyn Progress) -> Result<Child, GeneratorError> {
        let seat = self.seat(device);
        if let Some(child) = self.warm.take(&self.name, seat, on) {
            child.log_to(log);
            return Ok(child);
        }
        on.stage("start");
        self.warm.await_start(&self.name, seat, on)?;
        on.loads(true);
        let started = Child::start(&self.name, &self.recipe, device, Some(log), on);
        on.loads(false);
        started
    }

    /// Asks for the job's model and its clip. The program is handed back when it may be asked again.
    fn converse(
        &self,
        mut child: Child,
        job: Work<'_>,
        on: &dyn Progress,
    ) -> (Option<Child>, Result<(), GeneratorError>) {
        let Some(hello) = child.hello().cloned() else {
            return (None, Err(child.garbage("", "it said no hello".to_owned())));
        };
        let model = hello.model(job.model().or(self.recipe.model.as_deref()));
        let id = format!("{}-{}", std::process::id(), self.jobs.fetch_add(1, Ordering::Relaxed));
        let settings = match self.settings(job.settings()) {
            Ok(settings) => settings,
            Err(e) => return (Some(child), Err(e)),
        };
        let request = match request(&id, &hello, model, &settings, job) {
            Ok(request) => request,
            Err(e) => return (Some(child), Err(e)),
        };
        if let Some(model) = model
            && child.model.as_deref() != Some(model)
        {
            child.model = None;
            on.stage("load");
            on.loads(true);
            let loaded = self.exchange(child, &Request::Load { model }, None, job, on);
            on.loads(false);
            match loaded {
                (Some(mut kept), Ok(())) => {
                    kept.model = Some(model.to_owned());
                    child = kept;
                }
                failed => return failed,
            }
        }
        on.stage("render");
        self.exchange(child, &request, Some(&id), job, on)
    }

    /// One request and its answer: `loaded`, or `done` of this job.
    fn exchange(
        &self,
        child: Child,
        request: &Request<'_>,
        id: Option<&str>,
        job: Work<'_>,
        on: &dyn Progress,
    ) -> (Option<Child>, Result<(), GeneratorError>) {
        let during = match request {
            Request::Load { .. } => "load",
            _ => job.verb(),
        };
        if let Err(e) = child.ask(request) {
            return (None, Err(e));
        }
        let (mut done, total) = (0, job.frames());
        loop {
            match child.reply(self.recipe.silence, on) {
                Ok(Reply::Progress { phase, step, of, preview }) => {
                    done = step;
                    if !phase.is_empty() {
                        on.stage(&phase);
                    }
                    on.report(step.min(if of == 0 { step } else { of }), of);
                    if let Some(preview) = preview.filter(|preview| preview.starts_with(job.work_dir())) {
                        on.preview(&preview);
                    }
                }
                Ok(Reply::Loaded) if id.is_none() => return (Some(child), Ok(())),
                Ok(Reply::Done { id: of, output }) if Some(of.as_str()) == id => {
                    let found = self.take_clip(&output, job, &child);
                    return (Some(child), found);
                }
                Ok(Reply::Error { id: of, class, message }) if of.is_none() || of.as_deref() == id => {
                    let generator = self.name.clone();
                    let error = class.error(generator, message, || child.tail());
                    // Memory that was not enough is best given back by ending.
                    let keeps = matches!(class, Class::Invalid | Class::Transient | Class::Cancelled);
                    return (keeps.then_some(child), Err(error));
                }
                Ok(other) => {
                    let reason = format!("that is no answer to `{during}`");
                    return (None, Err(child.garbage(&format!("{other:?}"), reason)));
                }
                Err(Trouble::Cancelled) => {
                    let cancelled = GeneratorError::Cancelled { done, total };
                    return (id.and_then(|id| self.cancel(child, id)), Err(cancelled));
                }
                Err(trouble) => return (None, Err(child.failed(trouble, during))),
            }
        }
    }

    /// Asks the program to stop the job; one that does so in time is kept.
    fn cancel(&self, mut child: Child, id: &str) -> Option<Child> {
        child.ask(&Request::Cancel { id }).ok()?;
        let begun = Instant::now();
        loop {
            let left = self.recipe.grace.saturating_sub(begun.elapsed());
            match child.reply(left, &Patient) {
                Ok(Reply::Progress { .. }) if !left.is_zero() => {}
                Ok(Reply::Done { id: of, .. }) if of == id => return Some(child),
                Ok(Reply::Error { class: Class::Cancelled, .. }) => return Some(child),
                _ => {
                    child.kill();
                    return None;
                }
            }
        }
    }

    /// Whether the clip is where it was asked for.
    fn take_clip(&self, output: &Path, job: Work<'_>, child: &Child) -> Result<(), GeneratorError> {
        let no_clip = |reason: String| {
            let reason = format!("{reason}{}", said(&child.tail()));
            GeneratorError::NoClip { generator: self.name.clone(), path: output.to_owned(), reason }
        };
        if output != job.out() {
            return Err(no_clip(format!("it was asked to write {}", job.out().display())));
        }
        match std::fs::symlink_metadata(output) {
            Err(e) => Err(no_clip(e.to_string())),
            Ok(file) if !file.is_file() => Err(no_clip("it is not a regular file".to_owned())),
            Ok(file) if file.len() == 0 => Err(no_clip("it is empty".to_owned())),
            Ok(_) => Ok(()),
        }
    }

    fn protocol(&self, said: &str, reason: &str) -> GeneratorError {
        let (generator, said, reason) = (self.name.clone(), said.to_owned(), reason.to_owned());
        GeneratorError::Protocol { generator, said, reason, stderr: String::new() }
    }
}

impl Generator for Process {
    fn describe(&self) -> Result<Capabilities, GeneratorError> {
        let hello = self.hello()?;
        let pool = self.recipe.pool_with(&self.name, hello.memory_mb, &self.pools);
        let pool = pool.map_err(|reason| GeneratorError::BadRecipe { generator: self.name.clone(), reason })?;
        Ok(hello.capabilities(&self.name, pool))
    }

    fn affinity(&self, model: Option<&str>) -> String {
        match model.or(self.recipe.model.as_deref()) {
            Some(model) => format!("{}/{model}", self.name),
            None => self.name.clone(),
        }
    }

    fn check_settings(&self, settings: &Value) -> Result<(), GeneratorError> {
        self.hello()?.check_settings(&self.name, &self.settings(settings)?)
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

fn request<'a>(
    id: &'a str,
    hello: &Hello,
    model: Option<&'a str>,
    settings: &'a Value,
    work: Work<'a>,
) -> Result<Request<'a>, GeneratorError> {
    match work {
        Work::Segment(job) => {
            let rate = job.rate.reduced();
            let (first, last) = (hello.reads(Input::FirstFrame), hello.reads(Input::LastFrame));
            let (first_frame, last_frame) = ends_of_guide(job, first, last)?;
            Ok(Request::Generate(Box::new(Generate {
                id,
                guide: &job.guide,
                mask: &job.mask,
                first_frame,
                last_frame,
                references: if hello.reads(Input::References) { &job.references } else { &[] },
                prompt: &job.prompt,
                negative_prompt: &job.negative_prompt,
                seed: job.seed,
                width: job.dims.width,
                height: job.dims.height,
                frames: job.place.total,
                rate: [rate.num, rate.den],
                model,
                settings,
                output: &job.out,
                work_dir: &job.work_dir,
            })))
        }
        Work::Film(job) => {
            let rate = job.rate.reduced();
            Ok(Request::Upscale(Box::new(Enlarge {
                id,
                video: &job.video,
                prompt: &job.prompt,
                seed: job.seed,
                width: job.dims.width,
                height: job.dims.height,
                frames: job.frames,
                rate: [rate.num, rate.den],
                model,
                settings,
                output: &job.out,
                work_dir: &job.work_dir,
            })))
        }
    }
}
