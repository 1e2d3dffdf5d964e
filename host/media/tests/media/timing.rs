//! Frames by number: exact seeks, variable rates, turned clips.

use crate::pattern::{DIMS, RATE, ffmpeg, film_of, natural, number, numbered_clip, read, write};
use travel::{Dims, Rate};
use travel_media::{Encode, MediaError, RgbReader, Unwatched, load_still, probe, probe_at};

#[test]
fn a_seek_lands_on_the_very_frame_in_films_and_in_intermediates() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..400);
    film_of(&clip, 400, DIMS, &Encode::default(), &film);
    for path in [&clip, &film] {
        for at_rate in [false, true] {
            let mut reader = if at_rate { RgbReader::open_at(path, RATE) } else { RgbReader::open(path) }.unwrap();
            for n in [399, 0, 250, 249, 251, 3, 300, 388, 120, 121, 60, 1] {
                reader.seek_to_frame(n).unwrap();
                assert_eq!(reader.position(), n);
                assert_eq!(number(&reader.next().unwrap().unwrap()), n, "{} {at_rate}", path.display());
            }
            assert!(matches!(reader.seek_to_frame(401), Err(MediaError::PastTheEnd { frames: 400, .. })));
        }
    }
}

#[test]
fn a_variable_clip_is_told_apart_and_sampled_by_the_nearest_time() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, vfr] = ["clip.mkv", "vfr.mp4"].map(|name| dir.path().join(name));
    write(&clip, Rate { num: 10, den: 1 }, (0..20).map(crate::pattern::numbered));
    let stretch = "setpts=if(lt(N\\,10)\\,N*0.1\\,1+(N-10)*0.2)/TB";
    ffmpeg(
        &format!("-i {{}} -vf {stretch},format=yuv420p -vsync vfr -video_track_timescale 1000 {{}}"),
        &[&clip, &vfr],
    );
    assert!(!probe(&vfr, &Unwatched).unwrap().constant_rate);
    let rate = Rate { num: 10, den: 1 };
    let numbers: Vec<u32> = RgbReader::open_at(&vfr, rate).unwrap().map(|f| number(&f.unwrap())).collect();
    let expected: Vec<u32> = (0..numbers.len() as u32).map(|n| if n < 10 { n } else { 10 + (n - 10) / 2 }).collect();
    assert_eq!(numbers, expected);
    assert!((29..=30).contains(&numbers.len()), "{}", numbers.len());
    assert_eq!(probe_at(&vfr, rate, &Unwatched).unwrap().frames as usize, numbers.len());
}

#[test]
fn a_clip_at_another_rate_keeps_its_duration() {
    let dir = tempfile::tempdir().unwrap();
    let clip = dir.path().join("clip.mkv");
    numbered_clip(&clip, 0..32);
    let at = |num, den| probe_at(&clip, Rate { num, den }, &Unwatched).unwrap().frames;
    assert_eq!((at(16, 1), at(24, 1), at(8, 1), at(30000, 1001)), (32, 48, 16, 60));
}

#[test]
fn ntsc_rates_come_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    let rate = Rate { num: 24000, den: 1001 };
    write(&clip, rate, (0..50).map(crate::pattern::numbered));
    ffmpeg("-i {} -pix_fmt yuv420p {}", &[&clip, &film]);
    for path in [&clip, &film] {
        let info = probe(path, &Unwatched).unwrap();
        assert_eq!((info.rate, info.frames, info.constant_rate), (rate, 50, true));
    }
}

#[test]
fn a_turned_clip_is_shown_as_players_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film, turned, shown] =
        ["clip.mkv", "film.mp4", "turned.mp4", "shown.png"].map(|name| dir.path().join(name));
    let dims = Dims { width: 128, height: 64 };
    write(&clip, RATE, [natural(dims)]);
    film_of(&clip, 1, dims, &Encode::default(), &film);
    for degrees in ["90", "180", "270"] {
        ffmpeg(&format!("-i {{}} -c copy -metadata:s:v rotate={degrees} {{}}"), &[&film, &turned]);
        let sws = "-sws_flags accurate_rnd+full_chroma_int+full_chroma_inp";
        ffmpeg(&format!("-i {{}} {sws} -frames:v 1 {{}}"), &[&turned, &shown]);
        let (ours, theirs) = (read(&turned).remove(0), load_still(&shown).unwrap());
        let (_, psnr) = crate::pattern::drift(&theirs, &ours);
        assert!(psnr > 30.0, "{degrees}: {psnr}");
    }
}

#[test]
fn pixels_that_are_not_square_are_made_square() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, wide] = ["clip.mkv", "wide.mp4"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..3);
    ffmpeg("-i {} -vf setsar=2/1,format=yuv420p {}", &[&clip, &wide]);
    assert_eq!(probe(&wide, &Unwatched).unwrap().dims, Dims { width: 160, height: 48 });
    assert_eq!(read(&wide).remove(0).dims, Dims { width: 160, height: 48 });
}

#[test]
fn ten_bit_and_untagged_clips_are_read_by_their_own_matrix() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, out] = ["clip.mkv", "out.mp4"].map(|name| dir.path().join(name));
    let dims = Dims { width: 128, height: 64 };
    let original = natural(dims);
    write(&clip, RATE, vec![original.clone(); 3]);
    let exact = ":flags=accurate_rnd+full_chroma_int+full_chroma_inp";
    for (matrix, tags, format) in [
        ("bt709", "-colorspace bt709 -color_range tv", "yuv420p"),
        ("bt709", "-colorspace bt709 -color_range tv", "yuv420p10le"),
        ("bt709", "-colorspace bt709 -color_range tv", "yuv444p"),
        ("bt601", "-colorspace unknown", "yuv420p"),
        ("bt601", "-colorspace unknown", "yuvj420p"),
    ] {
        let line = format!(
            "-i {{}} -vf scale=out_color_matrix={matrix}{exact},format={format} -c:v libx264 -crf 4 {tags} {{}}"
        );
        ffmpeg(&line, &[&clip, &out]);
        let (means, psnr) = crate::pattern::drift(&original, &read(&out)[1]);
        assert!(means.iter().all(|m| m.abs() < 0.8) && psnr > 38.0, "{matrix} {format}: {means:.2?} {psnr:.1}");
    }
}
