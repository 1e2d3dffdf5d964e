//! What is known at one time of a gap, and how a new time is found half-way between two known ones.

use super::network::{Motion, Network};
use super::picture::{Picture, mixed};
use super::trust::{DOUBT, Judge};
use crate::error::GeneratorError;
use rayon::prelude::*;
use rten::ThreadPool;
use std::sync::Arc;

/// What a route to a kept picture weighs that shows nothing of it.
const FAINT: f32 = 1e-3;
/// Of all pixels, the share that may move farther than a gap's steps are made for.
const OUTLIERS: f64 = 0.01;

/// Motion at one time, towards the two kept pictures, and the small picture that it makes of them.
pub(super) struct Knot {
    /// In 0…1.
    pub(super) time: f64,
    pub(super) motion: Vec<Motion>,
    picture: Arc<Picture>,
    /// How far things move from the knot before to this one, in small pixels.
    pub(super) way: f64,
}

impl Knot {
    /// The first kept picture.
    pub(super) fn first(picture: Arc<Picture>) -> Self {
        let motion = vec![[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]; picture.width() * picture.height()];
        Self { time: 0.0, motion, picture, way: 0.0 }
    }

    /// The second kept picture, however far away.
    pub(super) fn second(picture: Arc<Picture>) -> Self {
        let motion = vec![[0.0; 8]; picture.width() * picture.height()];
        Self { time: 1.0, motion, picture, way: f64::INFINITY }
    }

    /// The knot half-way between two. Motion to the kept pictures is composed of the motion to the two knots and theirs,
    /// each route counting as much as what it shows, so that full-size frames are made of kept pictures alone and do not
    /// blur from step to step.
    pub(super) fn halfway(
        left: &Self,
        right: &mut Self,
        judge: &Judge<'_>,
        threads: Option<Arc<ThreadPool>>,
    ) -> Result<Self, GeneratorError> {
        let mut motion = Network::shared()?.halfway((&left.picture, &right.picture), threads)?;
        let mut ways: Vec<f32> = motion.iter().map(|[ax, ay, bx, by, ..]| (bx - ax).hypot(by - ay)).collect();
        let (width, height) = (left.picture.width(), left.picture.height());
        motion.par_chunks_exact_mut(width.max(1)).enumerate().for_each(|(y, row)| {
            for (x, motion) in row.iter_mut().enumerate() {
                *motion = composed(motion, (x as f32, y as f32), (&left.motion, &right.motion), (width, height));
            }
        });
        judge.judge(&mut motion);
        for (way, motion) in ways.iter_mut().zip(&motion) {
            // What is shown as a dissolve need not be followed closely.
            *way *= 1.0 - motion[DOUBT];
        }
        right.way = farthest(ways) / 2.0;
        let (a, b) = judge.pictures();
        let picture = Picture::computed(a.dims(), |x, y| {
            let [ax, ay, bx, by, share, ..] = motion.get(y * width + x).copied().unwrap_or_default();
            let (x, y) = (x as f32, y as f32);
            mixed(b.sample(x + bx, y + by), a.sample(x + ax, y + ay), (share.clamp(0.0, 1.0) * 256.0 + 0.5) as u32)
        });
        Ok(Self { time: (left.time + right.time) / 2.0, motion, picture: Arc::new(picture), way: right.way })
    }

    /// The first kept picture as the knot before this one: all of the way to the second is still to go.
    pub(super) fn meet_first(&self, first: &mut Self) {
        for (end, [ax, ay, bx, by, _, doubt, ..]) in first.motion.iter_mut().zip(&self.motion) {
            *end = [0.0, 0.0, bx - ax, by - ay, 1.0, *doubt, 0.0, 0.0];
        }
    }

    /// The second kept picture as the knot after this one: all of the way from the first is behind.
    pub(super) fn meet_second(&self, second: &mut Self) {
        for (end, [ax, ay, bx, by, _, doubt, ..]) in second.motion.iter_mut().zip(&self.motion) {
            *end = [ax - bx, ay - by, 0.0, 0.0, 0.0, *doubt, 0.0, 0.0];
        }
    }
}

/// `motion` towards two knots, made motion towards the two kept pictures.
fn composed(
    &[lx, ly, rx, ry, share, ..]: &Motion,
    (x, y): (f32, f32),
    (left, right): (&[Motion], &[Motion]),
    size: (usize, usize),
) -> Motion {
    let share = share.clamp(0.0, 1.0);
    let l = sampled(left, size, (x + lx, y + ly));
    let r = sampled(right, size, (x + rx, y + ry));
    // What each route shows of the first picture, and of the second.
    let (la, ra) = (share * l[4], (1.0 - share) * r[4]);
    let (lb, rb) = (share * (1.0 - l[4]), (1.0 - share) * (1.0 - r[4]));
    // Where neither shows it, the knot that stands nearer to the picture has the least to guess.
    let (la_w, ra_w) = (la + FAINT, ra + FAINT * FAINT);
    let (lb_w, rb_w) = (lb + FAINT * FAINT, rb + FAINT);
    let mean = |l: f32, l_weight: f32, r: f32, r_weight: f32| (l * l_weight + r * r_weight) / (l_weight + r_weight);
    [
        mean(lx + l[0], la_w, rx + r[0], ra_w),
        mean(ly + l[1], la_w, ry + r[1], ra_w),
        mean(lx + l[2], lb_w, rx + r[2], rb_w),
        mean(ly + l[3], lb_w, ry + r[3], rb_w),
        la + ra,
        0.0,
        0.0,
        0.0,
    ]
}

/// Motion between four pixels; beyond the edge, the edge.
#[expect(clippy::indexing_slicing, reason = "pixel kernel: the place is clamped to the plane")]
pub(super) fn sampled(motion: &[Motion], (width, height): (usize, usize), (x, y): (f32, f32)) -> Motion {
    let place = |v: f32, side: usize| {
        let v = v.clamp(0.0, (side - 1) as f32);
        let before = (v as usize).min(side - 2);
        (before, v - before as f32)
    };
    let ((x, fx), (y, fy)) = (place(x, width), place(y, height));
    let at = y * width + x;
    let (top, bottom) = (&motion[at..at + 2], &motion[at + width..at + width + 2]);
    std::array::from_fn(|lane| {
        let above = top[0][lane] + (top[1][lane] - top[0][lane]) * fx;
        let below = bottom[0][lane] + (bottom[1][lane] - bottom[0][lane]) * fx;
        above + (below - above) * fy
    })
}

/// How far nearly all pixels go at most.
fn farthest(mut ways: Vec<f32>) -> f64 {
    if ways.is_empty() {
        return 0.0;
    }
    let rank = ((ways.len() as f64 * (1.0 - OUTLIERS)) as usize).min(ways.len() - 1);
    f64::from(*ways.select_nth_unstable_by(rank, f32::total_cmp).1)
}
