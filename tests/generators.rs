//! Programs as generators, as a user meets them: a film by one that nobody here wrote, and what becomes of bad ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

#[path = "support/host.rs"]
mod host;
mod support;

use host::Host;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Desk, count, difference, frames, picture, quick, workspace};
use travel::Dims;

/// The Python of `make python`, which has OpenCV.
fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_travel-host")).parent().unwrap().parent().unwrap();
    let python = target.join("python/bin/python");
    let has_opencv = std::process::Command::new(&python).args(["-c", "import cv2, numpy"]).output();
    assert!(
        has_opencv.is_ok_and(|output| output.status.success()),
        "{} has no OpenCV, so the generator that shows authors the way cannot be tried: run `make python`, and read what it says",
        python.display()
    );
    python
}

fn flow(desk: &Desk) {
    let folder = workspace().join("examples/generators/opencv-flow");
    let text = format!(
        "[generators.flow]\ncommand = [{:?}, \"flow.py\"]\nworking-dir = {folder:?}\npool = \"cpu\"\n",
        python().to_str().unwrap()
    );
    std::fs::write(desk.path("travel-host.toml"), text).unwrap();
}

/// A generator that does one thing wrong, in the folder of the desk.
fn faulty(desk: &Desk, fault: &str, more: &str) {
    let script = workspace().join("host/generators/tests/faulty.py");
    let text = format!("[generators.faulty]\ncommand = [\"python3\", {script:?}, \"{fault}\"]\npool = \"cpu\"\n{more}");
    std::fs::write(desk.path("travel-host.toml"), text).unwrap();
}

/// The processes that the program noted, as far as they still live.
fn living(desk: &Desk) -> Vec<String> {
    let noted = std::fs::read_to_string(desk.path("pids")).unwrap_or_default();
    let lives = |pid: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    noted.lines().filter(lives).map(str::to_owned).collect()
}

fn await_end_of_all(desk: &Desk) {
    let begun = Instant::now();
    while !living(desk).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?} live on", living(desk));
        std::thread::yield_now();
    }
}

fn travel(desk: &Desk) {
    let pictures = desk.pictures(2);
    let flags = ["--name", "trip", "--output-dir", "out", "--generator", "faulty"];
    desk.json(&quick("travel", &pictures, &flags));
}

#[test]
fn a_film_by_opencv_passes_through_its_pictures() {
    let desk = Desk::new();
    flow(&desk);
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["--generator", "flow", "-o", "film.mp4"]));
    let film = frames(&desk.path("film.mp4"));
    assert_eq!(film.len(), 18);
    for (at, i) in [(0, 0), (8, 1), (17, 2)] {
        let off = difference(&film[at], &picture(i, Dims { width: 96, height: 64 }));
        assert!(off < 4.0, "frame {at} is {off} code values from its picture");
    }
}

#[test]
fn a_film_is_made_larger_by_opencv_and_one_of_another_size_is_not_believed() {
    let desk = Desk::new();
    flow(&desk);
    let pictures = desk.pictures(2);
    let upscale = |name, film| {
        let more = ["--generator", "dissolve", "--upscale-factor", "1.5", "--upscaler", name, "-o", film];
        quick("render", &pictures, &more)
    };
    let made = desk.json(&upscale("flow", "large.mp4"));
    assert_eq!(made["output"]["dims"], serde_json::json!({ "width": 144, "height": 96 }));
    let film = frames(&desk.path("large.mp4"));
    assert_eq!((film.len(), film[0].dims), (9, Dims { width: 144, height: 96 }));

    faulty(&desk, "returns-a-small-film", "");
    let pictures = desk.pictures(2);
    let more = ["--generator", "dissolve", "--upscale-factor", "1.5", "--upscaler", "faulty", "--output-dir", "out"];
    desk.json(&quick("travel", &pictures, &more));
    let failed = first_failed(&desk);
    assert_eq!((failed["code"].as_str(), failed["retrying"].as_bool()), (Some("wrong_clip"), Some(true)), "{failed}");
    let text = failed["error"].as_str().unwrap();
    assert!(text.contains("9 frames of 96x64") && text.contains("9 frames of 144x96"), "{text}");
    assert!(!desk.path("out").exists());
    assert!(living(&desk).is_empty());
}

