//! The way of every embedded generator through a segment: kept frames pass bit-exactly, gaps are filled, and no more
//! than three frames are held at a time, however long the clip.

use crate::control::{ControlReader, kept_frames};
use crate::error::{Control, GeneratorError};
use crate::gap::{Emit, Fill, Gap};
use crate::generator::{Generated, Job, Progress};
use std::path::Path;
use travel::Grid;
use travel_media::{Intermediate, RgbFrame, RgbWriter};

/// Renders `job` with what `filler` puts between kept frames. A gap with one kept frame only, before or after it,
/// holds that frame.
pub(crate) fn render(
    generator: &'static str,
    job: &Job,
    on: &dyn Progress,
    filler: &dyn Fill,
) -> Result<Generated, GeneratorError> {
    check_grid(generator, job)?;
    let kept = kept_frames(job)?;
    let mut guide = ControlReader::open(Control::Guide, job)?;
    let mut clip = Clip::create(job, on)?;
    let mut arrival = Arrival::default();
    let mut waiting = 0;
    for keep in kept {
        let frame = guide.next_frame()?;
        if !keep {
            waiting += 1;
            continue;
        }
        if waiting > 0 {
            match &arrival.last {
                Some(from) => {
                    let gap = Gap { before: arrival.before.as_ref(), from, to: &frame, frames: waiting };
                    filler.fill(&gap, &mut clip)?;
                }
                None => clip.hold(&frame, waiting)?,
            }
            waiting = 0;
            arrival = Arrival::default();
        }
        clip.write(&frame)?;
        arrival.push(frame);
    }
    guide.expect_end()?;
    if let Some(last) = &arrival.last {
        clip.hold(last, waiting)?;
    }
    clip.finish()
}

/// The last two frames of a run of kept ones.
#[derive(Default)]
struct Arrival {
    before: Option<RgbFrame>,
    last: Option<RgbFrame>,
}

impl Arrival {
    fn push(&mut self, frame: RgbFrame) {
        self.before = self.last.replace(frame);
    }
}

fn check_grid(generator: &'static str, job: &Job) -> Result<(), GeneratorError> {
    let (frames, dims) = (job.place.total, job.dims);
    let refuse =
        |reason: String| Err(GeneratorError::OffGrid { generator: generator.to_owned(), frames, dims, reason });
    if let Err(reason) = dims.check_encodable() {
        return refuse(reason);
    }
    if Grid::ANY.holds(frames) {
        Ok(())
    } else {
        refuse(format!("lengths are {} to {} frames", Grid::ANY.min, Grid::ANY.max))
    }
}

/// The clip being written; removed again unless it is finished.
struct Clip<'a> {
    writer: Option<RgbWriter>,
    job: &'a Job,
    on: &'a dyn Progress,
    written: u32,
}

impl<'a> Clip<'a> {
    fn create(job: &'a Job, on: &'a dyn Progress) -> Result<Self, GeneratorError> {
        let writer = RgbWriter::create(&job.out, job.dims, job.rate, Intermediate::X264Rgb)
            .map_err(|source| GeneratorError::OutUnwritable { path: job.out.clone(), source })?;
        Ok(Self { writer: Some(writer), job, on, written: 0 })
    }

    fn write(&mut self, frame: &RgbFrame) -> Result<(), GeneratorError> {
        let total = self.job.place.total;
        self.go_on()?;
        if let Some(writer) = &mut self.writer {
            writer
                .write(frame)
                .map_err(|source| GeneratorError::OutUnwritable { path: self.job.out.clone(), source })?;
        }
        self.written = self.written.saturating_add(1);
        self.on.report(self.written, total);
        Ok(())
    }

    fn hold(&mut self, frame: &RgbFrame, times: u32) -> Result<(), GeneratorError> {
        (0..times).try_for_each(|_| self.write(frame))
    }

    fn finish(mut self) -> Result<Generated, GeneratorError> {
        let job = self.job;
        if let Some(writer) = self.writer.take()
            && let Err(source) = writer.finish()
        {
            remove(&job.out);
            return Err(GeneratorError::OutUnwritable { path: job.out.clone(), source });
        }
        Ok(Generated { clip: job.out.clone(), frames: self.written, dims: job.dims, rate: job.rate })
    }
}

impl Emit for Clip<'_> {
    fn frame(&mut self, frame: &RgbFrame) -> Result<(), GeneratorError> {
        self.write(frame)
    }

    fn go_on(&self) -> Result<(), GeneratorError> {
        match self.on.cancelled() {
            true => Err(GeneratorError::Cancelled { done: self.written, total: self.job.place.total }),
            false => Ok(()),
        }
    }
}

impl Drop for Clip<'_> {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            remove(&self.job.out);
        }
    }
}

/// Removes what is at the clip's place.
pub(crate) fn remove(clip: &Path) {
    if let Err(error) = std::fs::remove_file(clip)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(clip = %clip.display(), %error, "a half-written clip cannot be removed");
    }
}
