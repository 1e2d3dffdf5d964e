//! Pixels: between RGB and Y′CbCr, between sizes, between tones.

pub(crate) mod colour;
pub(crate) mod lab;
pub(crate) mod resize;
pub(crate) mod rows;
pub(crate) mod swscale;
pub(crate) mod to_rgb;
pub(crate) mod to_yuv;
pub(crate) mod tone;

pub(crate) use colour::is_rgb;
