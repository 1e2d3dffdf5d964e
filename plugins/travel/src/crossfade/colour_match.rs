//! Colours of each clip, moved to those of the one before it.
//!
//! Both sides of an overlap show the same moment, so their statistics should agree. Each plane of the later clip gets a
//! gain (the ratio of deviations) and an offset (what then separates the means), so that it continues the *corrected*
//! earlier clip: corrections compose from clip to clip. A plain cut has nothing to compare, and what follows it starts
//! uncorrected. The method is the linear colour transfer of Reinhard et al. (2001), plane by plane.

use super::{Clip, ColourMatch};
use travel::crossfade::{Colour, Join};
use travel::{Span, Tone, Weight};

/// A contrast change beyond this is a difference in content, not in rendering.
const GAIN: std::ops::RangeInclusive<f64> = 0.8..=1.25;
/// The most that a plane's mean is moved; the same reason.
const MOST_SHIFT: f64 = 0.125;
/// Corrections within these are none, so that equal overlaps are copied untouched.
const NEGLIGIBLE_GAIN: f64 = 0.004;
const NEGLIGIBLE_OFFSET: f64 = 0.002;
/// A plane flatter than this has no contrast to compare.
const FLAT: f64 = 0.002;

/// What is done to one clip.
#[derive(Debug, Clone)]
pub(super) struct Correction {
    planes: Option<[Affine; 3]>,
    /// First frame at which a decaying correction is less than whole, and the frames over which it falls to nothing.
    decay: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    gain: f64,
    offset: f64,
}

impl Affine {
    const NONE: Self = Self { gain: 1.0, offset: 0.0 };

    fn is_negligible(self) -> bool {
        (self.gain - 1.0).abs() <= NEGLIGIBLE_GAIN && self.offset.abs() <= NEGLIGIBLE_OFFSET
    }

    /// With `amount` of it applied, as the contract has it.
    fn scaled(self, amount: f64) -> Self {
        Self { gain: 1.0 + amount * (self.gain - 1.0), offset: amount * self.offset }
    }
}

impl Correction {
    const NONE: Self = Self { planes: None, decay: None };

    /// The tone for frames of the clip.
    pub(super) fn tone(&self, at: Span) -> Option<Tone> {
        let planes = self.planes?;
        let amount = match self.decay {
            Some(_) => Weight::Linear(
                self.amount(at.start) as f32,
                self.amount(at.start.saturating_add(at.count.saturating_sub(1))) as f32,
            ),
            None => Weight::ONE,
        };
        // Within the overlap that it was measured in, a decaying correction is whole.
        let amount = if amount == Weight::Linear(1.0, 1.0) { Weight::ONE } else { amount };
        Some(Tone { gain: planes.map(|p| p.gain as f32), offset: planes.map(|p| p.offset as f32), amount })
    }

    /// Frames of the clip in pieces over each of which the tone changes evenly; none of no frames.
    pub(super) fn evenly(&self, at: Span) -> impl Iterator<Item = Span> {
        let whole = self.decay.map_or(0, |(from, _)| from).saturating_sub(at.start).min(at.count);
        let pieces = [Span::new(at.start, whole), Span::new(at.start.saturating_add(whole), at.count - whole)];
        pieces.into_iter().filter(|piece| piece.count > 0)
    }

    fn amount(&self, frame: u32) -> f64 {
        match self.decay {
            Some((from, over)) if frame >= from => {
                1.0 - f64::from(frame - from + 1).min(f64::from(over)) / f64::from(over.max(1))
            }
            _ => 1.0,
        }
    }

    fn plane(&self, plane: usize, frame: u32) -> Affine {
        let whole = self.planes.and_then(|p| p.get(plane).copied()).unwrap_or(Affine::NONE);
        whole.scaled(self.amount(frame))
    }
}

/// A correction a clip, in film order.
pub(super) fn corrections(clips: &[Clip<'_>], joins: &[Join], how: ColourMatch) -> Vec<Correction> {
    let mut corrections = vec![Correction::NONE];
    for (join, pair) in joins.iter().zip(clips.windows(2)) {
        let ([left, right], Some(before)) = (pair, corrections.last()) else { break };
        let next = if how == ColourMatch::Off || join.overlap == 0 {
            Correction::NONE
        } else {
            let first = left.info.frames.saturating_sub(join.overlap);
            let planes = [0, 1, 2].map(|plane| match_plane(plane, join, before, first));
            let decay =
                (how == ColourMatch::Decay).then(|| (join.overlap, right.info.frames.saturating_sub(join.overlap)));
            let planes = (!planes.iter().all(|p| p.is_negligible())).then_some(planes);
            Correction { decay: planes.and(decay), planes }
        };
        corrections.push(next);
    }
    corrections
}

/// Moves the right side's plane to the left side's as `before` leaves it. `first` is the left clip's frame at which the
/// overlap begins.
fn match_plane(plane: usize, join: &Join, before: &Correction, first: u32) -> Affine {
    let mut left = Sums::default();
    for (frame, colour) in (first..).zip(&join.left) {
        let Affine { gain, offset } = before.plane(plane, frame);
        let (mean, deviation) = of(colour, plane);
        left.add(gain * mean + offset, gain * deviation);
    }
    let mut right = Sums::default();
    for colour in &join.right {
        let (mean, deviation) = of(colour, plane);
        right.add(mean, deviation);
    }
    let (Some((left_mean, left_deviation)), Some((right_mean, right_deviation))) = (left.means(), right.means()) else {
        return Affine::NONE;
    };
    let gain = if left_deviation < FLAT || right_deviation < FLAT {
        1.0
    } else {
        (left_deviation / right_deviation).clamp(*GAIN.start(), *GAIN.end())
    };
    let shift = (left_mean - right_mean).clamp(-MOST_SHIFT, MOST_SHIFT);
    let affine = Affine { gain, offset: right_mean + shift - gain * right_mean };
    if affine.is_negligible() { Affine::NONE } else { affine }
}

fn of(colour: &Colour, plane: usize) -> (f64, f64) {
    let at = |planes: &[f32; 3]| planes.get(plane).map_or(0.0, |v| f64::from(*v));
    (at(&colour.mean), at(&colour.deviation))
}

#[derive(Default)]
struct Sums {
    mean: f64,
    deviation: f64,
    frames: u32,
}

impl Sums {
    fn add(&mut self, mean: f64, deviation: f64) {
        // A measurement that is none says nothing.
        if mean.is_finite() && deviation.is_finite() {
            self.mean += mean;
            self.deviation += deviation;
            self.frames += 1;
        }
    }

    fn means(&self) -> Option<(f64, f64)> {
        let n = f64::from(self.frames);
        (self.frames > 0).then(|| (self.mean / n, self.deviation / n))
    }
}
