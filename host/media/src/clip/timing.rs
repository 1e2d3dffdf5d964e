//! From timestamps to frame numbers.
//!
//! A clip whose frames stand at multiples of `1 / rate`, give or take the rounding of its time base, comes through frame by
//! frame. Any other is brought to the wanted rate: frame `n` is the one that stands nearest to `n / rate`.

use ffmpeg_next as ff;
use std::collections::VecDeque;
use travel::Rate;

/// Where a frame stands, in exact fractions of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where it begins, in `1 / unit` frames.
    at: i128,
    /// How long it lasts.
    lasts: i128,
    unit: i128,
}

impl Place {
    /// The frame of the clip that it is, if it stands near a whole number.
    pub(crate) fn number(self) -> Option<u32> {
        let nearest = (2 * self.at + self.unit).div_euclid(2 * self.unit);
        self.is_near(nearest).then(|| u32::try_from(nearest).ok()).flatten()
    }

    /// The first frame of the wanted rate that no earlier one can stand nearer to.
    pub(crate) fn first_sample(self) -> Option<u32> {
        u32::try_from(-(-self.at).div_euclid(self.unit)).ok()
    }

    fn is_near(self, n: i128) -> bool {
        4 * (self.at - n * self.unit).abs() < self.unit
    }
}

/// Multiples of `1 / rate` from the first frame on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    time_base: (i128, i128),
    rate: Rate,
    origin: Option<i64>,
}

impl Grid {
    pub(crate) fn new(time_base: ff::Rational, rate: Rate, first: Option<i64>) -> Self {
        let time_base = (i128::from(time_base.numerator().max(1)), i128::from(time_base.denominator().max(1)));
        Self { time_base, rate, origin: first }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether the clip has timestamps at all.
    pub(crate) fn is_timed(&self) -> bool {
        self.origin.is_some()
    }

    /// Where a frame stands; one without a timestamp follows the frame before it.
    pub(crate) fn place(&self, frame: &ff::frame::Video, before: Option<Place>) -> Place {
        let duration = frame.packet().duration;
        self.place_of(frame.timestamp(), duration, before)
    }

    fn place_of(&self, timestamp: Option<i64>, duration: i64, before: Option<Place>) -> Place {
        let (num, den) = self.time_base;
        let scale = num * i128::from(self.rate.num);
        let unit = den * i128::from(self.rate.den.max(1));
        let lasts = if duration > 0 { i128::from(duration) * scale } else { before.map_or(unit, |b| b.lasts) };
        let at = match (timestamp, self.origin) {
            (Some(pts), Some(origin)) => (i128::from(pts) - i128::from(origin)) * scale,
            _ => before.map_or(0, |b| b.at + b.lasts),
        };
        Place { at, lasts, unit }
    }

    /// The time of frame `n` in microseconds, as FFmpeg's seek takes it.
    pub(crate) fn microseconds(&self, n: u32) -> i64 {
        let (num, den) = self.time_base;
        let origin = i128::from(self.origin.unwrap_or(0)) * num * 1_000_000 / den;
        let time = i128::from(n) * i128::from(self.rate.den) * 1_000_000 / i128::from(self.rate.num.max(1));
        i64::try_from(origin + time).unwrap_or(i64::MAX)
    }
}

/// Hands frames out: one for one, or each as often as the wanted rate needs it.
pub(crate) struct Pace<F> {
    resample: bool,
    next: i128,
    held: Option<(F, Place)>,
    ready: VecDeque<F>,
    last: Option<Place>,
    constant: bool,
    finished: bool,
}

impl<F: Clone> Pace<F> {
    /// From frame 0 on.
    pub(crate) fn new(resample: bool) -> Self {
        Self::resumed(resample, 0)
    }

    /// From frame `next` on.
    pub(crate) fn resumed(resample: bool, next: u32) -> Self {
        Self {
            resample,
            next: next.into(),
            held: None,
            ready: VecDeque::new(),
            last: None,
            constant: true,
            finished: false,
        }
    }

    pub(crate) fn is_constant(&self) -> bool {
        self.constant
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(crate) fn last_place(&self) -> Option<Place> {
        self.last
    }

    pub(crate) fn pop(&mut self) -> Option<F> {
        self.ready.pop_front()
    }

    /// Takes the next decoded frame.
    pub(crate) fn push(&mut self, frame: F, place: Place) {
        self.last = Some(place);
        if !self.resample {
            self.constant &= place.is_near(self.next);
            self.next += 1;
            self.ready.push_back(frame);
            return;
        }
        if let Some((held, before)) = self.held.replace((frame, place)) {
            // Halfway between the two, the earlier one still stands.
            self.hand_out(held, before.at + place.at, place.unit);
        }
    }

    /// No frame comes after the last; it stands for as long as it lasts.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
        if let Some((held, place)) = self.held.take() {
            self.hand_out(held, 2 * (place.at + place.lasts) - place.unit, place.unit);
        }
    }

