//! A picture laid out for sampling between pixels, and its reduction to the small size.
//!
//! A pixel is one `u64` of four 16-bit lanes (red, green, blue, nothing). Weights that add up to 256 then give all
//! lanes of a weighted sum by one multiplication each, without overflow: 255 · 256 < 2¹⁶. This is portable, exact where
//! all weights but one are 0, and as fast as explicit SIMD at the baseline of x86-64.

#![expect(clippy::indexing_slicing, reason = "pixel kernel: every index is clamped to the padded picture below")]

use super::layout::Layout;
use rayon::prelude::*;
use travel::Dims;

/// 0.5 in 8.8 fixed point, in every lane.
const HALF: u64 = 0x0080_0080_0080_0080;
const LANES: u64 = 0x00FF_00FF_00FF_00FF;

/// Rounds lanes of 8.8 fixed point to whole values.
pub(super) fn rounded(lanes: u64) -> u64 {
    ((lanes + HALF) >> 8) & LANES
}

/// `(1 − share) a + share b` of whole lanes; `share` in 0…256.
pub(super) fn mixed(a: u64, b: u64, share: u32) -> u64 {
    rounded(a * u64::from(256 - share) + b * u64::from(share))
}

fn lanes([r, g, b]: [u8; 3]) -> u64 {
    u64::from(r) | u64::from(g) << 16 | u64::from(b) << 32
}

/// Red, green and blue of whole lanes.
pub(super) fn rgb(lanes: u64) -> [u8; 3] {
    [lanes as u8, (lanes >> 16) as u8, (lanes >> 32) as u8]
}

/// A picture with one more column and row, which repeat the last, so that four neighbours always exist.
pub(super) struct Picture {
    stride: usize,
    dims: Dims,
    pixels: Vec<u64>,
}

impl Picture {
    /// From packed RGB24 of `dims`; missing bytes are black.
    pub(super) fn new(rgb24: &[u8], dims: Dims) -> Self {
        let width = dims.width as usize;
        let pixels = rgb24.as_chunks::<3>().0;
        Self::computed(dims, |x, y| pixels.get(y * width + x).map_or(0, |rgb| lanes(*rgb)))
    }

    /// A picture of this size whose pixels, whole lanes, are computed row by row.
    pub(super) fn computed(dims: Dims, pixel: impl Fn(usize, usize) -> u64 + Sync) -> Self {
        let (width, height) = (dims.width as usize, dims.height as usize);
        let stride = width + 1;
        let mut pixels = vec![0; stride * (height + 1)];
        pixels.par_chunks_exact_mut(stride).enumerate().for_each(|(y, row)| {
            for (x, slot) in row.iter_mut().enumerate() {
                *slot = pixel(x.min(width - 1), y.min(height - 1));
            }
        });
        Self { stride, dims, pixels }
    }

    pub(super) fn dims(&self) -> Dims {
        self.dims
    }

    /// Pixels in a row.
    pub(super) fn width(&self) -> usize {
        self.dims.width as usize
    }

    /// Rows.
    pub(super) fn height(&self) -> usize {
        self.dims.height as usize
    }

    /// The pixel at a whole place within the picture, whole lanes.
    pub(super) fn at(&self, x: usize, y: usize) -> u64 {
        self.pixels[y * self.stride + x]
    }

    /// Between four pixels, to 1/256 pixel; beyond the edge, the edge. Whole lanes.
    pub(super) fn sample(&self, x: f32, y: f32) -> u64 {
        let fixed = |v: f32, side: u32| (v.clamp(0.0, (side - 1) as f32) * 256.0 + 0.5) as u32;
        let (x, y) = (fixed(x, self.dims.width), fixed(y, self.dims.height));
        let (fx, fy) = (x & 255, y & 255);
        let both = (fx * fy + 128) >> 8;
        let at = (y >> 8) as usize * self.stride + (x >> 8) as usize;
        let top = &self.pixels[at..at + 2];
        let bottom = &self.pixels[at + self.stride..at + self.stride + 2];
        rounded(
            top[0] * u64::from(256 + both - fx - fy)
                + top[1] * u64::from(fx - both)
                + bottom[0] * u64::from(fy - both)
                + bottom[1] * u64::from(both),
        )
    }

