//! Curves for fades: `[0, 1] → [0, 1]`, 0 at 0 and 1 at 1.
//!
//! The names are those of the CSS easing family (R. Penner); `ease_in`, `ease_out` and `ease_in_out` are the quadratic
//! ones.

use serde::{Deserialize, Serialize};

/// A named easing curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Easing {
    /// `t`
    Linear,
    /// `t²`
    #[serde(alias = "ease_in_quad")]
    EaseIn,
    /// `t (2 − t)`
    #[serde(alias = "ease_out_quad")]
    EaseOut,
    /// Quadratic on both halves.
    #[default]
    #[serde(alias = "ease_in_out_quad")]
    EaseInOut,
    /// `t³`
    EaseInCubic,
    /// `1 + (t − 1)³`
    EaseOutCubic,
    /// Cubic on both halves.
    EaseInOutCubic,
    /// `t⁴`
    EaseInQuart,
    /// `1 − (t − 1)⁴`
    EaseOutQuart,
    /// Quartic on both halves.
    EaseInOutQuart,
    /// `t⁵`
    EaseInQuint,
    /// `1 + (t − 1)⁵`
    EaseOutQuint,
    /// Quintic on both halves.
    EaseInOutQuint,
    /// `1 − cos(π t / 2)`
    EaseInSine,
    /// `sin(π t / 2)`
    EaseOutSine,
    /// `(1 − cos π t) / 2`
    EaseInOutSine,
    /// `2^(10 (t − 1))`, 0 at 0
    EaseInExpo,
    /// `1 − 2^(−10 t)`, 1 at 1
    EaseOutExpo,
    /// Exponential on both halves.
    EaseInOutExpo,
}

impl Easing {
    /// Every name, for help texts and schemas.
    pub const NAMES: [&'static str; 22] = [
        "linear",
        "ease_in",
        "ease_out",
        "ease_in_out",
        "ease_in_quad",
        "ease_out_quad",
        "ease_in_out_quad",
        "ease_in_cubic",
        "ease_out_cubic",
        "ease_in_out_cubic",
        "ease_in_quart",
        "ease_out_quart",
        "ease_in_out_quart",
        "ease_in_quint",
        "ease_out_quint",
        "ease_in_out_quint",
        "ease_in_sine",
        "ease_out_sine",
        "ease_in_out_sine",
        "ease_in_expo",
        "ease_out_expo",
        "ease_in_out_expo",
    ];

    /// The curve at `t`, which is clamped to 0…1.
    #[must_use]
    pub fn at(self, t: f64) -> f64 {
        use std::f64::consts::PI;
        let t = t.clamp(0.0, 1.0);
        let power = |n: i32, t: f64| t.powi(n);
        let out = |n: i32| 1.0 - (1.0 - t).powi(n);
        let both = |f: &dyn Fn(f64) -> f64| {
            if t < 0.5 { f(2.0 * t) / 2.0 } else { 1.0 - f(2.0 - 2.0 * t) / 2.0 }
        };
        let expo = |t: f64| if t <= 0.0 { 0.0 } else { (10.0 * (t - 1.0)).exp2() };
        match self {
            Self::Linear => t,
            Self::EaseIn => power(2, t),
            Self::EaseOut => out(2),
            Self::EaseInOut => both(&|t| power(2, t)),
            Self::EaseInCubic => power(3, t),
            Self::EaseOutCubic => out(3),
            Self::EaseInOutCubic => both(&|t| power(3, t)),
            Self::EaseInQuart => power(4, t),
            Self::EaseOutQuart => out(4),
            Self::EaseInOutQuart => both(&|t| power(4, t)),
            Self::EaseInQuint => power(5, t),
            Self::EaseOutQuint => out(5),
            Self::EaseInOutQuint => both(&|t| power(5, t)),
            Self::EaseInSine => 1.0 - (PI * t / 2.0).cos(),
            Self::EaseOutSine => (PI * t / 2.0).sin(),
            Self::EaseInOutSine => (1.0 - (PI * t).cos()) / 2.0,
            Self::EaseInExpo => expo(t),
            Self::EaseOutExpo => 1.0 - expo(1.0 - t),
            Self::EaseInOutExpo => both(&expo),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_runs_from_0_to_1_and_never_falls() {
        for name in Easing::NAMES {
            let easing: Easing = serde_json::from_value(name.into()).unwrap();
            assert!(easing.at(0.0).abs() < 1e-9, "{name}");
            assert!((easing.at(1.0) - 1.0).abs() < 1e-9, "{name}");
            for i in 0..1000 {
                assert!(easing.at(f64::from(i) / 1000.0) <= easing.at(f64::from(i + 1) / 1000.0) + 1e-12, "{name} {i}");
            }
        }
    }
}
