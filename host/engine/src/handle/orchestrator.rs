//! `travel_orchestrator`: one run → its tasks.

use super::{Done, Job, missing, to_json};
use crate::error::EngineError;
use crate::planning::{PlanInput, plan};
use crate::spec::{Able, RunSpec, Stitching};
use crate::submit::check_output;
use crate::task::{
    ENCODE, EncodeInput, POOL_ENCODE, Previous, SEGMENT, STITCH, SegmentInput, StitchClip, StitchInput, UPSCALE,
    UpscaleInput, encode_key, slot,
};
use std::time::Duration;
use travel::orchestrate::{Graph, Node, Task};
use travel::{Role, Segment, Source};
use travel_queue::NewTask;

/// Priority of a node whose plugin says 0; the queue counts from here.
const USUAL_PRIORITY: i32 = 1000;

pub(super) fn expand(job: &Job<'_>) -> Result<Done, EngineError> {
    job.control.phase("plan", 0);
    let spec = &job.spec;
    let generator = job.shop.generators.by_name(&spec.generator)?;
    check_output(&spec.output, |file| Some(job.shop.output_path(file)))?;
    // One that is away or cannot be started is no reason to fail: whoever renders a segment has others to stand in.
    let (able, reached) = match (Able::of(generator.as_ref()), &spec.able) {
        (Ok(able), _) => (able, true),
        (Err(error), Some(able)) => {
            tracing::warn!(run = job.claimed.run_name, %error, "the run is planned by what its generator said before");
            (able.clone(), false)
        }
        (Err(error), None) => return Err(error.into()),
    };
    let planned = plan(
        job.plugin(Role::Orchestrate)?.as_ref(),
        PlanInput {
            run: &job.claimed.run_name,
            canvas: spec.canvas,
            rate: spec.rate,
            stills: spec.stills.iter().map(|s| s.dims).collect(),
            continued: spec.continued.as_ref().map(|c| (c.dims, c.frames)),
            wishes: &spec.wishes,
            grid: able.grid,
            generator: reached.then_some(generator.as_ref()),
            params: spec.params(Role::Orchestrate),
        },
        &job.call(),
    )?;
    let graph = &planned.graph;
    let pool = able.pool;
    let mut emitted = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let task = match &node.task {
            Task::Segment(segment) => {
                let next = match graph.segments().next().filter(|_| segment.returns) {
                    None => None,
                    Some((first, _)) => Some((node_at(graph, first)?.key.clone(), planned.request.wrap)),
                };
                let input = SegmentInput { segment: segment.clone(), previous: previous(graph, segment)?, next };
                let task = NewTask::new(&node.key, SEGMENT, &pool, to_json(&input)?);
                let mut slots = vec![slot::plugin(Role::Guide)];
                slots.extend(segment.key_frames.iter().map(|k| slot::still(k.still.0 as usize)));
                if segment.continues == Source::Continued {
                    slots.push(slot::CONTINUED.to_owned());
                }
                with_files(task, job, slots)?
            }
            Task::Stitch(stitch) => {
                let clip = |&index: &u32| {
                    let node = node_at(graph, index)?;
                    let Task::Segment(segment) = &node.task else { return Err(missing("segment at node", index)) };
                    let (total, overlap) = (segment.place.total, segment.place.overlap);
                    Ok(StitchClip { task: node.key.clone(), total, overlap })
                };
                let clips = stitch.segments.iter().map(clip).collect::<Result<Vec<_>, EngineError>>()?;
                let encoded = encodes(job, graph, stitch.continued, &clips, &mut emitted)?;
                let wrap = planned.request.wrap;
                let input = StitchInput { wrap, continued: stitch.continued, clips, encoded };
                let task = NewTask::new(&node.key, STITCH, POOL_ENCODE, to_json(&input)?);
                let task = input.encoded.iter().fold(task, |task, key| task.after(key.clone()));
                let mut slots = vec![slot::plugin(Role::Crossfade)];
                if stitch.continued {
                    slots.push(slot::CONTINUED.to_owned());
                }
                if spec.upscale.is_none() {
                    slots.extend(sounds(spec));
                }
                with_files(task, job, slots)?
            }
        };
        let mut task = node
            .needs
            .iter()
            .try_fold(task, |task, &need| Ok::<_, EngineError>(task.after(node_at(graph, need)?.key.clone())))?;
        task.priority = USUAL_PRIORITY.saturating_add(node.priority);
        task.deadline = spec.attempt_deadline_s.map(Duration::from_secs);
        if matches!(node.task, Task::Segment(_)) {
            task.affinity = Some(generator.affinity(spec.model.as_deref()));
        }
        emitted.push(task);
    }
    if let Some(wish) = &spec.upscale {
        let stitch = graph.nodes.iter().find(|node| matches!(node.task, Task::Stitch(_)));
        let stitch = stitch.map(|node| node.key.clone()).ok_or_else(|| missing("node for", "the stitch"))?;
        let upscaler = job.shop.generators.by_name(&wish.generator)?;
        let key = free_key(graph);
        let mut task =
            NewTask::new(key, UPSCALE, upscaler.describe()?.pool, to_json(&UpscaleInput { stitch: stitch.clone() })?);
        task = with_files(task.after(stitch), job, sounds(spec).collect())?;
        task.priority = USUAL_PRIORITY;
        task.affinity = Some(upscaler.affinity(None));
        task.deadline = spec.attempt_deadline_s.map(Duration::from_secs);
        emitted.push(task);
    }
    let output = serde_json::json!({
        "timeline": to_json(&planned.timeline)?,
        "notes": planned.notes,
        "phases_ms": job.control.phases_ms(),
    });
    Ok(Done { output, emitted, ..Done::default() })
}

