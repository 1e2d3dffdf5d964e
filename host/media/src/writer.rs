//! RGB frames into a lossless clip.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::output::{Output, Recipe};
use crate::pixels::rows::{new_frame, rows_mut};
use crate::probe::ClipInfo;
use crate::settings::Intermediate;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::{Dims, Rate};

/// Encoder threads of intermediates; fixed, since the bytes depend on it.
const THREADS: u8 = 2;

/// Frames between key-frames: a seek into the overlap decodes no more than these.
const GOP: u32 = 24;

/// A lossless Matroska clip being written: what [`crate::RgbReader`] reads from it is, byte for byte, what was written.
/// Dropped before [`RgbWriter::finish`], it removes its file.
pub struct RgbWriter {
    output: Output,
    how: Intermediate,
    dims: Dims,
    rate: Rate,
}

impl RgbWriter {
    /// Creates the file, over any that is there.
    ///
    /// # Errors
    /// [`MediaError::UnusableSize`], [`MediaError::UnusableRate`], [`MediaError::EncoderRefused`], [`MediaError::DiskFull`],
    /// [`MediaError::Unwritable`].
    pub fn create(path: &Path, dims: Dims, rate: Rate, how: Intermediate) -> Result<Self, MediaError> {
        if dims.width == 0 || dims.height == 0 || dims.pixels() > Dims::MAX_PIXELS {
            let reason = format!("{dims} is empty or beyond {} pixels", Dims::MAX_PIXELS);
            return Err(MediaError::UnusableSize { path: path.to_owned(), reason });
        }
        let text = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        let (pixel, options, gop) = match how {
            Intermediate::X264Rgb => (Pixel::RGB24, text(&[("preset", "ultrafast"), ("qp", "0")]), GOP),
            Intermediate::Ffv1 => (Pixel::BGRZ, text(&[("level", "3"), ("slices", "4"), ("slicecrc", "1")]), 1),
        };
        let recipe = Recipe {
            encoder: how.encoder(),
            options,
            container: "matroska",
            muxer: Vec::new(),
            tag: None,
            pixel,
            dims,
            rate,
            threads: THREADS,
            gop: Some(gop),
        };
        Ok(Self { output: Output::create(path, &recipe)?, how, dims, rate })
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// [`MediaError::FrameBytes`], [`MediaError::FrameSize`], [`MediaError::DiskFull`], [`MediaError::Unwritable`].
    pub fn write(&mut self, frame: &RgbFrame) -> Result<(), MediaError> {
        let (found, wanted) = (frame.data.len(), RgbFrame::bytes(frame.dims));
        if found != wanted {
            return Err(MediaError::FrameBytes { dims: frame.dims, found, wanted });
        }
        let stored = match self.how {
            Intermediate::X264Rgb => rgb24(frame, self.output.path())?,
            Intermediate::Ffv1 => bgr0(frame, self.output.path())?,
        };
        self.output.write(stored)
    }

    /// Completes the file.
    ///
    /// # Errors
    /// [`MediaError::NoFrames`] when nothing was written, [`MediaError::DiskFull`], [`MediaError::Unwritable`].
    pub fn finish(self) -> Result<ClipInfo, MediaError> {
        if self.output.frames() == 0 {
            return Err(MediaError::NoFrames { path: self.output.path().to_owned() });
        }
        let frames = self.output.finish()?;
        Ok(ClipInfo { dims: self.dims, frames, rate: self.rate.reduced(), constant_rate: true, lossless_rgb: true })
    }
}

fn rgb24(frame: &RgbFrame, path: &Path) -> Result<Video, MediaError> {
    let mut out = new_frame(Pixel::RGB24, frame.dims, path)?;
    let stride = frame.stride();
    for (to, from) in rows_mut(&mut out, 0, stride).zip(frame.data.chunks_exact(stride)) {
        to.copy_from_slice(from);
    }
    Ok(out)
}

fn bgr0(frame: &RgbFrame, path: &Path) -> Result<Video, MediaError> {
    let mut out = new_frame(Pixel::BGRZ, frame.dims, path)?;
    let width = frame.dims.width as usize;
    for (to, from) in rows_mut(&mut out, 0, width * 4).zip(frame.data.chunks_exact(frame.stride())) {
        for (to, [r, g, b]) in to.as_chunks_mut::<4>().0.iter_mut().zip(from.as_chunks::<3>().0) {
            *to = [*b, *g, *r, 0];
        }
    }
    Ok(out)
}
