//! Programs that do one thing wrong: each is found out, explained and ended, with whatever it started.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;

use clips::{Watcher, job, texture};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};
use travel::Dims;
use travel_generators::process::{LOG, Process, Recipe, Warm};
use travel_generators::{Device, Generated, Generator as _, GeneratorError, Job, Progress};

const DIMS: Dims = Dims { width: 64, height: 48 };

fn recipe(folder: &Path, fault: &str) -> Recipe {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faulty.py");
    Recipe {
        working_dir: Some(folder.to_owned()),
        start: Duration::from_secs(20),
        silence: Duration::from_secs(20),
        grace: Duration::from_secs(4),
        ..Recipe::of(["python3", script, fault].map(str::to_owned).to_vec())
    }
}

fn a_job(folder: &TempDir) -> Job {
    job(folder.path(), &[Some(texture(DIMS, 0.0)), None, None, Some(texture(DIMS, 3.0))])
}

/// The processes that the program noted, as far as they still live; a zombie does not.
fn living(folder: &Path) -> Vec<String> {
    let noted = std::fs::read_to_string(folder.join("pids")).unwrap();
    let lives = |pid: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    noted.lines().filter(lives).map(str::to_owned).collect()
}

/// What comes of one job; afterwards nothing of the program is left.
fn outcome(fault: &str, change: impl FnOnce(&mut Recipe)) -> Result<Generated, GeneratorError> {
    let folder = tempdir().unwrap();
    let job = a_job(&folder);
    let mut recipe = recipe(folder.path(), fault);
    change(&mut recipe);
    let generator = Process::new("faulty", recipe, Warm::default());
    let result = generator.generate(&job, &Watcher::of_steps());
    assert!(result.is_ok() || !job.out.exists(), "{fault}: a clip is left behind");
    drop(generator);
    assert_eq!(living(folder.path()), Vec::<String>::new(), "{fault}");
    result
}

fn refused(fault: &str) -> GeneratorError {
    outcome(fault, |_| ()).unwrap_err()
}

#[test]
fn a_program_that_does_nothing_wrong_renders_and_is_kept_for_the_next_job() {
    let folder = tempdir().unwrap();
    let job = a_job(&folder);
    let generator = Process::new("faulty", recipe(folder.path(), "nothing"), Warm::default());
    for _ in 0..3 {
        let made = generator.generate(&job, &Watcher::of_steps()).unwrap();
        assert_eq!((made.clip, made.frames), (job.out.clone(), 4));
        assert_eq!(living(folder.path()).len(), 1, "one program does all jobs");
        assert_eq!(std::fs::read_to_string(folder.path().join(LOG)).unwrap(), "all is well\n");
    }
    drop(generator);
    assert!(living(folder.path()).is_empty());
}

#[test]
fn each_wrong_word_is_explained() {
    for (fault, code, says) in [
        ("prints", "generator_protocol", "Loading checkpoint shards"),
        ("says-half-a-line", "generator_died", "exit status: 0"),
        ("says-an-endless-line", "generator_protocol", "longer than 1048576 bytes"),
        ("answers-another-job", "generator_protocol", "another"),
        ("speaks-another-version", "generator_protocol", "travel-generator/9"),
        ("has-a-strange-grid", "generator_protocol", "offset 4 and step 4"),
        ("reads-nothing", "generator_protocol", "neither `guide` nor `first_frame`"),
        ("invalid", "generator_refused", "no luck today"),
        ("out-of-memory", "generator_out_of_memory", "no luck today"),
        ("transient", "generator_transient", "no luck today"),
        ("fatal", "generator_fatal", "no luck today"),
    ] {
        let error = refused(fault);
        assert_eq!(error.code(), code, "{fault}: {error}");
        assert!(error.to_string().contains(says), "{fault}: {error}");
        let has_last_words = ["prints", "out-of-memory", "transient", "fatal"].contains(&fault);
        assert_eq!(error.to_string().contains("it last said: the floor is wet"), has_last_words, "{fault}: {error}");
        let passes = ["generator_died", "generator_out_of_memory", "generator_transient"].contains(&code);
        assert_eq!(error.is_retryable(), passes, "{fault}");
    }
}

#[test]
fn a_clip_that_is_not_where_it_was_asked_for_is_no_clip() {
    for (fault, says) in [
        ("writes-nothing", "No such file"),
        ("writes-outside", "it was asked to write"),
        ("writes-a-link", "not a regular file"),
        ("writes-an-empty-file", "it is empty"),
    ] {
        let error = refused(fault);
        assert_eq!(error.code(), "generator_no_clip", "{fault}: {error}");
        assert!(error.to_string().contains(says), "{fault}: {error}");
    }
}

#[test]
fn a_death_is_told_with_its_state_and_last_words() {
    for (state, during) in [("hello", "start"), ("load", "load"), ("generate", "generate")] {
        let error = refused(&format!("dies-{state}"));
        let text = error.to_string();
        assert_eq!(error.code(), "generator_died", "{text}");
        assert!(error.is_retryable());
        for part in [&format!("asked to {during}"), "exit status: 7", &format!("the roof fell in at {state}")] {
            assert!(text.contains(part), "{text}");
        }
    }
}

