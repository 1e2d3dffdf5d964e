//! Asks the guide and cross-fade plugins everything once before a run is stored, so that a plugin that crashes, hangs or
//! answers nonsense is found by the person who submits, and not by a generator hours later.
//!
//! Guides are asked what their segments will really ask. The cross-fade is asked about joins whose two sides are equal, as
//! nothing is rendered yet: it may still fail on what is measured later.

use crate::error::EngineError;
use crate::guide_request::{Film, guide_request};
use crate::planning::Planned;
use rayon::prelude::*;
use travel::crossfade::{Colour, Join, Request};
use travel::orchestrate::Task;
use travel::{MediumId, MediumInfo, MediumKind, Segment, Source};
use travel_sandbox::{CallContext, Plugin};

/// A mid-grey frame of even contrast.
const NEUTRAL: Colour = Colour { mean: [0.5; 3], deviation: [0.1; 3] };

/// Composes every guide of a planned film, several at a time, and throws the plans away.
pub(crate) fn guides(
    plugin: &Plugin,
    planned: &Planned,
    film: &Film<'_>,
    context: &CallContext,
) -> Result<(), EngineError> {
    let first = planned.graph.segments().next().map(|(_, first)| first.place.total);
    let rehearse = |segment: &Segment| {
        let previous = match segment.continues {
            Source::Nothing => None,
            Source::Continued => planned.request.continued.map(|c| (c.dims, c.frames)),
            Source::Segment(node) => match planned.graph.nodes.get(node as usize).map(|n| &n.task) {
                Some(Task::Segment(before)) => Some((film.canvas, before.place.total)),
                _ => None,
            },
        };
        let next = first.filter(|_| segment.returns).map(|frames| (film.canvas, frames, planned.request.wrap));
        plugin.guide(&guide_request(segment, film, previous, next)?, context)?;
        Ok(())
    };
    let segments: Vec<&Segment> = planned.graph.segments().map(|(_, segment)| segment).collect();
    let rehearsed: Vec<Result<(), EngineError>> = segments.into_par_iter().map(rehearse).collect();
    // Of several that fail the first is told.
    rehearsed.into_iter().collect()
}

/// Composes the edit list of a planned film over joins without a difference, and throws it away.
pub(crate) fn crossfade(
    plugin: &Plugin,
    planned: &Planned,
    params: String,
    context: &CallContext,
) -> Result<(), EngineError> {
    let request = &planned.request;
    let continued = request.continued.map(|c| (c.dims, c.frames, 0));
    let segments = planned.graph.segments().map(|(_, s)| (request.canvas, s.place.total, s.place.overlap));
    let mut clips: Vec<_> = continued.into_iter().chain(segments).collect();
    if request.wrap > 0 {
        if let Some((_, frames, _)) = clips.last_mut() {
            *frames = frames.saturating_sub(request.wrap);
        }
        if let Some((_, _, overlap)) = clips.first_mut() {
            *overlap = request.wrap;
        }
        clips.insert(0, (request.canvas, request.wrap, 0));
    }
    let infos = (0u32..).zip(&clips).map(|(i, &(dims, frames, _))| MediumInfo {
        id: MediumId(i),
        kind: MediumKind::Clip,
        dims,
        frames,
        rate: request.rate,
    });
    let joins = clips.iter().skip(1).map(|&(_, _, overlap)| {
        let frames = overlap.max(1) as usize;
        Join { overlap, left: vec![NEUTRAL; frames], right: vec![NEUTRAL; frames], likeness: vec![1.0; frames] }
    });
    let request = Request { clips: infos.collect(), joins: joins.collect(), rate: request.rate, params };
    plugin.crossfade(&request, context)?;
    Ok(())
}
