//! `dissolve`: a plain cross-dissolve in every gap. The fastest generator, and the one whose result nobody need explain.

use crate::error::GeneratorError;
use crate::gap::{Emit, Fill, Gap};
use crate::generator::{CPU, Capabilities, Generated, Generator, Job, Progress};
use crate::pace::Pace;
use crate::render::render;
use crate::settings::{Settings, easing_schema, schema};
use rayon::prelude::*;
use serde_json::{Value, json};
use travel::Grid;
use travel_media::RgbFrame;

/// The generator `dissolve`. Settings: `{ "easing": … }`, linear unless set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dissolve;

impl Dissolve {
    /// `dissolve`
    pub const NAME: &'static str = "dissolve";

    fn parse(settings: &Value) -> Result<Filler, GeneratorError> {
        let easing = Settings::new(Self::NAME, settings, &["easing"])?.easing()?;
        Ok(Filler { pace: easing.map_or(Pace::EVEN, Pace::Eased) })
    }

    /// Fills one gap, without files.
    ///
    /// # Errors
    /// Bad settings, and whatever `emit` returns.
    pub fn inbetween(&self, gap: &Gap<'_>, settings: &Value, emit: &mut dyn Emit) -> Result<(), GeneratorError> {
        Self::parse(settings)?.fill(gap, emit)
    }
}

impl Generator for Dissolve {
    fn describe(&self) -> Result<Capabilities, GeneratorError> {
        Ok(Capabilities {
            name: Self::NAME.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            renders: true,
            upscales: None,
            grid: Grid::ANY,
            wants_guide: true,
            reads_prompts: false,
            memory_mb: None,
            references: 0,
            settings_schema: schema(json!({ "easing": easing_schema("Linear unless set.") })),
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
        Self::parse(settings).map(|_| ())
    }

    fn generate(&self, job: &Job, on: &dyn Progress) -> Result<Generated, GeneratorError> {
        render(Self::NAME, job, on, &Self::parse(&job.settings)?)
    }
}

struct Filler {
    pace: Pace,
}

impl Fill for Filler {
    fn fill(&self, gap: &Gap<'_>, emit: &mut dyn Emit) -> Result<(), GeneratorError> {
        let mut frame = RgbFrame { dims: gap.from.dims, data: vec![0; gap.from.data.len()] };
        for t in self.pace.steps(gap.frames) {
            blend(&gap.from.data, &gap.to.data, t, &mut frame.data);
            emit.frame(&frame)?;
        }
        Ok(())
    }
}

/// `out = (1 − t) a + t b`, rounded to nearest, in 15-bit fixed point.
fn blend(a: &[u8], b: &[u8], t: f64, out: &mut [u8]) {
    const ONE: u32 = 1 << 15;
    // A share of rows large enough that handing it to a thread does not show.
    const CHUNK: usize = 1 << 16;
    let share = (t.clamp(0.0, 1.0) * f64::from(ONE)).round() as u32;
    out.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK)).for_each(|((out, a), b)| {
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *out = ((u32::from(a) * (ONE - share) + u32::from(b) * share + ONE / 2) >> 15) as u8;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blend_is_the_nearest_value_on_the_way() {
        let all: Vec<u8> = (0..=255).collect();
        let back: Vec<u8> = (0..=255).rev().collect();
        for t in [0.0, 0.1, 1.0 / 3.0, 0.5, 0.9, 1.0] {
            let mut out = vec![0; 256];
            blend(&all, &back, t, &mut out);
            for ((a, b), out) in all.iter().zip(&back).zip(&out) {
                let want = f64::from(*a) * (1.0 - t) + f64::from(*b) * t;
                assert!((want - f64::from(*out)).abs() <= 0.51, "{a} {b} {t} {out}");
            }
        }
    }
}
