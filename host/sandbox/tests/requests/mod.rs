//! Random requests, as a host makes them.

use proptest::prelude::*;
use serde_json::json;
use travel::crossfade::{Colour, Join};
use travel::{
    Dims, Grid, KeyFrame, Leg, MediumId, MediumInfo, MediumKind, Place, Rate, Span, crossfade, guide, orchestrate,
};

const RATE: Rate = Rate { num: 16, den: 1 };
const CANVAS: Dims = Dims { width: 832, height: 480 };

fn medium(id: u32, kind: MediumKind, frames: u32) -> MediumInfo {
    let rate = if kind == MediumKind::Still { Rate::STILL } else { RATE };
    MediumInfo { id: MediumId(id), kind, dims: CANVAS, frames, rate }
}

fn grid() -> impl Strategy<Value = Grid> {
    prop_oneof![
        Just(Grid::ANY),
        Just(Grid { min: 1, ..Grid::ANY }),
        Just(Grid::WAN),
        Just(Grid { min: 1, ..Grid::WAN }),
        Just(Grid { step: 8, offset: 1, min: 9, dims_multiple: 32, anchor_hold: 8, ..Grid::ANY }),
    ]
}

pub(crate) fn orchestrate() -> impl Strategy<Value = orchestrate::Request> {
    let params = prop_oneof![
        Just("{}".to_owned()),
        (any::<bool>(), 1u32..40).prop_map(|(chain, hold)| json!({"chain": chain, "anchor_hold": hold}).to_string()),
        (0u32..20).prop_map(|n| json!({"last_frame_duplication": n}).to_string()),
    ];
    // Now and then a list of another length, which is refused.
    let off = prop_oneof![9 => Just(0usize), 1 => Just(1)];
    let wrap = prop_oneof![3 => Just(0u32), 1 => 1u32..20];
    (0usize..12, prop::option::of(1u32..90), off, grid(), params, 1u32..40, wrap).prop_flat_map(
        |(stills, continued, off, grid, params, max_nodes, wrap)| {
            let round = wrap > 0 && stills > 1 && continued.is_none();
            let shown = stills + usize::from(round);
            let legs = if continued.is_some() { stills } else { shown.saturating_sub(1).max(1) } + off;
            let leg = (1u32..120, prop_oneof![Just(0u32), 1u32..24], ".{0,12}", any::<u64>());
            prop::collection::vec(leg, legs).prop_map(move |legs| orchestrate::Request {
                run: "run".into(),
                canvas: CANVAS,
                rate: RATE,
                stills: (0..shown).map(|id| medium((id % stills.max(1)) as u32, MediumKind::Still, 1)).collect(),
                continued: continued.map(|frames| medium(99, MediumKind::Clip, frames)),
                legs: legs
                    .into_iter()
                    .enumerate()
                    .map(|(i, (new, overlap, prompt, seed))| Leg {
                        prompt,
                        negative_prompt: String::new(),
                        new,
                        overlap: if i == 0 && continued.is_none() { 0 } else { overlap.min(new) },
                        seed,
                        settings: "{}".into(),
                    })
                    .collect(),
                wrap: if round { wrap } else { 0 },
                grid,
                params: params.clone(),
                max_nodes: max_nodes.max(4),
            })
        },
    )
}

fn fade() -> impl Strategy<Value = serde_json::Value> {
    (0.0..=1.0f64, 0.0..=1.0f64, prop::sample::select(&travel::easing::Easing::NAMES[..]), 0.0..=1.0f64).prop_map(
        |(low, high, curve, factor)| {
            json!({"low_point": low, "high_point": high, "curve_type": curve, "duration_factor": factor})
        },
    )
}

fn guide_params() -> impl Strategy<Value = String> {
    let fit = prop::sample::select(&["cover", "contain", "stretch", "blur"][..]);
    let full = (fit, fade(), fade(), -1.0..=1.0f64, 0.0..=1.0f64, -1.0..=1.0f64).prop_map(
        |(fit, fade_in, fade_out, strength, desaturate, darker)| {
            json!({
                "fit": fit,
                "fade_in": fade_in,
                "fade_out": fade_out,
                "subsequent_starting_strength_adjustment": strength,
                "desaturate_subsequent_starting_frames": desaturate,
                "adjust_brightness_subsequent_starting_frames": darker,
            })
            .to_string()
        },
    );
    prop_oneof![1 => Just("{}".to_owned()), 4 => full]
}

