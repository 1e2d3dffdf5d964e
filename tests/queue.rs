//! The queue as its users see it: submit, host, kill, resume.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

#[path = "support/host.rs"]
mod host;
mod support;

use host::Host;
use serde_json::Value;
use std::process::Stdio;
use support::{Desk, count, quick};

fn tasks(desk: &Desk, run: &str) -> Vec<Value> {
    let list = desk.json(&["tasks", "list", run]);
    list.as_array().unwrap().iter().map(|t| desk.json(&["tasks", "show", &t["id"].to_string()])).collect()
}

fn assert_each_task_has_one_result(desk: &Desk, run: &str) {
    for task in tasks(desk, run) {
        let name = &task["task"]["name"];
        assert_eq!(task["task"]["state"], "succeeded", "{name}");
        let results = task["attempts"].as_array().unwrap().iter().filter(|a| a["outcome"] == "succeeded").count();
        assert_eq!(results, 1, "{name} has {results} results");
    }
}

#[test]
fn a_submission_returns_at_once_and_a_host_makes_the_film() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let submitted = desk.json(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
    assert_eq!(submitted["run"], 1);
    assert_eq!(submitted["frames"], 18);
    let list = desk.json(&["runs", "list"]);
    assert_eq!(list[0]["state"], "active");
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(count(&desk.path("out/trip.mp4")), 18);
    let show = desk.json(&["runs", "show", "trip"]);
    assert_eq!(show["state"], "succeeded");
    assert_eq!(show["output"]["frames"], 18);
}

#[test]
fn the_longest_run_is_planned_and_one_longer_is_refused() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let stills = |n: usize| pictures.iter().cycle().take(n).cloned().collect::<Vec<_>>();
    desk.refused(&quick("travel", &stills(10_002), &[]), 2, "too_many_images");
    assert_eq!(desk.json(&quick("travel", &stills(10_001), &["--name", "trip"]))["frames"], 90_000);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "segment-01"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    assert_eq!(desk.json(&["tasks", "list", "trip"]).as_array().unwrap().len(), 10_002);
}

