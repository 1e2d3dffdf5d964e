//! `travel_stitch`: all clips → edit list → one encode → decoded and counted → stored → placed in the output folder.

use super::{Done, Job, missing, to_json};
use crate::error::EngineError;
use crate::limits::SHEET;
use crate::submit::{check_free, slot_artifact};
use crate::task::{FilmOutput, StitchInput, parse, slot};
use std::path::PathBuf;
use travel::crossfade::Request;
use travel::{Dims, MediumId, MediumInfo, MediumKind, Role};
use travel_artifacts::Stored;
use travel_media::{ClipSource, MediaSet, Source};

pub(super) fn join(job: &Job<'_>) -> Result<Done, EngineError> {
    job.control.phase("measure", 0);
    let input: StitchInput = parse("stitch", &job.claimed.input).map_err(EngineError::Stored)?;
    let spec = &job.spec;
    let control = job.control.as_ref();
    let clips = clips(job, &input)?;
    let overlaps: Vec<u32> = clips.iter().skip(1).map(|c| c.overlap).collect();
    let sources: Vec<ClipSource> =
        clips.iter().map(|c| ClipSource { path: c.path.clone(), frames: c.frames }).collect();
    let joins = travel_media::measure_joins(&sources, &overlaps, spec.canvas, spec.rate, control)?;

    job.control.phase("plan", 0);
    let infos = (0u32..).zip(&clips).map(|(i, clip)| MediumInfo {
        id: MediumId(i),
        kind: MediumKind::Clip,
        dims: clip.dims,
        frames: clip.frames,
        rate: spec.rate,
    });
    let request = Request { clips: infos.collect(), joins, rate: spec.rate, params: spec.params(Role::Crossfade) };
    let (plan, report) = job.plugin(Role::Crossfade)?.crossfade(&request, &job.call())?;
    tracing::debug!(task = job.claimed.name, fuel = report.fuel_used, steps = plan.steps.len(), "edit list composed");
    let want = u32::try_from(request.film_frames()).unwrap_or(u32::MAX);

    let scratch = job.shop.artifacts.task_scratch(job.claimed.task)?;
    let film = scratch.path("film.mp4");
    job.control.phase("stitch", u64::from(want));
    let media: MediaSet =
        (0u32..).zip(&clips).map(|(i, clip)| (MediumId(i), Source::Clip(clip.path.clone()))).collect();
    travel_media::stitch(&plan, &request, &media, spec.canvas, spec.rate, &spec.encode, &film, control)?;

    job.control.phase("verify", u64::from(want));
    let info = travel_media::probe(&film, control)?;
    if info.frames != want {
        return Err(EngineError::WrongFilm { got: info.frames, want });
    }
    let sheet = scratch.path("sheet.png");
    if spec.output.contact_sheet.is_some() {
        job.control.phase("contact-sheet", 0);
        let (columns, rows, width) = SHEET;
        travel_media::contact_sheet(&film, columns, rows, width, &sheet, control)?;
    }
    job.go_on()?;

    job.control.phase("store", 0);
    let film = job.shop.artifacts.put(&film)?;
    let mut made = vec![slot_artifact(slot::FILM, film, "video/mp4")];
    let film_path = job.shop.output_path(&spec.output.film);
    place(job, film, &film_path)?;
    let sheet_path = spec.output.contact_sheet.as_ref().map(|path| job.shop.output_path(path));
    if let Some(path) = &sheet_path {
        let sheet = job.shop.artifacts.put(&sheet)?;
        place(job, sheet, path)?;
        made.push(slot_artifact(slot::SHEET, sheet, "image/png"));
    }
    let output = FilmOutput {
        film: film_path,
        contact_sheet: sheet_path,
        hash: film.hash,
        bytes: film.bytes,
        frames: info.frames,
        dims: info.dims,
        rate: spec.rate,
        seconds: spec.rate.seconds(info.frames),
        phases_ms: job.control.phases_ms(),
    };
    let output = to_json(&output)?;
    Ok(Done { output: output.clone(), made, run_output: Some(output), ..Done::default() })
}

/// A clip in film order.
struct Clip {
    path: PathBuf,
    dims: Dims,
    frames: u32,
    overlap: u32,
}

fn clips(job: &Job<'_>, input: &StitchInput) -> Result<Vec<Clip>, EngineError> {
    let mut clips = Vec::with_capacity(input.clips.len() + 1);
    if input.continued {
        let clip = job.spec.continued.as_ref().ok_or_else(|| missing("continued video for", "the stitch"))?;
        let path = job.shop.artifacts.verified_path(clip.hash)?;
        clips.push(Clip { path, dims: clip.dims, frames: clip.frames, overlap: 0 });
    }
    for clip in &input.clips {
        let path = job.made_by(&clip.task, slot::CLIP)?;
        clips.push(Clip { path, dims: job.spec.canvas, frames: clip.total, overlap: clip.overlap });
    }
    Ok(clips)
}

/// Puts a stored file where the user wants it. A file of other content is only replaced when the user said so; the same
/// content is there already when an earlier attempt died between placing and finishing.
fn place(job: &Job<'_>, stored: Stored, to: &std::path::Path) -> Result<(), EngineError> {
    if to.is_file() && std::fs::read(to).is_ok_and(|bytes| travel_artifacts::Hash::of(&bytes) == stored.hash) {
        return Ok(());
    }
    check_free(to, &job.spec.output)?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| EngineError::OutputFolder { folder: folder.to_owned(), reason: e.to_string() })?;
    }
    Ok(job.shop.artifacts.export(stored.hash, to)?)
}
