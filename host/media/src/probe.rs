//! What a clip holds, found by decoding all of it: containers are not believed.

use crate::clip::Clip;
use crate::error::MediaError;
use crate::watch::{Watch, step};
use std::path::Path;
use travel::{Dims, Rate};

/// What a clip holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClipInfo {
    /// As shown: rotation applied, pixels square.
    pub dims: Dims,
    /// Decoded frames, at `rate`.
    pub frames: u32,
    /// Frames a second.
    pub rate: Rate,
    /// Whether every frame stands at its own multiple of `1 / rate`; if not, [`probe_at`] counts at a rate of your choice.
    pub constant_rate: bool,
    /// Whether the stream stores RGB without loss, so that what is read is what was written.
    pub lossless_rgb: bool,
}

/// Decodes a clip to its drained end and tells what it holds, at its own rate.
///
/// # Errors
/// Every way in which a file can be missing, empty, truncated, damaged, or no clip; [`MediaError::Cancelled`].
pub fn probe(path: &Path, on: &dyn Watch) -> Result<ClipInfo, MediaError> {
    count(Clip::open(path, None)?, on)
}

/// The same at a wanted rate: frame `n` is the one that stands nearest to `n / rate`. This is how guides and stitches read a
/// clip, so their plans must be made from this count.
///
/// # Errors
/// Those of [`probe`]; [`MediaError::UnusableRate`].
pub fn probe_at(path: &Path, rate: Rate, on: &dyn Watch) -> Result<ClipInfo, MediaError> {
    count(Clip::open(path, Some(rate))?, on)
}

fn count(mut clip: Clip, on: &dyn Watch) -> Result<ClipInfo, MediaError> {
    while clip.next_frame()?.is_some() {
        step(on, clip.position().into(), 0)?;
    }
    Ok(ClipInfo::of(&clip))
}

impl ClipInfo {
    /// Of a clip that was read to its end.
    pub(crate) fn of(clip: &Clip) -> Self {
        Self {
            dims: clip.dims(),
            frames: clip.position(),
            rate: clip.rate(),
            constant_rate: clip.is_constant_rate(),
            lossless_rgb: clip.is_lossless_rgb(),
        }
    }
}
