//! The engine's numbers.

use std::time::Duration;

/// Tasks that one run may have.
pub const MAX_NODES: u32 = 10_000;

/// Pixels of a film whose size was not chosen: those of 832×480, what the Wan models were trained for.
pub const DEFAULT_PIXELS: u64 = 832 * 480;

/// Sides of a film whose size was not chosen are multiples of this, or of the generator's own multiple.
pub const DEFAULT_MULTIPLE: u32 = 16;

/// How long the host waits before it asks a database again that failed for a passing reason.
pub const QUEUE_RETRY: Duration = Duration::from_secs(2);

/// How often a host that works on one run, or until nothing is left, asks such a database before it gives up while nothing
/// runs; every other one asks for ever.
pub const QUEUE_TRIES: u32 = 60;

/// What an upscaler that reads prompts is told to show; the original's words.
pub const UPSCALE_PROMPT: &str = "cinematic, masterpiece, high detail, 4k";

/// An upscaler's seed is the run's plus this, as the original had it: apart from those of segments.
pub const UPSCALE_SEED_OFFSET: u64 = 5000;

/// Contact sheets: columns, rows, width of a picture in pixels.
pub const SHEET: (u32, u32, u32) = (6, 5, 240);

/// Largest number of slots of one pool.
pub const MAX_SLOTS: u32 = 64;

/// How often in a row a place takes a task because its model is loaded, before it takes whatever is next.
pub const MAX_STREAK: u32 = 12;

/// How long a task that does not fit waits before room is made for it.
pub const RESERVE_AFTER: Duration = Duration::from_secs(60);

/// Tasks that a place of a generator's pool claims beyond those that it runs, to prepare them meanwhile.
pub const PREPARE_AHEAD: u32 = 1;

/// Mean luma, 0 to 255, below which a frame counts as black. A decoder's black is 0 to 1, with a codec's noise up to 2;
/// the darkest night that shows something is above.
pub const BLACK_LUMA: f64 = 3.0;

/// Mean luma from which an anchor is certainly not black: apart from [`BLACK_LUMA`], so that a dark anchor which comes back a
/// little darker fails nobody.
pub const LIT_LUMA: f64 = 8.0;

/// Mean absolute difference, in code values, up to which a frame counts as the same picture as the first: what a lossy codec
/// changes in a picture that stands still.
pub const STILL_DIFFERENCE: f64 = 1.0;

/// Mean absolute difference from which two anchors are certainly different pictures: whatever leads from one to the other is
/// beyond [`STILL_DIFFERENCE`] somewhere.
pub const ANCHORS_APART: f64 = 4.0;

/// Mean absolute difference, in code values, of a returned known frame to the guide's from which the user is told: a codec
/// between makes 1 or 2, a model's own round trip about 4, and beyond 8 the step shows where segments meet.
pub const KNOWN_OFF: f64 = 8.0;
