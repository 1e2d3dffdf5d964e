//! The numbers of generators.

use std::time::Duration;

/// Longest line of the protocol, bytes.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// Lines that wait to be looked at; a program that says more meanwhile has to wait.
pub(crate) const LINES_AHEAD: usize = 64;

/// Bytes of what a program last said on standard error that its error repeats.
pub(crate) const TAIL_BYTES: usize = 2000;

/// Bytes of standard error that are kept of one job.
pub(crate) const LOG_BYTES: u64 = 16 << 20;

/// Until the last of a job's standard error is written down; a program that talks on without end is not waited for.
pub(crate) const LOG_TAKES: Duration = Duration::from_millis(100);

/// Between the request to begin and the first word.
pub(crate) const START: Duration = Duration::from_secs(120);

/// Between two signs of life while a model is loaded or a clip is rendered.
pub(crate) const SILENCE: Duration = Duration::from_secs(600);

/// Between the request to stop and the end of the whole process group.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long a program without work is kept.
pub(crate) const IDLE: Duration = Duration::from_secs(900);

/// Before the first new start after a death; doubled at each further one.
pub(crate) const RESTART_FIRST: Duration = Duration::from_secs(1);

/// Longest wait before a new start.
pub(crate) const RESTART_MOST: Duration = Duration::from_secs(60);

/// Between a program's end and the last of what it had said; a program that it left behind may hold its pipes open for ever.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(500);

/// Until the kernel has ended a program that was killed; one that waits for a device may take longer, and is left behind.
pub(crate) const KILL_TAKES: Duration = Duration::from_secs(2);

/// Different tasks that fail in a row before their generator is left alone: two may be bad luck, and what the third tells the
/// fourth would only tell again.
pub(crate) const CIRCUIT_FAILURES: u32 = 3;

/// How long it is left alone the first time: a server that is started anew is back by then.
pub(crate) const CIRCUIT_COOLING: Duration = Duration::from_secs(30);

/// Longest: what a probe costs in ten minutes is little.
pub(crate) const CIRCUIT_MOST: Duration = Duration::from_secs(600);

/// Mean luma, 0 to 255, below which a frame counts as black. A decoder's black is 0 to 1, with a codec's noise up to 2;
/// the darkest night that shows something is above.
pub(crate) const BLACK_LUMA: f64 = 3.0;

/// Mean luma from which an anchor is certainly not black: apart from [`BLACK_LUMA`], so that a dark anchor which comes back a
/// little darker fails nobody.
pub(crate) const LIT_LUMA: f64 = 8.0;

/// Mean absolute difference, in code values, up to which a frame counts as the same picture as the first: what a lossy codec
/// changes in a picture that stands still.
pub(crate) const STILL_DIFFERENCE: f64 = 1.0;

/// Mean absolute difference from which two anchors are certainly different pictures: whatever leads from one to the other is
/// beyond [`STILL_DIFFERENCE`] somewhere.
pub(crate) const ANCHORS_APART: f64 = 4.0;

/// Mean absolute difference, in code values, of a returned known frame to the guide's from which the user is told: a codec
/// between makes 1 or 2, a model's own round trip about 4, and beyond 8 the step shows where segments meet.
pub const KNOWN_OFF: f64 = 8.0;
