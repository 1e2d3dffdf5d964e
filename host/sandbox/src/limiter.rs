//! Memory, summed.
//!
//! wasmtime's own limiter bounds each memory; a component may have several. This one adds them up, and a growth beyond
//! the limit ends the call there and then with what was wanted, instead of letting the guest stumble over a failed
//! allocation.

use crate::limits::Limits;
use std::fmt;

/// A growth that was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Denied {
    pub(crate) what: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) wanted: u64,
    pub(crate) allowed: u64,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} wanted, {} allowed", self.wanted, self.what, self.allowed)
    }
}

impl std::error::Error for Denied {}

/// Bounds a store, and counts.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    memory: u64,
    elements: u64,
    peak: u64,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, memory: 0, elements: 0, peak: 0 }
    }

    /// Bytes of all memories together, at their most.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak
    }

    /// The limits of the call.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }
}

fn grown(have: u64, current: usize, desired: usize) -> u64 {
    have.saturating_add(desired.saturating_sub(current) as u64)
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = grown(self.memory, current, desired);
        let allowed = self.limits.memory_bytes;
        if wanted > allowed {
            let denied = Denied { what: "bytes of memory", limit: "memory-bytes", wanted, allowed };
            return Err(wasmtime::Error::from(denied));
        }
        self.memory = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = grown(self.elements, current, desired);
        let allowed = self.limits.table_elements;
        if wanted > allowed {
            let denied = Denied { what: "table elements", limit: "table-elements", wanted, allowed };
            return Err(wasmtime::Error::from(denied));
        }
        self.elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances as usize
    }

    fn tables(&self) -> usize {
        self.limits.tables as usize
    }

    fn memories(&self) -> usize {
        self.limits.memories as usize
    }
}
