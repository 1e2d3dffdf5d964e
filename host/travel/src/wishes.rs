//! Per-leg lists: one value for all legs, or one for each.

use crate::segment::Leg;
use serde::{Deserialize, Serialize};

/// What a user wishes of the legs, as lists of one value or of one a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// `--segment-frames`: frames that each leg adds to the film.
    pub segment_frames: Vec<u32>,
    /// `--frame-overlap`: frames shared at each join.
    pub frame_overlap: Vec<u32>,
    /// `--base-prompts`
    pub prompts: Vec<String>,
    /// `--negative-prompts`
    pub negative_prompts: Vec<String>,
    /// Leg i uses `seed + i`.
    pub seed: u64,
    /// For the generator alone; a JSON object, the same for every leg.
    pub settings: String,
}

/// A list that fits neither one value nor one a leg.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} has {got} values for {legs} {unit}; give one for all{allowed}")]
pub struct ListLength {
    /// The flag as the user typed it.
    pub flag: &'static str,
    /// Values given.
    pub got: usize,
    /// Legs of the run, or joins.
    pub legs: u32,
    /// `legs` or `joins`.
    pub unit: &'static str,
    /// What else would have been right, as `, or 3`.
    pub allowed: String,
}

impl Wishes {
    /// The wishes leg by leg, and what the user should know. A film from scratch of N legs has N − 1 joins; with a
    /// continued video it has N, the first being the join with that video.
    ///
    /// # Errors
    /// A list that fits neither 1 nor the number of legs (of joins, for the overlaps).
    pub fn legs(&self, n: u32, continued: bool) -> Result<(Vec<Leg>, Vec<String>), ListLength> {
        let mut notes = Vec::new();
        let joins = if continued { n } else { n.saturating_sub(1) };
        let overlaps = &self.frame_overlap;
        let fits = |len: usize, n: u32| u32::try_from(len) == Ok(n);
        if overlaps.len() != 1 && !fits(overlaps.len(), joins) {
            if !continued && fits(overlaps.len(), n) {
                notes.push(format!(
                    "--frame-overlap has {n} values for {joins} joins; the last one, {}, is not used",
                    overlaps.last().copied().unwrap_or_default()
                ));
            } else {
                return Err(ListLength {
                    flag: "--frame-overlap",
                    got: overlaps.len(),
                    legs: joins,
                    unit: "joins",
                    allowed: if joins > 1 { format!(", or {joins}") } else { String::new() },
                });
            }
        }
        let overlap_of = |leg: u32| match (leg.checked_sub(u32::from(!continued)), overlaps.as_slice()) {
            (None, _) => 0,
            (Some(_), [one]) => *one,
            (Some(join), many) => many.get(join as usize).copied().unwrap_or(0),
        };
        let prompts = spread("--base-prompts", &self.prompts, n)?;
        let negatives = spread("--negative-prompts", &self.negative_prompts, n)?;
        let news = spread("--segment-frames", &self.segment_frames, n)?;
        let legs = (0..n)
            .zip(prompts.into_iter().zip(negatives).zip(news))
            .map(|(i, ((prompt, negative_prompt), new))| Leg {
                prompt,
                negative_prompt,
                new,
                overlap: overlap_of(i),
                seed: self.seed.wrapping_add(u64::from(i)),
                settings: self.settings.clone(),
            })
            .collect();
        Ok((legs, notes))
    }
}

fn spread<T: Clone>(flag: &'static str, list: &[T], n: u32) -> Result<Vec<T>, ListLength> {
    match list {
        [one] => Ok(vec![one.clone(); n as usize]),
        many if u32::try_from(many.len()) == Ok(n) => Ok(many.to_vec()),
        many => Err(ListLength { flag, got: many.len(), legs: n, unit: "legs", allowed: format!(", or {n}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(overlap: &[u32], frames: &[u32]) -> Wishes {
        Wishes {
            segment_frames: frames.to_vec(),
            frame_overlap: overlap.to_vec(),
            prompts: vec![String::new()],
            negative_prompts: vec![String::new()],
            seed: 7,
            settings: "{}".into(),
        }
    }

    fn overlaps(w: &Wishes, n: u32, continued: bool) -> Vec<u32> {
        w.legs(n, continued).unwrap().0.iter().map(|l| l.overlap).collect()
    }

    #[test]
    fn overlaps_belong_to_joins() {
        assert_eq!(overlaps(&wishes(&[4], &[9]), 3, false), [0, 4, 4]);
        assert_eq!(overlaps(&wishes(&[4], &[9]), 3, true), [4, 4, 4]);
        assert_eq!(overlaps(&wishes(&[4, 5], &[9]), 3, false), [0, 4, 5]);
        assert_eq!(overlaps(&wishes(&[4, 5, 6], &[9]), 3, true), [4, 5, 6]);
        let (legs, notes) = wishes(&[4, 5, 6], &[9]).legs(3, false).unwrap();
        assert_eq!(legs.iter().map(|l| l.overlap).collect::<Vec<_>>(), [0, 4, 5]);
        assert_eq!(notes.len(), 1, "the unused value is said");
    }

    #[test]
    fn a_list_of_another_length_is_refused_with_both_numbers() {
        let error = wishes(&[4], &[9, 9]).legs(3, false).unwrap_err().to_string();
        assert_eq!(error, "--segment-frames has 2 values for 3 legs; give one for all, or 3");
        assert!(wishes(&[1, 2], &[9]).legs(3, true).is_err());
        assert!(wishes(&[1, 2, 3, 4], &[9]).legs(3, false).is_err());
    }
}
