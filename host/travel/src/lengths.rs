//! The frame arithmetic: legs to places.
//!
//! | symbol | meaning |
//! |---|---|
//! | `new[i]` | frames that segment i adds to the film |
//! | `o[i]` | frames that it shares with what precedes it; `o[0] = 0` unless a video is continued |
//! | `total[i] = new[i] + o[i]` | what the generator renders |
//! | film | `continued + Σ new[i]`, equally `continued + Σ total[i] − Σ o[i]` |
//!
//! `o[i+1] < new[i]`, and the first overlap is shorter than the continued video: no two fades touch, and the film's first
//! frame is shown as it is.
//!
//! A total off the generator's grid grows the overlap, so that the film's length and every anchor's place stay exact;
//! only a first segment without an overlap grows `new[0]`.

use crate::grid::Grid;
use crate::segment::Place;

/// The two lengths that a user chooses for a leg, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegLength {
    /// Frames that the leg adds to the film.
    pub new: u32,
    /// Frames shared with what precedes it.
    pub overlap: u32,
}

/// Lengths that cannot be rendered as they were asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// A leg that adds nothing.
    #[error("segment {index} would add 0 frames to the film; --segment-frames must be 1 or more")]
    NothingNew {
        /// Which segment, from 0.
        index: u32,
    },
    /// A cross-fade would cover all that its predecessor adds: the film would lose its beginning, or two fades would reach
    /// into one another.
    #[error(
        "{segment} would share {overlap} frame{s}{grown} with {before}, which has only {room} of its own and must keep one \
         of them out of the fade; {remedy}",
        s = if *overlap == 1 { "" } else { "s" }
    )]
    OverlapTooLong {
        /// Which segment it is: `segment 1 (image 2 to image 3)`.
        segment: String,
        /// Its overlap, grown to the grid.
        overlap: u32,
        /// What precedes it: `segment 0 (image 1 to image 2)` or `the continued video`.
        before: String,
        /// Frames that the predecessor adds to the film.
        room: u32,
        /// How the overlap came to be longer than asked; empty if it did not.
        grown: String,
        /// What to change.
        remedy: String,
    },
    /// An overlap with nothing before it.
    #[error("segment 0 is the film's beginning: an overlap of {overlap} has nothing to share frames with")]
    OverlapWithNothing {
        /// What was asked.
        overlap: u32,
    },
    /// The generator cannot render so many frames.
    #[error(
        "segment {index} would have {total} frames ({new} new and {overlap} shared), but the generator renders \
         {min} to {max} of them; change --segment-frames or --frame-overlap"
    )]
    BeyondGenerator {
        /// Which segment, from 0.
        index: u32,
        /// Frames to render.
        total: u32,
        /// New ones.
        new: u32,
        /// Shared ones.
        overlap: u32,
        /// The generator's shortest.
        min: u32,
        /// The generator's longest.
        max: u32,
    },
    /// The sum of all lengths leaves `u32`.
    #[error("the film would have more than {} frames", u32::MAX)]
    TooLong,
}

/// Places of all segments, and what was changed on the way, in sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lengths {
    /// One a leg.
    pub places: Vec<Place>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Lays legs out on the generator's grid. `continued` is the length of a video that the film begins with.