#[test]
fn the_check_lets_a_good_generator_pass_and_names_what_a_bad_one_breaks() {
    let desk = Desk::new();
    flow(&desk);
    let steps = desk.json(&["generators", "check", "flow"]);
    assert!(steps.as_array().unwrap().iter().all(|step| step["verdict"] == "holds"), "{steps}");
    for (fault, rule) in [
        ("prints", "length, size and rate"),
        ("ignores-cancel", "length, size and rate"),
        ("dies-hello", "answers hello"),
        ("dies-unload", "unload"),
        ("dies-bye", "told bye"),
    ] {
        faulty(&desk, fault, "silence = \"3s\"\ngrace = \"1s\"\n");
        let output = desk.run(&["generators", "check", "faulty"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{fault}: {text}");
        let broken = text.lines().find(|line| line.starts_with("BROKEN")).unwrap_or_default();
        assert!(broken.contains(rule), "{fault}: {text}");
        assert!(living(&desk).is_empty(), "{fault}");
    }
}

#[test]
fn one_guide_is_rendered_by_hand() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.ok(&quick("render", &pictures, &["-o", "film.mp4", "--keep-guides"]));
    let tasks = desk.json(&["tasks", "list", "1"]);
    let segment = tasks.as_array().unwrap().iter().find(|t| t["name"] == "segment-00").unwrap()["id"].to_string();
    let files = desk.json(&["tasks", "show", &segment]);
    let stored = |slot: &str| {
        let file = files["made"].as_array().unwrap().iter().find(|a| a["slot"] == slot).unwrap();
        let hash = file["hash"].as_str().unwrap();
        desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..]).to_str().unwrap().to_owned()
    };
    let (guide, mask) = (stored("guide"), stored("mask"));
    let run = ["generators", "run", "dissolve", "--guide", &guide, "--mask", &mask, "-o", "clip.mkv"];
    let made = desk.json(&run);
    assert_eq!((made["frames"].as_u64(), count(&desk.path("clip.mkv"))), (Some(9), 9));
    desk.refused(&run, 2, "output_exists");
}

#[test]
fn a_cancelled_task_ends_its_program_and_whatever_that_started_within_twelve_seconds() {
    let desk = Desk::new();
    faulty(&desk, "ignores-cancel", "");
    travel(&desk);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["phase"].as_str().is_some_and(|phase| phase == "generate: work")));
    assert_eq!(living(&desk).len(), 2, "the program and its child");
    desk.ok(&["runs", "cancel", "trip"]);
    await_end_of_all(&desk);
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "cancelled"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn a_third_signal_waits_for_no_program_and_is_held_against_no_task() {
    let desk = Desk::new();
    faulty(&desk, "ignores-cancel", "");
    travel(&desk);
    for _ in 0..3 {
        let mut host = Host::start(&desk, &["run"]);
        assert!(host.wait_for(|e| e["phase"].as_str().is_some_and(|phase| phase == "generate: work")));
        for now in [false, true] {
            host.signal("TERM");
            assert!(host.wait_for(|e| e["event"] == "stopping" && e["now"] == now));
        }
        host.signal("TERM");
        assert_eq!(host.end(), Some(130));
        await_end_of_all(&desk);
    }
    let tasks = desk.json(&["tasks", "list", "trip"]);
    let segment = tasks.as_array().unwrap().iter().find(|task| task["name"] == "segment-00").unwrap();
    assert_eq!((segment["state"].as_str(), segment["lost"].as_u64()), (Some("running"), Some(0)), "{segment}");
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "task-started" && e["name"] == "segment-00"));
    desk.ok(&["runs", "cancel", "trip"]);
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "cancelled"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn what_a_failed_generator_said_is_kept_with_its_task() {
    let desk = Desk::new();
    faulty(&desk, "dies-generate", "");
    travel(&desk);
    let mut host = Host::start(&desk, &["run"]);
    let failed = std::cell::RefCell::new(Value::Null);
    assert!(host.wait_for(|e| {
        *failed.borrow_mut() = e.clone();
        e["event"] == "task-failed"
    }));
    let failed = failed.into_inner();
    assert_eq!(
        (failed["code"].as_str(), failed["retrying"].as_bool()),
        (Some("generator_died"), Some(true)),
        "{failed}"
    );
    assert!(failed["error"].as_str().unwrap().contains("the roof fell in at generate"), "{failed}");
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    let task = desk.json(&["tasks", "show", &failed["task"].to_string()]);
    let log = task["made"].as_array().unwrap().iter().find(|a| a["slot"].as_str().unwrap().starts_with("log-"));
    let hash = log.unwrap()["hash"].as_str().unwrap();
    let log = std::fs::read_to_string(desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..])).unwrap();
    assert_eq!(log, "the roof fell in at generate\n");
}

