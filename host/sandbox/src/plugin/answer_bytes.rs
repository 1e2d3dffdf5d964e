//! Bytes that an honest answer may take on its way to the host: a plan grows with its film.
//!
//! An entry of a table has four bytes, and a frame at most four entries; the rest is room for the records around them.

use travel::{crossfade, guide, orchestrate};

const FRAME: u64 = 4 * 4 * 2;
const RECORD: u64 = 512;

pub(super) fn graph(r: &orchestrate::Request) -> u64 {
    let text = |l: &travel::Leg| (l.prompt.len() + l.negative_prompt.len() + l.settings.len()) as u64;
    r.legs.iter().map(|l| 2 * text(l) + 2 * RECORD).sum()
}

pub(super) fn guide(r: &guide::Request) -> u64 {
    u64::from(r.place.total) * FRAME + (guide::MAX_LAYERS as u64) * RECORD
}

pub(super) fn crossfade(r: &crossfade::Request) -> u64 {
    r.film_frames() * FRAME + r.clips.len() as u64 * 4 * RECORD
}
