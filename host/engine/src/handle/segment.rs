//! `travel_segment`: guide plan → guide and mask → generator → decoded, counted and looked at → one post pass → stored.

use super::{Done, Job, missing, to_json};
use crate::course::Course;
use crate::error::EngineError;
use crate::guide_request::{Film, guide_request, next_id, previous_id};
use crate::memo::{Guide, Inputs, Renderer, Words};
use crate::spec::{Post, References, RunSpec};
use crate::submit::slot_artifact;
use crate::task::{KnownFrames, Previous, SegmentInput, SegmentOutput, parse, slot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use travel::guide::Request;
use travel::{Dims, Grid, MediumKind, Role, Segment};
use travel_artifacts::Hash;
use travel_generators::process::LOG;
use travel_generators::{Generator, Job as GeneratorJob, KNOWN_OFF, Wanted};
use travel_media::{Adjust, ColourMatch, MediaSet, Paste, Source};
use travel_queue::NewEvent;

pub(super) fn generate(job: &Job<'_>) -> Result<Done, EngineError> {
    job.control.phase("plan", 0);
    let input: SegmentInput = parse("segment", &job.claimed.input).map_err(EngineError::Stored)?;
    let spec = &job.spec;
    let segment = &input.segment;
    let total = segment.place.total;
    let course = Course::of(job.claimed)?;
    let name = course.generator(&spec.generator);
    let policy = job.shop.generators.policy(name);
    let generator = job.shop.generators.by_name(name)?;
    let settings: serde_json::Value = serde_json::from_str(&segment.leg.settings)
        .map_err(|e| EngineError::Stored(format!("the generator's settings are not JSON: {e}")))?;
    let settings = course.settings(settings, &policy.out_of_memory);
    if course != Course::default() {
        // The run's own were checked when it was submitted.
        generator.check_settings(&settings)?;
        tracing::info!(task = job.claimed.name, generator = name, because = course.because, "rendered in another way");
    }
    let grid = match &spec.able {
        Some(able) if course.generator.is_none() => able.grid,
        _ => generator.describe()?.grid,
    };
    let (request, media, hashes) = request_and_media(job, &input, grid)?;
    let (plan, report) = job.plugin(Role::Guide)?.guide(&request, &job.call())?;
    tracing::debug!(task = job.claimed.name, fuel = report.fuel_used, "guide composed");

    // Another generator that stands in has no model of that name.
    let model = if course.generator.is_none() { spec.model.clone() } else { None };
    let (begins, leads_to) = stills_of(segment);
    let still = |still: Option<u32>| still.and_then(|still| spec.stills.get(still as usize)).map(|still| still.hash);
    // As it is now, or as it was when the run was submitted where it is away.
    let version = match (generator.describe(), &spec.able) {
        (Ok(able), _) => able.version,
        (Err(_), Some(able)) if course.generator.is_none() => able.version.clone(),
        (Err(error), _) => return Err(error.into()),
    };
    let inputs = Inputs {
        generator: Renderer {
            name,
            version,
            said: job.shop.generators.said(name),
            model: model.as_deref(),
            settings: &settings,
        },
        canvas: spec.canvas,
        rate: spec.rate,
        frames: (total, segment.place.overlap),
        leg: Words::of(&segment.leg),
        guide: Guide::of(&plan, &hashes),
        references: spec.references,
        post: post_of(spec, segment),
        stills: (still(begins), still(leads_to)),
        paste_known: spec.paste_known || policy.paste_known,
    };
    let memo = inputs.hash()?;
    if let Some(done) = recall(job, memo)? {
        return Ok(done);
    }
    job.admit(name, &policy)?;

    let scratch = job.shop.artifacts.task_scratch(job.claimed.task)?;
    let (guide, mask) = (scratch.path("guide.mkv"), scratch.path("mask.mkv"));
    job.control.phase("guide", u64::from(total));
    let control = job.control.as_ref();
    travel_media::render_guide(&plan, total, spec.canvas, spec.rate, &media, &guide, Some(&mask), control)?;

    let references = references(job, segment, generator.as_ref(), scratch.folder())?;

    job.control.await_place();
    job.go_on()?;
    // Others may have failed while this one waited for its place.
    job.admit(name, &policy)?;
    job.control.phase("generate", u64::from(total));
    let generated = generator.generate(
        &GeneratorJob {
            guide: guide.clone(),
            mask: mask.clone(),
            references,
            model,
            prompt: segment.leg.prompt.clone(),
            negative_prompt: segment.leg.negative_prompt.clone(),
            seed: segment.leg.seed,
            dims: spec.canvas,
            rate: spec.rate,
            place: segment.place,
            settings,
            out: scratch.path("clip.mkv"),
            work_dir: scratch.folder().to_owned(),
            device: job.control.device().cloned(),
        },
        control,
    );
    job.keep_log(&scratch.path(LOG));
    let generated = generated?;

    job.control.leave_place();
    job.control.phase("verify", u64::from(total));
    // The disk writes the clip while it is decoded; storing it syncs once more, and reports what went wrong.
    let survey = std::thread::scope(|scope| {
        let writing = scope.spawn(|| std::fs::File::open(&generated.clip).and_then(|clip| clip.sync_data()));
        let survey = travel_media::survey(&generated.clip, &guide, &plan.keep, control);
        drop(writing.join());
        survey
    });
    let survey = survey.map_err(|source| match source.is_bad_input() {
        true => EngineError::SpoiltClip { generator: name.to_owned(), source },
        false => source.into(),
    })?;
    let wanted = Wanted { frames: total, dims: spec.canvas, rate: spec.rate, allow_still: policy.allow_still };
    wanted.verify(&survey).map_err(|flaw| EngineError::BadClip { generator: name.to_owned(), flaw })?;
    // What came back exactly needs no pass.
    let known = survey.known.map(|known| KnownFrames {
        frames: known.frames,
        off: known.off,
        off_most: known.off_most,
        pasted: (spec.paste_known || policy.paste_known) && known.off_most > 0.0,
    });
    let paste = known.filter(|known| known.pasted).map(|_| Paste { guide: &guide, keep: &plan.keep });
    let clip = post(job, &input, &generated.clip, paste, &scratch.path("post.mkv"))?;
    job.go_on()?;

    job.control.phase("store", 0);
    let artifacts = &job.shop.artifacts;
    let mut made = vec![slot_artifact(slot::CLIP, artifacts.put(&clip)?, "video")];
    if spec.output.keep_guides {
        made.push(slot_artifact(slot::GUIDE, artifacts.put(&guide)?, "video"));
        made.push(slot_artifact(slot::MASK, artifacts.put(&mask)?, "video"));
    }
    let phases_ms = job.control.phases_ms();
    let mut events = Vec::new();
    if let Some(known) = known.filter(|known| known.off_most > KNOWN_OFF) {
        tracing::warn!(task = job.claimed.name, generator = name, ?known, "known frames came back changed");
        events.push(NewEvent { label: "known_frames_changed".to_owned(), data: to_json(&known)? });
    }
    let course = (course != Course::default()).then_some(course);
    events.extend(course.as_ref().map(Course::event).transpose()?);
    let output = SegmentOutput {
        frames: survey.info.frames,
        dims: survey.info.dims,
        guide_plan: plan,
        known,
        course,
        reused: None,
        phases_ms,
    };
    Ok(Done { output: to_json(&output)?, made, events, memo: Some(memo), ..Done::default() })
}

/// The segment as it was rendered before from the same, if its files are still there.
fn recall(job: &Job<'_>, memo: Hash) -> Result<Option<Done>, EngineError> {
    // What was said while it was rendered is told where it was rendered.
    let Some(take) = job.recalled(memo, &[slot::CLIP, slot::GUIDE, slot::MASK])? else { return Ok(None) };
    let has = |slot: &str| take.made.iter().any(|file| file.slot == slot);
    if !has(slot::CLIP) || job.spec.output.keep_guides && !(has(slot::GUIDE) && has(slot::MASK)) {
        return Ok(None);
    }
    let output: SegmentOutput = parse("segment's output", &take.output).map_err(EngineError::Stored)?;
    tracing::info!(task = job.claimed.name, rendered_by = %take.task, "rendered before from the same");
    let output = SegmentOutput { reused: Some(take.task), phases_ms: job.control.phases_ms(), ..output };
    let told = NewEvent { label: "reused".to_owned(), data: serde_json::json!({ "rendered_by": take.task }) };
    Ok(Some(Done {
        output: to_json(&output)?,
        made: take.made,
        events: vec![told],
        memo: Some(memo),
        ..Done::default()
    }))
}

/// The segment's first and last picture as the run wishes them for references.
fn references(
    job: &Job<'_>,
    segment: &Segment,
    generator: &dyn Generator,
    folder: &Path,
) -> Result<Vec<PathBuf>, EngineError> {
    let (spec, mut made) = (&job.spec, Vec::new());
    if spec.references == References::default() || generator.describe()?.references == 0 {
        return Ok(made);
    }
    let (begins, leads_to) = stills_of(segment);
    let wishes = [("initial", begins, spec.references.initial), ("final", leads_to, spec.references.last)];
    for (name, still, strength) in wishes {
        if let Some(still) = still.filter(|_| strength > 0.0) {
            let path = folder.join(format!("reference-{name}.png"));
            travel_media::save_reference(&job.still(still)?, spec.canvas, strength, &path)?;
            made.push(path);
        }
    }
    Ok(made)
}

/// The stills that a segment begins with and leads to, as far as there are some.
fn stills_of(segment: &Segment) -> (Option<u32>, Option<u32>) {
    let leads_to = segment.key_frames.last().map(|key| key.still.0);
    let begins = match segment.key_frames.as_slice() {
        [first, _, ..] => Some(first.still.0),
        // One that goes on from a segment begins where the still before its own was reached.
        _ if matches!(segment.continues, travel::segment::Source::Segment(_)) => {
            leads_to.and_then(|s| s.checked_sub(1).or(Some(segment.place.index).filter(|_| segment.returns)))
        }
        _ => None,
    };
    (begins, leads_to)
}

/// What the guide is composed from, and where its media lie.
fn request_and_media(
    job: &Job<'_>,
    input: &SegmentInput,
    grid: Grid,
) -> Result<(Request, MediaSet, BTreeMap<u32, Hash>), EngineError> {
    let spec = &job.spec;
    let stills: Vec<Dims> = spec.stills.iter().map(|s| s.dims).collect();
    let params = spec.params(Role::Guide);
    let film = Film { canvas: spec.canvas, rate: spec.rate, stills: &stills, grid, params: &params };
    let previous = previous_clip(job, &input.previous, &input.segment)?;
    let size = previous.as_ref().map(|clip| (clip.dims, clip.frames));
    let next =
        input.next.as_ref().map(|(task, wrap)| Ok::<_, EngineError>((clip_by(job, task)?, *wrap))).transpose()?;
    let returns_to = next.as_ref().map(|(clip, wrap)| (clip.dims, clip.frames, *wrap));
    let request = guide_request(&input.segment, &film, size, returns_to)?;
    let (mut media, mut hashes) = (MediaSet::new(), BTreeMap::new());
    for medium in request.media.iter().filter(|m| m.kind == MediumKind::Still) {
        media.insert(medium.id, Source::Still(job.still(medium.id.0)?));
        hashes.extend(spec.stills.get(medium.id.0 as usize).map(|still| (medium.id.0, still.hash)));
    }
    let next = next.map(|(clip, _)| (next_id(stills.len()), clip));
    for (id, clip) in previous.map(|clip| (previous_id(stills.len()), clip)).into_iter().chain(next) {
        media.insert(id, Source::Clip(clip.path));
        hashes.insert(id.0, clip.hash);
    }
    Ok((request, media, hashes))
}

/// A clip that a segment continues or returns to.
struct OtherClip {
    path: PathBuf,
    hash: Hash,
    dims: Dims,
    frames: u32,
}

fn previous_clip(job: &Job<'_>, previous: &Previous, segment: &Segment) -> Result<Option<OtherClip>, EngineError> {
    match previous {
        Previous::Nothing => Ok(None),
        _ if segment.place.overlap == 0 => Ok(None),
        Previous::Continued => {
            let clip = job.spec.continued.as_ref().ok_or_else(|| missing("continued video for", &job.claimed.name))?;
            let (hash, dims, frames) = (clip.hash, clip.dims, clip.frames);
            Ok(Some(OtherClip { path: job.shop.artifacts.verified_path(hash)?, hash, dims, frames }))
        }
        Previous::Task(task) => clip_by(job, task).map(Some),
    }
}

/// The clip of another segment.
fn clip_by(job: &Job<'_>, task: &str) -> Result<OtherClip, EngineError> {
    let parent = job.claimed.parents.iter().find(|p| p.name == task);
    let output = parent.and_then(|p| p.output.as_ref()).ok_or_else(|| missing("output of task", task))?;
    let SegmentOutput { dims, frames, .. } = parse("output", output).map_err(EngineError::Stored)?;
    let hash = job.hash_by(task, slot::CLIP)?;
    Ok(OtherClip { path: job.shop.artifacts.path(hash)?, hash, dims, frames })
}

/// What is changed of a segment once it is rendered.
fn post_of(spec: &RunSpec, segment: &Segment) -> Post {
    let follows = segment.place.index > 0 || spec.continued.is_some();
    if follows { spec.post } else { spec.post.of_first() }
}

/// The clip to store: the generator's own, or a changed copy when changes were asked: known frames put back, and those of
/// segments that follow something.
fn post(
    job: &Job<'_>,
    input: &SegmentInput,
    clip: &Path,
    paste: Option<Paste<'_>>,
    changed: &Path,
) -> Result<PathBuf, EngineError> {
    let (spec, segment) = (&job.spec, &input.segment);
    let post = post_of(spec, segment);
    if post.is_nothing() && paste.is_none() {
        return Ok(clip.to_owned());
    }
    let frames = segment.place.total;
    job.control.phase("post", u64::from(frames));
    let colours = |still: u32| Ok::<_, EngineError>(travel_media::still_colours(&job.still(still)?, spec.canvas)?);
    let (begins, leads_to) = stills_of(segment);
    let colours = match leads_to.filter(|_| post.colour_match > 0.0) {
        None => None,
        Some(last) => Some(ColourMatch {
            from: begins.map(colours).transpose()?,
            to: colours(last)?,
            strength: post.colour_match,
            frames,
            overlap: segment.place.overlap,
        }),
    };
    let adjust =
        Adjust { paste, colours, saturation: post.saturation, brightness: post.brightness.unwrap_or_default() };
    travel_media::adjust_clip(clip, changed, adjust, job.control.as_ref())?;
    Ok(changed.to_owned())
}
