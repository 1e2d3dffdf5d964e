//! Images in, film out: what a person sees who makes one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use serde_json::Value;
use support::{Desk, count, difference, frames, picture, quick, workspace};
use travel::Dims;
use travel_engine::media::{RgbFrame, save_png};

const SIZE: Dims = Dims { width: 96, height: 64 };

#[test]
fn a_film_has_the_planned_frames_and_passes_through_every_image() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    let plan = desk.json(&quick("plan", &pictures, &[]));
    assert_eq!(plan["timeline"]["frames"], 27);
    let made = desk.json(&quick("render", &pictures, &["-o", "film.mp4"]));
    assert_eq!(made["output"]["frames"], 27);
    let film = frames(&desk.path("film.mp4"));
    assert_eq!(film.len(), 27);
    let mut anchors = 0;
    for segment in plan["timeline"]["segments"].as_array().unwrap() {
        for key in segment["key_frames"].as_array().unwrap() {
            let still = key["still"].as_u64().unwrap() as usize;
            let at = key["film_frame"].as_u64().unwrap() as usize;
            let off = difference(&film[at], &picture(still, SIZE));
            assert!(off < 6.0, "image {still} at frame {at} is off by {off}");
            anchors += 1;
        }
    }
    assert_eq!(anchors, 4);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    for name in ["a.mp4", "b.mp4"] {
        desk.ok(&quick("render", &pictures, &["-o", name, "--db", &format!("{name}.db")]));
    }
    let bytes = |name| std::fs::read(desk.path(name)).unwrap();
    assert!(bytes("a.mp4") == bytes("b.mp4"));
}

#[test]
fn another_plugin_makes_another_film_of_the_same_length() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let dissolve = workspace().join("plugins/dissolve");
    let make = |name: &str, more: &[&str]| {
        let usual = ["--generator", "rife", "--quality", "fast", "-o", name];
        desk.ok(&quick("render", &pictures, &[&usual, more].concat()));
        frames(&desk.path(name))
    };
    let usual = make("usual.mp4", &[]);
    let other = make("other.mp4", &["--plugins", dissolve.to_str().unwrap()]);
    assert_eq!((usual.len(), other.len()), (18, 18));
    let off: f64 = usual.iter().zip(&other).map(|(a, b)| difference(a, b)).fold(0.0, f64::max);
    assert!(off > 1.0, "the films differ by {off} code values at most");
}

#[test]
fn a_folder_of_plugins_is_chosen_from_by_role() {
    let desk = Desk::new();
    let folder = workspace().join("plugins");
    let list = desk.json(&["plugins", "list", "--plugins", folder.to_str().unwrap()]);
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["dissolve", "travel"]);
    let pictures = desk.pictures(2);
    let args =
        quick("render", &pictures, &["-o", "f.mp4", "--role", "guide=dissolve", "--plugins", folder.to_str().unwrap()]);
    desk.ok(&args);
    let plugins = &desk.json(&["runs", "show", "1"])["spec"]["plugins"];
    assert_eq!(plugins["guide"]["manifest"]["id"], "dissolve");
    assert_eq!(plugins["crossfade"]["manifest"]["id"], "travel");
}

#[test]
fn a_zero_overlap_is_a_plain_cut_and_its_segments_wait_for_nobody() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let plan = desk.json(&quick("plan", &pictures, &["--frame-overlap", "0"]));
    for segment in plan["timeline"]["segments"].as_array().unwrap() {
        assert_eq!(segment["waits_for"], Value::Array(vec![]));
        assert_eq!(segment["place"]["overlap"], 0);
    }
    desk.ok(&quick("render", &pictures, &["--frame-overlap", "0", "-o", "cut.mp4"]));
    let film = frames(&desk.path("cut.mp4"));
    assert_eq!(film.len(), 18);
    assert!(difference(&film[8], &picture(1, SIZE)) < 6.0);
    assert!(difference(&film[9], &picture(1, SIZE)) < 6.0);
}

#[test]
fn a_film_goes_on_from_a_video_and_is_as_long_as_both() {
    let desk = Desk::new();
    let pictures = desk.pictures(4);
    desk.ok(&quick("render", &pictures[..2], &["-o", "first.mp4"]));
    assert_eq!(count(&desk.path("first.mp4")), 9);
    let made = desk.json(&quick("render", &pictures[2..], &["-o", "both.mp4", "--continue-from-video", "first.mp4"]));
    assert_eq!(made["output"]["frames"], 9 + 2 * 9);
    let film = frames(&desk.path("both.mp4"));
    assert_eq!(film.len(), 27);
    assert!(difference(&film[0], &picture(0, SIZE)) < 8.0);
    assert!(difference(&film[26], &picture(3, SIZE)) < 8.0);
}

