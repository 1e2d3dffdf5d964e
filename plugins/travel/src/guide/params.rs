//! What can be asked of a guide.

use crate::numbers::{Change, Share};
use serde::{Deserialize, Serialize};
use travel::easing::Easing;
use travel::fit::Fit;

/// The parameters; `schemas/guide.json` describes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How pictures of other proportions fill the canvas.
    pub fit: Fit,
    /// Of the end still.
    pub fade_in: Fade,
    /// Of the start still, or of the repeated frames.
    pub fade_out: Fade,
    /// Added to the strength of repeated frames.
    pub subsequent_starting_strength_adjustment: Change,
    /// How much of their colour repeated frames lose.
    pub desaturate_subsequent_starting_frames: Share,
    /// How much darker repeated frames become.
    pub adjust_brightness_subsequent_starting_frames: Change,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            fit: Fit::default(),
            fade_in: Fade::default(),
            fade_out: Fade::default(),
            subsequent_starting_strength_adjustment: Change::default(),
            desaturate_subsequent_starting_frames: Share::ZERO,
            adjust_brightness_subsequent_starting_frames: Change::default(),
        }
    }
}

/// A fade between full and low opacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fade {
    /// Opacity at the far end.
    pub low_point: Share,
    /// Opacity beside the still.
    pub high_point: Share,
    /// The curve between them.
    pub curve_type: Easing,
    /// Share of the free frames.
    pub duration_factor: Share,
}

impl Default for Fade {
    fn default() -> Self {
        Self {
            low_point: Share::ZERO,
            high_point: Share::ONE,
            curve_type: Easing::default(),
            duration_factor: Share::ZERO,
        }
    }
}

impl Fade {
    /// Frames of the fade when so many are free.
    #[must_use]
    pub fn steps(&self, free: u32) -> u32 {
        // In range: a share of a `u32`.
        (f64::from(free) * self.duration_factor.get()).floor() as u32
    }

    /// Opacity at `t`, 0 far from the still and 1 beside it.
    #[must_use]
    pub fn at(&self, t: f64) -> f64 {
        let (low, high) = (self.low_point.get(), self.high_point.get());
        low + (high - low) * self.curve_type.at(t)
    }
}