/// What the first attempt of a segment by a program with this fault ends with.
fn first_failure(fault: &str, more: &str) -> Value {
    let desk = Desk::new();
    faulty(&desk, fault, more);
    travel(&desk);
    first_failed(&desk)
}

/// What a host meets first: a task's failure, or the end of the run.
fn first_failed(desk: &Desk) -> Value {
    let mut host = Host::start(desk, &["run"]);
    let told = std::cell::RefCell::new(Value::Null);
    assert!(host.wait_for(|e| {
        *told.borrow_mut() = e.clone();
        e["event"] == "task-failed" || e["event"] == "run-finished"
    }));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    told.into_inner()
}

#[test]
fn clips_that_are_black_frozen_short_or_cut_off_are_rendered_again_with_the_numbers() {
    for (fault, code, says) in [
        ("black", "black_clip", "faulty returned a black clip: the mean luma of its brightest frame is 0.0 of 255"),
        ("frozen", "frozen_clip", "faulty returned a frozen clip: no frame differs from the first by more than 0.00"),
        (
            "leaves-a-frame-out",
            "wrong_clip",
            "faulty returned a clip of 8 frames of 96x64 at 16 a second, but 9 frames",
        ),
        ("writes-half-a-file", "spoilt_clip", "the clip that faulty returned cannot be decoded"),
    ] {
        let failed = first_failure(fault, "");
        assert_eq!((failed["code"].as_str(), failed["retrying"].as_bool()), (Some(code), Some(true)), "{failed}");
        assert!(failed["error"].as_str().unwrap().starts_with(says), "{failed}");
    }
    let allowed = first_failure("frozen", "allow-still = true\n");
    assert_eq!(allowed["state"], "succeeded", "{allowed}");
}

#[test]
fn what_a_generator_says_of_its_failure_decides_whether_it_is_tried_again() {
    for (fault, code, again) in [
        ("invalid", "generator_refused", false),
        ("out-of-memory", "generator_out_of_memory", true),
        ("transient", "generator_transient", true),
        ("fatal", "generator_fatal", false),
    ] {
        let failed = first_failure(fault, "");
        assert_eq!((failed["code"].as_str(), failed["retrying"].as_bool()), (Some(code), Some(again)), "{failed}");
        assert!(failed["error"].as_str().unwrap().contains("no luck today"), "{failed}");
    }
}

/// The first segment of the run, once a host has done all that there is to do.
fn segment_after_all(desk: &Desk) -> Value {
    task_after_all(desk, "segment-00")
}

fn task_after_all(desk: &Desk, name: &str) -> Value {
    desk.ok(&["run", "--until-idle"]);
    let tasks = desk.json(&["tasks", "list", "trip"]);
    let task = tasks.as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()["id"].to_string();
    desk.json(&["tasks", "show", &task])
}

#[test]
fn films_are_made_larger_with_less_memory_and_by_others_too() {
    let larger = |fault: &str, more: &str| {
        let desk = Desk::new();
        faulty(&desk, fault, more);
        let pictures = desk.pictures(2);
        let flags = ["--name", "trip", "--output-dir", "out", "--upscale-factor", "2", "--upscaler", "faulty"];
        desk.json(&quick("travel", &pictures, &flags));
        let upscale = task_after_all(&desk, "upscale");
        assert_eq!(upscale["task"]["state"], "succeeded", "{upscale:#}");
        assert_eq!(frames(&desk.path("out/trip.mp4"))[0].dims, Dims { width: 192, height: 128 });
        (desk, upscale["output"]["course"].clone())
    };
    let (_, course) =
        larger("upscales-with-tiles", "out-of-memory = [{ settings = { tiles = 2 } }, { settings = { tiles = 4 } }]\n");
    assert_eq!(course["rungs"], 2, "{course}");
    let (_, course) = larger("upscales-black", "fallback = [\"lanczos\"]\n");
    assert!(course["because"].as_str().unwrap().contains("a black clip"), "{course}");
    let (desk, course) = larger("upscales-never", "fallback = [\"dissolve\", \"lanczos\"]\n");
    assert_eq!(course["generator"], "lanczos", "dissolve makes no films larger: {course}");
    let told = desk.ok(&["runs", "show", "trip"]);
    assert!(told.contains("rendered by lanczos instead of faulty: generator `faulty` failed: no luck today"), "{told}");
}

