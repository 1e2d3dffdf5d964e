//! What the engine knows of a generator: how it describes itself, the job it is given, and what it hands back.
//!
//! A generator's word is not trusted, its file is: the engine decodes and counts every clip, whatever
//! [`Generated`] says.

use crate::error::GeneratorError;
use std::path::{Path, PathBuf};
use travel::{Dims, Grid, Place, Rate};
use travel_media::Encode;

/// Renders segments.
pub trait Generator: Send + Sync {
    /// What it can render; the same at every call. A generator that is a program of its own is asked once.
    ///
    /// # Errors
    /// A program that cannot be started, or does not say what it can do.
    fn describe(&self) -> Result<Capabilities, GeneratorError>;

    /// What a device has loaded after a job of this generator, with that of its models or the usual one: tasks that say the
    /// same are worth doing one after another.
    fn affinity(&self, model: Option<&str>) -> String;

    /// Whether it would accept these settings, so that a run is refused when it is submitted and not an hour later.
    ///
    /// # Errors
    /// [`GeneratorError::BadSettings`] with the place and the reason.
    fn check_settings(&self, settings: &serde_json::Value) -> Result<(), GeneratorError>;

    /// Renders one segment into [`Job::out`]; blocks until the file is complete. Nothing is left at `out` on an error.
    ///
    /// # Errors
    /// See [`GeneratorError`]; [`GeneratorError::is_retryable`] says whether another attempt may succeed.
    fn generate(&self, job: &Job, on: &dyn Progress) -> Result<Generated, GeneratorError>;

    /// Makes a larger clip of one, into [`Upscale::out`]; for those that say so in [`Capabilities::upscales`]. As with segments,
    /// nothing is left at `out` on an error.
    ///
    /// # Errors
    /// See [`GeneratorError`]; [`GeneratorError::NotAnUpscaler`] unless it can.
    fn upscale(&self, _job: &Upscale, _on: &dyn Progress) -> Result<Upscaled, GeneratorError> {
        Err(GeneratorError::NotAnUpscaler { generator: self.describe()?.name })
    }
}

/// What a generator can render and what it occupies.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// Its name, as in [`crate::Generators::names`].
    pub name: String,
    /// Of the program; empty where it does not say.
    pub version: String,
    /// Whether it renders segments.
    pub renders: bool,
    /// Up to how many times as wide and high it makes films; nothing when it cannot. 1 or more.
    pub upscales: Option<f64>,
    /// Lengths and sizes that it can render, and whether it reads a mask.
    pub grid: Grid,
    /// Rates that it renders; any when nothing is said.
    pub rates: Option<Vec<Rate>>,
    /// Models that it has; none where there is no choice.
    pub models: Vec<String>,
    /// How much of a card's memory a job wants, MiB, where it says so.
    pub memory_mb: Option<u64>,
    /// Whether it reads the guide's pixels; a generator that does not may be given first and last frames only.
    pub wants_guide: bool,
    /// Whether [`Job::prompt`] and [`Job::negative_prompt`] change what it renders; if not, the user is told.
    pub reads_prompts: bool,
    /// How many [`Job::references`] it reads at most; 0 for none.
    pub references: u32,
    /// A JSON Schema (draft 2020-12) of [`Job::settings`].
    pub settings_schema: serde_json::Value,
    /// The pool whose slots it competes for: [`CPU`], [`GPU`], or one that the configuration names.
    pub pool: String,
    /// Words for the user, such as a licence's notice.
    pub notice: Option<String>,
}

/// The pool of generators that use all cores of this machine; two at a time would only slow each other down.
pub const CPU: &str = "cpu";

/// The usual pool of generators on a graphics card.
pub const GPU: &str = "gpu";

/// A graphics card that a job has to itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Unique on this host, such as `gpu0`.
    pub name: String,
    /// As the driver knows it: what a program finds in `CUDA_VISIBLE_DEVICES`.
    pub index: String,
}

