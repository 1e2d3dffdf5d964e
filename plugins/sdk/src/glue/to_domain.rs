//! Requests.

use super::{crossfade as c, guide as g, media as m, orchestrate as o, shared as t};
use travel::{MediumId, crossfade, guide, orchestrate};

pub fn orchestrate_request(r: o::Request) -> orchestrate::Request {
    orchestrate::Request {
        run: r.run,
        canvas: dims(r.canvas),
        rate: rate(r.rate),
        stills: r.stills.into_iter().map(info).collect(),
        continued: r.continued.map(info),
        legs: r.legs.into_iter().map(leg).collect(),
        wrap: r.wrap,
        grid: grid(r.grid),
        params: r.params,
        max_nodes: r.max_nodes,
    }
}

pub fn guide_request(r: g::Request) -> guide::Request {
    guide::Request {
        place: place(r.place),
        canvas: dims(r.canvas),
        rate: rate(r.rate),
        key_frames: r.key_frames.into_iter().map(key_frame).collect(),
        previous: r.previous.map(|(medium, at)| (MediumId(medium), span(at))),
        next: r.next.map(|(medium, at)| (MediumId(medium), span(at))),
        grid: grid(r.grid),
        media: r.media.into_iter().map(info).collect(),
        params: r.params,
    }
}

pub fn crossfade_request(r: c::Request) -> crossfade::Request {
    crossfade::Request {
        clips: r.clips.into_iter().map(info).collect(),
        joins: r.joins.into_iter().map(join).collect(),
        rate: rate(r.rate),
        params: r.params,
    }
}

fn join(j: c::Join) -> crossfade::Join {
    crossfade::Join {
        overlap: j.overlap,
        left: j.left.into_iter().map(colour).collect(),
        right: j.right.into_iter().map(colour).collect(),
        likeness: j.likeness,
    }
}

fn colour(c: c::Colour) -> crossfade::Colour {
    crossfade::Colour { mean: c.mean.into(), deviation: c.deviation.into() }
}

fn leg(l: o::Leg) -> travel::Leg {
    travel::Leg {
        prompt: l.prompt,
        negative_prompt: l.negative_prompt,
        new: l.new,
        overlap: l.overlap,
        seed: l.seed,
        settings: l.settings,
    }
}

fn place(p: t::Place) -> travel::Place {
    travel::Place { index: p.index, of: p.of, new: p.new, overlap: p.overlap, total: p.total }
}

fn key_frame(k: t::KeyFrame) -> travel::KeyFrame {
    travel::KeyFrame { at: k.at, still: MediumId(k.still), strength: k.strength, hold: k.hold }
}

fn grid(g: t::Grid) -> travel::Grid {
    travel::Grid {
        step: g.step,
        offset: g.offset,
        min: g.min,
        max: g.max,
        dims_multiple: g.dims_multiple,
        anchor_hold: g.anchor_hold,
        wants_mask: g.wants_mask,
    }
}

fn info(i: m::MediumInfo) -> travel::MediumInfo {
    travel::MediumInfo {
        id: MediumId(i.id),
        kind: match i.kind {
            m::MediumKind::Still => travel::MediumKind::Still,
            m::MediumKind::Clip => travel::MediumKind::Clip,
        },
        dims: dims(i.dims),
        frames: i.frames,
        rate: rate(i.rate),
    }
}

fn dims(d: m::Dims) -> travel::Dims {
    travel::Dims { width: d.width, height: d.height }
}

fn rate(r: m::Rate) -> travel::Rate {
    travel::Rate { num: r.num, den: r.den }
}

fn span(s: m::Span) -> travel::Span {
    travel::Span { start: s.start, count: s.count }
}
