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

/// Takes what fills a gap.
pub trait Emit {
    /// Takes one frame after the other, in order; an error ends the gap.
    fn frame(&mut self, frame: &RgbFrame) -> Result<(), GeneratorError>;

    /// Asked between frames, where one takes long; an error ends the gap.
    fn go_on(&self) -> Result<(), GeneratorError> {
        Ok(())
    }
}

impl<F: FnMut(&RgbFrame) -> Result<(), GeneratorError>> Emit for F {
    fn frame(&mut self, frame: &RgbFrame) -> Result<(), GeneratorError> {
        self(frame)
    }
}

/// Fills gaps.
pub(crate) trait Fill {
    /// Emits exactly `gap.frames` frames.
    fn fill(&self, gap: &Gap<'_>, emit: &mut dyn Emit) -> Result<(), GeneratorError>;
}