#[test]
fn segments_after_the_first_can_be_made_brighter() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["-o", "plain.mp4", "--param", "crossfade.colour_match=off"]));
    let bright = [
        "-o",
        "bright.mp4",
        "--param",
        "crossfade.colour_match=off",
        "--after-first-post-generation-brightness",
        "0.3",
    ];
    desk.ok(&quick("render", &pictures, &bright));
    let mean = |name: &str, at: usize| {
        let frame = &frames(&desk.path(name))[at];
        frame.data.iter().map(|&v| f64::from(v)).sum::<f64>() / frame.data.len() as f64
    };
    assert!((mean("plain.mp4", 2) - mean("bright.mp4", 2)).abs() < 0.5, "the first segment stays");
    assert!(mean("bright.mp4", 17) > 1.15 * mean("plain.mp4", 17), "the last one is brighter");
}

#[test]
fn a_film_is_made_larger_by_a_task_of_its_own_from_joined_clips_that_lost_nothing() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["-o", "plain.mp4", "--crf", "0"]));
    let larger = ["--upscale-factor", "2", "--contact-sheet"];
    let plan = desk.json(&quick("plan", &pictures, &larger));
    assert_eq!(plan["upscale"]["dims"], serde_json::json!({ "width": 192, "height": 128 }));
    let made = desk.json(&quick("render", &pictures, &[&["-o", "large.mp4"], &larger[..]].concat()));
    assert_eq!(made["output"]["dims"], plan["upscale"]["dims"]);
    assert!(made["output"]["contact_sheet"].is_string());

    let tasks = desk.json(&["tasks", "list", "2"]);
    let task = |name: &str| tasks.as_array().unwrap().iter().find(|task| task["name"] == name).unwrap().clone();
    assert_eq!((&task("upscale")["kind"], &task("upscale")["pool"]), (&"travel_upscale".into(), &"cpu".into()));
    let stitch = desk.json(&["tasks", "show", &task("stitch")["id"].to_string()]);
    let joined = stitch["made"].as_array().unwrap().iter().find(|made| made["slot"] == "joined").unwrap();
    let hash = joined["hash"].as_str().unwrap();
    let joined = frames(&desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..]));
    let plain = frames(&desk.path("plain.mp4"));
    assert!(plain == joined, "both are encoded without loss");

    let large = frames(&desk.path("large.mp4"));
    assert_eq!(large.len(), 18);
    for (large, plain) in large.iter().zip(&plain) {
        assert_eq!(large.dims, Dims { width: 192, height: 128 });
        let off = difference(&halved(large), plain);
        assert!(off < 3.0, "made small again, a frame is off by {off}");
    }
    for factor in ["0", "1"] {
        let plan = desk.json(&quick("plan", &pictures, &["--upscale-factor", factor]));
        assert!(plan["upscale"].is_null(), "the original's way to say no");
    }
}

/// The mean of every two by two pixels.
fn halved(frame: &RgbFrame) -> RgbFrame {
    let dims = Dims { width: frame.dims.width / 2, height: frame.dims.height / 2 };
    let at = |x: usize, y: usize, c: usize| u32::from(frame.data[(y * frame.dims.width as usize + x) * 3 + c]);
    let mut data = Vec::new();
    for y in 0..dims.height as usize {
        for x in 0..dims.width as usize {
            let four = |c| {
                at(2 * x, 2 * y, c) + at(2 * x + 1, 2 * y, c) + at(2 * x, 2 * y + 1, c) + at(2 * x + 1, 2 * y + 1, c)
            };
            data.extend([0, 1, 2].map(|c| ((four(c) + 2) / 4) as u8));
        }
    }
    RgbFrame { dims, data }
}

#[test]
fn the_neural_generator_makes_a_film_too() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let more = ["-o", "rife.mp4", "--generator", "rife", "--quality", "fast", "--contact-sheet"];
    let made = desk.json(&quick("render", &pictures, &more));
    assert_eq!(count(&desk.path("rife.mp4")), 18);
    let sheet = made["output"]["contact_sheet"].as_str().unwrap();
    assert!(sheet.ends_with("rife.contact-sheet.png") && std::path::Path::new(sheet).is_file(), "{sheet}");
}

#[test]
fn guides_and_masks_are_kept_when_asked_and_show_what_the_generator_was_told() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["-o", "f.mp4", "--keep-guides"]));
    let tasks = desk.json(&["tasks", "list", "1"]);
    let id = tasks.as_array().unwrap().iter().find(|t| t["name"] == "segment-01").unwrap()["id"].clone();
    let detail = desk.json(&["tasks", "show", &id.to_string()]);
    let stored = |slot: &str| {
        let made = detail["made"].as_array().unwrap();
        let hash = made.iter().find(|a| a["slot"] == slot).unwrap()["hash"].as_str().unwrap().to_owned();
        desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..])
    };
    let (guide, mask) = (frames(&stored("guide")), frames(&stored("mask")));
    assert_eq!((guide.len(), mask.len()), (12, 12));
    let kept: Vec<bool> = mask.iter().map(|f| f.data.iter().all(|&v| v == 0)).collect();
    let white = mask.iter().filter(|f| f.data.iter().all(|&v| v == 255)).count();
    assert_eq!(kept, [true, true, true, false, false, false, false, false, false, false, false, true]);
    assert_eq!(white, 8);
    assert!(guide[5].data.iter().all(|&v| v == 127), "between anchors the guide is neutral");
    // The overlap in the guide is the predecessor's tail, byte for byte.
    let first = tasks.as_array().unwrap().iter().find(|t| t["name"] == "segment-00").unwrap()["id"].clone();
    let before = desk.json(&["tasks", "show", &first.to_string()]);
    let hash = before["made"].as_array().unwrap().iter().find(|a| a["slot"] == "clip").unwrap()["hash"].clone();
    let hash = hash.as_str().unwrap();
    let clip = frames(&desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..]));
    assert!(clip[clip.len() - 3..] == guide[..3]);
}

