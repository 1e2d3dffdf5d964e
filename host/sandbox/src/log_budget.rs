//! What a plugin says in its log, within bounds.
//!
//! Lines go to `tracing` under the target `travel::plugin`, with the names of run, task and plugin that only the host
//! knows. Control characters are stripped, so that no plugin writes to a terminal; what is beyond the budget is counted
//! and said in one line at the end.

use crate::limits::Limits;
use crate::shown::push_shown;
use std::fmt::Write as _;
use std::sync::Arc;
use tracing::Level;

/// Whose log it is.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) run: Arc<str>,
    pub(crate) task: Arc<str>,
    pub(crate) plugin: Arc<str>,
}

/// The log of one call.
#[derive(Debug)]
pub(crate) struct LogBudget {
    speaker: Speaker,
    lines_left: u32,
    bytes_left: usize,
    line_bytes: usize,
    kept: u32,
    dropped: u64,
}

impl LogBudget {
    pub(crate) fn new(speaker: Speaker, limits: &Limits) -> Self {
        Self {
            speaker,
            lines_left: limits.log_lines,
            bytes_left: limits.log_bytes as usize,
            line_bytes: limits.log_line_bytes as usize,
            kept: 0,
            dropped: 0,
        }
    }

    /// Lines kept so far.
    pub(crate) fn kept(&self) -> u32 {
        self.kept
    }

    /// Keeps a line or counts it.
    pub(crate) fn write(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        if self.lines_left == 0 || self.bytes_left == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let line = self.line(message, fields);
        self.lines_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(line.len().max(1));
        self.kept += 1;
        self.emit(level, &line);
    }

    /// Says how many lines were dropped, if any.
    pub(crate) fn close(&mut self) {
        if self.dropped > 0 {
            self.emit(Level::WARN, &format!("{} log lines of the plugin were dropped", self.dropped));
            self.dropped = 0;
        }
    }

    fn line(&self, message: &str, fields: &[(String, String)]) -> String {
        let allowed = self.line_bytes.min(self.bytes_left);
        let mut line = String::new();
        push_shown(&mut line, message, allowed);
        for (key, value) in fields {
            if line.len() >= allowed {
                break;
            }
            let _ = write!(line, " ");
            push_shown(&mut line, key, allowed);
            let _ = write!(line, "=");
            push_shown(&mut line, value, allowed);
        }
        line
    }

    fn emit(&self, level: Level, line: &str) {
        let Speaker { run, task, plugin } = &self.speaker;
        macro_rules! at {
            ($level:ident) => {
                tracing::event!(target: "travel::plugin", Level::$level, run = %run, task = %task, plugin = %plugin, "{line}")
            };
        }
        match level {
            Level::ERROR => at!(ERROR),
            Level::WARN => at!(WARN),
            Level::INFO => at!(INFO),
            Level::DEBUG => at!(DEBUG),
            Level::TRACE => at!(TRACE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(limits: Limits) -> LogBudget {
        LogBudget::new(Speaker { run: "r".into(), task: "t".into(), plugin: "p".into() }, &limits)
    }

    #[test]
    fn lines_and_bytes_beyond_the_budget_are_counted_not_kept() {
        let mut log = budget(Limits { log_lines: 3, ..Limits::default() });
        for _ in 0..10 {
            log.write(Level::INFO, "hello", &[]);
        }
        assert_eq!((log.kept, log.dropped), (3, 7));
        let mut log = budget(Limits { log_bytes: 10, ..Limits::default() });
        for _ in 0..10 {
            log.write(Level::INFO, "hello", &[]);
        }
        assert_eq!((log.kept, log.dropped), (2, 8));
    }

    #[test]
    fn terminal_escapes_are_stripped_and_lines_are_cut_at_characters() {
        let log = budget(Limits { log_line_bytes: 12, ..Limits::default() });
        let fields = [("k".to_owned(), "v\u{202e}".to_owned())];
        assert_eq!(log.line("\u{1b}[31mred\nx", &fields), "[31mred x k=");
        assert_eq!(log.line("äöüäöüä", &[]), "äöüäöü");
    }
}
