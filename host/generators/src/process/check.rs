//! Tries a generator against the protocol, step by step, and says what it breaks.
//!
//! Everything is asked as the host asks it, over a small job of the generator's own grid: two pictures, and a gap between
//! them.

use super::child::{Child, Trouble};
use super::protocol::{Class, Hello, Input, Reply, Request};
use super::recipe::Recipe;
use super::{LOG, Patient, Process, Warm};
use crate::error::GeneratorError;
use crate::generator::{Device, Generator as _, Job, Progress, Upscale};
use crate::limits::KNOWN_OFF;
use crate::verify::Wanted;
use crate::work::Work;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use travel::{Dims, Place, Rate, Span};
use travel_media::{Encode, Intermediate, RgbFrame, RgbWriter, Unwatched, probe, survey};

/// What a step has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not apply to this generator.
    Skipped(String),
    /// It holds, but could be better.
    Warning(String),
    /// It does not hold.
    Broken(String),
}

impl Verdict {
    pub(crate) fn of(result: Result<(), GeneratorError>) -> Self {
        result.map_or_else(|e| Self::Broken(with_cause(&e)), |()| Self::Holds)
    }
}

/// One step of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What the protocol asks, as a sentence.
    pub rule: Cow<'static, str>,
    /// Whether it holds.
    pub verdict: Verdict,
}

/// Counts progress, and cancels at the first sign of life if told so.
struct Watcher {
    reports: AtomicU32,
    cancels: bool,
}

impl Progress for Watcher {
    fn report(&self, _: u32, _: u32) {
        self.reports.fetch_add(1, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.cancels && self.reports.load(Ordering::Relaxed) > 0
    }
    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

/// Tries the program that `recipe` starts, in an empty folder; `told` hears of each step as it is taken.
///
/// # Errors
/// The job's clips cannot be written: a fault of this machine, not of the generator.
pub fn check(
    recipe: &Recipe,
    device: Option<&Device>,
    settings: &Value,
    folder: &Path,
    told: &mut dyn FnMut(&Step),
) -> Result<Vec<Step>, GeneratorError> {
    let mut steps = Vec::new();
    let mut tell = |rule: &'static str, verdict| {
        let step = Step { rule: rule.into(), verdict };
        told(&step);
        steps.push(step);
    };
    let generator = Process::new("the generator", recipe.clone(), Warm::default());
    let hello = match generator.hello() {
        Ok(hello) => hello,
        Err(e) => {
            tell("it answers hello before it loads anything", Verdict::Broken(with_cause(&e)));
            return Ok(steps);
        }
    };
    tell("it answers hello before it loads anything", Verdict::Holds);
    tell("it takes the settings that it is given, by its own schema", Verdict::of(generator.check_settings(settings)));
    let trial = Trial::new(&hello, settings, device, folder)?;
    let work = trial.work();
    let rendered = |work, on: &dyn Progress| trial.rendered(work, &|work| generator.make(work, on));

    let watcher = Watcher { reports: AtomicU32::new(0), cancels: false };
    tell("it renders a clip of the length, size and rate that it was asked for", rendered(work, &watcher));
    if trial.renders
        && let Some(keeps) = trial.keeps()
    {
        tell("it returns the frames that the mask keeps as the guide has them", keeps);
    }
    let reports = match watcher.reports.into_inner() {
        0 => Verdict::Warning("none came; a job that takes longer than its silence would be ended".to_owned()),
        _ => Verdict::Holds,
    };
    tell("it reports progress", reports);
    let watcher = Watcher { reports: AtomicU32::new(0), cancels: false };
    tell("it renders a second clip without a new start", rendered(work, &watcher));
    if hello.renders() && hello.upscales.is_some() {
        let made = rendered(Work::Film(&trial.film), &Patient);
        tell("it makes a film as large as it was asked for, and no longer or shorter", made);
    }
    drop(generator);

    let mut child = match Child::start("the generator", recipe, device, None, &Patient) {
        Ok(child) => child,
        Err(e) => {
            tell("it starts again", Verdict::Broken(with_cause(&e)));
            return Ok(steps);
        }
    };
    child.log_to(&folder.join(LOG));
    let generator = Process::new("the generator", recipe.clone(), Warm::default());
    let nowhere = folder.join("missing.mkv");
    let missing = Trial {
        job: Job { guide: nowhere.clone(), mask: nowhere.clone(), ..trial.job.clone() },
        film: Upscale { video: nowhere, ..trial.film.clone() },
        kept: Vec::new(),
        renders: trial.renders,
    };
    let rule = "it refuses a job whose clips are missing as invalid, and goes on";
    if hello.renders() && !hello.reads(Input::Guide) {
        tell(rule, Verdict::Skipped("it reads no guide".to_owned()));
    } else {
        let (kept, result) = generator.converse(child, missing.work(), &Patient);
        let verdict = match (&kept, result) {
            (Some(_), Err(GeneratorError::Refused { .. })) => Verdict::Holds,
            (_, Ok(())) => Verdict::Broken("it says that the clip is done".to_owned()),
            (_, Err(e)) => Verdict::Broken(with_cause(&e)),
        };
        tell(rule, verdict);
        let Some(kept) = kept else { return Ok(steps) };
        child = kept;
    }

    let watcher = Watcher { reports: AtomicU32::new(0), cancels: true };
    let (kept, result) = generator.converse(child, work, &watcher);
    let rule = "it stops a job that is cancelled, within its grace, and goes on";
    let Some(mut child) = kept else {
        tell(rule, Verdict::Broken(result.err().map_or_else(String::new, |e| with_cause(&e))));
        return Ok(steps);
    };
    tell(
        rule,
        match result {
            Ok(()) => Verdict::Warning("the job was done before it could be cancelled".to_owned()),
            Err(_) => Verdict::Holds,
        },
    );

    let unloaded = child.ask(&Request::Unload).map(|()| child.reply(recipe.grace, &Patient));
    tell(
        "it gives the device's memory back when told to unload",
        match unloaded {
            Ok(Ok(Reply::Unloaded)) => Verdict::Holds,
            Ok(Ok(Reply::Error { class: Class::Invalid, message, .. })) => {
                Verdict::Warning(format!("it cannot ({message}), and will be ended instead"))
            }
            Ok(Ok(other)) => Verdict::Broken(format!("it said {other:?}")),
            Ok(Err(trouble)) => Verdict::Broken(words(&trouble)),
            Err(e) => Verdict::Broken(with_cause(&e)),
        },
    );
    let tail = child.tail();
    let begun = std::time::Instant::now();
    let status = child.end();
    tell(
        "it ends by itself when told bye",
        match status {
            Some(status) if status.success() => Verdict::Holds,
            Some(status) => Verdict::Broken(format!(
                "{status} after {}{}",
                humantime::format_duration(std::time::Duration::from_millis(begun.elapsed().as_millis() as u64)),
                if tail.is_empty() { String::new() } else { format!("; it last said: {tail}") }
            )),
            None => Verdict::Broken("it could not be ended".to_owned()),
        },
    );
    Ok(steps)
}

fn with_cause(error: &GeneratorError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Garbage { said, reason } => format!("it said `{}`: {reason}", super::child::shown(said)),
        Trouble::Died => "it died".to_owned(),
        Trouble::Silent(after) => format!("it said nothing for {}", humantime::format_duration(*after)),
        Trouble::Cancelled => "it was cancelled".to_owned(),
    }
}

