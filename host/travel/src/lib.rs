//! The domain, pure: what a run is, the frame arithmetic, the plans that plugins return, and their validation.
//!
//! No I/O, no database, no wasmtime, no ffmpeg; the crate compiles to wasm, so that a plugin reasons with the very
//! arithmetic by which the host judges it.
//!
//! | module | holds |
//! |---|---|
//! | [`units`] | sizes, rates, spans of frames |
//! | [`weight`] | shares over frames, tone changes |
//! | [`medium`] | stills and clips as a plan names them |
//! | [`grid`] | what a generator can render |
//! | [`lengths`] | the frame arithmetic: legs to places |
//! | [`wishes`] | per-leg lists, repeated or refused |
//! | [`segment`] | a segment: place, key-frames, what it continues |
//! | [`orchestrate`], [`guide`], [`crossfade`] | the three roles: requests, plans, checks |
//! | [`timeline`] | where each frame of a graph stands in the film |
//! | [`easing`] | curves for fades |
//! | [`fit`] | how a picture fills a canvas |
//! | [`role`] | the names of the roles |
//! | [`refusal`] | why a plugin declines |
//! | [`invalid`] | why the host refuses a plan |

pub mod crossfade;
pub mod easing;
pub mod fit;
pub mod grid;
pub mod guide;
pub mod invalid;
pub mod lengths;
pub mod medium;
pub mod orchestrate;
pub mod refusal;
pub mod retime;
pub mod role;
pub mod segment;
pub mod timeline;
pub mod units;
pub mod weight;
pub mod wishes;

pub use grid::Grid;
pub use invalid::InvalidPlan;
pub use medium::{MediumId, MediumInfo, MediumKind};
pub use refusal::Refusal;
pub use retime::Retiming;
pub use role::Role;
pub use segment::{KeyFrame, Leg, Place, Segment, Source};
pub use timeline::Timeline;
pub use units::{Dims, Rate, Span};
pub use weight::{Tone, Weight};

/// Namespaced additions to a plan (`acme/…`); unknown keys are ignored, repeated ones refused.
pub type Extras = Vec<(String, String)>;
