//! Answers.

use crate::bindings::contract::exports::travel::plugin::{crossfade as c, guide as g, orchestrate as o};
use crate::bindings::contract::travel::host::media as m;
use crate::bindings::contract::travel::plugin::travel as t;
use crate::shown::shown;
use travel::{InvalidPlan, MediumId, crossfade, guide, orchestrate};

pub(crate) fn refusal(r: m::Refusal) -> travel::Refusal {
    match r {
        m::Refusal::InvalidParams((pointer, reason)) => {
            travel::Refusal::InvalidParams { pointer: shown(&pointer), reason: shown(&reason) }
        }
        m::Refusal::Unsupported(reason) => travel::Refusal::Unsupported(shown(&reason)),
        m::Refusal::Other((code, message)) => travel::Refusal::Other { code: shown(&code), message: shown(&message) },
    }
}

pub(crate) fn graph(g: o::Graph) -> orchestrate::Graph {
    orchestrate::Graph {
        nodes: g.nodes.into_iter().map(node).collect(),
        film: g.film,
        notes: g.notes.iter().map(|note| shown(note)).collect(),
    }
}

fn node(n: o::Node) -> orchestrate::Node {
    orchestrate::Node {
        key: n.key,
        needs: n.needs,
        task: match n.task {
            o::Task::Segment(s) => orchestrate::Task::Segment(segment(s)),
            o::Task::Stitch(s) => {
                orchestrate::Task::Stitch(orchestrate::Stitch { continued: s.continued, segments: s.segments })
            }
        },
        priority: n.priority,
        extras: n.extras,
    }
}

fn segment(s: o::Segment) -> travel::Segment {
    travel::Segment {
        place: place(s.place),
        key_frames: s.key_frames.into_iter().map(key_frame).collect(),
        continues: match s.continues {
            o::Source::Nothing => travel::Source::Nothing,
            o::Source::Continued => travel::Source::Continued,
            o::Source::Segment(node) => travel::Source::Segment(node),
        },
        returns: s.returns,
        leg: travel::Leg {
            prompt: s.leg.prompt,
            negative_prompt: s.leg.negative_prompt,
            new: s.leg.new,
            overlap: s.leg.overlap,
            seed: s.leg.seed,
            settings: s.leg.settings,
        },
    }
}

fn place(p: t::Place) -> travel::Place {
    travel::Place { index: p.index, of: p.of, new: p.new, overlap: p.overlap, total: p.total }
}

fn key_frame(k: t::KeyFrame) -> travel::KeyFrame {
    travel::KeyFrame { at: k.at, still: MediumId(k.still), strength: k.strength, hold: k.hold }
}

pub(crate) fn guide_plan(p: g::Plan) -> Result<guide::Plan, InvalidPlan> {
    let layers = p.layers.into_iter().enumerate().map(|(i, layer)| match layer {
        g::Layer::Fill(f) => Ok(guide::Layer::Fill(guide::Fill { at: span(f.at), rgb: [f.rgb.0, f.rgb.1, f.rgb.2] })),
        g::Layer::Show(s) => Ok(guide::Layer::Show(guide::Show {
            at: span(s.at),
            medium: MediumId(s.medium),
            first: s.first,
            fit: match s.fit {
                g::Fit::Cover => travel::fit::Fit::Cover,
                g::Fit::Contain => travel::fit::Fit::Contain,
                g::Fit::Stretch => travel::fit::Fit::Stretch,
                g::Fit::Blur => travel::fit::Fit::Blur,
            },
            opacity: weight(s.opacity),
            tone: s.tone.map(tone),
        })),
        g::Layer::Other((kind, _)) => Err(unknown(format!("layers[{i}]"), &kind)),
    });
    Ok(guide::Plan {
        layers: layers.collect::<Result<_, _>>()?,
        keep: p.keep.into_iter().map(span).collect(),
        extras: p.extras,
    })
}

pub(crate) fn crossfade_plan(p: c::Plan) -> Result<crossfade::Plan, InvalidPlan> {
    let steps = p.steps.into_iter().enumerate().map(|(i, step)| match step {
        c::Step::Copy(s) => Ok(crossfade::Step::Copy(crossfade::Copy {
            clip: MediumId(s.clip),
            at: span(s.at),
            tone: s.tone.map(tone),
        })),
        c::Step::Blend(b) => Ok(crossfade::Step::Blend(crossfade::Blend {
            left: MediumId(b.left),
            left_start: b.left_start,
            left_tone: b.left_tone.map(tone),
            right: MediumId(b.right),
            right_start: b.right_start,
            right_tone: b.right_tone.map(tone),
            count: b.count,
            w: weight(b.w),
            mixing: match b.mixing {
                c::Mixing::Coded => crossfade::Mixing::Coded,
                c::Mixing::LinearLight => crossfade::Mixing::LinearLight,
                c::Mixing::Aligned => crossfade::Mixing::Aligned,
            },
            sharpen: weight(b.sharpen),
        })),
        c::Step::Other((kind, _)) => Err(unknown(format!("steps[{i}]"), &kind)),
    });
    Ok(crossfade::Plan { steps: steps.collect::<Result<_, _>>()?, extras: p.extras })
}

fn unknown(path: String, kind: &str) -> InvalidPlan {
    InvalidPlan::new(path, format!("this host does not know the kind `{}`", shown(kind)))
}

fn span(s: m::Span) -> travel::Span {
    travel::Span { start: s.start, count: s.count }
}

fn weight(w: m::Weight) -> travel::Weight {
    match w {
        m::Weight::Constant(w) => travel::Weight::Constant(w),
        m::Weight::Linear((from, to)) => travel::Weight::Linear(from, to),
        m::Weight::Table(table) => travel::Weight::Table(table),
    }
}

fn tone(t: m::Tone) -> travel::Tone {
    travel::Tone { gain: t.gain.into(), offset: t.offset.into(), amount: weight(t.amount) }
}
