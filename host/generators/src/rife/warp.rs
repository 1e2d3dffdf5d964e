//! Full-size frames out of small motion: motion is enlarged row by row, both pictures are warped and mixed.

#![expect(clippy::indexing_slicing, reason = "pixel kernel: rows and columns are clamped to the small picture below")]

use super::layout::Layout;
use super::network::Motion;
use super::picture::{Picture, mixed, rgb};
use super::trust::DOUBT;
use rayon::prelude::*;

/// Where the pixels of a full row or column lie among small pixels.
struct Place {
    /// The small pixel before; the next one exists.
    before: usize,
    /// The share of the next one, in 0…1.
    share: f32,
}

/// Makes in-betweens of two pictures.
pub(super) struct Warp<'a> {
    a: &'a Picture,
    b: &'a Picture,
    columns: Vec<Place>,
    rows: Vec<Place>,
    small_width: usize,
    enlargement: (f32, f32),
}

/// Motion at a time between two at which the network was asked.
pub(super) struct Between<'a> {
    /// Before.
    pub(super) earlier: &'a [Motion],
    /// After.
    pub(super) later: &'a [Motion],
    /// The share of the later one, in 0…1.
    pub(super) share: f32,
}

impl<'a> Warp<'a> {
    pub(super) fn new(a: &'a Picture, b: &'a Picture, layout: &Layout) -> Self {
        let places = |full: u32, content: u32, padded: u32| -> Vec<Place> {
            let scale = content as f32 / full.max(1) as f32;
            // Small pixels from `content` on are padding: a small picture of one cell has two of anything.
            let last = (content.max(2).min(padded) - 2) as f32;
            (0..full)
                .map(|i| {
                    let at = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, last + 1.0);
                    let before = at.floor().min(last);
                    Place { before: before as usize, share: at - before }
                })
                .collect()
        };
        Self {
            a,
            b,
            columns: places(layout.full.width, layout.content.width, layout.padded.width),
            rows: places(layout.full.height, layout.content.height, layout.padded.height),
            small_width: layout.padded.width as usize,
            enlargement: layout.enlargement(),
        }
    }

    /// The frame at time `t` in 0…1, packed RGB24 of the full size.
    pub(super) fn frame(&self, motion: &Between<'_>, t: f64, out: &mut [u8]) {
        let dissolve = (t.clamp(0.0, 1.0) * 256.0).round() as u32;
        let width = self.columns.len();
        out.par_chunks_exact_mut(width * 3).enumerate().for_each_init(
            || vec![[0f32; 8]; self.small_width],
            |small, (y, out)| {
                self.small_row(motion, y, small);
                let pixels = out.as_chunks_mut::<3>().0;
                for ((x, pixel), place) in pixels.iter_mut().enumerate().zip(&self.columns) {
                    let motion = between(&small[place.before], &small[place.before + 1], place.share);
                    *pixel = rgb(self.pixel(x, y, &motion, dissolve));
                }
            },
        );
    }

    /// The motion of row `y`, still at the small width.
    fn small_row(&self, motion: &Between<'_>, y: usize, row: &mut [Motion]) {
        let place = &self.rows[y];
        let start = place.before * self.small_width;
        let (top, bottom) = (start..start + self.small_width, start + self.small_width..start + 2 * self.small_width);
        let earlier = motion.earlier[top.clone()].iter().zip(&motion.earlier[bottom.clone()]);
        let later = motion.later[top].iter().zip(&motion.later[bottom]);
        for ((row, (t0, b0)), (t1, b1)) in row.iter_mut().zip(earlier).zip(later) {
            *row = between(&between(t0, b0, place.share), &between(t1, b1, place.share), motion.share);
        }
    }

    /// One pixel: both sides warped and mixed as the network says; where it is in doubt, the plain dissolve.
    fn pixel(&self, x: usize, y: usize, motion: &Motion, dissolve: u32) -> u64 {
        let (across, down) = self.enlargement;
        let (px, py) = (x as f32, y as f32);
        let from_a = self.a.sample(px + motion[0] * across, py + motion[1] * down);
        let from_b = self.b.sample(px + motion[2] * across, py + motion[3] * down);
        let whole = |share: f32| (share.clamp(0.0, 1.0) * 256.0 + 0.5) as u32;
        let warped = mixed(from_b, from_a, whole(motion[4]));
        match whole(motion[DOUBT]) {
            0 => warped,
            doubt => mixed(warped, mixed(self.a.at(x, y), self.b.at(x, y), dissolve), doubt),
        }
    }
}

#[inline]
fn between(a: &Motion, b: &Motion, share: f32) -> Motion {
    std::array::from_fn(|lane| a[lane] + (b[lane] - a[lane]) * share)
}
