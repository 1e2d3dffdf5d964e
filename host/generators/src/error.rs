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
        known: Vec<String>,
    },
    /// The settings are not what the generator's schema says.
    #[error("setting `{pointer}` of generator `{generator}`: {reason}")]
    BadSettings {
        /// Whose settings.
        generator: String,
        /// JSON Pointer (RFC 6901) into the settings; empty for the whole.
        pointer: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// A generator of the configuration that cannot be as it is written there.
    #[error("generator `{generator}`: {reason}")]
    BadRecipe {
        /// Which generator.
        generator: String,
        /// What is wrong.
        reason: String,
    },
    /// Its program cannot be started.
    #[error("generator `{generator}` cannot be started: `{command}`")]
    NotStarted {
        /// Which generator.
        generator: String,
        /// As configured.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its program has ended, though nobody asked it to.
    #[error("generator `{generator}` died while it was asked to {during}: {status}{}", said(stderr))]
    Died {
        /// Which generator.
        generator: String,
        /// What it was asked to do.
        during: &'static str,
        /// Its exit status, in words.
        status: String,
        /// What it last said on standard error.
        stderr: String,
    },
    /// Its program has given no sign of life.
    #[error("generator `{generator}` said nothing for {} while it was asked to {during}{}",
        humantime::format_duration(*after), said(stderr))]
    Silent {
        /// Which generator.
        generator: String,
        /// What it was asked to do.
        during: &'static str,
        /// How long it was listened to.
        after: std::time::Duration,
        /// What it last said on standard error.
        stderr: String,
    },
    /// Its program broke the protocol.
    #[error("generator `{generator}` broke the protocol: {reason}{}{}", quoted(said), crate::error::said(stderr))]
    Protocol {
        /// Which generator.
        generator: String,
        /// The beginning of what it said.
        said: String,
        /// What is wrong with it.
        reason: String,
        /// What it last said on standard error.
        stderr: String,
    },
    /// It says that the job cannot be rendered so.
    #[error("generator `{generator}` refuses: {message}")]
    Refused {
        /// Which generator.
        generator: String,
        /// Its words.
        message: String,
    },
    /// It says that the device's memory does not suffice.
    #[error("generator `{generator}` ran out of memory: {message}")]
    OutOfMemory {
        /// Which generator.
        generator: String,
        /// Its words.
        message: String,
    },
    /// It says that another attempt may succeed.
    #[error("generator `{generator}` failed for now: {message}")]
    Transient {
        /// Which generator.
        generator: String,
        /// Its words.
        message: String,
    },
    /// It says that it can do nothing more.
    #[error("generator `{generator}` failed: {message}{}", said(stderr))]
    Fatal {
        /// Which generator.
        generator: String,
        /// Its words.
        message: String,
        /// What it last said on standard error.
        stderr: String,
    },
    /// It says that the clip is done, but there is none.
    #[error("generator `{generator}` says that its clip is {}, but {reason}", path.display())]
    NoClip {
        /// Which generator.
        generator: String,
        /// Where it says that the clip is.
        path: PathBuf,
        /// Why that is no clip.
        reason: String,
    },
    /// A length or size that the generator cannot render.
    #[error("generator `{generator}` cannot render {frames} frames of {dims}: {reason}")]
    OffGrid {
        /// Which generator.
        generator: String,
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
    /// A file that is to be sent cannot be read.
    #[error("the file {} cannot be read", path.display())]
    FileUnreadable {
        /// Which file.
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
    /// It makes no films larger.
    #[error("generator `{generator}` makes no films larger")]
    NotAnUpscaler {
        /// Which generator.
        generator: String,
    },
    /// It renders no segments.
    #[error("generator `{generator}` renders no segments: it makes films larger")]
    OnlyAnUpscaler {
        /// Which generator.
        generator: String,
    },
    /// The film cannot be made larger.
    #[error("the film {} cannot be made larger", path.display())]
    NotUpscaled {
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
            Self::BadRecipe { .. } => "generator_recipe",
            Self::NotStarted { .. } => "generator_not_started",
            Self::Died { .. } => "generator_died",
            Self::Silent { .. } => "generator_silent",
            Self::Protocol { .. } => "generator_protocol",
            Self::Refused { .. } => "generator_refused",
            Self::OutOfMemory { .. } => "generator_out_of_memory",
            Self::Transient { .. } => "generator_transient",
            Self::Fatal { .. } => "generator_fatal",
            Self::NoClip { .. } => "generator_no_clip",
            Self::ControlUnreadable { .. } => "generator_control_unreadable",
            Self::FileUnreadable { .. } => "generator_file_unreadable",
            Self::ControlLength { .. } => "generator_control_length",
            Self::ControlSize { .. } => "generator_control_size",
            Self::NothingToGoBy { .. } => "generator_nothing_to_go_by",
            Self::OutUnwritable { .. } => "generator_out_unwritable",
            Self::NotAnUpscaler { .. } => "generator_not_an_upscaler",
            Self::OnlyAnUpscaler { .. } => "generator_only_an_upscaler",
            Self::NotUpscaled { .. } => "generator_not_upscaled",
            Self::Model { .. } => "generator_model",
        }
    }

    /// Whether the same job may succeed at another attempt: memory may be free by then, a program that died or fell silent is
    /// started anew, a clip may fail for what its source says; everything else would fail the same way again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ControlUnreadable { source, .. }
            | Self::FileUnreadable { source, .. }
            | Self::OutUnwritable { source, .. }
            | Self::NotUpscaled { source, .. } => source.is_retryable(),
            Self::Model { .. }
            | Self::Died { .. }
            | Self::Silent { .. }
            | Self::OutOfMemory { .. }
            | Self::Transient { .. }
            | Self::NoClip { .. } => true,
            _ => false,
        }
    }
}

/// The end of standard error, for the end of a sentence.
/// Between an error and what its program last said on standard error.
pub const LAST_SAID: &str = "; it last said: ";

pub(crate) fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("{LAST_SAID}{stderr}") }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; it said `{said}`") }
}
