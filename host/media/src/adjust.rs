//! The post pass over one clip: one decode, one encode, and neither when nothing is asked.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::paste::Paste;
use crate::probe::ClipInfo;
use crate::reader::RgbReader;
use crate::settings::Intermediate;
use crate::watch::{Watch, step};
use crate::writer::RgbWriter;
use rayon::prelude::*;
use std::path::Path;

/// Red's, green's and blue's share of luma (ITU-R BT.709-6 §3.2).
const LUMA: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// Puts known frames back into a clip, then changes its saturation and brightness, into a lossless RGB clip. `saturation` is a gain of the distance from the
/// pixel's BT.709 luma, 1.0 unchanged, 0.0 grey; then RGB is multiplied by `1 + brightness`. `Ok(None)`, and no file, when
/// that changes nothing. Every decoded frame is kept, at the clip's own rate.
///
/// # Errors
/// [`MediaError::Mismatch`] for a number that is not finite, a saturation below 0 or a brightness below −1; those of reading
/// and writing; [`MediaError::Cancelled`].
pub fn adjust_clip(
    input: &Path,
    output: &Path,
    paste: Option<Paste<'_>>,
    saturation: Option<f32>,
    brightness: f32,
    on: &dyn Watch,
) -> Result<Option<ClipInfo>, MediaError> {
    let saturation = saturation.unwrap_or(1.0);
    if !(saturation.is_finite() && saturation >= 0.0 && brightness.is_finite() && brightness >= -1.0) {
        return Err(MediaError::Mismatch(format!(
            "a saturation of {saturation} with a brightness of {brightness} cannot be applied: at least 0 and −1 are wanted"
        )));
    }
    let as_it_is = saturation == 1.0 && brightness == 0.0;
    if as_it_is && paste.is_none() {
        return Ok(None);
    }
    let reader = RgbReader::open(input)?;
    let (dims, rate) = (reader.dims(), reader.rate());
    let frames: Box<dyn Iterator<Item = Result<RgbFrame, MediaError>>> = match paste {
        Some(paste) => Box::new(paste.over(reader)?),
        None => Box::new(reader),
    };
    let mut writer = RgbWriter::create(output, dims, rate, Intermediate::default())?;
    let mut done = 0;
    for frame in frames {
        let mut frame = frame?;
        if !as_it_is {
            adjust(&mut frame, saturation, 1.0 + brightness);
        }
        writer.write(&frame)?;
        done += 1;
        step(on, done, 0)?;
    }
    writer.finish().map(Some)
}

fn adjust(frame: &mut RgbFrame, saturation: f32, gain: f32) {
    let stride = frame.stride().max(1);
    frame.data.par_chunks_mut(stride).for_each(|row| {
        for pixel in row.as_chunks_mut::<3>().0 {
            let [r, g, b] = pixel.map(f32::from);
            let luma = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
            *pixel = [r, g, b].map(|c| ((luma + saturation * (c - luma)) * gain).round().clamp(0.0, 255.0) as u8);
        }
    });
}
