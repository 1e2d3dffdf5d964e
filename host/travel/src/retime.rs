//! From frames at one rate to frames at another: each shows what stands nearest to its time.

use crate::Rate;

/// From one rate to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retiming {
    /// Of what there is.
    pub from: Rate,
    /// Of what is wanted.
    pub to: Rate,
}

impl Retiming {
    /// Frames that come of `frames`: as many as take the same time, rounded; one at the least of one or more.
    #[must_use]
    pub fn frames(&self, frames: u64) -> u64 {
        let (up, down) = self.ratio();
        rounded(u128::from(frames) * up, down).max(u64::from(frames > 0))
    }

    /// Which of `frames` the frame `i` of what comes of them shows: the nearest in time, of two the earlier.
    #[must_use]
    pub fn source(&self, i: u64, frames: u64) -> u64 {
        let (up, down) = self.ratio();
        let (num, den) = (u128::from(i) * down, up);
        // Halves go down.
        let nearest = (2 * num + den).saturating_sub(1) / (2 * den);
        u64::try_from(nearest).unwrap_or(u64::MAX).min(frames.saturating_sub(1))
    }

    /// Frames of `to` for each of `from`, as a fraction.
    fn ratio(&self) -> (u128, u128) {
        let product = |a: u32, b: u32| u128::from(a.max(1)) * u128::from(b.max(1));
        (product(self.to.num, self.from.den), product(self.to.den, self.from.num))
    }
}

fn rounded(num: u128, den: u128) -> u64 {
    u64::try_from((2 * num + den) / (2 * den)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate() -> impl Strategy<Value = Rate> {
        prop_oneof![
            (1u32..120).prop_map(|num| Rate { num, den: 1 }),
            prop::sample::select(vec![24_000u32, 30_000, 60_000]).prop_map(|num| Rate { num, den: 1001 }),
        ]
    }

    proptest! {
        #[test]
        fn every_frame_shows_what_stands_nearest_to_its_time(from in rate(), to in rate(), frames in 1u64..5000) {
            let retiming = Retiming { from, to };
            let count = retiming.frames(frames);
            let seconds = |n: u64, rate: Rate| n as f64 * f64::from(rate.den) / f64::from(rate.num);
            prop_assert!((seconds(count, to) - seconds(frames, from)).abs() <= seconds(1, to) / 2.0 + 1e-9 || count == 1);
            let mut before = 0;
            for i in 0..count {
                let source = retiming.source(i, frames);
                prop_assert!(source < frames && source >= before);
                let off = (seconds(source, from) - seconds(i, to)).abs();
                prop_assert!(off <= seconds(1, from) / 2.0 + 1e-9 || source + 1 == frames, "{} is {} s off", i, off);
                before = source;
            }
        }

        #[test]
        fn one_rate_changes_nothing(rate in rate(), frames in 0u64..5000) {
            let same = Retiming { from: rate, to: rate };
            prop_assert_eq!(same.frames(frames), frames);
            prop_assert!((0..frames).all(|i| same.source(i, frames) == i));
        }
    }
}
