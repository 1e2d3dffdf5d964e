//! Rendering one segment of a film again, and choosing among what it was rendered as.

use crate::error::EngineError;
use crate::manifest::Manifest;
use crate::submit::{check_free_for_manifest, sees_other_file};
use crate::task::{SEGMENT, STITCH, SegmentInput, UPSCALE, parse, slot};
use serde::Serialize;
use serde_json::Value;
use travel::Leg;
use travel::wishes::LegWish;
use travel_generators::Generators;
use travel_queue::{Redo, Revived, RunView, SlotArtifact, Store, Take, TaskDetail, TaskId, TaskState, TaskView};

/// A segment of a run, and what it was rendered as.
#[derive(Debug, Clone, Serialize)]
pub struct SegmentTakes {
    /// Where it stands, from 0.
    pub segment: u32,
    /// Its task.
    pub task: TaskId,
    /// Of the task.
    pub state: TaskState,
    /// Oldest first.
    pub takes: Vec<Take>,
}

/// Renders a segment of a run that is over again, with what is wished instead; then all that depends on it. Nothing when it
/// has a result and nothing about it changes.
///
/// # Errors
/// [`EngineError::NoSegment`]; settings that its generator refuses; a film that somebody else has put where this one goes; a
/// queue that refuses, because something of it is at work.
pub fn redo(
    store: &dyn Store,
    generators: &Generators,
    run: &RunView,
    segment: u32,
    wish: &LegWish,
) -> Result<Option<Revived>, EngineError> {
    let (task, mut input) = find(store, run, segment)?;
    let leg = wish.on(input.segment.leg.clone());
    if leg == input.segment.leg && task.task.state.has_result() && has_clip(&task.made) {
        return Ok(None);
    }
    let name = run.spec.get("generator").and_then(Value::as_str).unwrap_or_default();
    let generator = generators.by_name(name)?;
    let words = [("--prompt", &wish.prompt), ("--negative-prompt", &wish.negative_prompt)];
    if let Some((flag, _)) = words.into_iter().find(|(_, words)| words.is_some())
        && !generator.describe()?.reads_prompts
    {
        return Err(EngineError::CannotHonour { flag, generator: name.to_owned(), able: Vec::new() });
    }
    let settings =
        serde_json::from_str(&leg.settings).map_err(|e| EngineError::Stored(format!("settings are not JSON: {e}")))?;
    generator.check_settings(&settings)?;
    check_film(store, run)?;
    input.segment.leg = leg;
    let mut tasks = expired(store, run, Some(task.task.id))?;
    tasks.push((task.task.id, anew(&input)?));
    Ok(Some(store.redo(tasks)?))
}

/// Sets a run going again that is over without a film: what had succeeded is not done again, unless it was cleaned up.
///
/// # Errors
/// A queue that refuses.
pub fn resume(store: &dyn Store, run: &RunView) -> Result<Revived, EngineError> {
    let gone = expired(store, run, None)?;
    if gone.is_empty() {
        return Ok(store.retry_run(run.id)?);
    }
    let opened = store.redo(gone)?.tasks;
    let mut revived = store.retry_run(run.id)?;
    revived.tasks.extend(opened);
    revived.tasks.sort_unstable();
    revived.tasks.dedup();
    Ok(revived)
}

fn anew(input: &SegmentInput) -> Result<Redo, EngineError> {
    serde_json::to_value(input).map(Redo::Anew).map_err(|e| EngineError::Stored(e.to_string()))
}

/// Other segments that have to be rendered again because their clips are there no more.
fn expired(store: &dyn Store, run: &RunView, but: Option<TaskId>) -> Result<Vec<(TaskId, Redo)>, EngineError> {
    let mut tasks = Vec::new();
    for (task, input) in all(store, run)? {
        let TaskDetail { task, made, .. } = task;
        if Some(task.id) != but && task.state.has_result() && !has_clip(&made) {
            tasks.push((task.id, anew(&input)?));
        }
    }
    Ok(tasks)
}

