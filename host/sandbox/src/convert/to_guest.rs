//! Requests.

use crate::bindings::contract::exports::travel::plugin::{crossfade as c, guide as g, orchestrate as o};
use crate::bindings::contract::travel::host::media as m;
use crate::bindings::contract::travel::plugin::travel as t;
use travel::{crossfade, guide, orchestrate};

pub(crate) fn orchestrate_request(r: &orchestrate::Request) -> o::Request {
    o::Request {
        run: r.run.clone(),
        canvas: dims(r.canvas),
        rate: rate(r.rate),
        stills: r.stills.iter().map(info).collect(),
        continued: r.continued.as_ref().map(info),
        legs: r.legs.iter().map(leg).collect(),
        wrap: r.wrap,
        grid: grid(&r.grid),
        params: r.params.clone(),
        max_nodes: r.max_nodes,
    }
}

pub(crate) fn guide_request(r: &guide::Request) -> g::Request {
    g::Request {
        place: place(r.place),
        canvas: dims(r.canvas),
        rate: rate(r.rate),
        key_frames: r.key_frames.iter().map(key_frame).collect(),
        previous: r.previous.map(|(medium, at)| (medium.0, span(at))),
        next: r.next.map(|(medium, at)| (medium.0, span(at))),
        grid: grid(&r.grid),
        media: r.media.iter().map(info).collect(),
        params: r.params.clone(),
    }
}

pub(crate) fn crossfade_request(r: &crossfade::Request) -> c::Request {
    c::Request {
        clips: r.clips.iter().map(info).collect(),
        joins: r.joins.iter().map(join).collect(),
        rate: rate(r.rate),
        params: r.params.clone(),
    }
}

fn join(j: &crossfade::Join) -> c::Join {
    c::Join {
        overlap: j.overlap,
        left: j.left.iter().map(colour).collect(),
        right: j.right.iter().map(colour).collect(),
        likeness: j.likeness.clone(),
    }
}

fn colour(c: &crossfade::Colour) -> c::Colour {
    c::Colour { mean: c.mean.into(), deviation: c.deviation.into() }
}

fn leg(l: &travel::Leg) -> o::Leg {
    o::Leg {
        prompt: l.prompt.clone(),
        negative_prompt: l.negative_prompt.clone(),
        new: l.new,
        overlap: l.overlap,
        seed: l.seed,
        settings: l.settings.clone(),
    }
}

fn place(p: travel::Place) -> t::Place {
    t::Place { index: p.index, of: p.of, new: p.new, overlap: p.overlap, total: p.total }
}

fn key_frame(k: &travel::KeyFrame) -> t::KeyFrame {
    t::KeyFrame { at: k.at, still: k.still.0, strength: k.strength, hold: k.hold }
}

fn grid(g: &travel::Grid) -> t::Grid {
    t::Grid {
        step: g.step,
        offset: g.offset,
        min: g.min,
        max: g.max,
        dims_multiple: g.dims_multiple,
        anchor_hold: g.anchor_hold,
        wants_mask: g.wants_mask,
    }
}

fn info(i: &travel::MediumInfo) -> m::MediumInfo {
    m::MediumInfo {
        id: i.id.0,
        kind: match i.kind {
            travel::MediumKind::Still => m::MediumKind::Still,
            travel::MediumKind::Clip => m::MediumKind::Clip,
        },
        dims: dims(i.dims),
        frames: i.frames,
        rate: rate(i.rate),
    }
}

fn dims(d: travel::Dims) -> m::Dims {
    m::Dims { width: d.width, height: d.height }
}

fn rate(r: travel::Rate) -> m::Rate {
    m::Rate { num: r.num, den: r.den }
}

fn span(s: travel::Span) -> m::Span {
    m::Span { start: s.start, count: s.count }
}