#[test]
fn a_start_that_fails_leaves_its_words_in_the_log() {
    let folder = tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faulty.py");
    // It describes itself, and cannot be started afterwards.
    let mut broken = recipe(folder.path(), "nothing");
    let command = format!("test -e broken && echo no driver >&2 && exit 3; exec python3 {script} nothing");
    broken.command = ["sh", "-c", &command].map(str::to_owned).to_vec();
    let generator = Process::new("faulty", broken, Warm::default());
    generator.describe().unwrap();
    std::fs::write(folder.path().join("broken"), "").unwrap();
    let error = generator.generate(&a_job(&folder), &Watcher::of_steps()).unwrap_err();
    assert_eq!(error.code(), "generator_died", "{error}");
    assert_eq!(std::fs::read_to_string(folder.path().join(LOG)).unwrap(), "no driver\n");
}

#[test]
fn a_job_is_cancelled_also_while_its_program_starts() {
    let folder = tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faulty.py");
    let mut slow = recipe(folder.path(), "nothing");
    let command = format!("echo $$ >> pids; test -e slow && exec sleep 600; exec python3 {script} nothing");
    slow.command = ["sh", "-c", &command].map(str::to_owned).to_vec();
    slow.start = Duration::from_secs(600);
    let generator = Process::new("faulty", slow, Warm::default());
    generator.describe().unwrap();
    std::fs::write(folder.path().join("slow"), "").unwrap();
    let job = a_job(&folder);
    let cancelled = Cancelled::default();
    std::thread::scope(|scope| {
        let job = scope.spawn(|| generator.generate(&job, &cancelled));
        while living(folder.path()).is_empty() {
            std::thread::yield_now();
        }
        cancelled.now();
        let error = job.join().unwrap().unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
    });
    assert!(living(folder.path()).is_empty());
}

#[test]
fn a_death_between_jobs_is_survived() {
    // While it is asked to stop: the job is cancelled all the same, and soon.
    let folder = tempdir().unwrap();
    let mut patient = recipe(folder.path(), "dies-cancel");
    patient.grace = Duration::from_secs(600);
    let generator = Process::new("faulty", patient, Warm::default());
    let error = generator.generate(&a_job(&folder), &Cancelled::default()).unwrap_err();
    assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
    assert!(living(folder.path()).is_empty());
    // While it is asked for its device, which another one wants: that one gets it.
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let device = Some(Device { name: "gpu0".into(), index: "0".into() });
    let warm = Warm::default();
    let first = Process::new("first", recipe(one.path(), "dies-unload"), warm.clone());
    let second = Process::new("second", recipe(two.path(), "nothing"), warm.clone());
    for _ in 0..2 {
        first.generate(&Job { device: device.clone(), ..a_job(&one) }, &Watcher::of_steps()).unwrap();
        second.generate(&Job { device: device.clone(), ..a_job(&two) }, &Watcher::of_steps()).unwrap();
        assert!(living(one.path()).is_empty());
    }
}

#[test]
fn silence_ends_the_program_even_if_it_ignores_the_polite_way() {
    for (state, during) in [("hello", "start"), ("load", "load"), ("generate", "generate")] {
        let short = |recipe: &mut Recipe| {
            recipe.grace = Duration::from_millis(400);
            if state == "hello" {
                recipe.start = Duration::from_secs(2)
            } else {
                recipe.silence = Duration::from_secs(1)
            }
        };
        let error = outcome(&format!("silent-{state}"), short).unwrap_err();
        assert_eq!(error.code(), "generator_silent", "{error}");
        assert!(error.to_string().contains(&format!("asked to {during}")) && error.is_retryable(), "{error}");
    }
}

#[test]
fn what_a_program_started_ends_with_it() {
    assert!(outcome("leaves-children", |_| ()).is_ok());
    assert!(outcome("leaves-zombies", |_| ()).is_ok());
    // What it started holds its pipes open: its death is seen all the same, and not taken for silence.
    let error = outcome("dies-leaving-children", |recipe| recipe.silence = Duration::from_secs(60)).unwrap_err();
    assert_eq!(error.code(), "generator_died", "{error}");
}

/// Cancels when it is told, and wakes whoever waits.
#[derive(Default)]
struct Cancelled {
    is: AtomicBool,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl Cancelled {
    fn now(&self) {
        self.is.store(true, Ordering::Release);
        let wake = self.wake.lock().unwrap().clone();
        wake.iter().for_each(|wake| wake());
    }
}

impl Progress for Cancelled {
    fn report(&self, _: u32, _: u32) {
        self.now();
    }
    fn cancelled(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }
    fn on_cancel(&self, wake: Box<dyn Fn() + Send + Sync>) {
        *self.wake.lock().unwrap() = Some(Arc::from(wake));
    }
}

#[test]
fn a_program_that_ignores_a_cancellation_is_killed_with_its_group_after_its_grace() {
    for fault in ["ignores-cancel", "talks-without-end"] {
        let folder = tempdir().unwrap();
        let job = a_job(&folder);
        let mut recipe = recipe(folder.path(), fault);
        recipe.grace = Duration::from_secs(1);
        let generator = Process::new("faulty", recipe, Warm::default());
        let begun = Instant::now();
        let error = generator.generate(&job, &Cancelled::default()).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { total: 4, .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20) && !job.out.exists());
        assert!(living(folder.path()).is_empty(), "{fault}: before the job is given back");
    }
}

