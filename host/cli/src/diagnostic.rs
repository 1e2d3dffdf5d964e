//! One diagnostic at the edge: what, where, why, what to do, and a stable code.

use crate::args::{Color, Global};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use travel_engine::EngineError;

/// What went wrong, for a person and for a script.
#[derive(Debug)]
pub struct Diagnostic {
    code: String,
    message: String,
    hint: String,
    exit: u8,
}

impl Diagnostic {
    /// Input that is refused: exit code 2.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), hint: String::new(), exit: 2 }
    }

    /// Work that failed: exit code 1.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self { exit: 1, ..Self::refused(code, message) }
    }

    /// Work that was stopped: exit code 130.
    pub fn stopped(message: impl Into<String>) -> Self {
        Self { exit: 130, ..Self::refused("stopped", message) }
    }

    /// What to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        self.exit
    }

    /// To standard error.
    pub fn print(&self, global: &Global) {
        let mut err = std::io::stderr().lock();
        // With standard error gone there is nobody left to tell.
        let _ = if global.json {
            let error = json!({ "code": self.code, "message": self.message, "hint": self.hint });
            writeln!(err, "{}", json!({ "error": error }))
        } else {
            let (red, bold, off) = if uses_color(global) { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
            let head = writeln!(err, "{red}error[{}]{off}{bold}: {}{off}", self.code, self.message);
            if self.hint.is_empty() { head } else { head.and_then(|()| writeln!(err, "  try: {}", self.hint)) }
        };
    }
}

/// Whether standard error takes colours.
pub fn uses_color(global: &Global) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

impl From<EngineError> for Diagnostic {
    fn from(error: EngineError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !message.contains(&more) {
                message = format!("{message}: {more}");
            }
            cause = inner.source();
        }
        let exit = if error.is_bad_input() { 2 } else { 1 };
        Self { code: error.code().to_owned(), message, hint: error.hint(), exit }
    }
}

impl From<travel_engine::queue::QueueError> for Diagnostic {
    fn from(error: travel_engine::queue::QueueError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<travel_engine::sandbox::PluginError> for Diagnostic {
    fn from(error: travel_engine::sandbox::PluginError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<travel_engine::artifacts::ArtifactError> for Diagnostic {
    fn from(error: travel_engine::artifacts::ArtifactError) -> Self {
        EngineError::from(error).into()
    }
}
