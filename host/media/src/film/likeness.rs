//! SSIM of Y′ (Wang et al. 2004), over windows of 8×8 that step by 4, as FFmpeg's filter of that name counts it.

use crate::pixels::rows::rows;
use ffmpeg_next::frame::Video;

/// Sums over a block or a window.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    a: u32,
    b: u32,
    squares: u32,
    product: u32,
}

impl Sums {
    fn add(self, other: Self) -> Self {
        Self {
            a: self.a + other.a,
            b: self.b + other.b,
            squares: self.squares + other.squares,
            product: self.product + other.product,
        }
    }

    /// For a window of 64 samples; Y′ spans 219 levels from 16 on.
    fn ssim(self) -> f64 {
        const N: f64 = 64.0;
        const C1: f64 = (0.01 * 219.0) * (0.01 * 219.0);
        const C2: f64 = (0.03 * 219.0) * (0.03 * 219.0);
        let (a, b) = (f64::from(self.a) / N, f64::from(self.b) / N);
        let variances = f64::from(self.squares) / N - a * a - b * b;
        let covariance = f64::from(self.product) / N - a * b;
        let (a, b) = (a - 16.0, b - 16.0);
        ((2.0 * a * b + C1) * (2.0 * covariance + C2)) / ((a * a + b * b + C1) * (variances + C2))
    }
}

/// The peak signal-to-noise ratio of Y′ of two 8-bit frames of one size, dB, with a peak of 255; at most 100.
pub(crate) fn psnr(left: &Video, right: &Video) -> f64 {
    let width = left.width() as usize;
    let squares = |(left, right): (&[u8], &[u8])| -> u64 {
        left.iter().zip(right).map(|(l, r)| u64::from(l.abs_diff(*r)) * u64::from(l.abs_diff(*r))).sum()
    };
    let sum: u64 = rows(left, 0, width).zip(rows(right, 0, width)).map(squares).sum();
    let error = sum as f64 / f64::from(left.width().max(1)) / f64::from(left.height().max(1));
    if error == 0.0 { 100.0 } else { (10.0 * (255.0 * 255.0 / error).log10()).min(100.0) }
}

/// Of two 8-bit frames of one size, 16 pixels a side or more; −1…1.
pub(crate) fn ssim(left: &Video, right: &Video) -> f32 {
    let width = left.width() as usize;
    let (left, right): (Vec<_>, Vec<_>) = (rows(left, 0, width).collect(), rows(right, 0, width).collect());
    let mut above: Vec<Sums> = Vec::new();
    let (mut sum, mut windows) = (0.0, 0u32);
    for (left, right) in left.chunks_exact(4).zip(right.chunks_exact(4)) {
        let mut blocks = vec![Sums::default(); width / 4];
        for (left, right) in left.iter().zip(right) {
            for ((block, l), r) in blocks.iter_mut().zip(left.as_chunks::<4>().0).zip(right.as_chunks::<4>().0) {
                for (l, r) in l.iter().zip(r) {
                    let (l, r) = (u32::from(*l), u32::from(*r));
                    block.a += l;
                    block.b += r;
                    block.squares += l * l + r * r;
                    block.product += l * r;
                }
            }
        }
        for (above, below) in above.windows(2).zip(blocks.windows(2)) {
            let window = above.iter().chain(below).fold(Sums::default(), |sums, block| sums.add(*block));
            sum += window.ssim();
            windows += 1;
        }
        above = blocks;
    }
    if windows == 0 { 1.0 } else { (sum / f64::from(windows)).clamp(-1.0, 1.0) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_next::format::Pixel;

    fn frame(level: impl Fn(usize) -> u8) -> Video {
        let mut frame = Video::new(Pixel::YUV420P, 64, 64);
        for (i, v) in frame.data_mut(0).iter_mut().enumerate() {
            *v = level(i);
        }
        frame
    }

    #[test]
    fn a_frame_is_like_itself_and_unlike_its_negative() {
        let a = frame(|i| (i * 37 % 200) as u8 + 20);
        let b = frame(|i| 235 - (i * 37 % 200) as u8);
        assert!((ssim(&a, &a) - 1.0).abs() < 1e-6);
        assert!(ssim(&a, &b) < -0.5, "{}", ssim(&a, &b));
    }
}
