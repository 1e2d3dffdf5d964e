//! Reads the two clips that steer a generator, and holds them to the job's length and size.

use crate::error::{Control, GeneratorError};
use crate::generator::Job;
use std::path::{Path, PathBuf};
use travel::Dims;
use travel_media::{RgbFrame, RgbReader};

/// The frames of a control clip, in order, each of the job's size and none too many.
pub(crate) struct ControlReader {
    control: Control,
    path: PathBuf,
    frames: RgbReader,
    dims: Dims,
    read: u32,
    expected: u32,
}

impl ControlReader {
    pub(crate) fn open(control: Control, job: &Job) -> Result<Self, GeneratorError> {
        let path: &Path = match control {
            Control::Guide => &job.guide,
            Control::Mask => &job.mask,
        };
        let frames = RgbReader::open(path).map_err(|source| GeneratorError::ControlUnreadable {
            control,
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { control, path: path.to_owned(), frames, dims: job.dims, read: 0, expected: job.place.total })
    }

    /// The next frame; a clip that ends here is too short.
    pub(crate) fn next_frame(&mut self) -> Result<RgbFrame, GeneratorError> {
        match self.frames.next() {
            Some(Ok(frame)) if frame.dims == self.dims => {
                self.read = self.read.saturating_add(1);
                Ok(frame)
            }
            Some(Ok(frame)) => Err(GeneratorError::ControlSize {
                control: self.control,
                frame: self.read,
                found: frame.dims,
                expected: self.dims,
            }),
            Some(Err(source)) => Err(self.unreadable(source)),
            None => Err(self.length(self.read, false)),
        }
    }

    /// After the last frame: whether the clip ends there too.
    pub(crate) fn expect_end(&mut self) -> Result<(), GeneratorError> {
        match self.frames.next() {
            None => Ok(()),
            Some(Ok(_)) => Err(self.length(self.read.saturating_add(1), true)),
            Some(Err(source)) => Err(self.unreadable(source)),
        }
    }

    fn length(&self, found: u32, at_least: bool) -> GeneratorError {
        GeneratorError::ControlLength { control: self.control, found, at_least, expected: self.expected }
    }

    fn unreadable(&self, source: travel_media::MediaError) -> GeneratorError {
        GeneratorError::ControlUnreadable { control: self.control, path: self.path.clone(), source }
    }
}

/// Which frames of the guide are kept. The whole mask is read before anything is rendered: it is quickly decoded, and
/// a wrong length is known before the work is done.
pub(crate) fn kept_frames(job: &Job) -> Result<Vec<bool>, GeneratorError> {
    let mut mask = ControlReader::open(Control::Mask, job)?;
    let mut kept = Vec::new();
    for _ in 0..job.place.total {
        kept.push(is_black(&mask.next_frame()?));
    }
    mask.expect_end()?;
    if kept.contains(&true) { Ok(kept) } else { Err(GeneratorError::NothingToGoBy { frames: job.place.total }) }
}

/// Black keeps, white generates; the mean over the frame decides, so that codecs and soft edges do not.
fn is_black(frame: &RgbFrame) -> bool {
    let sum: u64 = frame.data.iter().map(|&v| u64::from(v)).sum();
    sum < 128 * frame.data.len() as u64
}
