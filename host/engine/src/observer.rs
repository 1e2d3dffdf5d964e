//! What a host tells while it works: for progress bars, for `--json`, for tests that wait.

use serde::Serialize;
use serde_json::Value;
use travel_queue::{RunId, RunState, TaskId};

/// One thing that happened. As JSON: `{"event": "task-started", …}`, one a line.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum HostEvent {
    /// The host is up and claims work.
    Started {
        /// Tasks taken back from a host that died.
        recovered: usize,
    },
    /// A task begins.
    TaskStarted {
        /// Its run.
        run: RunId,
        /// Its number.
        task: TaskId,
        /// Its name in the run.
        name: String,
        /// Its kind.
        kind: String,
        /// From 1.
        attempt: u32,
    },
    /// A task goes on.
    Progress {
        /// Its run.
        run: RunId,
        /// Its number.
        task: TaskId,
        /// Its name in the run.
        name: String,
        /// What it does at present: `plan`, `guide`, `wait` (for its slot), `generate`, `verify`, `post`, `measure`, `stitch`, `contact-sheet`, `store`.
        phase: String,
        /// Units done of the phase, usually frames.
        done: u64,
        /// Units in all; 0 when unknown.
        total: u64,
    },
    /// A task succeeded.
    TaskSucceeded {
        /// Its run.
        run: RunId,
        /// Its number.
        task: TaskId,
        /// Its name in the run.
        name: String,
        /// Names of the tasks that it added.
        emitted: Vec<String>,
    },
    /// An attempt failed.
    TaskFailed {
        /// Its run.
        run: RunId,
        /// Its number.
        task: TaskId,
        /// Its name in the run.
        name: String,
        /// A stable code.
        code: String,
        /// For a person.
        error: String,
        /// Whether it will be tried again.
        retrying: bool,
    },
    /// A task was stopped, because somebody cancelled it or its run.
    TaskCancelled {
        /// Its run.
        run: RunId,
        /// Its number.
        task: TaskId,
        /// Its name in the run.
        name: String,
    },
    /// A task was handed back unfinished, because the host stops or could not reach the queue for too long.
    TaskReleased {
        /// Its run.
        run: RunId,
        /// Its number.
        task: TaskId,
        /// Its name in the run.
        name: String,
    },
    /// A generator is left alone from now on, tried by one task, or as usual again.
    Circuit {
        /// Its name.
        generator: String,
        /// Which of these.
        state: CircuitState,
        /// Why, when it failed.
        error: Option<String>,
    },
    /// A run that this host worked on is over: told once, after its last task, whoever ended it.
    RunFinished {
        /// Which.
        run: RunId,
        /// How.
        state: RunState,
        /// The film, if there is one.
        output: Option<Value>,
        /// Why not, if there is none.
        error: Option<String>,
    },
    /// The host was asked to stop.
    Stopping {
        /// Tasks that still run.
        running: usize,
        /// Whether they are cut short.
        now: bool,
    },
}

/// Whether a generator is given tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CircuitState {
    /// As usual.
    Closed,
    /// None, for a while.
    Open,
    /// One, to see whether it works again.
    HalfOpen,
}

/// Who is told. Called from several threads; must return soon.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn tell(&self, event: &HostEvent);
}
