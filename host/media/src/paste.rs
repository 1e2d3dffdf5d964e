//! The frames that a guide gave, put back into a clip whose generator did not return them as they were.
//!
//! Models return known frames a little darker, softer or shifted in colour. Putting the true frame back alone would move that
//! step to the frame beside it, so what was corrected fades out over [`BLEND`] generated frames on either side. What fades is
//! the *difference* of the true frame to the returned one and not the true frame itself: nothing that moves is shown twice, and
//! a frame that came back exactly changes nothing around it.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::reader::RgbReader;
use crate::survey::is_in;
use std::collections::VecDeque;
use std::path::Path;
use travel::Span;

/// Generated frames beside a known one that take a part of its correction: a fifth of a second at 16 frames a second, in
/// which no eye finds a step.
pub const BLEND: u32 = 3;

/// What is put back.
#[derive(Debug, Clone, Copy)]
pub struct Paste<'a> {
    /// The clip with the true frames; as large as the one that they are put into.
    pub guide: &'a Path,
    /// Which frames those are.
    pub keep: &'a [Span],
}

impl<'a> Paste<'a> {
    /// The frames of `clip`, with the known ones put back.
    pub(crate) fn over(self, clip: RgbReader) -> Result<Pasted<'a>, MediaError> {
        let guide = RgbReader::open(self.guide)?;
        if guide.dims() != clip.dims() {
            let reason = format!("frames of {} cannot be put into a clip of {}", guide.dims(), clip.dims());
            return Err(MediaError::Mismatch(reason));
        }
        Ok(Pasted { guide, clip, keep: self.keep, at: 0, waiting: VecDeque::new(), last: None })
    }
}

/// A frame that is not handed out yet: the next known one may still correct it.
struct Waiting {
    frame: RgbFrame,
    known: bool,
}

/// See [`Paste::over`]. Holds [`BLEND`] frames and one correction.
pub(crate) struct Pasted<'a> {
    guide: RgbReader,
    clip: RgbReader,
    keep: &'a [Span],
    at: u32,
    waiting: VecDeque<Waiting>,
    /// The last known frame's place, and by how much it was corrected.
    last: Option<(u32, Vec<i16>)>,
}

impl Pasted<'_> {
    /// Takes the next frame in; false at the end.
    fn take(&mut self) -> Result<bool, MediaError> {
        let Some(mut frame) = self.clip.next().transpose()? else { return Ok(false) };
        let at = self.at;
        self.at = at.saturating_add(1);
        let known = is_in(self.keep, at);
        if known {
            self.guide.seek_to_frame(at)?;
            let path_end = || MediaError::Mismatch(format!("the guide ends before frame {at}"));
            let truth = self.guide.next().ok_or_else(path_end)??;
            let correction: Vec<i16> =
                truth.data.iter().zip(&frame.data).map(|(truth, got)| i16::from(*truth) - i16::from(*got)).collect();
            for (distance, before) in (1..=BLEND).zip(self.waiting.iter_mut().rev()) {
                if before.known {
                    break;
                }
                correct(&mut before.frame, &correction, distance);
            }
            (frame, self.last) = (truth, Some((at, correction)));
        } else if let Some((last, correction)) = &self.last
            && at - last <= BLEND
        {
            correct(&mut frame, correction, at - last);
        }
        self.waiting.push_back(Waiting { frame, known });
        Ok(true)
    }
}

impl Iterator for Pasted<'_> {
    type Item = Result<RgbFrame, MediaError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.len() <= BLEND as usize {
            match self.take() {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Some(Err(e)),
            }
        }
        self.waiting.pop_front().map(|waiting| Ok(waiting.frame))
    }
}

/// Adds the part of a correction that reaches so far.
fn correct(frame: &mut RgbFrame, correction: &[i16], distance: u32) {
    let share = 1.0 - distance as f32 / (BLEND + 1) as f32;
    for (value, by) in frame.data.iter_mut().zip(correction) {
        *value = (f32::from(*value) + share * f32::from(*by)).round().clamp(0.0, 255.0) as u8;
    }
}