///
/// # Errors
/// A leg that adds nothing, an overlap that reaches into another, a length that the generator cannot render.
pub fn lay_out(legs: &[LegLength], continued: Option<u32>, grid: &Grid) -> Result<Lengths, LengthError> {
    let of = u32::try_from(legs.len()).map_err(|_| LengthError::TooLong)?;
    let mut out = Lengths::default();
    let mut film = continued.unwrap_or(0);
    let mut room = continued;
    for (index, leg) in (0u32..).zip(legs) {
        let LegLength { mut new, mut overlap } = *leg;
        if new == 0 {
            return Err(LengthError::NothingNew { index });
        }
        if room.is_none() && overlap > 0 {
            return Err(LengthError::OverlapWithNothing { overlap });
        }
        let asked = new.checked_add(overlap).ok_or(LengthError::TooLong)?;
        let surplus = grid.surplus(asked);
        let total = asked.checked_add(surplus).ok_or(LengthError::TooLong)?;
        let rule = || format!("{}n+{}", grid.step, grid.offset);
        let mut grown = String::new();
        if surplus > 0 {
            if room.is_some() {
                overlap += surplus;
                grown = format!(" ({surplus} of them added, because the generator renders {} frames)", rule());
                out.notes.push(format!(
                    "segment {index}: the overlap grows from {} to {overlap} frames, because the generator renders {} \
                     frames; the film's length does not change",
                    leg.overlap,
                    rule()
                ));
            } else {
                new += surplus;
                out.notes.push(format!(
                    "segment {index}: it adds {new} frames instead of {}, because the generator renders {} frames",
                    leg.new,
                    rule()
                ));
            }
        }
        if let Some(room) = room
            && overlap > 0
            && overlap >= room
        {
            let is_continued = continued.is_some();
            let before = match index.checked_sub(1) {
                None => "the continued video".to_owned(),
                Some(i) => between_its_ends(i, is_continued),
            };
            let segment = between_its_ends(index, is_continued);
            let remedy = remedy(*leg, index, room, grid);
            return Err(LengthError::OverlapTooLong { segment, overlap, before, room, grown, remedy });
        }
        if !grid.holds(total) {
            return Err(LengthError::BeyondGenerator { index, total, new, overlap, min: grid.min, max: grid.max });
        }
        film = film.checked_add(new).ok_or(LengthError::TooLong)?;
        room = Some(new);
        out.places.push(Place { index, of, new, overlap, total });
    }
    Ok(out)
}

/// A segment by the two ends that it lies between; images count from 1, as people do.
fn between_its_ends(index: u32, is_continued: bool) -> String {
    let end = u64::from(index) + if is_continued { 1 } else { 2 };
    match end - 1 {
        0 => format!("segment {index} (the video to image {end})"),
        begin => format!("segment {index} (image {begin} to image {end})"),
    }
}

