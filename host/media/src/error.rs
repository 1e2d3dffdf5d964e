//! What can go wrong with pictures and clips: one sentence an arm, with the file and the numbers.

use ffmpeg_next as ff;
use std::io;
use std::path::{Path, PathBuf};
use travel::{Dims, InvalidPlan, MediumId, Rate};

/// Why a picture or a clip could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// No such file.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file of no bytes.
    #[error("{} is empty: it has 0 bytes", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The container declares more bytes than the file has.
    #[error("{} is truncated: it has {held} bytes of the {declared} that its container declares", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes on disk.
        held: u64,
        /// Bytes declared.
        declared: u64,
    },
    /// Neither a picture nor a clip that we can read.
    #[error("{} cannot be read as {wanted}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// `a picture` or `a clip`.
        wanted: &'static str,
        /// What the reader said.
        reason: String,
    },
    /// A container without a video stream.
    #[error("{} has no video stream", path.display())]
    NoVideo {
        /// The file.
        path: PathBuf,
    },
    /// A video stream without a single picture.
    #[error("{} has a video stream, but not one frame could be decoded", path.display())]
    NoFrames {
        /// The file.
        path: PathBuf,
    },
    /// Something in the middle of the clip cannot be decoded.
    #[error("{} is damaged at frame {frame}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Frames decoded before it.
        frame: u64,
        /// What the decoder said.
        reason: String,
    },
    /// The file could not be opened or read for a reason of the system.
    #[error("{} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A clip of another length than agreed.
    #[error("{} has {found} frames, but {wanted} are wanted", path.display())]
    WrongCount {
        /// The file.
        path: PathBuf,
        /// Decoded frames.
        found: u32,
        /// As agreed.
        wanted: u32,
    },
    /// A frame beyond the last.
    #[error("{} has {frames} frames, so frame {frame} does not exist", path.display())]
    PastTheEnd {
        /// The file.
        path: PathBuf,
        /// The frame asked for, from 0.
        frame: u32,
        /// Decoded frames.
        frames: u32,
    },
    /// A buffer that is not `width × height × 3` bytes.
    #[error("an RGB frame of {dims} needs {wanted} bytes, not {found}")]
    FrameBytes {
        /// Of the frame.
        dims: Dims,
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        wanted: usize,
    },
    /// A frame of another size than its file.
    #[error("frame {frame} for {} is {found}, but the file is {wanted}", path.display())]
    FrameSize {
        /// The file being written.
        path: PathBuf,
        /// Frames written before it.
        frame: u32,
        /// Of the frame.
        found: Dims,
        /// Of the file.
        wanted: Dims,
    },
    /// A size that cannot be encoded or scaled.
    #[error("{} cannot be made: {reason}", path.display())]
    UnusableSize {
        /// The file that was to be written.
        path: PathBuf,
        /// The numbers.
        reason: String,
    },
    /// A rate of zero or beyond what a container can hold.
    #[error("{} cannot be made: {rate} is not a frame rate", path.display())]
    UnusableRate {
        /// The file that was to be written.
        path: PathBuf,
        /// As asked.
        rate: Rate,
    },
    /// A plan names a medium that was not handed over with it.
    #[error("the plan names medium {}, which is not among the {known} of this call", id.0)]
    UnknownMedium {
        /// As named.
        id: MediumId,
        /// How many were handed over.
        known: usize,
    },
    /// A plan takes a still for a clip.
    #[error("the plan takes medium {} for a clip, but it is the still {}", id.0, path.display())]
    NotAClip {
        /// As named.
        id: MediumId,
        /// The still.
        path: PathBuf,
    },
    /// A plan that breaks a rule of its contract.
    #[error("the plan is refused: {0}")]
    Plan(#[from] InvalidPlan),
    /// Numbers of a call that do not belong together.
    #[error("{0}")]
    Mismatch(String),
    /// No room left on the device (`ENOSPC`, `EDQUOT`).
    #[error("the disk is full: {} could not be written", path.display())]
    DiskFull {
        /// The file being written; it was removed.
        path: PathBuf,
    },
    /// The file could not be created or written.
    #[error("{} cannot be written: {reason}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        reason: String,
    },
    /// The encoder is not there or rejects its settings.
    #[error("the encoder {encoder} refused {}: {reason}", path.display())]
    EncoderRefused {
        /// FFmpeg's name of it.
        encoder: &'static str,
        /// The file being written.
        path: PathBuf,
        /// FFmpeg's word.
        reason: String,
    },
    /// A conversion or scaling that its library rejects.
    #[error("{} could not be converted: {reason}", path.display())]
    Conversion {
        /// The file that the pixels came from, or were for.
        path: PathBuf,
        /// The library's word.
        reason: String,
    },
    /// A sound was wanted of a file that has none.
    #[error("{} has no sound", path.display())]
    NoSound {
        /// The file.
        path: PathBuf,
    },
    /// Parts of a film were not encoded alike, and cannot be put together as they are.
    #[error("{} cannot be put together with the other parts of its film: {reason}", path.display())]
    ChunksDiffer {
        /// The part.
        path: PathBuf,
        /// In what.
        reason: String,
    },
    /// What lies between two frames was not found.
    #[error("frames for {} cannot be aligned by motion: {reason}", path.display())]
    NoInBetween {
        /// The film.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A path that FFmpeg cannot be given.
    #[error("{} is not valid UTF-8, so FFmpeg cannot open it; rename it", path.display())]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The watcher asked to stop.
    #[error("cancelled after {done} of {total} frames")]
    Cancelled {
        /// Frames done.
        done: u64,
        /// Frames to do; 0 when unknown.
        total: u64,
    },
}

