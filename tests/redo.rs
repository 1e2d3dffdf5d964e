//! Films that are changed after they were made: a segment rendered again, a former take chosen, what was rendered before found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use support::{Desk, count, quick};

/// Names of the tasks that were begun in a run since an event, and of those that were found rendered already.
fn done_since(desk: &Desk, run: &str, after: i64) -> (Vec<String>, Vec<String>) {
    let names: Vec<(i64, String)> = desk.json(&["tasks", "list", run]).as_array().unwrap().iter().map(named).collect();
    let name = |event: &Value| {
        let id = event["task"].as_i64().unwrap();
        names.iter().find(|(task, _)| *task == id).unwrap().1.clone()
    };
    let after = after.to_string();
    let text = desk.ok(&["runs", "events", run, "--after", &after, "--json"]);
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = events.iter().filter(|e| e["kind"] == "task_started").map(name).collect();
    let reused = events.iter().filter(|e| e["data"]["label"] == "reused").map(name).collect();
    (begun, reused)
}

fn named(task: &Value) -> (i64, String) {
    (task["id"].as_i64().unwrap(), task["name"].as_str().unwrap().to_owned())
}

fn last_event(desk: &Desk, run: &str) -> i64 {
    let text = desk.ok(&["runs", "events", run, "--json"]);
    serde_json::from_str::<Value>(text.lines().last().unwrap()).unwrap()["seq"].as_i64().unwrap()
}

fn segments(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("segment-{i:02}")).collect()
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

const EASED: [&str; 2] = ["--generator-settings", r#"{"easing": "ease_in_cubic"}"#];

#[test]
fn one_segment_of_ten_is_rendered_again_with_what_depends_on_it_and_the_former_take_comes_back() {
    let desk = Desk::new();
    let pictures = desk.pictures(11);
    desk.ok(&quick("render", &pictures, &["-o", "film.mp4", "--name", "trip"]));
    let film = desk.path("film.mp4");
    let (first, length) = (bytes(&film), count(&film));

    // Nothing is changed, and so nothing is done.
    let before = last_event(&desk, "trip");
    let text = desk.ok(&["runs", "redo", "trip", "--segment", "5"]);
    assert!(text.contains("is as it is to be"), "{text}");
    assert_eq!(last_event(&desk, "trip"), before);

    let redo = [&["runs", "redo", "trip", "--segment", "5", "--wait"][..], &EASED].concat();
    desk.ok(&redo);
    let (begun, reused) = done_since(&desk, "trip", before);
    assert_eq!(begun, [segments(5..10), vec!["stitch".to_owned()]].concat());
    // Segment 7 repeats other frames and comes out as it was, so that nothing changes for those after it.
    assert_eq!(reused, segments(8..10));
    assert_ne!(bytes(&film), first);
    assert_eq!(count(&film), length);
    let second = bytes(&film);

    let takes = desk.json(&["runs", "takes", "trip"]);
    let of = |segment: usize| takes["segments"][segment]["takes"].as_array().unwrap().clone();
    assert_eq!((0..10).map(|i| of(i).len()).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 2, 2, 2, 1, 1]);
    assert!(of(5)[1]["is_chosen"] == true && of(5)[0]["is_chosen"] == false);

    // What comes after the former take was rendered once already.
    let before = last_event(&desk, "trip");
    desk.ok(&["runs", "takes", "trip", "--segment", "5", "--choose", "1", "--wait"]);
    let (begun, reused) = done_since(&desk, "trip", before);
    assert_eq!(begun, [segments(6..10), vec!["stitch".to_owned()]].concat());
    assert_eq!(reused, segments(6..10));
    assert_eq!(bytes(&film), first);
    let takes = desk.json(&["runs", "takes", "trip"]);
    let counts: Vec<usize> = (0..10).map(|i| takes["segments"][i]["takes"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 2, 2, 2, 1, 1], "no take twice");

    // Its manifest tells of the film that is there, whichever take it has.
    desk.ok(&["runs", "takes", "trip", "--segment", "5", "--choose", "2", "--wait"]);
    assert_eq!(bytes(&film), second);
    desk.ok(&["render", "--from-manifest", "film.manifest.json", "-o", "again.mp4", "--db", "another.db"]);
    assert_eq!(bytes(&desk.path("again.mp4")), second);
    let doctor = desk.json(&["queue", "doctor"]);
    assert_eq!(doctor["findings"].as_array().unwrap().len(), 0, "{doctor}");
}

#[test]
fn a_segment_that_shares_no_frames_is_rendered_again_alone() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    desk.ok(&quick("render", &pictures, &["-o", "film.mp4", "--name", "cuts", "--frame-overlap", "0"]));
    let before = last_event(&desk, "cuts");
    desk.ok(&[&["runs", "redo", "cuts", "--segment", "1"][..], &EASED].concat());
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(done_since(&desk, "cuts", before).0, ["segment-01", "stitch"]);
}

