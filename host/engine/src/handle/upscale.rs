//! `travel_upscale`: the joined clips → a generator that makes films larger → the one lossy encode → the film.
//!
//! A generator that encodes the film itself, as asked, saves a pass; whatever others return is decoded, held against what was
//! asked for, and encoded here.

use super::deliver::{deliver, verified};
use super::{Done, Job, missing};
use crate::course::Course;
use crate::error::EngineError;
use crate::limits::{UPSCALE_PROMPT, UPSCALE_SEED_OFFSET};
use crate::task::{JoinedOutput, UpscaleInput, parse, slot};
use travel_generators::process::LOG;
use travel_generators::{Upscale, Wanted};
use travel_media::Known;

pub(super) fn enlarge(job: &Job<'_>) -> Result<Done, EngineError> {
    let input: UpscaleInput = parse("upscale", &job.claimed.input).map_err(EngineError::Stored)?;
    let spec = &job.spec;
    let wish = spec.upscale.as_ref().ok_or_else(|| missing("size for", "the upscaled film"))?;
    let course = Course::of(job.claimed)?;
    let name = course.generator(&wish.generator);
    let policy = job.shop.generators.policy(name);
    job.admit(name, &policy)?;
    let generator = job.shop.generators.by_name(name)?;
    let settings = course.settings(wish.settings.clone(), &policy.out_of_memory);
    if course != Course::default() {
        // The run's own were checked when it was submitted.
        generator.check_settings(&settings)?;
        tracing::info!(
            task = job.claimed.name,
            generator = name,
            because = course.because,
            "made larger in another way"
        );
    }
    let stitch = job.claimed.parents.iter().find(|parent| parent.name == input.stitch);
    let joined = stitch.and_then(|stitch| stitch.output.as_ref()).ok_or_else(|| missing("output of", &input.stitch))?;
    let joined: JoinedOutput = parse("stitch's output", joined).map_err(EngineError::Stored)?;
    let video = job.made_by(&input.stitch, slot::JOINED)?;

    let scratch = job.shop.artifacts.task_scratch(job.claimed.task)?;
    job.control.phase("upscale", u64::from(joined.frames));
    let work = Upscale {
        video,
        frames: joined.frames,
        dims: wish.dims,
        rate: spec.film_rate(),
        encode: spec.encode,
        prompt: UPSCALE_PROMPT.to_owned(),
        seed: spec.wishes.seed.wrapping_add(UPSCALE_SEED_OFFSET),
        settings,
        out: scratch.path("larger.mp4"),
        work_dir: scratch.folder().to_owned(),
        device: job.control.device().cloned(),
    };
    let made = generator.upscale(&work, job.control.as_ref());
    job.keep_log(&scratch.path(LOG));
    let made = made?;
    job.control.leave_place();
    if made.encoded {
        let info = verified(job, &made.clip, joined.frames)?;
        return deliver(job, &scratch, &made.clip, info, joined.seams, Some(course));
    }

    job.control.phase("verify", u64::from(joined.frames));
    let control = job.control.as_ref();
    let survey = travel_media::survey(&made.clip, &work.video, &[], control);
    let mut survey = survey.map_err(|source| match source.is_bad_input() {
        true => EngineError::SpoiltClip { generator: name.to_owned(), source },
        false => source.into(),
    })?;
    // The film as it was stands in for what the guide gives: where it is neither black nor still, no larger one is.
    let before = travel_media::survey(&work.video, &work.video, &[], control)?;
    let (brightest, apart) = (before.brightest, before.farthest);
    survey.known = Some(Known { frames: work.frames, brightest, apart, off: 0.0, off_most: 0.0 });
    let wanted = Wanted { frames: work.frames, dims: work.dims, rate: work.rate, allow_still: policy.allow_still };
    wanted.verify(&survey).map_err(|flaw| EngineError::BadClip { generator: name.to_owned(), flaw })?;
    let film = scratch.path("film.mp4");
    job.control.phase("encode", u64::from(work.frames));
    let frames = work.frames;
    travel_media::encode_film(&made.clip, frames, work.dims, work.rate, &spec.encode, &film, control)?;
    let info = verified(job, &film, frames)?;
    deliver(job, &scratch, &film, info, joined.seams, Some(course))
}
