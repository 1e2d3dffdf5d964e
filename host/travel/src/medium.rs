//! Stills and clips as a plan names them.

use crate::units::{Dims, Rate};
use serde::{Deserialize, Serialize};

/// A clip or a still that the host holds; valid within one call, never a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediumId(pub u32);

/// Whether a medium moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediumKind {
    /// One picture.
    Still,
    /// Frames at a constant rate.
    Clip,
}

/// What a plugin learns of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumInfo {
    /// Its name in this call.
    pub id: MediumId,
    /// Still or clip.
    pub kind: MediumKind,
    /// As decoded, orientation applied.
    pub dims: Dims,
    /// Decoded frames; 1 for a still.
    pub frames: u32,
    /// [`Rate::STILL`] for a still.
    pub rate: Rate,
}
