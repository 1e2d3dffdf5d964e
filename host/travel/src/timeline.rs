//! Where each frame of a graph stands in the film.

use crate::orchestrate::{Graph, Request};
use crate::segment::{Leg, Place};
use crate::{MediumId, Rate};
use serde::{Deserialize, Serialize};

/// A key-frame in the film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineKey {
    /// Film frame.
    pub film_frame: u32,
    /// Frame of the segment.
    pub segment_frame: u32,
    /// Which still, from 0.
    pub still: MediumId,
}

/// A segment in the film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineSegment {
    /// The node's key.
    pub key: String,
    /// Its lengths.
    pub place: Place,
    /// Film frame of its first frame, the overlap included.
    pub starts: u32,
    /// Film frame of its first new frame.
    pub new_from: u32,
    /// One past its last film frame.
    pub ends: u32,
    /// Keys of the nodes that it waits for.
    pub waits_for: Vec<String>,
    /// Its key-frames.
    pub key_frames: Vec<TimelineKey>,
    /// What the user asked of it.
    pub leg: Leg,
}

/// The whole film.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Of the film.
    pub rate: Rate,
    /// Frames of the film, continued video included.
    pub frames: u32,
    /// Frames of the continued video.
    pub continued: u32,
    /// In film order.
    pub segments: Vec<TimelineSegment>,
}

impl Timeline {
    /// The time line of a graph that [`Graph::check`] has passed.
    #[must_use]
    pub fn of(graph: &Graph, request: &Request) -> Self {
        let continued = request.continued.map_or(0, |c| c.frames);
        let mut frames = continued;
        let segments: Vec<TimelineSegment> = graph
            .segments()
            .map(|(index, segment)| {
                let place = segment.place;
                let starts = frames.saturating_sub(place.overlap);
                let new_from = frames;
                let repeats = if place.index.saturating_add(1) == place.of { request.wrap } else { 0 };
                frames = frames.saturating_add(place.new).saturating_sub(repeats);
                let node = graph.nodes.get(index as usize);
                let key_of = |i: &u32| graph.nodes.get(*i as usize).map(|n| n.key.clone());
                TimelineSegment {
                    key: node.map(|n| n.key.clone()).unwrap_or_default(),
                    place,
                    starts,
                    new_from,
                    ends: frames,
                    waits_for: node.map(|n| n.needs.iter().filter_map(key_of).collect()).unwrap_or_default(),
                    key_frames: segment
                        .key_frames
                        .iter()
                        .map(|k| TimelineKey {
                            film_frame: starts.saturating_add(k.at),
                            segment_frame: k.at,
                            still: k.still,
                        })
                        .collect(),
                    leg: segment.leg.clone(),
                }
            })
            .collect();
        let mut line = Self { rate: request.rate, frames, continued, segments };
        // What stands behind the end of a film that goes round stands at its beginning.
        for key in line.segments.iter_mut().flat_map(|segment| &mut segment.key_frames).filter(|_| request.wrap > 0) {
            key.film_frame = key.film_frame.checked_rem(frames).unwrap_or_default();
        }
        line
    }
}
