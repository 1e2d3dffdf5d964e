//! What every embedded generator owes the engine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;

use clips::{RATE, Watcher, grey, job, middle_error, read_clip, texture, texture_at, write_clip};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::tempdir;
use travel::Dims;
use travel_generators::{Control, Generator, GeneratorError, Generators, Upscale};
use travel_media::{Encode, RgbFrame};

const DIMS: Dims = Dims { width: 64, height: 48 };

fn embedded() -> impl Iterator<Item = Arc<dyn Generator>> {
    let generators = Generators::embedded();
    let names: Vec<String> = generators.names().map(str::to_owned).collect();
    names.into_iter().map(move |name| generators.by_name(&name).unwrap())
}

/// Those that render segments.
fn all() -> impl Iterator<Item = Arc<dyn Generator>> {
    embedded().filter(|generator| generator.describe().unwrap().renders)
}

/// Those that make films larger.
fn upscalers() -> impl Iterator<Item = Arc<dyn Generator>> {
    embedded().filter(|generator| generator.describe().unwrap().upscales.is_some())
}

/// Five frames of a moving texture, to be made twice as wide and high.
fn film(folder: &Path) -> Upscale {
    let video = folder.join("film.mkv");
    write_clip(&video, &(0..5).map(|i| texture(DIMS, f64::from(i))).collect::<Vec<_>>());
    Upscale {
        video,
        frames: 5,
        dims: Dims { width: 2 * DIMS.width, height: 2 * DIMS.height },
        rate: RATE,
        encode: Encode { crf: 4, ..Encode::default() },
        prompt: String::new(),
        seed: 7,
        settings: serde_json::Value::Null,
        out: folder.join("larger.mp4"),
        work_dir: folder.to_owned(),
        device: None,
    }
}

#[test]
fn a_film_made_larger_shows_the_same_as_long_and_twice_as_large() {
    for generator in upscalers() {
        let folder = tempdir().unwrap();
        let job = film(folder.path());
        let watcher = Watcher::patient();
        let made = generator.upscale(&job, &watcher).unwrap();
        assert_eq!(watcher.done.load(Ordering::Relaxed), 5);
        let info = travel_media::probe(&made.clip, &travel_media::Unwatched).unwrap();
        assert_eq!((info.frames, info.dims, info.rate), (5, job.dims, RATE));
        for (i, frame) in read_clip(&made.clip).iter().enumerate() {
            // A pixel's middle stands at a quarter of the small ones; a tenth beside is further from the truth. What is left is
            // colour at half the size.
            let small = |side: f64| (side + 0.5) / 2.0 - 0.5;
            let off = |by: f64| {
                let truth = texture_at(job.dims, |x, y| (small(x) - i as f64 - by, small(y)));
                middle_error(frame, &truth)
            };
            let (right, beside) = (off(0.0), off(0.1).min(off(-0.1)));
            assert!(
                right < 12.0 && right < beside,
                "{} frame {i}: {right} {beside}",
                generator.describe().unwrap().name
            );
        }
    }
}

#[test]
fn a_cancelled_upscale_ends_at_once_and_leaves_no_clip() {
    for generator in upscalers() {
        let folder = tempdir().unwrap();
        let job = film(folder.path());
        let error = generator.upscale(&job, &Watcher { done: AtomicU32::new(0), cancel_at: 2 }).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { done: 2, total: 5 }), "{error}");
        assert!(!error.is_retryable() && !job.out.exists());
    }
}

#[test]
fn a_film_that_is_missing_or_shorter_is_refused_and_leaves_no_clip() {
    for generator in upscalers() {
        let folder = tempdir().unwrap();
        let whole = film(folder.path());
        let missing = Upscale { video: folder.path().join("nowhere.mkv"), ..whole.clone() };
        for (job, says) in [(missing, "does not exist"), (Upscale { frames: 9, ..whole }, "5 frames")] {
            let error = generator.upscale(&job, &Watcher::patient()).unwrap_err();
            let reason = std::error::Error::source(&error).unwrap().to_string();
            assert!(reason.contains(says) && !error.is_retryable() && !job.out.exists(), "{reason}");
        }
    }
}

#[test]
fn each_says_no_to_what_it_does_not_say_it_can() {
    for generator in embedded() {
        let folder = tempdir().unwrap();
        let able = generator.describe().unwrap();
        if able.upscales.is_none() {
            let error = generator.upscale(&film(folder.path()), &Watcher::patient()).unwrap_err();
            assert!(matches!(error, GeneratorError::NotAnUpscaler { .. }), "{error}");
        }
        if !able.renders {
            let job = job(folder.path(), &[still(0.0), None, still(2.0)]);
            let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
            assert!(matches!(error, GeneratorError::OnlyAnUpscaler { .. }), "{error}");
            let error = generator.check_settings(&json!({"strength": 1})).unwrap_err();
            assert!(error.to_string().contains("takes no settings"), "{error}");
        }
    }
}

fn still(shift: f64) -> Option<RgbFrame> {
    Some(texture(DIMS, shift))
}

