//! Two pictures in, so many in-betweens out, as PNG files or one lossless clip; prints what a frame took.
//!
//! `inbetween FROM TO FRAMES OUT [--generator rife|dissolve] [--settings JSON] [--before PICTURE]`
//!
//! `OUT` is a folder (PNG files, the two ends included), a file ending in `.mkv`, or `-` for nothing at all.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use travel::Rate;
use travel_generators::{Dissolve, Emit, Gap, GeneratorError, Rife};
use travel_media::{Intermediate, RgbFrame, RgbWriter, load_still, save_png};

fn main() -> Result<(), Box<dyn Error>> {
    let mut places = Vec::new();
    let (mut generator, mut settings, mut before) = (String::from("rife"), serde_json::Value::Null, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--generator" => generator = value()?,
            "--settings" => settings = serde_json::from_str(&value()?)?,
            "--before" => before = Some(load_still(Path::new(&value()?))?),
            _ => places.push(arg),
        }
    }
    let [from, to, frames, out] = places.try_into().map_err(|_| "usage: inbetween FROM TO FRAMES OUT [options]")?;
    let (from, to) = (load_still(Path::new(&from))?, load_still(Path::new(&to))?);
    if from.dims != to.dims {
        return Err(format!("the pictures are {} and {}; they must be of one size", from.dims, to.dims).into());
    }
    let gap = Gap { before: before.as_ref(), from: &from, to: &to, frames: frames.parse()? };

    let mut sink = Sink::create(&PathBuf::from(out), &from)?;
    let mut writing = Duration::ZERO;
    let started = Instant::now();
    let mut failure = None;
    let mut emit = |frame: &RgbFrame| -> Result<(), GeneratorError> {
        let began = Instant::now();
        let written = sink.write(frame);
        writing += began.elapsed();
        // The emitter's own error says less than the sink's, which is shown instead.
        written.map_err(|error| {
            failure = Some(error);
            GeneratorError::Cancelled { done: 0, total: gap.frames }
        })
    };
    emit(&from)?;
    let filled = fill(&generator, &gap, &settings, &mut emit);
    let filled = filled.and_then(|()| emit(&to));
    if let Some(failure) = failure {
        return Err(failure);
    }
    filled?;
    sink.finish()?;
    let (all, writing) = (started.elapsed().as_secs_f64() * 1e3, writing.as_secs_f64() * 1e3);
    let each = (all - writing) / f64::from(gap.frames.max(1));
    println!(
        "{} in-betweens of {}: {:.0} ms, {each:.2} ms each; writing {writing:.0} ms",
        gap.frames,
        from.dims,
        all - writing
    );
    Ok(())
}

fn fill(
    generator: &str,
    gap: &Gap<'_>,
    settings: &serde_json::Value,
    emit: &mut dyn Emit,
) -> Result<(), GeneratorError> {
    match generator {
        Dissolve::NAME => Dissolve.inbetween(gap, settings, emit),
        _ => Rife.inbetween(gap, settings, emit),
    }
}

enum Sink {
    Nothing,
    Folder { path: PathBuf, written: u32 },
    Clip(Box<RgbWriter>),
}

impl Sink {
    fn create(path: &Path, like: &RgbFrame) -> Result<Self, Box<dyn Error>> {
        if path == Path::new("-") {
            return Ok(Self::Nothing);
        }
        if path.extension().is_some_and(|end| end == "mkv") {
            let rate = Rate { num: 16, den: 1 };
            return Ok(Self::Clip(Box::new(RgbWriter::create(path, like.dims, rate, Intermediate::X264Rgb)?)));
        }
        std::fs::create_dir_all(path)?;
        Ok(Self::Folder { path: path.to_owned(), written: 0 })
    }

    fn write(&mut self, frame: &RgbFrame) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Nothing => {}
            Self::Folder { path, written } => {
                save_png(frame, &path.join(format!("{written:05}.png")))?;
                *written += 1;
            }
            Self::Clip(writer) => writer.write(frame)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Box<dyn Error>> {
        if let Self::Clip(writer) = self {
            writer.finish()?;
        }
        Ok(())
    }
}
