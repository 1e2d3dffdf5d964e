//! What is written as an intermediate comes back, byte for byte.

use crate::pattern::{DIMS, RATE, natural, numbered_clip};
use travel::Dims;
use travel_media::{Intermediate, MediaError, RgbFrame, RgbReader, RgbWriter, Unwatched, encode_png, probe, save_png};

#[test]
fn greys_and_colours_survive_both_intermediates_exactly_at_odd_sizes_too() {
    let dir = tempfile::tempdir().unwrap();
    for (how, dims) in [
        (Intermediate::X264Rgb, Dims { width: 96, height: 64 }),
        (Intermediate::Ffv1, Dims { width: 96, height: 64 }),
        (Intermediate::X264Rgb, Dims { width: 97, height: 63 }),
        (Intermediate::Ffv1, Dims { width: 97, height: 63 }),
    ] {
        let path = dir.path().join("clip.mkv");
        let mut frames: Vec<_> = [0, 1, 127, 128, 254, 255].map(|v| RgbFrame::filled(dims, [v; 3])).into();
        frames.extend([natural(dims), RgbFrame::filled(dims, [255, 0, 1])]);
        let mut writer = RgbWriter::create(&path, dims, RATE, how).unwrap();
        frames.iter().for_each(|frame| writer.write(frame).unwrap());
        let written = writer.finish().unwrap();
        assert_eq!(probe(&path, &Unwatched).unwrap(), written, "{how:?}");
        assert!(written.lossless_rgb && written.constant_rate && written.frames == 8);
        let read: Vec<_> = RgbReader::open(&path).unwrap().map(Result::unwrap).collect();
        assert!(read == frames, "{how:?} {dims}");
    }
}

#[test]
fn the_same_frames_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ["a.mkv", "b.mkv"].map(|name| dir.path().join(name));
    numbered_clip(&a, 0..30);
    numbered_clip(&b, 0..30);
    assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap());
}

#[test]
fn a_writer_that_is_dropped_leaves_no_file_and_a_wrong_frame_is_refused_with_both_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mkv");
    let mut writer = RgbWriter::create(&path, DIMS, RATE, Intermediate::X264Rgb).unwrap();
    let error = writer.write(&RgbFrame::filled(Dims { width: 16, height: 16 }, [0; 3])).unwrap_err();
    assert!(error.to_string().contains("16x16") && error.to_string().contains("80x48"), "{error}");
    drop(writer);
    assert!(!path.exists());
}

#[test]
fn a_full_disk_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("full.mkv");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let writing = || -> Result<(), MediaError> {
        let mut writer = RgbWriter::create(&path, DIMS, RATE, Intermediate::Ffv1)?;
        (0..40).try_for_each(|_| writer.write(&natural(DIMS)))?;
        writer.finish().map(drop)
    };
    let error = writing().unwrap_err();
    assert!(matches!(error, MediaError::DiskFull { .. }) && error.is_retryable(), "{error:?}");
    let error = save_png(&natural(DIMS), &path).unwrap_err();
    assert!(matches!(error, MediaError::DiskFull { .. }), "{error:?}");
}

#[test]
fn a_folder_that_is_missing_is_no_full_disk() {
    let error = RgbWriter::create("/nowhere/clip.mkv".as_ref(), DIMS, RATE, Intermediate::X264Rgb).err().unwrap();
    assert!(matches!(error, MediaError::Unwritable { .. }), "{error:?}");
}

#[test]
fn a_frame_with_too_few_bytes_is_no_png() {
    assert!(encode_png(&RgbFrame { dims: DIMS, data: vec![0; 5] }).is_err());
}
