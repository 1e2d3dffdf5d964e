//! The tasks of a run: their kinds, inputs and outputs, as they are stored.

use crate::course::Course;
use crate::seams::SeamMade;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use travel::{Dims, Rate, Segment};
use travel_artifacts::Hash;
use travel_sandbox::Manifest;

/// Kind of the task that expands a run.
pub const ORCHESTRATOR: &str = "travel_orchestrator";
/// Kind of the task that generates a clip.
pub const SEGMENT: &str = "travel_segment";
/// Kind of the task that joins all clips.
pub const STITCH: &str = "travel_stitch";

/// Kind of the task that encodes one segment's part of the film.
pub const ENCODE: &str = "travel_encode";
/// Kind of the task that makes the film larger.
pub const UPSCALE: &str = "travel_upscale";

/// Slots for work of milliseconds: expanding runs.
pub const POOL_PLAN: &str = "plan";
/// Slots for encoders: stitching.
pub const POOL_ENCODE: &str = "encode";

/// Slot names of stored files.
pub mod slot {
    /// A segment's clip.
    pub const CLIP: &str = "clip";
    /// A segment's guide.
    pub const GUIDE: &str = "guide";
    /// A segment's mask.
    pub const MASK: &str = "mask";
    /// A segment's part of the film, encoded.
    pub const CHUNK: &str = "chunk";
    /// The finished film.
    pub const FILM: &str = "film";
    /// The joined clips where they are not the film yet; nothing was lost by joining them.
    pub const JOINED: &str = "joined";
    /// A page about how well the segments meet.
    pub const SEAMS: &str = "seams";
    /// How the film was made.
    pub const MANIFEST: &str = "manifest";
    /// The film's contact sheet.
    pub const SHEET: &str = "contact-sheet";
    /// The video that the film continues.
    pub const CONTINUED: &str = "continued";
    /// The track under the film.
    pub const AUDIO: &str = "audio";

    /// What a generator said on standard error; the claim's token makes it the attempt's own, also after a retry of the run.
    #[must_use]
    pub fn log(token: travel_queue::LeaseToken) -> String {
        format!("log-{}", token.0)
    }

    /// The component that answers a role.
    #[must_use]
    pub fn plugin(role: travel::Role) -> String {
        format!("plugin-{role}")
    }

    /// An input image.
    #[must_use]
    pub fn still(index: usize) -> String {
        format!("still-{index:02}")
    }
}

/// The component that decides for a task; its bytes are a stored file, so that a run keeps the version it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRef {
    /// What it says it is.
    pub manifest: Manifest,
    /// BLAKE3 of its component.
    pub digest: Hash,
}

/// Input of [`SEGMENT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentInput {
    /// What to generate. Media are indices of the run's stills.
    pub segment: Segment,
    /// What its overlap repeats.
    pub previous: Previous,
    /// Whose first frames its last ones repeat, and how many: the film's first segment, in a film that goes round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<(String, u32)>,
}

/// What a segment's overlap repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Previous {
    /// Nothing.
    Nothing,
    /// The run's continued video.
    Continued,
    /// The clip of this task.
    Task(String),
}

/// Input of [`STITCH`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StitchInput {
    /// Frames in which the film's end passes into its beginning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wrap: u32,
    /// Whether the continued video comes first.
    pub continued: bool,
    /// In film order.
    pub clips: Vec<StitchClip>,
    /// Tasks that have encoded the film's parts, in film order; none when it is encoded in one piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoded: Vec<String>,
}

/// Input of [`ENCODE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeInput {
    /// Which of the film's clips, from 0; the continued video is the first where there is one.
    pub index: u32,
    /// The tasks of this kind are called so, and by their index.
    pub prefix: String,
    /// The clip: that of a task, or the continued video.
    pub clip: Option<String>,
    /// The clip before it, likewise.
    pub before: Option<String>,
    /// Its frames.
    pub frames: u32,
    /// Frames shared with the clip before it.
    pub overlap: u32,
    /// Frames shared with the clip after it: another task encodes them.
    pub next_overlap: u32,
}

