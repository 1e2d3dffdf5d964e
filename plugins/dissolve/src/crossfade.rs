//! All clips → the film: a line over each overlap.

use crate::Dissolve;
use serde::Deserialize;
use travel::crossfade::{Blend, Copy, Join, Mixing, Plan, Request, Step};
use travel::{Refusal, Span, Tone, Weight};
use travel_plugin::Crossfade;

/// The parameters' JSON Schema.
pub(crate) const SCHEMA: &str = include_str!("../schemas/crossfade.json");

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    flash_free: bool,
}

impl Crossfade for Dissolve {
    fn compose(request: &Request) -> Result<Plan, Refusal> {
        let params: Params = travel_plugin::params(&request.params)?;
        let mut steps = Vec::with_capacity(request.clips.len() * 2);
        let mut begin = 0;
        for (i, clip) in request.clips.iter().enumerate() {
            let next = request.joins.get(i).zip(request.clips.get(i + 1));
            let overlap = next.map_or(0, |(join, _)| join.overlap);
            let end = clip.frames.checked_sub(overlap).filter(|end| *end >= begin).ok_or_else(|| {
                Refusal::Unsupported(format!("clip {i} has {} frames, too few for its overlaps", clip.frames))
            })?;
            if end > begin {
                steps.push(Step::Copy(Copy { clip: clip.id, at: Span::new(begin, end - begin), tone: None }));
            }
            if let Some((join, next)) = next.filter(|_| overlap > 0) {
                steps.push(Step::Blend(Blend {
                    left: clip.id,
                    left_start: end,
                    left_tone: None,
                    right: next.id,
                    right_start: 0,
                    right_tone: if params.flash_free { brightness(join) } else { None },
                    count: overlap,
                    w: Weight::Table((0..overlap).map(|k| line(k, overlap) as f32).collect()),
                    mixing: Mixing::Coded,
                    sharpen: Weight::ZERO,
                }));
            }
            begin = overlap;
        }
        Ok(Plan { steps, extras: Vec::new() })
    }
}

fn line(i: u32, n: u32) -> f64 {
    f64::from(i + 1) / (f64::from(n) + 1.0)
}

/// What the later clip's brightness lacks, frame by frame, less and less as the fade goes on; so that nothing is left to
/// jump when it stands alone. A tone has one direction: frames that lack in the other one are left as they are.
fn brightness(join: &Join) -> Option<Tone> {
    let lacks: Vec<f64> = (0..join.overlap)
        .zip(join.left.iter().zip(&join.right))
        .map(|(i, (left, right))| {
            let [left, ..] = left.mean;
            let [right, ..] = right.mean;
            let lack = (f64::from(left) - f64::from(right)) * (1.0 - line(i, join.overlap));
            if lack.is_finite() { lack } else { 0.0 }
        })
        .collect();
    if lacks.len() != join.overlap as usize {
        return None;
    }
    let sum: f64 = lacks.iter().sum();
    let direction = if sum < 0.0 { -1.0 } else { 1.0 };
    let most = lacks.iter().map(|lack| lack * direction).fold(0.0, f64::max).min(1.0);
    if most < 0.002 {
        return None;
    }
    let amount = lacks.iter().map(|lack| (lack * direction / most).clamp(0.0, 1.0) as f32).collect();
    Some(Tone { gain: [1.0; 3], offset: [(most * direction) as f32, 0.0, 0.0], amount: Weight::Table(amount) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::crossfade::Colour;
    use travel::{Dims, MediumId, MediumInfo, MediumKind, Rate};

    fn request(params: &str) -> Request {
        let clip = |id, frames| MediumInfo {
            id: MediumId(id),
            kind: MediumKind::Clip,
            dims: Dims { width: 64, height: 64 },
            frames,
            rate: Rate { num: 16, den: 1 },
        };
        let colour = |y| Colour { mean: [y, 0.5, 0.5], deviation: [0.1; 3] };
        let join = |n: usize| Join {
            overlap: n as u32,
            left: vec![colour(0.4); n.max(1)],
            right: vec![colour(0.5); n.max(1)],
            likeness: vec![0.9; n.max(1)],
        };
        Request {
            clips: vec![clip(0, 17), clip(1, 21), clip(2, 9)],
            joins: vec![join(4), join(0)],
            rate: Rate { num: 16, den: 1 },
            params: params.into(),
        }
    }

    #[test]
    fn the_plan_fits_and_the_line_is_strictly_between_the_clips() {
        for params in ["{}", r#"{"flash_free":true}"#] {
            let request = request(params);
            let plan = Dissolve::compose(&request).unwrap();
            plan.check(&request).unwrap();
            let Step::Blend(blend) = &plan.steps[1] else { panic!() };
            assert_eq!(blend.w, Weight::Table(vec![0.2, 0.4, 0.6, 0.8]));
            assert_eq!(blend.right_tone.is_some(), params != "{}");
        }
    }

    #[test]
    fn schema_and_serde_know_the_same_fields() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["flash_free"]);
        assert!(travel_plugin::params::<Params>(r#"{"flash_free":true}"#).is_ok());
        assert!(travel_plugin::params::<Params>(r#"{"flash":true}"#).is_err());
    }
}
