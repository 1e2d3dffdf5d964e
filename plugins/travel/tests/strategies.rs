//! What the default strategies decide, case by case.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

use plugin_travel::Travel;
use proptest::prelude::*;
use travel::crossfade::{Colour, Join, Mixing, Step};
use travel::guide::Layer;
use travel::orchestrate::{Graph, Task};
use travel::{
    Dims, Grid, KeyFrame, Leg, MediumId, MediumInfo, MediumKind, Place, Rate, Refusal, Segment, Source, Span, Weight,
    crossfade, guide, orchestrate,
};
use travel_plugin::{Crossfade, Guide, Orchestrate};

const RATE: Rate = Rate { num: 16, den: 1 };

fn medium(id: u32, kind: MediumKind, frames: u32) -> MediumInfo {
    MediumInfo { id: MediumId(id), kind, dims: Dims { width: 64, height: 64 }, frames, rate: RATE }
}

fn run(stills: u32, continued: Option<u32>, legs: &[(u32, u32)], grid: Grid, params: &str) -> orchestrate::Request {
    orchestrate::Request {
        run: "run".into(),
        canvas: Dims { width: 64, height: 64 },
        rate: RATE,
        stills: (0..stills).map(|id| medium(id, MediumKind::Still, 1)).collect(),
        continued: continued.map(|frames| medium(9, MediumKind::Clip, frames)),
        legs: legs
            .iter()
            .map(|&(new, overlap)| Leg {
                prompt: String::new(),
                negative_prompt: String::new(),
                new,
                overlap,
                seed: 0,
                settings: "{}".into(),
            })
            .collect(),
        wrap: 0,
        grid,
        params: params.into(),
        max_nodes: 100,
    }
}

fn expand(request: &orchestrate::Request) -> Graph {
    let graph = Travel::expand(request).unwrap();
    graph.check(request).unwrap();
    graph
}

fn segment(graph: &Graph, i: usize) -> &Segment {
    match &graph.nodes[i].task {
        Task::Segment(segment) => segment,
        Task::Stitch(_) => panic!("node {i} is the stitch"),
    }
}

/// Still, frame and hold of each key-frame.
fn keys(segment: &Segment) -> Vec<(u32, u32, u32)> {
    segment.key_frames.iter().map(|k| (k.still.0, k.at, k.hold)).collect()
}

#[test]
fn legs_lie_between_stills_or_lead_to_each_after_a_video() {
    assert_eq!(Travel::legs(4, false, "{}"), Ok(3));
    assert_eq!(Travel::legs(1, false, "{}"), Ok(1));
    assert_eq!(Travel::legs(4, true, "{}"), Ok(4));
    assert!(Travel::legs(0, true, "{}").is_err());
}

#[test]
fn overlapping_segments_are_chained_and_cut_ones_run_in_parallel() {
    let graph = expand(&run(4, None, &[(17, 0), (16, 1), (17, 0)], Grid::WAN, "{}"));
    let keys_of: Vec<&str> = graph.nodes.iter().map(|n| n.key.as_str()).collect();
    assert_eq!(keys_of, ["segment-00", "segment-01", "segment-02", "stitch"]);
    assert_eq!(segment(&graph, 1).continues, Source::Segment(0));
    assert_eq!(graph.nodes[1].needs, [0]);
    assert_eq!(segment(&graph, 2).continues, Source::Nothing);
    assert_eq!(graph.nodes[2].needs, [] as [u32; 0]);
    assert_eq!(graph.nodes[3].needs, [0, 1, 2]);
    assert_eq!(keys(segment(&graph, 0)), [(0, 0, 1), (1, 16, 4)]);
    assert_eq!(keys(segment(&graph, 1)), [(2, 16, 4)]);
    assert_eq!(keys(segment(&graph, 2)), [(2, 0, 1), (3, 16, 4)], "a cut starts from its own still");
}

