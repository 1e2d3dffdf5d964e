//! What is heard under a film.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use std::path::Path;
use std::process::Command;
use support::{Desk, count, quick};

fn ffmpeg(desk: &Desk, line: &str) {
    let done = Command::new("ffmpeg")
        .current_dir(desk.dir.path())
        .args(["-v", "error", "-y"])
        .args(line.split(' '))
        .status()
        .unwrap();
    assert!(done.success(), "{line}");
}

/// A film's sound, left channel, 48 kHz; nothing when it has none.
fn sound(film: &Path) -> Vec<f32> {
    let mut args = vec!["-v", "error", "-i", film.to_str().unwrap(), "-map", "0:a?", "-af", "pan=mono|c0=c0"];
    args.extend(["-ar", "48000", "-f", "f32le", "-"]);
    let raw = Command::new("ffmpeg").args(args).output().unwrap();
    raw.stdout.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// How loud a tone is over a part of a sound, 0 to 1 (Goertzel).
fn tone(sound: &[f32], hertz: f64, from: f64, to: f64) -> f64 {
    let part = &sound[(from * 48000.0) as usize..(to * 48000.0) as usize];
    let step = 2.0 * std::f64::consts::PI * hertz / 48000.0;
    let (sin, cos) = part.iter().enumerate().fold((0.0, 0.0), |(sin, cos), (i, v)| {
        let at = step * i as f64;
        (sin + f64::from(*v) * at.sin(), cos + f64::from(*v) * at.cos())
    });
    2.0 * (sin * sin + cos * cos).sqrt() / part.len() as f64
}

#[test]
fn a_track_lies_under_the_whole_film_and_fades_where_the_film_ends() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    ffmpeg(&desk, "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=9 -af volume=4 -ac 2 track.flac");
    let flags = ["-o", "film.mp4", "--fps", "16", "--segment-frames", "32", "--audio", "track.flac"];
    desk.ok(&quick("render", &pictures, &flags));
    let film = desk.path("film.mp4");
    assert_eq!(count(&film), 64);
    let heard = sound(&film);
    assert!((heard.len() as f64 / 48000.0 - 4.0).abs() < 0.03, "{} samples", heard.len());
    let loud = tone(&heard, 440.0, 0.2, 2.8);
    // The half of full scale, as each of two channels has it of one.
    assert!((loud - 0.5 / 2.0f64.sqrt()).abs() < 0.03, "{loud}");
    assert!((tone(&heard, 440.0, 3.4, 3.6) / loud - 0.5).abs() < 0.12);
    assert!(tone(&heard, 440.0, 3.95, 4.0) < 0.05 * loud);
    // The picture is the one of the film without sound.
    desk.ok(&quick("render", &pictures, &["-o", "mute.mp4", "--fps", "16", "--segment-frames", "32"]));
    assert_eq!(support::frames(&film), support::frames(&desk.path("mute.mp4")));
    assert!(sound(&desk.path("mute.mp4")).is_empty());
    desk.ok(&["render", "--from-manifest", "film.manifest.json", "-o", "again.mp4", "--db", "another.db"]);
    assert_eq!(std::fs::read(desk.path("again.mp4")).unwrap(), std::fs::read(&film).unwrap());
}

#[test]
fn a_continued_video_is_heard_up_to_its_join_and_a_track_under_both() {
    let desk = Desk::new();
    let pictures = desk.pictures(1);
    let size = "testsrc2=size=96x64:rate=16:duration=3";
    ffmpeg(
        &desk,
        &format!(
            "-f lavfi -i {size} -f lavfi -i sine=frequency=1000:duration=3 -af volume=4 -c:v libx264 -c:a aac shot.mp4"
        ),
    );
    ffmpeg(&desk, "-f lavfi -i sine=frequency=250:duration=2 -af volume=4 short.wav");
    let flags = ["--continue-from-video", "shot.mp4", "--fps", "16", "--segment-frames", "32", "--frame-overlap", "8"];
    let render = |film: &str, more: &[&str]| {
        desk.ok(&quick("render", &pictures, &[&flags[..], &["-o", film], more].concat()));
        let path = desk.path(film);
        assert_eq!(count(&path), 80);
        sound(&path)
    };
    let own = render("own.mp4", &[]);
    assert!((own.len() as f64 / 48000.0 - 5.0).abs() < 0.03, "{}", own.len());
    let loud = tone(&own, 1000.0, 0.2, 2.3);
    assert!(loud > 0.3, "{loud}");
    assert!((tone(&own, 1000.0, 2.7, 2.8) / loud - 0.5).abs() < 0.15, "half-way through its fade");
    assert!(tone(&own, 1000.0, 3.05, 4.9) < 0.01 * loud, "silent after the join");

    let both = render("both.mp4", &["--audio", "short.wav"]);
    assert!(tone(&both, 1000.0, 0.2, 1.8) > 0.25 && tone(&both, 250.0, 0.2, 1.8) > 0.25);
    assert!(tone(&both, 250.0, 2.1, 4.9) < 0.01, "the track has ended");
    assert!(both.iter().all(|v| v.abs() < 1.0));
    assert!(render("mute.mp4", &["--mute-video"]).is_empty());
}

#[test]
fn what_has_no_sound_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let text =
        desk.refused(&quick("render", &pictures, &["-o", "film.mp4", "--audio", "gone.wav"]), 2, "media_missing");
    assert!(text.contains("gone.wav"), "{text}");
    ffmpeg(&desk, "-f lavfi -i testsrc2=size=96x64:rate=16:duration=1 silent.mp4");
    desk.refused(&quick("render", &pictures, &["-o", "film.mp4", "--audio", "silent.mp4"]), 2, "media_no_sound");
    std::fs::write(desk.path("list.m3u8"), "#EXTM3U\nfile:///etc/passwd\n").unwrap();
    desk.refused(&quick("render", &pictures, &["-o", "film.mp4", "--audio", "list.m3u8"]), 2, "media_unreadable");
    ffmpeg(&desk, "-f lavfi -i sine=frequency=250:duration=1 short.wav");
    let plan = desk.ok(&quick("plan", &pictures, &["--audio", "short.wav"]));
    assert!(plan.contains("its end is silent"), "{plan}");
    assert!(!desk.names().iter().any(|name| name.ends_with(".db")));
}
