//! A rendered clip beside the guide that it was rendered from: counted, and looked at, in one decode.
//!
//! It measures and does not judge: what is too dark, or too still, is for the caller to say.

use crate::clip::Clip;
use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::pixels::to_rgb::to_rgb;
use crate::probe::ClipInfo;
use crate::reader::RgbReader;
use crate::watch::{Watch, step};
use std::path::Path;
use travel::Span;

/// Red's, green's and blue's share of luma (ITU-R BT.709-6 §3.2).
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];

/// What a clip holds and how it looks; numbers are in code values of 8-bit RGB, 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Survey {
    /// What [`crate::probe()`] would tell.
    pub info: ClipInfo,
    /// Mean luma of the brightest frame.
    pub brightest: f64,
    /// Mean absolute difference to the first frame, of the frame that differs most from it.
    pub farthest: f64,
    /// The frames that the guide gave; nothing when it gave none, or frames of another size.
    pub known: Option<Known>,
}

/// The frames of a guide that the clip was to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// How many the clip has.
    pub frames: u32,
    /// Mean luma of the brightest of them, in the guide.
    pub brightest: f64,
    /// Mean absolute difference of the first and the last of them, in the guide.
    pub apart: f64,
    /// Mean absolute difference of the clip's frames to the guide's.
    pub off: f64,
    /// The same of the frame that differs most.
    pub off_most: f64,
}

/// Decodes `clip` to its drained end, and of `guide` the frames that `keep` names.
///
/// # Errors
/// Those of [`crate::probe()`], of either clip.
pub fn survey(clip: &Path, guide: &Path, keep: &[Span], on: &dyn Watch) -> Result<Survey, MediaError> {
    let mut clip = Clip::open(clip, None)?;
    let mut guide = RgbReader::open(guide)?;
    let alike = guide.dims() == clip.dims();
    let (mut brightest, mut farthest) = (0.0f64, 0.0f64);
    let (mut first, mut known) = (None, Sight::default());
    loop {
        let at = clip.position();
        let Some(frame) = clip.next_frame()? else { break };
        let path = clip.path();
        let frame = clip.geometry().show(to_rgb(&frame, path)?, path)?;
        brightest = brightest.max(luma(&frame));
        if alike && is_in(keep, at) {
            guide.seek_to_frame(at)?;
            if let Some(truth) = guide.next() {
                known.see(truth?, &frame);
            }
        }
        match &first {
            None => first = Some(frame),
            Some(first) => farthest = farthest.max(difference(first, &frame)),
        }
        step(on, clip.position().into(), 0)?;
    }
    Ok(Survey { info: ClipInfo::of(&clip), brightest, farthest, known: known.end() })
}

/// Whether some span has this frame.
pub(crate) fn is_in(spans: &[Span], frame: u32) -> bool {
    spans.iter().any(|span| frame >= span.start && frame - span.start < span.count)
}

/// The guide's frames as they pass.
#[derive(Default)]
struct Sight {
    frames: u32,
    brightest: f64,
    off: f64,
    off_most: f64,
    first: Option<RgbFrame>,
    last: Option<RgbFrame>,
}

impl Sight {
    fn see(&mut self, truth: RgbFrame, returned: &RgbFrame) {
        let off = difference(&truth, returned);
        self.frames = self.frames.saturating_add(1);
        self.brightest = self.brightest.max(luma(&truth));
        (self.off, self.off_most) = (self.off + off, self.off_most.max(off));
        if self.first.is_none() {
            self.first = Some(truth);
        } else {
            self.last = Some(truth);
        }
    }

    fn end(self) -> Option<Known> {
        let first = self.first?;
        Some(Known {
            frames: self.frames,
            brightest: self.brightest,
            apart: self.last.map_or(0.0, |last| difference(&first, &last)),
            off: self.off / f64::from(self.frames.max(1)),
            off_most: self.off_most,
        })
    }
}

/// Mean luma of a frame.
fn luma(frame: &RgbFrame) -> f64 {
    let mut sums = [0u64; 3];
    for part in frame.data.chunks(3 << 15) {
        let mut narrow = [0u32; 3];
        for pixel in part.as_chunks::<3>().0 {
            narrow.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(*value));
        }
        sums.iter_mut().zip(narrow).for_each(|(sum, narrow)| *sum += u64::from(narrow));
    }
    let pixels = (frame.data.len() / 3).max(1) as f64;
    sums.iter().zip(LUMA).map(|(sum, share)| *sum as f64 * share).sum::<f64>() / pixels
}

/// Mean absolute difference of two frames of one size.
fn difference(a: &RgbFrame, b: &RgbFrame) -> f64 {
    // Narrow sums are summed several at a time, and 2¹⁵ samples cannot overflow them.
    let parts = a.data.chunks(1 << 15).zip(b.data.chunks(1 << 15));
    let sum: u64 =
        parts.map(|(a, b)| u64::from(a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>())).sum();
    sum as f64 / a.data.len().max(1) as f64
}