/// What a segment of a run is asked for at present.
///
/// # Errors
/// [`EngineError::NoSegment`].
pub fn leg(store: &dyn Store, run: &RunView, segment: u32) -> Result<Leg, EngineError> {
    Ok(find(store, run, segment)?.1.segment.leg)
}

/// Gives a segment one of its former takes, counted from 1; all that depends on it is done again.
///
/// # Errors
/// [`EngineError::NoSegment`], [`EngineError::NoTake`]; as [`redo()`].
pub fn choose(store: &dyn Store, run: &RunView, segment: u32, take: usize) -> Result<Option<Revived>, EngineError> {
    let (task, _) = find(store, run, segment)?;
    let task = task.task.id;
    let takes = store.takes(task)?;
    let Some(chosen) = take.checked_sub(1).and_then(|i| takes.get(i)) else {
        return Err(EngineError::NoTake { segment, take, takes: takes.len() });
    };
    if chosen.is_chosen {
        return Ok(None);
    }
    if !has_clip(&chosen.made) {
        return Err(EngineError::TakeGone { segment, take });
    }
    check_film(store, run)?;
    let mut tasks = expired(store, run, Some(task))?;
    tasks.push((task, Redo::Choose(chosen.token)));
    Ok(Some(store.redo(tasks)?))
}

/// The segments of a run in the order of the film, with their takes.
///
/// # Errors
/// A queue that cannot be read.
pub fn takes(store: &dyn Store, run: &RunView) -> Result<Vec<SegmentTakes>, EngineError> {
    let mut segments = Vec::new();
    for (TaskDetail { task, .. }, input) in all(store, run)? {
        let (segment, takes) = (input.segment.place.index, store.takes(task.id)?);
        segments.push(SegmentTakes { segment, task: task.id, state: task.state, takes });
    }
    segments.sort_by_key(|segment| segment.segment);
    Ok(segments)
}

fn has_clip(made: &[SlotArtifact]) -> bool {
    made.iter().any(|file| file.slot == slot::CLIP)
}

fn all(store: &dyn Store, run: &RunView) -> Result<Vec<(TaskDetail, SegmentInput)>, EngineError> {
    if run.spec.get("legacy").is_some() {
        return Err(EngineError::OnlyHistory(run.id));
    }
    let tasks = store.tasks(run.id)?.into_iter().filter(|task| task.kind == SEGMENT);
    let whole = |task: TaskView| {
        let task = store.task(task.id)?;
        let input = parse("segment", &task.input).map_err(EngineError::Stored)?;
        Ok((task, input))
    };
    tasks.map(whole).collect()
}

fn find(store: &dyn Store, run: &RunView, segment: u32) -> Result<(TaskDetail, SegmentInput), EngineError> {
    let segments = all(store, run)?;
    let of = segments.len();
    let found = segments.into_iter().find(|(_, input)| input.segment.place.index == segment);
    found.ok_or(EngineError::NoSegment { run: run.id, segment, of })
}

/// Whether the film can be put where it belongs: what lies there is nothing, or a film of this run.
fn check_film(store: &dyn Store, run: &RunView) -> Result<(), EngineError> {
    let film = run.output.as_ref().and_then(|output| output.get("film")?.as_str());
    let overwrites = run.spec.pointer("/output/overwrite") == Some(&Value::Bool(true));
    let Some(film) = film.map(std::path::Path::new).filter(|_| !overwrites) else { return Ok(()) };
    let tasks = store.tasks(run.id)?;
    let makes = tasks.iter().filter(|task| [STITCH, UPSCALE].contains(&task.kind.as_str()));
    let mut own = Vec::new();
    for task in makes {
        own.extend(store.takes(task.id)?.into_iter().flat_map(|take| take.made));
    }
    match sees_other_file(film, &own) {
        true => Err(EngineError::FilmReplaced(film.to_owned())),
        false => check_free_for_manifest(&Manifest::beside(film)),
    }
}
