//! `travel_stitch`: all clips → edit list → one encode → the film, or what another task makes the film of.

use super::deliver::{deliver, place, verified};
use super::{Done, Job, missing, to_json};
use crate::error::EngineError;
use crate::seams::{self, SeamMade};
use crate::submit::slot_artifact;
use crate::task::{EncodeOutput, JoinedOutput, StitchInput, parse, slot};
use std::path::{Path, PathBuf};
use travel::{Dims, MediumId, Retiming, Role};
use travel_artifacts::Scratch;
use travel_media::{ClipInfo, ClipSource, Encode, MediaError, MediaSet, Seam, Source, Stitch};
use travel_queue::NewEvent;

pub(super) fn join(job: &Job<'_>) -> Result<Done, EngineError> {
    job.control.phase("measure", 0);
    let input: StitchInput = parse("stitch", &job.claimed.input).map_err(EngineError::Stored)?;
    let spec = &job.spec;
    let control = job.control.as_ref();
    let scratch = job.shop.artifacts.task_scratch(job.claimed.task)?;
    let clips = clips(job, &input, &scratch)?;
    let overlaps: Vec<u32> = clips.iter().skip(1).map(|c| c.overlap).collect();
    let sources: Vec<ClipSource> =
        clips.iter().map(|c| ClipSource { path: c.path.clone(), frames: c.frames }).collect();
    let parts = parts(job, &input)?;
    let measured: Vec<Seam> = parts.iter().filter_map(|part| part.join.clone()).map(Seam::from).collect();
    let seams = match measured.len() == overlaps.len() {
        true => measured,
        false => travel_media::measure_joins(&sources, &overlaps, spec.canvas, spec.rate, control)?,
    };
    let joins = seams.iter().map(|seam| seam.join.clone()).collect();

    job.control.phase("plan", 0);
    let request = super::film::request(spec, clips.iter().map(|clip| (clip.dims, clip.frames)), joins);
    let (plan, report) = job.plugin(Role::Crossfade)?.crossfade(&request, &job.call())?;
    tracing::debug!(task = job.claimed.name, fuel = report.fuel_used, steps = plan.steps.len(), "edit list composed");
    let names: Vec<String> = clips.iter().map(|clip| clip.name.clone()).collect();
    let seams = seams::report(&seams, &plan, &names, &request.starts());
    let retiming = Retiming { from: spec.rate, to: spec.film_rate() };
    let want = u32::try_from(retiming.frames(request.film_frames())).unwrap_or(u32::MAX);

    let film = scratch.path("film.mp4");
    job.control.phase("stitch", u64::from(want));
    let media: MediaSet =
        (0u32..).zip(&clips).map(|(i, clip)| (MediumId(i), Source::Clip(clip.path.clone()))).collect();
    // What is encoded once more loses nothing here.
    let encode = if spec.upscale.is_some() { Encode::lossless(spec.encode.ten_bit) } else { spec.encode };
    let stitch = super::film::stitch(spec, &plan, &request, &media, &encode);
    let (info, mut events) = match parts.is_empty() {
        true => (stitch.film(&film, control).map(|_| None)?, Vec::new()),
        false => of_parts(job, &input, &parts, &stitch, &film, &scratch)?,
    };
    let mut page = None;
    if let Some(path) = &spec.output.seams {
        job.control.phase("seams", 0);
        let html = seams::page(&job.claimed.run_name, &seams, &sources, spec.canvas, spec.rate)?;
        let stored = job.shop.artifacts.put_bytes(html.as_bytes())?;
        place(job, stored, &job.shop.output_path(path))?;
        page = Some(slot_artifact(slot::SEAMS, stored, "text/html"));
    }
    events.extend(visible(&seams)?);
    let info = match info.filter(|info: &ClipInfo| info.frames == want) {
        Some(info) => info,
        None => verified(job, &film, want)?,
    };
    if spec.upscale.is_none() {
        let mut done = deliver(job, &scratch, &film, info, seams, None)?;
        done.made.extend(page);
        done.events.extend(events);
        return Ok(done);
    }

    job.control.phase("store", 0);
    let mut made = vec![slot_artifact(slot::JOINED, job.shop.artifacts.put(&film)?, "video/mp4")];
    made.extend(page);
    let output = JoinedOutput { frames: info.frames, dims: info.dims, seams, phases_ms: job.control.phases_ms() };
    Ok(Done { output: to_json(&output)?, made, events, ..Done::default() })
}

/// The film's parts as they were encoded; none when it is encoded in one piece.
fn parts(job: &Job<'_>, input: &StitchInput) -> Result<Vec<EncodeOutput>, EngineError> {
    let output = |task: &String| {
        let parent = job.claimed.parents.iter().find(|parent| parent.name == *task);
        let output = parent.and_then(|p| p.output.as_ref()).ok_or_else(|| missing("output of task", task))?;
        parse("encode's output", output).map_err(EngineError::Stored)
    };
    input.encoded.iter().map(output).collect()
}

