//! The commands that look, and the ways of spelling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use support::{Desk, quick};

#[test]
fn every_flag_of_the_original_tool_is_known_in_both_spellings() {
    let desk = Desk::new();
    desk.pictures(3);
    let old = [
        "travel_between_images",
        "--input_images",
        "p0.png",
        "p1.png",
        "p2.png",
        "--resolution",
        "96x64",
        "--base_prompts",
        "one",
        "two",
        "--negative_prompts",
        "none",
        "--segment_frames",
        "9",
        "11",
        "--frame_overlap",
        "3",
        "--seed",
        "7",
        "--db_path",
        "old.db",
        "--output_dir",
        "out",
        "--fps_helpers",
        "24",
        "--last_frame_duplication",
        "1",
        "--fade_in_duration",
        r#"{"low_point":0.0,"high_point":0.8,"curve_type":"ease_in_out","duration_factor":0.5}"#,
        "--fade_out_duration",
        r#"{"low_point":0.1,"high_point":0.9,"curve_type":"linear","duration_factor":0.3}"#,
        "--subsequent_starting_strength_adjustment",
        "-0.2",
        "--desaturate_subsequent_starting_frames",
        "0.3",
        "--adjust_brightness_subsequent_starting_frames",
        "-0.1",
        "--crossfade_sharp_amt",
        "0.2",
        "--after_first_post_generation_saturation",
        "0.9",
        "--after_first_post_generation_brightness",
        "-0.05",
        "--generator",
        "dissolve",
        "--name",
        "old",
    ];
    let kebab: Vec<String> = old
        .iter()
        .map(|a| if a.starts_with("--") { a.replace('_', "-") } else { (*a).to_owned() })
        .map(|a| if a == "old.db" { "new.db".to_owned() } else { a })
        .collect();
    let first = desk.json(&old);
    let second = desk.json(&kebab.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((&first["run"], &first["frames"]), (&second["run"], &second["frames"]));
    let spec = |db: &str| desk.json(&["runs", "show", "1", "--db", db])["spec"].clone();
    assert_eq!(spec("old.db"), spec("new.db"));
    assert_eq!(spec("old.db")["wishes"]["segment_frames"], serde_json::json!([9, 11]));
    desk.ok(&["run", "--until-idle", "--db", "old.db"]);
    assert_eq!(support::count(&desk.path("out/old.mp4")), 20);
}

#[test]
fn a_plan_touches_nothing_and_says_where_every_image_stands() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let before = desk.names();
    let text = desk.ok(&quick("plan", &pictures, &["--frame-overlap", "2,3"]));
    assert_eq!(desk.names(), before);
    assert!(text.contains("18 frames") && text.contains("p2.png") && text.contains("segment-01"), "{text}");
    assert!(text.contains("the last one, 3, is not used"), "{text}");
}

#[test]
fn prompts_that_nobody_reads_are_said_to_have_no_effect() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let notes = |more: &[&str]| desk.json(&quick("plan", &pictures, more))["notes"].to_string();
    let says = "generator `dissolve` reads no prompts: --base-prompts and --negative-prompts have no effect";
    for flag in ["--base-prompts", "--negative-prompts"] {
        assert!(notes(&[flag, "a hill"]).contains(says), "{flag}");
    }
    assert_eq!(notes(&[]), "[]");
}

#[test]
fn tasks_are_listed_shown_and_drawn() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    desk.ok(&quick("render", &pictures, &["-o", "trip.mp4"]));
    let list = desk.ok(&["tasks", "list", "1"]);
    for name in ["orchestrator", "segment-00", "segment-01", "stitch"] {
        assert!(list.contains(name), "{list}");
    }
    let tree = desk.ok(&["tasks", "tree", "trip"]);
    assert!(tree.contains("└─ segment-01 [succeeded]"), "{tree}");
    assert!(desk.ok(&["tasks", "show", "2"]).contains("segment-00"));
    assert!(desk.ok(&["runs", "show", "trip"]).contains("succeeded"));
    assert!(desk.ok(&["runs", "list"]).contains("trip.mp4"));
    assert_eq!(desk.ok(&["runs", "list", "--state", "failed"]).trim(), "no runs");
}

#[test]
fn plugins_are_listed_and_looked_into() {
    let desk = Desk::new();
    assert!(desk.ok(&["plugins", "list"]).contains("built in"));
    let text = desk.ok(&["plugins", "inspect", "travel"]);
    for word in ["orchestrate", "guide", "crossfade", "limits of a call", "fit", "curve"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let json = desk.json(&["plugins", "inspect", "travel"]);
    assert_eq!(json["params"]["guide"]["type"], "object");
    assert!(desk.names().is_empty(), "looking leaves nothing behind: {:?}", desk.names());
}

#[test]
fn completions_and_help_are_printed() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(desk.ok(&["completions", shell]).contains("travel-host"));
    }
    let bash = desk.ok(&["completions", "bash"]);
    assert!(bash.contains("cmd=\"travel__host__subcmd__plan\"") && bash.contains("travel__host__subcmd__plan)"));
    let help = desk.ok(&["travel", "--help"]);
    assert!(help.contains("Not supported (refused)") && help.contains("--params-json-str"), "{help}");
    assert!(desk.ok(&["--help"]).contains("Exit codes"));
}

#[test]
fn errors_are_json_when_a_script_asks_for_it() {
    let desk = Desk::new();
    let output = desk.run(&["runs", "list", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], "queue_missing");
}

#[test]
fn the_configuration_is_read_and_flags_beat_it() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let toml = "db = \"conf.db\"\noutput-dir = \"conf\"\n[generator]\nname = \"dissolve\"\n[slots]\ncpu = 2\n";
    std::fs::write(desk.path("travel-host.toml"), toml).unwrap();
    let args = ["--resolution", "96x64", "--segment-frames", "9", "--frame-overlap", "3", "--name", "trip"];
    let all: Vec<&str> = ["render"].into_iter().chain(pictures.iter().map(String::as_str)).chain(args).collect();
    desk.ok(&all);
    assert!(desk.path("conf/trip.mp4").is_file() && desk.path("conf.db").is_file());
    let other: Vec<&str> = all.iter().copied().chain(["--db", "flag.db", "--output-dir", "flag"]).collect();
    desk.ok(&other);
    assert!(desk.path("flag/trip.mp4").is_file() && desk.path("flag.db").is_file());
}
