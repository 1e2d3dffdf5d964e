//! The post pass over one clip: one decode, one encode, and neither when nothing is asked.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::paste::Paste;
use crate::pixels::lab::{LabStats, transfer};
use crate::pixels::resize::cover;
use crate::probe::ClipInfo;
use crate::reader::RgbReader;
use crate::settings::Intermediate;
use crate::still::load_still;
use crate::watch::{Watch, step};
use crate::writer::RgbWriter;
use rayon::prelude::*;
use std::path::Path;
use travel::{Dims, Rate};

/// Red's, green's and blue's share of luma (ITU-R BT.709-6 §3.2).
const LUMA: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// What is changed in a clip, in this order; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Adjust<'a> {
    /// Known frames that are put back.
    pub paste: Option<Paste<'a>>,
    /// To what colours are matched.
    pub colours: Option<ColourMatch>,
    /// Gain of the distance from the pixel's BT.709 luma: 1 unchanged, 0 grey; 0 or more.
    pub saturation: Option<f32>,
    /// RGB is multiplied by one more than this; −1 or more.
    pub brightness: f32,
}

/// The pictures between which a clip leads: each frame is given the mean and deviation of its colours, in CIELAB, that lie on the
/// way from the first picture's to the last one's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ColourMatch {
    /// Of the picture that it begins with; its first frames stay as they are when nobody knows.
    pub from: Option<LabStats>,
    /// Of the picture that it leads to.
    pub to: LabStats,
    /// How far, 0 to 1.
    pub strength: f32,
    /// Length of the clip, frames.
    pub frames: u32,
    /// Of these, the first that it shares with what precedes it: the way begins after them, so that both sides still agree.
    pub overlap: u32,
}

impl ColourMatch {
    fn apply(self, frame: &mut RgbFrame, at: u32) {
        let own = LabStats::of(frame);
        let way = self.frames.saturating_sub(1).saturating_sub(self.overlap).max(1);
        let t = at.saturating_sub(self.overlap) as f32 / way as f32;
        let wanted = self.from.unwrap_or(own).towards(self.to, t.min(1.0));
        transfer(frame, own, own.towards(wanted, self.strength));
    }
}

/// Changes a clip into a lossless RGB one, in one decode and one encode. `Ok(None)`, and no file, when nothing is to be changed. Every
/// decoded frame is kept, at the clip's own rate.
///
/// # Errors
/// [`MediaError::Mismatch`] for a number that is not finite, a saturation below 0, a brightness below −1 or a strength beyond 0
/// to 1; those of reading and writing; [`MediaError::Cancelled`].
pub fn adjust_clip(
    input: &Path,
    output: &Path,
    adjust: Adjust<'_>,
    on: &dyn Watch,
) -> Result<Option<ClipInfo>, MediaError> {
    let (saturation, brightness) = (adjust.saturation.unwrap_or(1.0), adjust.brightness);
    if !(saturation.is_finite() && saturation >= 0.0 && brightness.is_finite() && brightness >= -1.0) {
        return Err(MediaError::Mismatch(format!(
            "a saturation of {saturation} with a brightness of {brightness} cannot be applied: at least 0 and −1 are wanted"
        )));
    }
    let colours = adjust.colours.filter(|colours| colours.strength != 0.0);
    if let Some(ColourMatch { strength, .. }) = colours.filter(|colours| !(0.0..=1.0).contains(&colours.strength)) {
        return Err(MediaError::Mismatch(format!("colours cannot be matched with strength {strength}: it is 0 to 1")));
    }
    let is_toned = saturation != 1.0 || brightness != 0.0;
    if !is_toned && colours.is_none() && adjust.paste.is_none() {
        return Ok(None);
    }
    let reader = RgbReader::open(input)?;
    let (dims, rate) = (reader.dims(), reader.rate());
    let frames: Box<dyn Iterator<Item = Result<RgbFrame, MediaError>>> = match adjust.paste {
        Some(paste) => Box::new(paste.over(reader)?),
        None => Box::new(reader),
    };
    let mut writer = RgbWriter::create(output, dims, rate, Intermediate::default())?;
    for (at, frame) in (0u32..).zip(frames) {
        let mut frame = frame?;
        if let Some(colours) = colours {
            colours.apply(&mut frame, at);
        }
        if is_toned {
            tone(&mut frame, saturation, 1.0 + brightness);
        }
        writer.write(&frame)?;
        step(on, u64::from(at) + 1, 0)?;
    }
    writer.finish().map(Some)
}

/// Writes `count` frames of a clip, from frame `first` on, as a lossless RGB clip of this rate.
///
/// # Errors
/// [`MediaError::Mismatch`] when the clip is shorter; those of reading and writing; [`MediaError::Cancelled`].
pub fn excerpt(
    input: &Path,
    first: u32,
    count: u32,
    rate: Rate,
    output: &Path,
    on: &dyn Watch,
) -> Result<ClipInfo, MediaError> {
    let reader = RgbReader::open(input)?;
    let mut writer = RgbWriter::create(output, reader.dims(), rate, Intermediate::default())?;
    let mut written = 0u32;
    for frame in reader.skip(first as usize).take(count as usize) {
        writer.write(&frame?)?;
        written = written.saturating_add(1);
        step(on, u64::from(written), u64::from(count))?;
    }
    if written != count {
        return Err(MediaError::Mismatch(format!(
            "{} has {written} frames after frame {first}, and {count} are wanted",
            input.display()
        )));
    }
    writer.finish()
}

/// How the colours of a picture are spread, as large as a clip that leads from it or to it.
///
/// # Errors
/// As [`load_still`].
pub fn still_colours(still: &Path, dims: Dims) -> Result<LabStats, MediaError> {
    Ok(LabStats::of(&cover(&load_still(still)?, dims, still)?))
}

fn tone(frame: &mut RgbFrame, saturation: f32, gain: f32) {
    let stride = frame.stride().max(1);
    frame.data.par_chunks_mut(stride).for_each(|row| {
        for pixel in row.as_chunks_mut::<3>().0 {
            let [r, g, b] = pixel.map(f32::from);
            let luma = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
            *pixel = [r, g, b].map(|c| ((luma + saturation * (c - luma)) * gain).round().clamp(0.0, 255.0) as u8);
        }
    });
}
