//! How long to wait before an attempt is made again.

use std::time::Duration;

use crate::limits::{BACKOFF_JITTER, BACKOFF_MAX, BACKOFF_UNIT};

/// `min(2^attempt · 5 s, 10 min)`, moved by up to ±20 %.
///
/// `attempt` is the number of the attempt that failed (1, 2, …). `chance` is a random number in
/// `[0, 1)`: 0 takes the fifth away, 0.5 changes nothing; anything else is brought into that range.
pub fn backoff(attempt: u32, chance: f64) -> Duration {
    let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX).max(1);
    let plain = BACKOFF_UNIT.saturating_mul(factor).min(BACKOFF_MAX);
    let chance = if chance.is_finite() { chance.clamp(0.0, 1.0) } else { 0.5 };
    plain.mul_f64(1.0 + BACKOFF_JITTER * (2.0 * chance - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_minutes() {
        let seconds: Vec<u64> = (1..=9).map(|n| backoff(n, 0.5).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(backoff(u32::MAX, 0.5), BACKOFF_MAX);
    }

    #[test]
    fn chance_moves_a_delay_by_a_fifth_at_most() {
        assert_eq!(backoff(1, 0.0), Duration::from_secs(8));
        assert_eq!(backoff(1, 1.0), Duration::from_secs(12));
        assert_eq!(backoff(1, f64::NAN), Duration::from_secs(10));
        assert_eq!(backoff(1, 7.0), Duration::from_secs(12));
    }
}
