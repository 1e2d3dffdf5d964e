//! Wan2GP's bridge against a stand-in with its documented Python API and command line, which lies as the real one can.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;
mod stand_ins;

use clips::{Watcher, job, read_clip, texture};
use serde_json::json;
use stand_ins::wan2gp;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::{TempDir, tempdir};
use travel::Dims;
use travel_generators::process::{LOG, Recipe, Wan2gp, Wan2gpMode as Mode};
use travel_generators::{Generator as _, GeneratorError, Job, Progress};

const DIMS: Dims = Dims { width: 64, height: 48 };

const MODES: [Mode; 2] = [Mode::Api, Mode::Process];

fn a_job(folder: &TempDir) -> Job {
    let mut kept = vec![None; 17];
    kept[0] = Some(texture(DIMS, 0.0));
    kept[16] = Some(texture(DIMS, 3.0));
    Job { settings: json!({"num_inference_steps": 4}), ..job(folder.path(), &kept) }
}

#[test]
fn it_renders_with_settings_that_wan2gp_reads_as_they_are_meant() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let generator = wan2gp(mode, "nothing");
        let able = generator.describe().unwrap();
        assert_eq!((able.grid.step, able.grid.dims_multiple, able.grid.anchor_hold), (4, 16, 4));
        assert!(able.notice.unwrap().contains("WanGP Community License"));
        let job = a_job(&folder);
        for _ in 0..2 {
            generator.generate(&job, &Watcher::of_steps()).unwrap();
            assert_eq!(read_clip(&job.out).len(), 17);
            std::fs::remove_file(&job.out).unwrap();
        }
        let log = std::fs::read_to_string(folder.path().join(LOG)).unwrap();
        let loaded = log.contains("Loading model");
        assert!(log.contains("VAE") && loaded == (mode == Mode::Process), "{mode:?}: {log}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "guide, mask and log, and nothing of Wan2GP's: {left:?}");
    }
}

#[test]
fn references_are_read_as_such_and_one_that_is_missing_is_not_left_out() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let picture = folder.path().join("reference.png");
        travel_media::save_png(&texture(DIMS, 1.0), &picture).unwrap();
        let generator = wan2gp(mode, "nothing");
        assert!(generator.describe().unwrap().references > 1);
        let job = Job { references: vec![picture.clone()], ..a_job(&folder) };
        generator.generate(&job, &Watcher::of_steps()).unwrap();
        std::fs::remove_file(&picture).unwrap();
        let error = generator.generate(&job, &Watcher::of_steps()).unwrap_err();
        assert!(error.to_string().contains("reference.png is not there") && !error.is_retryable(), "{error}");
    }
}

#[test]
fn what_the_host_decides_is_no_setting() {
    for mode in MODES {
        let generator = wan2gp(mode, "nothing");
        generator.check_settings(&json!({"guidance_scale": 1.0, "activated_loras": ["CausVid"]})).unwrap();
        for (settings, names) in
            [(json!({"video_length": 9}), "video_length"), (json!({"num_inference_steps": 0}), "minimum")]
        {
            let error = generator.check_settings(&settings).unwrap_err();
            assert!(
                matches!(error, GeneratorError::BadSettings { .. }) && error.to_string().contains(names),
                "{error}"
            );
        }
    }
}

#[test]
fn a_success_without_its_clip_is_none() {
    for (mode, lie, code, says) in [
        (Mode::Api, "nothing made", "generator_transient", "0 clips instead of one"),
        (Mode::Api, "two windows", "generator_transient", "2 clips instead of one"),
        (Mode::Api, "no file", "generator_transient", "and there is none"),
        (Mode::Api, "out of memory", "generator_out_of_memory", "Tried to allocate 2 GiB"),
        (Mode::Process, "nothing made", "generator_transient", "exit status 0 and left 0 clips instead of one"),
        (Mode::Process, "two windows", "generator_transient", "exit status 0 and left 2 clips instead of one"),
        (Mode::Process, "dropped", "generator_transient", "without what it was given: [WARNING] video_mask"),
        (Mode::Process, "out of memory", "generator_out_of_memory", "Tried to allocate 2 GiB"),
        (Mode::Process, "error", "generator_transient", "the sampler diverged"),
        (Mode::Process, "dies", "generator_transient", "exit status 42"),
    ] {
        let folder = tempdir().unwrap();
        let error = wan2gp(mode, lie).generate(&a_job(&folder), &Watcher::of_steps()).unwrap_err();
        assert_eq!(error.code(), code, "{lie}: {error}");
        assert!(error.to_string().contains(says) && error.is_retryable(), "{lie}: {error}");
    }
}

#[test]
fn of_a_clip_and_what_was_made_of_it_the_latter_is_taken() {
    let folder = tempdir().unwrap();
    let job = a_job(&folder);
    wan2gp(Mode::Process, "postprocessed").generate(&job, &Watcher::of_steps()).unwrap();
    assert_eq!(read_clip(&job.out).len(), 17);
}

#[test]
fn a_prompt_that_speaks_of_missing_masks_is_no_warning() {
    let folder = tempdir().unwrap();
    let job = Job { prompt: "the mask is missing, its attachment ignored".to_owned(), ..a_job(&folder) };
    wan2gp(Mode::Process, "nothing").generate(&job, &Watcher::of_steps()).unwrap();
}