impl MediaError {
    /// A stable code, for scripts and documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "media_missing",
            Self::Empty { .. } => "media_empty",
            Self::Truncated { .. } => "media_truncated",
            Self::Unreadable { .. } => "media_unreadable",
            Self::NoVideo { .. } => "media_no_video",
            Self::NoFrames { .. } => "media_no_frames",
            Self::Damaged { .. } => "media_damaged",
            Self::Io { .. } => "media_io",
            Self::WrongCount { .. } => "media_wrong_count",
            Self::PastTheEnd { .. } => "media_past_the_end",
            Self::FrameBytes { .. } => "media_frame_bytes",
            Self::FrameSize { .. } => "media_frame_size",
            Self::UnusableSize { .. } => "media_unusable_size",
            Self::UnusableRate { .. } => "media_unusable_rate",
            Self::UnknownMedium { .. } => "media_unknown_medium",
            Self::NotAClip { .. } => "media_not_a_clip",
            Self::Plan(_) => "media_plan",
            Self::Mismatch(_) => "media_mismatch",
            Self::DiskFull { .. } => "media_disk_full",
            Self::Unwritable { .. } => "media_unwritable",
            Self::EncoderRefused { .. } => "media_encoder",
            Self::Conversion { .. } => "media_conversion",
            Self::NoSound { .. } => "media_no_sound",
            Self::ChunksDiffer { .. } => "media_chunks_differ",
            Self::NoInBetween { .. } => "media_no_in_between",
            Self::PathNotUtf8 { .. } => "media_path",
            Self::Cancelled { .. } => "media_cancelled",
        }
    }

    /// Whether there is no room left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Whether a file that was handed in is to blame, and not the machine or this program.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Empty { .. }
                | Self::Truncated { .. }
                | Self::Unreadable { .. }
                | Self::NoVideo { .. }
                | Self::NoFrames { .. }
                | Self::Damaged { .. }
                | Self::Io { .. }
                | Self::UnusableSize { .. }
                | Self::NoSound { .. }
                | Self::PathNotUtf8 { .. }
        )
    }

    /// Whether the same call can succeed later without any change of its inputs: a full disk, a failing device.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::Io { .. } | Self::Unwritable { .. })
    }

    pub(crate) fn reading(path: &Path, wanted: &'static str, error: ff::Error) -> Self {
        match error {
            // How FFmpeg refuses a container that is not on the list it was given.
            ff::Error::Other { errno: ff::error::EINVAL } => {
                let reason = "its format is none that is read here".to_owned();
                Self::Unreadable { path: path.to_owned(), wanted, reason }
            }
            ff::Error::Other { errno } => {
                Self::Io { path: path.to_owned(), source: io::Error::from_raw_os_error(errno) }
            }
            other => Self::Unreadable { path: path.to_owned(), wanted, reason: other.to_string() },
        }
    }

    pub(crate) fn writing(path: &Path, error: ff::Error) -> Self {
        match error {
            ff::Error::Other { errno } if is_full(errno) => Self::DiskFull { path: path.to_owned() },
            other => Self::Unwritable { path: path.to_owned(), reason: other.to_string() },
        }
    }

    pub(crate) fn writing_io(path: &Path, error: &io::Error) -> Self {
        if error.raw_os_error().is_some_and(is_full) {
            Self::DiskFull { path: path.to_owned() }
        } else {
            Self::Unwritable { path: path.to_owned(), reason: error.to_string() }
        }
    }

    pub(crate) fn conversion(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::Conversion { path: path.to_owned(), reason: error.to_string() }
    }
}

/// A quota that is used up stops a writer just as a full disk does.
fn is_full(errno: i32) -> bool {
    const EDQUOT: i32 = 122;
    errno == ff::error::ENOSPC || errno == EDQUOT
}
