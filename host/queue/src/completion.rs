//! Giving work back: success, failure, and what became of the graph.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::ids::{LeaseToken, RunId, TaskId, TimestampMs};
use crate::state::{RunState, TaskState};
use crate::submission::{NewTask, SlotArtifact};
use crate::take::Memo;

/// A task that succeeded. All of it becomes visible at once, or nothing.
#[derive(Debug, Clone)]
pub struct Finish {
    /// The task.
    pub task: TaskId,
    /// Its fence.
    pub token: LeaseToken,
    /// The result that its children are given.
    pub output: Value,
    /// Files that it made. They must be safe on disk before this is sent.
    pub artifacts: Vec<SlotArtifact>,
    /// Tasks that it adds to its run, parents before children.
    pub emitted: Vec<NewTask>,
    /// What else it has to tell.
    pub events: Vec<NewEvent>,
    /// The result of the whole run, when this task has it.
    pub run_output: Option<Value>,
    /// What the result depends on, so that it is found again; nothing when it is not to be.
    pub memo: Option<Memo>,
}

impl Finish {
    /// A success with nothing but an output.
    pub fn new(task: TaskId, token: LeaseToken, output: Value) -> Self {
        let (artifacts, emitted, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { task, token, output, artifacts, emitted, events, run_output: None, memo: None }
    }
}

/// Something that a worker wishes to tell in the run's event log.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What it is about, such as `plan_warning`.
    pub label: String,
    /// The rest.
    pub data: Value,
}

/// A task that a [`Finish`] named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmittedTask {
    /// Its name.
    pub name: String,
    /// Its number.
    pub task: TaskId,
    /// False when the run had a task of that name already, which was left as it is.
    pub created: bool,
}

/// Answer to a [`Finish`].
#[derive(Debug, Clone)]
pub struct Finished {
    /// Succeeded; or cancelled, when the run was cancelled meanwhile: then the output, the emitted
    /// tasks and the rest of the finish were dropped.
    pub state: TaskState,
    /// The run's state now.
    pub run_state: RunState,
    /// What the emitted names became, in the order given.
    pub emitted: Vec<EmittedTask>,
    /// Tasks that may be claimed now and could not before.
    pub released: Vec<TaskId>,
}

/// A task that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The task.
    pub task: TaskId,
    /// Its fence.
    pub token: LeaseToken,
    /// A stable code, such as `generator_silent`.
    pub code: String,
    /// What happened, for people.
    pub error: String,
    /// Whether another attempt makes sense.
    pub retry: Retry,
    /// Files that tell more of it; their slots are new to the task.
    pub artifacts: Vec<SlotArtifact>,
}

/// Whether, and when, a failed attempt should be made again.
#[derive(Debug, Clone, PartialEq)]
pub enum Retry {
    /// It would fail again.
    Never,
    /// After this delay (see [`crate::backoff()`]), if the task has attempts left.
    After(Duration),
    /// After this delay and in another way: the task has all its attempts anew. Whoever asks for this sees to it that ways
    /// come to an end.
    Changed(Duration, Change),
    /// After this delay; what held it up is no fault of the task's, so the attempt does not count.
    Held(Duration),
}

/// In which way a task is tried again. A retry of the run or the task by a person takes it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The pool that it moves to.
    pub pool: Option<String>,
    /// Its affinity from now on.
    pub affinity: Option<String>,
    /// What the next attempts are given, instead of what an earlier change gave them.
    pub carry: Value,
}

/// Answer to a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Scheduled (will be tried again), failed (given up) or cancelled; blocked when it will be
    /// tried again after a parent that a retry of the run has opened meanwhile.
    pub state: TaskState,
    /// When it will be tried again.
    pub retry_at: Option<TimestampMs>,
    /// The run's state now.
    pub run_state: RunState,
    /// Tasks that were skipped because this one was given up.
    pub skipped: Vec<TaskId>,
    /// Tasks that may be claimed now and could not before.
    pub released: Vec<TaskId>,
}

/// What was taken back from vanished workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Tasks that are ready again.
    pub requeued: Vec<TaskId>,
    /// Tasks that were given up, having lost too many workers.
    pub poisoned: Vec<TaskId>,
    /// Tasks of cancelled runs.
    pub cancelled: Vec<TaskId>,
}

impl Recovered {
    /// Adds what was taken back from others.
    pub fn extend(&mut self, more: Self) {
        self.requeued.extend(more.requeued);
        self.poisoned.extend(more.poisoned);
        self.cancelled.extend(more.cancelled);
    }
}

/// Answer to a cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cancelled {
    /// The run.
    pub run: RunId,
    /// Its state now: still active while tasks are stopping.
    pub run_state: RunState,
    /// Tasks that will not start any more.
    pub stopped: Vec<TaskId>,
    /// Tasks that run and were asked to stop.
    pub stopping: Vec<TaskId>,
    /// Tasks that were skipped because they needed a stopped one.
    pub skipped: Vec<TaskId>,
}

/// Answer to a retry of a run or a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revived {
    /// The run.
    pub run: RunId,
    /// Its state now.
    pub run_state: RunState,
    /// Tasks that were over and are open again.
    pub tasks: Vec<TaskId>,
}