    /// The small picture: mean of the area that each pixel covers, its edge replicated into the padding.
    pub(super) fn reduced(&self, layout: &Layout) -> Self {
        let across = cover(self.dims.width, layout.content.width, layout.padded.width);
        let down = cover(self.dims.height, layout.content.height, layout.padded.height);
        let (width, height) = (layout.padded.width as usize, layout.padded.height as usize);
        let mut rgb24 = vec![0u8; width * height * 3];
        rgb24.par_chunks_exact_mut(width * 3).zip(&down).for_each(|(out, rows)| {
            let mut sums = vec![[0f32; 4]; self.stride];
            for (y, weight) in rows.weights() {
                for (sum, pixel) in sums.iter_mut().zip(&self.pixels[y * self.stride..]) {
                    for (lane, sum) in sum.iter_mut().enumerate() {
                        *sum += weight * ((pixel >> (16 * lane)) & 255) as f32;
                    }
                }
            }
            for (rgb, columns) in out.as_chunks_mut::<3>().0.iter_mut().zip(&across) {
                let mut mean = [0f32; 4];
                for (x, weight) in columns.weights() {
                    for (mean, sum) in mean.iter_mut().zip(&sums[x]) {
                        *mean += weight * sum;
                    }
                }
                *rgb = [mean[0], mean[1], mean[2]].map(|v| (v + 0.5) as u8);
            }
        });
        Self::new(&rgb24, layout.padded)
    }

    /// Planes of red, green and blue in 0…1, as the network reads them.
    pub(super) fn planes(&self) -> Vec<f32> {
        let width = self.dims.width as usize;
        let mut planes = Vec::with_capacity(3 * width * self.dims.height as usize);
        for lane in 0..3 {
            for row in self.pixels.chunks_exact(self.stride).take(self.dims.height as usize) {
                planes.extend(row[..width].iter().map(|pixel| ((pixel >> (16 * lane)) & 255) as f32 / 255.0));
            }
        }
        planes
    }
}

/// The pixels under one pixel of a smaller picture: whole ones between two that are covered in part.
struct Cover {
    first: usize,
    last: usize,
    first_weight: f32,
    weight: f32,
    last_weight: f32,
}

impl Cover {
    fn weights(&self) -> impl Iterator<Item = (usize, f32)> {
        (self.first..=self.last).map(|i| {
            let weight = if i == self.first {
                self.first_weight
            } else if i == self.last {
                self.last_weight
            } else {
                self.weight
            };
            (i, weight)
        })
    }
}

/// For each pixel of a side of `padded`, what it covers of `side`; those from `content` on repeat the one before it.
fn cover(side: u32, content: u32, padded: u32) -> Vec<Cover> {
    let step = f64::from(side) / f64::from(content.max(1));
    let one = |i: u32| {
        let i = f64::from(i.min(content.saturating_sub(1)));
        let (from, to) = (i * step, ((i + 1.0) * step).min(f64::from(side)));
        let first = from.floor();
        // A sliver of less than a thousandth is rounding, not a pixel.
        let last = (to - 1e-3).floor().max(first);
        let span = to - from;
        Cover {
            first: first as usize,
            last: (last as usize).min(side.saturating_sub(1) as usize),
            first_weight: ((to.min(first + 1.0) - from) / span) as f32,
            weight: (1.0 / span) as f32,
            last_weight: ((to - last) / span) as f32,
        }
    };
    (0..padded).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(dims: Dims) -> Picture {
        let data: Vec<u8> = (0..dims.height)
            .flat_map(|y| (0..dims.width).flat_map(move |x| [(x * 4) as u8, (y * 4) as u8, 200]))
            .collect();
        Picture::new(&data, dims)
    }

    #[test]
    fn samples_lie_between_their_neighbours_and_stop_at_the_edge() {
        let picture = ramp(Dims { width: 32, height: 16 });
        assert_eq!(rgb(picture.sample(3.0, 5.0)), [12, 20, 200]);
        assert_eq!(rgb(picture.sample(3.5, 5.25)), [14, 21, 200]);
        assert_eq!(rgb(picture.sample(-9.0, 99.0)), [0, 60, 200]);
        assert_eq!(rgb(picture.sample(31.0, 15.0)), [124, 60, 200]);
        assert_eq!(rgb(picture.sample(f32::NAN, f32::INFINITY))[2], 200);
    }

    #[test]
    fn a_reduced_picture_has_the_means_and_a_replicated_edge() {
        let dims = Dims { width: 100, height: 60 };
        let layout =
            Layout { full: dims, content: Dims { width: 50, height: 30 }, padded: Dims { width: 64, height: 64 } };
        let reduced = Picture::new(&[77u8; 100 * 60 * 3], dims).reduced(&layout);
        assert!(reduced.pixels.iter().all(|&pixel| pixel == lanes([77; 3])));
        let reduced = ramp(dims).reduced(&layout);
        assert_eq!(rgb(reduced.at(10, 10)), [82, 82, 200]);
        assert_eq!(reduced.at(63, 10), reduced.at(49, 10));
        assert_eq!(reduced.at(10, 63), reduced.at(10, 29));
    }
}
