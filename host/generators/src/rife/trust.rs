//! Where the network's motion does not bring the two pictures together, a plain dissolve is the more honest picture.
//!
//! The measure is how much the two warped pictures still differ, against how much the pictures differ as they lie. Motion
//! that is true takes most of the difference away; between unrelated pictures nothing can. Both differences are blurred
//! widely: what one picture hides and the other shows differs too, and there the network's own mask knows better.

#![expect(clippy::indexing_slicing, reason = "pixel kernel: windows are clamped to the plane")]

use super::network::Motion;
use super::picture::{Picture, rgb};
use rayon::prelude::*;

/// The lane of a [`Motion`] that holds the share of the dissolve, in 0…1.
pub(super) const DOUBT: usize = 5;

/// What is left of the difference, from all trusted to none.
const LEFT: (f32, f32) = (0.62, 0.92);
/// A difference (of 1) below which it is nobody's business, and one from which on it fully counts.
const SEEN: (f32, f32) = (0.02, 0.06);
/// Added to the plain difference, so that flat areas, which are equal anywhere, do not look like failures.
const FLOOR: f32 = 0.02;

/// Judges motion between two small pictures.
pub(super) struct Judge<'a> {
    a: &'a Picture,
    b: &'a Picture,
    radius: usize,
    width: usize,
    height: usize,
    plain: Vec<f32>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(a: &'a Picture, b: &'a Picture) -> Self {
        let (width, height) = (a.width(), a.height());
        let radius = width.max(height) / 24;
        let mut plain = plane(width, height, |x, y| difference(a.at(x, y), b.at(x, y)));
        blur(&mut plain, width, radius);
        Self { a, b, radius, width, height, plain }
    }

    /// The two small pictures.
    pub(super) fn pictures(&self) -> (&'a Picture, &'a Picture) {
        (self.a, self.b)
    }

    /// Writes the lane [`DOUBT`] of every pixel.
    pub(super) fn judge(&self, motion: &mut [Motion]) {
        let mut left = plane(self.width, self.height, |x, y| {
            let [ax, ay, bx, by, ..] = motion[y * self.width + x];
            let (x, y) = (x as f32, y as f32);
            difference(self.a.sample(x + ax, y + ay), self.b.sample(x + bx, y + by))
        });
        blur(&mut left, self.width, self.radius);
        let (left_sum, plain_sum) = (left.iter().sum::<f32>(), self.plain.iter().sum::<f32>());
        let whole = left_sum / (plain_sum + FLOOR * left.len() as f32);
        for ((motion, left), plain) in motion.iter_mut().zip(&left).zip(&self.plain) {
            let here = left / (plain + FLOOR);
            motion[DOUBT] = smooth_step(LEFT, 0.5 * (here + whole)) * smooth_step(SEEN, *left);
        }
    }
}

fn difference(a: u64, b: u64) -> f32 {
    let sum: u32 = rgb(a).iter().zip(rgb(b)).map(|(a, b)| u32::from(a.abs_diff(b))).sum();
    sum as f32 / 765.0
}

fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Vec<f32> {
    let mut plane = vec![0f32; width * height];
    plane.par_chunks_exact_mut(width).enumerate().for_each(|(y, row)| {
        for (x, slot) in row.iter_mut().enumerate() {
            *slot = value(x, y);
        }
    });
    plane
}

/// Means over squares of `2 · radius + 1`, twice, which is nearly a Gaussian; cut off at the edges.
fn blur(plane: &mut Vec<f32>, width: usize, radius: usize) {
    let height = plane.len() / width.max(1);
    for _ in 0..2 {
        plane.par_chunks_exact_mut(width).for_each_init(Vec::new, |old: &mut Vec<f32>, row| {
            old.clear();
            old.extend_from_slice(row);
            running_mean(old, row, radius);
        });
        let mut turned = turn(plane, width);
        turned.par_chunks_exact_mut(height).for_each_init(Vec::new, |old: &mut Vec<f32>, row| {
            old.clear();
            old.extend_from_slice(row);
            running_mean(old, row, radius);
        });
        *plane = turn(&turned, height);
    }
}

fn running_mean(old: &[f32], new: &mut [f32], radius: usize) {
    let last = old.len();
    let mut sum: f32 = old.iter().take(radius).sum();
    for (i, slot) in new.iter_mut().enumerate() {
        if i + radius < last {
            sum += old[i + radius];
        }
        if i > radius {
            sum -= old[i - radius - 1];
        }
        let count = (i + radius + 1).min(last) - i.saturating_sub(radius);
        *slot = sum / count as f32;
    }
}

fn turn(plane: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|x| plane.iter().skip(x).step_by(width).copied()).collect()
}

/// 0 below, 1 above, and `3 t² − 2 t³` between.
fn smooth_step((from, to): (f32, f32), value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_keeps_flat_planes_and_the_turn_turns() {
        let mut flat = vec![0.25f32; 24 * 10];
        blur(&mut flat, 24, 3);
        assert!(flat.iter().all(|v| (v - 0.25).abs() < 1e-5));
        assert_eq!(turn(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
