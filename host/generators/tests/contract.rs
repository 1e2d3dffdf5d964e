//! What every renderer owes the engine, whatever it is: inside this program, a program of its own, Wan2GP, ComfyUI, a farm.
//!
//! The embedded ones owe more, see `every_generator.rs`; what the others may do wrong is in the files of their names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;
mod stand_ins;

use clips::{RATE, Steps, job, middle_error, read_clip, texture, texture_at, write_clip};
use serde_json::{Value, json};
use stand_ins::{ComfyuiServer, FarmServer, comfyui, python, root, wan2gp};
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::tempdir;
use travel::Dims;
use travel_generators::process::{Process, Recipe, Wan2gpMode, Warm};
use travel_generators::{Generator, GeneratorError, Generators, Job, Progress, Upscale};

const DIMS: Dims = Dims { width: 64, height: 48 };

/// A renderer, settings that it refuses with their place, and what has to live meanwhile.
struct Subject {
    generator: Arc<dyn Generator>,
    refuses: (Value, &'static str),
    _lives: Box<dyn Any>,
}

fn embedded(name: &str) -> Subject {
    let generator = Generators::embedded().by_name(name).unwrap();
    Subject { generator, refuses: (json!({"easing": 3}), "/easing"), _lives: Box::new(()) }
}

fn flow() -> [String; 2] {
    [python(), root().join("examples/generators/opencv-flow/flow.py")].map(|path| path.to_string_lossy().into_owned())
}

#[test]
fn rife_keeps_it() {
    keeps_the_contract(&embedded("rife"));
}

#[test]
fn dissolve_keeps_it() {
    keeps_the_contract(&embedded("dissolve"));
}

#[test]
fn a_program_of_its_own_keeps_it() {
    let mut recipe = Recipe::of(flow().to_vec());
    let folder = tempdir().unwrap();
    assert_eq!(recipe.prepare(folder.path()), None);
    let generator = Arc::new(Process::new("flow", recipe, Warm::default()));
    keeps_the_contract(&Subject { generator, refuses: (json!({"preset": 3}), "/preset"), _lives: Box::new(folder) });
}

#[test]
fn wan2gp_keeps_it_both_ways() {
    for mode in [Wan2gpMode::Api, Wan2gpMode::Process] {
        let generator = Arc::new(wan2gp(mode, "nothing"));
        let refuses = (json!({"num_inference_steps": 0}), "/num_inference_steps");
        keeps_the_contract(&Subject { generator, refuses, _lives: Box::new(()) });
    }
}

#[test]
fn comfyui_keeps_it_in_every_era() {
    for era in ["old", "middle", "new"] {
        let server = ComfyuiServer::start(&["--era", era, "--seconds-a-step", "0.1"]);
        // Nobody else uses it: also an old one can be told to stop whatever runs.
        let generator = Arc::new(comfyui(&[&server], &json!({ "interrupt": "any" })));
        keeps_the_contract(&Subject {
            generator,
            refuses: (json!({"steps": "many"}), "/steps"),
            _lives: Box::new(server),
        });
    }
}

#[test]
fn a_farm_keeps_it() {
    let folder = tempdir().unwrap();
    let flow = flow();
    let server = FarmServer::of(folder.path(), &flow.each_ref().map(|word| word.as_ref()), 0, None);
    let generator = Arc::new(server.generator());
    let lives = Box::new((server, folder));
    keeps_the_contract(&Subject { generator, refuses: (json!({"preset": 3}), "/preset"), _lives: lives });
}

#[test]
fn upscalers_keep_theirs() {
    let folder = tempdir().unwrap();
    let mut recipe = Recipe::of(flow().to_vec());
    assert_eq!(recipe.prepare(folder.path()), None);
    let flow = Process::new("flow", recipe, Warm::default());
    for generator in [Generators::embedded().by_name("lanczos").unwrap(), Arc::new(flow)] {
        makes_films_larger(generator.as_ref());
    }
}

fn makes_films_larger(generator: &dyn Generator) {
    let able = generator.describe().unwrap();
    let who = &able.name;
    assert_eq!(able, generator.describe().unwrap(), "{who} says the same of itself at every call");
    assert!(able.upscales.is_some_and(|most| most >= 2.0) && !able.pool.is_empty(), "{who}");
    let error = generator.check_settings(&json!({"no such": 3})).unwrap_err();
    assert!(matches!(error, GeneratorError::BadSettings { .. }), "{who}: {error}");

    let folder = tempdir().unwrap();
    let film: Vec<_> = (0..17).map(|n| texture(DIMS, f64::from(n))).collect();
    write_clip(&folder.path().join("film.mkv"), &film);
    let dims = Dims { width: 2 * DIMS.width, height: 2 * DIMS.height };
    let job = Upscale {
        video: folder.path().join("film.mkv"),
        frames: 17,
        dims,
        rate: RATE,
        encode: travel_media::Encode::default(),
        prompt: String::new(),
        seed: 7,
        settings: Value::Null,
        out: folder.path().join("larger.mkv"),
        work_dir: folder.path().to_owned(),
        device: None,
    };
    let upscale = || {
        let made = generator.upscale(&job, &Steps).unwrap_or_else(|e| panic!("{who}: {e}"));
        assert_eq!(made.clip, job.out, "{who}");
        let frames = read_clip(&job.out);
        assert_eq!((frames.len(), frames[0].dims), (17, dims), "{who}");
        std::fs::remove_file(&job.out).unwrap();
        frames
    };
    let first = upscale();
    for (frame, shift) in [(0, 0.0), (16, 16.0)] {
        // Twice as large: each pixel shows what lay at half its place.
        let expected = texture_at(dims, |x, y| (x / 2.0 - 0.25 - shift, y / 2.0 - 0.25));
        let off = middle_error(&first[frame], &expected);
        assert!(off < 60.0, "{who}: frame {frame} is off by {off}");
    }
    assert!(first == upscale(), "{who}: the same job gives the same frames");

    let gone = Upscale { video: folder.path().join("gone.mkv"), ..job.clone() };
    let error = generator.upscale(&gone, &Steps).unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("gone.mkv"), "{who}: {error}");
    let error = generator.upscale(&job, &Unwanted::default()).unwrap_err();
    assert!(matches!(error, GeneratorError::Cancelled { .. }) && !job.out.exists(), "{who}: {error}");
    assert!(first == upscale(), "{who}: a cancelled job spoils no other");
}

