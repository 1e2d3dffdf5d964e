//! By which matrix and range a frame is read.
//!
//! A tag is believed. Untagged Y′CbCr is read as BT.601 limited: that is what imageio, OpenCV and Wan2GP write at any size,
//! since it is swscale's default. The `yuvj` formats are full range by name; grey without a tag is full range, as pictures
//! are.

use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use yuv::{YuvRange, YuvStandardMatrix};

/// Matrix and range of a Y′CbCr frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    pub(crate) matrix: YuvStandardMatrix,
    pub(crate) range: YuvRange,
}

impl Reading {
    pub(crate) fn of(frame: &Video) -> Self {
        let matrix = match frame.color_space() {
            Space::BT709 => YuvStandardMatrix::Bt709,
            Space::BT2020NCL | Space::BT2020CL => YuvStandardMatrix::Bt2020,
            Space::SMPTE240M => YuvStandardMatrix::Smpte240,
            Space::FCC => YuvStandardMatrix::Fcc,
            _ => YuvStandardMatrix::Bt601,
        };
        let full = match frame.color_range() {
            Range::JPEG => true,
            Range::MPEG => false,
            Range::Unspecified => is_full_by_name(frame.format()),
        };
        Self { matrix, range: if full { YuvRange::Full } else { YuvRange::Limited } }
    }

    /// What the film is made of: BT.709 limited.
    pub(crate) fn is_film(self) -> bool {
        self.matrix == YuvStandardMatrix::Bt709 && matches!(self.range, YuvRange::Limited)
    }
}

fn is_full_by_name(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P | Pixel::YUVJ411P | Pixel::GRAY8
    )
}

/// Whether frames of this format are RGB of 8 bits a channel, so that nothing is lost on the way to packed RGB.
pub(crate) fn is_rgb(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::GBRP
            | Pixel::RGB24
            | Pixel::BGR24
            | Pixel::BGRZ
            | Pixel::RGBZ
            | Pixel::ZRGB
            | Pixel::ZBGR
            | Pixel::BGRA
            | Pixel::RGBA
            | Pixel::ARGB
            | Pixel::ABGR
    )
}
