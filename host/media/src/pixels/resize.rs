//! Lanczos on SIMD: a picture on a canvas of other proportions.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use std::path::Path;
use travel::fit::{self, Fit, Rect};
use travel::{Dims, guide};

/// The blurred backdrop of [`Fit::Blur`] has this many times fewer pixels a side before it is enlarged again.
const BACKDROP_SHRINK: u32 = 24;

/// A picture fitted on a canvas, and the part of the canvas that it covers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fitted {
    /// As large as `width × height` of the rectangle.
    pub(crate) picture: RgbFrame,
    /// Left edge on the canvas.
    pub(crate) x: u32,
    /// Upper edge on the canvas.
    pub(crate) y: u32,
}

/// Fits a picture; one of the canvas's own size comes through untouched, whatever the fit.
pub(crate) fn fit(source: RgbFrame, canvas: Dims, how: Fit, path: &Path) -> Result<Fitted, MediaError> {
    if source.dims == canvas {
        return Ok(Fitted { picture: source, x: 0, y: 0 });
    }
    let whole = |picture| Fitted { picture, x: 0, y: 0 };
    match how {
        Fit::Stretch => stretch(&source, canvas, path).map(whole),
        Fit::Cover => cover(&source, canvas, path).map(whole),
        Fit::Contain => contain(&source, canvas, path),
        Fit::Blur => {
            let mut back = blurred(&cover(&source, canvas, path)?, path)?;
            let front = contain(&source, canvas, path)?;
            front.paste_on(&mut back);
            Ok(whole(back))
        }
    }
}

/// Fills the canvas, the middle cropped.
pub(crate) fn cover(source: &RgbFrame, canvas: Dims, path: &Path) -> Result<RgbFrame, MediaError> {
    resize(source, canvas, Some(fit::cover(source.dims, canvas)), FilterType::Lanczos3, path)
}

/// Ignores the proportions.
pub(crate) fn stretch(source: &RgbFrame, canvas: Dims, path: &Path) -> Result<RgbFrame, MediaError> {
    resize(source, canvas, None, FilterType::Lanczos3, path)
}

fn contain(source: &RgbFrame, canvas: Dims, path: &Path) -> Result<Fitted, MediaError> {
    let Rect { x, y, width, height } = fit::contain(source.dims, canvas);
    let dims = Dims { width: width as u32, height: height as u32 };
    Ok(Fitted { picture: resize(source, dims, None, FilterType::Lanczos3, path)?, x: x as u32, y: y as u32 })
}

/// Far fewer pixels, then enlarged by a smooth filter: a wide blur at the price of two resizes.
fn blurred(frame: &RgbFrame, path: &Path) -> Result<RgbFrame, MediaError> {
    let small = |side: u32| side.div_ceil(BACKDROP_SHRINK).max(2);
    let tiny = Dims { width: small(frame.dims.width), height: small(frame.dims.height) };
    let tiny = resize(frame, tiny, None, FilterType::Gaussian, path)?;
    resize(&tiny, frame.dims, None, FilterType::Gaussian, path)
}

impl Fitted {
    /// Copies the picture on a canvas that is at least as large.
    pub(crate) fn paste_on(&self, canvas: &mut RgbFrame) {
        let (stride, left) = (canvas.stride().max(1), self.x as usize * 3);
        let rows = canvas.data.chunks_mut(stride).skip(self.y as usize);
        for (to, from) in rows.zip(self.picture.data.chunks(self.picture.stride().max(1))) {
            if let Some(to) = to.get_mut(left..left + from.len()) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Whether nothing of the canvas is left to see.
    pub(crate) fn covers(&self, canvas: Dims) -> bool {
        self.picture.dims == canvas
    }
}

fn resize(
    source: &RgbFrame,
    dims: Dims,
    crop: Option<Rect>,
    filter: FilterType,
    path: &Path,
) -> Result<RgbFrame, MediaError> {
    let mut out = RgbFrame::filled(dims, [0; 3]);
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    if let Some(Rect { x, y, width, height }) = crop {
        options = options.crop(x, y, width, height);
    }
    let Dims { width, height } = source.dims;
    let from = TypedImageRef::<U8x3>::from_buffer(width, height, &source.data);
    let from = from.map_err(|e| MediaError::conversion(path, e))?;
    let to = TypedImage::<U8x3>::from_buffer(dims.width, dims.height, &mut out.data);
    let mut to = to.map_err(|e| MediaError::conversion(path, e))?;
    // The typed call: the other one is compiled for a dozen kinds of pixels that we do not have.
    Resizer::new().resize_typed(&from, &mut to, &options).map_err(|e| MediaError::conversion(path, e))?;
    Ok(out)
}

/// An empty canvas.
pub(crate) fn canvas(dims: Dims) -> RgbFrame {
    RgbFrame::filled(dims, guide::CANVAS_RGB)
}
