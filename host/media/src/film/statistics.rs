//! Mean and deviation of a frame's normalised planes.

use crate::pixels::rows::{plane_dims_420, rows};
use ffmpeg_next::frame::Video;
use travel::Dims;
use travel::crossfade::Colour;

/// Of an 8-bit 4:2:0 frame, BT.709 limited: Y′ from 0 (code 16) to 1 (235), Cb and Cr from 0 (16) to 1 (240), 0.5 neutral.
pub(crate) fn colour(frame: &Video) -> Colour {
    let dims = Dims { width: frame.width(), height: frame.height() };
    let planes = [(0, 219.0), (1, 224.0), (2, 224.0)].map(|(plane, range)| {
        let (width, _) = plane_dims_420(dims, plane);
        let (mut count, mut sum, mut squares) = (0u64, 0u64, 0u64);
        for row in rows(frame, plane, width) {
            count += row.len() as u64;
            // A row of 2¹⁵ samples cannot overflow 32 bits, and narrow sums are summed several at a time.
            for part in row.chunks(1 << 15) {
                sum += u64::from(part.iter().map(|v| u32::from(*v)).sum::<u32>());
                squares += u64::from(part.iter().map(|v| u32::from(*v) * u32::from(*v)).sum::<u32>());
            }
        }
        let count = count.max(1) as f64;
        let mean = sum as f64 / count;
        let variance = (squares as f64 / count - mean * mean).max(0.0);
        (((mean - 16.0) / range) as f32, (variance.sqrt() / range) as f32)
    });
    Colour { mean: planes.map(|p| p.0), deviation: planes.map(|p| p.1) }
}
