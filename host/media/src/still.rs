//! Reading pictures of any kind, as they are meant to be seen.

use crate::clip::container;
use crate::clip::decoder::Decoder;
use crate::clip::geometry::Geometry;
use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::pixels::to_rgb::{UNDER_ALPHA, to_rgb};
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader};
use std::path::Path;
use travel::Dims;

/// Reads a picture: EXIF orientation applied, transparency laid over grey 127, 16 bits and CMYK reduced to 8-bit RGB, the
/// first picture of an animation. PNG, JPEG, WebP, TIFF, BMP and GIF by the crate `image`; AVIF, JPEG 2000 and whatever else
/// FFmpeg knows by FFmpeg. Colour profiles are not applied.
///
/// # Errors
/// [`MediaError::Missing`], [`MediaError::Empty`], [`MediaError::Truncated`], [`MediaError::Unreadable`],
/// [`MediaError::Io`].
pub fn load_still(path: &Path) -> Result<RgbFrame, MediaError> {
    container::check(path)?;
    let io = |source| MediaError::Io { path: path.to_owned(), source };
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(io)?;
    let Some(format) = reader.format() else {
        return by_ffmpeg(path);
    };
    if format == ImageFormat::Jpeg {
        check_jpeg_end(path)?;
    }
    match decode(reader) {
        Ok(picture) => flatten(picture),
        Err(ImageError::Unsupported(_)) => by_ffmpeg(path),
        Err(ImageError::IoError(source)) if source.kind() != std::io::ErrorKind::UnexpectedEof => Err(io(source)),
        Err(error) => Err(unreadable(path, error.to_string())),
    }
}

fn decode(reader: ImageReader<std::io::BufReader<std::fs::File>>) -> Result<DynamicImage, ImageError> {
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn flatten(picture: DynamicImage) -> Result<RgbFrame, MediaError> {
    let dims = Dims { width: picture.width(), height: picture.height() };
    if !picture.color().has_alpha() {
        return RgbFrame::new(dims, picture.into_rgb8().into_raw());
    }
    let under = u32::from(UNDER_ALPHA);
    let over = |[r, g, b, a]: &[u8; 4]| {
        let a = u32::from(*a);
        [*r, *g, *b].map(|c| ((u32::from(c) * a + under * (255 - a) + 127) / 255) as u8)
    };
    let rgba = picture.into_rgba8().into_raw();
    RgbFrame::new(dims, rgba.as_chunks::<4>().0.iter().flat_map(over).collect())
}

fn by_ffmpeg(path: &Path) -> Result<RgbFrame, MediaError> {
    let picture = || -> Result<RgbFrame, MediaError> {
        let mut decoder = Decoder::open_still(path)?;
        let Some(frame) = decoder.next_frame()? else {
            return Err(MediaError::NoFrames { path: path.to_owned() });
        };
        Geometry::of(&frame, decoder.quarter_turns()).show(to_rgb(&frame, path)?, path)
    };
    picture().map_err(|error| match error {
        MediaError::NoVideo { .. } => unreadable(path, "it holds no picture".to_owned()),
        MediaError::NoFrames { .. } => unreadable(path, "it holds no picture that can be decoded".to_owned()),
        MediaError::Damaged { reason, .. } => unreadable(path, reason),
        other => other,
    })
}

/// The JPEG reader fills what is missing with grey and calls it a success, so the end marker is looked for: it must follow the
/// last scan (ITU-T T.81 §B.1; within a scan `FF` is always stuffed, so both markers are real).
fn check_jpeg_end(path: &Path) -> Result<(), MediaError> {
    let bytes = std::fs::read(path).map_err(|source| MediaError::Io { path: path.to_owned(), source })?;
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|w| w == marker);
    match (last([0xff, 0xda]), last([0xff, 0xd9])) {
        (Some(scan), Some(end)) if end > scan => Ok(()),
        _ => Err(unreadable(path, format!("the JPEG data stop after {} bytes without an end marker", bytes.len()))),
    }
}

fn unreadable(path: &Path, reason: String) -> MediaError {
    MediaError::Unreadable { path: path.to_owned(), wanted: "a picture", reason }
}
