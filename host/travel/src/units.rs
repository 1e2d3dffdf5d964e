//! Sizes, rates, spans of frames.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Width and height in pixels, both 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dims {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Dims {
    /// The largest side that an H.264 stream of level 6.2 is laid out for, in pixels.
    pub const MAX_SIDE: u32 = 8192;
    /// The most pixels that an H.264 picture may have: 139,264 macroblocks of 16×16 (H.264 table A-1, level 6.2).
    pub const MAX_PIXELS: u64 = 139_264 * 256;

    /// Both sides floored to a multiple, never below one multiple.
    #[must_use]
    pub fn floored_to(self, multiple: u32) -> Self {
        let m = multiple.max(1);
        let floor = |side: u32| (side / m).max(1).saturating_mul(m);
        Self { width: floor(self.width), height: floor(self.height) }
    }

    /// Pixels in a frame.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Largest size of these proportions with about `pixels` pixels, floored to `multiple`.
    #[must_use]
    pub fn scaled_to_pixels(self, pixels: u64, multiple: u32) -> Self {
        let scale = (pixels as f64 / self.pixels().max(1) as f64).sqrt();
        let side = |s: u32| (f64::from(s) * scale).round().clamp(1.0, f64::from(Self::MAX_SIDE)) as u32;
        Self { width: side(self.width), height: side(self.height) }.floored_to(multiple)
    }

    /// Whether a film of this size can be encoded as 4:2:0 H.264; the reason if not.
    ///
    /// # Errors
    /// A sentence with the numbers.
    pub fn check_encodable(self) -> Result<(), String> {
        if self.width < 16 || self.height < 16 {
            return Err(format!("{self} is too small: both sides must be 16 pixels or more"));
        }
        if self.width > Self::MAX_SIDE || self.height > Self::MAX_SIDE || self.pixels() > Self::MAX_PIXELS {
            return Err(format!(
                "{self} is beyond the encoder's limit of {} pixels a side and {} in all",
                Self::MAX_SIDE,
                Self::MAX_PIXELS
            ));
        }
        if !self.width.is_multiple_of(2) || !self.height.is_multiple_of(2) {
            return Err(format!("{self} has an odd side; 4:2:0 video needs even ones"));
        }
        Ok(())
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for Dims {
    type Err = String;

    /// `WIDTHxHEIGHT`, as `832x480`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text
            .split_once(['x', 'X', '×'])
            .and_then(|(w, h)| Some((w.trim().parse::<u32>().ok()?, h.trim().parse::<u32>().ok()?)));
        match parsed {
            Some((width, height)) if width > 0 && height > 0 => Ok(Self { width, height }),
            Some(_) => Err(format!("`{text}` has a side of zero")),
            None => Err(format!("`{text}` is not WIDTHxHEIGHT, as 832x480")),
        }
    }
}

/// Frames a second, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// Frames.
    pub num: u32,
    /// Seconds; 1 or more.
    pub den: u32,
}

impl Rate {
    /// What a still has.
    pub const STILL: Self = Self { num: 0, den: 1 };

    /// Frames a second.
    #[must_use]
    pub fn fps(self) -> f64 {
        f64::from(self.num) / f64::from(self.den.max(1))
    }

    /// How long so many frames last.
    #[must_use]
    pub fn seconds(self, frames: u32) -> f64 {
        f64::from(frames) * f64::from(self.den) / f64::from(self.num.max(1))
    }

    /// In lowest terms.
    #[must_use]
    pub fn reduced(self) -> Self {
        let (mut a, mut b) = (self.num, self.den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let d = a.max(1);
        Self { num: self.num / d, den: self.den / d }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for Rate {
    type Err = String;

    /// `16`, `30000/1001`, or `23.976` (the nearest of the usual NTSC rates, else thousandths).
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a frame rate: write 16, 24 or 30000/1001, above 0 and up to 240");
        let rate = if let Some((num, den)) = text.split_once('/') {
            Self { num: num.trim().parse().map_err(|_| bad())?, den: den.trim().parse().map_err(|_| bad())? }
        } else if let Ok(whole) = text.parse::<u32>() {
            Self { num: whole, den: 1 }
        } else {
            let fps: f64 = text.parse().map_err(|_| bad())?;
            if !(fps.is_finite() && fps > 0.0 && fps <= 240.0) {
                return Err(bad());
            }
            let ntsc = Self { num: (fps * 1001.0 / 1000.0).round() as u32 * 1000, den: 1001 };
            if (ntsc.fps() - fps).abs() < 0.005 { ntsc } else { Self { num: (fps * 1000.0).round() as u32, den: 1000 } }
        };
        if rate.num == 0 || rate.den == 0 || rate.fps() > 240.0 {
            return Err(bad());
        }
        Ok(rate.reduced())
    }
}

/// Frames `start .. start + count`, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first frame.
    pub start: u32,
    /// How many; 0 is refused wherever a span names work.
    pub count: u32,
}

impl Span {
    /// `start .. start + count`.
    #[must_use]
    pub fn new(start: u32, count: u32) -> Self {
        Self { start, count }
    }

    /// One past the last frame; `None` beyond `u32`.
    #[must_use]
    pub fn end(self) -> Option<u32> {
        self.start.checked_add(self.count)
    }

    /// Whether it is not empty and lies within `0 .. total`.
    #[must_use]
    pub fn is_within(self, total: u32) -> bool {
        self.count > 0 && self.end().is_some_and(|end| end <= total)
    }

    /// The frames, one by one; nothing for a span beyond `u32`.
    pub fn frames(self) -> std::ops::Range<u32> {
        self.start..self.end().unwrap_or(self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_parse_as_whole_ratio_or_decimal() {
        assert_eq!("16".parse(), Ok(Rate { num: 16, den: 1 }));
        assert_eq!("50/2".parse(), Ok(Rate { num: 25, den: 1 }));
        assert_eq!("29.97".parse(), Ok(Rate { num: 30000, den: 1001 }));
        assert_eq!("23.976".parse(), Ok(Rate { num: 24000, den: 1001 }));
        assert_eq!("12.5".parse(), Ok(Rate { num: 25, den: 2 }));
        for bad in ["0", "1/0", "fast", "-3", "1000", "nan"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_floored_and_never_zero() {
        assert_eq!(Dims { width: 850, height: 481 }.floored_to(16), Dims { width: 848, height: 480 });
        assert_eq!(Dims { width: 7, height: 481 }.floored_to(16), Dims { width: 16, height: 480 });
        assert!("832x0".parse::<Dims>().is_err());
        assert!(Dims { width: 9000, height: 480 }.check_encodable().is_err());
        assert!(Dims { width: 833, height: 480 }.check_encodable().is_err());
    }
}
