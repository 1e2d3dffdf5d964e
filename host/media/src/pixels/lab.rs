//! Colours as CIELAB (CIE 15:2004 §8.2.1, D65 white) of sRGB (IEC 61966-2-1), and how they are spread in a picture.

use crate::frame::RgbFrame;
use rayon::prelude::*;
use std::sync::OnceLock;

/// XYZ of linear sRGB (IEC 61966-2-1), and back (its inverse).
const XYZ: [[f32; 3]; 3] = [
    [0.412_456_4, 0.357_576_1, 0.180_437_5],
    [0.212_672_9, 0.715_152_2, 0.072_175],
    [0.019_333_9, 0.119_192, 0.950_304_1],
];
const RGB: [[f32; 3]; 3] = [
    [3.240_454_2, -1.537_138_5, -0.498_531_4],
    [-0.969_266, 1.876_010_8, 0.041_556],
    [0.055_643_4, -0.204_025_9, 1.057_225_2],
];

/// D65, of the same matrix.
const WHITE: [f32; 3] = [0.950_47, 1.0, 1.088_83];

/// Below this the cube root gives way to a line (δ = 6/29).
const DELTA: f32 = 6.0 / 29.0;

/// Mean and standard deviation of L*, a* and b* over a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabStats {
    /// L* 0 to 100; a*, b* about −110 to 110.
    pub mean: [f32; 3],
    /// In the same units.
    pub deviation: [f32; 3],
}

impl LabStats {
    /// Of a picture.
    #[must_use]
    pub fn of(frame: &RgbFrame) -> Self {
        let stride = frame.stride().max(1);
        let zero = || ([0.0f64; 3], [0.0f64; 3]);
        let (sum, squares) = frame
            .data
            .par_chunks(stride)
            .map(|row| {
                row.as_chunks::<3>().0.iter().fold(zero(), |(mut sum, mut squares), pixel| {
                    for ((sum, squares), value) in sum.iter_mut().zip(&mut squares).zip(lab(*pixel)) {
                        *sum += f64::from(value);
                        *squares += f64::from(value) * f64::from(value);
                    }
                    (sum, squares)
                })
            })
            .reduce(zero, |(a, b), (c, d)| (add(a, c), add(b, d)));
        let n = frame.dims.pixels().max(1) as f64;
        let mean = sum.map(|sum| sum / n);
        let variance = |i: usize| {
            let (square, mean) =
                (squares.get(i).copied().unwrap_or_default(), mean.get(i).copied().unwrap_or_default());
            (square / n - mean * mean).max(0.0).sqrt() as f32
        };
        Self { mean: mean.map(|mean| mean as f32), deviation: [variance(0), variance(1), variance(2)] }
    }

    /// So far on the way to another, 0 to 1.
    pub(crate) fn towards(self, other: Self, t: f32) -> Self {
        let mix = |a: [f32; 3], b: [f32; 3]| {
            let mut mixed = a;
            for (mixed, b) in mixed.iter_mut().zip(b) {
                *mixed += t * (b - *mixed);
            }
            mixed
        };
        Self { mean: mix(self.mean, other.mean), deviation: mix(self.deviation, other.deviation) }
    }
}

fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    let mut sum = a;
    for (sum, b) in sum.iter_mut().zip(b) {
        *sum += b;
    }
    sum
}

/// Gives a picture that has `from` the mean and deviation of `to` (Reinhard et al., "Color Transfer between Images", IEEE
/// CG&A 21(5), 2001, in CIELAB). A deviation changes by a factor of at most 2, so that a picture of one colour does not
/// become noise.
pub(crate) fn transfer(frame: &mut RgbFrame, from: LabStats, to: LabStats) {
    let mut gain = [1.0f32; 3];
    for (i, gain) in gain.iter_mut().enumerate() {
        let of = |stats: &LabStats| stats.deviation.get(i).copied().unwrap_or_default();
        *gain = (of(&to).max(1e-3) / of(&from).max(1e-3)).clamp(0.5, 2.0);
    }
    let stride = frame.stride().max(1);
    frame.data.par_chunks_mut(stride).for_each(|row| {
        for pixel in row.as_chunks_mut::<3>().0 {
            let mut colour = lab(*pixel);
            for (i, value) in colour.iter_mut().enumerate() {
                let at = |list: [f32; 3]| list.get(i).copied().unwrap_or_default();
                *value = (*value - at(from.mean)) * at(gain) + at(to.mean);
            }
            *pixel = rgb(colour);
        }
    });
}

