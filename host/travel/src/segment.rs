//! A segment: its place, its key-frames, what it continues.

use crate::medium::MediumId;
use serde::{Deserialize, Serialize};

/// Where a segment stands among the others, and its lengths in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From 0.
    pub index: u32,
    /// How many segments the film has.
    pub of: u32,
    /// Frames that it adds to the film; 1 or more.
    pub new: u32,
    /// Frames shared with what precedes it; 0 for a cut.
    pub overlap: u32,
    /// `new + overlap`: what the generator renders.
    pub total: u32,
}

/// A still that the segment must pass through.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KeyFrame {
    /// Frame of the segment, `0 .. total`.
    pub at: u32,
    /// Which still.
    pub still: MediumId,
    /// 1 shows it fully; less lets the canvas through. In 0…1.
    pub strength: f32,
    /// Frames (1 or more), ending at `at` when `at` is the last frame, else starting there.
    pub hold: u32,
}

impl KeyFrame {
    /// The frames that it covers in a segment of `total` frames; `None` when they leave it.
    #[must_use]
    pub fn span(&self, total: u32) -> Option<crate::Span> {
        let start = if self.at.checked_add(1)? == total { total.checked_sub(self.hold)? } else { self.at };
        let span = crate::Span::new(start, self.hold);
        span.is_within(total).then_some(span)
    }
}

/// What the user asked of one leg; single values are already repeated for every leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// For the generator.
    pub prompt: String,
    /// What to avoid.
    pub negative_prompt: String,
    /// Frames that the leg adds to the film; 1 or more.
    pub new: u32,
    /// Frames shared with what precedes it; 0 for a cut.
    pub overlap: u32,
    /// For the generator's randomness.
    pub seed: u64,
    /// For the generator alone; a JSON object.
    pub settings: String,
}

/// Where a segment's first `overlap` frames come from. Nodes are named by their index in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Generated on its own.
    Nothing,
    /// The video that the film continues.
    Continued,
    /// An earlier segment.
    Segment(u32),
}

/// One clip to generate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Its lengths.
    pub place: Place,
    /// Stills that it passes through, in rising order.
    pub key_frames: Vec<KeyFrame>,
    /// What its overlap repeats.
    pub continues: Source,
    /// Whether its end repeats the film's beginning.
    #[serde(default)]
    pub returns: bool,
    /// What the user asked.
    pub leg: Leg,
}