#[test]
fn a_program_goes_to_the_smallest_cards_that_have_the_memory_it_wants() {
    let desk = Desk::new();
    let shown = |devices: &str| {
        let script = workspace().join("host/generators/tests/faulty.py");
        let program = format!("[generators.faulty]\ncommand = [\"python3\", {script:?}, \"wants-much-memory\"]\n");
        std::fs::write(desk.path("travel-host.toml"), format!("{program}{devices}")).unwrap();
    };
    shown(
        "[[devices]]\nname = \"a\"\nmemory-mb = 80000\npools = { gpu = 0, small = 24000, middle = 32000, large = 48000 }\n",
    );
    let able = desk.json(&["generators", "show", "faulty"]);
    assert_eq!((&able["pool"], &able["memory_mb"]), (&"middle".into(), &30000.into()));
    shown("[[devices]]\nname = \"a\"\nmemory-mb = 24000\n");
    let pictures = desk.pictures(2);
    let text = desk.refused(&quick("travel", &pictures, &["--generator", "faulty"]), 2, "generator_recipe");
    assert!(
        text.contains("wants 30000 MiB") && text.contains("the largest pool of the devices, gpu, gives 24000"),
        "{text}"
    );
}

#[test]
fn a_generator_that_was_left_alone_is_tried_by_one_task_and_used_again() {
    let desk = Desk::new();
    faulty(&desk, "needs-a-word", "circuit = { failures = 1, cooling = \"1s\", most = \"1s\" }\n");
    let pictures = desk.pictures(3);
    let flags = ["--name", "trip", "--output-dir", "out", "--generator", "faulty", "--frame-overlap", "0"];
    desk.json(&quick("travel", &pictures, &flags));
    let mut host = Host::start(&desk, &["run"]);
    let mut turns = |state: &str| assert!(host.wait_for(|e| e["event"] == "circuit" && e["state"] == state), "{state}");
    turns("open");
    // Nobody has changed anything yet: the one task that is let through fails, and all wait again.
    turns("half-open");
    turns("open");
    std::fs::write(desk.path("go"), "").unwrap();
    turns("half-open");
    turns("closed");
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "succeeded"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn a_generator_out_of_memory_is_tried_with_less_and_then_elsewhere() {
    let desk = Desk::new();
    let ladder = "out-of-memory = [{ settings = { tiles = 2 } }, { settings = { tiles = 4 }, pool = \"gpu\" }]\n";
    faulty(&desk, "needs-tiles", ladder);
    travel(&desk);
    let segment = segment_after_all(&desk);
    assert_eq!(
        (&segment["task"]["state"], &segment["task"]["pool"]),
        (&"succeeded".into(), &"gpu".into()),
        "{segment}"
    );
    let outcomes: Vec<&Value> = segment["attempts"].as_array().unwrap().iter().map(|a| &a["outcome"]).collect();
    assert_eq!(outcomes, ["failed", "failed", "succeeded"]);
    let course = &segment["output"]["course"];
    assert_eq!(course["rungs"], 2);
    assert!(course["because"].as_str().unwrap().starts_with("rung 2 of 2"), "{course}");

    faulty(&desk, "needs-tiles", "out-of-memory = [{ settings = { tiles = \"few\" } }]\n");
    let pictures = desk.pictures(2);
    desk.refused(&quick("travel", &pictures, &["--generator", "faulty"]), 2, "generator_settings");
}

#[test]
fn the_next_of_the_chain_renders_what_a_generator_cannot_and_everybody_is_told() {
    let desk = Desk::new();
    faulty(&desk, "fatal", "fallback = [\"odd\", \"dissolve\"]\n");
    let config = std::fs::read_to_string(desk.path("travel-host.toml")).unwrap();
    let odd = config.replace("generators.faulty", "generators.odd").replace("\"fatal\"", "\"has-a-coarse-grid\"");
    let odd = odd.lines().filter(|line| !line.starts_with("fallback")).collect::<Vec<_>>().join("\n");
    std::fs::write(desk.path("travel-host.toml"), format!("{config}{odd}\n")).unwrap();
    travel(&desk);
    let segment = segment_after_all(&desk);
    assert_eq!(segment["task"]["state"], "succeeded", "{segment}");
    assert_eq!(segment["output"]["course"]["generator"], "dissolve", "whose grid has 9 frames: {segment}");
    let says = "rendered by dissolve instead of faulty: generator `faulty` failed: no luck today";
    for command in [["tasks", "show", &segment["task"]["id"].to_string()], ["runs", "show", "trip"]] {
        let told = desk.ok(&command);
        assert!(told.contains(says), "{command:?}: {told}");
    }
    let events = desk.ok(&["runs", "events", "trip"]);
    assert!(events.contains("rendered_otherwise") && events.contains("instead of faulty"), "{events}");
    assert!(frames(&desk.path("out/trip.mp4")).len() > 8);
}

#[test]
fn a_generator_that_fails_task_after_task_is_left_alone_and_others_render() {
    let desk = Desk::new();
    faulty(
        &desk,
        "transient",
        "fallback = [\"dissolve\"]\ncircuit = { failures = 2, cooling = \"1h\", most = \"1h\" }\n",
    );
    let pictures = desk.pictures(4);
    let flags = ["--name", "trip", "--output-dir", "out", "--generator", "faulty", "--frame-overlap", "0"];
    desk.json(&quick("travel", &pictures, &flags));
    let mut host = Host::start(&desk, &["run", "--until-idle"]);
    let changes = std::cell::RefCell::new(Vec::new());
    assert!(host.wait_for(|e| {
        if e["event"] == "circuit" {
            changes.borrow_mut().push((e["generator"].clone(), e["state"].clone()));
        }
        e["event"] == "run-finished" && e["state"] == "succeeded"
    }));
    assert_eq!(host.end(), Some(0));
    assert_eq!(changes.into_inner(), [("faulty".into(), "open".into())]);
    let told = desk.ok(&["runs", "show", "trip"]);
    assert_eq!(told.matches("rendered by dissolve instead of faulty").count(), 3, "{told}");
    assert!(told.contains("left alone"), "the third did not even try: {told}");
}

#[test]
fn without_others_tasks_wait_until_a_generator_is_tried_again_and_lose_no_attempt() {
    let desk = Desk::new();
    faulty(&desk, "transient", "circuit = { failures = 1, cooling = \"1h\", most = \"1h\" }\n");
    let pictures = desk.pictures(3);
    let flags = ["--name", "trip", "--output-dir", "out", "--generator", "faulty", "--frame-overlap", "0"];
    desk.json(&quick("travel", &pictures, &flags));
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "task-failed" && e["code"] == "generator_transient"));
    assert!(host.wait_for(|e| e["event"] == "task-failed" && e["code"] == "circuit_open" && e["retrying"] == true));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    let tasks = desk.json(&["tasks", "list", "trip"]);
    let held = tasks.as_array().unwrap().iter().find(|t| t["name"] == "segment-01").unwrap();
    assert_eq!((&held["state"], &held["failures"]), (&"scheduled".into(), &0.into()), "{tasks}");
    let why = desk.ok(&["tasks", "explain", &held["id"].to_string()]);
    assert!(
        why.contains("a retry is due in") && why.contains("because generator faulty failed task after task"),
        "{why}"
    );
}

