//! What can be asked of the layout.

use serde::{Deserialize, Serialize};
use travel::Grid;

/// The parameters; `schemas/orchestrate.json` describes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Whether each segment continues the one before it where they overlap.
    pub chain: bool,
    /// Frames that the last still of a segment is held for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor_hold: Option<Hold<1, 1000>>,
    /// The same less one, under its older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_frame_duplication: Option<Hold<0, 999>>,
}

impl Default for Params {
    fn default() -> Self {
        Self { chain: true, anchor_hold: None, last_frame_duplication: None }
    }
}

impl Params {
    /// Frames that the last still of a segment is held for: what is asked, but not fewer than the mask needs.
    #[must_use]
    pub fn hold(&self, grid: &Grid) -> u32 {
        let asked = self.anchor_hold.map_or(1, |h| h.0).max(self.last_frame_duplication.map_or(0, |h| h.0) + 1);
        asked.max(grid.anchor_hold).max(1)
    }
}

/// A number of frames in `MIN..=MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Hold<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> TryFrom<u32> for Hold<MIN, MAX> {
    type Error = String;

    fn try_from(frames: u32) -> Result<Self, String> {
        if (MIN..=MAX).contains(&frames) { Ok(Self(frames)) } else { Err(format!("{frames} is outside {MIN}…{MAX}")) }
    }
}

impl<const MIN: u32, const MAX: u32> From<Hold<MIN, MAX>> for u32 {
    fn from(hold: Hold<MIN, MAX>) -> Self {
        hold.0
    }
}
