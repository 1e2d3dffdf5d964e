//! A run's graph: the one authority on what is rendered, how long, and in which order.

use crate::error::EngineError;
use crate::limits::MAX_NODES;
use travel::orchestrate::{Graph, Request};
use travel::wishes::Wishes;
use travel::{Dims, Grid, MediumId, MediumInfo, MediumKind, Rate, Timeline};
use travel_sandbox::{CallContext, Plugin};

/// What a graph is made from.
pub struct PlanInput<'a> {
    /// Stable for the run.
    pub run: &'a str,
    /// Size of the film.
    pub canvas: Dims,
    /// Of the film.
    pub rate: Rate,
    /// Sizes of the stills.
    pub stills: Vec<Dims>,
    /// Size and length of the continued video, at the film's rate.
    pub continued: Option<(Dims, u32)>,
    /// Per-leg lists.
    pub wishes: &'a Wishes,
    /// What the generator can render.
    pub grid: Grid,
    /// The orchestrator's parameters.
    pub params: String,
}

/// A graph that was checked, and who made it.
pub struct Planned {
    /// The tasks.
    pub graph: Graph,
    /// What the graph answers.
    pub request: Request,
    /// Where every frame stands.
    pub timeline: Timeline,
    /// What the user should know, in sentences.
    pub notes: Vec<String>,
}

/// Expands a run through its orchestrator.
///
/// # Errors
/// A list of the wrong length, a plugin's refusal or failure, a graph that breaks a rule.
pub fn plan(plugin: &Plugin, input: PlanInput<'_>, context: &CallContext) -> Result<Planned, EngineError> {
    let still = |(i, dims): (u32, Dims)| MediumInfo {
        id: MediumId(i),
        kind: MediumKind::Still,
        dims,
        frames: 1,
        rate: Rate::STILL,
    };
    let count = u32::try_from(input.stills.len()).unwrap_or(u32::MAX);
    let stills: Vec<MediumInfo> = (0u32..).zip(input.stills).map(still).collect();
    let continued = input.continued.map(|(dims, frames)| MediumInfo {
        id: MediumId(count),
        kind: MediumKind::Clip,
        dims,
        frames,
        rate: input.rate,
    });
    let (legs, _) = plugin.legs(count, continued.is_some(), &input.params, context)?;
    let (legs, mut notes) = input.wishes.legs(legs, continued.is_some())?;
    let request = Request {
        run: input.run.to_owned(),
        canvas: input.canvas,
        rate: input.rate,
        stills,
        continued,
        legs,
        grid: input.grid,
        params: input.params,
        max_nodes: MAX_NODES,
    };
    let (graph, _) = plugin.expand(&request, context)?;
    let timeline = Timeline::of(&graph, &request);
    notes.extend(graph.notes.iter().cloned());
    Ok(Planned { graph, request, timeline, notes })
}
