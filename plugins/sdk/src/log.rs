//! Lines in the host's log. The plugin's manifest must ask for it: `[wants] log = true`.
//!
//! The host adds run, task and plugin, strips control characters, and keeps a bounded number of lines.

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who writes the plugin.
    Debug,
    /// For who runs it.
    Info,
    /// Something is not as it was asked.
    Warn,
    /// Something is wrong.
    Error,
}

/// Writes a line with named values. Natively it does nothing.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    crate::glue::log(level, message, fields);
    #[cfg(not(target_family = "wasm"))]
    let _ = (level, message, fields);
}

/// A line of [`Level::Info`].
pub fn info(message: &str) {
    write(Level::Info, message, &[]);
}

/// A line of [`Level::Warn`].
pub fn warn(message: &str) {
    write(Level::Warn, message, &[]);
}
