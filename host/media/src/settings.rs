//! How a film is encoded. Everything that the bytes of the film depend on stands here, so that it can be recorded.

use serde::{Deserialize, Serialize};

/// The format of the film's picture stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// H.264 by libx264; plays everywhere.
    #[default]
    H264,
    /// H.265 by libx265, tagged `hvc1`.
    Hevc,
}

impl Codec {
    /// FFmpeg's name of the encoder.
    #[must_use]
    pub fn encoder(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Hevc => "libx265",
        }
    }
}

/// How long the encoder searches; the names are those of x264 and x265.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Fastest and largest.
    Ultrafast,
    /// For previews.
    Veryfast,
    /// A little less search.
    Fast,
    /// The encoders' own default.
    #[default]
    Medium,
    /// More search.
    Slow,
}

impl Preset {
    /// As the encoder calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ultrafast => "ultrafast",
            Self::Veryfast => "veryfast",
            Self::Fast => "fast",
            Self::Medium => "medium",
            Self::Slow => "slow",
        }
    }
}

/// The settings of the one lossy encode of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encode {
    /// Which encoder.
    pub codec: Codec,
    /// Constant rate factor, 0 (lossless with H.264) to 51.
    pub crf: u8,
    /// Search effort.
    pub preset: Preset,
    /// `yuv420p10le` instead of `yuv420p`.
    pub ten_bit: bool,
    /// Encoder threads, 1 to 64. The bytes depend on it, so it never follows the machine.
    pub threads: u8,
}

impl Default for Encode {
    fn default() -> Self {
        Self { codec: Codec::H264, crf: 17, preset: Preset::Medium, ten_bit: false, threads: 2 }
    }
}

impl Encode {
    /// What a film is stored as that is encoded once more: every sample stays, of this depth.
    #[must_use]
    pub fn lossless(ten_bit: bool) -> Self {
        Self { codec: Codec::H264, crf: 0, preset: Preset::Ultrafast, ten_bit, ..Self::default() }
    }
}

/// How lossless RGB clips between the steps are stored, always in Matroska.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Intermediate {
    /// libx264rgb, `ultrafast`, qp 0: about twice as fast as FFV1.
    #[default]
    X264Rgb,
    /// FFV1 version 3 with a checksum a slice: about half as large.
    Ffv1,
}

impl Intermediate {
    /// FFmpeg's name of the encoder.
    #[must_use]
    pub fn encoder(self) -> &'static str {
        match self {
            Self::X264Rgb => "libx264rgb",
            Self::Ffv1 => "ffv1",
        }
    }
}