#[test]
fn kept_frames_are_bit_exact_and_the_count_is_the_jobs() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let kept = [still(0.0), still(1.0), None, None, still(4.0), None, still(5.0), still(9.0)];
        let job = job(folder.path(), &kept);
        let watcher = Watcher::patient();
        let made = generator.generate(&job, &watcher).unwrap();
        let frames = read_clip(&made.clip);
        assert_eq!((frames.len(), made.frames, made.dims, made.rate), (8, 8, job.dims, job.rate));
        assert_eq!(watcher.done.load(Ordering::Relaxed), 8);
        for (i, (frame, kept)) in frames.iter().zip(&kept).enumerate() {
            match kept {
                Some(kept) => assert!(frame == kept, "{:?} frame {i}", generator.describe().unwrap().name),
                None => assert!(*frame != grey(DIMS, 127), "{:?} frame {i}", generator.describe().unwrap().name),
            }
        }
    }
}

#[test]
fn a_gap_with_one_kept_frame_holds_it() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), &[None, None, still(0.0), None, still(2.0), None, None, None]);
        let frames = read_clip(&generator.generate(&job, &Watcher::patient()).unwrap().clip);
        let (first, last) = (texture(DIMS, 0.0), texture(DIMS, 2.0));
        assert_eq!(frames.len(), 8);
        assert!(frames[..3].iter().all(|frame| *frame == first));
        assert!(frames[4..].iter().all(|frame| *frame == last));
    }
}

#[test]
fn control_clips_of_another_length_are_refused_with_both_numbers() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), &[still(0.0), None, None, still(2.0)]);
        for (control, path) in [(Control::Mask, &job.mask), (Control::Guide, &job.guide)] {
            let good = read_clip(path);
            for (frames, told) in [(3, "has 3 frames, the job 4"), (5, "has at least 5 frames, the job 4")] {
                let clip: Vec<_> = good.iter().cycle().take(frames).cloned().collect();
                write_clip(path, &clip);
                let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
                assert_eq!(error.to_string(), format!("the {control} {told}"));
                assert!(!error.is_retryable() && !job.out.exists());
            }
            write_clip(path, &good);
        }
    }
}

#[test]
fn control_clips_of_another_size_are_refused_with_both_sizes() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let mut job = job(folder.path(), &[still(0.0), None, still(2.0)]);
        job.dims = Dims { width: 64, height: 64 };
        let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
        assert_eq!(error.to_string(), "frame 0 of the mask is 64x48, the job 64x64");
    }
}

#[test]
fn a_mask_that_keeps_nothing_leaves_nothing_to_go_by() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), &[None, None, None]);
        let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
        assert!(matches!(error, GeneratorError::NothingToGoBy { frames: 3 }), "{error}");
    }
}

#[test]
fn an_unreadable_guide_is_named_with_the_reason() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let mut job = job(folder.path(), &[still(0.0), None, still(2.0)]);
        job.guide = folder.path().join("nowhere.mkv");
        let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
        assert!(error.to_string().contains("nowhere.mkv") && !error.is_retryable(), "{error}");
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("does not exist"), "{reason}");
    }
}

#[test]
fn lengths_and_sizes_off_the_grid_are_refused() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let mut job = job(folder.path(), &[still(0.0), None, still(2.0)]);
        job.place.total = 1;
        let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
        assert!(matches!(error, GeneratorError::OffGrid { frames: 1, .. }), "{error}");
        job.dims = Dims { width: 63, height: 48 };
        let error = generator.generate(&job, &Watcher::patient()).unwrap_err();
        assert!(matches!(error, GeneratorError::OffGrid { .. }), "{error}");
    }
}

#[test]
fn a_cancelled_job_ends_at_once_and_leaves_no_clip() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), &[still(0.0), None, None, None, still(2.0)]);
        let watcher = Watcher { done: AtomicU32::new(0), cancel_at: 2 };
        let error = generator.generate(&job, &watcher).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { done: 2, total: 5 }), "{error}");
        assert!(!error.is_retryable() && !job.out.exists());
    }
}

#[test]
fn bad_settings_are_refused_with_the_place() {
    for generator in all() {
        for (settings, place) in
            [(json!({"easing": "wild"}), "/easing"), (json!({"strenght": 1}), "/strenght"), (json!(3), "")]
        {
            match generator.check_settings(&settings) {
                Err(GeneratorError::BadSettings { pointer, .. }) => assert_eq!(pointer, place),
                other => panic!("{settings}: {other:?}"),
            }
        }
        generator.check_settings(&json!({"easing": "ease_out_sine"})).unwrap();
        assert_eq!(generator.describe().unwrap().settings_schema["properties"]["easing"]["enum"][0], "linear");
    }
}

#[test]
fn the_same_job_gives_the_same_frames() {
    for generator in all() {
        let folder = tempdir().unwrap();
        let job = job(folder.path(), &[still(0.0), None, None, still(3.0)]);
        let first = read_clip(&generator.generate(&job, &Watcher::patient()).unwrap().clip);
        let second = read_clip(&generator.generate(&job, &Watcher::patient()).unwrap().clip);
        assert!(first == second);
    }
}
