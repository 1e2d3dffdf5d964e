//! Segments at one rate, a film at another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use support::{Desk, frames, quick};

#[test]
fn each_frame_of_the_film_is_the_one_nearest_in_time() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let film = |name: &str, more: &[&str]| {
        let file = format!("{name}.mp4");
        desk.ok(&quick("render", &pictures, &[&["-o", &file, "--name", name, "--crf", "0"][..], more].concat()));
        frames(&desk.path(&file))
    };
    let plain = film("plain", &["--fps", "8"]);
    assert_eq!(plain.len(), 18);
    for (fps, shown) in [("16", 36), ("12", 27), ("4", 9), ("8", 18)] {
        let retimed = film(&format!("at-{fps}"), &["--fps", fps, "--generator-fps", "8"]);
        assert_eq!(retimed.len(), shown, "at {fps}");
        let to: f64 = fps.parse().unwrap();
        for (i, frame) in retimed.iter().enumerate() {
            // Half-way between two it is the earlier.
            let nearest = ((i as f64 * 8.0 / to) - 0.5).ceil().min(17.0) as usize;
            assert_eq!(frame, &plain[nearest], "frame {i} at {fps}");
        }
    }
    let show = desk.json(&["runs", "show", "at-12"]);
    assert_eq!(show["output"]["seconds"], 2.25);
    assert_eq!(show["output"]["rate"]["num"], 12);
}

#[test]
fn the_plan_says_at_which_rate_lengths_are_counted_and_parts_are_no_way_to_such_a_film() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let plan = desk.json(&quick("plan", &pictures, &["--fps", "24", "--generator-fps", "16"]));
    let notes = plan["notes"].to_string();
    assert!(notes.contains("rendered at 16 frames a second") && notes.contains("the film has 24"), "{notes}");
    let smart = ["--fps", "24", "--generator-fps", "16", "--stitch", "smart"];
    desk.refused(&quick("plan", &pictures, &smart), 2, "no_smart_stitch");
}
