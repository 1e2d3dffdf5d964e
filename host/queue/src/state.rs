//! The closed sets of words that rows hold. Each is parsed once, where a row is read; a text that
//! is none of them makes the row corrupt, and no default is guessed.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The text that is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value that `text` stands for, if any.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// Where a task stands.
    TaskState {
        /// Waits for parents.
        Blocked = "blocked",
        /// Waits for a time: a retry's delay, or the start that was asked for.
        Scheduled = "scheduled",
        /// Would be ready or scheduled, but somebody paused its run.
        Paused = "paused",
        /// May be claimed.
        Ready = "ready",
        /// Claimed by a worker.
        Running = "running",
        /// Done, output stored.
        Succeeded = "succeeded",
        /// Given up; see its error.
        Failed = "failed",
        /// Stopped because somebody cancelled it or its run.
        Cancelled = "cancelled",
        /// Never started, because a parent was given up.
        Skipped = "skipped",
    }
}

impl TaskState {
    /// Whether the task will not run again unless its run is retried.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped)
    }

    /// Whether the task is over and children can go by what it made.
    pub const fn has_result(self) -> bool {
        matches!(self, Self::Succeeded)
    }
}

words! {
    /// Where a run stands.
    RunState {
        /// Some task is still open.
        Active = "active",
        /// Every task succeeded.
        Succeeded = "succeeded",
        /// No task is open and at least one failed.
        Failed = "failed",
        /// No task is open, because the run was cancelled, or some of its tasks were and none failed.
        Cancelled = "cancelled",
    }
}

words! {
    /// What becomes of a task whose parent is given up.
    OnDepFailure {
        /// It is skipped, and so on down the graph.
        Skip = "skip",
        /// It runs all the same, with what is there.
        Run = "run",
    }
}

words! {
    /// How one attempt ended.
    AttemptOutcome {
        /// With a result.
        Succeeded = "succeeded",
        /// With an error.
        Failed = "failed",
        /// Stopped by a cancellation.
        Cancelled = "cancelled",
        /// Its worker vanished.
        Lost = "lost",
        /// Handed back unfinished by a worker that shut down.
        Released = "released",
    }
}

words! {
    /// What an event tells.
    EventKind {
        /// The run was accepted.
        RunSubmitted = "run_submitted",
        /// The run's last open task succeeded.
        RunSucceeded = "run_succeeded",
        /// The run's last open task closed and at least one had failed.
        RunFailed = "run_failed",
        /// Cancellation was asked for.
        RunCancelling = "run_cancelling",
        /// The run's last open task closed after a cancellation.
        RunCancelled = "run_cancelled",
        /// The run, or some task of it, was set going again.
        RunRevived = "run_revived",
        /// The run was paused: what runs goes on, nothing starts.
        RunPaused = "run_paused",
        /// The run was resumed.
        RunResumed = "run_resumed",
        /// A task was added while the run was going.
        TaskAdded = "task_added",
        /// A worker took the task.
        TaskStarted = "task_started",
        /// The task succeeded.
        TaskSucceeded = "task_succeeded",
        /// An attempt failed; the task will be tried again.
        TaskRetrying = "task_retrying",
        /// Something that is no fault of the task's holds it up; the attempt does not count.
        TaskHeld = "task_held",
        /// The task was given up.
        TaskFailed = "task_failed",
        /// The task's worker vanished; the task is ready again.
        TaskLost = "task_lost",
        /// A worker handed the task back unfinished.
        TaskReleased = "task_released",
        /// The task runs, and was asked to stop.
        TaskCancelling = "task_cancelling",
        /// The task was cancelled.
        TaskCancelled = "task_cancelled",
        /// The task was skipped because a parent was given up.
        TaskSkipped = "task_skipped",
        /// Something that a worker wished to tell; `data` is `{"label": …, "data": …}`.
        Reported = "reported",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_parsed_back_and_others_are_refused() {
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(*state));
        }
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), serde_json::Value::from(kind.as_str()));
        }
        assert_eq!(TaskState::parse("Running"), None);
        assert_eq!(RunState::parse(""), None);
    }

    #[test]
    fn exactly_four_states_are_final() {
        let finals: Vec<_> = TaskState::ALL.iter().filter(|s| s.is_final()).collect();
        assert_eq!(finals.len(), 4);
    }
}
