//! ComfyUI servers, against a server of the documented routes and messages, old and new, and each of its faults; and that
//! server against two clients that others wrote.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;
mod stand_ins;

use clips::{Steps, job, middle_error, read_clip, texture};
use serde_json::{Value, json};
use stand_ins::{ComfyuiServer, comfyui, python, root};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::{TempDir, tempdir};
use travel::Dims;
use travel_generators::process::{Recipe, Verdict};
use travel_generators::{Generator as _, GeneratorError, Job, Progress};

const DIMS: Dims = Dims { width: 64, height: 48 };

fn a_job(folder: &TempDir) -> Job {
    let mut kept = vec![None; 17];
    kept[0] = Some(texture(DIMS, 0.0));
    kept[16] = Some(texture(DIMS, 3.0));
    Job { prompt: "a dolly shot".to_owned(), ..job(folder.path(), &kept) }
}

/// Remembers what it is told; gives up once a step was done, if told so.
#[derive(Default)]
struct Listener {
    steps: Mutex<Vec<(u32, u32)>>,
    stages: Mutex<Vec<String>>,
    previews: AtomicUsize,
    gives_up: AtomicBool,
}

impl Progress for Listener {
    fn report(&self, done: u32, total: u32) {
        self.steps.lock().unwrap().push((done, total));
    }
    fn stage(&self, name: &str) {
        self.stages.lock().unwrap().push(name.to_owned());
    }
    fn preview(&self, picture: &Path) {
        assert!(std::fs::metadata(picture).unwrap().len() > 100);
        self.previews.fetch_add(1, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.gives_up.load(Ordering::Relaxed) && !self.steps.lock().unwrap().is_empty()
    }
    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

#[test]
fn old_and_new_servers_render_and_tell_how_far_they_are() {
    for era in ["old", "new"] {
        let server = ComfyuiServer::of(era, "none");
        let folder = tempdir().unwrap();
        let (generator, job, heard) = (comfyui(&[&server], &json!({})), a_job(&folder), Listener::default());
        generator.generate(&job, &heard).unwrap();
        let clip = read_clip(&job.out);
        assert_eq!((clip.len(), clip[0].dims), (17, DIMS), "{era}");
        assert!(
            middle_error(&clip[0], &texture(DIMS, 0.0)) < 60.0 && middle_error(&clip[16], &texture(DIMS, 3.0)) < 60.0
        );
        assert_eq!(*heard.steps.lock().unwrap(), (1..=5).map(|step| (step, 5)).collect::<Vec<_>>(), "{era}");
        let stages = heard.stages.lock().unwrap().clone();
        assert!(stages.contains(&"KSampler".to_owned()) && stages.last().unwrap() == "download", "{stages:?}");
        assert_eq!(heard.previews.load(Ordering::Relaxed), 5, "{era}");
        // Once more: an equal job is rendered, not answered out of the cache with nothing.
        std::fs::remove_file(&job.out).unwrap();
        generator.generate(&job, &Steps).unwrap();
        assert_eq!(read_clip(&job.out).len(), 17);
    }
}

#[test]
fn first_and_last_frames_are_rendered_without_a_guide() {
    let server = ComfyuiServer::of("new", "none");
    let folder = tempdir().unwrap();
    let workflow = root().join("examples/generators/comfyui/wan-first-last-frame.json");
    let generator = comfyui(&[&server], &json!({ "workflow": workflow }));
    let able = generator.describe().unwrap();
    assert!(!able.wants_guide && !able.grid.wants_mask && able.reads_prompts);
    let job = a_job(&folder);
    generator.generate(&job, &Steps).unwrap();
    let clip = read_clip(&job.out);
    assert!(middle_error(&clip[0], &texture(DIMS, 0.0)) < 60.0 && middle_error(&clip[16], &texture(DIMS, 3.0)) < 60.0);
}

#[test]
fn a_reference_goes_to_the_node_that_takes_it_and_is_cut_off_again() {
    let server = ComfyuiServer::of("new", "none");
    let folder = tempdir().unwrap();
    let generator = comfyui(&[&server], &json!({}));
    assert_eq!(generator.describe().unwrap().references, 1);
    let reference = folder.path().join("reference.png");
    travel_media::save_png(&texture(DIMS, 40.0), &reference).unwrap();
    let render = |references: Vec<PathBuf>| {
        let job = Job { references, ..a_job(&folder) };
        generator.generate(&job, &Steps).map(|_| read_clip(&job.out))
    };
    let (without, with) = (render(Vec::new()).unwrap(), render(vec![reference.clone()]).unwrap());
    assert_eq!((without.len(), with.len()), (17, 17));
    assert!(middle_error(&with[0], &without[0]) < 1.0, "the anchors stay");
    assert!(middle_error(&with[8], &without[8]) > 10.0, "what is between them goes by it");
    let refused = render(vec![reference.clone(), reference]).unwrap_err().to_string();
    assert!(refused.contains("has 2 references, and the workflow takes 1"), "{refused}");
}

#[test]
fn what_a_server_survives_its_jobs_survive() {
    for (era, fault) in [
        ("new", "no socket"),
        ("old", "no socket"),
        ("new", "drop socket"),
        ("old", "no events"),
        ("new", "rename uploads"),
        ("new", "lose answer"),
        ("old", "lose answer"),
        ("new", "gifs"),
    ] {
        let server = ComfyuiServer::of(era, fault);
        let folder = tempdir().unwrap();
        let job = a_job(&folder);
        comfyui(&[&server], &json!({})).generate(&job, &Steps).unwrap_or_else(|e| panic!("{era}, {fault}: {e}"));
        assert_eq!(read_clip(&job.out).len(), 17, "{era}, {fault}");
        assert_eq!(server.seen()["history"], 1, "{era}, {fault}: the job was rendered once");
    }
}

#[test]
fn every_failure_says_why_and_whether_to_try_again() {
    for (fault, code, retries, says) in [
        ("out of memory", "generator_out_of_memory", true, "Allocation on device"),
        ("node raises", "generator_transient", true, "KSampler): ValueError: shapes do not match"),
        ("interrupted", "generator_transient", true, "somebody stopped the job"),
        ("forget", "generator_transient", true, "does not know the job any more"),
        ("nothing saved", "generator_no_clip", true, "nothing that is saved"),
        ("pictures only", "generator_no_clip", true, "1 files, and none of them is a clip"),
        ("missing node", "generator_refused", false, "no node WanVaceToVideo"),
        ("cut download", "generator_transient", true, "127.0.0.1"),
        ("busy", "generator_transient", true, "503: try later"),
        ("garbage", "generator_transient", true, "no JSON"),
        ("unauthorized", "generator_refused", false, "does not let this host in: who are you?"),
    ] {
        let server = ComfyuiServer::of("new", fault);
        let folder = tempdir().unwrap();
        let job = a_job(&folder);
        let error = comfyui(&[&server], &json!({})).generate(&job, &Listener::default()).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (code, retries), "{fault}: {error}");
        assert!(error.to_string().contains(says), "{fault}: {error}");
        assert!(!job.out.exists(), "{fault}: half a clip is left");
    }
}

#[test]
fn a_workflow_that_a_server_refuses_is_explained_node_by_node() {
    let server = ComfyuiServer::of("new", "none");
    let folder = tempdir().unwrap();
    let wrong = Job { settings: json!({ "sampler": "none", "model": "mine.safetensors" }), ..a_job(&folder) };
    let error = comfyui(&[&server], &json!({})).generate(&wrong, &Steps).unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    for says in ["node 1 (UNETLoader): Value not in list", "mine.safetensors", "sampler_name: 'none' not in"] {
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn only_this_hosts_job_is_stopped() {
    for (era, interrupt, interrupts) in [("new", "own", 0), ("middle", "own", 1), ("old", "own", 0), ("old", "any", 1)]
    {
        let server = ComfyuiServer::start(&["--era", era, "--seconds-a-step", "0.3"]);
        let folder = tempdir().unwrap();
        let job = a_job(&folder);
        let listener = Listener { gives_up: true.into(), ..Listener::default() };
        let error = comfyui(&[&server], &json!({ "interrupt": interrupt })).generate(&job, &listener).unwrap_err();
        assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
        let seen = server.seen();
        assert_eq!(seen["interrupts"].as_array().unwrap().len(), interrupts, "{era}: {seen}");
        assert!(era != "middle" || seen["interrupts"][0]["prompt_id"].is_string(), "{seen}");
    }
}

#[test]
fn a_job_that_waits_behind_another_says_so_and_leaves_the_other_alone() {
    for era in ["old", "new"] {
        let server = ComfyuiServer::of(era, "none");
        ureq::post(format!("{}/test/foreign?seconds=60", server.url())).send_empty().unwrap();
        let folder = tempdir().unwrap();
        let job = a_job(&folder);
        struct Impatient(AtomicBool);
        impl Progress for Impatient {
            fn report(&self, _: u32, _: u32) {}
            fn stage(&self, name: &str) {
                if name == "queue, behind 1" {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            fn cancelled(&self) -> bool {
                self.0.load(Ordering::Relaxed)
            }
            fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
        }
        // Only a job behind another is put aside until its turn, so the server's own worker must not take it.
        let error = comfyui(&[&server], &json!({})).generate(&job, &Impatient(AtomicBool::new(false)));
        match error {
            Err(GeneratorError::Cancelled { .. }) => {}
            other => panic!("{era}: {other:?}"),
        }
        let seen = server.seen();
        assert!(seen.get("foreign").is_none() && seen["interrupts"] == json!([]), "{era}: {seen}");
    }
}

#[test]
fn jobs_go_to_servers_that_are_there_and_idle() {
    let slow = ["--seconds-a-step", "0.2"];
    let (one, two) = (ComfyuiServer::start(&slow), ComfyuiServer::start(&slow));
    let gone = ComfyuiServer::of("new", "none");
    let generator = comfyui(&[&gone, &one, &two], &json!({}));
    drop(gone);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let folder = tempdir().unwrap();
                generator.generate(&a_job(&folder), &Steps).unwrap();
            });
        }
    });
    assert_eq!((one.seen()["history"].clone(), two.seen()["history"].clone()), (json!(1), json!(1)));
    drop((one, two));
    let folder = tempdir().unwrap();
    let error = generator.generate(&a_job(&folder), &Steps).unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("no server answers"), "{error}");
}

