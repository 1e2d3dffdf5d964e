//! Whether a generator's clip is what was asked for. Its word is not trusted, its file is.
//!
//! Black and frozen clips are what models return when they fail in silence: a decoder that met a NaN, a sampler that never
//! ran. They are held against the frames that the guide gave, so that a film that is black, or still, where its pictures are
//! passes.

use crate::error::EngineError;
use crate::limits::{ANCHORS_APART, BLACK_LUMA, LIT_LUMA, STILL_DIFFERENCE};
use travel::{Dims, Rate};
use travel_media::Survey;

/// What a clip is held against.
pub(super) struct Wanted<'a> {
    pub(super) generator: &'a str,
    pub(super) frames: u32,
    pub(super) dims: Dims,
    pub(super) rate: Rate,
    pub(super) allow_still: bool,
}

impl Wanted<'_> {
    /// # Errors
    /// [`EngineError::WrongClip`], [`EngineError::BlackClip`], [`EngineError::FrozenClip`].
    pub(super) fn verify(&self, got: &Survey) -> Result<(), EngineError> {
        let generator = || self.generator.to_owned();
        let (info, rate) = (&got.info, self.rate.reduced());
        if (info.frames, info.dims, info.rate.reduced()) != (self.frames, self.dims, rate) {
            let say = |frames: u32, dims: Dims, rate: Rate| format!("{frames} frames of {dims} at {rate} a second");
            return Err(EngineError::WrongClip {
                generator: generator(),
                got: say(info.frames, info.dims, info.rate),
                want: say(self.frames, self.dims, self.rate),
            });
        }
        let Some(known) = got.known else { return Ok(()) };
        if got.brightest < BLACK_LUMA && known.brightest >= LIT_LUMA {
            return Err(EngineError::BlackClip {
                generator: generator(),
                brightest: got.brightest,
                anchors: known.brightest,
            });
        }
        if !self.allow_still && got.farthest <= STILL_DIFFERENCE && known.apart >= ANCHORS_APART {
            return Err(EngineError::FrozenClip {
                generator: generator(),
                farthest: got.farthest,
                anchors: known.apart,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel_media::{ClipInfo, Known};

    const DIMS: Dims = Dims { width: 96, height: 64 };
    const RATE: Rate = Rate { num: 16, den: 1 };

    fn code(brightest: f64, farthest: f64, known: Option<(f64, f64)>, allow_still: bool) -> Option<&'static str> {
        let info = ClipInfo { dims: DIMS, frames: 9, rate: RATE, constant_rate: true, lossless_rgb: true };
        let known = known.map(|(brightest, apart)| Known { frames: 2, brightest, apart, off: 0.0, off_most: 0.0 });
        let wanted = Wanted { generator: "wan", frames: 9, dims: DIMS, rate: RATE, allow_still };
        wanted.verify(&Survey { info, brightest, farthest, known }).err().map(|e| {
            assert!(e.is_retryable(), "{e}");
            e.code()
        })
    }

    #[test]
    fn black_is_refused_unless_the_anchors_are_black_or_nobody_knows_them() {
        assert_eq!(code(1.0, 0.0, Some((90.0, 60.0)), false), Some("black_clip"));
        assert_eq!(code(1.0, 0.0, Some((90.0, 60.0)), true), Some("black_clip"));
        assert_eq!(code(1.0, 0.0, Some((2.0, 1.0)), false), None);
        assert_eq!(code(2.9, 9.0, Some((4.0, 1.0)), false), None, "a night that came back a little darker");
        assert_eq!(code(1.0, 0.0, None, false), None);
    }

    #[test]
    fn a_frozen_clip_is_refused_unless_the_anchors_are_alike_or_it_is_allowed() {
        assert_eq!(code(90.0, 0.4, Some((90.0, 60.0)), false), Some("frozen_clip"));
        assert_eq!(code(90.0, 0.4, Some((90.0, 60.0)), true), None);
        assert_eq!(code(90.0, 0.0, Some((90.0, 0.0)), false), None);
        assert_eq!(code(90.0, 1.1, Some((90.0, 4.0)), false), None, "however little moves");
    }
}
