//! Every limit of the sandbox, named, with its default.
//!
//! An operator sets [`Limits`]; a plugin's manifest, and a single call, can only lower them. Limits on plans themselves
//! (nodes, layers, table entries) belong to the contract and stand beside the plans' checks in crate `travel`.

use serde::{Deserialize, Serialize};
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The largest component that is read.
pub const MAX_WASM_BYTES: u64 = 16 * MIB;
/// The largest `plugin.toml` that is read.
pub const MAX_MANIFEST_BYTES: u64 = 64 * KIB;
/// The largest schema that a plugin may describe its parameters with.
pub const MAX_SCHEMA_BYTES: usize = 256 * 1024;
/// The largest parameters that are passed to a plugin.
pub const MAX_PARAMS_BYTES: usize = 256 * 1024;
/// The most legs that a run may have: the host repeats per-leg lists for each.
pub const MAX_LEGS: u32 = 10_000;
/// Wasm stack of a call. Fixed for the engine: it is part of the compiled code's environment.
pub const WASM_STACK_BYTES: usize = 512 * 1024;
/// How often a running guest is looked at: the latency of cancellation and of the wall-time limit.
pub const TICK: Duration = Duration::from_millis(10);
/// The most random bytes handed out at once.
pub const MAX_RANDOM_BYTES: u64 = 4 * KIB;
/// Frames of a crashed guest's stack that are reported.
pub const MAX_TRAP_FRAMES: usize = 6;

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Wall time, milliseconds. Time that the machine spends elsewhere counts: it bounds a hung call, not work.
    pub wall_ms: u32,
    /// Instructions, about one unit each. The same call uses the same amount on every machine.
    pub fuel: u64,
    /// Bytes of all linear memories together.
    pub memory_bytes: u64,
    /// Elements of all tables together.
    pub table_elements: u64,
    /// Core instances; a component made from Rust has about five.
    pub instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Bytes that cross from the guest to the host in one call or answer. A call whose request is larger than this gets
    /// as much as its request.
    pub data_bytes: u64,
    /// Handles held at once.
    pub handles: u32,
    /// Log lines of a call; more are counted, not kept.
    pub log_lines: u32,
    /// Log bytes of a call.
    pub log_bytes: u32,
    /// Bytes of one log line; the rest is cut.
    pub log_line_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: 1_000,
            fuel: 2_000_000_000,
            memory_bytes: 64 * MIB,
            table_elements: 10_000,
            instances: 32,
            memories: 4,
            tables: 32,
            data_bytes: 4 * MIB,
            handles: 256,
            log_lines: 256,
            log_bytes: 64 * 1024,
            log_line_bytes: 4 * 1024,
        }
    }
}

/// `[limits]` of a `plugin.toml`: what the plugin promises to stay below. It lowers, and never raises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitOverrides {
    /// Milliseconds.
    pub wall_ms: Option<u32>,
    /// Instructions.
    pub fuel: Option<u64>,
    /// Bytes of all linear memories together.
    pub memory_bytes: Option<u64>,
    /// Bytes that cross in one call or answer.
    pub data_bytes: Option<u64>,
    /// Log lines.
    pub log_lines: Option<u32>,
}

impl Limits {
    /// The lower of each.
    #[must_use]
    pub fn lowered_by(self, by: &LimitOverrides) -> Self {
        fn least<T: Ord>(have: T, by: Option<T>) -> T {
            match by {
                Some(by) => have.min(by),
                None => have,
            }
        }
        Self {
            wall_ms: least(self.wall_ms, by.wall_ms),
            fuel: least(self.fuel, by.fuel),
            memory_bytes: least(self.memory_bytes, by.memory_bytes),
            data_bytes: least(self.data_bytes, by.data_bytes),
            log_lines: least(self.log_lines, by.log_lines),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_lowers_limits_and_never_raises_them() {
        let by = LimitOverrides { wall_ms: Some(50), fuel: Some(u64::MAX), ..LimitOverrides::default() };
        let limits = Limits::default().lowered_by(&by);
        assert_eq!((limits.wall_ms, limits.fuel), (50, Limits::default().fuel));
    }
}
