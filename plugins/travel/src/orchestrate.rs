//! One run → a graph: one segment between two stills, then the stitch.

mod key_frames;
mod params;

pub use params::Params;

use crate::Travel;
use travel::lengths::{LegLength, LengthError, lay_out};
use travel::orchestrate::{Graph, Node, Request, Stitch, Task};
use travel::{Place, Refusal, Segment, Source};
use travel_plugin::Orchestrate;

/// The parameters' JSON Schema.
pub const SCHEMA: &str = include_str!("../schemas/orchestrate.json");

impl Orchestrate for Travel {
    fn legs(stills: u32, continued: bool, params: &str) -> Result<u32, Refusal> {
        let Params { .. } = travel_plugin::params(params)?;
        match (stills, continued) {
            (0, _) => Err(Refusal::Unsupported("a travel needs at least one still".into())),
            (stills, true) => Ok(stills),
            // A single still with nothing before it: one leg that begins there and goes where the model takes it.
            (stills, false) => Ok((stills - 1).max(1)),
        }
    }

    fn expand(request: &Request) -> Result<Graph, Refusal> {
        let params: Params = travel_plugin::params(&request.params)?;
        let of = legs(request)?;
        let mut lengths: Vec<LegLength> =
            request.legs.iter().map(|leg| LegLength { new: leg.new, overlap: leg.overlap }).collect();
        if let Some(last) = lengths.last_mut() {
            last.new = last.new.saturating_add(request.wrap);
        }
        let laid_out = lay_out(&lengths, request.continued.map(|c| c.frames), &request.grid).map_err(length_refusal)?;
        check_wrap(&laid_out.places, request.wrap)?;
        let mut nodes = Vec::with_capacity(laid_out.places.len() + 1);
        for (i, (place, leg)) in (0u32..).zip(laid_out.places.iter().zip(&request.legs)) {
            let continues = match i.checked_sub(1) {
                _ if place.overlap == 0 => Source::Nothing,
                None if request.continued.is_some() => Source::Continued,
                Some(before) if params.chain => Source::Segment(before),
                _ => Source::Nothing,
            };
            let wrap = if i + 1 == of { request.wrap } else { 0 };
            let returns = wrap > 0 && i > 0 && params.chain;
            let before = if let Source::Segment(before) = continues { Some(before) } else { None };
            let first = Some(0).filter(|first| returns && before != Some(*first));
            nodes.push(Node {
                key: format!("segment-{i:02}"),
                needs: first.into_iter().chain(before).collect(),
                task: Task::Segment(Segment {
                    place: *place,
                    key_frames: key_frames::of(*place, continues, request, params.hold(&request.grid), wrap),
                    continues,
                    returns,
                    leg: leg.clone(),
                }),
                priority: 0,
                extras: Vec::new(),
            });
        }
        nodes.push(Node {
            key: "stitch".into(),
            needs: (0..of).collect(),
            task: Task::Stitch(Stitch { continued: request.continued.is_some(), segments: (0..of).collect() }),
            priority: 0,
            extras: Vec::new(),
        });
        Ok(Graph { nodes, film: of, notes: laid_out.notes })
    }
}

/// Whether the film's end finds room in its first segment, beside the join with the second.
fn check_wrap(places: &[Place], wrap: u32) -> Result<(), Refusal> {
    let (Some(first), Some(second)) = (places.first(), places.get(1)) else {
        return match wrap {
            0 => Ok(()),
            _ => Err(Refusal::Unsupported("a film of one segment has nothing to go round to: give more images".into())),
        };
    };
    let passing = wrap.saturating_add(second.overlap);
    if wrap == 0 || passing < first.new {
        return Ok(());
    }
    Err(Refusal::InvalidParams {
        pointer: "/frame_overlap".into(),
        reason: format!(
            "the film's end would pass into the first {wrap} frames of segment 0, and segment 1 share {} with it: it has {}, and \
             must keep one of them out of both fades; choose a shorter --frame-overlap or more --segment-frames",
            second.overlap, first.new
        ),
    })
}

/// The number of legs, once it is known to be the right one and to fit.
fn legs(request: &Request) -> Result<u32, Refusal> {
    let stills = u32::try_from(request.stills.len()).unwrap_or(u32::MAX);
    let legs = Travel::legs(stills, request.continued.is_some(), "{}")?;
    if u32::try_from(request.legs.len()) != Ok(legs) {
        return Err(Refusal::Unsupported(format!(
            "{stills} stills make {legs} legs, but {} were asked for",
            request.legs.len()
        )));
    }
    if legs >= request.max_nodes {
        return Err(Refusal::Unsupported(format!(
            "{legs} legs and their stitch are more than the {} tasks that a run may have",
            request.max_nodes
        )));
    }
    Ok(legs)
}

fn length_refusal(error: LengthError) -> Refusal {
    let pointer = match error {
        LengthError::OverlapTooLong { .. } | LengthError::OverlapWithNothing { .. } => "/frame_overlap",
        LengthError::NothingNew { .. } | LengthError::BeyondGenerator { .. } | LengthError::TooLong => {
            "/segment_frames"
        }
    };
    Refusal::InvalidParams { pointer: pointer.into(), reason: error.to_string() }
}