    /// The frame stands at every `n` with `2 n ≤ twice_until`.
    fn hand_out(&mut self, frame: F, twice_until: i128, unit: i128) {
        let until = twice_until.div_euclid(2 * unit);
        while self.next < until {
            self.ready.push_back(frame.clone());
            self.next += 1;
        }
        if self.next == until {
            self.ready.push_back(frame);
            self.next += 1;
        }
    }
}

/// The rate that a container means: its average, snapped to the usual ones, since averages come from rounded times.
pub(crate) fn nominal_rate(average: ff::Rational, base: ff::Rational) -> Rate {
    let valid = |r: ff::Rational| {
        let (num, den) = (u32::try_from(r.numerator()).ok()?, u32::try_from(r.denominator()).ok()?);
        (num > 0 && den > 0 && num / den <= 1000).then_some(Rate { num, den })
    };
    let Some(rate) = valid(average).or_else(|| valid(base)) else {
        return Rate { num: 25, den: 1 };
    };
    let fps = rate.fps();
    let whole = fps.round().max(1.0);
    let ntsc = Rate { num: (fps * 1.001).round() as u32 * 1000, den: 1001 };
    if (fps - whole).abs() < 2e-4 * whole {
        Rate { num: whole as u32, den: 1 }
    } else if (fps - ntsc.fps()).abs() < 2e-4 * fps {
        ntsc
    } else {
        rate.reduced()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(rate: Rate, resample: bool, times_ms: &[i64], last_ms: i64) -> (Vec<usize>, bool) {
        let grid = Grid::new(ff::Rational(1, 1000), rate, times_ms.first().copied());
        let mut pace = Pace::new(resample);
        for (i, t) in times_ms.iter().enumerate() {
            let lasts = times_ms.get(i + 1).map_or(last_ms, |next| next - t);
            let place = grid.place_of(Some(*t), lasts, pace.last_place());
            pace.push(i, place);
        }
        pace.finish();
        let mut out = Vec::new();
        while let Some(frame) = pace.pop() {
            out.push(frame);
        }
        (out, pace.is_constant())
    }

    #[test]
    fn a_constant_clip_with_rounded_milliseconds_comes_through_frame_by_frame() {
        let times: Vec<i64> = (0..81).map(|i| (f64::from(i) * 62.5).round() as i64 + 40).collect();
        let (out, constant) = through(Rate { num: 16, den: 1 }, true, &times, 63);
        assert_eq!(out, (0..81).collect::<Vec<_>>());
        assert!(constant);
        assert!(through(Rate { num: 16, den: 1 }, false, &times, 63).1);
    }

    #[test]
    fn a_variable_clip_is_sampled_by_the_nearest_timestamp() {
        let (out, _) = through(Rate { num: 10, den: 1 }, true, &[0, 100, 400, 430, 500], 100);
        assert_eq!(out, [0, 1, 1, 2, 2, 4]);
        assert!(!through(Rate { num: 10, den: 1 }, false, &[0, 100, 400], 100).1);
    }

    #[test]
    fn twice_the_rate_doubles_and_half_the_rate_halves() {
        let times: Vec<i64> = (0..8).map(|i| i * 100).collect();
        assert_eq!(through(Rate { num: 20, den: 1 }, true, &times, 100).0.len(), 16);
        assert_eq!(through(Rate { num: 5, den: 1 }, true, &times, 100).0, [0, 2, 4, 6]);
    }

    #[test]
    fn averages_snap_to_the_usual_rates() {
        assert_eq!(nominal_rate(ff::Rational(16000, 1001), ff::Rational(0, 1)).to_string(), "16000/1001");
        assert_eq!(nominal_rate(ff::Rational(2997, 100), ff::Rational(0, 1)).to_string(), "30000/1001");
        assert_eq!(nominal_rate(ff::Rational(0, 0), ff::Rational(24, 1)).to_string(), "24");
        assert_eq!(nominal_rate(ff::Rational(25, 2), ff::Rational(25, 2)).to_string(), "25/2");
    }
}
