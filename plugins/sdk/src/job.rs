//! Cooperation with the host, which also stops a plugin that never asks.

/// True once the host wants the call to end: return early, the plan will not be used. Natively never.
#[must_use]
pub fn cancelled() -> bool {
    #[cfg(target_family = "wasm")]
    return crate::glue::cancelled();
    #[cfg(not(target_family = "wasm"))]
    false
}

/// Milliseconds of wall time left to this call. Natively without end.
#[must_use]
pub fn remaining_ms() -> u32 {
    #[cfg(target_family = "wasm")]
    return crate::glue::remaining_ms();
    #[cfg(not(target_family = "wasm"))]
    u32::MAX
}
