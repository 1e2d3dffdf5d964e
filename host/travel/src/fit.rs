//! How a picture of other proportions fills a canvas.

use crate::units::Dims;
use serde::{Deserialize, Serialize};

/// The four ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Fill the canvas, crop the middle.
    #[default]
    Cover,
    /// Show all of it, the canvas at the sides.
    Contain,
    /// Ignore the proportions.
    Stretch,
    /// Show all of it over a blurred copy that fills the canvas.
    Blur,
}

/// A rectangle in pixels; sides may be fractions of a pixel in the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// The part of the source that a `cover` shows.
#[must_use]
pub fn cover(source: Dims, canvas: Dims) -> Rect {
    let (sw, sh) = (f64::from(source.width), f64::from(source.height));
    let scale = (f64::from(canvas.width) / sw).max(f64::from(canvas.height) / sh);
    let (width, height) = ((f64::from(canvas.width) / scale).min(sw), (f64::from(canvas.height) / scale).min(sh));
    Rect { x: (sw - width) / 2.0, y: (sh - height) / 2.0, width, height }
}

/// The part of the canvas that a `contain` fills, in whole pixels.
#[must_use]
pub fn contain(source: Dims, canvas: Dims) -> Rect {
    let (cw, ch) = (f64::from(canvas.width), f64::from(canvas.height));
    let scale = (cw / f64::from(source.width)).min(ch / f64::from(source.height));
    let width = (f64::from(source.width) * scale).round().clamp(1.0, cw);
    let height = (f64::from(source.height) * scale).round().clamp(1.0, ch);
    Rect { x: ((cw - width) / 2.0).floor(), y: ((ch - height) / 2.0).floor(), width, height }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cover_crops_the_longer_way_and_contain_letterboxes_it() {
        let (source, canvas) = (Dims { width: 400, height: 400 }, Dims { width: 832, height: 416 });
        assert_eq!(cover(source, canvas), Rect { x: 0.0, y: 100.0, width: 400.0, height: 200.0 });
        assert_eq!(contain(source, canvas), Rect { x: 208.0, y: 0.0, width: 416.0, height: 416.0 });
        assert_eq!(cover(canvas, canvas), Rect { x: 0.0, y: 0.0, width: 832.0, height: 416.0 });
    }
}