#[test]
fn one_key_makes_one_run() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let args = quick("travel", &pictures, &["--idempotency-key", "shot-7"]);
    let (first, second) = (desk.json(&args), desk.json(&args));
    assert_eq!((&first["run"], &first["created"]), (&second["run"], &Value::Bool(true)));
    assert_eq!(second["created"], false);
    assert_eq!(desk.json(&["runs", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_host_killed_at_any_stage_goes_on_at_its_next_start() {
    let phases =
        |task: &'static str, phases: &[&'static str]| phases.iter().map(|phase| (task, *phase)).collect::<Vec<_>>();
    let stages = [
        phases("orchestrator", &["task-started", "plan", "task-succeeded"]),
        phases("segment-00", &["task-started", "plan", "guide", "generate", "verify", "store", "task-succeeded"]),
        phases("segment-01", &["guide", "generate", "store"]),
        phases("stitch", &["task-started", "measure", "plan", "stitch", "verify", "store", "task-succeeded"]),
    ]
    .concat();
    assert_eq!(stages.len(), 20);
    let mut films = Vec::new();
    for (task, stage) in stages {
        let desk = Desk::new();
        let pictures = desk.pictures(3);
        desk.json(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
        let mut host = Host::start(&desk, &["run", "--until-idle"]);
        let reached = host.wait_for(|e| e["name"] == task && (e["event"] == stage || e["phase"] == stage));
        assert!(reached, "{task} never came to {stage}");
        host.kill();
        let host = Host::start(&desk, &["run", "--until-idle"]);
        assert_eq!(host.end(), Some(0), "{task} {stage}");
        assert_eq!(count(&desk.path("out/trip.mp4")), 18, "{task} {stage}");
        assert_each_task_has_one_result(&desk, "1");
        films.push(std::fs::read(desk.path("out/trip.mp4")).unwrap());
        let out = std::fs::read_dir(desk.path("out")).unwrap().count();
        assert_eq!(out, 2, "{task} {stage}: the film and its manifest alone");
        let left = std::fs::read_dir(desk.path("travel-host.data/tmp")).unwrap().count();
        assert_eq!(left, 0, "{task} {stage} left work in progress behind");
    }
    assert!(films.windows(2).all(|w| w[0] == w[1]), "every film has the same bytes");
}

#[test]
fn ctrl_c_stops_a_render_and_resume_goes_on() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let args = quick("render", &pictures, &["-o", "film.mp4", "--segment-frames", "60"]);
    let mut host = Host::start(&desk, &args);
    assert!(host.wait_for(|e| e["phase"] == "generate"));
    host.signal("INT");
    assert_eq!(host.end(), Some(130));
    assert!(!desk.path("film.mp4").exists());
    let states: Vec<Value> = tasks(&desk, "1").iter().map(|t| t["task"]["state"].clone()).collect();
    assert!(!states.contains(&"running".into()) && !states.contains(&"failed".into()), "{states:?}");
    desk.ok(&["render", "--resume", "1"]);
    assert_eq!(count(&desk.path("film.mp4")), 120);
    assert_each_task_has_one_result(&desk, "1");
}

#[test]
fn a_render_whose_run_is_paused_waits_until_it_goes_on() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let mut host = Host::start(&desk, &quick("render", &pictures, &["-o", "trip.mp4", "--segment-frames", "60"]));
    assert!(host.wait_for(|e| e["phase"] == "generate" && e["name"] == "segment-00"));
    desk.json(&["runs", "pause", "trip"]);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "segment-00"));
    // A host that gives up would do so before it takes the next look at the queue.
    desk.json(&["queue", "pause", "--pool", "encode"]);
    desk.json(&["runs", "resume", "trip"]);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "segment-01"));
    desk.json(&["queue", "resume", "--pool", "encode"]);
    assert_eq!(host.end(), Some(0));
    assert_eq!(count(&desk.path("trip.mp4")), 120);
}

#[test]
fn sigterm_lets_running_tasks_finish() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.json(&quick("travel", &pictures, &["--name", "trip"]));
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["phase"] == "generate" && e["name"] == "segment-00"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    let states: Vec<(Value, Value)> =
        tasks(&desk, "1").iter().map(|t| (t["task"]["name"].clone(), t["task"]["state"].clone())).collect();
    assert!(states.contains(&("segment-00".into(), "succeeded".into())), "{states:?}");
    assert!(states.contains(&("stitch".into(), "blocked".into())), "{states:?}");
}

#[test]
fn sigterm_lets_a_render_finish_the_leg_that_it_is_at() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let mut host = Host::start(&desk, &quick("render", &pictures, &["-o", "film.mp4", "--segment-frames", "60"]));
    assert!(host.wait_for(|e| e["phase"] == "generate" && e["name"] == "segment-00"));
    host.signal("TERM");
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "segment-00"));
    assert_eq!(host.end(), Some(130));
    assert!(!desk.path("film.mp4").exists());
    desk.ok(&["render", "--resume", "1"]);
    assert_eq!(count(&desk.path("film.mp4")), 120);
    assert_each_task_has_one_result(&desk, "1");
}

#[test]
fn a_second_host_is_refused_and_a_submission_reaches_the_first() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let mut host = Host::start(&desk, &["run", "--output-dir", "out"]);
    assert!(host.wait_for(|e| e["event"] == "started"));
    desk.refused(&["run"], 1, "queue_locked");
    desk.json(&quick("travel", &pictures, &["--name", "trip"]));
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "succeeded"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    assert_eq!(count(&desk.path("out/trip.mp4")), 9);
}