/// The job's clip, made as large as the generator can, at most twice as wide and high.
fn film(hello: &Hello, job: &Job) -> Upscale {
    let times = hello.upscales.unwrap_or(1.0).min(2.0);
    let side = |pixels: u32| ((f64::from(pixels) * times / 2.0).floor() * 2.0) as u32;
    Upscale {
        video: job.guide.clone(),
        frames: job.place.total,
        dims: Dims { width: side(job.dims.width), height: side(job.dims.height) },
        rate: job.rate,
        encode: Encode::default(),
        prompt: job.prompt.clone(),
        seed: job.seed,
        settings: job.settings.clone(),
        out: job.out.clone(),
        work_dir: job.work_dir.clone(),
        device: job.device.clone(),
    }
}

/// The work that a generator is tried with.
pub(crate) struct Trial {
    job: Job,
    film: Upscale,
    /// Frames of the guide that its mask keeps.
    kept: Vec<Span>,
    renders: bool,
}

impl Trial {
    pub(crate) fn new(
        hello: &Hello,
        settings: &Value,
        device: Option<&Device>,
        folder: &Path,
    ) -> Result<Self, GeneratorError> {
        let (job, kept) = job(hello, settings, device, folder)?;
        Ok(Self { film: film(hello, &job), job, kept, renders: hello.renders() })
    }

