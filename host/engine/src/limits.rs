//! The engine's numbers.

use std::time::Duration;

/// Tasks that one run may have: its legs and their stitch.
pub const MAX_NODES: u32 = travel_sandbox::limits::MAX_LEGS + 1;

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

/// How often in a row a place takes a task because its model is loaded, before it takes whatever is next, while nobody knows
/// what loading costs.
pub const USUAL_STREAK: u32 = 12;

/// The same, however cheap loading is: what was measured may not be all of it.
pub const MIN_STREAK: u32 = 4;

/// The same, however dear loading is.
pub const MAX_STREAK: u32 = 48;

/// What a place may spend of its time with loading because it takes turns, as far as [`MAX_STREAK`] allows.
pub const LOAD_SHARE: f64 = 0.02;

/// How long a task that does not fit waits before room is made for it.
pub const RESERVE_AFTER: Duration = Duration::from_secs(60);

/// Tasks that a place of a generator's pool claims beyond those that it runs, to prepare them meanwhile.
pub const PREPARE_AHEAD: u32 = 1;

/// Segments of a film that is encoded segment by segment: each looks at what the ones before it have measured.
pub(crate) const SMART_SEGMENTS: usize = 1000;

/// How long a track that is longer than its film takes to fade at the end of it, seconds.
pub(crate) const TRACK_FADE: f64 = 1.0;

/// How long the sound of a continued video takes to fade at least, where the first segment takes over, seconds.
pub(crate) const JOIN_FADE: f64 = 0.5;

/// Mean SSIM of the two sides of a join below which it may show: a cross-fade of sides this unlike is seen as a double
/// picture.
pub const SEAM_SSIM: f64 = 0.8;

/// Distance of mean colours of the two sides, code values, above which a join may show: a step of luma of 6 is seen in even
/// areas also when it is spread over some frames.
pub const SEAM_COLOUR: f64 = 6.0;

/// Joins of which a report shows pictures: the least alike.
pub(crate) const SEAM_PICTURES: usize = 50;

/// Their width, pixels.
pub(crate) const SEAM_PICTURE_WIDTH: u32 = 480;
