//! What `rife` does with things that move.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]
#![cfg(feature = "rife")]

mod clips;

use clips::{middle_error, shift_of, texture};
use serde_json::{Value, json};
use travel::Dims;
use travel_generators::{Dissolve, Gap, Rife};
use travel_media::RgbFrame;

const DIMS: Dims = Dims { width: 128, height: 64 };

fn rife(gap: &Gap<'_>, settings: &Value) -> Vec<RgbFrame> {
    let mut frames = Vec::new();
    Rife.inbetween(gap, settings, &mut |frame: &RgbFrame| {
        frames.push(frame.clone());
        Ok(())
    })
    .unwrap();
    frames
}

fn psnr(error: f64) -> f64 {
    10.0 * (255.0 * 255.0 / error).log10()
}

#[test]
fn a_moving_texture_is_carried_along_not_doubled() {
    let (from, to) = (texture(DIMS, 0.0), texture(DIMS, 12.0));
    let gap = Gap { before: None, from: &from, to: &to, frames: 3 };
    let carried = rife(&gap, &Value::Null);
    let mut doubled = Vec::new();
    Dissolve
        .inbetween(&gap, &Value::Null, &mut |frame: &RgbFrame| {
            doubled.push(frame.clone());
            Ok(())
        })
        .unwrap();
    for (i, (carried, doubled)) in carried.iter().zip(&doubled).enumerate() {
        let truth = texture(DIMS, 3.0 * (i + 1) as f64);
        let (ours, plain) = (psnr(middle_error(carried, &truth)), psnr(middle_error(doubled, &truth)));
        assert!(ours > 28.0 && ours > plain + 8.0, "in-between {i}: {ours:.1} dB, dissolve {plain:.1} dB");
    }
}

#[test]
fn a_gap_goes_on_at_the_speed_of_the_overlap() {
    // The overlap moves by 1 pixel a frame; the gap's mean is 2.
    let (before, from, to) = (texture(DIMS, 0.0), texture(DIMS, 1.0), texture(DIMS, 17.0));
    let gap = Gap { before: Some(&before), from: &from, to: &to, frames: 7 };
    let places: Vec<f64> = rife(&gap, &Value::Null).iter().map(|frame| shift_of(frame, 20.0)).collect();
    let mut last = 1.0;
    let steps: Vec<f64> =
        places.iter().chain([&17.0]).map(|place| place - std::mem::replace(&mut last, *place)).collect();
    assert!((steps[0] - 1.0).abs() < 0.6, "the first step jumps: {steps:?}");
    assert!(steps.iter().all(|step| *step > 0.3), "a step back: {steps:?}");
    let jumps: Vec<f64> = steps.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    assert!(jumps.iter().all(|jump| *jump < 0.9), "{steps:?}");

    // Without an overlap, and where the overlap stands still, time runs evenly.
    for before in [None, Some(&from)] {
        let frames = rife(&Gap { before, frames: 1, ..gap }, &Value::Null);
        assert!((shift_of(&frames[0], 20.0) - 9.0).abs() < 0.6);
    }
}

#[test]
fn a_set_easing_is_the_curve_whatever_the_overlap_does() {
    let (before, from, to) = (texture(DIMS, -8.0), texture(DIMS, 0.0), texture(DIMS, 12.0));
    let gap = Gap { before: Some(&before), from: &from, to: &to, frames: 1 };
    let frames = rife(&gap, &json!({"easing": "ease_in", "quality": "fast"}));
    assert!((shift_of(&frames[0], 14.0) - 3.0).abs() < 0.6);
}

#[test]
fn a_long_gap_of_slow_motion_has_no_jumps() {
    let (from, to) = (texture(DIMS, 0.0), texture(DIMS, 10.0));
    let frames = rife(&Gap { before: None, from: &from, to: &to, frames: 39 }, &json!({"quality": "fast"}));
    for (i, frame) in frames.iter().enumerate() {
        let place = shift_of(frame, 12.0);
        let wanted = (i + 1) as f64 / 4.0;
        assert!((place - wanted).abs() < 0.7, "frame {i} stands at {place}, not at {wanted}");
    }
}
