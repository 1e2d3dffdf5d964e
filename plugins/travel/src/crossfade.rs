//! All clips → the film: copies, and a fade over each overlap.

mod colour_match;
mod curve;
mod params;
mod window;

pub use params::{ColourMatch, Curve, Mix, Params};

use crate::Travel;
use colour_match::{Correction, corrections};
use travel::crossfade::{Blend, Copy, Join, Mixing, Plan, Request, Step};
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
        let mut before = 0;
        for (i, (clip, correction)) in clips.iter().zip(&corrections).enumerate() {
            let join = request.joins.get(i);
            let fade = join.map_or(Span::new(0, 0), |join| window::of(join, params.fade_frames));
            // From where the clip before has ended to where the fade begins; then, or after the last frame, the next one.
            let end = clip.info.frames.saturating_sub(clip.after).saturating_add(fade.start);
            for own in correction.evenly(Span::new(before, end.saturating_sub(before))) {
                steps.push(Step::Copy(Copy { clip: clip.info.id, at: own, tone: correction.tone(own) }));
            }
            let next = clips.get(i + 1).zip(corrections.get(i + 1)).zip(join);
            if let Some(((next, next_correction), join)) = next.filter(|_| fade.count > 0) {
                let mixing = mixing(params.mixing, join);
                let sides = [(clip, correction, end), (next, next_correction, fade.start)];
                steps.push(Step::Blend(blend(sides, fade.count, mixing, &params)));
            }
            before = fade.start.saturating_add(fade.count);
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

/// Two clips with their corrections, from these frames on.
fn blend(
    [(left, left_correction, left_start), (right, right_correction, right_start)]: [(&Clip<'_>, &Correction, u32); 2],
    count: u32,
    mixing: Mixing,
    params: &Params,
) -> Blend {
    Blend {
        left: left.info.id,
        left_start,
        left_tone: left_correction.tone(Span::new(left_start, count)),
        right: right.info.id,
        right_start,
        right_tone: right_correction.tone(Span::new(right_start, count)),
        count,
        w: curve::weight(params.curve, count),
        mixing,
        sharpen: curve::sharpen(params.curve, params.sharpen(), count),
    }
}

/// Mean SSIM of the two sides below which they are seen twice in a mix of code values.
const UNLIKE: f32 = 0.9;

fn mixing(wished: Mix, join: &Join) -> Mixing {
    match wished {
        Mix::Coded => Mixing::Coded,
        Mix::LinearLight => Mixing::LinearLight,
        Mix::Aligned => Mixing::Aligned,
        Mix::Auto => {
            let sum: f32 = join.likeness.iter().filter(|likeness| likeness.is_finite()).sum();
            let is_unlike = sum < UNLIKE * join.likeness.len() as f32;
            if is_unlike { Mixing::Aligned } else { Mixing::Coded }
        }
    }
}