#[test]
fn what_was_rendered_before_from_the_same_is_found_also_for_another_film() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    desk.ok(&quick("render", &pictures[..3], &["-o", "film.mp4", "--name", "short"]));
    // One image more, another quality, another fade: two segments are there already.
    let more = ["-o", "longer.mp4", "--name", "longer", "--crf", "30", "--param", "crossfade.curve=linear"];
    desk.ok(&quick("render", &pictures, &more));
    assert_eq!(done_since(&desk, "longer", 0).1, segments(0..2));
    desk.ok(&quick("render", &pictures, &["-o", "fresh.mp4", "--name", "fresh", "--fresh"]));
    assert_eq!(done_since(&desk, "fresh", 0).1, [] as [&str; 0]);
    // What one tenant has made is nothing to another.
    desk.ok(&quick("render", &pictures, &["-o", "other.mp4", "--name", "other", "--tenant", "guest"]));
    assert_eq!(done_since(&desk, "other", 0).1, [] as [&str; 0]);
    // A clip that somebody took away is rendered anew.
    let takes = desk.json(&["runs", "takes", "longer"]);
    let hash = takes["segments"][0]["takes"][0]["made"][0]["hash"].as_str().unwrap().to_owned();
    std::fs::remove_file(desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..])).unwrap();
    desk.ok(&quick("render", &pictures, &["-o", "once-more.mp4", "--name", "once-more"]));
    assert_eq!(done_since(&desk, "once-more", 0).1, segments(1..3));
}

#[test]
fn what_cannot_be_done_again_is_refused_and_changes_nothing() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
    desk.refused(&["runs", "redo", "trip", "--segment", "0", "--seed", "3"], 2, "no_segment");
    desk.ok(&["run", "--until-idle"]);
    desk.refused(&["runs", "redo", "trip", "--segment", "7", "--seed", "3"], 2, "no_segment");
    desk.refused(&["runs", "redo", "trip", "--segment", "0", "--generator-settings", "[]"], 2, "bad_value");
    let wrong = ["runs", "redo", "trip", "--segment", "0", "--generator-settings", r#"{"easing": "none"}"#];
    desk.refused(&wrong, 2, "generator_settings");
    desk.refused(&["runs", "takes", "trip", "--segment", "0", "--choose", "2"], 2, "no_take");
    let deaf = ["runs", "redo", "trip", "--segment", "0", "--prompt", "snow"];
    desk.refused(&deaf, 2, "cannot_honour");
    // Somebody else's film lies where this one was.
    std::fs::write(desk.path("out/trip.mp4"), "another film").unwrap();
    let foreign = desk.refused(&[&["runs", "redo", "trip", "--segment", "0"][..], &EASED].concat(), 2, "output_exists");
    assert!(foreign.contains("move that file away"), "{foreign}");
    assert_eq!(std::fs::read(desk.path("out/trip.mp4")).unwrap(), b"another film");
    assert_eq!(desk.json(&["runs", "show", "trip"])["state"], "succeeded");
}

#[test]
fn who_waits_for_a_film_takes_over_when_its_host_ends_and_puts_it_back_when_it_was_taken_away() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["-o", "film.mp4", "--name", "trip"]));
    let first = bytes(&desk.path("film.mp4"));
    std::fs::remove_file(desk.path("film.mp4")).unwrap();
    desk.ok(&["runs", "redo", "trip", "--segment", "0", "--wait"]);
    assert_eq!(bytes(&desk.path("film.mp4")), first);

    // A host holds the queue and does nothing of it; then it is gone.
    desk.ok(&["queue", "pause", "--pool", "cpu"]);
    let mut host = desk.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while desk.run(&["run", "--until-idle"]).status.code() == Some(0) {}
    let redo = [&["runs", "redo", "trip", "--segment", "0", "--wait"][..], &EASED].concat();
    let mut waits = desk.command(&redo).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waits.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("goes on"));
    host.kill().unwrap();
    host.wait().unwrap();
    desk.ok(&["queue", "resume", "--pool", "cpu"]);
    said.for_each(drop);
    assert!(waits.wait().unwrap().success());
    assert_ne!(bytes(&desk.path("film.mp4")), first);
}

#[test]
fn a_run_that_was_cancelled_is_resumed() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
    desk.ok(&["runs", "cancel", "trip"]);
    let text = desk.ok(&["runs", "resume", "trip"]);
    assert!(text.contains("goes on"), "{text}");
    desk.ok(&["run", "--until-idle"]);
    assert!(desk.path("out/trip.mp4").exists());
}
