//! Where the present comes from. A store is given a clock when it is opened and takes every time
//! that it writes from there, so tests decide what time it is.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ids::TimestampMs;

/// A source of the present time.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> TimestampMs;
}

/// The machine's wall clock as it stood when this process first asked, and steady from then on: leases and delays must
/// not run out, or never end, because somebody sets the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimestampMs {
        static START: OnceLock<(SystemTime, Instant)> = OnceLock::new();
        let (wall, steady) = START.get_or_init(|| (SystemTime::now(), Instant::now()));
        // A clock set before 1970 reads as 1970: stored times then lag, nothing breaks.
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        TimestampMs(0).after(since.saturating_add(steady.elapsed()))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: TimestampMs) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock on by `by`.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().after(by));
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: TimestampMs) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.0.load(Ordering::SeqCst))
    }
}