/// Adds the tasks that encode the film's parts, if it is made of parts; their keys.
fn encodes(
    job: &Job<'_>,
    graph: &Graph,
    continued: bool,
    clips: &[StitchClip],
    emitted: &mut Vec<NewTask>,
) -> Result<Vec<String>, EngineError> {
    let spec = &job.spec;
    if spec.stitch == Stitching::Full {
        return Ok(Vec::new());
    }
    let mut prefix = "encode-".to_owned();
    while graph.nodes.iter().any(|node| node.key.starts_with(&prefix)) {
        prefix.push('.');
    }
    let video = spec.continued.as_ref().filter(|_| continued).map(|video| (None, video.frames, 0));
    let segments = clips.iter().map(|clip| (Some(clip.task.clone()), clip.total, clip.overlap));
    let all: Vec<(Option<String>, u32, u32)> = video.into_iter().chain(segments).collect();
    let mut keys: Vec<String> = Vec::with_capacity(all.len());
    for (i, (clip, frames, overlap)) in all.iter().enumerate() {
        let index = u32::try_from(i).unwrap_or(u32::MAX);
        let before = i.checked_sub(1).and_then(|i| all.get(i));
        let input = EncodeInput {
            index,
            prefix: prefix.clone(),
            clip: clip.clone(),
            before: before.and_then(|(clip, ..)| clip.clone()),
            frames: *frames,
            overlap: *overlap,
            next_overlap: all.get(i + 1).map_or(0, |(_, _, overlap)| *overlap),
        };
        let key = encode_key(&prefix, index);
        let needs = [keys.last().cloned(), input.before.clone(), clip.clone()].into_iter().flatten();
        let task = NewTask::new(&key, ENCODE, POOL_ENCODE, to_json(&input)?);
        let mut task = needs.fold(task, NewTask::after);
        let mut slots = vec![slot::plugin(Role::Crossfade)];
        if clip.is_none() || before.is_some_and(|(clip, ..)| clip.is_none()) {
            slots.push(slot::CONTINUED.to_owned());
        }
        task = with_files(task, job, slots)?;
        task.priority = USUAL_PRIORITY;
        task.deadline = spec.attempt_deadline_s.map(Duration::from_secs);
        emitted.push(task);
        keys.push(key);
    }
    Ok(keys)
}

/// Slots of what is heard under the film.
fn sounds(spec: &RunSpec) -> impl Iterator<Item = String> {
    let track = spec.sound.track.as_ref().map(|_| slot::AUDIO.to_owned());
    track.into_iter().chain(spec.sound.own.then(|| slot::CONTINUED.to_owned()))
}

/// A key for the host's own node, which no node of the plugin's bears.
fn free_key(graph: &Graph) -> String {
    let mut key = "upscale".to_owned();
    while graph.nodes.iter().any(|node| node.key == key) {
        key.push('.');
    }
    key
}

fn node_at(graph: &Graph, index: u32) -> Result<&Node, EngineError> {
    graph.nodes.get(index as usize).ok_or_else(|| missing("node", index))
}

fn previous(graph: &Graph, segment: &Segment) -> Result<Previous, EngineError> {
    Ok(match segment.continues {
        Source::Nothing => Previous::Nothing,
        Source::Continued => Previous::Continued,
        Source::Segment(index) => Previous::Task(node_at(graph, index)?.key.clone()),
    })
}

/// The task with the files that it reads, so that no clean-up takes them away. The run's first task was given all of them.
fn with_files(task: NewTask, job: &Job<'_>, mut slots: Vec<String>) -> Result<NewTask, EngineError> {
    slots.sort();
    slots.dedup();
    slots.into_iter().try_fold(task, |task, slot| {
        let file = job.claimed.artifacts.iter().find(|a| a.slot == slot).ok_or_else(|| missing("file for", &slot))?;
        Ok(task.artifact(file.clone()))
    })
}
