//! Films that are encoded segment by segment and put together without being decoded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use rusqlite::Connection;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Desk, count, frames, quick};

/// What a program prints that must succeed and have nothing to say on standard error.
fn quiet(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{program} {args:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

/// Hashes of a film's packets in the order in which they are shown.
fn packets(film: &Path) -> Vec<String> {
    let entries = "packet=pts,data_hash";
    let args =
        ["-v", "error", "-select_streams", "v", "-show_data_hash", "md5", "-show_entries", entries, "-of", "json"];
    let told: Value =
        serde_json::from_str(&quiet("ffprobe", &[&args[..], &[film.to_str().unwrap()]].concat())).unwrap();
    let mut all: Vec<(i64, String)> = told["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["pts"].as_i64().unwrap(), p["data_hash"].as_str().unwrap().to_owned()))
        .collect();
    all.sort();
    all.into_iter().map(|(_, hash)| hash).collect()
}

/// Tasks of a run by name.
fn tasks(desk: &Desk, run: &str) -> Vec<(String, i64)> {
    let told = desk.json(&["tasks", "list", run]);
    let task = |t: &Value| (t["name"].as_str().unwrap().to_owned(), t["id"].as_i64().unwrap());
    told.as_array().unwrap().iter().map(task).collect()
}

/// The parts of a run's film.
fn chunks(desk: &Desk, run: &str) -> Vec<PathBuf> {
    let encodes = tasks(desk, run).into_iter().filter(|(name, _)| name.starts_with("encode-"));
    let file = |(_, id): (String, i64)| {
        let task = desk.json(&["tasks", "show", &id.to_string()]);
        let hash = task["made"][0]["hash"].as_str().unwrap().to_owned();
        desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..])
    };
    encodes.map(file).collect()
}

fn labels(desk: &Desk, run: &str) -> Vec<String> {
    let text = desk.ok(&["runs", "events", run, "--json"]);
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter_map(|e| Some(e["data"]["label"].as_str()?.to_owned())).collect()
}

const AUTO: [&str; 2] = ["--stitch", "auto"];

#[test]
fn a_film_of_parts_has_their_packets_and_is_one_stream_of_constant_rate() {
    let desk = Desk::new();
    let pictures = desk.pictures(5);
    let film = |name: &str, more: &[&str]| {
        let file = format!("{name}.mp4");
        let flags = [&["-o", file.as_str(), "--name", name, "--segment-frames", "14"][..], more].concat();
        desk.ok(&quick("render", &pictures, &flags));
        desk.path(&file)
    };
    let parts = film("parts", &AUTO);
    assert_eq!(count(&parts), 56);
    let all: Vec<String> = chunks(&desk, "parts").iter().flat_map(|chunk| packets(chunk)).collect();
    assert_eq!(packets(&parts), all);
    assert_eq!(labels(&desk, "parts"), [] as [&str; 0], "nothing was encoded again");

    let path = parts.to_str().unwrap();
    quiet("ffmpeg", &["-v", "error", "-xerror", "-err_detect", "explode", "-i", path, "-f", "null", "-"]);
    let args = ["-v", "error", "-select_streams", "v", "-show_entries"];
    let show = |entries: &str| quiet("ffprobe", &[&args[..], &[entries, "-of", "csv=p=0", path]].concat());
    assert_eq!(show("stream=r_frame_rate,avg_frame_rate,nb_frames").trim(), "16/1,16/1,56");
    let times = show("frame=pts_time");
    let times: Vec<f64> = times.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    assert_eq!(times.len(), 56);
    assert!(times.iter().enumerate().all(|(i, at)| (at - i as f64 / 16.0).abs() < 1e-4), "{times:?}");
    let decoding = show("packet=dts");
    let decoding: Vec<i64> = decoding.lines().map(|dts| dts.trim_end_matches(',').parse().unwrap()).collect();
    assert!(decoding.windows(2).all(|pair| pair[1] - pair[0] == decoding[1] - decoding[0]), "{decoding:?}");

    // Where nothing is lost, it is to the bit what one piece would be.
    let [one, many] = ["one", "many"]
        .map(|name| film(name, if name == "one" { &["--crf", "0"] } else { &["--crf", "0", "--stitch", "smart"] }));
    assert_eq!(frames(&one), frames(&many));
}

#[test]
fn a_continued_video_is_a_part_too_and_a_redone_segment_leaves_other_parts_alone() {
    let desk = Desk::new();
    let pictures = desk.pictures(5);
    desk.ok(&quick("render", &pictures[..2], &["-o", "shot.mp4", "--name", "shot", "--segment-frames", "20"]));
    let flags = ["-o", "film.mp4", "--name", "trip", "--continue-from-video", "shot.mp4", "--frame-overlap", "0"];
    desk.ok(&quick("render", &pictures[2..], &[&flags[..], &AUTO].concat()));
    assert_eq!(count(&desk.path("film.mp4")), 20 + 27);
    let before = chunks(&desk, "trip");
    assert_eq!(before.len(), 4);
    let redo =
        ["runs", "redo", "trip", "--segment", "1", "--generator-settings", r#"{"easing": "ease_in_cubic"}"#, "--wait"];
    desk.ok(&redo);
    let after = chunks(&desk, "trip");
    let changed: Vec<usize> = (0..4).filter(|i| before[*i] != after[*i]).collect();
    assert_eq!(changed, [2]);
    let all: Vec<String> = after.iter().flat_map(|chunk| packets(chunk)).collect();
    assert_eq!(packets(&desk.path("film.mp4")), all);
    assert_eq!(desk.json(&["queue", "doctor"])["findings"], serde_json::json!([]));
}

/// A run whose parts are encoded and whose stitch has not begun.
fn almost(desk: &Desk) -> Connection {
    let pictures = desk.pictures(4);
    desk.ok(&quick("render", &pictures, &[&["-o", "first.mp4", "--name", "trip"][..], &AUTO].concat()));
    Connection::open(desk.path("travel-host.db")).unwrap()
}

#[test]
fn a_part_that_the_whole_films_edit_list_wants_otherwise_is_encoded_again() {
    let desk = Desk::new();
    let sql = almost(&desk);
    let id = tasks(&desk, "trip").into_iter().find(|(name, _)| name == "encode-01").unwrap().1;
    // As if the policy had said something else of the film so far.
    let change = "UPDATE task_io SET output = json_set(output, '$.steps[0].blend.left_start', 0) WHERE task_id = ?1";
    assert_eq!(sql.execute(change, [id]).unwrap(), 1);
    let first = frames(&desk.path("first.mp4"));
    reopen_stitch(&desk, &sql);
    assert_eq!(labels(&desk, "trip"), ["encoded_again"]);
    assert_eq!(frames(&desk.path("first.mp4")), first);
}

#[test]
fn parts_that_do_not_fit_together_are_encoded_in_one_piece_and_it_is_said_why() {
    let desk = Desk::new();
    let sql = almost(&desk);
    let part = chunks(&desk, "trip").remove(2);
    std::fs::remove_file(&part).unwrap();
    let size = "testsrc2=size=64x64:rate=16:duration=1";
    quiet(
        "ffmpeg",
        &["-v", "error", "-f", "lavfi", "-i", size, "-c:v", "libx264", "-f", "mp4", part.to_str().unwrap()],
    );
    reopen_stitch(&desk, &sql);
    assert_eq!(labels(&desk, "trip"), ["encoded_in_one_piece"]);
    let text = desk.ok(&["runs", "events", "trip"]);
    assert!(text.contains("its size is not that of"), "{text}");
    assert_eq!(count(&desk.path("first.mp4")), 27);
}

/// Makes the last task of the run undone, as if its host had died before it finished, and does it.
fn reopen_stitch(desk: &Desk, sql: &Connection) {
    let id = tasks(desk, "trip").into_iter().find(|(name, _)| name == "stitch").unwrap().1;
    sql.execute("UPDATE task SET state = 'ready', finished_at = NULL, redone = redone + 1 WHERE id = ?1", [id])
        .unwrap();
    sql.execute("UPDATE run SET state = 'active', finished_at = NULL, open_tasks = 1", []).unwrap();
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(desk.json(&["runs", "show", "trip"])["state"], "succeeded");
}

#[test]
fn what_cannot_be_made_of_parts_is_made_in_one_piece_or_refused() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let notes = |more: &[&str]| {
        let plan = desk.json(&quick("plan", &pictures, more));
        plan["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(notes(&AUTO).is_empty());
    let hevc = notes(&["--stitch", "auto", "--codec", "hevc"]);
    assert!(hevc.iter().any(|note| note.contains("one piece: only H.264")), "{hevc:?}");
    let upscaled = ["--stitch", "smart", "--upscale-factor", "2"];
    desk.refused(&quick("plan", &pictures, &upscaled), 2, "no_smart_stitch");
    desk.ok(&quick("render", &pictures, &["-o", "film.mp4", "--name", "hevc", "--codec", "hevc", "--stitch", "auto"]));
    assert!(chunks(&desk, "hevc").is_empty());
}
