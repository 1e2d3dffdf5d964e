//! A run of frames to generate between two kept ones.

use crate::error::GeneratorError;
use travel_media::RgbFrame;

/// A gap with a kept frame at either end; all frames are of one size.
#[derive(Debug, Clone, Copy)]
pub struct Gap<'a> {
    /// The frame just before `from`, when it is kept too: from the two the speed of arrival is read.
    pub before: Option<&'a RgbFrame>,
    /// The last kept frame before the gap.
    pub from: &'a RgbFrame,
    /// The first kept frame after it.
    pub to: &'a RgbFrame,
    /// Frames to generate, neither end included.
    pub frames: u32,
}

/// Takes one frame after the other, in order; an error ends the gap.
pub type Emit<'a> = dyn FnMut(&RgbFrame) -> Result<(), GeneratorError> + 'a;

/// Fills gaps.
pub(crate) trait Fill {
    /// Emits exactly `gap.frames` frames.
    fn fill(&self, gap: &Gap<'_>, emit: &mut Emit<'_>) -> Result<(), GeneratorError>;
}