#[test]
fn known_frames_that_come_back_changed_are_told_of_and_put_back_when_asked() {
    let off = |flags: &[&str], more: &str| {
        let desk = Desk::new();
        faulty(&desk, "darkens", more);
        let pictures = desk.pictures(2);
        let all = [&["--generator", "faulty", "--name", "trip", "-o", "film.mp4"], flags].concat();
        desk.ok(&quick("render", &pictures, &all));
        let segment = segment_after_all(&desk);
        let known = &segment["output"]["known"];
        assert!(known["frames"] == 2 && known["off"].as_f64().unwrap() > 10.0, "measured either way: {known}");
        let events = desk.ok(&["runs", "events", "trip"]);
        assert!(events.contains("known_frames_changed"), "{events}");
        let film = frames(&desk.path("film.mp4"));
        let off = difference(&film[0], &picture(0, Dims { width: 96, height: 64 }));
        (off, known["pasted"].as_bool().unwrap())
    };
    let (left, pasted) = off(&[], "");
    assert!(left > 10.0 && !pasted, "{left}");
    for (flags, more) in [(&["--paste-known"][..], ""), (&[], "paste-known = true\n")] {
        let (back, pasted) = off(flags, more);
        assert!(back < 4.0 && pasted, "{back}");
    }
}

