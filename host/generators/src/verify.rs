//! Whether a generator's clip is what was asked for. Its word is not trusted, its file is.
//!
//! Black and frozen clips are what models return when they fail in silence: a decoder that met a NaN, a sampler that never
//! ran. They are held against the frames that the guide gave, so that a film that is black, or still, where its pictures are
//! passes.

use crate::limits::{ANCHORS_APART, BLACK_LUMA, LIT_LUMA, STILL_DIFFERENCE};
use travel::{Dims, Rate};
use travel_media::{ClipInfo, Survey};

/// What a clip is held against.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its length.
    pub frames: u32,
    /// Its size, pixels.
    pub dims: Dims,
    /// Frames a second.
    pub rate: Rate,
    /// Whether nothing need move, though the guide's frames differ.
    pub allow_still: bool,
}

/// Why a clip is not accepted; brightness and differences in code values, 0 to 255.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// It is of another length, size or rate.
    #[error("a clip of {got}, but {want} was asked for")]
    Wrong {
        /// What came.
        got: String,
        /// What was asked for.
        want: String,
    },
    /// It is black where the guide is not.
    #[error(
        "a black clip: the mean luma of its brightest frame is {brightest:.1} of 255, \
             that of its anchors up to {anchors:.1}"
    )]
    Black {
        /// Mean luma of its brightest frame.
        brightest: f64,
        /// The same of the guide's frames.
        anchors: f64,
    },
    /// It stands still where the guide's frames differ.
    #[error(
        "a frozen clip: no frame differs from the first by more than {farthest:.2} of 255, \
             its anchors by {anchors:.1}"
    )]
    Frozen {
        /// How far its frames are from the first, at most.
        farthest: f64,
        /// How far the guide's are apart.
        anchors: f64,
    },
}

impl Wanted {
    /// Holds a clip's length, size and rate against this.
    ///
    /// # Errors
    /// [`Flaw::Wrong`].
    pub fn measure(&self, info: &ClipInfo) -> Result<(), Flaw> {
        let (got, want) =
            ((info.frames, info.dims, info.rate.reduced()), (self.frames, self.dims, self.rate.reduced()));
        let say = |(frames, dims, rate): (u32, Dims, Rate)| format!("{frames} frames of {dims} at {rate} a second");
        if got == want { Ok(()) } else { Err(Flaw::Wrong { got: say(got), want: say(want) }) }
    }

    /// Holds what was seen of a clip against this.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, got: &Survey) -> Result<(), Flaw> {
        self.measure(&got.info)?;
        let Some(known) = got.known else { return Ok(()) };
        if got.brightest < BLACK_LUMA && known.brightest >= LIT_LUMA {
            return Err(Flaw::Black { brightest: got.brightest, anchors: known.brightest });
        }
        if !self.allow_still && got.farthest <= STILL_DIFFERENCE && known.apart >= ANCHORS_APART {
            return Err(Flaw::Frozen { farthest: got.farthest, anchors: known.apart });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel_media::Known;

    const DIMS: Dims = Dims { width: 96, height: 64 };
    const RATE: Rate = Rate { num: 16, den: 1 };

    fn flaw(brightest: f64, farthest: f64, known: Option<(f64, f64)>, allow_still: bool) -> Option<&'static str> {
        let info = ClipInfo { dims: DIMS, frames: 9, rate: RATE, constant_rate: true, lossless_rgb: true };
        let known = known.map(|(brightest, apart)| Known { frames: 2, brightest, apart, off: 0.0, off_most: 0.0 });
        let wanted = Wanted { frames: 9, dims: DIMS, rate: RATE, allow_still };
        wanted.verify(&Survey { info, brightest, farthest, known }).err().map(|flaw| match flaw {
            Flaw::Wrong { .. } => "wrong",
            Flaw::Black { .. } => "black",
            Flaw::Frozen { .. } => "frozen",
        })
    }

    #[test]
    fn black_is_refused_unless_the_anchors_are_black_or_nobody_knows_them() {
        assert_eq!(flaw(1.0, 0.0, Some((90.0, 60.0)), false), Some("black"));
        assert_eq!(flaw(1.0, 0.0, Some((90.0, 60.0)), true), Some("black"));
        assert_eq!(flaw(1.0, 0.0, Some((2.0, 1.0)), false), None);
        assert_eq!(flaw(2.9, 9.0, Some((4.0, 1.0)), false), None, "a night that came back a little darker");
        assert_eq!(flaw(1.0, 0.0, None, false), None);
    }

    #[test]
    fn a_frozen_clip_is_refused_unless_the_anchors_are_alike_or_it_is_allowed() {
        assert_eq!(flaw(90.0, 0.4, Some((90.0, 60.0)), false), Some("frozen"));
        assert_eq!(flaw(90.0, 0.4, Some((90.0, 60.0)), true), None);
        assert_eq!(flaw(90.0, 0.0, Some((90.0, 0.0)), false), None);
        assert_eq!(flaw(90.0, 1.1, Some((90.0, 4.0)), false), None, "however little moves");
    }
}
