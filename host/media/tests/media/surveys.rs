//! A clip beside its guide.

use crate::pattern::{DIMS, RATE, write};
use travel::{Dims, Span};
use travel_media::{Known, RgbFrame, Survey, Unwatched, probe, survey};

fn surveyed(clip: Vec<RgbFrame>, guide: Vec<RgbFrame>, keep: &[Span]) -> Survey {
    let dir = tempfile::tempdir().unwrap();
    let [clip_path, guide_path] = ["clip.mkv", "guide.mkv"].map(|name| dir.path().join(name));
    write(&clip_path, RATE, clip);
    write(&guide_path, RATE, guide);
    let survey = survey(&clip_path, &guide_path, keep, &Unwatched).unwrap();
    assert_eq!(survey.info, probe(&clip_path, &Unwatched).unwrap());
    survey
}

fn grey(levels: impl IntoIterator<Item = u8>) -> Vec<RgbFrame> {
    levels.into_iter().map(|level| RgbFrame::filled(DIMS, [level; 3])).collect()
}

#[test]
fn brightness_motion_and_what_became_of_known_frames_are_measured() {
    let keep = [Span::new(0, 2), Span::new(59, 1)];
    let mut guide = vec![127; 60];
    (guide[0], guide[1], guide[59]) = (10, 20, 90);
    let mut clip = vec![50; 60];
    (clip[0], clip[1], clip[59]) = (12, 20, 80);
    let got = surveyed(grey(clip), grey(guide), &keep);
    assert!((got.brightest - 80.0).abs() < 1e-6 && (got.farthest - 68.0).abs() < 1e-6, "{got:?}");
    let known = got.known.unwrap();
    assert_eq!((known.frames, known.apart, known.off, known.off_most), (3, 80.0, 4.0, 10.0), "{known:?}");
    assert!((known.brightest - 90.0).abs() < 1e-6);
}

#[test]
fn a_frozen_clip_has_no_farthest_frame_and_luma_weighs_the_channels() {
    let got = surveyed(vec![RgbFrame::filled(DIMS, [0, 255, 0]); 5], grey([0; 5]), &[]);
    assert!((got.brightest - 0.7152 * 255.0).abs() < 1e-6, "{got:?}");
    assert_eq!((got.farthest, got.known), (0.0, None));
}

#[test]
fn frames_beyond_a_guide_or_of_another_size_are_held_against_nothing() {
    let one = Known { frames: 1, brightest: 0.0, apart: 0.0, off: 0.0, off_most: 0.0 };
    let keep = [Span::new(0, 1), Span::new(4, 1)];
    assert_eq!(surveyed(grey([0; 4]), grey([0; 5]), &keep).known, Some(one), "the clip is too short");
    let large = RgbFrame::filled(Dims { width: 160, height: 96 }, [0; 3]);
    assert_eq!(surveyed(grey([0; 5]), vec![large; 5], &keep).known, None);
}
