//! What a guide is composed from. Asked twice: by the rehearsal before a run is stored, and by the segment's handler; both
//! ask the same.

use crate::error::EngineError;
use std::collections::BTreeSet;
use travel::guide::Request;
use travel::{Dims, Grid, MediumId, MediumInfo, MediumKind, Rate, Segment, Span};

/// What all guides of a film share.
pub(crate) struct Film<'a> {
    pub(crate) canvas: Dims,
    pub(crate) rate: Rate,
    /// Sizes of the run's stills.
    pub(crate) stills: &'a [Dims],
    pub(crate) grid: Grid,
    /// The guide's parameters; a JSON object.
    pub(crate) params: &'a str,
}

/// The name of the clip that a segment continues: the first that no still has.
pub(crate) fn previous_id(stills: usize) -> MediumId {
    MediumId(u32::try_from(stills).unwrap_or(u32::MAX))
}

/// The name of the clip that a segment returns to.
pub(crate) fn next_id(stills: usize) -> MediumId {
    MediumId(previous_id(stills).0.saturating_add(1))
}

/// The request for a segment; `previous` are size and frames of the clip that it continues, `next` those of the clip that it returns
/// to, and how many of those frames it repeats.
pub(crate) fn guide_request(
    segment: &Segment,
    film: &Film<'_>,
    previous: Option<(Dims, u32)>,
    next: Option<(Dims, u32, u32)>,
) -> Result<Request, EngineError> {
    let ids: BTreeSet<MediumId> = segment.key_frames.iter().map(|k| k.still).collect();
    let mut media = Vec::with_capacity(ids.len() + 1);
    for id in ids {
        let dims = film.stills.get(id.0 as usize).copied();
        let dims = dims.ok_or_else(|| EngineError::Stored(format!("the run has no still {}", id.0)))?;
        media.push(MediumInfo { id, kind: MediumKind::Still, dims, frames: 1, rate: Rate::STILL });
    }
    let overlap = segment.place.overlap;
    let previous = match previous.filter(|_| overlap > 0) {
        None => None,
        Some((dims, frames)) => {
            let id = previous_id(film.stills.len());
            let start = frames.checked_sub(overlap).ok_or_else(|| {
                EngineError::Stored(format!("the clip before has {frames} frames, fewer than the overlap of {overlap}"))
            })?;
            media.push(MediumInfo { id, kind: MediumKind::Clip, dims, frames, rate: film.rate });
            Some((id, Span::new(start, overlap)))
        }
    };
    let next = next.map(|(dims, frames, wrap)| {
        let id = next_id(film.stills.len());
        media.push(MediumInfo { id, kind: MediumKind::Clip, dims, frames, rate: film.rate });
        (id, Span::new(0, wrap))
    });
    Ok(Request {
        place: segment.place,
        canvas: film.canvas,
        rate: film.rate,
        key_frames: segment.key_frames.clone(),
        previous,
        next,
        grid: film.grid,
        media,
        params: film.params.to_owned(),
    })
}
