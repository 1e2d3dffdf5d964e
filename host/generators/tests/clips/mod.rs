//! Small clips with known motion, and jobs over them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use travel::{Dims, Place, Rate};
use travel_generators::{Job, Progress};
use travel_media::{Intermediate, RgbFrame, RgbReader, RgbWriter};

pub(crate) const RATE: Rate = Rate { num: 16, den: 1 };

/// A smooth texture without repetition, at a place that need not be whole.
fn texel(x: f64, y: f64, channel: u32) -> f64 {
    let wave = |a: f64, b: f64, c: f64| (x * a + y * b + c).sin();
    let c = f64::from(channel) * 1.3;
    let sum = wave(0.19, 0.07, c) + wave(-0.11, 0.23, 2.0 * c) + wave(0.31, -0.17, c) * wave(0.053, 0.041, c);
    (128.0 + 38.0 * sum).round().clamp(0.0, 255.0)
}

/// The texture, moved right by `shift` pixels.
pub(crate) fn texture(dims: Dims, shift: f64) -> RgbFrame {
    texture_at(dims, |x, y| (x - shift, y))
}

/// The texture, each pixel from where `from` says.
pub(crate) fn texture_at(dims: Dims, from: impl Fn(f64, f64) -> (f64, f64)) -> RgbFrame {
    let place = |i: u32| (from(f64::from(i / 3 % dims.width), f64::from(i / 3 / dims.width)), i % 3);
    let data = (0..dims.pixels() as u32 * 3).map(place).map(|((x, y), channel)| texel(x, y, channel) as u8).collect();
    RgbFrame { dims, data }
}

/// How far the texture has moved in `frame`, to 1/20 pixel, of 0…`most`; read in the middle of a few rows.
pub(crate) fn shift_of(frame: &RgbFrame, most: f64) -> f64 {
    let Dims { width, height } = frame.dims;
    let error = |shift: f64| -> f64 {
        let mut sum = 0.0;
        for y in (height / 4..height * 3 / 4).step_by(6) {
            for x in width / 4..width * 3 / 4 {
                let seen = f64::from(frame.data[((y * width + x) * 3) as usize]);
                sum += (seen - texel(f64::from(x) - shift, f64::from(y), 0)).powi(2);
            }
        }
        sum
    };
    let best = |from: f64, to: f64, step: f64| {
        let tries = (0..=((to - from) / step).round() as u32).map(|i| from + f64::from(i) * step);
        tries.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap()
    };
    let rough = best(0.0, most, 0.5);
    best(rough - 0.5, rough + 0.5, 0.05)
}

/// Mean squared error over the middle half, which no edge disturbs.
pub(crate) fn middle_error(a: &RgbFrame, b: &RgbFrame) -> f64 {
    let (w, h) = (a.dims.width as usize, a.dims.height as usize);
    let mut sum = 0.0;
    for y in h / 4..h * 3 / 4 {
        for x in w / 4 * 3..w * 3 / 4 * 3 {
            sum += (f64::from(a.data[y * w * 3 + x]) - f64::from(b.data[y * w * 3 + x])).powi(2);
        }
    }
    sum / ((h / 2) * (w / 2) * 3) as f64
}

pub(crate) fn grey(dims: Dims, value: u8) -> RgbFrame {
    RgbFrame { dims, data: vec![value; dims.pixels() as usize * 3] }
}

pub(crate) fn write_clip(path: &Path, frames: &[RgbFrame]) {
    let mut writer = RgbWriter::create(path, frames[0].dims, RATE, Intermediate::X264Rgb).unwrap();
    for frame in frames {
        writer.write(frame).unwrap();
    }
    writer.finish().unwrap();
}

pub(crate) fn read_clip(path: &Path) -> Vec<RgbFrame> {
    RgbReader::open(path).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A job below `folder` whose guide is `kept` where there is a frame, and neutral grey where there is none.
pub(crate) fn job(folder: &Path, kept: &[Option<RgbFrame>]) -> Job {
    let dims = kept.iter().flatten().next().map_or(Dims { width: 64, height: 48 }, |frame| frame.dims);
    let guide: Vec<RgbFrame> = kept.iter().map(|frame| frame.clone().unwrap_or_else(|| grey(dims, 127))).collect();
    let mask: Vec<RgbFrame> = kept.iter().map(|frame| grey(dims, if frame.is_some() { 0 } else { 255 })).collect();
    write_clip(&folder.join("guide.mkv"), &guide);
    write_clip(&folder.join("mask.mkv"), &mask);
    let total = kept.len() as u32;
    Job {
        guide: folder.join("guide.mkv"),
        mask: folder.join("mask.mkv"),
        references: Vec::new(),
        model: None,
        prompt: String::new(),
        negative_prompt: String::new(),
        seed: 7,
        dims,
        rate: RATE,
        place: Place { index: 0, of: 1, new: total, overlap: 0, total },
        settings: serde_json::Value::Null,
        out: folder.join("out.mkv"),
        work_dir: folder.to_owned(),
        device: None,
    }
}

/// Counts reports; cancels once so many frames are done.
pub(crate) struct Watcher {
    pub(crate) done: AtomicU32,
    pub(crate) cancel_at: u32,
}

impl Watcher {
    pub(crate) fn patient() -> Self {
        Self { done: AtomicU32::new(0), cancel_at: u32::MAX }
    }

    /// For a program that counts steps as it likes.
    pub(crate) fn of_steps() -> Steps {
        Steps
    }
}

impl Progress for Watcher {
    fn report(&self, done: u32, total: u32) {
        let before = self.done.swap(done, Ordering::Relaxed);
        assert!(before < done && done <= total, "{before} {done} {total}");
    }

    fn cancelled(&self) -> bool {
        self.done.load(Ordering::Relaxed) >= self.cancel_at
    }

    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

/// Lets everything pass.
pub(crate) struct Steps;

impl Progress for Steps {
    fn report(&self, _: u32, _: u32) {}

    fn cancelled(&self) -> bool {
        false
    }

    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}
