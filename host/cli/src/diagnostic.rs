//! One diagnostic at the edge: what, where, why, what to do, and a stable code.

use crate::args::{Color, Global};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use travel_engine::EngineError;

/// Exit code of work that was stopped: that of a program which Ctrl-C ends.
pub const STOPPED: u8 = 130;

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

    /// A command line that is not one: the parser's own words, which teach.
    pub fn usage(words: &str) -> Self {
        let words = words.trim().strip_prefix("error: ").unwrap_or(words);
        let words = words.split("\n\nFor more information").next().unwrap_or(words);
        Self::refused("usage", words.trim_end()).hint("the command with --help")
    }

    /// Work that failed: exit code 1.
    pub fn failed(code: &str, message: impl Into<String>) -> Self {
        Self { exit: 1, ..Self::refused(code, message) }
    }

    /// Work that was stopped: exit code [`STOPPED`].
    pub fn stopped(message: impl Into<String>) -> Self {
        Self { exit: STOPPED, ..Self::refused("stopped", message) }
    }

    /// What to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Whether the same may be possible later: nothing was wrong with what was asked.
    pub fn may_pass(&self) -> bool {
        self.exit != 2 || self.code == "queue_quota"
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        self.exit
    }

    /// To standard error.
    pub fn print(&self, global: &Global) {
        self.write(global.json, uses_color(global));
    }

    /// To standard error, when the command line could not be read.
    pub fn print_early(&self, json: bool) {
        self.write(json, false);
    }

    fn write(&self, json: bool, color: bool) {
        let mut err = std::io::stderr().lock();
        // With standard error gone there is nobody left to tell.
        let _ = if json {
            let error = json!({ "code": self.code, "message": self.message, "hint": self.hint });
            writeln!(err, "{}", json!({ "error": error }))
        } else {
            let (red, bold, off) = if color { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
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

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<EngineError> for Diagnostic {
    fn from(error: EngineError) -> Self {
        let message = error.with_causes();
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
