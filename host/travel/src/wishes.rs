//! Per-leg lists: one value for all legs, or one for each.

use crate::segment::Leg;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a user wishes of the legs, as lists of one value or of one a leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// `--segment-frames`: frames that each leg adds to the film.
    pub segment_frames: Vec<u32>,
    /// `--frame-overlap`: frames shared at each join.
    pub frame_overlap: Vec<u32>,
    /// `--loop`: whether the film's end passes into its beginning, which is one more join.
    #[serde(default)]
    pub goes_round: bool,
    /// `--base-prompts`
    pub prompts: Vec<String>,
    /// `--negative-prompts`
    pub negative_prompts: Vec<String>,
    /// Leg i uses `seed + i`.
    pub seed: u64,
    /// For the generator alone; a JSON object, the same for every leg.
    pub settings: String,
    /// What single legs, by their number, have instead.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub each: BTreeMap<u32, LegWish>,
}

/// What one leg has instead of what all have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LegWish {
    /// What to show, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What to avoid, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_prompt: Option<String>,
    /// For the generator's randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// For the generator alone; a JSON object, in place of that of all legs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

impl LegWish {
    /// The leg with this in place of what it has.
    #[must_use]
    pub fn on(&self, mut leg: Leg) -> Leg {
        let put = |to: &mut String, from: &Option<String>| from.iter().for_each(|from| to.clone_from(from));
        put(&mut leg.prompt, &self.prompt);
        put(&mut leg.negative_prompt, &self.negative_prompt);
        put(&mut leg.settings, &self.settings);
        leg.seed = self.seed.unwrap_or(leg.seed);
        leg
    }

    /// This, and where it says nothing what was said before.
    #[must_use]
    pub fn over(self, before: Option<&Self>) -> Self {
        let before = before.cloned().unwrap_or_default();
        Self {
            prompt: self.prompt.or(before.prompt),
            negative_prompt: self.negative_prompt.or(before.negative_prompt),
            seed: self.seed.or(before.seed),
            settings: self.settings.or(before.settings),
        }
    }

    /// What makes one leg of another, as far as this can say it.
    #[must_use]
    pub fn between(from: &Leg, to: &Leg) -> Self {
        let other = |from: &String, to: &String| (from != to).then(|| to.clone());
        Self {
            prompt: other(&from.prompt, &to.prompt),
            negative_prompt: other(&from.negative_prompt, &to.negative_prompt),
            seed: (from.seed != to.seed).then_some(to.seed),
            settings: other(&from.settings, &to.settings),
        }
    }
}

/// Wishes that fit no leg.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LegsError {
    /// A list that fits neither one value nor one a leg.
    #[error("{flag} has {got} values for {legs} {unit}; give one for all{allowed}")]
    ListLength {
        /// The flag as the user typed it.
        flag: &'static str,
        /// Values given.
        got: usize,
        /// Legs of the run, or joins.
        legs: u32,
        /// `legs` or `joins`.
        unit: &'static str,
        /// What else would have been right, as `, or 3`.
        allowed: String,
    },
    /// Something for a leg that there is not.
    #[error("there is no segment {leg}: the film has {legs} of them, counted from 0")]
    NoLeg {
        /// Its number.
        leg: u32,
        /// Legs of the run.
        legs: u32,
    },
}

impl Wishes {
    /// Frames in which the film's end passes into its beginning; 0 for a film with an end.
    #[must_use]
    pub fn wrap(&self) -> u32 {
        self.frame_overlap.last().copied().filter(|_| self.goes_round).unwrap_or(0)
    }

