//! From what wasmtime says to what went wrong.

use crate::error::{Function, PluginError};
use crate::host::HostState;
use crate::limiter::Denied;
use crate::limits::{MAX_TRAP_FRAMES, WASM_STACK_BYTES};
use std::fmt;
use wasmtime::{Error, Trap, WasmBacktrace};

/// Why a call was stopped between two ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// Its wall time is over.
    Deadline,
    /// The host wants it to end.
    Cancelled,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Stop {}

/// Names the error of a call that did not come back. `used_ms` is its wall time.
pub(crate) fn classify(
    error: &Error,
    plugin: &str,
    function: Function,
    used_ms: u64,
    data_bytes: u64,
    state: &HostState,
) -> PluginError {
    let plugin = plugin.to_owned();
    let limits = state.limiter.limits();
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return match stop {
            Stop::Deadline => PluginError::Timeout { plugin, function, used_ms, allowed_ms: limits.wall_ms },
            Stop::Cancelled => PluginError::Cancelled { plugin, function },
        };
    }
    if let Some(&Denied { what, limit, wanted, allowed }) = error.downcast_ref::<Denied>() {
        return PluginError::MemoryLimit { plugin, function, what, wanted, allowed, limit };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return PluginError::CpuBudget { plugin, function, allowed: limits.fuel },
        Some(Trap::StackOverflow) => return PluginError::StackLimit { plugin, function, allowed: WASM_STACK_BYTES },
        _ => {}
    }
    // These three have no type of their own in wasmtime 48; the tests of the hostile plugin hold their words.
    let text = format!("{:#}", error.root_cause());
    if text.contains("too much data is being copied") {
        return PluginError::DataLimit { plugin, function, allowed: data_bytes };
    }
    if text.contains("store handle limit exceeded") {
        return PluginError::HandleLimit { plugin, function, allowed: limits.handles };
    }
    if let Some((_, rest)) = text.split_once("resource limit exceeded: ") {
        let (what, limit, allowed) = match rest.split(' ').next() {
            Some("memory") => ("memories", "memories", limits.memories),
            Some("table") => ("tables", "tables", limits.tables),
            _ => ("core instances", "instances", limits.instances),
        };
        let wanted = rest.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_else(|| u64::from(allowed) + 1);
        return PluginError::MemoryLimit { plugin, function, what, wanted, allowed: u64::from(allowed), limit };
    }
    let words = state.last_words();
    let trap = if words.is_empty() { text } else { format!("{text}; it said: {words}") };
    PluginError::Crashed { plugin, function, trap, frames: frames(error) }
}

/// The guest's functions, innermost first, without the machinery by which a Rust panic ends.
fn frames(error: &Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |f: &wasmtime::FrameInfo| match f.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", f.func_index()),
    };
    trace.frames().iter().map(name).skip_while(|name| is_panic_machinery(name)).take(MAX_TRAP_FRAMES).collect()
}

fn is_panic_machinery(name: &str) -> bool {
    name == "abort" || ["std::", "core::", "alloc::", "__rustc"].iter().any(|lead| name.starts_with(lead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_s_own_functions_are_not_machinery() {
        assert!(is_panic_machinery("core::panicking::panic_fmt") && is_panic_machinery("__rustc::rust_panic"));
        assert!(!is_panic_machinery("acme::guide::compose") && !is_panic_machinery("core_colours::mix"));
    }
}
