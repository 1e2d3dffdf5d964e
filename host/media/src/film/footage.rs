//! One clip as the film's frames: 8-bit 4:2:0 planes of the canvas's size.

use crate::clip::Clip;
use crate::error::MediaError;
use crate::pixels::colour::Reading;
use crate::pixels::resize;
use crate::pixels::rows::runs_downwards;
use crate::pixels::to_rgb::to_rgb;
use crate::pixels::to_yuv::to_yuv420;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::{Dims, Rate};

/// An opened clip. Frames that already are what the film is made of come through untouched, without a copy; others are
/// converted once: by their matrix to RGB, turned, fitted `cover`, and to BT.709.
pub(crate) struct Footage {
    clip: Clip,
    canvas: Dims,
    converts: bool,
}

impl Footage {
    pub(crate) fn open(path: &Path, canvas: Dims, rate: Rate) -> Result<Self, MediaError> {
        Ok(Self { clip: Clip::open(path, Some(rate))?, canvas, converts: false })
    }

    /// Frame `n`; cheap in rising order.
    pub(crate) fn frame(&mut self, n: u32) -> Result<Video, MediaError> {
        self.clip.seek_to_frame(n)?;
        let frame = self.clip.expect_frame()?;
        if self.is_film(&frame) {
            return Ok(frame);
        }
        let path = self.clip.path();
        if !self.converts {
            self.converts = true;
            let (format, reading, dims) = (frame.format(), Reading::of(&frame), self.clip.dims());
            tracing::debug!(path = %path.display(), ?format, ?reading, %dims, "converted to the film's planes");
        }
        let rgb = self.clip.geometry().show(to_rgb(&frame, path)?, path)?;
        let rgb = if rgb.dims == self.canvas { rgb } else { resize::cover(&rgb, self.canvas, path)? };
        to_yuv420(&rgb, path)
    }

    fn is_film(&self, frame: &Video) -> bool {
        frame.format() == Pixel::YUV420P
            && Reading::of(frame).is_film()
            && self.clip.geometry().is_plain()
            && self.clip.dims() == self.canvas
            && runs_downwards(frame)
    }
}
