//! What a call is made for, and what it cost.

use crate::limits::LimitOverrides;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Says whether a call should end early. Asked every tick while a guest runs, from the thread that runs it.
#[derive(Clone, Default)]
pub struct Cancel(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Cancel {
    /// A call that nobody cancels.
    #[must_use]
    pub fn never() -> Self {
        Self(None)
    }

    /// Whatever the closure says; it must not block.
    pub fn when(cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(cancelled)))
    }

    /// Whether the call should end now.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|cancelled| cancelled())
    }
}

impl From<Arc<AtomicBool>> for Cancel {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self::when(move || flag.load(Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Cancel(when …)" } else { "Cancel(never)" })
    }
}

/// What a call is made for.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// The run's name, for logs.
    pub run: Arc<str>,
    /// The task's name in the run, for logs.
    pub task: Arc<str>,
    /// Who may end it early.
    pub cancel: Cancel,
    /// Limits for this call alone; they only lower.
    pub limits: LimitOverrides,
}

impl CallContext {
    /// A call for a task of a run, which nobody cancels.
    pub fn new(run: impl Into<Arc<str>>, task: impl Into<Arc<str>>) -> Self {
        Self { run: run.into(), task: task.into(), ..Self::default() }
    }

    /// The same, ended early when `cancel` says so.
    #[must_use]
    pub fn cancelled_by(self, cancel: impl Into<Cancel>) -> Self {
        Self { cancel: cancel.into(), ..self }
    }

    /// The same under lower limits.
    #[must_use]
    pub fn limited_to(self, limits: LimitOverrides) -> Self {
        Self { limits, ..self }
    }
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallReport {
    /// Units of fuel; the same for the same call, on every machine.
    pub fuel_used: u64,
    /// Bytes of all linear memories together, at their most.
    pub peak_memory: u64,
    /// From request to checked plan.
    pub wall: Duration,
    /// Log lines that were kept.
    pub log_lines: u32,
}
