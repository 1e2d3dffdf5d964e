//! How time runs between two kept frames: place in the gap → share of the way.

use travel::easing::Easing;

/// A curve from (0, 0) to (1, 1) that never falls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As the settings say.
    Eased(Easing),
    /// A cubic Hermite curve that starts with this slope.
    FromSpeed(f64),
}

impl Pace {
    /// Equal steps.
    pub(crate) const EVEN: Self = Self::FromSpeed(1.0);

    /// Goes on at `slope` times the gap's mean speed. The slope is limited to 0…3, within which the cubic is monotone
    /// whatever its other end does (Fritsch & Carlson 1980, eq. 3.3 and figure 2).
    #[cfg(any(feature = "rife", test))]
    pub(crate) fn from_speed(slope: f64) -> Self {
        if slope.is_finite() { Self::FromSpeed(slope.clamp(0.0, 3.0)) } else { Self::EVEN }
    }

    /// The share of the way at `s`, both in 0…1.
    pub(crate) fn at(self, s: f64) -> f64 {
        let s = s.clamp(0.0, 1.0);
        let way = match self {
            Self::Eased(easing) => easing.at(s),
            Self::FromSpeed(start) => {
                // The natural end (no curvature there): of all ends the one that bends least, 1 when the start is 1.
                // It also calms a chain of gaps: what the next gap starts with differs from 1 half as much.
                let end = (3.0 - start) / 2.0;
                let (s2, s3) = (s * s, s * s * s);
                start * (s3 - 2.0 * s2 + s) + (3.0 * s2 - 2.0 * s3) + end * (s3 - s2)
            }
        };
        way.clamp(0.0, 1.0)
    }

    /// The shares of the way of the `frames` in-betweens of a gap, neither end included.
    pub(crate) fn steps(self, frames: u32) -> impl Iterator<Item = f64> {
        (1..=frames).map(move |i| self.at(f64::from(i) / (f64::from(frames) + 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slope_gives_a_rising_curve_that_starts_with_it() {
        for tenth in -10..50 {
            let slope = f64::from(tenth) / 10.0;
            let pace = Pace::from_speed(slope);
            assert!(pace.at(0.0).abs() < 1e-12 && (pace.at(1.0) - 1.0).abs() < 1e-12);
            assert!((pace.at(1e-6) / 1e-6 - slope.clamp(0.0, 3.0)).abs() < 1e-4, "{slope}");
            for i in 0..1000 {
                assert!(pace.at(f64::from(i) / 1000.0) <= pace.at(f64::from(i + 1) / 1000.0) + 1e-12, "{slope} {i}");
            }
        }
    }

    #[test]
    fn an_even_pace_takes_equal_steps() {
        let steps: Vec<f64> = Pace::EVEN.steps(3).collect();
        for (step, want) in steps.iter().zip([0.25, 0.5, 0.75]) {
            assert!((step - want).abs() < 1e-12, "{steps:?}");
        }
        assert_eq!(Pace::from_speed(f64::NAN), Pace::EVEN);
    }
}