/// What makes room for the overlap of a leg: the longest one that fits once it has grown to the grid, and what else there is.
fn remedy(leg: LegLength, index: u32, room: u32, grid: &Grid) -> String {
    let grows_to = |overlap: u32| {
        let asked = leg.new.checked_add(overlap)?;
        overlap.checked_add(grid.surplus(asked))
    };
    // Of as many neighbours as the grid's step one is on it.
    let fits = (0..room).rev().take(grid.step.max(1) as usize).find(|&o| grows_to(o).is_some_and(|grown| grown < room));
    let lower = fits.map(|most| match most {
        0 => "lower --frame-overlap to 0".to_owned(),
        most => format!("lower --frame-overlap to {most} or less"),
    });
    match (lower, index.checked_sub(1)) {
        (Some(lower), Some(before)) => format!("{lower}, or raise --segment-frames of segment {before}"),
        (Some(lower), None) => lower,
        (None, Some(before)) => format!("raise --segment-frames of segment {before}"),
        (None, None) => format!("raise --segment-frames of segment {index}, so that fewer are added"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn legs() -> impl Strategy<Value = Vec<LegLength>> {
        prop::collection::vec((1u32..200, 0u32..40), 1..12)
            .prop_map(|v| v.into_iter().map(|(new, overlap)| LegLength { new, overlap }).collect())
    }

    fn grid() -> impl Strategy<Value = Grid> {
        prop_oneof![
            Just(Grid::ANY),
            Just(Grid { min: 1, ..Grid::WAN }),
            Just(Grid { step: 8, offset: 1, min: 1, dims_multiple: 32, ..Grid::ANY })
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn the_film_has_what_was_asked_and_no_fade_reaches_into_another(
            legs in legs(), continued in prop::option::of(1u32..100), grid in grid()
        ) {
            let Ok(out) = lay_out(&legs, continued, &grid) else { return Ok(()) };
            let c = continued.unwrap_or(0);
            let new: u32 = out.places.iter().map(|p| p.new).sum();
            let total: u32 = out.places.iter().map(|p| p.total).sum();
            let overlap: u32 = out.places.iter().map(|p| p.overlap).sum();
            prop_assert_eq!(c + new, c + total - overlap);
            let grown = if continued.is_none() { grid.surplus(legs[0].new) } else { 0 };
            prop_assert_eq!(new, legs.iter().map(|l| l.new).sum::<u32>() + grown);
            let mut room = continued;
            for (p, leg) in out.places.iter().zip(&legs) {
                prop_assert!(grid.holds(p.total));
                prop_assert!(p.overlap >= leg.overlap && p.overlap < leg.overlap + grid.step);
                prop_assert!(p.overlap == 0 || Some(p.overlap) < room);
                room = Some(p.new);
            }
        }

        #[test]
        fn lengths_on_the_grid_are_left_alone(legs in legs()) {
            let mut legs = legs;
            legs[0].overlap = 0;
            if let Ok(out) = lay_out(&legs, None, &Grid { min: 1, ..Grid::ANY }) {
                prop_assert!(out.notes.is_empty());
                for (p, leg) in out.places.iter().zip(&legs) {
                    prop_assert_eq!((p.new, p.overlap), (leg.new, leg.overlap));
                }
            }
        }
    }

    fn refusal(legs: &[(u32, u32)], continued: Option<u32>, grid: &Grid) -> String {
        let legs: Vec<LegLength> = legs.iter().map(|&(new, overlap)| LegLength { new, overlap }).collect();
        lay_out(&legs, continued, grid).unwrap_err().to_string()
    }

    #[test]
    fn an_overlap_leaves_its_predecessor_a_frame() {
        let legs = |overlap| [LegLength { new: 20, overlap: 0 }, LegLength { new: 30, overlap }];
        assert!(lay_out(&legs(19), None, &Grid::ANY).is_ok());
        assert_eq!(
            refusal(&[(20, 0), (30, 20)], None, &Grid::ANY),
            "segment 1 (image 2 to image 3) would share 20 frames with segment 0 (image 1 to image 2), which has only 20 \
             of its own and must keep one of them out of the fade; lower --frame-overlap to 19 or less, or raise \
             --segment-frames of segment 0"
        );
        let error = refusal(&[(9, 0), (1, 3), (9, 1)], None, &Grid::ANY);
        assert!(error.starts_with("segment 2 (image 3 to image 4) would share 1 frame with segment 1"), "{error}");
        assert!(error.ends_with("lower --frame-overlap to 0, or raise --segment-frames of segment 1"), "{error}");
    }

    #[test]
    fn a_continued_video_is_named_as_an_end() {
        assert!(lay_out(&[LegLength { new: 9, overlap: 11 }], Some(12), &Grid::ANY).is_ok());
        assert_eq!(
            refusal(&[(9, 12)], Some(12), &Grid::ANY),
            "segment 0 (the video to image 1) would share 12 frames with the continued video, which has only 12 of its own \
             and must keep one of them out of the fade; lower --frame-overlap to 11 or less"
        );
        let error = refusal(&[(9, 2), (9, 9)], Some(12), &Grid::ANY);
        assert!(error.contains("segment 1 (image 1 to image 2)"), "{error}");
        assert!(error.contains("with segment 0 (the video to image 1)"), "{error}");
    }

    #[test]
    fn the_overlap_that_is_proposed_fits_once_it_has_grown() {
        let wan = Grid::WAN;
        let error = refusal(&[(17, 0), (30, 16)], None, &wan);
        assert!(
            error.contains("share 19 frames (3 of them added, because the generator renders 4n+1 frames)"),
            "{error}"
        );
        assert!(error.contains("lower --frame-overlap to 15 or less"), "{error}");
        assert!(lay_out(&[LegLength { new: 17, overlap: 0 }, LegLength { new: 30, overlap: 15 }], None, &wan).is_ok());
        // 18 new frames become 21 with any overlap up to 3, and a video of 3 frames has not so many to give.
        let error = refusal(&[(18, 0)], Some(3), &wan);
        assert!(error.ends_with("raise --segment-frames of segment 0, so that fewer are added"), "{error}");
    }
}
