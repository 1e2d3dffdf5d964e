//! Films whose end passes into their beginning.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use serde_json::{Value, json};
use support::{Desk, difference, frames, picture, quick};
use travel::Dims;

const SIZE: Dims = Dims { width: 96, height: 64 };

fn made_by(desk: &Desk, run: &str, task: &str) -> Value {
    let tasks = desk.json(&["tasks", "list", run]);
    let id = tasks.as_array().unwrap().iter().find(|found| found["name"] == task).unwrap()["id"].to_string();
    desk.json(&["tasks", "show", &id])
}

/// The clip of a segment.
fn clip(desk: &Desk, run: &str, segment: &str) -> Vec<travel_engine::media::RgbFrame> {
    let made = made_by(desk, run, segment);
    let file = made["made"].as_array().unwrap().iter().find(|made| made["slot"] == "clip").unwrap();
    let hash = file["hash"].as_str().unwrap();
    frames(&desk.path("travel-host.data").join("cas").join(&hash[..2]).join(&hash[2..]))
}

#[test]
fn a_loop_shows_every_picture_once_and_comes_back_without_a_step() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let round = ["--loop", "--name", "trip", "-o", "trip.mp4", "--frame-overlap", "3,3,4"];
    let made = desk.json(&quick("render", &pictures, &round));
    assert_eq!(made["output"]["frames"], 27, "three legs of nine frames, nothing shown twice");
    let film = frames(&desk.path("trip.mp4"));
    assert_eq!(film.len(), 27);
    for (at, shown) in [(0, 0), (8, 1), (17, 2)] {
        assert!(difference(&film[at], &picture(shown, SIZE)) < 8.0, "picture {shown} at frame {at}");
    }
    // Every step is of one kind, also that from the last frame to the first.
    let step = |at: usize| difference(&film[at], &film[(at + 1) % film.len()]);
    let usual = (0..26).map(step).fold(0.0, f64::max);
    assert!(step(26) <= usual, "{} where it goes round, {usual} at most elsewhere", step(26));

    // The last segment was rendered knowing what it comes back to.
    let (first, last) = (clip(&desk, "trip", "segment-00"), clip(&desk, "trip", "segment-02"));
    assert_eq!(last.len(), 3 + 9 + 4);
    for k in 0..4 {
        assert!(difference(&last[12 + k], &first[k]) < 2.0, "frame {k} of the beginning once more");
    }
    let seams = made["output"]["seams"].as_array().unwrap();
    assert_eq!(seams[0]["between"], json!(["the end of segment-02", "segment-00"]));
    assert!(seams[0]["ssim"].as_f64().unwrap() > 0.98, "{seams:#?}");

    let again = desk.json(&["render", "--from-manifest", "trip.manifest.json", "-o", "again.mp4"]);
    assert_eq!(again["output"]["hash"], made["output"]["hash"]);
    let redone = desk.json(&["runs", "redo", "trip", "--segment", "0", "--seed", "99", "--wait"]);
    assert!(redone.to_string().contains("segment-02"), "what comes back to it is rendered again: {redone}");
}

#[test]
fn segments_that_know_nothing_of_each_other_are_faded_where_the_film_goes_round() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let alone = ["--param", "orchestrate.chain=false", "--param", "crossfade.colour_match=off"];
    let flags = [&["--loop", "--name", "pair", "-o", "pair.mp4"], &alone[..]].concat();
    assert_eq!(desk.json(&quick("render", &pictures, &flags))["output"]["frames"], 18);
    let film = frames(&desk.path("pair.mp4"));
    for (at, shown) in [(0, 0), (8, 1)] {
        let off = difference(&film[at], &picture(shown, SIZE));
        assert!(off < 8.0, "picture {shown} at frame {at} is off by {off}");
    }
    let cut = ["--loop", "--name", "cut", "-o", "cut.mp4", "--frame-overlap", "0"];
    assert_eq!(desk.json(&quick("render", &pictures, &cut))["output"]["frames"], 18);
    let film = frames(&desk.path("cut.mp4"));
    assert!(difference(&film[17], &picture(0, SIZE)) < 8.0, "a cut comes back to the first picture");
}

#[test]
fn what_cannot_go_round_is_said() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures[..2], &["-o", "first.mp4"]));
    let with = |more: &[&'static str]| [&["--loop"], more].concat();
    desk.refused(&quick("plan", &pictures, &with(&["--continue-from-video", "first.mp4"])), 2, "bad_loop");
    desk.refused(&quick("plan", &pictures[..1], &with(&[])), 2, "too_few_images");
    let text = desk.refused(&quick("plan", &pictures, &with(&["--frame-overlap", "3,3,7"])), 2, "plugin_refused");
    assert!(text.contains("would pass into the first 7 frames of segment 0"), "{text}");
    let text = desk.refused(&quick("plan", &pictures, &with(&["--stitch", "smart"])), 2, "no_smart_stitch");
    assert!(text.contains("known last"), "{text}");
    let plan = desk.json(&quick("plan", &pictures, &with(&["--stitch", "auto", "--frame-overlap", "2,3,4"])));
    assert!(plan["notes"].to_string().contains("known last"), "{plan}");
    assert_eq!(plan["timeline"]["frames"], 27);
    let last = plan["timeline"]["segments"][2]["key_frames"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["film_frame"], &last["segment_frame"]), (&0.into(), &12.into()), "where it goes round");

    std::fs::write(
        desk.path("travel.toml"),
        "images = [\"p0.png\", { file = \"p1.png\", at = 0.5 }, \"p2.png\"]\nloop = true\nfps = 16\nresolution = \"96x64\"\n\
         generator = \"dissolve\"\nsegment-frames = 9\nframe-overlap = [2, 3, 4]\n[[segments]]\nsegment = 2\nframes = 12\n",
    )
    .unwrap();
    assert_eq!(desk.json(&["plan", "travel.toml"])["timeline"]["frames"], 9 + 9 + 12);
}
