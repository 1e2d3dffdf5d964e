//! Motion at any time of a gap, from as few runs of the network as the motion allows.
//!
//! The gap is halved, and its halves again, until nothing moves by more than a few small pixels between two knots; there,
//! motion is interpolated. Each half moves half as much, so that the network, which is at its best with small motion half-way
//! between its pictures, is never asked for anything else. Still pictures a long gap apart need some ten runs; a fast subject
//! one or two a frame. Halving goes from left to right, and only around the times asked for: no more knots are held than
//! halvings lead to the present one.

use super::knot::Knot;
use super::picture::Picture;
use super::trust::Judge;
use super::warp::Between;
use crate::error::GeneratorError;
use crate::gap::Emit;
use rten::ThreadPool;
use std::sync::Arc;

/// How far anything may move between two knots, in small pixels.
const STRIDE: f64 = 2.5;
/// However little moves, what one picture hides and the other shows takes so many steps.
const FEWEST_STEPS: f64 = 8.0;
/// However much moves, knots stand no closer than so many to a frame.
const MOST_PER_FRAME: f64 = 2.0;

/// Follows one gap, forwards.
pub(super) struct Track<'a> {
    judge: Judge<'a>,
    threads: Option<Arc<ThreadPool>>,
    /// The time from one frame to the next, of a gap that is filled evenly.
    frame: f64,
    left: Knot,
    /// The first knot after `left`.
    right: Knot,
    /// Those after `right`, the nearest last.
    farther: Vec<Knot>,
}

impl<'a> Track<'a> {
    /// For a gap of `frames` between two small pictures.
    pub(super) fn new(
        (a, b): (&Arc<Picture>, &Arc<Picture>),
        judge: Judge<'a>,
        frames: u32,
        threads: Option<Arc<ThreadPool>>,
    ) -> Self {
        let frame = 1.0 / (f64::from(frames) + 1.0);
        let (left, right) = (Knot::first(Arc::clone(a)), Knot::second(Arc::clone(b)));
        Self { judge, threads, frame, left, right, farther: Vec::new() }
    }

    /// Motion at `t` in 0…1; never earlier than the last time asked. `emit` is asked before each run of the network.
    pub(super) fn at(&mut self, t: f64, emit: &dyn Emit) -> Result<Between<'_>, GeneratorError> {
        loop {
            if t >= self.right.time
                && let Some(next) = self.farther.pop()
            {
                self.left = std::mem::replace(&mut self.right, next);
            } else if t > self.left.time && self.is_too_wide() {
                emit.go_on()?;
                let middle = Knot::halfway(&self.left, &mut self.right, &self.judge, self.threads.clone())?;
                self.farther.push(std::mem::replace(&mut self.right, middle));
            } else {
                break;
            }
        }
        if self.left.time == 0.0 {
            self.right.meet_first(&mut self.left);
        }
        if self.right.time == 1.0 {
            self.left.meet_second(&mut self.right);
        }
        let share = ((t - self.left.time) / (self.right.time - self.left.time)).clamp(0.0, 1.0);
        Ok(Between { earlier: &self.left.motion, later: &self.right.motion, share: share as f32 })
    }

    fn is_too_wide(&self) -> bool {
        let width = self.right.time - self.left.time;
        width > self.frame.max(1.0 / FEWEST_STEPS) || (self.right.way > STRIDE && width > self.frame / MOST_PER_FRAME)
    }
}
