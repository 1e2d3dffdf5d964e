//! What can be asked of a join.

use crate::numbers::Share;
use serde::{Deserialize, Serialize};

/// What `sharpen` is with the curve `sharp`, and was in films with the curve `original`.
const SHARPEN: f64 = 0.3;

/// The parameters; `schemas/crossfade.json` describes them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How the later clip takes over.
    pub curve: Curve,
    /// How two frames become one.
    pub mixing: Mix,
    /// How many frames of an overlap are faded at the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fade_frames: Option<u32>,
    /// Whether its colours follow the earlier one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour_match: Option<ColourMatch>,
    /// How much blended frames are sharpened.
    #[serde(alias = "crossfade_sharp_amt", skip_serializing_if = "Option::is_none")]
    pub sharpen: Option<Share>,
}

/// How the later clip takes over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// `(1 − cos πt) / 2`, strictly between the clips.
    #[default]
    Cosine,
    /// The same over a `t` that reaches 1 at the last frame.
    Original,
    /// `t`, strictly between the clips.
    Linear,
    /// The cosine, sharpened in the middle.
    Sharp,
}

/// How two frames become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mix {
    /// In code values.
    #[default]
    Coded,
    /// In light.
    LinearLight,
    /// By motion.
    Aligned,
    /// By motion where the two sides are unlike one another, in code values elsewhere.
    Auto,
}

/// Whether the later clip's colours follow the earlier one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColourMatch {
    /// To its end.
    Hold,
    /// Less and less until its end.
    Decay,
    /// Not at all.
    Off,
}

impl Params {
    /// What is asked, or what goes with the curve.
    #[must_use]
    pub fn colour_match(&self) -> ColourMatch {
        self.colour_match.unwrap_or(match self.curve {
            Curve::Original => ColourMatch::Off,
            Curve::Cosine | Curve::Linear | Curve::Sharp => ColourMatch::Hold,
        })
    }

    /// What is asked, or what goes with the curve.
    #[must_use]
    pub fn sharpen(&self) -> f64 {
        match (self.sharpen, self.curve) {
            (Some(share), _) => share.get(),
            (None, Curve::Original | Curve::Sharp) => SHARPEN,
            (None, Curve::Cosine | Curve::Linear) => 0.0,
        }
    }
}
