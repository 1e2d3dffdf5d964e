//! `travel_encode`: one clip and its join with the clip before it → edit list of the film so far → this clip's part of it, encoded.
//!
//! So the film is encoded while the next segment is being rendered. What the cross-fade policy says of the film so far need not be
//! what it says of the whole: the stitch compares, and encodes again what differs.

use super::deliver::verified;
use super::{Done, Job, film, missing, to_json};
use crate::error::EngineError;
use crate::submit::slot_artifact;
use crate::task::{EncodeInput, EncodeOutput, SegmentOutput, encode_key, parse, slot};
use serde_json::Value;
use std::collections::BTreeMap;
use travel::crossfade::{Join, Request, Step};
use travel::{Dims, MediumId, Role};
use travel_artifacts::Hash;
use travel_media::{ClipSource, MediaSet, Source};

/// Raised when the same steps would give other bytes.
const VERSION: u32 = 1;

pub(super) fn encode(job: &Job<'_>) -> Result<Done, EngineError> {
    job.control.phase("measure", 0);
    let input: EncodeInput = parse("encode's", &job.claimed.input).map_err(EngineError::Stored)?;
    let (spec, control) = (&job.spec, job.control.as_ref());
    let (hash, dims) = clip(job, input.clip.as_deref())?;
    let path = job.shop.artifacts.path(hash)?;
    let earlier = earlier(job, &input)?;
    let before = match (input.index.checked_sub(1), earlier.last()) {
        (None, _) => None,
        (Some(index), Some(last)) => {
            let (hash, _) = clip(job, input.before.as_deref())?;
            Some((MediumId(index), hash, last.frames))
        }
        (Some(index), None) => return Err(missing("encoded part", index)),
    };
    let join = match &before {
        None => None,
        Some((_, hash, frames)) => {
            let left = ClipSource { path: job.shop.artifacts.path(*hash)?, frames: *frames };
            let right = ClipSource { path: path.clone(), frames: input.frames };
            let seams = travel_media::measure_joins(&[left, right], &[input.overlap], spec.canvas, spec.rate, control)?;
            seams.into_iter().next().map(|seam| (seam.join, seam.psnr))
        }
    };

    job.control.phase("plan", 0);
    let joins = earlier.iter().filter_map(|part| Some(part.join.as_ref()?.0.clone()));
    let joins: Vec<Join> = joins.chain(join.as_ref().map(|(join, _)| join.clone())).collect();
    let sizes = earlier.iter().map(|part| (part.dims, part.frames)).chain([(dims, input.frames)]);
    let request = film::request(spec, sizes, joins);
    let (plan, _) = job.plugin(Role::Crossfade)?.crossfade(&request, &job.call())?;
    let (from, to) = part(&request, input.index, input.next_overlap);
    let steps = plan.part(from, to);

    let mut files: BTreeMap<u32, Hash> = before.iter().map(|(id, hash, _)| (id.0, *hash)).collect();
    files.insert(input.index, hash);
    let output = EncodeOutput { dims, frames: input.frames, join, steps: to_json(&steps)?, phases_ms: BTreeMap::new() };
    let memo = memo(job, &output, &files)?;
    if let Some(take) = job.recalled(memo, &[slot::CHUNK])?.filter(|take| !take.made.is_empty()) {
        let output = EncodeOutput { phases_ms: job.control.phases_ms(), ..output };
        return Ok(Done { output: to_json(&output)?, made: take.made, memo: Some(memo), ..Done::default() });
    }
    let mut media = MediaSet::new();
    for (id, hash) in files {
        media.insert(MediumId(id), Source::Clip(job.shop.artifacts.path(hash)?));
    }
    let scratch = job.shop.artifacts.task_scratch(job.claimed.task)?;
    let out = scratch.path("chunk.mp4");
    job.control.phase("encode", to - from);
    let stitch = film::stitch(spec, &plan, &request, &media, &spec.encode);
    stitch.chunk(&steps, to - from, &out, control)?;
    verified(job, &out, u32::try_from(to - from).unwrap_or(u32::MAX))?;
    job.go_on()?;
    job.control.phase("store", 0);
    let made = vec![slot_artifact(slot::CHUNK, job.shop.artifacts.put(&out)?, "video/mp4")];
    let output = EncodeOutput { phases_ms: job.control.phases_ms(), ..output };
    Ok(Done { output: to_json(&output)?, made, memo: Some(memo), ..Done::default() })
}

/// Film frames of a clip's part: from where it begins to where the next one does.
pub(super) fn part(request: &Request, index: u32, next_overlap: u32) -> (u64, u64) {
    let from = request.starts().get(index as usize).copied().unwrap_or_default();
    let frames = request.clips.get(index as usize).map_or(0, |clip| clip.frames.saturating_sub(next_overlap));
    (from, from.saturating_add(frames.into()))
}

/// A clip's file and size: a task's, or the continued video's.
fn clip(job: &Job<'_>, task: Option<&str>) -> Result<(Hash, Dims), EngineError> {
    match task {
        None => {
            let video = job.spec.continued.as_ref().ok_or_else(|| missing("continued video for", &job.claimed.name))?;
            job.shop.artifacts.verified_path(video.hash)?;
            Ok((video.hash, video.dims))
        }
        Some(task) => {
            let parent = job.claimed.parents.iter().find(|parent| parent.name == task);
            let output = parent.and_then(|p| p.output.as_ref()).ok_or_else(|| missing("output of task", task))?;
            let SegmentOutput { dims, .. } = parse("segment's output", output).map_err(EngineError::Stored)?;
            Ok((job.hash_by(task, slot::CLIP)?, dims))
        }
    }
}

/// What was found out about the clips before.
fn earlier(job: &Job<'_>, input: &EncodeInput) -> Result<Vec<EncodeOutput>, EngineError> {
    if input.index == 0 {
        return Ok(Vec::new());
    }
    let tasks: BTreeMap<String, _> =
        job.store.tasks(job.claimed.run)?.into_iter().map(|task| (task.name, task.id)).collect();
    let output = |index: u32| {
        let key = encode_key(&input.prefix, index);
        let task = tasks.get(&key).ok_or_else(|| missing("task", &key))?;
        let output = job.store.task(*task)?.output.ok_or_else(|| missing("output of task", &key))?;
        parse("encode's output", &output).map_err(EngineError::Stored)
    };
    (0..input.index).map(output).collect()
}

/// All that the bytes of a part depend on.
fn memo(job: &Job<'_>, output: &EncodeOutput, files: &BTreeMap<u32, Hash>) -> Result<Hash, EngineError> {
    let spec = &job.spec;
    let all = serde_json::json!({
        "part": VERSION, "canvas": spec.canvas, "rate": spec.rate, "encode": to_json(&spec.encode)?,
        "steps": output.steps, "files": files, "program": env!("CARGO_PKG_VERSION"),
    });
    Ok(Hash::of(all.to_string().as_bytes()))
}

/// The steps that an earlier task has encoded are those that are wanted: weights of a longer list may differ in their last digit.
pub(super) fn is_same(output: &EncodeOutput, steps: &[Step]) -> Result<bool, EngineError> {
    Ok(is_alike(&output.steps, &to_json(&steps)?))
}

/// Far less than a code value of 10 bits.
const NEGLIGIBLE: f64 = 1e-5;

fn is_alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_alike(a, b)))
        }
        (Value::Number(x), Value::Number(y)) if x.is_f64() || y.is_f64() => {
            x.as_f64().zip(y.as_f64()).is_some_and(|(x, y)| (x - y).abs() <= NEGLIGIBLE)
        }
        _ => a == b,
    }
}
