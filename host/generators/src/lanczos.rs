//! `lanczos`: films made larger by resampling (Lanczos, three lobes), on the CPU. It invents no detail, and is there on any machine.
//!
//! Frame by frame to RGB, resampled, and to the film's planes again, with the film's one encode at the end: nothing is stored
//! between.

use crate::error::GeneratorError;
use crate::generator::{CPU, Capabilities, Generated, Generator, Job, Progress, Upscale, Upscaled};
use crate::settings::{Settings, schema};
use serde_json::{Value, json};
use travel::Grid;
use travel_media::{MediaError, Watch, encode_film};

/// Larger films show no more and only take longer.
const MOST: f64 = 8.0;

/// The upscaler `lanczos`. It has no settings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lanczos;

impl Lanczos {
    /// `lanczos`
    pub const NAME: &'static str = "lanczos";
}

impl Generator for Lanczos {
    fn describe(&self) -> Result<Capabilities, GeneratorError> {
        Ok(Capabilities {
            name: Self::NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            renders: false,
            upscales: Some(MOST),
            grid: Grid::ANY,
            wants_guide: false,
            reads_prompts: false,
            memory_mb: None,
            references: 0,
            settings_schema: schema(json!({})),
            pool: CPU.to_owned(),
            rates: None,
            models: Vec::new(),
            notice: None,
        })
    }

    fn affinity(&self, _: Option<&str>) -> String {
        Self::NAME.to_owned()
    }

    fn check_settings(&self, settings: &Value) -> Result<(), GeneratorError> {
        Settings::new(Self::NAME, settings, &[]).map(drop)
    }

    fn generate(&self, _: &Job, _: &dyn Progress) -> Result<Generated, GeneratorError> {
        Err(GeneratorError::OnlyAnUpscaler { generator: Self::NAME.to_owned() })
    }

    fn upscale(&self, job: &Upscale, on: &dyn Progress) -> Result<Upscaled, GeneratorError> {
        self.check_settings(&job.settings)?;
        encode_film(&job.video, job.frames, job.dims, job.rate, &job.encode, &job.out, &Frames(on)).map_err(
            |source| match source {
                MediaError::Cancelled { done, .. } => {
                    GeneratorError::Cancelled { done: u32::try_from(done).unwrap_or(u32::MAX), total: job.frames }
                }
                source => GeneratorError::NotUpscaled { path: job.video.clone(), source },
            },
        )?;
        Ok(Upscaled { clip: job.out.clone(), encoded: true })
    }
}

/// Written frames as a job's progress.
struct Frames<'a>(&'a dyn Progress);

impl Watch for Frames<'_> {
    fn frame(&self, done: u64, total: u64) {
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        self.0.report(number(done), number(total));
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}
