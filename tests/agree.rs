//! For any request: what `plan` prints, what is stored with the run, the clips on disk and the film agree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use support::{Desk, count, difference, frames};
use travel_engine::media::RgbFrame;

/// One random film.
#[derive(Debug, Clone)]
struct Wish {
    images: usize,
    frames: Vec<u32>,
    overlaps: Vec<u32>,
    continued: bool,
    chain: bool,
    parts: bool,
    fade_frames: Option<u32>,
}

fn wish() -> impl Strategy<Value = Wish> {
    let lists = (prop::collection::vec(1u32..9, 1..5), prop::collection::vec(0u32..5, 1..5));
    let more = (any::<bool>(), any::<bool>(), any::<bool>(), prop::option::of(0u32..4));
    (1usize..5, lists, more).prop_map(|(images, (frames, overlaps), (continued, chain, parts, fade_frames))| Wish {
        images,
        frames,
        overlaps,
        continued,
        chain,
        parts,
        fade_frames,
    })
}

impl Wish {
    fn flags(&self) -> Vec<String> {
        let list = |values: &[u32]| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let legs = if self.continued { self.images } else { self.images.saturating_sub(1) }.max(1);
        // Lists of one or of one a leg; others are refused, which is looked at elsewhere.
        let fit = |values: &[u32], n: usize| match values.len() {
            1 => values.to_vec(),
            _ => values.iter().copied().cycle().take(n.max(1)).collect(),
        };
        let joins = if self.continued { legs } else { legs - 1 };
        let mut flags = vec![
            format!("--segment-frames={}", list(&fit(&self.frames, legs))),
            format!("--frame-overlap={}", list(&fit(&self.overlaps, joins))),
            format!("--param=orchestrate.chain={}", self.chain),
            format!("--stitch={}", if self.parts { "auto" } else { "full" }),
            "--param=crossfade.colour_match=off".to_owned(),
            "--generator=dissolve".to_owned(),
            "--resolution=64x64".to_owned(),
            "--crf=0".to_owned(),
            "--preset=ultrafast".to_owned(),
        ];
        flags.extend(self.fade_frames.map(|n| format!("--param=crossfade.fade_frames={n}")));
        if self.continued {
            flags.push("--continue-from-video=shot.mp4".to_owned());
        }
        flags.push("--".to_owned());
        flags.extend((0..self.images).map(|i| format!("p{i}.png")));
        flags
    }
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn plan_store_clips_and_film_agree_for_two_hundred_requests() {
    let desk = Desk::new();
    desk.pictures(5);
    let shot = ["render", "p3.png", "p4.png", "-o", "shot.mp4", "--generator", "dissolve", "--resolution", "64x64"];
    desk.ok(&[&shot[..], &["--segment-frames", "7", "--db", "other.db"]].concat());
    let shown = std::cell::Cell::new(0u32);
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&wish(), |wish| {
            let flags = wish.flags();
            let with = |first: &[&str]| -> Vec<String> {
                first.iter().map(|s| (*s).to_owned()).chain(flags.iter().cloned()).collect()
            };
            let run = |args: &[String]| desk.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
            let planned = run(&with(&["plan", "--json"]));
            let number_of = shown.get();
            let (name, film) = (format!("run{number_of}"), format!("film{number_of}.mp4"));
            let rendered = run(&with(&["render", "--json", "--name", &name, "-o", &film]));
            prop_assert_eq!(planned.status.code(), rendered.status.code(), "{:?}", flags);
            if !planned.status.success() {
                prop_assert_eq!(&planned.stderr, &rendered.stderr, "both refuse it alike");
                return Ok(());
            }
            shown.set(number_of + 1);
            let plan: Value = serde_json::from_slice(&planned.stdout).unwrap();
            let plan = &plan["timeline"];
            let path = desk.path(&film);
            let length = number(&plan["frames"]);
            prop_assert_eq!(count(&path), length, "{:?}", flags);
            let tasks = desk.json(&["tasks", "list", &name]);
            let first = tasks[0]["id"].to_string();
            prop_assert_eq!(&desk.json(&["tasks", "show", &first])["output"]["timeline"], plan);
            let segments = plan["segments"].as_array().unwrap();
            let takes = desk.json(&["runs", "takes", &name]);
            let pictures: Vec<RgbFrame> = frames(&path);
            let (mut shared, mut continued) = (0, number(&plan["continued"]));
            for (segment, take) in segments.iter().zip(takes["segments"].as_array().unwrap()) {
                let hash = take["takes"][0]["made"][0]["hash"].as_str().unwrap();
                let clip = desk.path("travel-host.data/cas").join(&hash[..2]).join(&hash[2..]);
                prop_assert_eq!(count(&clip), number(&segment["place"]["total"]), "{:?}", flags);
                prop_assert_eq!(&take["takes"][0]["input"]["segment"]["place"], &segment["place"]);
                (shared, continued) =
                    (shared + number(&segment["place"]["overlap"]), continued + number(&segment["place"]["total"]));
                for key in segment["key_frames"].as_array().unwrap() {
                    let at = number(&key["film_frame"]);
                    let in_a_fade = segments.iter().any(|other| {
                        let (starts, overlap) = (number(&other["starts"]), number(&other["place"]["overlap"]));
                        // What a later segment shares with this one is mixed, from where it begins.
                        (starts..starts + overlap).contains(&at)
                    });
                    if in_a_fade {
                        continue;
                    }
                    let still = format!("p{}.png", number(&key["still"]));
                    let want = &frames(&desk.path(&still))[0];
                    prop_assert!(
                        difference(&squared(want), &pictures[at as usize]) < 8.0,
                        "frame {} of {:?}",
                        at,
                        flags
                    );
                }
            }
            prop_assert_eq!(continued - shared, length);
            Ok(())
        })
        .unwrap();
    assert!(shown.get() >= 100, "only {} of 200 were films", shown.get());
}

/// A picture of 96×64 as a film of 64×64 shows it: its middle.
fn squared(picture: &RgbFrame) -> RgbFrame {
    let dims = travel::Dims { width: 64, height: 64 };
    let rows = picture.data.chunks_exact(96 * 3).flat_map(|row| row[16 * 3..80 * 3].to_vec());
    RgbFrame { dims, data: rows.collect() }
}
