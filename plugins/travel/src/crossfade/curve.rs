//! The share of the later clip over an overlap of `n` frames, and how much of it is sharpened.
//!
//! `t = (i + 1) / (n + 1)` is strictly inside (0, 1): neither the first nor the last blended frame repeats a frame of one
//! clip alone. The curve `original` has `t = (i + 1) / n`, whose last frame is the later clip's own.

use super::Curve;
use std::f64::consts::PI;
use travel::Weight;

pub(super) fn weight(curve: Curve, n: u32) -> Weight {
    Weight::Table((0..n).map(|i| share(curve, i, n) as f32).collect())
}

/// At its most in the middle and zero at both ends, so that no step in sharpness shows; with the curve `original`, in
/// step with the later clip's share, as it was.
pub(super) fn sharpen(curve: Curve, amount: f64, n: u32) -> Weight {
    if amount == 0.0 {
        return Weight::ZERO;
    }
    let at = |i: u32| match curve {
        Curve::Original => share(curve, i, n),
        Curve::Cosine | Curve::Linear | Curve::Sharp if n < 3 => 0.0,
        Curve::Cosine | Curve::Linear | Curve::Sharp => {
            let t = f64::from(i) / f64::from(n - 1);
            4.0 * t * (1.0 - t)
        }
    };
    Weight::Table((0..n).map(|i| (amount * at(i)).clamp(0.0, 1.0) as f32).collect())
}

fn share(curve: Curve, i: u32, n: u32) -> f64 {
    let inside = f64::from(i + 1) / (f64::from(n) + 1.0);
    match curve {
        Curve::Linear => inside,
        Curve::Cosine | Curve::Sharp => ease(inside),
        Curve::Original => ease(f64::from(i + 1) / f64::from(n)),
    }
}

fn ease(t: f64) -> f64 {
    ((1.0 - (PI * t).cos()) / 2.0).clamp(0.0, 1.0)
}