#[test]
fn a_program_gives_its_device_back_before_another_one_begins_there() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let device = Some(Device { name: "gpu0".into(), index: "0".into() });
    let warm = Warm::default();
    let generator =
        |folder: &TempDir, name: &str| Process::new(name, recipe(folder.path(), "has-models"), warm.clone());
    let (first, second) = (generator(&one, "first"), generator(&two, "second"));
    for (generator, folder) in [(&first, &one), (&second, &two), (&first, &one), (&second, &two)] {
        generator.generate(&Job { device: device.clone(), ..a_job(folder) }, &Watcher::of_steps()).unwrap();
    }
    let counts = [&one, &two].map(|folder| living(folder.path()).len());
    assert_eq!(counts, [1, 1], "both go on, without their models");
    drop((first, second, warm));
    assert!(living(one.path()).is_empty() && living(two.path()).is_empty());
}

#[test]
fn a_program_without_work_ends_after_its_idle_time() {
    let folder = tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "nothing");
    recipe.idle = Duration::from_millis(50);
    let generator = Process::new("faulty", recipe, Warm::default());
    generator.generate(&a_job(&folder), &Watcher::of_steps()).unwrap();
    let begun = Instant::now();
    while !living(folder.path()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    generator.generate(&a_job(&folder), &Watcher::of_steps()).unwrap();
    assert_eq!(living(folder.path()).len(), 1, "and is started again for the next job");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let recipe = Recipe::of(vec!["/nonexistent/generator".to_owned()]);
    let generator = Process::new("gone", recipe, Warm::default());
    let error = generator.describe().unwrap_err();
    assert_eq!(error.code(), "generator_not_started");
    assert!(error.to_string().contains("/nonexistent/generator") && !error.is_retryable(), "{error}");
}

#[test]
fn settings_and_models_are_checked_before_any_job() {
    let folder = tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "has-models");
    recipe.model = Some("huge".into());
    let error = Process::new("faulty", recipe.clone(), Warm::default()).describe().unwrap_err();
    assert!(error.to_string().contains("no model `huge`; it has small, large"), "{error}");
    recipe.model = Some("large".into());
    let generator = Process::new("faulty", recipe, Warm::default());
    assert_eq!(generator.describe().unwrap().models, ["small", "large"]);
    let error = generator.check_settings(&serde_json::json!({"speed": 3})).unwrap_err();
    assert!(matches!(&error, GeneratorError::BadSettings { pointer, .. } if pointer == "/speed"), "{error}");
}

#[test]
fn a_program_gets_its_card_the_variables_that_it_may_have_and_its_limits() {
    let folder = tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "tells-what-it-has");
    recipe.env.insert("OWN".to_owned(), "yes".to_owned());
    recipe.limits.file_mb = Some(64);
    recipe.limits.open_files = Some(99);
    let device = Some(Device { name: "gpu1".to_owned(), index: "3".to_owned() });
    let generator = Process::new("faulty", recipe, Warm::default());
    generator.generate(&Job { device, ..a_job(&folder) }, &Watcher::of_steps()).unwrap();
    let has: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("has.json")).unwrap()).unwrap();
    let env = has["env"].as_object().unwrap();
    assert_eq!((&env["CUDA_VISIBLE_DEVICES"], &env["OWN"]), (&"3".into(), &"yes".into()));
    assert!(env.contains_key("PATH") && std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!env.keys().any(|name| name.starts_with("CARGO")), "{:?}", env.keys());
    assert_eq!((&has["limits"]["RLIMIT_FSIZE"], &has["limits"]["RLIMIT_NOFILE"]), (&(64 << 20).into(), &99.into()));
}

#[test]
fn a_program_that_died_while_it_had_no_work_costs_no_attempt_and_one_that_dies_again_and_again_is_started_later() {
    let folder = tempdir().unwrap();
    let job = a_job(&folder);
    let generator = Process::new("faulty", recipe(folder.path(), "nothing"), Warm::default());
    generator.generate(&job, &Watcher::of_steps()).unwrap();
    let pid = living(folder.path()).remove(0).parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    while !living(folder.path()).is_empty() {
        std::thread::yield_now();
    }
    generator.generate(&job, &Watcher::of_steps()).unwrap();

    let generator = Process::new("faulty", recipe(folder.path(), "dies-generate"), Warm::default());
    let began = Instant::now();
    for _ in 0..3 {
        generator.generate(&job, &Watcher::of_steps()).unwrap_err();
    }
    // One second before the second start, two before the third.
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
}