#[test]
fn a_manifest_beside_the_film_says_how_it_was_made_and_makes_it_again() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["-o", "trip.mp4", "--seed", "7", "--base-prompts", "a walk"]));
    let text = std::fs::read_to_string(desk.path("trip.manifest.json")).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&told["name"], &told["film"]["file"], &told["film"]["frames"]),
        (&"trip".into(), &"trip.mp4".into(), &18.into())
    );
    assert_eq!((&told["generator"]["name"], &told["spec"]["wishes"]["seed"]), (&"dissolve".into(), &7.into()));
    let segments = told["segments"].as_array().unwrap();
    assert_eq!(segments.iter().map(|s| s["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [7, 8]);
    assert!(segments.iter().all(|s| s["clip"].is_string() && s["phases_ms"]["generate"].is_number()), "{segments:?}");
    assert_eq!(told["timeline"]["segments"].as_array().unwrap().len(), 2);
    assert!(
        told["spec"]["plugins"]["crossfade"]["digest"].is_string() && told["spec"]["stills"][2]["hash"].is_string()
    );

    // In another queue, whose store has nothing: the pictures lie where they came from.
    let again = |more: &[&str]| desk.json(&[&["render", "--from-manifest", "trip.manifest.json"], more].concat());
    let made = again(&["-o", "again.mp4", "--db", "other.db"]);
    assert_eq!(made["output"]["hash"], told["film"]["hash"], "the same film, to the bit");
    // In its own, when they are gone; it is not put over the first one unasked.
    let taken =
        desk.refused(&["render", "--from-manifest", "trip.manifest.json", "--output-dir", "."], 2, "output_exists");
    assert!(taken.contains("trip.mp4"), "{taken}");
    std::fs::remove_file(desk.path(&pictures[0])).unwrap();
    std::fs::remove_file(desk.path(&pictures[2])).unwrap();
    save_png(&picture(4, SIZE), &desk.path(&pictures[1])).unwrap();
    assert_eq!(again(&["--output-dir", ".", "--force"])["output"]["hash"], told["film"]["hash"]);

    let missing = ["render", "--from-manifest", "trip.manifest.json", "-o", "third.mp4", "--db", "third.db"];
    let text = desk.refused(&missing, 2, "inputs_missing");
    assert!(pictures.iter().all(|name| text.contains(name)), "gone, changed, and gone: {text}");
    desk.refused(&["render", "--from-manifest", "trip.manifest.json", "--seed", "8"], 2, "usage");
    for (name, text, says) in
        [("a.json", "{}", "no key `manifest`"), ("b.json", "{\"manifest\": 99}", "version 99"), ("c.json", "x", "")]
    {
        std::fs::write(desk.path(name), text).unwrap();
        assert!(desk.refused(&["render", "--from-manifest", name], 2, "no_manifest").contains(says));
    }
    // Somebody else's file of that name stays, and is found before anything is rendered.
    std::fs::write(desk.path("own.manifest.json"), "mine").unwrap();
    desk.refused(
        &quick("render", &pictures[1..2], &["-o", "own.mp4", "--continue-from-video", "trip.mp4"]),
        2,
        "no_manifest",
    );
}

#[test]
fn seams_are_measured_and_told_of_and_a_page_shows_them() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let made = desk.json(&quick("render", &pictures, &["-o", "trip.mp4", "--seams"]));
    let seams = made["output"]["seams"].as_array().unwrap();
    assert_eq!((seams.len(), &seams[0]["overlap"], &seams[0]["film_frame"]), (1, &3.into(), &6.into()));
    // The second segment begins with the very frames that the first one ended with.
    assert!(seams[0]["ssim"].as_f64() > Some(0.98) && seams[0]["may_show"] == false, "{seams:?}");
    assert_eq!(seams[0]["transition"], "cross-fade of 3 frames");
    let page = std::fs::read_to_string(desk.path("trip.seams.html")).unwrap();
    assert!(
        page.contains("segment-00 and segment-01") && page.matches("<img src=\"data:image/png;base64,").count() == 2
    );

    // A cut from one picture to another shows, and everybody is told.
    let cut = ["-o", "cut.mp4", "--frame-overlap", "0", "--param", "orchestrate.chain=false", "--seams=why.html"];
    let made = desk.json(&quick("render", &[&pictures[..2], &pictures[..1]].concat(), &cut));
    assert_eq!(made["output"]["seams"][0]["transition"], "cut");
    assert!(desk.path("why.html").exists());
    let text = desk.refused(&quick("render", &pictures, &["-o", "other.mp4", "--seams=why.html"]), 2, "output_exists");
    assert!(text.contains("why.html"), "{text}");
}
