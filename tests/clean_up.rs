//! What was made on the way to films goes, films stay.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use support::{Desk, quick};

/// Stored files.
fn stored(desk: &Desk) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(desk.path("travel-host.data/cas")).unwrap();
    folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).map(|e| e.unwrap().path()).collect()
}

/// Makes all stored files older than those that are spared for their youth.
fn age(desk: &Desk) {
    for path in stored(desk) {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(100_000)).unwrap();
    }
}

fn film(desk: &Desk, pictures: &[String], name: &str, more: &[&str]) {
    let file = format!("{name}.mp4");
    desk.ok(&quick("render", pictures, &[&["-o", &file, "--name", name][..], more].concat()));
}

#[test]
fn what_was_made_on_the_way_expires_by_age_and_the_film_can_still_be_changed() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    film(&desk, &pictures, "gone", &["--stitch", "auto"]);
    film(&desk, &pictures, "kept", &["--keep", "all", "--fresh", "--crf", "30"]);
    age(&desk);
    let before = stored(&desk).len();
    desk.refused(&["artifacts", "gc"], 2, "no_policy");
    assert_eq!(desk.json(&["artifacts", "gc", "--older-than", "1h"])["runs"], json!([]), "they have just ended");
    let trial = desk.json(&["artifacts", "gc", "--older-than", "0s", "--dry-run"]);
    assert_eq!((trial["runs"][0]["name"].as_str(), trial["keep_all"].as_u64()), (Some("gone"), Some(1)), "{trial}");
    assert_eq!(stored(&desk).len(), before, "a trial removes nothing");
    let done = desk.json(&["artifacts", "gc", "--older-than", "0s"]);
    assert_eq!(done["runs"], trial["runs"]);
    // Three parts; the clips are those of the run that keeps all.
    assert_eq!(done["removed"], 3, "{done}");
    assert_eq!(stored(&desk).len(), before - 3);
    assert!(desk.path("gone.mp4").exists());
    assert_eq!(desk.json(&["queue", "doctor"])["healthy"], true);
    let text = desk.ok(&["runs", "takes", "gone"]);
    assert!(text.contains("gone"), "{text}");

    let first = std::fs::read(desk.path("gone.mp4")).unwrap();
    desk.refused(&["runs", "takes", "gone", "--segment", "1", "--choose", "9"], 2, "no_take");
    let redo =
        ["runs", "redo", "gone", "--segment", "1", "--generator-settings", r#"{"easing": "ease_in_cubic"}"#, "--wait"];
    desk.ok(&redo);
    assert_ne!(std::fs::read(desk.path("gone.mp4")).unwrap(), first);
    desk.refused(&["runs", "takes", "gone", "--segment", "1", "--choose", "1"], 2, "take_gone");
    assert_eq!(desk.json(&["queue", "doctor"])["healthy"], true);
}

#[test]
fn the_runs_that_ended_longest_ago_go_first_when_there_is_too_much() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    for (name, easing) in [("a", "linear"), ("b", "ease_in_cubic"), ("c", "ease_out_cubic")] {
        film(&desk, &pictures, name, &["--generator-settings", &format!(r#"{{"easing": "{easing}"}}"#)]);
    }
    age(&desk);
    assert_eq!(desk.json(&["artifacts", "gc", "--max-mb", "1000"])["runs"], json!([]));
    let all = desk.json(&["artifacts", "gc", "--max-mb", "0", "--dry-run"]);
    let names: Vec<&str> = all["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c", "b", "a"]);
    // A host does so by itself where it is configured.
    std::fs::write(desk.path("travel-host.toml"), "[clean-up]\nolder-than = \"0s\"\n").unwrap();
    let before = stored(&desk).len();
    desk.ok(&["run", "--until-idle"]);
    // Two clips of each run.
    assert_eq!(stored(&desk).len(), before - 6);
}

#[test]
fn a_run_that_was_cleaned_up_goes_on_and_can_be_changed_also_where_its_film_is_made_of_parts() {
    let desk = Desk::new();
    let pictures = desk.pictures(5);
    desk.ok(&quick("render", &pictures[..2], &["-o", "shot.mp4", "--name", "shot"]));
    film(&desk, &pictures[2..], "trip", &["--stitch", "auto", "--continue-from-video", "shot.mp4"]);
    // Cancelled when all but the film was there.
    desk.ok(&quick("travel", &pictures, &["--name", "half", "--output-dir", "out", "--fresh"]));
    desk.ok(&["queue", "pause", "--pool", "encode"]);
    desk.ok(&["run", "--until-idle"]);
    desk.ok(&["runs", "cancel", "half"]);
    desk.ok(&["queue", "resume", "--pool", "encode"]);
    age(&desk);
    let done = desk.json(&["artifacts", "gc", "--older-than", "0s"]);
    assert_eq!(done["runs"].as_array().unwrap().len(), 3, "{done}");

    desk.ok(&["runs", "resume", "half"]);
    desk.ok(&["run", "--until-idle"]);
    assert!(desk.path("out/half.mp4").exists());
    let redo =
        ["runs", "redo", "trip", "--segment", "1", "--generator-settings", r#"{"easing": "ease_in_cubic"}"#, "--wait"];
    desk.ok(&redo);
    assert_eq!(desk.json(&["runs", "show", "trip"])["state"], "succeeded");
    // Unchanged, but its clip is gone: it is rendered again.
    age(&desk);
    desk.json(&["artifacts", "gc", "--older-than", "0s"]);
    let text = desk.ok(&["runs", "redo", "trip", "--segment", "0"]);
    assert!(text.contains("goes on"), "{text}");
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(desk.json(&["queue", "doctor"])["healthy"], true);
}
