//! Decoded frames as packed RGB.
//!
//! Chroma of 4:2:0 is repeated, not interpolated: that is the exact inverse of the averaging on the way there, so that ten
//! generations drift by less than 0.01 code values, where bilinear chroma drifts by 5.

use super::colour::Reading;
use super::rows::{rows, runs_downwards};
use super::swscale;
use crate::error::MediaError;
use crate::frame::RgbFrame;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::Dims;
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix};

/// What shows through where a picture is transparent.
pub(crate) const UNDER_ALPHA: u8 = 127;

/// A decoded frame as packed RGB, full range. Alpha is laid over grey 127.
pub(crate) fn to_rgb(frame: &Video, path: &Path) -> Result<RgbFrame, MediaError> {
    let dims = Dims { width: frame.width(), height: frame.height() };
    let reading = Reading::of(frame);
    let plain = runs_downwards(frame);
    match frame.format() {
        Pixel::RGB24 if plain => packed(frame, dims, |p| [p[0], p[1], p[2]]),
        Pixel::BGR24 if plain => packed(frame, dims, |p| [p[2], p[1], p[0]]),
        Pixel::BGRZ if plain => packed4(frame, dims, |p| [p[2], p[1], p[0]]),
        Pixel::RGBZ if plain => packed4(frame, dims, |p| [p[0], p[1], p[2]]),
        Pixel::RGBA if plain => packed4(frame, dims, over_grey),
        Pixel::GBRP if plain => planar(frame, dims, 8, reading, path),
        format if plain && layout(format).is_some() => {
            let (_, bits) = layout(format).unwrap_or((Layout::Yuv420, 8));
            planar(frame, dims, bits, reading, path)
        }
        _ => {
            let rgba = swscale::to_rgba(frame, reading, path)?;
            packed4(&rgba, dims, over_grey)
        }
    }
}

fn over_grey([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    [r, g, b].map(|c| {
        let sum = u32::from(c) * u32::from(a) + u32::from(UNDER_ALPHA) * (255 - u32::from(a));
        ((sum + 127) / 255) as u8
    })
}

fn packed(frame: &Video, dims: Dims, pixel: impl Fn([u8; 3]) -> [u8; 3]) -> Result<RgbFrame, MediaError> {
    let mut data = Vec::with_capacity(RgbFrame::bytes(dims));
    for row in rows(frame, 0, dims.width as usize * 3) {
        data.extend(row.as_chunks::<3>().0.iter().flat_map(|p| pixel(*p)));
    }
    RgbFrame::new(dims, data)
}

fn packed4(frame: &Video, dims: Dims, pixel: impl Fn([u8; 4]) -> [u8; 3]) -> Result<RgbFrame, MediaError> {
    let mut data = Vec::with_capacity(RgbFrame::bytes(dims));
    for row in rows(frame, 0, dims.width as usize * 4) {
        data.extend(row.as_chunks::<4>().0.iter().flat_map(|p| pixel(*p)));
    }
    RgbFrame::new(dims, data)
}

/// How chroma is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Yuv420,
    Yuv422,
    Yuv444,
    Gbr,
    Grey,
}

/// Planar formats that are read directly, and their bits a sample.
fn layout(format: Pixel) -> Option<(Layout, u32)> {
    Some(match format {
        Pixel::YUV420P | Pixel::YUVJ420P => (Layout::Yuv420, 8),
        Pixel::YUV422P | Pixel::YUVJ422P => (Layout::Yuv422, 8),
        Pixel::YUV444P | Pixel::YUVJ444P => (Layout::Yuv444, 8),
        Pixel::YUV420P10LE => (Layout::Yuv420, 10),
        Pixel::YUV422P10LE => (Layout::Yuv422, 10),
        Pixel::YUV444P10LE => (Layout::Yuv444, 10),
        Pixel::YUV420P12LE => (Layout::Yuv420, 12),
        Pixel::YUV422P12LE => (Layout::Yuv422, 12),
        Pixel::YUV444P12LE => (Layout::Yuv444, 12),
        Pixel::GBRP => (Layout::Gbr, 8),
        Pixel::GRAY8 => (Layout::Grey, 8),
        _ => return None,
    })
}

/// A plane of 8-bit samples, borrowed or reduced.
struct Plane<'a> {
    samples: std::borrow::Cow<'a, [u8]>,
    stride: u32,
}

impl<'a> Plane<'a> {
    fn of(frame: &'a Video, index: usize, bits: u32) -> Self {
        if index >= frame.planes() {
            return Self { samples: (&[]).into(), stride: 0 };
        }
        let stride = frame.stride(index);
        if bits == 8 {
            return Self { samples: frame.data(index).into(), stride: stride as u32 };
        }
        let (half, shift) = (1u32 << (bits - 9), bits - 8);
        let reduce = |s: &[u8; 2]| ((u32::from(u16::from_le_bytes(*s)) + half) >> shift).min(255) as u8;
        let samples: Vec<u8> = frame.data(index).as_chunks::<2>().0.iter().map(reduce).collect();
        Self { samples: samples.into(), stride: stride as u32 / 2 }
    }
}

fn planar(frame: &Video, dims: Dims, bits: u32, reading: Reading, path: &Path) -> Result<RgbFrame, MediaError> {
    let (layout, _) = layout(frame.format()).unwrap_or((Layout::Gbr, 8));
    let [y, u, v] = [0, 1, 2].map(|i| Plane::of(frame, i, bits));
    let mut rgb = RgbFrame::filled(dims, [0; 3]);
    let stride = dims.width * 3;
    let Reading { matrix, range } = reading;
    let image = YuvPlanarImage {
        y_plane: &y.samples,
        y_stride: y.stride,
        u_plane: &u.samples,
        u_stride: u.stride,
        v_plane: &v.samples,
        v_stride: v.stride,
        width: dims.width,
        height: dims.height,
    };
    let done = match layout {
        Layout::Yuv420 => yuv::yuv420_to_rgb(&image, &mut rgb.data, stride, range, matrix),
        Layout::Yuv422 => yuv::yuv422_to_rgb(&image, &mut rgb.data, stride, range, matrix),
        Layout::Yuv444 => yuv::yuv444_to_rgb(&image, &mut rgb.data, stride, range, matrix),
        Layout::Gbr => yuv::gbr_to_rgb(&image, &mut rgb.data, stride, YuvRange::Full),
        Layout::Grey => {
            let grey =
                yuv::YuvGrayImage { y_plane: &y.samples, y_stride: y.stride, width: dims.width, height: dims.height };
            yuv::yuv400_to_rgb(&grey, &mut rgb.data, stride, range, YuvStandardMatrix::Bt709)
        }
    };
    done.map_err(|e| MediaError::conversion(path, e))?;
    Ok(rgb)
}
