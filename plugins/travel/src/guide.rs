//! One segment → its guide: repeated frames, fades, stills, and what of it the generator keeps.
//!
//! Painter's order: the frames repeated from what precedes, the start still's fade, the end still's fade over it, and the
//! stills themselves last, so that no fade ever covers one. Between them the neutral canvas shows.

mod fades;
mod overlap;
mod params;

pub use params::{Fade, Params};

use crate::Travel;
use travel::fit::Fit;
use travel::guide::{Layer, Plan, Request, Show};
use travel::{KeyFrame, MediumId, Refusal, Span, Weight};
use travel_plugin::{Guide, keep};

/// The parameters' JSON Schema.
pub const SCHEMA: &str = include_str!("../schemas/guide.json");

impl Guide for Travel {
    fn compose(request: &Request) -> Result<Plan, Refusal> {
        let params: Params = travel_plugin::params(&request.params)?;
        let total = request.place.total;
        let stills = Stills::of(request)?;
        let repeated = request.previous.map(|(medium, span)| (medium, span.start, span.count.min(total)));
        let repeated_frames = repeated.map_or(0, |(_, _, count)| count);
        let returning = request.next.filter(|(_, span)| (1..=total).contains(&span.count));
        let returns_at = returning.map(|(_, span)| Span::new(total.saturating_sub(span.count), span.count));

        let mut layers = Vec::new();
        layers.extend(overlap::layer(repeated, &params));
        layers.extend(
            returning.zip(returns_at).map(|((medium, span), at)| returning_layer(medium, span.start, at, params.fit)),
        );
        layers.extend(fades::start(&stills, total, &params));
        layers.extend(fades::end(&stills, repeated_frames, &params));
        layers.extend(
            stills.all.iter().filter(|(key, _)| key.strength > 0.0).map(|(key, at)| still_layer(key, *at, params.fit)),
        );

        // A still that lets the canvas through is a hint like a fade: to keep it would be to keep the grey.
        let kept_stills = stills.all.iter().filter(|(key, _)| key.strength >= 1.0).map(|(_, at)| *at);
        let keep = keep::union(std::iter::once(Span::new(0, repeated_frames)).chain(returns_at).chain(kept_stills));
        Ok(Plan { layers, keep, extras: Vec::new() })
    }
}

/// The film's beginning once more, as it is: nothing of it is to be generated again.
fn returning_layer(medium: MediumId, first: u32, at: Span, fit: Fit) -> Layer {
    Layer::Show(Show { at, medium, first, fit, opacity: Weight::ONE, tone: None })
}

fn still_layer(key: &KeyFrame, at: Span, fit: Fit) -> Layer {
    Layer::Show(Show { at, medium: key.still, first: 0, fit, opacity: Weight::Constant(key.strength), tone: None })
}

/// The segment's stills with the frames that they cover; the ones at its ends are the ones that fade.
struct Stills<'a> {
    all: Vec<(&'a KeyFrame, Span)>,
    start: Option<(&'a KeyFrame, Span)>,
    end: Option<(&'a KeyFrame, Span)>,
    /// The first frame of the end still, or the segment's length without one.
    end_from: u32,
}

impl<'a> Stills<'a> {
    fn of(request: &'a Request) -> Result<Self, Refusal> {
        let total = request.place.total;
        let mut all = Vec::with_capacity(request.key_frames.len());
        for key in &request.key_frames {
            let Some(at) = key.span(total) else {
                return Err(Refusal::Unsupported(format!(
                    "a key-frame at frame {} for {} frames leaves the segment's {total}",
                    key.at, key.hold
                )));
            };
            all.push((key, at));
        }
        let start = all.iter().copied().find(|(key, _)| key.at == 0);
        // Behind the last one there is nothing more, or the film's beginning again.
        let last = request.next.map_or(total.saturating_sub(1), |(_, span)| total.saturating_sub(span.count));
        let end = all.iter().copied().find(|(key, _)| key.at != 0 && key.at == last);
        let end_from = end.map_or(total, |(_, at)| at.start);
        Ok(Self { all, start, end, end_from })
    }
}