/// Makes the film of its parts, or in one piece where they do not fit together; what is known of it when nothing had to be encoded,
/// and what is to be told when something had.
fn of_parts(
    job: &Job<'_>,
    input: &StitchInput,
    parts: &[EncodeOutput],
    stitch: &Stitch<'_>,
    film: &Path,
    scratch: &Scratch,
) -> Result<(Option<ClipInfo>, Vec<NewEvent>), EngineError> {
    let (mut again, mut files) = (Vec::new(), Vec::with_capacity(parts.len()));
    for ((index, task), part) in (0u32..).zip(&input.encoded).zip(parts) {
        let next = stitch.request.joins.get(index as usize).map_or(0, |join| join.overlap);
        let (from, to) = super::encode::part(stitch.request, index, next);
        let steps = stitch.plan.part(from, to);
        let because = match job.made_by(task, slot::CHUNK) {
            Ok(chunk) if super::encode::is_same(part, &steps)? => {
                files.push(chunk);
                continue;
            }
            Ok(_) => "the edit list of the whole film differs",
            Err(_) => "it was cleaned up",
        };
        again.push(serde_json::json!({ "part": index, "because": because }));
        let out = scratch.path(&format!("chunk-{index}.mp4"));
        stitch.chunk(&steps, to - from, &out, job.control.as_ref())?;
        files.push(out);
    }
    let told = |label: &str, data| vec![NewEvent { label: label.to_owned(), data }];
    match travel_media::join_chunks(&files, job.spec.rate, film, job.control.as_ref()) {
        // Every part was decoded and counted when it was encoded, and every packet when it was copied.
        Ok(frames) if again.is_empty() => {
            let (dims, rate) = (job.spec.canvas, job.spec.rate.reduced());
            Ok((Some(ClipInfo { dims, frames, rate, constant_rate: true, lossless_rgb: false }), Vec::new()))
        }
        Ok(_) => Ok((None, told("encoded_again", serde_json::json!({ "parts": again })))),
        Err(error) if error.is_bad_input() || matches!(error, MediaError::ChunksDiffer { .. }) => {
            tracing::warn!(task = job.claimed.name, %error, "encoded in one piece after all");
            stitch.film(film, job.control.as_ref())?;
            Ok((None, told("encoded_in_one_piece", serde_json::json!({ "because": error.to_string() }))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells of joins that may show.
fn visible(seams: &[SeamMade]) -> Result<Vec<NewEvent>, EngineError> {
    let shown: Vec<&SeamMade> = seams.iter().filter(|seam| seam.may_show).collect();
    let Some(worst) = shown.iter().min_by(|a, b| a.ssim.total_cmp(&b.ssim)) else { return Ok(Vec::new()) };
    let [a, b] = &worst.between;
    tracing::warn!(
        seams = shown.len(),
        of = seams.len(),
        ssim = worst.ssim,
        colour = worst.colour,
        "seams may show, the one between {a} and {b} most"
    );
    let data = serde_json::json!({ "seams": shown.len(), "of": seams.len(), "worst": to_json(worst)? });
    Ok(vec![NewEvent { label: "seams_may_show".to_owned(), data }])
}

/// A clip in film order.
struct Clip {
    name: String,
    path: PathBuf,
    dims: Dims,
    frames: u32,
    overlap: u32,
}

fn clips(job: &Job<'_>, input: &StitchInput, scratch: &Scratch) -> Result<Vec<Clip>, EngineError> {
    let mut clips = Vec::with_capacity(input.clips.len() + 1);
    if input.continued {
        let clip = job.spec.continued.as_ref().ok_or_else(|| missing("continued video for", "the stitch"))?;
        let path = job.shop.artifacts.verified_path(clip.hash)?;
        clips.push(Clip { name: clip.label.clone(), path, dims: clip.dims, frames: clip.frames, overlap: 0 });
    }
    for clip in &input.clips {
        let path = job.made_by(&clip.task, slot::CLIP)?;
        let (name, dims) = (clip.task.clone(), job.spec.canvas);
        clips.push(Clip { name, path, dims, frames: clip.total, overlap: clip.overlap });
    }
    let wrap = input.wrap;
    if let Some(last) = clips.last_mut().filter(|_| wrap > 0) {
        // The film's last frames pass into its first: they stand there as a clip of their own, and the film ends before them.
        last.frames = last.frames.saturating_sub(wrap);
        let path = scratch.path("end.mkv");
        travel_media::excerpt(&last.path, last.frames, wrap, job.spec.rate, &path, job.control.as_ref())?;
        let end = Clip { name: format!("the end of {}", last.name), path, dims: last.dims, frames: wrap, overlap: 0 };
        if let Some(first) = clips.first_mut() {
            first.overlap = wrap;
        }
        clips.insert(0, end);
    }
    Ok(clips)
}
