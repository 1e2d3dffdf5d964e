//! What the engine knows of a generator: how it describes itself, the job it is given, and what it hands back.
//!
//! A generator's word is not trusted, its file is: the engine decodes and counts every clip, whatever
//! [`Generated`] says.

use crate::error::GeneratorError;
use std::path::PathBuf;
use travel::{Dims, Grid, Place, Rate};

/// Renders segments.
pub trait Generator: Send + Sync {
    /// What it can render; the same at every call.
    fn describe(&self) -> Capabilities;

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
}

/// What a generator can render and what it occupies.
#[derive(Debug, Clone, PartialEq)]
pub struct Capabilities {
    /// Its name, as in [`crate::names`].
    pub name: String,
    /// Lengths and sizes that it can render, and whether it reads a mask.
    pub grid: Grid,
    /// Whether it reads the guide's pixels; a generator that does not may be given first and last frames only.
    pub wants_guide: bool,
    /// Whether [`Job::prompt`] and [`Job::negative_prompt`] change what it renders; if not, the user is told.
    pub reads_prompts: bool,
    /// A JSON Schema (draft 2020-12) of [`Job::settings`].
    pub settings_schema: serde_json::Value,
    /// Which slots it competes for.
    pub pool: Pool,
}

/// The kind of slot that a generator occupies while it renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// All cores of this machine; two at a time would only slow each other down.
    Cpu,
    /// A graphics card.
    Gpu,
}

impl Pool {
    /// Its name in the queue: `cpu` or `gpu`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

/// One segment to render.
#[derive(Debug, Clone)]
pub struct Job {
    /// Clip of what to show; `place.total` frames of `dims`.
    pub guide: PathBuf,
    /// Clip of what to keep (black) and what to generate (white); as long and as large as the guide.
    pub mask: PathBuf,
    /// What to show, in words.
    pub prompt: String,
    /// What to avoid, in words.
    pub negative_prompt: String,
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
}

/// How far a job is, and whether it is still wanted.
pub trait Progress: Sync {
    /// `done` of `total` frames are written; `done` never falls.
    fn report(&self, done: u32, total: u32);
    /// Asked before every frame; the job ends with [`GeneratorError::Cancelled`] soon after it turns true.
    fn cancelled(&self) -> bool;
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
