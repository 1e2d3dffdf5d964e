//! How clips are joined, looked at in films that lose nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use std::path::Path;
use std::process::Command;
use support::{Desk, count, frames, quick};
use travel_engine::media::RgbFrame;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// Y′ of every frame as it is stored.
fn luma(film: &Path) -> Vec<Vec<f64>> {
    let raw = Command::new("ffmpeg")
        .args(["-v", "error", "-i", film.to_str().unwrap(), "-vf", "extractplanes=y", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(raw.status.success(), "{}", String::from_utf8_lossy(&raw.stderr));
    raw.stdout.chunks_exact(WIDTH * HEIGHT).map(|frame| frame.iter().map(|y| f64::from(*y)).collect()).collect()
}

/// Y′ of a picture as a film stores it: BT.709 limited, rounded.
fn luma_of(frame: &RgbFrame) -> Vec<f64> {
    let y = |p: &[u8]| 0.2126 * f64::from(p[0]) + 0.7152 * f64::from(p[1]) + 0.0722 * f64::from(p[2]);
    frame.data.chunks_exact(3).map(|p| (16.0 + 219.0 * y(p) / 255.0).round()).collect()
}

/// A Gaussian of σ = 3, mirrored at the edges without repeating them, as OpenCV does.
fn blurred(plane: &[f64]) -> Vec<f64> {
    let kernel: Vec<f64> = (-12i64..=12).map(|x| (-((x * x) as f64) / 18.0).exp()).collect();
    let sum: f64 = kernel.iter().sum();
    let mirror = |at: i64, side: usize| {
        let last = side as i64 - 1;
        (if at < 0 {
            -at
        } else if at > last {
            2 * last - at
        } else {
            at
        }) as usize
    };
    let pass = |plane: &[f64], across: bool| -> Vec<f64> {
        let value = |x: usize, y: usize| -> f64 {
            let taps = kernel.iter().zip(-12i64..=12).map(|(k, d)| {
                let (x, y) = match across {
                    true => (mirror(x as i64 + d, WIDTH), y),
                    false => (x, mirror(y as i64 + d, HEIGHT)),
                };
                k * plane[y * WIDTH + x]
            });
            taps.sum::<f64>() / sum
        };
        (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect()
    };
    pass(&pass(plane, true), false)
}

/// Clips of a run in film order, decoded.
fn clips(desk: &Desk, run: &str) -> Vec<Vec<RgbFrame>> {
    let takes = desk.json(&["runs", "takes", run]);
    let of = |segment: &serde_json::Value| {
        let hash = segment["takes"][0]["made"][0]["hash"].as_str().unwrap();
        frames(&desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..]))
    };
    takes["segments"].as_array().unwrap().iter().map(of).collect()
}

/// out = (1 + s·a)·base − s·a·Gaussian(base, σ = 3), base = (1 − a)·A + a·B, a = (1 − cos πt) / 2, t = (i + 1) / n, s = 0.3.
#[test]
fn the_original_cross_fade_is_reproduced_within_a_level() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let (new, overlap) = (20usize, 8usize);
    let flags = ["--segment-frames", "20", "--frame-overlap", "8", "--crf", "0", "--param", "crossfade.curve=original"];
    let flags = [&["-o", "film.mp4", "--name", "trip", "--param", "orchestrate.chain=false"][..], &flags].concat();
    desk.ok(&quick("render", &pictures, &flags));
    let film = luma(&desk.path("film.mp4"));
    let clips = clips(&desk, "trip");
    let mut worst = 0.0f64;
    for i in 0..overlap {
        let t = (i + 1) as f64 / overlap as f64;
        let a = (1.0 - (std::f64::consts::PI * t).cos()) / 2.0;
        let (left, right) = (luma_of(&clips[0][new - overlap + i]), luma_of(&clips[1][i]));
        let base: Vec<f64> = left.iter().zip(&right).map(|(l, r)| (1.0 - a) * l + a * r).collect();
        let sharp = 0.3 * a;
        for ((base, blur), got) in base.iter().zip(blurred(&base)).zip(&film[new - overlap + i]) {
            let want = ((1.0 + sharp) * base - sharp * blur).clamp(16.0, 235.0);
            worst = worst.max((want - got).abs());
        }
    }
    assert!(worst <= 1.0, "{worst} levels off");
}

#[test]
fn every_way_to_join_has_the_same_length_and_leaves_alone_what_is_not_shared() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let render = |name: &str, params: &[&str]| {
        let film = format!("{name}.mp4");
        let params: Vec<&str> = params.iter().flat_map(|param| ["--param", param]).collect();
        let flags = ["-o", &film, "--name", name, "--crf", "0", "--frame-overlap", "6", "--segment-frames", "12"];
        desk.ok(&quick("render", &pictures, &[&flags[..], &params].concat()));
        let path = desk.path(&film);
        assert_eq!(count(&path), 24, "{name}");
        luma(&path)
    };
    let chain = "orchestrate.chain=false";
    let off = "crossfade.colour_match=off";
    let plain = render("plain", &[chain, off]);
    let of = |how: &str| render(&how.replace('=', "-"), &[chain, off, &format!("crossfade.{how}")]);
    let differs = |film: &[Vec<f64>]| -> Vec<usize> { (0..24).filter(|i| film[*i] != plain[*i]).collect() };
    let mut cut = Vec::new();
    let mut told = Vec::new();
    for how in
        ["curve=linear", "curve=sharp", "mixing=linear-light", "mixing=aligned", "fade_frames=2", "fade_frames=0"]
    {
        cut = of(how);
        let run = desk.json(&["runs", "show", &how.replace('=', "-")]);
        told.push(run["output"]["seams"][0]["transition"].as_str().unwrap().to_owned());
        let changed = differs(&cut);
        assert!(!changed.is_empty() && changed.iter().all(|i| (6..12).contains(i)), "{how} changes frames {changed:?}");
    }
    let plain = "cross-fade of 6 frames";
    let [light, aligned] = [" in linear light", ", aligned by motion"].map(|how| format!("{plain}{how}"));
    assert_eq!(told, [plain, plain, &light, &aligned, "cross-fade of 2 frames", "cut"]);
    // The last of them, a cut, has frames of its two sides and no others.
    let clips = clips(&desk, "plain");
    for i in 6..12 {
        let is = |side: &RgbFrame| luma_of(side).iter().zip(&cut[i]).all(|(a, b)| (a - b).abs() <= 1.0);
        assert!(is(&clips[0][i]) || is(&clips[1][i - 6]), "frame {i} is of neither side");
    }
}
