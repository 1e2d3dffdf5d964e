//! A clip as RGB frames, one by one.

use crate::clip::Clip;
use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::pixels::to_rgb::to_rgb;
use std::path::Path;
use travel::{Dims, Rate};

/// The frames of a clip, in the order of showing; holds one or two at a time. After an error it ends.
///
/// Tagged Y′CbCr is read by its tag, untagged as BT.601 limited, which is what imageio and Wan2GP write; RGB stored without
/// loss comes back byte for byte.
pub struct RgbReader {
    clip: Clip,
    failed: bool,
}

impl RgbReader {
    /// Opens a clip at its own rate.
    ///
    /// # Errors
    /// As for [`crate::probe()`], as far as the first frame tells.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        Ok(Self { clip: Clip::open(path, None)?, failed: false })
    }

    /// Opens a clip at a wanted rate: frame `n` is the one nearest to `n / rate`.
    ///
    /// # Errors
    /// Those of [`RgbReader::open`]; [`MediaError::UnusableRate`].
    pub fn open_at(path: &Path, rate: Rate) -> Result<Self, MediaError> {
        Ok(Self { clip: Clip::open(path, Some(rate))?, failed: false })
    }

    /// As shown: rotation applied, pixels square.
    #[must_use]
    pub fn dims(&self) -> Dims {
        self.clip.dims()
    }

    /// Of the frames that come.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.clip.rate()
    }

    /// Whether what is read is, byte for byte, what was written.
    #[must_use]
    pub fn is_lossless_rgb(&self) -> bool {
        self.clip.is_lossless_rgb()
    }

    /// The number of the frame that comes next, from 0.
    #[must_use]
    pub fn position(&self) -> u32 {
        self.clip.position()
    }

    /// Makes frame `n` the next one, exactly: from the key-frame before it, decoding forward, checked by timestamps.
    ///
    /// # Errors
    /// [`MediaError::PastTheEnd`] beyond the end (`n` may equal the count); those of reading.
    pub fn seek_to_frame(&mut self, n: u32) -> Result<(), MediaError> {
        self.failed = false;
        self.clip.seek_to_frame(n)
    }

    /// Passes over a frame without converting it; whether there was one.
    ///
    /// # Errors
    /// Those of reading.
    pub fn skip_frame(&mut self) -> Result<bool, MediaError> {
        self.clip.next_frame().map(|frame| frame.is_some())
    }

    fn read(&mut self) -> Result<Option<RgbFrame>, MediaError> {
        let Some(frame) = self.clip.next_frame()? else { return Ok(None) };
        let path = self.clip.path();
        self.clip.geometry().show(to_rgb(&frame, path)?, path).map(Some)
    }
}

impl Iterator for RgbReader {
    type Item = Result<RgbFrame, MediaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let frame = self.read().transpose();
        self.failed = matches!(frame, Some(Err(_)));
        frame
    }
}
