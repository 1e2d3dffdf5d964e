//! Wan2GP's bridge against a stand-in that offers its documented Python API, and lies as the real one can.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;

use clips::{Watcher, job, read_clip, texture};
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::{TempDir, tempdir};
use travel::Dims;
use travel_generators::process::{LOG, Process, Recipe, Wan2gp, Warm};
use travel_generators::{Generator as _, GeneratorError, Job, Progress};

const DIMS: Dims = Dims { width: 64, height: 48 };

fn wan2gp(lie: &str) -> Process {
    let mut recipe = Recipe::of(Vec::new());
    recipe.model = Some("vace_14B".to_owned());
    recipe.grace = Duration::from_secs(4);
    let args = ["--lie", lie].map(str::to_owned).to_vec();
    recipe.wan2gp = Some(Wan2gp { root: "tests/wan2gp".into(), python: None, args, config: None });
    assert_eq!(recipe.prepare(Path::new(env!("CARGO_MANIFEST_DIR"))), None);
    Process::new("wan", recipe, Warm::default())
}

fn a_job(folder: &TempDir) -> Job {
    let mut kept = vec![None; 17];
    kept[0] = Some(texture(DIMS, 0.0));
    kept[16] = Some(texture(DIMS, 3.0));
    Job { settings: json!({"num_inference_steps": 4}), ..job(folder.path(), &kept) }
}

#[test]
fn it_renders_with_settings_that_wan2gp_reads_as_they_are_meant() {
    let folder = tempdir().unwrap();
    let generator = wan2gp("nothing");
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
    assert!(log.contains("VAE decoding") && !log.contains("Loading model"), "it is loaded once: {log}");
}

#[test]
fn what_the_host_decides_is_no_setting() {
    let generator = wan2gp("nothing");
    generator.check_settings(&json!({"guidance_scale": 1.0, "activated_loras": ["CausVid"]})).unwrap();
    for (settings, names) in
        [(json!({"video_length": 9}), "video_length"), (json!({"num_inference_steps": 0}), "minimum")]
    {
        let error = generator.check_settings(&settings).unwrap_err();
        assert!(matches!(error, GeneratorError::BadSettings { .. }) && error.to_string().contains(names), "{error}");
    }
}

#[test]
fn a_success_without_its_clip_is_none() {
    for (lie, code, says) in [
        ("nothing made", "generator_transient", "0 clips instead of one"),
        ("two windows", "generator_transient", "2 clips instead of one"),
        ("no file", "generator_transient", "and there is none"),
        ("out of memory", "generator_out_of_memory", "Tried to allocate 2 GiB"),
    ] {
        let folder = tempdir().unwrap();
        let error = wan2gp(lie).generate(&a_job(&folder), &Watcher::of_steps()).unwrap_err();
        assert_eq!(error.code(), code, "{lie}: {error}");
        assert!(error.to_string().contains(says) && error.is_retryable(), "{lie}: {error}");
    }
}

#[test]
fn what_wan2gp_finds_invalid_is_not_tried_again() {
    let folder = tempdir().unwrap();
    let mut settings = a_job(&folder);
    settings.settings = json!({"video_prompt_type": "VM"});
    let error = wan2gp("nothing").generate(&settings, &Watcher::of_steps()).unwrap_err();
    assert_eq!(error.code(), "generator_refused", "{error}");
    let missing = Job { guide: folder.path().join("gone.mkv"), ..a_job(&folder) };
    let error = wan2gp("nothing").generate(&missing, &Watcher::of_steps()).unwrap_err();
    assert!(error.to_string().contains("gone.mkv is not there") && !error.is_retryable(), "{error}");
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
    let generator = wan2gp("never ends");
    for _ in 0..2 {
        let error = generator.generate(&a_job(&folder), &Cancelled::default()).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
    }
    let log = std::fs::read_to_string(folder.path().join(LOG)).unwrap();
    assert!(!log.contains("Loading model"), "the second job found it loaded: {log}");
}

#[test]
fn a_folder_that_is_not_wan2gps_is_refused() {
    let mut recipe = Recipe::of(Vec::new());
    recipe.wan2gp = Some(Wan2gp { root: "tests".into(), python: None, args: Vec::new(), config: None });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(recipe.clone().prepare(folder).unwrap().contains("needs a model"));
    recipe.model = Some("vace_14B".to_owned());
    assert!(recipe.prepare(folder).unwrap().contains("has no wgp.py"));
}