#[test]
fn a_check_asks_each_server_for_each_node() {
    let (good, poor) = (ComfyuiServer::of("new", "none"), ComfyuiServer::of("old", "missing node"));
    let generator = comfyui(&[&good, &poor], &json!({}));
    let steps = generator.check(&mut |_| {});
    let broken: Vec<_> = steps.iter().filter(|step| step.verdict != Verdict::Holds).collect();
    assert_eq!((steps.len(), broken.len()), (4, 1), "{steps:?}");
    assert!(broken[0].rule.contains(&poor.url()) && format!("{:?}", broken[0].verdict).contains("WanVaceToVideo"));
}

#[test]
fn mistakes_in_the_configuration_are_found_before_anything_is_asked() {
    let workflow = root().join("examples/generators/comfyui/wan-vace.json");
    for (comfyui, says) in [
        (json!({ "servers": [], "workflow": workflow }), "servers is empty"),
        (json!({ "servers": ["127.0.0.1:8188"], "workflow": workflow }), "is no address of a server"),
        (json!({ "servers": ["http://a:1", "http://a:1/"], "workflow": workflow }), "listed twice"),
        (json!({ "servers": ["http://a:1"], "workflow": "gone.json" }), "gone.json"),
        (json!({ "servers": ["http://a:1"], "workflow": workflow, "grid": { "step": 4, "offset": 4 } }), "offset"),
        (json!({ "servers": ["http://a:1"], "workflow": workflow, "rates": [] }), "rates"),
    ] {
        let mut recipe: Recipe = serde_json::from_value(json!({ "comfyui": comfyui })).unwrap();
        let fault = recipe.prepare(Path::new("/")).unwrap();
        assert!(fault.contains(says), "{fault}");
    }
    let mut both: Recipe = serde_json::from_value(
        json!({ "command": ["x"], "comfyui": { "servers": ["http://a:1"], "workflow": workflow } }),
    )
    .unwrap();
    assert!(both.prepare(Path::new("/")).unwrap().contains("choose one"));
}

