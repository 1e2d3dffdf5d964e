//! A run's graph: the one authority on what is rendered, how long, and in which order.

use crate::error::EngineError;
use crate::limits::MAX_NODES;
use travel::orchestrate::{Graph, Request, Task};
use travel::wishes::Wishes;
use travel::{Dims, Grid, InvalidPlan, MediumId, MediumInfo, MediumKind, Rate, Role, Timeline};
use travel_generators::Generator;
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
    /// Lengths and sizes that the generator renders.
    pub grid: Grid,
    /// What will render the segments, if it can be asked now: whether it takes the settings of each.
    pub generator: Option<&'a dyn Generator>,
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
    let mut stills: Vec<MediumInfo> = (0u32..).zip(input.stills).map(still).collect();
    if input.wishes.goes_round {
        stills.extend(stills.first().copied());
    }
    let shown = u32::try_from(stills.len()).unwrap_or(u32::MAX);
    let continued = input.continued.map(|(dims, frames)| MediumInfo {
        id: MediumId(count),
        kind: MediumKind::Clip,
        dims,
        frames,
        rate: input.rate,
    });
    let (legs, _) = plugin.legs(shown, continued.is_some(), &input.params, context)?;
    let (legs, mut notes) = input.wishes.legs(legs, continued.is_some())?;
    let request = Request {
        run: input.run.to_owned(),
        canvas: input.canvas,
        rate: input.rate,
        stills,
        continued,
        legs,
        wrap: input.wishes.wrap(),
        grid: input.grid,
        params: input.params,
        max_nodes: MAX_NODES,
    };
    let (graph, _) = plugin.expand(&request, context)?;
    if let Some(generator) = input.generator {
        check_settings(&graph, generator).map_err(|invalid| plugin.invalid(Role::Orchestrate, invalid))?;
    }
    let timeline = Timeline::of(&graph, &request);
    notes.extend(graph.notes.iter().cloned());
    Ok(Planned { graph, request, timeline, notes })
}

/// Whether the generator takes the settings of every segment: an orchestrator may hand on others than the user's, and the
/// sandbox knows no generator.
fn check_settings(graph: &Graph, generator: &dyn Generator) -> Result<(), InvalidPlan> {
    for (i, node) in graph.nodes.iter().enumerate() {
        let Task::Segment(segment) = &node.task else { continue };
        let bad = |reason: String| InvalidPlan::new(format!("nodes[{i}].task.leg.settings"), reason);
        let settings =
            serde_json::from_str(&segment.leg.settings).map_err(|e| bad(format!("they are not JSON: {e}")))?;
        generator.check_settings(&settings).map_err(|e| bad(e.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::orchestrate::{Node, Stitch};
    use travel::{Leg, Place, Segment, Source};

    fn segment(settings: &str) -> Task {
        Task::Segment(Segment {
            place: Place { index: 0, of: 1, new: 9, overlap: 0, total: 9 },
            key_frames: Vec::new(),
            continues: Source::Nothing,
            returns: false,
            leg: Leg {
                prompt: String::new(),
                negative_prompt: String::new(),
                new: 9,
                overlap: 0,
                seed: 0,
                settings: settings.to_owned(),
            },
        })
    }

    fn refused(settings: &str) -> Option<String> {
        let stitch = Task::Stitch(Stitch { continued: false, segments: vec![0, 1] });
        let node = |task| Node { key: String::new(), needs: Vec::new(), task, priority: 0, extras: Vec::new() };
        let nodes = [segment("{}"), segment(settings), stitch].map(node).into();
        let generator = travel_generators::Generators::embedded().by_name("dissolve").unwrap();
        let graph = Graph { nodes, film: 2, notes: Vec::new() };
        check_settings(&graph, generator.as_ref()).err().map(|e| e.to_string())
    }

    #[test]
    fn settings_that_the_generator_would_refuse_are_found_in_the_plan() {
        assert_eq!(refused(r#"{"easing": "linear"}"#), None);
        for (settings, says) in [("{", "not JSON"), ("3", "not a JSON object"), (r#"{"speed": 3}"#, "/speed")] {
            let error = refused(settings).unwrap();
            assert!(error.starts_with("nodes[1].task.leg.settings: ") && error.contains(says), "{error}");
        }
    }
}
