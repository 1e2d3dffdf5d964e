//! A clip as FFmpeg's frames, in order, at its own or a wanted rate; what every reader of clips stands on.

pub(crate) mod container;
pub(crate) mod decoder;
pub(crate) mod geometry;
pub(crate) mod timing;

use crate::error::MediaError;
use crate::pixels;
use decoder::Decoder;
use ffmpeg_next::frame::Video;
use geometry::Geometry;
use std::path::Path;
use timing::{Grid, Pace};
use travel::{Dims, Rate};

/// Decoding forward is cheaper than a seek up to about this many frames, since a seek lands on a key-frame before.
const SEEK_AHEAD: u32 = 48;

/// The frames of a clip.
pub(crate) struct Clip {
    decoder: Decoder,
    grid: Grid,
    wanted: Option<Rate>,
    pace: Pace<Video>,
    geometry: Geometry,
    lossless_rgb: bool,
    /// Frames handed out since the beginning, or since the place of the last seek.
    next: u32,
}

impl Clip {
    /// Opens a clip at its own rate, or at a wanted one: then frame `n` is the one nearest to `n / rate`.
    pub(crate) fn open(path: &Path, wanted: Option<Rate>) -> Result<Self, MediaError> {
        if let Some(rate) = wanted
            && (rate.num == 0 || rate.den == 0)
        {
            return Err(MediaError::UnusableRate { path: path.to_owned(), rate });
        }
        let mut decoder = Decoder::open(path)?;
        let Some(first) = decoder.next_frame()? else {
            return Err(MediaError::NoFrames { path: path.to_owned() });
        };
        let rate = wanted.unwrap_or_else(|| decoder.rate());
        let grid = Grid::new(decoder.time_base(), rate, first.timestamp());
        let geometry = Geometry::of(&first, decoder.quarter_turns());
        let lossless_rgb = decoder.is_lossless() && pixels::is_rgb(first.format());
        let mut pace = Pace::new(wanted.is_some());
        let place = grid.place(&first, None);
        pace.push(first, place);
        Ok(Self { decoder, grid, wanted, pace, geometry, lossless_rgb, next: 0 })
    }

    pub(crate) fn path(&self) -> &Path {
        self.decoder.path()
    }

    /// As shown: rotation applied, pixels square.
    pub(crate) fn dims(&self) -> Dims {
        self.geometry.shown()
    }

    pub(crate) fn rate(&self) -> Rate {
        self.grid.rate()
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(crate) fn is_lossless_rgb(&self) -> bool {
        self.lossless_rgb
    }

    /// Whether every frame so far stood at its own multiple of `1 / rate`.
    pub(crate) fn is_constant_rate(&self) -> bool {
        self.pace.is_constant()
    }

    /// The frame that comes next, from 0.
    pub(crate) fn position(&self) -> u32 {
        self.next
    }

    /// The next frame, or `None` at the drained end.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Video>, MediaError> {
        loop {
            if let Some(frame) = self.pace.pop() {
                self.next = self.next.saturating_add(1);
                return Ok(Some(frame));
            }
            if self.pace.is_finished() {
                return Ok(None);
            }
            match self.decoder.next_frame()? {
                Some(frame) => {
                    self.geometry.check(&frame, self.decoder.path(), self.next)?;
                    let place = self.grid.place(&frame, self.pace.last_place());
                    self.pace.push(frame, place);
                }
                None => self.pace.finish(),
            }
        }
    }

    /// The next frame, which must be there.
    pub(crate) fn expect_frame(&mut self) -> Result<Video, MediaError> {
        let frame = self.next;
        self.next_frame()?.ok_or_else(|| MediaError::PastTheEnd {
            path: self.decoder.path().to_owned(),
            frame,
            frames: frame,
        })
    }

    /// Makes frame `n` the next one: from the key-frame before it, decoding forward, checked by timestamps.
    pub(crate) fn seek_to_frame(&mut self, n: u32) -> Result<(), MediaError> {
        if n < self.next || n - self.next > SEEK_AHEAD {
            self.jump_before(n)?;
        }
        while self.next < n {
            self.expect_frame()?;
        }
        Ok(())
    }

    /// Goes to some place at or before frame `n`; the beginning if timestamps cannot be trusted.
    fn jump_before(&mut self, n: u32) -> Result<(), MediaError> {
        let mut margin = 2u32;
        while self.grid.is_timed() && self.pace.is_constant() && n > margin {
            let target = n - margin;
            if !self.decoder.seek(self.grid.microseconds(target))? {
                break;
            }
            let Some(first) = self.decoder.next_frame()? else { break };
            let place = self.grid.place(&first, None);
            let resample = self.wanted.is_some();
            match if resample { place.first_sample() } else { place.number() } {
                Some(at) if at <= n && at > 0 => {
                    self.pace = Pace::resumed(resample, at);
                    self.pace.push(first, place);
                    self.next = at;
                    return Ok(());
                }
                _ => margin = margin.saturating_mul(8),
            }
        }
        *self = Self::open(self.decoder.path(), self.wanted)?;
        Ok(())
    }
}
