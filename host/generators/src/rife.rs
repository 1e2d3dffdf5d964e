//! `rife`: neural in-betweening on the CPU, inside the binary.
//!
//! Motion is found by the network at a small size ([`network`], [`layout`]), half-way between known times, as often as the
//! motion needs ([`knot`], [`track`]). Frames are made of it at full size ([`warp`], [`picture`]). Where motion does not bring
//! the two pictures together it leans to a dissolve ([`trust`]). Out of an overlap it goes on at the overlap's speed
//! ([`speed`]). Nothing depends on the number of threads.

mod knot;
mod layout;
mod network;
mod picture;
mod speed;
mod track;
mod trust;
mod warp;

use crate::error::GeneratorError;
use crate::gap::{Emit, Fill, Gap};
use crate::generator::{CPU, Capabilities, Generated, Generator, Job, Progress};
use crate::pace::Pace;
use crate::render::render;
use crate::settings::{Quality, Settings, easing_schema, quality_schema, schema};
use layout::Layout;
use network::Network;
use picture::Picture;
use rten::ThreadPool;
use serde_json::{Value, json};
use std::sync::Arc;
use track::Track;
use travel::Grid;
use travel::easing::Easing;
use travel_media::{InBetween, RgbFrame, Watch};
use trust::Judge;
use warp::Warp;

/// The generator `rife`. Settings: `{ "quality": "fast" | "balanced" | "high", "easing": … }`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rife;

impl Rife {
    /// `rife`
    pub const NAME: &'static str = "rife";

    fn parse(settings: &Value) -> Result<Filler, GeneratorError> {
        let settings = Settings::new(Self::NAME, settings, &["quality", "easing"])?;
        Ok(Filler { quality: settings.quality()?.unwrap_or_default(), easing: settings.easing()?, threads: None })
    }

    /// Fills one gap, without files.
    ///
    /// # Errors
    /// Bad settings, a failure of the network, and whatever `emit` returns.
    pub fn inbetween(&self, gap: &Gap<'_>, settings: &Value, emit: &mut dyn Emit) -> Result<(), GeneratorError> {
        Self::parse(settings)?.fill(gap, emit)
    }
}

/// Somebody who is asked whether he still waits, and is handed nothing.
struct Patience<'a>(&'a dyn Watch);

impl Emit for Patience<'_> {
    fn frame(&mut self, _: &RgbFrame) -> Result<(), GeneratorError> {
        Ok(())
    }

    fn go_on(&self) -> Result<(), GeneratorError> {
        if self.0.cancelled() { Err(GeneratorError::Cancelled { done: 0, total: 1 }) } else { Ok(()) }
    }
}

impl InBetween for Rife {
    fn between(&self, from: &RgbFrame, to: &RgbFrame, t: f64, on: &dyn Watch) -> Result<RgbFrame, String> {
        let dims = from.dims;
        if to.dims != dims {
            return Err(format!("frames of {dims} and {} have nothing between them", to.dims));
        }
        let layout = Layout::new(dims, Quality::Balanced);
        let (a, b) = (Picture::new(&from.data, dims), Picture::new(&to.data, dims));
        let (small_a, small_b) = (Arc::new(a.reduced(&layout)), Arc::new(b.reduced(&layout)));
        let judge = Judge::new(&small_a, &small_b);
        let mut track = Track::new((&small_a, &small_b), judge, 1, None);
        let motion = track.at(t, &Patience(on)).map_err(|e| e.to_string())?;
        let mut frame = RgbFrame { dims, data: vec![0; from.data.len()] };
        Warp::new(&a, &b, &layout).frame(&motion, t, &mut frame.data);
        Ok(frame)
    }
}