/// Every report of a job, and the stages between them.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn report(&self, done: u32, total: u32) {
        self.0.lock().unwrap().push(format!("{done}/{total}"));
    }
    fn stage(&self, name: &str) {
        self.0.lock().unwrap().push(name.to_owned());
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

#[test]
fn lines_that_are_written_over_are_read_as_progress_phase_by_phase() {
    let folder = tempdir().unwrap();
    let heard = Heard::default();
    wan2gp(Mode::Process, "nothing").generate(&a_job(&folder), &heard).unwrap();
    let heard: Vec<String> = heard.0.into_inner().unwrap().into_iter().filter(|told| told != "0/0").collect();
    let steps = ["denoising", "1/4", "denoising", "2/4", "denoising", "3/4", "denoising", "4/4"];
    let decoding = ["vae decoding", "1/2", "vae decoding", "2/2"];
    assert_eq!(heard, [&["start", "load", "render", "start Wan2GP"][..], &steps, &decoding].concat());
}

#[test]
fn what_wan2gp_finds_invalid_is_not_tried_again() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let mut settings = a_job(&folder);
        settings.settings = json!({"video_prompt_type": "VM", "num_inference_steps": 4});
        let error = wan2gp(mode, "nothing").generate(&settings, &Watcher::of_steps()).unwrap_err();
        assert_eq!(error.code(), "generator_refused", "{error}");
        let missing = Job { guide: folder.path().join("gone.mkv"), ..a_job(&folder) };
        let error = wan2gp(mode, "nothing").generate(&missing, &Watcher::of_steps()).unwrap_err();
        assert!(error.to_string().contains("gone.mkv is not there") && !error.is_retryable(), "{error}");
    }
    let folder = tempdir().unwrap();
    let error = wan2gp(Mode::Process, "skipped").generate(&a_job(&folder), &Watcher::of_steps()).unwrap_err();
    assert!(error.code() == "generator_refused" && error.to_string().contains("unknown model"), "{error}");
}

/// Cancels at the first step, and wakes whoever waits.
#[derive(Default)]
struct Cancelled {
    is: AtomicBool,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Progress for Cancelled {
    fn report(&self, done: u32, _: u32) {
        if done > 0 {
            self.is.store(true, Ordering::Release);
            let wake = self.wake.lock().unwrap().clone();
            wake.iter().for_each(|wake| wake());
        }
    }
    fn cancelled(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }
    fn on_cancel(&self, wake: Box<dyn Fn() + Send + Sync>) {
        *self.wake.lock().unwrap() = Some(Arc::from(wake));
    }
}

#[test]
fn a_cancelled_job_ends_and_the_model_stays_loaded() {
    let folder = tempdir().unwrap();
    let generator = wan2gp(Mode::Api, "never ends");
    for _ in 0..2 {
        let error = generator.generate(&a_job(&folder), &Cancelled::default()).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
    }
    let log = std::fs::read_to_string(folder.path().join(LOG)).unwrap();
    assert!(!log.contains("Loading model"), "the second job found it loaded: {log}");
}

#[test]
fn a_cancelled_command_is_interrupted_and_the_bridge_goes_on() {
    let folder = tempdir().unwrap();
    let generator = wan2gp(Mode::Process, "never ends");
    for _ in 0..2 {
        let error = generator.generate(&a_job(&folder), &Cancelled::default()).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
        let log = std::fs::read_to_string(folder.path().join(LOG)).unwrap();
        assert!(log.contains("Interrupted"), "{log}");
    }
}

#[test]
fn without_its_python_api_the_command_line_is_used() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("wgp.py"), "").unwrap();
    let prepared = |mode| {
        let mut recipe = Recipe::of(Vec::new());
        recipe.model = Some("vace_14B".to_owned());
        recipe.wan2gp = Some(Wan2gp { root: ".".into(), mode, python: None, args: Vec::new(), config: None });
        recipe.prepare(folder.path()).map_or_else(|| Ok(recipe.command[3].clone()), Err)
    };
    assert!(prepared(None).unwrap().contains(r#""mode":"process""#));
    assert!(prepared(Some(Mode::Api)).unwrap_err().contains("has no shared/api.py"));
    std::fs::create_dir(folder.path().join("shared")).unwrap();
    std::fs::write(folder.path().join("shared/api.py"), "").unwrap();
    assert!(prepared(None).unwrap().contains(r#""mode":"api""#));
}

#[test]
fn a_mask_has_the_letter_that_this_version_looks_for() {
    let folder = tempdir().unwrap();
    let reads = |text: &str| {
        std::fs::write(folder.path().join("wgp.py"), text).unwrap();
        let mut recipe = Recipe::of(Vec::new());
        recipe.model = Some("vace_14B".to_owned());
        recipe.wan2gp = Some(Wan2gp { root: ".".into(), mode: None, python: None, args: Vec::new(), config: None });
        assert_eq!(recipe.prepare(folder.path()), None);
        let options: serde_json::Value = serde_json::from_str(&recipe.command[3]).unwrap();
        options["reads"].as_str().unwrap().to_owned()
    };
    assert_eq!(reads("if \"M\" in video_prompt_type:\n    if video_mask == None:\n"), "VM");
    assert_eq!(reads("if \"A\" in video_prompt_type and not \"U\" in video_prompt_type:\n    pass\n"), "VA");
    assert_eq!(reads("any((\"A\" in video_prompt_type, \"M\" in video_prompt_type))\n"), "VA");
    assert_eq!(reads(""), "VA", "as it is now");
}

#[test]
fn a_folder_that_is_not_wan2gps_is_refused() {
    let mut recipe = Recipe::of(Vec::new());
    recipe.wan2gp = Some(Wan2gp { root: "tests".into(), mode: None, python: None, args: Vec::new(), config: None });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(recipe.clone().prepare(folder).unwrap().contains("needs a model"));
    recipe.model = Some("vace_14B".to_owned());
    assert!(recipe.prepare(folder).unwrap().contains("has no wgp.py"));
}
