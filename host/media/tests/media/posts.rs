//! The post pass, contact sheets, and the statistics of joins.

use crate::pattern::{DIMS, RATE, natural, numbered_clip, read, write};
use travel::Dims;
use travel_media::{
    Adjust, ClipSource, ColourMatch, LabStats, MediaError, RgbFrame, Unwatched, adjust_clip, contact_sheet, load_still,
    measure_joins,
};

#[test]
fn nothing_asked_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.mkv");
    assert_eq!(
        adjust_clip("none.mkv".as_ref(), &out, Adjust { saturation: Some(1.0), ..Adjust::default() }, &Unwatched)
            .unwrap(),
        None
    );
    assert!(!out.exists());
    assert!(
        adjust_clip("none.mkv".as_ref(), &out, Adjust { saturation: Some(f32::NAN), ..Adjust::default() }, &Unwatched)
            .is_err()
    );
}

#[test]
fn saturation_scales_colour_around_luma_and_brightness_scales_rgb() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, out] = ["clip.mkv", "out.mkv"].map(|name| dir.path().join(name));
    write(&clip, RATE, vec![RgbFrame::filled(DIMS, [200, 100, 50]); 5]);
    let run = |saturation, brightness| {
        let info = adjust_clip(&clip, &out, Adjust { saturation, brightness, ..Adjust::default() }, &Unwatched)
            .unwrap()
            .unwrap();
        assert!(info.frames == 5 && info.lossless_rgb);
        read(&out).remove(0).pixel(0, 0).unwrap()
    };
    assert_eq!(run(Some(0.0), 0.0), [118; 3]);
    assert_eq!(run(None, 0.1), [220, 110, 55]);
    assert_eq!(run(None, -0.5), [100, 50, 25]);
}

#[test]
fn colours_are_those_of_the_pictures_between_which_the_clip_leads() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, out] = ["clip.mkv", "out.mkv"].map(|name| dir.path().join(name));
    // A texture, lit and tinted in another way for each picture; the clip has drifted to blue.
    let lit = |[r, g, b]: [f32; 3]| {
        let level = |i: usize| 60.0 + ((i / 3 * 7919) % 83) as f32;
        let gain = [r, g, b];
        RgbFrame { dims: DIMS, data: (0..DIMS.pixels() as usize * 3).map(|i| (level(i) * gain[i % 3]) as u8).collect() }
    };
    let (first, last, drifted) = (lit([1.2, 1.0, 0.8]), lit([0.7, 1.1, 0.7]), lit([0.6, 0.7, 1.4]));
    write(&clip, RATE, vec![drifted.clone(); 9]);
    let stats = LabStats::of;
    let run = |from, strength| {
        let colours = Some(ColourMatch { from, to: stats(&last), strength, frames: 9, overlap: 0 });
        adjust_clip(&clip, &out, Adjust { colours, ..Adjust::default() }, &Unwatched).unwrap().unwrap();
        read(&out)
    };
    let near = |frame: &RgbFrame, want: LabStats, most: f32| {
        for (got, want) in stats(frame).mean.into_iter().zip(want.mean) {
            assert!((got - want).abs() < most, "{got} instead of {want}");
        }
    };
    let full = run(Some(stats(&first)), 1.0);
    near(&full[0], stats(&first), 0.5);
    near(&full[8], stats(&last), 0.5);
    let between = |a: f32, b: f32| (a + b) / 2.0;
    let (a, b) = (stats(&first).mean, stats(&last).mean);
    let middle = LabStats { mean: std::array::from_fn(|i| between(a[i], b[i])), ..stats(&first) };
    near(&full[4], middle, 0.5);
    let begun = run(None, 1.0);
    near(&begun[0], stats(&drifted), 0.3);
    near(&begun[8], stats(&last), 0.5);
    // What is shared with the clip before is as it was there.
    let shared = Some(ColourMatch { from: None, to: stats(&last), strength: 1.0, frames: 9, overlap: 4 });
    adjust_clip(&clip, &out, Adjust { colours: shared, ..Adjust::default() }, &Unwatched).unwrap().unwrap();
    let shared = read(&out);
    near(&shared[4], stats(&drifted), 0.3);
    near(&shared[8], stats(&last), 0.5);
    let half = run(Some(stats(&first)), 0.5);
    let c = stats(&drifted).mean;
    near(&half[0], LabStats { mean: std::array::from_fn(|i| between(a[i], c[i])), ..stats(&first) }, 0.6);
    let nothing = ColourMatch { from: None, to: stats(&last), strength: 0.0, frames: 9, overlap: 0 };
    let adjust = |colours| Adjust { colours: Some(colours), ..Adjust::default() };
    assert_eq!(adjust_clip(&clip, &out, adjust(nothing), &Unwatched).unwrap(), None);
    assert!(adjust_clip(&clip, &out, adjust(ColourMatch { strength: 1.5, ..nothing }), &Unwatched).is_err());
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
    let psnr = &joins[0].psnr;
    assert!(psnr.len() == 6 && psnr[0] > 40.0 && (3.0..25.0).contains(&psnr[5]), "{psnr:?}");
    let join = &joins[0].join;
    assert_eq!((join.overlap, join.left.len(), join.right.len(), join.likeness.len()), (6, 6, 6, 6));
    assert!(join.likeness[0] > 0.999 && join.likeness[5] < 0.6, "{:?}", join.likeness);
    let white = join.right[5];
    assert!((white.mean[0] - 1.0).abs() < 1e-3 && (white.mean[1] - 0.5).abs() < 1e-3 && white.deviation[0] < 1e-3);
    assert!(join.left[0].deviation[0] > 0.02);
    let cut = measure_joins(&clips, &[0], DIMS, RATE, &Unwatched).unwrap();
    assert_eq!((cut[0].join.left.len(), cut[0].join.right.len()), (1, 1));
    assert!(measure_joins(&clips, &[], DIMS, RATE, &Unwatched).is_err());
    assert!(measure_joins(&clips, &[11], DIMS, RATE, &Unwatched).is_err());
    numbered_clip(&clips[0].path, 0..2);
}
