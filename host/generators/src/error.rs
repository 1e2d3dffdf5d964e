//! Why a segment was not rendered.

use std::path::PathBuf;
use travel::Dims;
use travel_media::MediaError;

/// One of the two clips that steer a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// What to show.
    Guide,
    /// What to keep.
    Mask,
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Guide => "guide",
            Self::Mask => "mask",
        })
    }
}

/// Why a segment was not rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeneratorError {
    /// Nobody waits for the clip any more.
    #[error("the job was cancelled after {done} of {total} frames")]
    Cancelled {
        /// Frames written.
        done: u32,
        /// Frames of the job.
        total: u32,
    },
    /// No generator has this name.
    #[error("there is no generator `{name}`; known are {}", known.join(", "))]
    UnknownGenerator {
        /// As asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The settings are not what the generator's schema says.
    #[error("setting `{pointer}` of generator `{generator}`: {reason}")]
    BadSettings {
        /// Whose settings.
        generator: &'static str,
        /// JSON Pointer (RFC 6901) into the settings; empty for the whole.
        pointer: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// A length or size that the generator cannot render.
    #[error("generator `{generator}` cannot render {frames} frames of {dims}: {reason}")]
    OffGrid {
        /// Which generator.
        generator: &'static str,
        /// Length asked for.
        frames: u32,
        /// Size asked for.
        dims: Dims,
        /// What it can render.
        reason: String,
    },
    /// A control clip cannot be read.
    #[error("the {control} {} cannot be read", path.display())]
    ControlUnreadable {
        /// Which of the two.
        control: Control,
        /// Its file.
        path: PathBuf,
        /// Why.
        source: MediaError,
    },
    /// A control clip is shorter or longer than the job.
    #[error("the {control} has {}{found} frames, the job {expected}", if *at_least { "at least " } else { "" })]
    ControlLength {
        /// Which of the two.
        control: Control,
        /// Frames decoded.
        found: u32,
        /// True when reading stopped at the first frame too many.
        at_least: bool,
        /// Frames of the job.
        expected: u32,
    },
    /// A control clip's frame is of another size than the job.
    #[error("frame {frame} of the {control} is {found}, the job {expected}")]
    ControlSize {
        /// Which of the two.
        control: Control,
        /// From 0.
        frame: u32,
        /// Its size.
        found: Dims,
        /// Size of the job.
        expected: Dims,
    },
    /// There is no picture to start from.
    #[error("the mask keeps none of the guide's {frames} frames, so there is nothing to go by")]
    NothingToGoBy {
        /// Frames of the job.
        frames: u32,
    },
    /// The clip cannot be written.
    #[error("the clip {} cannot be written", path.display())]
    OutUnwritable {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: MediaError,
    },
    /// The network failed; a fault of this program or of a machine out of memory.
    #[error("the in-betweening network failed while {doing}")]
    Model {
        /// What it was asked to do.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl GeneratorError {
    /// A stable code, for scripts and documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cancelled { .. } => "generator_cancelled",
            Self::UnknownGenerator { .. } => "generator_unknown",
            Self::BadSettings { .. } => "generator_settings",
            Self::OffGrid { .. } => "generator_off_grid",
            Self::ControlUnreadable { .. } => "generator_control_unreadable",
            Self::ControlLength { .. } => "generator_control_length",
            Self::ControlSize { .. } => "generator_control_size",
            Self::NothingToGoBy { .. } => "generator_nothing_to_go_by",
            Self::OutUnwritable { .. } => "generator_out_unwritable",
            Self::Model { .. } => "generator_model",
        }
    }

    /// Whether the same job may succeed at another attempt: the network may have failed for want of memory, a clip for what
    /// its source says; everything else would fail the same way again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ControlUnreadable { source, .. } | Self::OutUnwritable { source, .. } => source.is_retryable(),
            Self::Model { .. } => true,
            _ => false,
        }
    }
}
