//! The end of every film: decoded and counted → stored → placed in the output folder.

use super::{Done, Job, to_json};
use crate::course::Course;
use crate::error::EngineError;
use crate::limits::{JOIN_FADE, SHEET, TRACK_FADE};
use crate::manifest::{FilmMade, Manifest};
use crate::seams::SeamMade;
use crate::submit::{check_free, check_free_for_manifest, sees_other_file, slot_artifact};
use crate::task::{FilmOutput, slot};
use std::path::{Path, PathBuf};
use travel_artifacts::{Scratch, Stored};
use travel_media::{ClipInfo, Sound};

/// Hands over an encoded film, which was counted: what the run's last task leaves behind. `course` is how it was made larger.
pub(super) fn deliver(
    job: &Job<'_>,
    scratch: &Scratch,
    film: &Path,
    info: ClipInfo,
    seams: Vec<SeamMade>,
    course: Option<Course>,
) -> Result<Done, EngineError> {
    let course = course.filter(|course| *course != Course::default());
    let events = course.iter().map(Course::event).collect::<Result<_, _>>()?;
    let spec = &job.spec;
    let film = &sounded(job, scratch, film, info.frames, &seams)?;
    let sheet = scratch.path("sheet.png");
    if spec.output.contact_sheet.is_some() {
        job.control.phase("contact-sheet", 0);
        let (columns, rows, width) = SHEET;
        travel_media::contact_sheet(film, columns, rows, width, &sheet, job.control.as_ref())?;
    }
    job.go_on()?;

    job.control.phase("store", 0);
    let film = job.shop.artifacts.put(film)?;
    let mut made = vec![slot_artifact(slot::FILM, film, "video/mp4")];
    let film_path = job.shop.output_path(&spec.output.film);
    place(job, film, &film_path)?;
    let sheet_path = spec.output.contact_sheet.as_ref().map(|path| job.shop.output_path(path));
    if let Some(path) = &sheet_path {
        let sheet = job.shop.artifacts.put(&sheet)?;
        place(job, sheet, path)?;
        made.push(slot_artifact(slot::SHEET, sheet, "image/png"));
    }
    let phases_ms = job.control.phases_ms();
    let made_film = FilmMade {
        file: film_path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        hash: film.hash,
        bytes: film.bytes,
        frames: info.frames,
        dims: info.dims,
        rate: spec.film_rate(),
        seams: seams.clone(),
        course: course.as_ref().map(to_json).transpose()?,
        phases_ms: phases_ms.clone(),
    };
    let generators = &job.shop.generators;
    let manifest = Manifest::of(job.claimed.run, &job.claimed.run_name, spec, made_film, job.store, generators)
        .and_then(|manifest| serde_json::to_vec_pretty(&manifest).map_err(|e| EngineError::Stored(e.to_string())))?;
    let manifest = job.shop.artifacts.put_bytes(&manifest)?;
    made.push(slot_artifact(slot::MANIFEST, manifest, "application/json"));
    let manifest_path = Manifest::beside(&film_path);
    check_free_for_manifest(&manifest_path)?;
    job.shop.artifacts.export(manifest.hash, &manifest_path)?;
    let output = FilmOutput {
        film: film_path,
        contact_sheet: sheet_path,
        manifest: Some(manifest_path),
        hash: film.hash,
        bytes: film.bytes,
        frames: info.frames,
        dims: info.dims,
        rate: spec.film_rate(),
        seconds: spec.film_rate().seconds(info.frames),
        seams,
        course,
        phases_ms,
    };
    let output = to_json(&output)?;
    Ok(Done { output: output.clone(), made, run_output: Some(output), events, ..Done::default() })
}

/// The film with what is to be heard under it.
fn sounded(
    job: &Job<'_>,
    scratch: &Scratch,
    film: &Path,
    frames: u32,
    seams: &[SeamMade],
) -> Result<PathBuf, EngineError> {
    let (spec, seconds) = (&job.spec, job.spec.film_rate().seconds(frames));
    let mut sounds = Vec::new();
    if let Some(track) = &spec.sound.track {
        let file = job.shop.artifacts.verified_path(track.hash)?;
        sounds.push(Sound { file, until: seconds, fade: TRACK_FADE.min(seconds) });
    }
    if let Some(video) = spec.continued.as_ref().filter(|_| spec.sound.own) {
        let file = job.shop.artifacts.verified_path(video.hash)?;
        let (until, overlap) = (spec.rate.seconds(video.frames), seams.first().map_or(0, |seam| seam.overlap));
        sounds.push(Sound { file, until, fade: spec.rate.seconds(overlap).max(JOIN_FADE).min(until) });
    }
    if sounds.is_empty() {
        return Ok(film.to_owned());
    }
    job.control.phase("sound", 0);
    let out = scratch.path("sounded.mp4");
    travel_media::lay_sound(film, &sounds, seconds, &out, job.control.as_ref())?;
    Ok(out)
}

/// Decodes and counts a film.
pub(super) fn verified(job: &Job<'_>, film: &Path, want: u32) -> Result<ClipInfo, EngineError> {
    job.control.phase("verify", u64::from(want));
    let info = travel_media::probe(film, job.control.as_ref())?;
    if info.frames != want {
        return Err(EngineError::WrongFilm { got: info.frames, want });
    }
    Ok(info)
}

/// Puts a stored file where the user wants it. A file of other content is only replaced when the user said so, or when it is
/// what this task made before it was done again; the same content is there already when an earlier attempt died between
/// placing and finishing.
pub(super) fn place(job: &Job<'_>, stored: Stored, to: &std::path::Path) -> Result<(), EngineError> {
    let mut own = vec![slot_artifact("", stored, "")];
    if to.is_file() && !sees_other_file(to, &own) {
        return Ok(());
    }
    own.extend(job.store.takes(job.claimed.task)?.into_iter().flat_map(|take| take.made));
    if sees_other_file(to, &own) {
        check_free(to, &job.spec.output)?;
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| EngineError::OutputFolder { folder: folder.to_owned(), reason: e.to_string() })?;
    }
    Ok(job.shop.artifacts.export(stored.hash, to)?)
}
