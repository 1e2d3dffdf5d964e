//! Films from edit lists: every frame in its place.

use crate::pattern::{
    DIMS, RATE, cosine, ffmpeg, film_of, lossless, natural, number, numbered, numbered_clip, plan, read, request,
    stitch, write,
};
use proptest::prelude::*;
use std::path::PathBuf;
use travel::crossfade::Step;
use travel::{Dims, Tone, Weight};
use travel_media::{Codec, Encode, MediaError, Preset, RgbFrame, Unwatched, probe};

/// Lengths, and overlaps that never reach into one another.
fn shapes() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    prop::collection::vec((1u32..14, 0u32..9), 1..5).prop_map(|segments| {
        let mut lengths: Vec<u32> = segments.iter().map(|s| s.0).collect();
        let overlaps: Vec<u32> = segments.iter().skip(1).map(|s| s.1).collect();
        for (i, o) in overlaps.iter().enumerate() {
            lengths[i] += o;
            lengths[i + 1] += o;
        }
        (lengths, overlaps)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_film_has_the_planned_frames_each_in_its_place((lengths, overlaps) in shapes()) {
        let dir = tempfile::tempdir().unwrap();
        let mut first = 0;
        let mut clips: Vec<(PathBuf, std::ops::Range<u32>)> = Vec::new();
        for (i, length) in lengths.iter().enumerate() {
            let path = dir.path().join(format!("{i}.mkv"));
            numbered_clip(&path, first..first + length);
            // Half of the clips as a generator delivers them: 4:2:0, tagged.
            let film = dir.path().join(format!("{i}.mp4"));
            if i % 2 == 1 {
                film_of(&path, *length, DIMS, &lossless(), &film);
            }
            clips.push((if i % 2 == 1 { film } else { path }, first..first + length));
            first += length;
        }
        let named: Vec<_> = clips.iter().map(|(path, numbers)| (path.as_path(), numbers.len() as u32)).collect();
        let (request, media) = request(&named, &overlaps, DIMS);
        let plan = plan(&request, cosine);
        let out = dir.path().join("film.mp4");
        let info = stitch(&plan, &request, &media, DIMS, &lossless()).film(&out, &Unwatched).unwrap();
        prop_assert_eq!(u64::from(info.frames), request.film_frames());
        let counted = probe(&out, &Unwatched).unwrap();
        prop_assert_eq!((counted.frames, counted.rate, counted.dims), (info.frames, RATE, DIMS));
        prop_assert!(counted.constant_rate);

        let source = |id: travel::MediumId, n: u32| numbered(clips[id.0 as usize].1.start + n);
        let mut expected: Vec<Vec<f32>> = Vec::new();
        for step in &plan.steps {
            match step {
                Step::Copy(copy) => for n in copy.at.frames() {
                    expected.push(source(copy.clip, n).data.iter().map(|v| f32::from(*v)).collect());
                },
                Step::Blend(b) => for i in 0..b.count {
                    let w = b.w.at(i, b.count);
                    let (l, r) = (source(b.left, b.left_start + i), source(b.right, b.right_start + i));
                    expected.push(l.data.iter().zip(&r.data).map(|(l, r)| f32::from(*l) * (1.0 - w) + f32::from(*r) * w).collect());
                },
            }
        }
        for (n, (frame, expected)) in read(&out).iter().zip(expected).enumerate() {
            let worst = frame.data.iter().zip(expected).map(|(a, b)| (f32::from(*a) - b).abs()).fold(0.0, f32::max);
            prop_assert!(worst <= 2.0, "frame {} is off by {}", n, worst);
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_with_every_codec() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a.mkv", "b.mkv"].map(|name| dir.path().join(name));
    numbered_clip(&a, 0..30);
    numbered_clip(&b, 30..60);
    let (request, media) = request(&[(&a, 30), (&b, 30)], &[8], DIMS);
    let plan = plan(&request, cosine);
    for (codec, ten_bit, name) in [
        (Codec::H264, false, "h264"),
        (Codec::H264, true, "h264"),
        (Codec::Hevc, false, "hevc"),
        (Codec::Hevc, true, "hevc"),
    ] {
        let encode = Encode { codec, ten_bit, preset: Preset::Fast, ..Encode::default() };
        let [x, y] = ["x.mp4", "y.mp4"].map(|out| {
            let out = dir.path().join(out);
            stitch(&plan, &request, &media, DIMS, &encode).film(&out, &Unwatched).unwrap();
            out
        });
        assert!(std::fs::read(&x).unwrap() == std::fs::read(&y).unwrap(), "{codec:?} {ten_bit}");
        let told = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-show_entries"])
            .arg("stream=codec_name,pix_fmt,color_range,color_space,color_transfer,color_primaries,r_frame_rate,start_pts")
            .arg(&x)
            .output()
            .unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let pixels = if ten_bit { "yuv420p10le" } else { "yuv420p" };
        for line in [
            format!("codec_name={name}"),
            format!("pix_fmt={pixels}"),
            "color_range=tv".into(),
            "color_space=bt709".into(),
            "color_transfer=bt709".into(),
            "color_primaries=bt709".into(),
            "r_frame_rate=16/1".into(),
            "start_pts=0".into(),
        ] {
            assert!(told.lines().any(|l| l == line), "{line} is not in\n{told}");
        }
        let bytes = std::fs::read(&x).unwrap();
        let find = |tag: &[u8]| bytes.windows(4).position(|w| w == tag).unwrap();
        assert!(find(b"moov") < find(b"mdat") && find(b"colr") < find(b"mdat"));
        assert_eq!(probe(&x, &Unwatched).unwrap().frames, 52);
    }
}

#[test]
fn foreign_clips_are_converted_once_and_keep_their_colours() {
    let dir = tempfile::tempdir().unwrap();
    let dims = Dims { width: 128, height: 64 };
    let [rgb, foreign, large, film] = ["rgb.mkv", "foreign.mp4", "large.mp4", "film.mp4"].map(|n| dir.path().join(n));
    let original = natural(dims);
    write(&rgb, RATE, vec![original.clone(); 10]);
    let exact = "flags=accurate_rnd+full_chroma_int+full_chroma_inp";
    ffmpeg(&format!("-i {{}} -vf scale={exact},format=yuv420p -c:v libx264 -crf 4 {{}}"), &[&rgb, &foreign]);
    ffmpeg(
        &format!("-i {{}} -vf scale=256:128:{exact},format=yuv444p,fps=32 -c:v libx264 -crf 4 {{}}"),
        &[&rgb, &large],
    );
    let (request, media) = request(&[(&rgb, 10), (&foreign, 10), (&large, 10)], &[4, 0], dims);
    let plan = plan(&request, cosine);
    stitch(&plan, &request, &media, dims, &lossless()).film(&film, &Unwatched).unwrap();
    let frames = read(&film);
    assert_eq!(frames.len(), 26);
    for (n, frame) in frames.iter().enumerate() {
        let (means, psnr) = crate::pattern::drift(&original, frame);
        assert!(means.iter().all(|m| m.abs() < 1.0) && psnr > 30.0, "frame {n}: {means:.2?} {psnr:.1}");
    }
}

#[test]
fn tones_change_the_film_and_sharpening_changes_only_edges() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, film] = ["a.mkv", "b.mkv", "film.mp4"].map(|name| dir.path().join(name));
    write(&a, RATE, vec![RgbFrame::filled(DIMS, [100; 3]); 10]);
    write(&b, RATE, vec![RgbFrame::filled(DIMS, [200; 3]); 10]);
    let (request, media) = request(&[(&a, 10), (&b, 10)], &[4], DIMS);
    let mut plan = plan(&request, |_| Weight::Constant(0.5));
    for step in &mut plan.steps {
        match step {
            Step::Copy(copy) if copy.clip.0 == 1 => {
                copy.tone = Some(Tone { gain: [0.5, 1.0, 1.0], offset: [0.0; 3], amount: Weight::Linear(1.0, 0.0) });
            }
            Step::Blend(blend) => blend.sharpen = Weight::Constant(1.0),
            Step::Copy(_) => {}
        }
    }
    stitch(&plan, &request, &media, DIMS, &lossless()).film(&film, &Unwatched).unwrap();
    let levels: Vec<u8> = read(&film).iter().map(|f| f.pixel(40, 20).unwrap()[1]).collect();
    assert!(levels[0].abs_diff(100) <= 1 && levels[6].abs_diff(150) <= 1, "{levels:?}");
    assert!(levels[10].abs_diff(100) <= 1 && levels[15].abs_diff(200) <= 1, "{levels:?}");
}

#[test]
fn a_full_disk_a_missing_clip_and_a_wrong_plan_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, full, film] = ["clip.mkv", "full.mp4", "film.mp4"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..40);
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let (mut request, media) = request(&[(&clip, 40)], &[], DIMS);
    let plan = plan(&request, cosine);
    let run = |request: &_, media: &_, out: &_| stitch(&plan, request, media, DIMS, &lossless()).film(out, &Unwatched);
    assert!(matches!(run(&request, &media, &full), Err(MediaError::DiskFull { .. })));
    assert!(matches!(run(&request, &Default::default(), &film), Err(MediaError::UnknownMedium { .. })));
    std::fs::remove_file(&clip).unwrap();
    assert!(matches!(run(&request, &media, &film), Err(MediaError::Missing { .. })));
    request.clips[0].frames = 39;
    assert!(matches!(run(&request, &media, &film), Err(MediaError::Plan(_))));
    assert!(!film.exists());
}

#[test]
fn a_film_can_be_cancelled_and_leaves_nothing() {
    struct AfterFive;
    impl travel_media::Watch for AfterFive {
        fn frame(&self, done: u64, total: u64) {
            assert!(done <= 5 && total == 40);
        }
        fn cancelled(&self) -> bool {
            CANCEL.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 4
        }
    }
    static CANCEL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..40);
    let (request, media) = request(&[(&clip, 40)], &[], DIMS);
    let plan = plan(&request, cosine);
    let error = stitch(&plan, &request, &media, DIMS, &lossless()).film(&film, &AfterFive).unwrap_err();
    assert!(matches!(error, MediaError::Cancelled { done: 5, total: 40 }), "{error:?}");
    assert!(!film.exists());
}

#[test]
fn numbers_are_read_back_from_a_lossy_film() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..100);
    film_of(&clip, 100, DIMS, &Encode::default(), &film);
    assert_eq!(read(&film).iter().map(number).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}