#[test]
fn a_run_keeps_the_plugins_that_it_was_submitted_with() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let plugin = desk.path("plugins/dissolve");
    std::fs::create_dir_all(&plugin).unwrap();
    for file in ["plugin.toml", "dissolve.wasm"] {
        std::fs::copy(support::workspace().join("plugins/dissolve").join(file), plugin.join(file)).unwrap();
    }
    let more = ["--name", "trip", "--output-dir", "out", "--plugins", "plugins", "--keep-guides"];
    desk.json(&quick("travel", &pictures, &more));
    std::fs::remove_dir_all(&plugin).unwrap();
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(count(&desk.path("out/trip.mp4")), 9);
    let segment = tasks(&desk, "1").into_iter().find(|t| t["task"]["kind"] == "travel_segment").unwrap();
    let keep = &segment["output"]["guide_plan"]["keep"];
    assert_eq!(*keep, serde_json::json!([{ "start": 0, "count": 9 }]), "dissolve keeps all of its guide");
}

#[test]
fn a_host_whose_output_nobody_reads_goes_on() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
    let mut child =
        desk.command(&["run", "--until-idle"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(count(&desk.path("out/trip.mp4")), 9);
}

#[test]
fn a_film_that_appears_after_the_submission_stops_the_run_before_anything_is_rendered() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip"]));
    std::fs::create_dir(desk.path("films")).unwrap();
    std::fs::write(desk.path("films/trip.mp4"), b"mine").unwrap();
    desk.ok(&["run", "--until-idle"]);
    let run = desk.json(&["runs", "show", "trip"]);
    assert_eq!(run["state"], "failed");
    assert!(run["error"].as_str().unwrap().contains("exists already"), "{run}");
    assert_eq!(run["tasks"].as_array().unwrap().len(), 1);
    std::fs::remove_file(desk.path("films/trip.mp4")).unwrap();
    desk.ok(&["render", "--resume", "trip"]);
    assert_eq!(count(&desk.path("films/trip.mp4")), 9);
}

#[test]
fn an_output_folder_that_the_host_cannot_write_fails_the_run_before_anything_is_rendered() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip"]));
    std::fs::write(desk.path("file"), b"").unwrap();
    desk.ok(&["run", "--until-idle", "--output-dir", "file/below"]);
    let run = desk.json(&["runs", "show", "trip"]);
    assert_eq!(run["state"], "failed");
    let error = run["error"].as_str().unwrap();
    assert!(error.contains("file/below cannot be written") && error.contains("is not a folder"), "{error}");
    assert_eq!(run["tasks"].as_array().unwrap().len(), 1, "no segment was planned: {run}");
    desk.ok(&["render", "--resume", "trip"]);
    assert_eq!(count(&desk.path("films/trip.mp4")), 9);
}

#[test]
fn what_somebody_changed_or_took_away_is_refused_or_put_back() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
    let still = desk.json(&["runs", "show", "trip"])["spec"]["stills"][0]["hash"].as_str().unwrap().to_owned();
    let file = desk.path("travel-host.data/cas").join(&still[..2]).join(&still[2..]);
    std::fs::remove_file(&file).unwrap();
    std::fs::copy(desk.path("p1.png"), &file).unwrap();
    desk.ok(&["run", "--until-idle"]);
    let run = desk.json(&["runs", "show", "trip"]);
    assert!(run["error"].as_str().unwrap().contains("was changed"), "{run}");
    // Submitting the same picture again stores it anew.
    desk.json(&quick("travel", &pictures, &["--name", "again", "--output-dir", "out"]));
    desk.ok(&["render", "--resume", "trip"]);
    assert_eq!(count(&desk.path("out/trip.mp4")), 9);
    std::fs::remove_file(desk.path("out/trip.mp4")).unwrap();
    desk.ok(&["render", "--resume", "trip"]);
    assert_eq!(count(&desk.path("out/trip.mp4")), 9);
    let flags = desk.run(&["render", "--resume", "trip", "--crf", "40"]);
    assert_eq!(flags.status.code(), Some(2), "a flag without an effect is refused");
}
