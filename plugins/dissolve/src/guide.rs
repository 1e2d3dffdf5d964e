//! One segment → its guide: a dissolve between its ends, its stills on top.
//!
//! By default the generator is told to keep all of it, so that the film is the dissolve whatever the generator: a quick
//! draft of a film's timing. With `keep = "anchors"` the dissolve is only a hint between the stills.

use crate::Dissolve;
use serde::Deserialize;
use travel::fit::Fit;
use travel::guide::{Layer, Plan, Request, Show};
use travel::{MediumId, Refusal, Span, Weight};
use travel_plugin::{Guide, keep};

/// A clip's frame cannot be held by one layer; beyond so many, the end dissolves in over grey instead.
const MOST_HELD_FRAMES: u32 = 1024;

/// The parameters' JSON Schema.
pub(crate) const SCHEMA: &str = include_str!("../schemas/guide.json");

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    keep: Keep,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Keep {
    #[default]
    All,
    Anchors,
}

impl Guide for Dissolve {
    fn compose(request: &Request) -> Result<Plan, Refusal> {
        let params: Params = travel_plugin::params(&request.params)?;
        let total = request.place.total;
        let stills: Vec<_> = request.key_frames.iter().filter_map(|key| Some((key, key.span(total)?))).collect();
        let start = stills.iter().find(|(key, _)| key.at == 0);
        let returning = request.next.filter(|(_, span)| (1..=total).contains(&span.count));
        let last = returning.map_or(total.saturating_sub(1), |(_, span)| total.saturating_sub(span.count));
        let end = stills.iter().find(|(key, _)| key.at != 0 && key.at == last);
        let repeated = request.previous.map(|(medium, span)| (medium, Span::new(span.start, span.count.min(total))));

        let mut layers = Vec::new();
        if let Some((medium, span)) = repeated.filter(|(_, span)| span.count > 0) {
            layers.push(show(Span::new(0, span.count), medium, span.start, Weight::ONE));
        }
        let from = start.and_then(|(_, at)| at.end()).unwrap_or(0).max(repeated.map_or(0, |(_, span)| span.count));
        let to = end.map_or(total, |(_, at)| at.start);
        let between = Span::new(from, to.saturating_sub(from));
        if between.count > 0 {
            match (start, repeated) {
                (Some((key, _)), _) => layers.push(show(between, key.still, 0, Weight::ONE)),
                // The last frame of what precedes, shown again and again.
                (None, Some((medium, span))) if span.count > 0 && between.count <= MOST_HELD_FRAMES => {
                    let last = span.start.saturating_add(span.count - 1);
                    layers.extend(between.frames().map(|f| show(Span::new(f, 1), medium, last, Weight::ONE)));
                }
                _ => {}
            }
            if let Some((key, _)) = end {
                layers.push(show(between, key.still, 0, rising(between.count)));
            }
        }
        let returns_at = returning.map(|(_, span)| Span::new(last, span.count));
        layers.extend(returning.zip(returns_at).map(|((medium, span), at)| show(at, medium, span.start, Weight::ONE)));
        for (key, at) in &stills {
            layers.push(show(*at, key.still, 0, Weight::Constant(key.strength)));
        }
        let anchors = stills.iter().filter(|(key, _)| key.strength >= 1.0).map(|(_, at)| *at);
        let anchors = repeated.map(|(_, span)| Span::new(0, span.count)).into_iter().chain(returns_at).chain(anchors);
        let keep = match params.keep {
            Keep::All => vec![Span::new(0, total)],
            Keep::Anchors => keep::union(anchors),
        };
        Ok(Plan { layers, keep, extras: Vec::new() })
    }
}

fn show(at: Span, medium: MediumId, first: u32, opacity: Weight) -> Layer {
    Layer::Show(Show { at, medium, first, fit: Fit::Cover, opacity, tone: None })
}

/// Strictly between 0 and 1: the pictures at both ends are the stills'.
fn rising(n: u32) -> Weight {
    Weight::Table((0..n).map(|i| (f64::from(i + 1) / (f64::from(n) + 1.0)) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::{Dims, Grid, KeyFrame, MediumInfo, MediumKind, Place, Rate};

    fn request(previous: Option<(MediumId, Span)>) -> Request {
        let medium = |id, kind, frames| MediumInfo {
            id: MediumId(id),
            kind,
            dims: Dims { width: 64, height: 64 },
            frames,
            rate: Rate { num: 16, den: 1 },
        };
        let key = |at, still, hold| KeyFrame { at, still: MediumId(still), strength: 1.0, hold };
        let overlap = previous.map_or(0, |(_, span)| span.count);
        Request {
            place: Place { index: 0, of: 1, new: 17, overlap, total: 17 + overlap },
            canvas: Dims { width: 64, height: 64 },
            rate: Rate { num: 16, den: 1 },
            key_frames: if overlap > 0 { vec![key(16 + overlap, 1, 4)] } else { vec![key(0, 0, 1), key(16, 1, 4)] },
            previous,
            next: None,
            grid: Grid::WAN,
            media: vec![
                medium(0, MediumKind::Still, 1),
                medium(1, MediumKind::Still, 1),
                medium(2, MediumKind::Clip, 40),
            ],
            params: r#"{"keep":"anchors"}"#.into(),
        }
    }

    #[test]
    fn the_film_is_the_dissolve_unless_the_generator_is_only_given_a_hint() {
        let request = Request { params: "{}".into(), ..request(None) };
        assert_eq!(Dissolve::compose(&request).unwrap().keep, [Span::new(0, 17)]);
    }

    #[test]
    fn schema_and_serde_know_the_same_values() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        assert_eq!(schema["properties"]["keep"]["enum"], serde_json::json!(["all", "anchors"]));
        for (params, good) in
            [(r#"{"keep":"all"}"#, true), (r#"{"keep":"anchors"}"#, true), (r#"{"keep":"some"}"#, false)]
        {
            assert_eq!(travel_plugin::params::<Params>(params).is_ok(), good, "{params}");
        }
    }

    #[test]
    fn every_frame_between_the_stills_shows_both() {
        let request = request(None);
        let plan = Dissolve::compose(&request).unwrap();
        plan.check(&request).unwrap();
        assert_eq!(plan.keep, [Span::new(0, 1), Span::new(13, 4)]);
        let Layer::Show(end) = &plan.layers[1] else { panic!() };
        assert_eq!((end.at, end.opacity.at(0, 12)), (Span::new(1, 12), 1.0 / 13.0));
    }

    #[test]
    fn a_later_segment_dissolves_from_the_last_frame_that_it_repeats() {
        let request = request(Some((MediumId(2), Span::new(35, 5))));
        let plan = Dissolve::compose(&request).unwrap();
        plan.check(&request).unwrap();
        assert_eq!(plan.keep, [Span::new(0, 5), Span::new(18, 4)]);
        let held = plan.layers.iter().filter(|l| matches!(l, Layer::Show(s) if s.first == 39 && s.at.count == 1));
        assert_eq!(held.count(), 13);
    }
}
