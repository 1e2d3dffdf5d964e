//! What the stitch and the encode of a film's part say alike: what the cross-fade policy is asked, and how frames are made.

use crate::spec::RunSpec;
use travel::crossfade::{Join, Plan, Request};
use travel::{Dims, MediumId, MediumInfo, MediumKind, Role};
use travel_media::{Encode, InBetween, MediaSet, Stitch};

/// The request for clips of these sizes and lengths, in film order.
pub(super) fn request(spec: &RunSpec, clips: impl Iterator<Item = (Dims, u32)>, joins: Vec<Join>) -> Request {
    let (kind, rate) = (MediumKind::Clip, spec.rate);
    let info = |(id, (dims, frames)): (u32, (Dims, u32))| MediumInfo { id: MediumId(id), kind, dims, frames, rate };
    Request { clips: (0u32..).zip(clips).map(info).collect(), joins, rate, params: spec.params(Role::Crossfade) }
}

/// The film of an edit list, or parts of it.
pub(super) fn stitch<'a>(
    spec: &RunSpec,
    plan: &'a Plan,
    request: &'a Request,
    clips: &'a MediaSet,
    encode: &'a Encode,
) -> Stitch<'a> {
    let (canvas, rate, film_rate) = (spec.canvas, spec.rate, spec.film_rate());
    Stitch { plan, request, clips, canvas, rate, film_rate, encode, between: in_betweener() }
}

/// Who finds what lies between two frames: the embedded network, where the program has it.
fn in_betweener() -> Option<&'static dyn InBetween> {
    #[cfg(feature = "rife")]
    return Some(&travel_generators::Rife);
    #[cfg(not(feature = "rife"))]
    return None;
}
