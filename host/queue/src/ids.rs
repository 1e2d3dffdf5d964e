//! Newtypes for everything that a row is called by, so that a run's number can never be handed in
//! where a task's is meant.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A run; never reused, also after the run was deleted.
    RunId
}
number! {
    /// A task; never reused. A child's number is always greater than its parents' numbers.
    TaskId
}
number! {
    /// One incarnation of a worker process; never reused.
    WorkerId
}
number! {
    /// The fence of one claim. Every claim of a task carries a greater token than all claims of it
    /// before, over restarts and power failures; only the holder of the newest may finish it.
    LeaseToken
}
number! {
    /// Place of an event in its run: 1, 2, 3 … without a gap. `Seq(0)` is before the first.
    Seq
}
number! {
    /// Milliseconds since 1970-01-01 00:00 UTC.
    TimestampMs
}

impl TimestampMs {
    /// This instant moved later by `delay`; saturates instead of wrapping.
    pub fn after(self, delay: Duration) -> Self {
        let ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// This instant moved earlier by `span`; saturates instead of wrapping.
    pub fn before(self, span: Duration) -> Self {
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(ms))
    }

    /// How long from `self` until `later`; zero when `later` has passed.
    pub fn until(self, later: Self) -> Duration {
        let ms = later.0.saturating_sub(self.0).max(0);
        Duration::from_millis(ms.unsigned_abs())
    }
}

/// The BLAKE3 hash that names a stored file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactHash(pub [u8; 32]);

impl fmt::Display for ArtifactHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ArtifactHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArtifactHash({self})")
    }
}

impl From<[u8; 32]> for ArtifactHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Serialize for ArtifactHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_never_wraps_and_never_runs_backwards() {
        let end = TimestampMs(i64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(end.until(TimestampMs(0)), Duration::ZERO);
        assert_eq!(TimestampMs(i64::MIN).before(Duration::MAX), TimestampMs(i64::MIN));
        assert_eq!(TimestampMs(7).before(Duration::from_millis(2)), TimestampMs(5));
        assert_eq!(TimestampMs(5).until(TimestampMs(7)), Duration::from_millis(2));
    }

    #[test]
    fn a_hash_is_shown_as_sixty_four_hex_digits() {
        let shown = ArtifactHash([0xa5; 32]).to_string();
        assert_eq!(shown, "a5".repeat(32));
    }
}