impl Generator for Rife {
    fn describe(&self) -> Result<Capabilities, GeneratorError> {
        let unset = "Unless set, time runs evenly, or goes on at the speed of the overlap.";
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
            settings_schema: schema(json!({ "quality": quality_schema(), "easing": easing_schema(unset) })),
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
    quality: Quality,
    easing: Option<Easing>,
    threads: Option<Arc<ThreadPool>>,
}

impl Fill for Filler {
    fn fill(&self, gap: &Gap<'_>, emit: &mut dyn Emit) -> Result<(), GeneratorError> {
        let dims = gap.from.dims;
        let layout = Layout::new(dims, self.quality);
        let (a, b) = (Picture::new(&gap.from.data, dims), Picture::new(&gap.to.data, dims));
        let (small_a, small_b) = (Arc::new(a.reduced(&layout)), Arc::new(b.reduced(&layout)));
        let judge = Judge::new(&small_a, &small_b);
        let pace = self.pace(gap, &layout, (&small_a, &small_b), &judge, emit)?;
        let mut track = Track::new((&small_a, &small_b), judge, gap.frames, self.threads.clone());
        let warp = Warp::new(&a, &b, &layout);
        let mut frame = RgbFrame { dims, data: vec![0; gap.from.data.len()] };
        for t in pace.steps(gap.frames) {
            warp.frame(&track.at(t, emit)?, t, &mut frame.data);
            emit.frame(&frame)?;
        }
        Ok(())
    }
}

impl Filler {
    /// How time runs in this gap.
    fn pace(
        &self,
        gap: &Gap<'_>,
        layout: &Layout,
        (from, to): (&Picture, &Picture),
        judge: &Judge<'_>,
        emit: &dyn Emit,
    ) -> Result<Pace, GeneratorError> {
        if let Some(easing) = self.easing {
            return Ok(Pace::Eased(easing));
        }
        let Some(before) = gap.before else { return Ok(Pace::EVEN) };
        if before == gap.from {
            return Ok(Pace::EVEN);
        }
        let before = Picture::new(&before.data, before.dims).reduced(layout);
        let network = Network::shared()?;
        emit.go_on()?;
        let arriving = network.halfway((&before, from), self.threads.clone())?;
        emit.go_on()?;
        let mut leaving = network.halfway((from, to), self.threads.clone())?;
        judge.judge(&mut leaving);
        let slope = speed::start_slope(&arriving, &leaving, (from.width(), from.height()), gap.frames);
        tracing::debug!(frames = gap.frames, slope, "speed of the overlap against the gap's mean");
        Ok(slope.map_or(Pace::EVEN, Pace::from_speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::Dims;

    /// Stripes that move right and get lighter.
    fn picture(shift: usize) -> RgbFrame {
        let dims = Dims { width: 128, height: 64 };
        let value = |i: usize| (((i / 3 % 128 + 128 - shift) / 9 % 5) * 50 + i / 384 + shift) as u8;
        RgbFrame { dims, data: (0..128 * 64 * 3).map(value).collect() }
    }

    fn bytes(threads: usize) -> Vec<u8> {
        let (before, from, to) = (picture(0), picture(2), picture(13));
        let gap = Gap { before: Some(&before), from: &from, to: &to, frames: 10 };
        let threads_of_network = Some(Arc::new(ThreadPool::with_num_threads(threads)));
        let filler = Filler { quality: Quality::Balanced, easing: None, threads: threads_of_network };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut bytes = Vec::new();
            let mut emit = |frame: &RgbFrame| {
                bytes.extend_from_slice(&frame.data);
                Ok(())
            };
            filler.fill(&gap, &mut emit).unwrap();
            bytes
        })
    }

    /// Somebody who has asked for the end.
    struct Enough;

    impl Emit for Enough {
        fn frame(&mut self, _: &RgbFrame) -> Result<(), GeneratorError> {
            panic!("a frame was made");
        }

        fn go_on(&self) -> Result<(), GeneratorError> {
            Err(GeneratorError::Cancelled { done: 0, total: 10 })
        }
    }

    #[test]
    fn whoever_has_enough_waits_for_no_run_of_the_network() {
        let (before, from, to) = (picture(0), picture(2), picture(13));
        for before in [None, Some(&before)] {
            let gap = Gap { before, from: &from, to: &to, frames: 10 };
            let filler = Filler { quality: Quality::Fast, easing: None, threads: None };
            let ended = filler.fill(&gap, &mut Enough).unwrap_err();
            assert_eq!(ended.code(), "generator_cancelled");
        }
    }

    #[test]
    fn frames_do_not_depend_on_the_number_of_threads() {
        assert!(bytes(1) == bytes(2) && bytes(2) == bytes(3));
    }
}