fn keeps_the_contract(subject: &Subject) {
    let generator = subject.generator.as_ref();
    let able = generator.describe().unwrap();
    let who = &able.name;
    assert_eq!(able, generator.describe().unwrap(), "{who} says the same of itself at every call");
    assert!(able.renders && able.grid.holds(17) && 48 % able.grid.dims_multiple == 0, "{who}");
    assert!(able.settings_schema.is_object() && !able.pool.is_empty(), "{who}");

    generator.check_settings(&Value::Null).unwrap();
    let (settings, place) = &subject.refuses;
    for (settings, place) in [(settings, *place), (&json!(3), "")] {
        match generator.check_settings(settings) {
            Err(GeneratorError::BadSettings { pointer, generator, .. }) => {
                assert_eq!((pointer.as_str(), &generator), (place, who));
            }
            other => panic!("{who}: {settings}: {other:?}"),
        }
    }

    let folder = tempdir().unwrap();
    let mut kept = vec![None; 17];
    kept[0] = Some(texture(DIMS, 0.0));
    kept[16] = Some(texture(DIMS, 3.0));
    let job = job(folder.path(), &kept);
    let render = || {
        let made = generator.generate(&job, &Steps).unwrap_or_else(|e| panic!("{who}: {e}"));
        assert_eq!((&made.clip, made.frames, made.dims, made.rate), (&job.out, 17, DIMS, RATE), "{who}");
        let frames = read_clip(&job.out);
        assert_eq!((frames.len(), frames[0].dims), (17, DIMS), "{who}");
        std::fs::remove_file(&job.out).unwrap();
        frames
    };
    let first = render();
    for (at, shift) in [(0, 0.0), (16, 3.0)] {
        let off = middle_error(&first[at], &texture(DIMS, shift));
        assert!(off < 60.0, "{who}: frame {at} is off by {off}");
    }
    assert!(first == render(), "{who}: the same job gives the same frames");

    let gone = folder.path().join("gone.mkv");
    let missing = Job { guide: gone, ..job.clone() };
    let error = generator.generate(&missing, &Steps).unwrap_err();
    assert!(!error.is_retryable() && !job.out.exists(), "{who}: {error}");
    assert!(error.to_string().contains("gone.mkv") || error.code() == "generator_refused", "{who}: {error}");

    let begun = Instant::now();
    let error = generator.generate(&job, &Unwanted::default()).unwrap_err();
    assert!(matches!(error, GeneratorError::Cancelled { .. }) && !error.is_retryable(), "{who}: {error}");
    assert!(!job.out.exists(), "{who}: a clip is left behind");
    assert!(begun.elapsed() < Duration::from_secs(12), "{who}: it took {:?} to stop", begun.elapsed());
    assert!(first == render(), "{who}: a cancelled job spoils no other");
}

/// Nobody wants the job any more once something of it was done.
#[derive(Default)]
struct Unwanted {
    is: AtomicBool,
    wake: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl Unwanted {
    fn turn(&self) {
        if !self.is.swap(true, Ordering::AcqRel) {
            self.wake.lock().unwrap().iter().for_each(|wake| wake());
        }
    }
}

impl Progress for Unwanted {
    fn report(&self, done: u32, _: u32) {
        if done > 0 {
            self.turn();
        }
    }
    fn stage(&self, name: &str) {
        // So short a job may be done before a server was asked how far it is.
        if name == "download" {
            self.turn();
        }
    }
    fn cancelled(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }
    fn on_cancel(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wake.lock().unwrap().push(wake);
    }
}
