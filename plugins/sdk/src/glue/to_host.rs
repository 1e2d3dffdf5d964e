//! Answers.

use super::{crossfade as c, guide as g, media as m, orchestrate as o, shared as t};
use travel::{crossfade, guide, orchestrate};

pub fn refusal(r: travel::Refusal) -> m::Refusal {
    match r {
        travel::Refusal::InvalidParams { pointer, reason } => m::Refusal::InvalidParams((pointer, reason)),
        travel::Refusal::Unsupported(reason) => m::Refusal::Unsupported(reason),
        travel::Refusal::Other { code, message } => m::Refusal::Other((code, message)),
    }
}

pub fn graph(g: orchestrate::Graph) -> o::Graph {
    o::Graph { nodes: g.nodes.into_iter().map(node).collect(), film: g.film, notes: g.notes }
}

fn node(n: orchestrate::Node) -> o::Node {
    o::Node {
        key: n.key,
        needs: n.needs,
        task: match n.task {
            orchestrate::Task::Segment(s) => o::Task::Segment(segment(s)),
            orchestrate::Task::Stitch(s) => o::Task::Stitch(o::Stitch { continued: s.continued, segments: s.segments }),
        },
        priority: n.priority,
        extras: n.extras,
    }
}

fn segment(s: travel::Segment) -> o::Segment {
    let p = s.place;
    o::Segment {
        place: t::Place { index: p.index, of: p.of, new: p.new, overlap: p.overlap, total: p.total },
        key_frames: s
            .key_frames
            .into_iter()
            .map(|k| t::KeyFrame { at: k.at, still: k.still.0, strength: k.strength, hold: k.hold })
            .collect(),
        continues: match s.continues {
            travel::Source::Nothing => o::Source::Nothing,
            travel::Source::Continued => o::Source::Continued,
            travel::Source::Segment(node) => o::Source::Segment(node),
        },
        returns: s.returns,
        leg: o::Leg {
            prompt: s.leg.prompt,
            negative_prompt: s.leg.negative_prompt,
            new: s.leg.new,
            overlap: s.leg.overlap,
            seed: s.leg.seed,
            settings: s.leg.settings,
        },
    }
}

pub fn guide_plan(p: guide::Plan) -> g::Plan {
    let layers = p.layers.into_iter().map(|layer| match layer {
        guide::Layer::Fill(f) => g::Layer::Fill(g::Fill { at: span(f.at), rgb: f.rgb.into() }),
        guide::Layer::Show(s) => g::Layer::Show(g::Show {
            at: span(s.at),
            medium: s.medium.0,
            first: s.first,
            fit: match s.fit {
                travel::fit::Fit::Cover => g::Fit::Cover,
                travel::fit::Fit::Contain => g::Fit::Contain,
                travel::fit::Fit::Stretch => g::Fit::Stretch,
                travel::fit::Fit::Blur => g::Fit::Blur,
            },
            opacity: weight(s.opacity),
            tone: s.tone.map(tone),
        }),
    });
    g::Plan { layers: layers.collect(), keep: p.keep.into_iter().map(span).collect(), extras: p.extras }
}

pub fn crossfade_plan(p: crossfade::Plan) -> c::Plan {
    let steps = p.steps.into_iter().map(|step| match step {
        crossfade::Step::Copy(s) => {
            c::Step::Copy(c::Passage { clip: s.clip.0, at: span(s.at), tone: s.tone.map(tone) })
        }
        crossfade::Step::Blend(b) => c::Step::Blend(c::Blend {
            left: b.left.0,
            left_start: b.left_start,
            left_tone: b.left_tone.map(tone),
            right: b.right.0,
            right_start: b.right_start,
            right_tone: b.right_tone.map(tone),
            count: b.count,
            w: weight(b.w),
            mixing: match b.mixing {
                crossfade::Mixing::Coded => c::Mixing::Coded,
                crossfade::Mixing::LinearLight => c::Mixing::LinearLight,
                crossfade::Mixing::Aligned => c::Mixing::Aligned,
            },
            sharpen: weight(b.sharpen),
        }),
    });
    c::Plan { steps: steps.collect(), extras: p.extras }
}

fn span(s: travel::Span) -> m::Span {
    m::Span { start: s.start, count: s.count }
}

fn weight(w: travel::Weight) -> m::Weight {
    match w {
        travel::Weight::Constant(w) => m::Weight::Constant(w),
        travel::Weight::Linear(from, to) => m::Weight::Linear((from, to)),
        travel::Weight::Table(table) => m::Weight::Table(table),
    }
}

fn tone(t: travel::Tone) -> m::Tone {
    m::Tone { gain: t.gain.into(), offset: t.offset.into(), amount: weight(t.amount) }
}