    /// One that does both is tried with segments.
    pub(crate) fn work(&self) -> Work<'_> {
        if self.renders { Work::Segment(&self.job) } else { Work::Film(&self.film) }
    }

    /// Whether what `make` makes is what was asked for.
    pub(crate) fn rendered<'a>(
        &self,
        work: Work<'a>,
        make: &dyn Fn(Work<'a>) -> Result<(), GeneratorError>,
    ) -> Verdict {
        if let Err(e) = make(work) {
            return Verdict::Broken(with_cause(&e));
        }
        let wanted = Wanted { frames: work.frames(), dims: work.dims(), rate: work.rate(), allow_still: false };
        let found = match work {
            Work::Segment(job) => {
                survey(work.out(), &job.guide, &self.kept, &Unwatched).map(|seen| wanted.verify(&seen))
            }
            Work::Film(_) => probe(work.out(), &Unwatched).map(|info| wanted.measure(&info)),
        };
        match found {
            Err(e) => Verdict::Broken(format!("its clip cannot be read: {e}")),
            Ok(Err(flaw)) => Verdict::Broken(format!("it rendered {flaw}")),
            Ok(Ok(())) => Verdict::Holds,
        }
    }

    /// How well the clip of the last segment keeps the guide's frames.
    fn keeps(&self) -> Option<Verdict> {
        let known = survey(&self.job.out, &self.job.guide, &self.kept, &Unwatched).ok()?.known?;
        Some(match known.off_most > KNOWN_OFF {
            false => Verdict::Holds,
            true => Verdict::Warning(format!(
                "they came back {:.1} of 255 off, {:.1} at most; `paste-known = true` puts them back",
                known.off, known.off_most
            )),
        })
    }
}

/// A short job on the generator's grid.
fn job(
    hello: &Hello,
    settings: &Value,
    device: Option<&Device>,
    folder: &Path,
) -> Result<(Job, Vec<Span>), GeneratorError> {
    let grid = hello.grid();
    let least = grid.min.max(9).min(grid.max);
    let total = least.saturating_add(grid.surplus(least)).min(grid.max);
    let side = |pixels: u32| pixels.next_multiple_of(grid.dims_multiple);
    let dims = Dims { width: side(256), height: side(192) };
    let rate = hello
        .rates
        .as_ref()
        .and_then(|rates| rates.first())
        .map_or(Rate { num: 16, den: 1 }, |[num, den]| Rate { num: *num, den: *den });
    let (guide, mask): (PathBuf, PathBuf) = (folder.join("guide.mkv"), folder.join("mask.mkv"));
    let hold = grid.anchor_hold.min(total / 2);
    let kept = |i: u32| i == 0 || i >= total.saturating_sub(hold);
    write(&guide, dims, rate, total, &|i, x, y| {
        if kept(i) { picture(x, y, if i == 0 { 0 } else { 24 }) } else { [127; 3] }
    })?;
    write(&mask, dims, rate, total, &|i, _, _| if kept(i) { [0; 3] } else { [255; 3] })?;
    let last = total.saturating_sub(hold);
    let spans = vec![Span { start: 0, count: 1 }, Span { start: last, count: hold }];
    let job = Job {
        guide,
        mask,
        references: Vec::new(),
        model: None,
        prompt: "a slow move to the right".to_owned(),
        negative_prompt: String::new(),
        seed: 1,
        dims,
        rate,
        place: Place { index: 0, of: 1, new: total, overlap: 0, total },
        settings: settings.clone(),
        out: folder.join("clip.mkv"),
        work_dir: folder.to_owned(),
        device: device.cloned(),
    };
    Ok((job, spans))
}

/// Soft stripes and a gradient, moved to the right.
fn picture(x: u32, y: u32, shift: u32) -> [u8; 3] {
    let x = x.saturating_add(256).saturating_sub(shift);
    let wave = ((f64::from(x) * 0.09).sin() * 60.0 + 128.0) as u8;
    [wave, (y % 192) as u8, (x % 256) as u8]
}

fn write(
    path: &Path,
    dims: Dims,
    rate: Rate,
    frames: u32,
    pixel: &dyn Fn(u32, u32, u32) -> [u8; 3],
) -> Result<(), GeneratorError> {
    let unwritable = |source| GeneratorError::OutUnwritable { path: path.to_owned(), source };
    let mut clip = RgbWriter::create(path, dims, rate, Intermediate::X264Rgb).map_err(unwritable)?;
    for i in 0..frames {
        let data = (0..dims.height).flat_map(|y| (0..dims.width).flat_map(move |x| pixel(i, x, y))).collect();
        clip.write(&RgbFrame { dims, data }).map_err(unwritable)?;
    }
    clip.finish().map(drop).map_err(unwritable)
}
