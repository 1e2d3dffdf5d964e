//! The role `orchestrate`: one run → a graph of tasks.

use crate::invalid::{InvalidPlan, check_extras};
use crate::segment::{Leg, Place, Segment, Source};
use crate::{Dims, Extras, Grid, MediumId, MediumInfo, Rate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the orchestrator decides by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Stable for the run.
    pub run: String,
    /// Size of the film.
    pub canvas: Dims,
    /// Of the film.
    pub rate: Rate,
    /// In the order of the film.
    pub stills: Vec<MediumInfo>,
    /// A clip that the film begins with.
    pub continued: Option<MediumInfo>,
    /// As many as the strategy asked for.
    pub legs: Vec<Leg>,
    /// Frames in which the film's end passes into its beginning; 0 for a film with an end.
    #[serde(default)]
    pub wrap: u32,
    /// What the generator can render.
    pub grid: Grid,
    /// The role's parameters; a JSON object.
    pub params: String,
    /// A longer graph is refused.
    pub max_nodes: u32,
}

/// Clips in film order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stitch {
    /// Whether the continued video comes first.
    pub continued: bool,
    /// Nodes, by index.
    pub segments: Vec<u32>,
}

/// A task of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Generate one clip.
    Segment(Segment),
    /// Join all clips.
    Stitch(Stitch),
}

/// A task and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the graph; the task's name in the run.
    pub key: String,
    /// Earlier nodes, by index.
    pub needs: Vec<u32>,
    /// The work.
    pub task: Task,
    /// Lower is sooner; −1000 … 1000.
    pub priority: i32,
    /// Additions.
    pub extras: Extras,
}

/// All tasks of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// In an order in which each comes after what it needs.
    pub nodes: Vec<Node>,
    /// The node whose output the user gets.
    pub film: u32,
    /// What the user should know, in sentences.
    pub notes: Vec<String>,
}

impl Graph {
    /// The segments in film order, with their nodes.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &Segment)> {
        self.stitch().into_iter().flat_map(|s| &s.segments).filter_map(|&i| match self.node(i)?.task {
            Task::Segment(ref segment) => Some((i, segment)),
            Task::Stitch(_) => None,
        })
    }

    /// The stitch that makes the film.
    #[must_use]
    pub fn stitch(&self) -> Option<&Stitch> {
        match &self.node(self.film)?.task {
            Task::Stitch(stitch) => Some(stitch),
            Task::Segment(_) => None,
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    /// Checks the graph against the request that it answers, like any user input.
    ///
    /// # Errors
    /// The first rule that is broken, with the place in the graph.
    pub fn check(&self, request: &Request) -> Result<(), InvalidPlan> {
        let bad = |path: String, reason: String| Err(InvalidPlan::new(path, reason));
        if self.nodes.len() > request.max_nodes as usize {
            return bad("nodes".into(), format!("{} nodes; {} are allowed", self.nodes.len(), request.max_nodes));
        }
        let mut keys = BTreeSet::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let path = format!("nodes[{i}]");
            if !is_key(&node.key) {
                return bad(
                    format!("{path}.key"),
                    format!("`{}` is not 1 to 64 of a-z, 0-9, dot, dash and underscore", node.key),
                );
            }
            if !keys.insert(node.key.as_str()) {
                return bad(format!("{path}.key"), format!("`{}` is taken by an earlier node", node.key));
            }
            if !(-1000..=1000).contains(&node.priority) {
                return bad(format!("{path}.priority"), format!("{} is outside −1000…1000", node.priority));
            }
            let mut needs = BTreeSet::new();
            for (j, &need) in node.needs.iter().enumerate() {
                if need as usize >= i {
                    return bad(format!("{path}.needs[{j}]"), format!("node {need} does not come before node {i}"));
                }
                if !needs.insert(need) {
                    return bad(format!("{path}.needs[{j}]"), format!("node {need} is named twice"));
                }
            }
            check_extras(&node.extras, &format!("{path}.extras"))?;
        }
        self.check_film(request)
    }

    fn check_film(&self, request: &Request) -> Result<(), InvalidPlan> {
        let bad = |path: String, reason: String| Err(InvalidPlan::new(path, reason));
        let Some(stitch) = self.stitch() else {
            return bad("film".into(), format!("node {} is not a stitch", self.film));
        };
        for (i, node) in self.nodes.iter().enumerate() {
            let listed = stitch.segments.iter().filter(|&&s| s as usize == i).count();
            match &node.task {
                Task::Stitch(_) if i != self.film as usize => {
                    return bad(format!("nodes[{i}]"), "a second stitch; the film has one".into());
                }
                Task::Segment(_) if listed != 1 => {
                    return bad(
                        format!("nodes[{i}]"),
                        format!("the stitch lists this segment {listed} times, not once"),
                    );
                }
                _ => {}
            }
        }
        let film_path = format!("nodes[{}]", self.film);
        let needs: &[u32] = self.node(self.film).map(|n| n.needs.as_slice()).unwrap_or_default();
        if stitch.segments.is_empty() {
            return bad(format!("{film_path}.segments"), "no segment".into());
        }
        if stitch.continued != request.continued.is_some() {
            return bad(format!("{film_path}.continued"), "must say whether the run continues a video".into());
        }
        let of = stitch.segments.len();
        let mut before = request.continued.map(|c| (None, c.frames));
        let mut film = request.continued.map_or(0, |c| c.frames);
        let first = stitch.segments.first().copied();
        for (k, &index) in stitch.segments.iter().enumerate() {
            let path = format!("nodes[{index}]");
            if !needs.contains(&index) {
                return bad(
                    format!("{film_path}.needs"),
                    format!("the stitch does not need its segment, node {index}"),
                );
            }
            let Some(Node { task: Task::Segment(segment), needs, .. }) = self.node(index) else {
                return bad(format!("{film_path}.segments[{k}]"), format!("node {index} is not a segment"));
            };
            check_segment(segment, request, &path)?;
            let place = segment.place;
            if (place.index as usize, place.of as usize) != (k, of) {
                return bad(
                    format!("{path}.place"),
                    format!("says {} of {}, but the stitch has it as {k} of {of}", place.index, place.of),
                );
            }
            match (before, segment.continues) {
                (_, Source::Nothing) => {}
                (Some((None, _)), Source::Continued) => {}
                (Some((Some(node), _)), Source::Segment(s)) if s == node && needs.contains(&s) => {}
                (_, source) => {
                    return bad(
                        format!("{path}.continues"),
                        format!("{source:?} is not what stands before it in the film, or is not among its needs"),
                    );
                }
            }
            if segment.returns {
                let may = request.wrap > 0 && k > 0 && k + 1 == of && first.is_some_and(|first| needs.contains(&first));
                if !may {
                    let reason = "only the last of several segments returns to the first, in a film that goes round, and needs it";
                    return bad(format!("{path}.returns"), reason.into());
                }
            }
            self.check_wrap(request, place, index)?;
            if place.overlap == 0 && segment.continues != Source::Nothing {
                return bad(format!("{path}.continues"), "an overlap of 0 repeats nothing; say `nothing`".into());
            }
            let room = before.map_or(0, |(_, frames)| frames);
            if place.overlap > room {
                return bad(
                    format!("{path}.place.overlap"),
                    format!("{} frames, but what precedes has only {room} to share", place.overlap),
                );
            }
            film = match film.checked_add(place.new) {
                Some(film) => film,
                None => return bad(format!("{path}.place.new"), format!("the film passes {} frames", u32::MAX)),
            };
            before = Some((Some(index), place.new));
        }
        Ok(())
    }

    /// Whether the frames of a film that goes round find room: beside the next join in the first segment, and beside at least
    /// one frame of its own in the last.
    fn check_wrap(&self, request: &Request, here: Place, node: u32) -> Result<(), InvalidPlan> {
        let wrap = request.wrap;
        let is_last = here.index.saturating_add(1) == here.of;
        let passing = match here.index {
            _ if wrap == 0 => return Ok(()),
            0 if is_last => wrap.saturating_mul(2),
            0 => wrap.saturating_add(self.segments().nth(1).map_or(0, |(_, next)| next.place.overlap)),
            _ if is_last => wrap,
            _ => return Ok(()),
        };
        if passing < here.new {
            return Ok(());
        }
        let reason = format!("{} frames, of which {passing} pass into others: one has to stay", here.new);
        Err(InvalidPlan::new(format!("nodes[{node}].place.new"), reason))
    }
}

