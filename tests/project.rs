//! A film in a file: `travel.toml`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use serde_json::{Value, json};
use support::{Desk, count};

const FILM: &str = r#"
name = "ride"
fps = 10
resolution = "96x64"
generator = "dissolve"
frame-overlap = 3
base-prompts = "a road"
use = "small"

images = ["p0.png", { file = "p1.png", at = 1.1 }, "p2.png", { file = "p3.png", at = "3.1s" }, "p4.png"]

[[segments]]
segment = 1
prompt = "snow"
seed = 99
overlap = 5
settings = { easing = "ease_in_cubic" }

[generator-settings]
easing = "linear"

[params.crossfade]
curve = "linear"

[presets.small]
crf = 30
segment-frames = 9

[presets.large]
resolution = "192x128"
segment-frames = 12
"#;

fn desk(text: &str) -> Desk {
    let desk = Desk::new();
    desk.pictures(5);
    std::fs::write(desk.path("travel.toml"), text).unwrap();
    desk
}

/// What was asked of each segment of a plan: where it ends, new frames, overlap.
fn places(plan: &Value) -> Vec<(u64, u64, u64)> {
    let number = |value: &Value| value.as_u64().unwrap();
    let segments = plan["timeline"]["segments"].as_array().unwrap();
    segments.iter().map(|s| (number(&s["ends"]), number(&s["place"]["new"]), number(&s["place"]["overlap"]))).collect()
}

#[test]
fn a_project_is_a_film_and_images_stand_at_their_times() {
    let desk = desk(FILM);
    let plan = desk.json(&["plan", "travel.toml"]);
    // Image 2 at 1.1 s is frame 11, image 4 at 3.1 s is frame 31, image 3 stands between them; the last has no time.
    assert_eq!(places(&plan), [(12, 12, 0), (22, 10, 5), (32, 10, 3), (41, 9, 3)]);
    desk.ok(&["render", "travel.toml", "-o", "ride.mp4"]);
    assert_eq!(count(&desk.path("ride.mp4")), 41);
    let spec = desk.json(&["runs", "show", "ride"])["spec"].clone();
    assert_eq!(spec["encode"]["crf"], 30);
    assert_eq!(spec["params"]["crossfade"], json!({ "curve": "linear" }));
    let takes = desk.json(&["runs", "takes", "ride"]);
    let leg = |i: usize| takes["segments"][i]["takes"][0]["input"]["segment"]["leg"].clone();
    let told = |i: usize| (leg(i)["prompt"].clone(), leg(i)["seed"].clone(), leg(i)["settings"].clone());
    assert_eq!(told(0), (json!("a road"), json!(12345), json!(r#"{"easing":"linear"}"#)));
    assert_eq!(told(1), (json!("snow"), json!(99), json!(r#"{"easing":"ease_in_cubic"}"#)));
    assert_eq!(leg(2)["seed"], 12347);
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_its_preset() {
    let desk = desk(FILM);
    let canvas = |args: &[&str]| desk.json(args)["canvas"].clone();
    assert_eq!(canvas(&["plan", "travel.toml"]), json!({ "width": 96, "height": 64 }));
    assert_eq!(canvas(&["plan", "travel.toml", "--resolution", "160x96"])["width"], 160);
    assert_eq!(canvas(&["plan", "--resolution=160x96", "travel.toml"])["width"], 160);
    // The file says its own resolution, and the preset's does not count.
    let large = desk.json(&["plan", "travel.toml", "--project-preset", "large"]);
    assert_eq!(large["canvas"]["width"], 96);
    assert_eq!(places(&large)[3].1, 12);
    desk.refused(&["plan", "travel.toml", "--segment-frames", "20"], 2, "bad_project");
    // From anywhere: images lie beside the file.
    let folder = desk.path("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let plan = desk.command(&["plan", "../travel.toml", "--json"]).current_dir(&folder).output().unwrap();
    assert!(plan.status.success(), "{}", String::from_utf8_lossy(&plan.stderr));
}

#[test]
fn single_segments_can_differ_without_a_file_too() {
    let desk = desk(FILM);
    let flags = ["--segment", "1.seed=5", "--segment", "1.prompt=a, b. c=d", "--generator", "dissolve"];
    let size =
        ["--resolution", "96x64", "--segment-frames", "9", "--frame-overlap", "3", "-o", "film.mp4", "--name", "one"];
    desk.ok(&[&["render", "p0.png", "p1.png", "p2.png"][..], &flags, &size].concat());
    let takes = desk.json(&["runs", "takes", "one"]);
    let leg = &takes["segments"][1]["takes"][0]["input"]["segment"]["leg"];
    assert_eq!((&leg["seed"], &leg["prompt"]), (&json!(5), &json!("a, b. c=d")));
    let text = desk.refused(&["plan", "p0.png", "p1.png", "--segment", "3.seed=5"], 2, "list_length");
    assert!(text.contains("there is no segment 3"), "{text}");
    desk.refused(&["plan", "p0.png", "p1.png", "--segment", "0.speed=5"], 2, "usage");
}

#[test]
fn a_wrong_project_says_where_it_is_wrong() {
    for (text, says) in [
        ("images = [", "line 1"),
        ("name = \"x\"", "images"),
        ("images = [\"p0.png\", \"p1.png\"]\nframes = 3", "frames"),
        ("images = [\"p0.png\", \"p1.png\"]\ncrf = 99", "/crf"),
        ("images = [\"p0.png\", \"p1.png\"]\nuse = \"none\"\n[presets.draft]\ncrf = 9", "its presets: draft"),
        ("images = [{ file = \"p0.png\", at = 1 }, \"p1.png\"]", "its time is 0"),
        ("images = [\"p0.png\", { file = \"p1.png\", at = 2 }, { file = \"p2.png\", at = 1 }]", "too few"),
        ("images = [\"p0.png\", { file = \"p1.png\", at = \"soon\" }]", "`soon` is no time"),
        ("images = [\"p0.png\", \"p1.png\"]\nsegments = [{ segment = 4, frames = 9 }]", "segment 4"),
        (
            "images = [\"p0.png\", { file = \"p1.png\", at = 2 }]\nsegments = [{ segment = 0, frames = 9 }]",
            "one of the two",
        ),
        (
            "images = [\"p0.png\", \"p1.png\"]\nsegments = [{ segment = 0, seed = 1 }, { segment = 0, seed = 2 }]",
            "twice",
        ),
        ("images = [\"p0.png\", { file = \"p1.png\", at = -3 }]", "times are 0 to"),
    ] {
        let desk = desk(text);
        let told = desk.refused(&["plan", "travel.toml"], 2, "bad_project");
        assert!(told.contains(says) && told.contains("travel.toml"), "{text}\n{told}");
    }
    let desk = desk(FILM);
    desk.refused(&["plan", "travel.toml", "p0.png"], 2, "bad_project");
    desk.refused(&["plan", "p0.png", "p1.png", "--project-preset", "small"], 2, "bad_project");
    desk.refused(&["plan", "gone.toml"], 2, "bad_project");
}
