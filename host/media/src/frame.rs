//! One picture in memory: packed RGB, 8 bits a channel, full range.

use crate::error::MediaError;
use image::ImageEncoder as _;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use std::path::Path;
use travel::Dims;

/// Packed RGB24, full range, row by row from the upper left, no padding: `width × height × 3` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbFrame {
    /// Of the picture.
    pub dims: Dims,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl RgbFrame {
    /// A picture of bytes that are already there.
    ///
    /// # Errors
    /// [`MediaError::FrameBytes`] unless there are `width × height × 3` of them.
    pub fn new(dims: Dims, data: Vec<u8>) -> Result<Self, MediaError> {
        let wanted = Self::bytes(dims);
        if data.len() == wanted {
            Ok(Self { dims, data })
        } else {
            Err(MediaError::FrameBytes { dims, found: data.len(), wanted })
        }
    }

    /// One colour all over.
    #[must_use]
    pub fn filled(dims: Dims, rgb: [u8; 3]) -> Self {
        Self { dims, data: rgb.repeat(Self::bytes(dims) / 3) }
    }

    /// Bytes that a picture of this size has.
    #[must_use]
    pub fn bytes(dims: Dims) -> usize {
        usize::try_from(dims.pixels().saturating_mul(3)).unwrap_or(usize::MAX)
    }

    /// Bytes in a row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.dims.width as usize * 3
    }

    /// The colour at a place; `None` outside.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        if x >= self.dims.width {
            return None;
        }
        let at = y as usize * self.stride() + x as usize * 3;
        self.data.get(at..at + 3)?.try_into().ok()
    }
}

/// The picture as a PNG file's bytes.
///
/// # Errors
/// [`MediaError::FrameBytes`] when its data does not have its size.
pub fn encode_png(frame: &RgbFrame) -> Result<Vec<u8>, MediaError> {
    let (found, wanted) = (frame.data.len(), RgbFrame::bytes(frame.dims));
    if found != wanted {
        return Err(MediaError::FrameBytes { dims: frame.dims, found, wanted });
    }
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(&frame.data, frame.dims.width, frame.dims.height, image::ExtendedColorType::Rgb8)
        .map_err(|e| MediaError::conversion(Path::new("the picture"), e))?;
    Ok(png)
}

/// Writes the picture as a PNG file.
///
/// # Errors
/// Those of [`encode_png`], [`MediaError::DiskFull`], [`MediaError::Unwritable`].
pub fn save_png(frame: &RgbFrame, path: &Path) -> Result<(), MediaError> {
    let png = encode_png(frame)?;
    std::fs::write(path, png).map_err(|e| MediaError::writing_io(path, &e))
}