fn check_segment(segment: &Segment, request: &Request, path: &str) -> Result<(), InvalidPlan> {
    let bad = |path: String, reason: String| Err(InvalidPlan::new(path, reason));
    let place = segment.place;
    if place.new == 0 || place.new.checked_add(place.overlap) != Some(place.total) {
        return bad(
            format!("{path}.place"),
            format!("{} new + {} shared is not {} in all, or nothing is new", place.new, place.overlap, place.total),
        );
    }
    let grid = &request.grid;
    if !grid.holds(place.total) {
        return bad(
            format!("{path}.place.total"),
            format!(
                "the generator renders {}n+{} frames within {}…{}, not {}",
                grid.step, grid.offset, grid.min, grid.max, place.total
            ),
        );
    }
    check_key_frames(segment, &request.stills, path)
}

fn check_key_frames(segment: &Segment, stills: &[MediumInfo], path: &str) -> Result<(), InvalidPlan> {
    let known = |id: MediumId| stills.iter().any(|s| s.id == id);
    let total = segment.place.total;
    let mut free_from = 0;
    for (i, key) in segment.key_frames.iter().enumerate() {
        let path = format!("{path}.key-frames[{i}]");
        let bad = |field: &str, reason: String| Err(InvalidPlan::new(format!("{path}.{field}"), reason));
        if !known(key.still) {
            return bad("still", format!("medium {} is not a still of this run", key.still.0));
        }
        if !(key.strength.is_finite() && (0.0..=1.0).contains(&key.strength)) {
            return bad("strength", format!("{} is outside 0…1", key.strength));
        }
        let Some(span) = key.span(total) else {
            return bad("hold", format!("{} frames at frame {} leave the segment's {total}", key.hold, key.at));
        };
        if span.start < free_from {
            return bad("at", format!("frame {} is not after the key-frame before it", span.start));
        }
        free_from = span.start.saturating_add(span.count);
    }
    Ok(())
}

fn is_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
    (1..=64).contains(&key.len())
        && key.bytes().all(allowed)
        && key.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}