#[test]
fn after_a_video_each_segment_leads_to_its_still() {
    let graph = expand(&run(2, Some(20), &[(16, 5), (16, 5)], Grid::WAN, "{}"));
    assert_eq!(segment(&graph, 0).continues, Source::Continued);
    assert_eq!(keys(segment(&graph, 0)), [(0, 20, 4)]);
    assert_eq!(keys(segment(&graph, 1)), [(1, 20, 4)]);
}

#[test]
fn a_single_still_is_where_its_one_segment_begins() {
    let graph = expand(&run(1, None, &[(17, 0)], Grid::WAN, "{}"));
    assert_eq!(keys(segment(&graph, 0)), [(0, 0, 1)]);
}

#[test]
fn unchained_segments_meet_at_the_still_that_both_pass_through() {
    let graph = expand(&run(3, None, &[(17, 0), (12, 5)], Grid::WAN, r#"{"chain":false}"#));
    assert_eq!(segment(&graph, 1).continues, Source::Nothing);
    assert_eq!(keys(segment(&graph, 1)), [(1, 4, 1), (2, 16, 4)]);
}

#[test]
fn the_hold_stays_within_the_new_frames() {
    let graph = expand(&run(3, None, &[(17, 0), (2, 15)], Grid::WAN, r#"{"anchor_hold":9}"#));
    assert_eq!(keys(segment(&graph, 0)), [(0, 0, 1), (1, 16, 9)]);
    assert_eq!(keys(segment(&graph, 1)), [(2, 16, 2)]);
    let graph = expand(&run(2, None, &[(17, 0)], Grid::ANY, r#"{"last_frame_duplication":40}"#));
    assert_eq!(keys(segment(&graph, 0)), [(0, 0, 1), (1, 16, 16)]);
}

#[test]
fn lengths_that_cannot_be_are_refused_at_the_list_that_is_wrong() {
    let pointer = |legs: &[(u32, u32)]| match Travel::expand(&run(3, None, legs, Grid::WAN, "{}")) {
        Err(Refusal::InvalidParams { pointer, .. }) => pointer,
        other => panic!("{other:?}"),
    };
    assert_eq!(pointer(&[(17, 0), (30, 19)]), "/frame_overlap");
    assert_eq!(pointer(&[(17, 0), (16, 17)]), "/frame_overlap", "the first image would be faded away");
    assert_eq!(pointer(&[(17, 0), (0, 4)]), "/segment_frames");
    assert_eq!(pointer(&[(17, 0), (5000, 4)]), "/segment_frames");
    let grown = expand(&run(3, None, &[(17, 0), (15, 0)], Grid::WAN, "{}"));
    assert_eq!(grown.notes.len(), 1, "an overlap that grows is said");
}

#[test]
fn a_film_that_goes_round_ends_in_its_beginning() {
    let round = |new: u32, wrap: u32, params: &str| {
        let mut request = run(3, None, &[(new, 0), (17, 4), (17, 4)], Grid::ANY, params);
        request.stills.push(request.stills[0]);
        orchestrate::Request { wrap, ..request }
    };
    let request = round(17, 6, "{}");
    let graph = expand(&request);
    let last = segment(&graph, 2);
    assert_eq!(
        (last.place.new, last.place.total, last.returns),
        (23, 27, true),
        "six more, which the film has already"
    );
    assert_eq!(keys(last), [(0, 21, 1)], "the first still stands where the film would begin again");
    assert_eq!(graph.nodes[2].needs, [0, 1], "and what the film begins with is known");
    assert_eq!(travel::Timeline::of(&graph, &request).frames, 51);
    assert!(!segment(&graph, 1).returns && segment(&graph, 0).place.total == 17);
    let alone = expand(&round(17, 6, r#"{"chain": false}"#));
    assert!(!segment(&alone, 2).returns && alone.nodes[2].needs.is_empty());
    let refused = Travel::expand(&round(10, 6, "{}")).unwrap_err();
    assert!(matches!(&refused, Refusal::InvalidParams { reason, .. } if reason.contains("it has 10")), "{refused:?}");

    let beginning = Some((MediumId(6), Span::new(0, 6)));
    let guide = guide::Request {
        place: last.place,
        key_frames: last.key_frames.clone(),
        next: beginning,
        previous: Some((MediumId(5), Span::new(13, 4))),
        media: vec![medium(0, MediumKind::Still, 1), medium(5, MediumKind::Clip, 17), medium(6, MediumKind::Clip, 17)],
        ..later_segment(r#"{"fade_in": {"curve_type": "linear", "duration_factor": 0.5}}"#)
    };
    let plan = <Travel as Guide>::compose(&guide).unwrap();
    assert_eq!(plan.keep, [Span::new(0, 4), Span::new(21, 6)]);
    let shows = shows(&guide);
    let returning = shows.iter().find(|show| show.medium == MediumId(6)).unwrap();
    assert_eq!((returning.at, returning.first, &returning.opacity), (Span::new(21, 6), 0, &Weight::ONE));
    assert!(
        shows.iter().all(|show| show.medium != MediumId(0) || show.at.end().unwrap() <= 22),
        "fades end at the still"
    );
}

fn later_segment(params: &str) -> guide::Request {
    guide::Request {
        place: Place { index: 1, of: 2, new: 13, overlap: 8, total: 21 },
        canvas: Dims { width: 64, height: 64 },
        rate: RATE,
        key_frames: vec![KeyFrame { at: 20, still: MediumId(1), strength: 1.0, hold: 4 }],
        previous: Some((MediumId(5), Span::new(9, 8))),
        next: None,
        grid: Grid::WAN,
        media: vec![medium(1, MediumKind::Still, 1), medium(5, MediumKind::Clip, 17)],
        params: params.into(),
    }
}

fn first_segment(params: &str) -> guide::Request {
    guide::Request {
        place: Place { index: 0, of: 2, new: 17, overlap: 0, total: 17 },
        key_frames: vec![
            KeyFrame { at: 0, still: MediumId(0), strength: 1.0, hold: 1 },
            KeyFrame { at: 16, still: MediumId(1), strength: 1.0, hold: 1 },
        ],
        previous: None,
        media: vec![medium(0, MediumKind::Still, 1), medium(1, MediumKind::Still, 1)],
        ..later_segment(params)
    }
}

fn shows(request: &guide::Request) -> Vec<guide::Show> {
    let plan = <Travel as Guide>::compose(request).unwrap();
    plan.check(request).unwrap();
    let show = |layer| match layer {
        Layer::Show(show) => show,
        Layer::Fill(_) => panic!("the canvas is grey already"),
    };
    plan.layers.into_iter().map(show).collect()
}

#[test]
fn repeated_frames_and_the_held_end_are_kept_and_shown_whole() {
    let request = later_segment("{}");
    let plan = <Travel as Guide>::compose(&request).unwrap();
    assert_eq!(plan.keep, [Span::new(0, 8), Span::new(17, 4)]);
    let shows = shows(&request);
    assert_eq!(shows.len(), 2);
    assert_eq!((shows[0].at, shows[0].first, &shows[0].opacity), (Span::new(0, 8), 9, &Weight::ONE));
    assert_eq!((shows[1].at, shows[1].medium), (Span::new(17, 4), MediumId(1)));
    assert!(shows.iter().all(|s| s.tone.is_none()));
}

#[test]
fn fades_are_hints_beside_the_stills() {
    let request = first_segment(
        r#"{"fade_out":{"duration_factor":0.2,"curve_type":"linear","low_point":0.1},
            "fade_in":{"duration_factor":0.2,"curve_type":"linear","high_point":0.9}}"#,
    );
    let plan = <Travel as Guide>::compose(&request).unwrap();
    assert_eq!(plan.keep, [Span::new(0, 1), Span::new(16, 1)]);
    let shows = shows(&request);
    assert_eq!(shows[0].at, Span::new(1, 3), "a fifth of 15 free frames");
    let Weight::Table(out) = &shows[0].opacity else { panic!() };
    assert!(out.iter().zip([0.7, 0.4, 0.1]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{out:?}");
    assert_eq!(shows[1].at, Span::new(13, 3));
    let Weight::Table(fade_in) = &shows[1].opacity else { panic!() };
    assert!(fade_in.iter().zip([0.3, 0.6, 0.9]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{fade_in:?}");
}

#[test]
fn a_fade_too_short_for_a_frame_is_no_fade() {
    assert_eq!(shows(&first_segment(r#"{"fade_in":{"duration_factor":0.01}}"#)).len(), 2);
    let shows = shows(&later_segment(r#"{"fade_out":{"duration_factor":0.1}}"#));
    assert_eq!(shows[0].opacity, Weight::ONE);
}

#[test]
fn repeated_frames_are_weakened_desaturated_and_darkened_with_the_known_signs() {
    let shows = shows(&later_segment(
        r#"{"subsequent_starting_strength_adjustment":-0.25,"desaturate_subsequent_starting_frames":0.5,
            "adjust_brightness_subsequent_starting_frames":0.2}"#,
    ));
    assert_eq!(shows[0].opacity, Weight::Constant(0.75));
    let tone = shows[0].tone.clone().unwrap();
    assert_eq!(tone.gain, [0.8, 0.4, 0.4]);
    assert_eq!(tone.offset, [0.0, 0.3, 0.3]);
}

#[test]
fn a_fade_out_of_repeated_frames_leaves_the_rest_whole() {
    let shows = shows(&later_segment(r#"{"fade_out":{"duration_factor":0.5,"curve_type":"linear"}}"#));
    assert_eq!(shows[0].opacity, Weight::Table(vec![0.75, 0.5, 0.25, 0.0, 1.0, 1.0, 1.0, 1.0]));
}

fn colour(y: f32, deviation: f32) -> Colour {
    Colour { mean: [y, 0.5, 0.5], deviation: [deviation, 0.05, 0.05] }
}

fn film(params: &str, overlaps: &[u32], sides: &[(Colour, Colour)]) -> crossfade::Request {
    crossfade::Request {
        clips: (0..=overlaps.len() as u32).map(|id| medium(id, MediumKind::Clip, 21)).collect(),
        joins: overlaps
            .iter()
            .zip(sides)
            .map(|(&overlap, &(left, right))| Join {
                overlap,
                left: vec![left; overlap.max(1) as usize],
                right: vec![right; overlap.max(1) as usize],
                likeness: vec![0.9; overlap.max(1) as usize],
            })
            .collect(),
        rate: RATE,
        params: params.into(),
    }
}

fn steps(request: &crossfade::Request) -> Vec<Step> {
    let plan = <Travel as Crossfade>::compose(request).unwrap();
    plan.check(request).unwrap();
    plan.steps
}

fn blends(request: &crossfade::Request) -> Vec<crossfade::Blend> {
    let blend = |step| match step {
        Step::Blend(blend) => Some(blend),
        Step::Copy(_) => None,
    };
    steps(request).into_iter().filter_map(blend).collect()
}

const SAME: (Colour, Colour) =
    (Colour { mean: [0.5; 3], deviation: [0.1; 3] }, Colour { mean: [0.5005; 3], deviation: [0.1002; 3] });

#[test]
fn the_cosine_is_strictly_between_the_clips_and_the_original_reaches_the_later_one() {
    let table = |params| match blends(&film(params, &[8], &[SAME])).remove(0).w {
        Weight::Table(table) => table,
        other => panic!("{other:?}"),
    };
    let cosine = table("{}");
    assert!(cosine.iter().all(|w| *w > 0.0 && *w < 1.0));
    assert!((cosine[0] + cosine[7] - 1.0).abs() < 1e-6, "symmetric");
    let original = table(r#"{"curve":"original"}"#);
    assert_eq!(original[7], 1.0);
    assert!((original[3] - 0.5).abs() < 1e-6);
}

#[test]
fn equal_overlaps_are_copied_untouched() {
    for step in steps(&film("{}", &[8, 8], &[SAME, SAME])) {
        match step {
            Step::Copy(copy) => assert_eq!(copy.tone, None),
            Step::Blend(blend) => assert_eq!((blend.left_tone, blend.right_tone), (None, None)),
        }
    }
}

#[test]
fn colours_follow_the_corrected_clip_before_and_are_held() {
    // Each clip is brighter by 0.05 than the one before; all must come back to the first.
    let sides = [(colour(0.4, 0.1), colour(0.45, 0.11)), (colour(0.45, 0.11), colour(0.5, 0.11))];
    let blends = blends(&film("{}", &[8, 8], &sides));
    let last = blends[1].right_tone.clone().unwrap();
    assert_eq!(last.amount, Weight::ONE);
    assert!((last.gain[0] - 0.1 / 0.11).abs() < 1e-5, "{last:?}");
    assert!((last.gain[0] * 0.5 + last.offset[0] - 0.4).abs() < 1e-5, "{last:?}");
    assert_eq!(blends[1].left_tone, blends[0].right_tone, "the middle clip is the same before and after");
}

#[test]
fn a_decaying_match_is_whole_in_its_overlap_and_gone_at_the_end() {
    let sides = [(colour(0.4, 0.1), colour(0.45, 0.1))];
    let steps = steps(&film(r#"{"colour_match":"decay"}"#, &[8], &sides));
    let Step::Blend(blend) = &steps[1] else { panic!() };
    assert_eq!(blend.right_tone.as_ref().unwrap().amount, Weight::ONE);
    let Step::Copy(copy) = &steps[2] else { panic!() };
    let amount = &copy.tone.as_ref().unwrap().amount;
    assert!(amount.at(0, 13) < 1.0 && amount.at(12, 13) == 0.0, "{amount:?}");
}

#[test]
fn different_content_is_not_forced_into_the_same_colours() {
    let blend = blends(&film("{}", &[8], &[(colour(0.1, 0.3), colour(0.9, 0.01))])).remove(0);
    let tone = blend.right_tone.unwrap();
    assert_eq!(tone.gain[0], 1.25);
    assert!((tone.gain[0] * 0.9 + tone.offset[0] - 0.775).abs() < 1e-5, "the mean moves by an eighth at the most");
}

#[test]
fn a_zero_overlap_is_a_plain_cut() {
    let steps = steps(&film("{}", &[0, 8], &[(colour(0.1, 0.1), colour(0.9, 0.1)), SAME]));
    assert!(matches!(&steps[0], Step::Copy(c) if c.at == Span::new(0, 21) && c.tone.is_none()));
    assert!(matches!(&steps[1], Step::Copy(c) if c.at == Span::new(0, 13) && c.tone.is_none()));
    assert_eq!(steps.len(), 4);
}

#[test]
fn sharpening_peaks_in_the_middle_and_is_zero_at_both_ends() {
    let sharpen = |params| blends(&film(params, &[9], &[SAME])).remove(0).sharpen;
    assert!(sharpen("{}").is_zero());
    let Weight::Table(table) = sharpen(r#"{"sharpen":0.4}"#) else { panic!() };
    assert_eq!((table[0], table[4], table[8]), (0.0, 0.4, 0.0));
    let Weight::Table(original) = sharpen(r#"{"curve":"original"}"#) else { panic!() };
    assert!((original[8] - 0.3).abs() < 1e-6, "as it was: most at the end");
}

#[test]
fn overlaps_that_reach_into_one_another_are_refused() {
    assert!(<Travel as Crossfade>::compose(&film("{}", &[12, 12], &[SAME, SAME])).is_err());
}

fn likeness(request: &mut crossfade::Request, values: &[f32]) {
    request.joins[0].likeness = values.to_vec();
}

#[test]
fn a_short_fade_lies_where_the_sides_are_most_alike_and_none_cuts_there() {
    let alike = [0.5, 0.5, 0.5, 0.9, 0.9, 0.5, 0.5, 0.5];
    let mut short = film(r#"{"fade_frames":2}"#, &[8], &[SAME]);
    likeness(&mut short, &alike);
    let Step::Blend(blend) = &steps(&short)[1] else { panic!() };
    assert_eq!((blend.left_start, blend.right_start, blend.count), (13 + 3, 3, 2));
    let mut cut = film(r#"{"fade_frames":0}"#, &[8], &[SAME]);
    likeness(&mut cut, &[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.95, 0.5]);
    let steps = steps(&cut);
    assert!(matches!(&steps[0], Step::Copy(c) if c.at == Span::new(0, 19)));
    assert!(matches!(&steps[1], Step::Copy(c) if c.at == Span::new(6, 15)));
    assert_eq!(steps.len(), 2);
}

#[test]
fn unlike_sides_are_aligned_when_the_policy_may_choose() {
    let mixing = |params: &str, like: f32| {
        let mut request = film(params, &[4], &[SAME]);
        likeness(&mut request, &[like; 4]);
        blends(&request)[0].mixing
    };
    assert_eq!(mixing("{}", 0.3), Mixing::Coded);
    assert_eq!(mixing(r#"{"mixing":"auto"}"#, 0.99), Mixing::Coded);
    assert_eq!(mixing(r#"{"mixing":"auto"}"#, 0.6), Mixing::Aligned);
    assert_eq!(mixing(r#"{"mixing":"linear-light"}"#, 0.6), Mixing::LinearLight);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is chosen: the film has its length, each frame its place, the later clip's share never falls, and a decaying
    /// match is whole where it was measured.
    #[test]
    fn every_choice_of_a_join_is_a_film(
        overlaps in prop::collection::vec(0u32..10, 1..5),
        curve in prop::sample::select(vec!["cosine", "linear", "sharp", "original"]),
        mixing in prop::sample::select(vec!["coded", "linear-light", "aligned", "auto"]),
        matched in prop::sample::select(vec!["hold", "decay", "off"]),
        fade_frames in prop::option::of(0u32..12),
        like in prop::collection::vec(-1.0f32..1.0, 10),
    ) {
        let fade = fade_frames.map_or_else(String::new, |n| format!(r#","fade_frames":{n}"#));
        let params = format!(r#"{{"curve":"{curve}","mixing":"{mixing}","colour_match":"{matched}"{fade}}}"#);
        let sides = vec![(colour(0.4, 0.1), colour(0.45, 0.11)); overlaps.len()];
        let mut request = film(&params, &overlaps, &sides);
        for join in &mut request.joins {
            join.likeness = like.iter().copied().take(join.overlap.max(1) as usize).collect();
        }
        let plan = <Travel as Crossfade>::compose(&request).unwrap();
        plan.check(&request).unwrap();
        for step in &plan.steps {
            match step {
                Step::Blend(blend) => {
                    let shares: Vec<f32> = (0..blend.count).map(|i| blend.w.at(i, blend.count)).collect();
                    prop_assert!(shares.is_sorted() && shares[0] > 0.0, "{:?}", shares);
                    prop_assert!(curve == "original" || shares.iter().all(|w| *w < 1.0));
                    prop_assert!(fade_frames.is_none_or(|most| blend.count <= most));
                }
                Step::Copy(copy) if matched == "decay" => {
                    let Some(tone) = &copy.tone else { continue };
                    let clip = copy.clip.0 as usize;
                    let overlap = overlaps[clip - 1];
                    for (i, frame) in (0..copy.at.count).zip(copy.at.start..) {
                        let amount = tone.amount.at(i, copy.at.count);
                        prop_assert!((frame >= overlap) == (amount < 1.0), "frame {} of clip {}: {}", frame, clip, amount);
                    }
                }
                Step::Copy(_) => {}
            }
        }
    }
}