#[test]
fn a_program_ends_when_its_host_is_killed() {
    let desk = Desk::new();
    faulty(&desk, "nothing", "");
    travel(&desk);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "run-finished"));
    assert_eq!(living(&desk).len(), 1, "it is kept for the next job");
    host.kill();
    await_end_of_all(&desk);
}

#[test]
fn a_bad_generator_of_the_configuration_is_named_before_anything_is_done() {
    let desk = Desk::new();
    let before = desk.pictures(2);
    for (text, says) in [
        ("[generators.rife]\ncommand = [\"x\"]\n", "built in"),
        ("[generators.wan]\ncommand = []\n", "it has no command"),
        ("[generators.wan]\ncommand = [\"x\"]\npool = \"tpu\"\n", "serves its pool tpu"),
        ("[generators.wan]\ncommand = [\"x\"]\nsilence = \"soon\"\n", "`soon` is no time"),
        ("[generators.wan]\ncommand = [\"x\"]\nfallback = [\"rife\", \"wan\"]\n", "goes in a circle"),
        ("[generators.wan]\ncommand = [\"x\"]\nfallback = [\"ltx\"]\n", "`ltx`, which is no generator"),
        ("[generators.wan]\ncommand = [\"x\"]\nout-of-memory = [{ pool = \"tpu\" }]\n", "serves pool tpu of rung 1"),
        ("[generators.wan]\ncommand = [\"x\"]\nout-of-memory = [{}]\n", "rung 1 of out-of-memory changes nothing"),
        ("[generators.\"w n\"]\ncommand = [\"x\"]\n", "letters, digits"),
    ] {
        std::fs::write(desk.path("travel-host.toml"), text).unwrap();
        let told = desk.refused(&["generators", "list"], 2, "bad_config");
        assert!(told.contains(says), "{told}");
    }
    std::fs::write(desk.path("travel-host.toml"), "[generators.wan]\ncommand = [\"/nonexistent\"]\n").unwrap();
    desk.refused(&quick("travel", &before, &["--generator", "wan"]), 2, "generator_not_started");
    let listed = desk.json(&["generators", "list"]);
    let wan = listed.as_array().unwrap().iter().find(|one| one["name"] == "wan").expect("it is listed");
    assert_eq!(wan["error"]["code"], "generator_not_started", "{listed}");
}

