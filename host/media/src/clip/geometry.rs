//! How stored frames relate to shown ones: quarter turns and pixels that are not square.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::pixels::resize;
use ffmpeg_next as ff;
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::Dims;

/// Scalers write aspects like 1279:1280 to keep a shape exactly; nobody sees a fiftieth.
const SQUARE_ENOUGH: f64 = 0.02;

/// From stored to shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    stored: Dims,
    square: Dims,
    quarter_turns: u8,
}

impl Geometry {
    /// Of a clip with this first frame.
    pub(crate) fn of(frame: &Video, quarter_turns: u8) -> Self {
        let stored = Dims { width: frame.width(), height: frame.height() };
        let aspect = frame.aspect_ratio();
        let ratio = f64::from(aspect.numerator()) / f64::from(aspect.denominator().max(1));
        let odd = ratio.is_finite() && (0.1..=10.0).contains(&ratio) && (ratio - 1.0).abs() > SQUARE_ENOUGH;
        let width = if odd { (f64::from(stored.width) * ratio).round().max(1.0) as u32 } else { stored.width };
        Self { stored, square: Dims { width, ..stored }, quarter_turns: quarter_turns % 4 }
    }

    /// Of the frames that come out.
    pub(crate) fn shown(&self) -> Dims {
        let Dims { width, height } = self.square;
        if self.quarter_turns % 2 == 1 { Dims { width: height, height: width } } else { self.square }
    }

    /// Whether stored frames are shown as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.quarter_turns == 0 && self.stored == self.square
    }

    /// Refuses a frame of another stored size than the first.
    pub(crate) fn check(&self, frame: &Video, path: &Path, place: u32) -> Result<(), MediaError> {
        let found = Dims { width: frame.width(), height: frame.height() };
        if found == self.stored {
            return Ok(());
        }
        let reason = format!("its size changes from {} to {found}", self.stored);
        Err(MediaError::Damaged { path: path.to_owned(), frame: place.into(), reason })
    }

    /// A converted frame as it is shown.
    pub(crate) fn show(&self, frame: RgbFrame, path: &Path) -> Result<RgbFrame, MediaError> {
        if self.is_plain() {
            return Ok(frame);
        }
        let frame = if frame.dims == self.square { frame } else { resize::stretch(&frame, self.square, path)? };
        turn(frame, self.quarter_turns, path)
    }
}

fn turn(frame: RgbFrame, quarter_turns: u8, path: &Path) -> Result<RgbFrame, MediaError> {
    let Dims { width, height } = frame.dims;
    let picture = image::RgbImage::from_raw(width, height, frame.data)
        .ok_or_else(|| MediaError::conversion(path, "its frame has too few bytes"))?;
    let turned = match quarter_turns {
        1 => image::imageops::rotate90(&picture),
        2 => image::imageops::rotate180(&picture),
        3 => image::imageops::rotate270(&picture),
        _ => picture,
    };
    let dims = Dims { width: turned.width(), height: turned.height() };
    RgbFrame::new(dims, turned.into_raw())
}

/// Clockwise quarter turns that a stream asks for. The display matrix is 3×3 in 16.16 fixed point, row by row; its first
/// row is `(cos, sin)` of the turn.
pub(crate) fn quarter_turns(stream: &ff::Stream<'_>) -> u8 {
    let Some(matrix) = stream.side_data().find(|d| d.kind() == ff::packet::side_data::Type::DisplayMatrix) else {
        return 0;
    };
    let entry = |i: usize| {
        let bytes = matrix.data().get(i * 4..i * 4 + 4)?.try_into().ok()?;
        Some(f64::from(i32::from_ne_bytes(bytes)))
    };
    let (Some(cos), Some(sin)) = (entry(0), entry(1)) else { return 0 };
    let quarters = (sin.atan2(cos) / std::f64::consts::FRAC_PI_2).round() as i64;
    quarters.rem_euclid(4) as u8
}