fn lab(pixel: [u8; 3]) -> [f32; 3] {
    let linear = pixel.map(linear);
    let f = |row: [f32; 3], white: f32| {
        let t = dot(row, linear) / white;
        if t > DELTA.powi(3) { t.cbrt() } else { t / (3.0 * DELTA * DELTA) + 4.0 / 29.0 }
    };
    let [x, y, z] = [f(XYZ[0], WHITE[0]), f(XYZ[1], WHITE[1]), f(XYZ[2], WHITE[2])];
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn rgb([l, a, b]: [f32; 3]) -> [u8; 3] {
    let y = (l + 16.0) / 116.0;
    let inverse =
        |t: f32, white: f32| white * if t > DELTA { t.powi(3) } else { 3.0 * DELTA * DELTA * (t - 4.0 / 29.0) };
    let xyz = [inverse(y + a / 500.0, WHITE[0]), inverse(y, WHITE[1]), inverse(y - b / 200.0, WHITE[2])];
    RGB.map(|row| encoded(dot(row, xyz)))
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn linear(value: u8) -> f32 {
    static TABLE: OnceLock<[f32; 256]> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        std::array::from_fn(|i| {
            let v = i as f32 / 255.0;
            if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        })
    });
    table.get(usize::from(value)).copied().unwrap_or_default()
}

/// Steps of the table below; between them a line is off by less than a tenth of a code value from the toe upwards.
const STEPS: usize = 16_384;

fn encoded(value: f32) -> u8 {
    static TABLE: OnceLock<Vec<f32>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let code = |i: usize| {
            let v = i as f32 / STEPS as f32;
            255.0 * if v <= 0.003_130_8 { v * 12.92 } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 }
        };
        (0..=STEPS + 1).map(code).collect()
    });
    let place = value.clamp(0.0, 1.0) * STEPS as f32;
    let below = place as usize;
    let at = |i: usize| table.get(i).copied().unwrap_or(255.0);
    (at(below) + (at(below + 1) - at(below)) * (place - below as f32)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::Dims;

    #[test]
    fn known_colours_have_their_published_places() {
        // Bruce Lindbloom's calculator, sRGB, D65.
        for (pixel, place) in [
            ([255, 255, 255], [100.0, 0.0, 0.0]),
            ([0, 0, 0], [0.0, 0.0, 0.0]),
            ([255, 0, 0], [53.24, 80.09, 67.2]),
            ([0, 255, 0], [87.73, -86.18, 83.18]),
            ([0, 0, 255], [32.3, 79.19, -107.86]),
            ([119, 119, 119], [50.03, 0.0, 0.0]),
        ] {
            for (got, want) in lab(pixel).into_iter().zip(place) {
                assert!((got - want).abs() < 0.05, "{pixel:?}: {got} instead of {want}");
            }
        }
    }

    #[test]
    fn every_colour_comes_back_as_it_was() {
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255).step_by(15) {
                    assert_eq!(rgb(lab([r, g, b])), [r, g, b]);
                }
            }
        }
    }

    #[test]
    fn a_picture_gets_the_others_mean_and_deviation() {
        let dims = Dims { width: 64, height: 48 };
        let picture = |gain: f32, lift: f32| {
            let value = |i: usize| ((i * 7919 % 97) as f32 * gain + lift) as u8;
            RgbFrame { dims, data: (0..dims.pixels() as usize * 3).map(value).collect() }
        };
        let (mut dull, bright) = (picture(0.7, 70.0), picture(1.2, 90.0));
        let to = LabStats::of(&bright);
        let from = LabStats::of(&dull);
        transfer(&mut dull, from, to);
        let got = LabStats::of(&dull);
        for (got, want) in got.mean.into_iter().chain(got.deviation).zip(to.mean.into_iter().chain(to.deviation)) {
            assert!((got - want).abs() < 0.6, "{got} instead of {want}");
        }
    }
}
