//! Frames, clips, guide and mask rendering, stitching: the only room that touches FFmpeg.
//!
//! Pixels are RGB (packed, 8 bits, full range) for guides, generators and people, and planar Y′CbCr 4:2:0 (BT.709,
//! limited range) inside a stitch. Whoever converts between them does it here, once, with correct rounding; the default
//! flags of swscale, which cost 17–20 code values in ten generations, are never used.
//!
//! | module | holds |
//! |---|---|
//! | [`frame`], [`still`] | one picture; reading pictures of any kind |
//! | [`mod@probe`], [`reader`], [`writer`] | clips: counted, read, written without loss |
//! | [`medium`] | what a plan's ids mean |
//! | [`guide`] | a guide plan → guide and mask clips |
//! | [`mod@survey`] | a rendered clip beside its guide: counted, and looked at |
//! | [`joins`] | colour statistics of joins, for the cross-fade policy |
//! | [`mod@stitch`], [`settings`] | an edit list → the film; how it is encoded |
//! | [`adjust`], [`paste`], [`sheet`] | the post pass; known frames put back in it; contact sheets |
//! | [`watch`], [`error`] | progress and cancelling; what can go wrong |

pub mod adjust;
pub mod chunks;
mod clip;
pub mod error;
mod film;
pub mod frame;
pub mod guide;
pub mod joins;
pub mod medium;
mod output;
pub mod paste;
mod pixels;
pub mod probe;
pub mod reader;
pub mod settings;
pub mod sheet;
pub mod sound;
pub mod still;
pub mod stitch;
pub mod survey;
pub mod watch;
pub mod writer;

pub use adjust::{Adjust, ColourMatch, adjust_clip, excerpt, still_colours};
pub use chunks::join_chunks;
pub use error::MediaError;
pub use frame::{RgbFrame, encode_png, save_png};
pub use guide::render_guide;
pub use joins::{ClipSource, Seam, measure_joins, seam_pictures};
pub use medium::{MediaSet, Source};
pub use paste::Paste;
pub use pixels::lab::LabStats;
pub use probe::{ClipInfo, probe, probe_at};
pub use reader::RgbReader;
pub use settings::{Codec, Encode, Intermediate, Preset};
pub use sheet::contact_sheet;
pub use sound::{Sound, lay_sound, sounds_for};
pub use still::{load_still, save_reference};
pub use stitch::{InBetween, Stitch, encode_film};
pub use survey::{Known, Survey, survey};
pub use watch::{Unwatched, Watch};
pub use writer::RgbWriter;