#[test]
fn what_flags_ask_of_a_generator_reaches_it_and_else_it_is_said_who_can() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    faulty(&desk, "notes-jobs", "settings = { flow_shift = 2.0 }\n");
    let more = [
        "--generator",
        "faulty",
        "--model_name",
        "large",
        "--use_causvid_lora",
        "--generator-settings",
        r#"{"guidance_scale": 2.5}"#,
        "--cfg_star_switch",
        "1",
        "--cfg_zero_step",
        "-1",
        "--params_json_str",
        r#"{"flow_shift": 3.5}"#,
        "--initial_image_strength",
        "0.5",
        "--final_image_strength",
        "1",
    ];
    desk.ok(&quick("render", &pictures, &more));
    let jobs = std::fs::read_to_string(desk.path("jobs.jsonl")).unwrap();
    let jobs: Vec<Value> = jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jobs.len(), 2);
    for job in &jobs {
        assert_eq!(job["model"], "large");
        let settings = &job["settings"];
        assert_eq!((&settings["num_inference_steps"], &settings["loras_multipliers"]), (&9.into(), &"0.7".into()));
        assert_eq!((&settings["guidance_scale"], &settings["flow_shift"]), (&2.5.into(), &3.5.into()));
        assert_eq!((&settings["cfg_star_switch"], &settings["cfg_zero_step"]), (&1.into(), &(-1).into()));
    }
    // Leg 0 leads from picture 0 to 1, leg 1 from 1 to 2; what a leg begins with is half as bright.
    let reference = |leg: usize, which: usize| {
        let seed = jobs[leg]["seed"].as_u64().unwrap();
        travel_engine::media::load_still(&desk.path(&format!("reference-{seed}-{which}.png"))).unwrap()
    };
    let mean = |data: &[u8]| data.iter().map(|v| f64::from(*v)).sum::<f64>() / data.len() as f64;
    for leg in 0..2 {
        for (which, still, strength) in [(0, leg, 0.5), (1, leg + 1, 1.0)] {
            let (got, still) = (reference(leg, which), picture(still, Dims { width: 96, height: 64 }));
            assert_eq!(got.dims, Dims { width: 96, height: 64 });
            let off = (mean(&got.data) - strength * mean(&still.data)).abs();
            assert!(off < 1.0, "leg {leg}, reference {which}: off by {off}");
        }
    }

    for flag in [
        &["--model-name", "large"][..],
        &["--cfg-star-switch", "1"],
        &["--use-causvid-lora"],
        &["--params-json-str", r#"{"flow_shift": 3}"#],
        &["--final-image-strength", "1"],
    ] {
        let text = desk.refused(&quick("travel", &pictures, flag), 2, "cannot_honour");
        assert!(text.contains(flag[0]) && text.contains("those here that can: faulty"), "{text}");
    }
    let wrong = |more: &[&str], code: &str| {
        desk.refused(&quick("travel", &pictures, &[&["--generator", "faulty"], more].concat()), 2, code)
    };
    assert!(wrong(&["--model-name", "huge"], "unknown_model").contains("it has small, large"));
    assert!(wrong(&["--params-json-str", r#"{"video_length": 81}"#], "bad_params").contains("video_length"));
    assert!(wrong(&["--final-image-strength", "1.5"], "bad_value").contains("0 to 1"));
    let text = desk.refused(&["travel", "p0.png", "p1.png", "--execution_engine", "wgp"], 2, "generator_unknown");
    assert!(text.contains("[generators.NAME.wan2gp]"), "{text}");
}

#[test]
fn colours_that_a_generator_lost_are_matched_to_the_pictures() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    faulty(&desk, "darkens", "");
    let film = |out: &str, strength: &str| {
        desk.ok(&quick("render", &pictures, &["--generator", "faulty", "--colour-match", strength, "-o", out]));
        frames(&desk.path(out))
    };
    let (dark, matched) = (film("dark.mp4", "0"), film("matched.mp4", "1"));
    for (at, still) in [(0, 0), (8, 1)] {
        let still = picture(still, Dims { width: 96, height: 64 });
        let (before, after) = (difference(&dark[at], &still), difference(&matched[at], &still));
        assert!(before > 12.0 && after < 6.0, "frame {at}: off by {before} without, {after} with");
    }
    desk.refused(&quick("travel", &pictures, &["--colour-match", "1.5"]), 2, "bad_value");
}

#[test]
fn a_generator_that_is_gone_when_its_run_begins_is_stood_in_for() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    faulty(&desk, "nothing", "fallback = [\"dissolve\"]\n");
    desk.ok(&quick("travel", &pictures, &["--generator", "faulty", "--name", "trip", "--output-dir", "out"]));
    let text = std::fs::read_to_string(desk.path("travel-host.toml")).unwrap();
    std::fs::write(desk.path("travel-host.toml"), text.replace("python3", "nobody-has-this-program")).unwrap();
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(count(&desk.path("out/trip.mp4")), 18);
    let tasks = desk.json(&["tasks", "list", "trip"]);
    let done = tasks.as_array().unwrap().iter().filter(|task| task["state"] == "succeeded").count();
    assert_eq!(done, 4, "{tasks}");
}