/// One segment to render.
#[derive(Debug, Clone)]
pub struct Job {
    /// Clip of what to show; `place.total` frames of `dims`.
    pub guide: PathBuf,
    /// Clip of what to keep (black) and what to generate (white); as long and as large as the guide.
    pub mask: PathBuf,
    /// Pictures to go by besides, of `dims`; none for a generator that does not read them.
    pub references: Vec<PathBuf>,
    /// What to show, in words.
    pub prompt: String,
    /// What to avoid, in words.
    pub negative_prompt: String,
    /// One of [`Capabilities::models`]; the usual one when nothing is said.
    pub model: Option<String>,
    /// For the generator's randomness; the same job with the same seed gives the same clip.
    pub seed: u64,
    /// Size of the clip, pixels.
    pub dims: Dims,
    /// Of the clip.
    pub rate: Rate,
    /// The segment's place in the film; `total` is the clip's length in frames.
    pub place: Place,
    /// For this generator alone; null or a JSON object that its schema accepts.
    pub settings: serde_json::Value,
    /// The clip to write; its folder exists.
    pub out: PathBuf,
    /// An existing folder for what is needed meanwhile; the engine empties it.
    pub work_dir: PathBuf,
    /// Where it runs; nothing for a generator that needs no device.
    pub device: Option<Device>,
}

/// One film to make larger.
#[derive(Debug, Clone)]
pub struct Upscale {
    /// The film: `frames` frames, smaller than `dims`.
    pub video: PathBuf,
    /// Its length, which stays.
    pub frames: u32,
    /// Size of the clip to make, pixels; even.
    pub dims: Dims,
    /// Of both.
    pub rate: Rate,
    /// How the film will be encoded; whoever encodes it so himself says [`Upscaled::encoded`].
    pub encode: Encode,
    /// What it shows, in words.
    pub prompt: String,
    /// For the generator's randomness.
    pub seed: u64,
    /// For this generator alone; null or a JSON object that its schema accepts.
    pub settings: serde_json::Value,
    /// The clip to write; its folder exists.
    pub out: PathBuf,
    /// An existing folder for what is needed meanwhile; the engine empties it.
    pub work_dir: PathBuf,
    /// Where it runs; nothing for a generator that needs no device.
    pub device: Option<Device>,
}

/// A larger clip, as its generator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upscaled {
    /// The file; normally [`Upscale::out`].
    pub clip: PathBuf,
    /// Whether it is encoded as [`Upscale::encode`] says, so that it need not be encoded once more.
    pub encoded: bool,
}

/// How far a job is, and whether it is still wanted.
pub trait Progress: Sync {
    /// `done` of `total` frames or steps of this stage are done; `done` does not fall within a stage. A total of 0 is not
    /// known.
    fn report(&self, done: u32, total: u32);
    /// A new stage has begun, such as `denoise`.
    fn stage(&self, _name: &str) {}
    /// Whether it is being made ready now, and nothing is rendered yet: its program starts, its model is loaded.
    fn loads(&self, _now: bool) {}
    /// A picture of how it looks so far; the file is gone when the job has ended.
    fn preview(&self, _picture: &Path) {}
    /// Asked before every frame; the job ends with [`GeneratorError::Cancelled`] soon after it turns true.
    fn cancelled(&self) -> bool;
    /// `wake` is called when [`Progress::cancelled`] turns true, at once if it has; for generators that wait.
    fn on_cancel(&self, wake: Box<dyn Fn() + Send + Sync>);
}

/// A rendered clip, as its generator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The file; normally [`Job::out`].
    pub clip: PathBuf,
    /// Its length.
    pub frames: u32,
    /// Its size, pixels.
    pub dims: Dims,
    /// Frames a second.
    pub rate: Rate,
}

impl Generated {
    /// A job that was done as it was asked for.
    pub(crate) fn of(job: &Job) -> Self {
        Self { clip: job.out.clone(), frames: job.place.total, dims: job.dims, rate: job.rate }
    }
}
