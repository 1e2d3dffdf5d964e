//! What the host keeps for one call, and what a guest may ask of it.

use crate::bindings::contract::travel::host::{job, log, media};
use crate::call::Cancel;
use crate::limiter::Limiter;
use crate::log_budget::LogBudget;
use crate::wasi::Random;
use std::time::{Duration, Instant};
use tracing::Level;

/// How much of a guest's last error line is kept for the error that follows it, in bytes.
const LAST_WORDS_BYTES: usize = 512;

/// The state of one call; dropped with its store.
pub(crate) struct HostState {
    pub(crate) limiter: Limiter,
    pub(crate) log: LogBudget,
    /// Whether the manifest asks for a log; if not, output is read only for last words.
    pub(crate) logs: bool,
    pub(crate) cancel: Cancel,
    pub(crate) deadline: Instant,
    pub(crate) random: Random,
    pub(crate) output: Lines,
    pub(crate) errors: Lines,
}

impl HostState {
    /// Takes what a guest printed, line by line.
    pub(crate) fn print(&mut self, is_error: bool, bytes: &[u8]) {
        let (lines, level) = if is_error { (&mut self.errors, Level::WARN) } else { (&mut self.output, Level::INFO) };
        let (log, logs) = (&mut self.log, self.logs);
        lines.push(bytes, |line| {
            if logs {
                log.write(level, line, &[]);
            }
        });
    }

    /// Ends the log: unfinished lines, then the count of what was dropped.
    pub(crate) fn close_log(&mut self) {
        self.print(false, b"\n");
        self.print(true, b"\n");
        self.log.close();
    }

    /// What the guest printed to its error stream at last; empty if nothing.
    pub(crate) fn last_words(&self) -> String {
        self.errors.recent.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Wall time left.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl media::Host for HostState {}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        let level = match level {
            log::Level::Trace => Level::TRACE,
            log::Level::Debug => Level::DEBUG,
            log::Level::Info => Level::INFO,
            log::Level::Warn => Level::WARN,
            log::Level::Error => Level::ERROR,
        };
        self.log.write(level, &message, &fields);
    }
}

impl job::Host for HostState {
    fn cancelled(&mut self) -> bool {
        self.cancel.is_set() || self.remaining().is_zero()
    }

    fn remaining_ms(&mut self) -> u32 {
        u32::try_from(self.remaining().as_millis()).unwrap_or(u32::MAX)
    }
}

/// Output cut into lines; never holds more than one.
pub(crate) struct Lines {
    line: Vec<u8>,
    line_bytes: usize,
    recent: String,
}

impl Lines {
    pub(crate) fn new(line_bytes: u32) -> Self {
        Self { line: Vec::new(), line_bytes: line_bytes as usize, recent: String::new() }
    }

    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = self.line_bytes.saturating_sub(self.line.len());
            self.line.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
            if ends && !self.line.is_empty() {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                if self.recent.len() < LAST_WORDS_BYTES {
                    self.recent.extend(line.chars().filter(|c| !c.is_control()).take(LAST_WORDS_BYTES));
                    self.recent.push(' ');
                }
                each(&line);
                self.line.clear();
            }
        }
    }
}
