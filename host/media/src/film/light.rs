//! Two frames mixed as light: what two films on two half-transparent screens would look like, instead of what the mean of their
//! code values does. Dark stays darker and bright stays brighter through a fade.
//!
//! R′G′B′ by the matrix of ITU-R BT.709-6 §3, light by the exponent 2.4 of a display (ITU-R BT.1886 annex 1, black level 0). Values
//! beyond the cube keep their sign, so that a frame mixed with itself is itself. Chroma is repeated on the way there and averaged
//! on the way back, which is its exact inverse.

use super::blend::{Planes, Side, code};
use crate::pixels::rows::{plane_dims_420, rows};
use rayon::prelude::*;
use travel::Dims;

const EXPONENT: f32 = 2.4;

const RED: f32 = 0.2126;
const GREEN: f32 = 0.7152;
const BLUE: f32 = 0.0722;
/// Of Cr in R′, and of Cb in B′.
const CR: f32 = 2.0 * (1.0 - RED);
const CB: f32 = 2.0 * (1.0 - BLUE);

/// `(1 − w) · left + w · right` in light; planes of 8-bit code values, not rounded.
pub(super) fn mixed(left: &Side<'_>, right: &Side<'_>, w: f32, dims: Dims) -> Planes {
    let (width, _) = plane_dims_420(dims, 0);
    let (half, _) = plane_dims_420(dims, 1);
    let w = w.clamp(0.0, 1.0);
    let [l, r] = [left, right].map(|side| Rows::of(side, width, half));
    let mut planes = Planes::new(dims);
    let [luma, cb, cr] = &mut planes.planes;
    let pairs = luma.par_chunks_mut(width.max(1) * 2).zip(cb.par_chunks_mut(half.max(1)));
    pairs.zip(cr.par_chunks_mut(half.max(1))).enumerate().for_each(|(y, ((luma, cb), cr))| {
        for (x, (cb, cr)) in cb.iter_mut().zip(cr).enumerate() {
            let (mut sums, mut pixels) = ((0.0, 0.0), 0.0);
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let (px, py) = (2 * x + dx, 2 * y + dy);
                let Some(to) = luma.get_mut(dy * width + px).filter(|_| px < width) else { continue };
                let (a, b) = (l.light(px, py), r.light(px, py));
                let rgb: [f32; 3] = std::array::from_fn(|i| coded(at(&a, i) * (1.0 - w) + at(&b, i) * w));
                let (y, blue, red) = ycbcr(rgb);
                *to = y;
                sums = (sums.0 + blue, sums.1 + red);
                pixels += 1.0;
            }
            (*cb, *cr) = (sums.0 / pixels, sums.1 / pixels);
        }
    });
    planes
}

/// A side's rows, with its tones.
struct Rows<'a> {
    side: &'a Side<'a>,
    planes: [Vec<&'a [u8]>; 3],
}

impl<'a> Rows<'a> {
    fn of(side: &'a Side<'a>, width: usize, half: usize) -> Self {
        let plane = |plane| rows(side.frame, plane, if plane == 0 { width } else { half }).collect();
        Self { side, planes: [plane(0), plane(1), plane(2)] }
    }

    fn light(&self, x: usize, y: usize) -> [f32; 3] {
        let read = |plane: usize, x: usize, y: usize| {
            let byte = self.planes.get(plane).and_then(|rows| rows.get(y)?.get(x)).copied().unwrap_or(128);
            code(byte, self.side, plane)
        };
        let luma = (read(0, x, y) - 16.0) / 219.0;
        let [cb, cr] = [1, 2].map(|plane| (read(plane, x / 2, y / 2) - 128.0) / 224.0);
        let (red, blue) = (luma + CR * cr, luma + CB * cb);
        [red, (luma - RED * red - BLUE * blue) / GREEN, blue].map(|v| v.abs().powf(EXPONENT).copysign(v))
    }
}

fn coded(light: f32) -> f32 {
    light.abs().powf(1.0 / EXPONENT).copysign(light)
}

fn ycbcr([red, green, blue]: [f32; 3]) -> (f32, f32, f32) {
    let luma = RED * red + GREEN * green + BLUE * blue;
    let chroma = |v: f32, scale: f32| ((v - luma) / scale * 224.0 + 128.0).clamp(0.0, 255.0);
    ((luma * 219.0 + 16.0).clamp(0.0, 255.0), chroma(blue, CB), chroma(red, CR))
}

fn at(rgb: &[f32; 3], i: usize) -> f32 {
    rgb.get(i).copied().unwrap_or_default()
}
