//! What a generator can render.

use serde::{Deserialize, Serialize};

/// Lengths and sizes that a generator can render: Wan 4n+1 frames and sides of 16, LTX 8n+1 and 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Lengths are `step * n + offset`; 1 or more.
    pub step: u32,
    /// Below `step`.
    pub offset: u32,
    /// Shortest length, frames.
    pub min: u32,
    /// Longest length, frames.
    pub max: u32,
    /// Width and height are multiples of this; even.
    pub dims_multiple: u32,
    /// Frames that a key-frame must be held for its mask to survive the model's own shrinking of time.
    pub anchor_hold: u32,
    /// False when the generator reads the guide alone.
    pub wants_mask: bool,
}

impl Grid {
    /// Any length from 2 frames, any even size.
    pub const ANY: Self =
        Self { step: 1, offset: 0, min: 2, max: 100_000, dims_multiple: 2, anchor_hold: 1, wants_mask: true };
    /// Wan2.1 and Wan2.2 VACE: 4n+1 frames, sides of 16.
    pub const WAN: Self =
        Self { step: 4, offset: 1, min: 17, max: 1281, dims_multiple: 16, anchor_hold: 4, wants_mask: true };

    /// Frames to add to `total` to reach the grid.
    #[must_use]
    pub fn surplus(&self, total: u32) -> u32 {
        let step = self.step.max(1);
        let off = (total % step + step - self.offset % step) % step;
        if off == 0 { 0 } else { step - off }
    }

    /// Whether a clip of `total` frames can be rendered.
    #[must_use]
    pub fn holds(&self, total: u32) -> bool {
        (self.min..=self.max).contains(&total) && self.surplus(total) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_surplus_is_the_least_that_reaches_the_grid(step in 1u32..40, offset in 0u32..40, total in 0u32..10_000) {
            let grid = Grid { step, offset: offset % step, ..Grid::ANY };
            let s = grid.surplus(total);
            prop_assert!(s < step);
            prop_assert_eq!((total + s) % step, offset % step);
        }
    }
}
