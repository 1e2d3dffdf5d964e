//! The post pass, contact sheets, and the statistics of joins.

use crate::pattern::{DIMS, RATE, natural, numbered_clip, read, write};
use travel::Dims;
use travel_media::{
    ClipSource, MediaError, RgbFrame, Unwatched, adjust_clip, contact_sheet, load_still, measure_joins,
};

#[test]
fn nothing_asked_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mkv");
    assert_eq!(adjust_clip("none.mkv".as_ref(), &out, None, Some(1.0), 0.0, &Unwatched).unwrap(), None);
    assert!(!out.exists());
    assert!(adjust_clip("none.mkv".as_ref(), &out, None, Some(f32::NAN), 0.0, &Unwatched).is_err());
}

#[test]
fn saturation_scales_colour_around_luma_and_brightness_scales_rgb() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, out] = ["clip.mkv", "out.mkv"].map(|name| dir.path().join(name));
    write(&clip, RATE, vec![RgbFrame::filled(DIMS, [200, 100, 50]); 5]);
    let run = |saturation, brightness| {
        let info = adjust_clip(&clip, &out, None, saturation, brightness, &Unwatched).unwrap().unwrap();
        assert!(info.frames == 5 && info.lossless_rgb);
        read(&out).remove(0).pixel(0, 0).unwrap()
    };
    assert_eq!(run(Some(0.0), 0.0), [118; 3]);
    assert_eq!(run(None, 0.1), [220, 110, 55]);
    assert_eq!(run(None, -0.5), [100, 50, 25]);
}

#[test]
fn a_sheet_shows_the_first_and_the_last_frame_and_those_between() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, sheet] = ["clip.mkv", "sheet.png"].map(|name| dir.path().join(name));
    write(&clip, RATE, (0..26).map(|n| RgbFrame::filled(DIMS, [n * 10; 3])));
    contact_sheet(&clip, 3, 2, 40, &sheet, &Unwatched).unwrap();
    let picture = load_still(&sheet).unwrap();
    assert_eq!(picture.dims, Dims { width: 3 * 44 + 4, height: 2 * 28 + 4 });
    let tile = |c: u32, r: u32| picture.pixel(4 + c * 44 + 20, 4 + r * 28 + 12).unwrap()[0];
    assert_eq!([tile(0, 0), tile(1, 0), tile(2, 0), tile(0, 1), tile(1, 1), tile(2, 1)], [0, 50, 100, 150, 200, 250]);
    assert!(matches!(contact_sheet(&clip, 0, 2, 40, &sheet, &Unwatched), Err(MediaError::UnusableSize { .. })));
}

#[test]
fn joins_are_measured_in_the_normalised_planes() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a.mkv", "b.mkv"].map(|name| dir.path().join(name));
    write(&a, RATE, (0..20).map(|_| natural(DIMS)));
    let other = RgbFrame::filled(DIMS, [255; 3]);
    write(&b, RATE, (0..10).map(|i| if i < 4 { natural(DIMS) } else { other.clone() }));
    let clips = [(a, 20), (b, 10)].map(|(path, frames)| ClipSource { path, frames });
    let joins = measure_joins(&clips, &[6], DIMS, RATE, &Unwatched).unwrap();
    let join = &joins[0];
    assert_eq!((join.overlap, join.left.len(), join.right.len(), join.likeness.len()), (6, 6, 6, 6));
    assert!(join.likeness[0] > 0.999 && join.likeness[5] < 0.6, "{:?}", join.likeness);
    let white = join.right[5];
    assert!((white.mean[0] - 1.0).abs() < 1e-3 && (white.mean[1] - 0.5).abs() < 1e-3 && white.deviation[0] < 1e-3);
    assert!(join.left[0].deviation[0] > 0.02);
    let cut = measure_joins(&clips, &[0], DIMS, RATE, &Unwatched).unwrap();
    assert_eq!((cut[0].left.len(), cut[0].right.len()), (1, 1));
    assert!(measure_joins(&clips, &[], DIMS, RATE, &Unwatched).is_err());
    assert!(measure_joins(&clips, &[11], DIMS, RATE, &Unwatched).is_err());
    numbered_clip(&clips[0].path, 0..2);
}