#[test]
fn the_server_of_these_tests_serves_two_clients_that_others_wrote() {
    for era in ["old", "new"] {
        let server = ComfyuiServer::of(era, "none");
        let folder = tempdir().unwrap();
        let job = a_job(&folder);
        let reference = folder.path().join("reference.png");
        travel_media::save_png(&texture(DIMS, 40.0), &reference).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/comfyui/clients.py");
        let run = Command::new(python())
            .arg(script)
            .arg(server.port.to_string())
            .arg(root().join("examples/generators/comfyui/wan-vace.json"))
            .args([&job.guide, &job.mask, &reference])
            .output()
            .unwrap();
        assert!(run.status.success(), "{era}: {}", String::from_utf8_lossy(&run.stderr));
        let last = String::from_utf8_lossy(&run.stdout);
        let got: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
        assert_eq!(got["simplified"]["status"], "success", "{got}");
        assert!(
            got["simplified"]["previews"].as_u64() > Some(0) && got["simplified"]["bytes"].as_u64() > Some(1000),
            "{got}"
        );
        assert_eq!(got["kit"]["status"], "completed", "{got}");
        let video = got["kit"]["videos"][0].as_str().unwrap();
        let mut clip = ureq::get(video).call().unwrap();
        assert!(clip.body_mut().read_to_vec().unwrap().len() > 1000);
    }
}

#[test]
fn silence_ends_a_job() {
    let server = ComfyuiServer::start(&["--seconds-a-step", "60"]);
    let folder = tempdir().unwrap();
    let generator = comfyui(&[&server], &json!({}));
    let error = generator.generate(&a_job(&folder), &Steps).unwrap_err();
    assert!(matches!(error, GeneratorError::Silent { after, .. } if after == Duration::from_secs(8)), "{error}");
    assert_eq!(server.seen()["interrupts"], json!([]));
}

#[test]
fn a_server_that_fails_is_passed_over_and_one_that_lacks_a_node_is_no_reason_to_fail() {
    let (bad, good) = (ComfyuiServer::of("new", "node raises"), ComfyuiServer::of("new", "none"));
    let generator = comfyui(&[&bad, &good], &json!({}));
    let folder = tempdir().unwrap();
    let error = generator.generate(&a_job(&folder), &Steps).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    for _ in 0..2 {
        generator.generate(&a_job(&folder), &Steps).unwrap();
    }
    assert_eq!(good.seen()["history"], 2, "though the other had nothing to do");

    let (poor, good) = (ComfyuiServer::of("new", "missing node"), ComfyuiServer::of("new", "none"));
    let generator = comfyui(&[&poor, &good], &json!({}));
    generator.generate(&a_job(&folder), &Steps).unwrap();
    drop(good);
    let error = generator.generate(&a_job(&folder), &Steps).unwrap_err();
    assert!(error.code() == "generator_refused" && error.to_string().contains("no node WanVaceToVideo"), "{error}");
}