    /// The wishes leg by leg, and what the user should know. A film from scratch of N legs has N − 1 joins; with a
    /// continued video it has N, the first being the join with that video; one that goes round has N, the last being where it
    /// does.
    ///
    /// # Errors
    /// A list that fits neither 1 nor the number of legs (of joins, for the overlaps).
    pub fn legs(&self, n: u32, continued: bool) -> Result<(Vec<Leg>, Vec<String>), LegsError> {
        let mut notes = Vec::new();
        let joins = if continued || self.goes_round { n } else { n.saturating_sub(1) };
        let overlaps = &self.frame_overlap;
        let fits = |len: usize, n: u32| u32::try_from(len) == Ok(n);
        if overlaps.len() != 1 && !fits(overlaps.len(), joins) {
            if !continued && fits(overlaps.len(), n) {
                notes.push(format!(
                    "--frame-overlap has {n} values for {joins} joins; the last one, {}, is not used",
                    overlaps.last().copied().unwrap_or_default()
                ));
            } else {
                return Err(LegsError::ListLength {
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
        if let Some((&leg, _)) = self.each.last_key_value().filter(|(leg, _)| **leg >= n) {
            return Err(LegsError::NoLeg { leg, legs: n });
        }
        let prompts = spread("--base-prompts", &self.prompts, n)?;
        let negatives = spread("--negative-prompts", &self.negative_prompts, n)?;
        let news = spread("--segment-frames", &self.segment_frames, n)?;
        let legs = (0..n)
            .zip(prompts.into_iter().zip(negatives).zip(news))
            .map(|(i, ((prompt, negative_prompt), new))| {
                let (overlap, seed) = (overlap_of(i), self.seed.wrapping_add(u64::from(i)));
                let leg = Leg { prompt, negative_prompt, new, overlap, seed, settings: self.settings.clone() };
                self.each.get(&i).map_or(leg.clone(), |wish| wish.on(leg))
            })
            .collect();
        Ok((legs, notes))
    }
}

fn spread<T: Clone>(flag: &'static str, list: &[T], n: u32) -> Result<Vec<T>, LegsError> {
    match list {
        [one] => Ok(vec![one.clone(); n as usize]),
        many if u32::try_from(many.len()) == Ok(n) => Ok(many.to_vec()),
        many => {
            Err(LegsError::ListLength { flag, got: many.len(), legs: n, unit: "legs", allowed: format!(", or {n}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(overlap: &[u32], frames: &[u32]) -> Wishes {
        Wishes {
            segment_frames: frames.to_vec(),
            frame_overlap: overlap.to_vec(),
            goes_round: false,
            prompts: vec![String::new()],
            negative_prompts: vec![String::new()],
            seed: 7,
            settings: "{}".into(),
            each: BTreeMap::new(),
        }
    }

    #[test]
    fn a_single_leg_can_differ() {
        let mut wishes = wishes(&[4], &[9]);
        let changed = LegWish { seed: Some(99), prompt: Some("snow".into()), ..LegWish::default() };
        wishes.each.insert(1, changed.clone());
        let (legs, _) = wishes.legs(3, false).unwrap();
        let told: Vec<_> = legs.iter().map(|leg| (leg.seed, leg.prompt.as_str())).collect();
        assert_eq!(told, [(7, ""), (99, "snow"), (9, "")]);
        let plain = Wishes { each: BTreeMap::new(), ..wishes.clone() }.legs(3, false).unwrap().0;
        assert_eq!(LegWish::between(&plain[1], &legs[1]), changed);
        assert_eq!(LegWish::between(&plain[2], &legs[2]), LegWish::default());
        assert_eq!(wishes.legs(1, false).unwrap_err(), LegsError::NoLeg { leg: 1, legs: 1 });
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
        let round = Wishes { goes_round: true, ..wishes(&[4, 5, 6], &[9]) };
        assert_eq!((overlaps(&round, 3, false), round.wrap()), (vec![0, 4, 5], 6));
        assert_eq!(Wishes { frame_overlap: vec![3], ..round }.wrap(), 3);
    }

    #[test]
    fn a_list_of_another_length_is_refused_with_both_numbers() {
        let error = wishes(&[4], &[9, 9]).legs(3, false).unwrap_err().to_string();
        assert_eq!(error, "--segment-frames has 2 values for 3 legs; give one for all, or 3");
        assert!(wishes(&[1, 2], &[9]).legs(3, true).is_err());
        assert!(wishes(&[1, 2, 3, 4], &[9]).legs(3, false).is_err());
    }
}
