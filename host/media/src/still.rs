//! Reading pictures of any kind, as they are meant to be seen.

use crate::clip::container;
use crate::clip::decoder::Decoder;
use crate::clip::geometry::Geometry;
use crate::error::MediaError;
use crate::frame::{RgbFrame, save_png};
use crate::pixels::resize::cover;
use crate::pixels::to_rgb::{UNDER_ALPHA, to_rgb};
use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader};
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use travel::Dims;

/// How a Targa file ends (TGA 2.0, "TGA File Footer", bytes 8 to 25); it has no other signature.
const TARGA_END: &[u8; 18] = b"TRUEVISION-XFILE.\0";

/// Reads a picture: EXIF orientation applied, transparency laid over grey 127, 16 bits and CMYK reduced to 8-bit RGB, the
/// first picture of an animation. PNG, JPEG, WebP, TIFF, BMP, GIF, Targa 2.0, ICO, DDS and farbfeld by the crate `image`;
/// AVIF, JPEG 2000 and whatever else FFmpeg knows by FFmpeg. What a file is, its content says, never its name. Colour
/// profiles are not applied.
///
/// # Errors
/// [`MediaError::Missing`], [`MediaError::Empty`], [`MediaError::Truncated`], [`MediaError::Unreadable`],
/// [`MediaError::Io`].
pub fn load_still(path: &Path) -> Result<RgbFrame, MediaError> {
    container::check(path)?;
    let io = |source: io::Error| MediaError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let is_targa = ends_as_targa(&mut file).map_err(io)?;
    let mut reader = ImageReader::new(BufReader::new(file)).with_guessed_format().map_err(io)?;
    if reader.format().is_none() && is_targa {
        reader.set_format(ImageFormat::Tga);
    }
    let Some(format) = reader.format() else {
        return by_ffmpeg(path);
    };
    if format == ImageFormat::Jpeg {
        check_jpeg_end(path)?;
    }
    match decode(reader) {
        Ok(picture) => flatten(picture),
        Err(ImageError::Unsupported(_)) => by_ffmpeg(path),
        Err(ImageError::IoError(source)) if source.kind() != io::ErrorKind::UnexpectedEof => Err(io(source)),
        Err(error) => Err(unreadable(path, error.to_string())),
    }
}

/// Writes a picture as PNG: it covers `dims`, and its RGB is multiplied by `strength`, 0 to 1.
///
/// # Errors
/// As [`load_still`], and [`MediaError::Unwritable`].
pub fn save_reference(still: &Path, dims: Dims, strength: f32, out: &Path) -> Result<(), MediaError> {
    let mut picture = cover(&load_still(still)?, dims, still)?;
    for value in &mut picture.data {
        *value = (f32::from(*value) * strength).round() as u8;
    }
    save_png(&picture, out)
}

/// Whether the file has Targa's footer; the file stands at its beginning again.
fn ends_as_targa(file: &mut File) -> io::Result<bool> {
    let held = file.metadata()?.len();
    let mut end = Vec::with_capacity(TARGA_END.len());
    file.seek(SeekFrom::Start(held.saturating_sub(TARGA_END.len() as u64)))?;
    file.take(TARGA_END.len() as u64).read_to_end(&mut end)?;
    file.rewind()?;
    Ok(end == TARGA_END)
}

fn decode(reader: ImageReader<BufReader<File>>) -> Result<DynamicImage, ImageError> {
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