/// What a task of the kind [`ENCODE`] with this index is called.
#[must_use]
pub fn encode_key(prefix: &str, index: u32) -> String {
    format!("{prefix}{index:02}")
}

/// Output of [`ENCODE`]; its part of the film is in the slot [`slot::CHUNK`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodeOutput {
    /// Of the clip, as decoded.
    pub dims: Dims,
    /// Its frames.
    pub frames: u32,
    /// The join with the clip before it, and the PSNR of its pairs of frames.
    pub join: Option<(travel::crossfade::Join, Vec<f64>)>,
    /// What was encoded: steps of an edit list.
    pub steps: Value,
    /// Milliseconds of each phase.
    pub phases_ms: BTreeMap<String, f64>,
}

/// A segment in the film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StitchClip {
    /// Its task.
    pub task: String,
    /// Its frames.
    pub total: u32,
    /// Frames shared with what precedes it.
    pub overlap: u32,
}

/// Input of [`UPSCALE`]; how large is in the run's specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpscaleInput {
    /// The task that joins the clips.
    pub stitch: String,
}

/// Output of [`STITCH`] where another task makes the film of it; the clip is in the slot [`slot::JOINED`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JoinedOutput {
    /// Decoded frames.
    pub frames: u32,
    /// Decoded size.
    pub dims: Dims,
    /// How well the segments meet.
    #[serde(default)]
    pub seams: Vec<SeamMade>,
    /// Milliseconds of each phase.
    pub phases_ms: BTreeMap<String, f64>,
}

/// Output of [`SEGMENT`]; its clip is in the slot [`slot::CLIP`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SegmentOutput {
    /// Decoded frames.
    pub frames: u32,
    /// Decoded size.
    pub dims: Dims,
    /// What the plugin decided.
    pub guide_plan: travel::guide::Plan,
    /// What became of the frames that the guide gave; nothing when it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownFrames>,
    /// Who rendered it, and why, where that was not as the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
    /// The task that rendered it, where this one found that it was rendered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<travel_queue::TaskId>,
    /// Milliseconds of each phase.
    pub phases_ms: BTreeMap<String, f64>,
}

/// What became of the frames that a guide gave. Differences are mean absolute ones, in code values of 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KnownFrames {
    /// How many there are.
    pub frames: u32,
    /// Of the returned frames to the guide's.
    pub off: f64,
    /// The same of the frame that differs most.
    pub off_most: f64,
    /// Whether the guide's were put back over them.
    pub pasted: bool,
}

/// Output of the run, and of its last task: [`STITCH`], or [`UPSCALE`] where it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilmOutput {
    /// Where the film lies.
    pub film: std::path::PathBuf,
    /// Where its contact sheet lies.
    pub contact_sheet: Option<std::path::PathBuf>,
    /// Where it is told how it was made.
    #[serde(default)]
    pub manifest: Option<std::path::PathBuf>,
    /// The stored copy.
    pub hash: Hash,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// Decoded frames.
    pub frames: u32,
    /// Its size.
    pub dims: Dims,
    /// Its rate.
    pub rate: Rate,
    /// Frames over rate.
    pub seconds: f64,
    /// How well its segments meet.
    #[serde(default)]
    pub seams: Vec<SeamMade>,
    /// How it was made larger, where that is not as the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
    /// Milliseconds of each phase of the stitch.
    pub phases_ms: BTreeMap<String, f64>,
}

fn is_zero(frames: &u32) -> bool {
    *frames == 0
}

/// Reads a stored input or output.
///
/// # Errors
/// A record of another shape.
pub fn parse<T: for<'a> Deserialize<'a>>(what: &str, value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|e| format!("the stored {what} cannot be read: {e}"))
}