pub(crate) fn guide() -> impl Strategy<Value = guide::Request> {
    let strength = prop_oneof![Just(1.0f32), 0.0..=1.0f32];
    let ends = (any::<bool>(), any::<bool>(), prop_oneof![3 => Just(0u32), 1 => 1u32..12]);
    (1u32..100, 0u32..30, any::<bool>(), ends, 1u32..12, strength, guide_params()).prop_map(
        |(new, overlap, chained, (start, end, wrap), hold, strength, params)| {
            let wrap = if wrap < new { wrap } else { 0 };
            let total = new + overlap;
            let previous = (chained && overlap > 0).then(|| (MediumId(7), Span::new(40 - overlap, overlap)));
            let mut key_frames = Vec::new();
            let hold = hold.min(if wrap > 0 { wrap } else { new });
            let end_from = total - hold.max(wrap);
            if start && end_from > 0 {
                let at = if previous.is_some() { total / 2 } else { overlap.saturating_sub(1) };
                if at < end_from {
                    key_frames.push(KeyFrame { at, still: MediumId(0), strength, hold: 1 });
                }
            }
            if end {
                let at = if wrap > 0 { total - wrap } else { total - 1 };
                key_frames.push(KeyFrame { at, still: MediumId(1), strength: 1.0, hold });
            }
            guide::Request {
                place: Place { index: 0, of: 3, new, overlap, total },
                canvas: CANVAS,
                rate: RATE,
                key_frames,
                previous,
                next: (wrap > 0).then(|| (MediumId(8), Span::new(0, wrap))),
                grid: Grid::ANY,
                media: vec![
                    medium(0, MediumKind::Still, 1),
                    medium(1, MediumKind::Still, 1),
                    medium(7, MediumKind::Clip, 40),
                    medium(8, MediumKind::Clip, 30),
                ],
                params,
            }
        },
    )
}

fn colour() -> impl Strategy<Value = Colour> {
    let plane = || prop::array::uniform3(0.0..=1.0f32);
    (plane(), plane(), 0.0..=0.5f32)
        .prop_map(|(mean, deviation, scale)| Colour { mean, deviation: deviation.map(|d| d * scale) })
}

fn join(overlap: u32) -> impl Strategy<Value = Join> {
    let n = overlap.max(1) as usize;
    let colours = || prop::collection::vec(colour(), n);
    (colours(), colours(), prop::collection::vec(-1.0..=1.0f32, n), any::<bool>()).prop_map(
        move |(left, right, likeness, equal)| Join {
            overlap,
            right: if equal { left.clone() } else { right },
            left,
            likeness,
        },
    )
}

pub(crate) fn crossfade() -> impl Strategy<Value = crossfade::Request> {
    let curve = prop::sample::select(&["cosine", "original", "linear"][..]);
    let matching = prop::sample::select(&["hold", "decay", "off"][..]);
    let params = prop_oneof![
        Just("{}".to_owned()),
        curve.clone().prop_map(|curve| json!({"curve": curve}).to_string()),
        (curve, matching, 0.0..=1.0f64)
            .prop_map(|(curve, m, s)| json!({"curve": curve, "colour_match": m, "sharpen": s}).to_string()),
    ];
    (prop::collection::vec((0u32..20, 0u32..30), 1..6), params).prop_flat_map(|(clips, params)| {
        let overlaps: Vec<u32> = clips.iter().skip(1).map(|(overlap, _)| *overlap).collect();
        let joins: Vec<_> = overlaps.iter().map(|overlap| join(*overlap)).collect();
        joins.prop_map(move |joins| {
            let after = overlaps.iter().copied().chain(std::iter::once(0));
            let before = std::iter::once(0).chain(overlaps.iter().copied());
            let own = clips.iter().map(|(_, own)| *own);
            crossfade::Request {
                clips: (0u32..)
                    .zip(own.zip(before.zip(after)))
                    .map(|(id, (own, (before, after)))| {
                        let frames = (own + before + after).max(1);
                        medium(id, MediumKind::Clip, frames)
                    })
                    .collect(),
                joins,
                rate: RATE,
                params: params.clone(),
            }
        })
    })
}
