//! All clips → the film: copies, and a fade over each overlap.

mod colour_match;
mod curve;
mod params;

pub use params::{ColourMatch, Curve, Params};

use crate::Travel;
use colour_match::{Correction, corrections};
use travel::crossfade::{Blend, Copy, Plan, Request, Step};
use travel::{MediumInfo, Refusal, Span};
use travel_plugin::Crossfade;

/// The parameters' JSON Schema.
pub const SCHEMA: &str = include_str!("../schemas/crossfade.json");

impl Crossfade for Travel {
    fn compose(request: &Request) -> Result<Plan, Refusal> {
        let params: Params = travel_plugin::params(&request.params)?;
        let clips = clips(request)?;
        let corrections = corrections(&clips, &request.joins, params.colour_match());
        let mut steps = Vec::with_capacity(clips.len() * 2);
        let mut pairs = clips.iter().zip(&corrections).peekable();
        while let Some((clip, correction)) = pairs.next() {
            let own = Span::new(clip.before, clip.own());
            if own.count > 0 {
                steps.push(Step::Copy(Copy { clip: clip.info.id, at: own, tone: correction.tone(own) }));
            }
            if let Some((next, next_correction)) = pairs.peek().filter(|_| clip.after > 0) {
                steps.push(Step::Blend(blend(clip, correction, next, next_correction, &params)));
            }
        }
        Ok(Plan { steps, extras: Vec::new() })
    }
}

/// A clip with the overlaps at its two ends.
#[derive(Debug, Clone, Copy)]
struct Clip<'a> {
    info: &'a MediumInfo,
    before: u32,
    after: u32,
}

impl Clip<'_> {
    /// Frames that belong to no overlap.
    fn own(&self) -> u32 {
        self.info.frames.saturating_sub(self.before).saturating_sub(self.after)
    }
}

fn clips(request: &Request) -> Result<Vec<Clip<'_>>, Refusal> {
    if request.clips.is_empty() || request.joins.len() + 1 != request.clips.len() {
        return Err(Refusal::Unsupported(format!(
            "{} clips cannot have {} joins",
            request.clips.len(),
            request.joins.len()
        )));
    }
    let befores = std::iter::once(0).chain(request.joins.iter().map(|j| j.overlap));
    let afters = request.joins.iter().map(|j| j.overlap).chain(std::iter::once(0));
    let clips: Vec<Clip<'_>> = request
        .clips
        .iter()
        .zip(befores.zip(afters))
        .map(|(info, (before, after))| Clip { info, before, after })
        .collect();
    for (i, clip) in clips.iter().enumerate() {
        if clip.before.checked_add(clip.after).is_none_or(|both| both > clip.info.frames) {
            return Err(Refusal::Unsupported(format!(
                "clip {i} has {} frames, too few for overlaps of {} and {}: two fades would reach into one another",
                clip.info.frames, clip.before, clip.after
            )));
        }
    }
    Ok(clips)
}

fn blend(
    left: &Clip<'_>,
    left_correction: &Correction,
    right: &Clip<'_>,
    right_correction: &Correction,
    params: &Params,
) -> Blend {
    let count = left.after;
    let left_start = left.info.frames.saturating_sub(count);
    Blend {
        left: left.info.id,
        left_start,
        left_tone: left_correction.tone(Span::new(left_start, count)),
        right: right.info.id,
        right_start: 0,
        right_tone: right_correction.tone(Span::new(0, count)),
        count,
        w: curve::weight(params.curve, count),
        sharpen: curve::sharpen(params.curve, params.sharpen(), count),
    }
}
