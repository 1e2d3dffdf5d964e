//! Tone changes: affine in the normalised Y′, Cb, Cr planes, BT.709, clipped.

use crate::frame::RgbFrame;
use rayon::prelude::*;

/// Red's and blue's share of luma (ITU-R BT.709-6 §3.2).
const KR: f32 = 0.2126;
const KB: f32 = 0.0722;

/// Gain and offset for Y′, Cb, Cr, where Y′ runs from 0 to 1 and chroma from 0 to 1 with 0.5 neutral.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) gain: [f32; 3],
    pub(crate) offset: [f32; 3],
}

impl Affine {
    pub(crate) fn is_identity(self) -> bool {
        self.gain == [1.0; 3] && self.offset == [0.0; 3]
    }

    /// Changes every pixel of a picture.
    pub(crate) fn apply(self, frame: &mut RgbFrame) {
        if self.is_identity() {
            return;
        }
        let stride = frame.stride().max(1);
        frame.data.par_chunks_mut(stride).for_each(|row| {
            for pixel in row.as_chunks_mut::<3>().0 {
                *pixel = self.pixel(*pixel);
            }
        });
    }

    fn pixel(self, rgb: [u8; 3]) -> [u8; 3] {
        let [r, g, b] = rgb.map(|c| f32::from(c) / 255.0);
        let y = KR * r + (1.0 - KR - KB) * g + KB * b;
        let cb = (b - y) / (2.0 * (1.0 - KB)) + 0.5;
        let cr = (r - y) / (2.0 * (1.0 - KR)) + 0.5;
        let [gy, gb, gr] = self.gain;
        let [oy, ob, or] = self.offset;
        let y = (gy * y + oy).clamp(0.0, 1.0);
        let cb = (gb * cb + ob).clamp(0.0, 1.0) - 0.5;
        let cr = (gr * cr + or).clamp(0.0, 1.0) - 0.5;
        let r = y + 2.0 * (1.0 - KR) * cr;
        let b = y + 2.0 * (1.0 - KB) * cb;
        let g = (y - KR * r - KB * b) / (1.0 - KR - KB);
        [r, g, b].map(|c| (c * 255.0).round().clamp(0.0, 255.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::Dims;

    #[test]
    fn no_change_changes_nothing_and_a_chroma_gain_of_zero_gives_grey() {
        let dims = Dims { width: 2, height: 1 };
        let picture = RgbFrame::new(dims, vec![200, 30, 90, 127, 127, 127]).unwrap();
        let mut same = picture.clone();
        Affine { gain: [1.0, 1.0, 1.0 + 1e-7], offset: [0.0; 3] }.apply(&mut same);
        assert_eq!(same, picture);
        let mut grey = picture;
        Affine { gain: [1.0, 0.0, 0.0], offset: [0.0, 0.5, 0.5] }.apply(&mut grey);
        let [r, g, b] = grey.pixel(0, 0).unwrap();
        assert!(r == g && g == b && r == (0.2126 * 200.0f32 + 0.7152 * 30.0 + 0.0722 * 90.0).round() as u8);
        assert_eq!(grey.pixel(1, 0), Some([127; 3]));
    }
}
