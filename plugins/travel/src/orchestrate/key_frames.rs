//! Which still stands where in a segment.
//!
//! A segment ends at its still: segment i from scratch runs from still i to still i + 1, and after a continued video from
//! still i − 1 (the video itself for i = 0) to still i.

use travel::orchestrate::Request;
use travel::{KeyFrame, MediumId, Place, Source};

/// `wrap` frames at the segment's end are the film's beginning again: its still stands where they begin.
pub(super) fn of(place: Place, continues: Source, request: &Request, hold: u32, wrap: u32) -> Vec<KeyFrame> {
    let still = |index: Option<u32>| index.and_then(|i| request.stills.get(i as usize)).map(|s| s.id);
    let (from, to) = if request.continued.is_some() {
        (still(place.index.checked_sub(1)), still(Some(place.index)))
    } else {
        (still(Some(place.index)), still(place.index.checked_add(1)))
    };
    let end = to.map(|id| {
        // Within the new frames, and clear of a start still at frame 0.
        let room = place.new.min(place.total.saturating_sub(1)).max(1);
        match wrap {
            0 => KeyFrame { at: place.total.saturating_sub(1), still: id, strength: 1.0, hold: hold.min(room) },
            _ => KeyFrame { at: place.total.saturating_sub(wrap), still: id, strength: 1.0, hold: hold.min(wrap) },
        }
    });
    let start = from.and_then(|id| start(place, continues, id)).filter(|start| {
        // A segment of a single frame shows what the next one leaves from.
        end.and_then(|end| end.span(place.total)).is_none_or(|end| start.at < end.start)
    });
    start.into_iter().chain(end).collect()
}

/// The start still. A segment that continues another has that one's frames to start from; a cut has nothing else, and one
/// that only shares an overlap passes through the still where its predecessor ends with it: at the overlap's last frame.
fn start(place: Place, continues: Source, still: MediumId) -> Option<KeyFrame> {
    let at = match continues {
        Source::Nothing => place.overlap.saturating_sub(1),
        Source::Continued | Source::Segment(_) => return None,
    };
    Some(KeyFrame { at, still, strength: 1.0, hold: 1 })
}
