//! The role `guide`: one segment → what its guide shows, and what of it the generator keeps.

use crate::fit::Fit;
use crate::invalid::{InvalidPlan, check_extras};
use crate::segment::{KeyFrame, Place};
use crate::weight::{Tone, Weight};
use crate::{Dims, Extras, Grid, MediumId, MediumInfo, MediumKind, Rate, Span};
use serde::{Deserialize, Serialize};

/// The canvas under all layers: neutral grey, full-range 8-bit RGB. VACE's models read it as "nothing known".
pub const CANVAS_RGB: [u8; 3] = [127, 127, 127];

/// The most layers that a plan may have.
pub const MAX_LAYERS: usize = 4096;

/// What the guide is composed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The segment's lengths.
    pub place: Place,
    /// Size of the guide.
    pub canvas: Dims,
    /// Of the guide.
    pub rate: Rate,
    /// Stills that the segment passes through.
    pub key_frames: Vec<KeyFrame>,
    /// The clip that precedes, and its frames that this segment repeats at `0 .. overlap`.
    pub previous: Option<(MediumId, Span)>,
    /// The clip that the film begins with, and its frames that this segment repeats at its end.
    #[serde(default)]
    pub next: Option<(MediumId, Span)>,
    /// What the generator can render.
    pub grid: Grid,
    /// Every medium that the plan may name.
    pub media: Vec<MediumInfo>,
    /// The role's parameters; a JSON object.
    pub params: String,
}

/// One colour over a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Frames.
    pub at: Span,
    /// Full-range 8-bit RGB.
    pub rgb: [u8; 3],
}

/// A medium over a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Show {
    /// Frames.
    pub at: Span,
    /// What.
    pub medium: MediumId,
    /// The frame of the medium shown at `at.start`; a still repeats.
    pub first: u32,
    /// How it fills the canvas.
    pub fit: Fit,
    /// Over what is below.
    pub opacity: Weight,
    /// Change of its colours.
    pub tone: Option<Tone>,
}

/// One layer, in painter's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A colour.
    Fill(Fill),
    /// A picture.
    Show(Show),
}

/// What the guide shows, and what of it the generator keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Painter's order over the neutral canvas.
    pub layers: Vec<Layer>,
    /// Frames that the generator keeps (mask black); all others are generated (white).
    pub keep: Vec<Span>,
    /// Additions.
    pub extras: Extras,
}

impl Plan {
    /// Checks the plan against the request that it answers, like any user input.
    ///
    /// # Errors
    /// The first rule that is broken, with the place in the plan.
    pub fn check(&self, request: &Request) -> Result<(), InvalidPlan> {
        let total = request.place.total;
        if self.layers.len() > MAX_LAYERS {
            return Err(InvalidPlan::new("layers", format!("{} layers; {MAX_LAYERS} are allowed", self.layers.len())));
        }
        let mut entries = 0usize;
        for (i, layer) in self.layers.iter().enumerate() {
            let path = format!("layers[{i}]");
            let at = match layer {
                Layer::Fill(fill) => fill.at,
                Layer::Show(show) => show.at,
            };
            if !at.is_within(total) {
                return Err(InvalidPlan::new(
                    format!("{path}.at"),
                    format!("frames {} + {} are empty or leave the segment's {total}", at.start, at.count),
                ));
            }
            if let Layer::Show(show) = layer {
                check_show(show, &request.media, &path)?;
                entries += show.opacity.entries() + show.tone.as_ref().map_or(0, |t| t.amount.entries());
            }
        }
        let allowed = total as usize * 4 + self.layers.len() * 2;
        if entries > allowed {
            return Err(InvalidPlan::new("layers", format!("{entries} weight entries; {allowed} are allowed")));
        }
        let mut free_from = 0;
        for (i, span) in self.keep.iter().enumerate() {
            let bad = |reason: String| Err(InvalidPlan::new(format!("keep[{i}]"), reason));
            if !span.is_within(total) {
                return bad(format!("frames {} + {} are empty or leave the segment's {total}", span.start, span.count));
            }
            if span.start < free_from {
                return bad(format!("frame {} is not after the span before it", span.start));
            }
            free_from = span.start.saturating_add(span.count);
        }
        check_extras(&self.extras, "extras")
    }
}

fn check_show(show: &Show, media: &[MediumInfo], path: &str) -> Result<(), InvalidPlan> {
    let Some(medium) = media.iter().find(|m| m.id == show.medium) else {
        return Err(InvalidPlan::new(
            format!("{path}.medium"),
            format!("medium {} is not of this call", show.medium.0),
        ));
    };
    let last = show.first.checked_add(show.at.count);
    let enough = match medium.kind {
        MediumKind::Still => show.first == 0,
        MediumKind::Clip => last.is_some_and(|last| last <= medium.frames),
    };
    if !enough {
        return Err(InvalidPlan::new(
            format!("{path}.first"),
            format!("frames {} + {} leave the medium's {}", show.first, show.at.count, medium.frames),
        ));
    }
    show.opacity.check(show.at.count, &format!("{path}.opacity"))?;
    show.tone.as_ref().map_or(Ok(()), |tone| tone.check(show.at.count, &format!("{path}.tone")))
}
