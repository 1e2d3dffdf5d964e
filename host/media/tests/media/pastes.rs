//! Known frames put back.

use crate::pattern::{DIMS, RATE, read, write};
use travel::{Dims, Span};
use travel_media::{Adjust, MediaError, Paste, RgbFrame, Unwatched, adjust_clip};

fn pasted(clip: &[u8], guide: &[u8], keep: &[Span], brightness: f32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let [clip_path, guide_path, out] = ["clip.mkv", "guide.mkv", "out.mkv"].map(|name| dir.path().join(name));
    for (path, levels) in [(&clip_path, clip), (&guide_path, guide)] {
        write(path, RATE, levels.iter().map(|level| RgbFrame::filled(DIMS, [*level; 3])));
    }
    let paste = Paste { guide: &guide_path, keep };
    let info =
        adjust_clip(&clip_path, &out, Adjust { paste: Some(paste), brightness, ..Adjust::default() }, &Unwatched)
            .unwrap()
            .unwrap();
    assert!(info.lossless_rgb && info.rate == RATE);
    read(&out).iter().map(|frame| frame.pixel(3, 5).unwrap()[0]).collect()
}

#[test]
fn known_frames_are_the_guides_and_the_correction_fades_out_on_either_side() {
    let keep = [Span::new(0, 2), Span::new(11, 1)];
    let guide = [10, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200];
    let clip = [90, 60, 100, 100, 100, 100, 100, 100, 100, 100, 100, 160];
    assert_eq!(
        pasted(&clip, &guide, &keep, 0.0),
        [10, 20, 70, 80, 90, 100, 100, 100, 110, 120, 130, 200],
        "−40 fades after frame 1, +40 before frame 11; neither touches a known frame"
    );
}

#[test]
fn corrections_from_both_sides_of_a_short_gap_add_up_and_exact_frames_change_nothing() {
    let keep = [Span::new(0, 1), Span::new(2, 1), Span::new(4, 1)];
    assert_eq!(pasted(&[0, 100, 0, 100, 0], &[40, 9, 80, 9, 0], &keep, 0.0), [40, 190, 80, 160, 0]);
    assert_eq!(pasted(&[7, 100, 3], &[7, 0, 3], &[Span::new(0, 1), Span::new(2, 1)], 0.0), [7, 100, 3]);
}

#[test]
fn one_pass_puts_back_and_brightens() {
    assert_eq!(pasted(&[50, 50, 50, 50, 50], &[100; 5], &[Span::new(0, 1)], 0.1)[0], 110);
}

#[test]
fn a_guide_of_another_size_or_too_short_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, large, short, out] = ["clip.mkv", "large.mkv", "short.mkv", "o.mkv"].map(|name| dir.path().join(name));
    write(&clip, RATE, vec![RgbFrame::filled(DIMS, [9; 3]); 5]);
    write(&large, RATE, vec![RgbFrame::filled(Dims { width: 160, height: 96 }, [9; 3]); 5]);
    write(&short, RATE, vec![RgbFrame::filled(DIMS, [9; 3]); 3]);
    for guide in [&large, &short] {
        let paste = Paste { guide, keep: &[Span::new(4, 1)] };
        let refused =
            adjust_clip(&clip, &out, Adjust { paste: Some(paste), ..Adjust::default() }, &Unwatched).unwrap_err();
        assert!(matches!(refused, MediaError::Mismatch(_) | MediaError::PastTheEnd { .. }), "{refused}");
        assert!(!out.exists());
    }
}
