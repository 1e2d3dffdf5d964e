//! Bits a sample of the film, and the one place where exact values are rounded to them.
//!
//! Between decoding and rounding a sample is a code value of 8 bits times 2²² in a `u32`, so that a mix of two is exact.

use ffmpeg_next::format::Pixel;

/// Fraction bits of a sample on its way.
pub(super) const FRACTION: u32 = 22;

/// Bits a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// `yuv420p`.
    Eight,
    /// `yuv420p10le`: four times the code values.
    Ten,
}

impl Depth {
    pub(crate) fn pixel(self) -> Pixel {
        match self {
            Self::Eight => Pixel::YUV420P,
            Self::Ten => Pixel::YUV420P10LE,
        }
    }

    /// Bytes that a row of so many samples takes.
    pub(super) fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Eight => width,
            Self::Ten => width * 2,
        }
    }

    /// Rounds a row of samples to the nearest level.
    pub(super) fn store(self, row: &mut [u8], samples: impl Iterator<Item = u32>) {
        const TO_TEN: u32 = FRACTION - 2;
        match self {
            Self::Eight => {
                for (to, sample) in row.iter_mut().zip(samples) {
                    *to = ((sample + (1 << (FRACTION - 1))) >> FRACTION).min(255) as u8;
                }
            }
            Self::Ten => {
                for (to, sample) in row.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
                    *to = (((sample + (1 << (TO_TEN - 1))) >> TO_TEN).min(1023) as u16).to_le_bytes();
                }
            }
        }
    }
}
