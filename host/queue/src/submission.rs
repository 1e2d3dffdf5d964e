//! What callers hand in: a run, its tasks and their edges, the files that they use.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::ids::{ArtifactHash, RunId, TimestampMs};
use crate::limits;
use crate::state::{OnDepFailure, RunState};

/// A run to be accepted.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Who owns it; a tenant not seen before is made with the default weight.
    pub tenant: String,
    /// What people call it; need not be unique.
    pub name: String,
    /// Submitting twice with the same key for the same tenant gives the first run back.
    pub idem_key: Option<String>,
    /// What was asked for; opaque here, handed out again with every claim.
    pub spec: Value,
    /// Its first tasks are not started before.
    pub start_at: Option<TimestampMs>,
    /// The first tasks, parents before children.
    pub tasks: Vec<NewTask>,
}

impl NewRun {
    /// A run without an idempotency key and without tasks.
    pub fn new(tenant: impl Into<String>, name: impl Into<String>, spec: Value) -> Self {
        Self { tenant: tenant.into(), name: name.into(), idem_key: None, spec, start_at: None, tasks: Vec::new() }
    }

    /// The run with `key` as its idempotency key.
    pub fn idem_key(mut self, key: impl Into<String>) -> Self {
        self.idem_key = Some(key.into());
        self
    }

    /// The run with `task` added.
    pub fn task(mut self, task: NewTask) -> Self {
        self.tasks.push(task);
        self
    }
}

/// A task to be added to a run. Adding a name that the run already has changes nothing.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// Unique within its run, such as `segment_03`.
    pub name: String,
    /// What handles it, such as `travel_segment`.
    pub kind: String,
    /// The class of resource that it needs, such as `gpu` or `cpu`.
    pub pool: String,
    /// What the handler is given.
    pub input: Value,
    /// Names of tasks of the same run that must be over first. Each must exist already or stand
    /// earlier in the same list, which makes cycles impossible; the finishing task's own name is
    /// allowed.
    pub after: Vec<String>,
    /// What becomes of it when such a task is given up.
    pub on_dep_failure: OnDepFailure,
    /// Smaller goes first within its lane.
    pub priority: i32,
    /// Attempts that may fail before it is given up; at least 1.
    pub max_attempts: u32,
    /// How long one attempt may take, at least a millisecond; its worker ends it then, and it counts as failed.
    pub deadline: Option<Duration>,
    /// How long it will occupy its pool, by guess; charged to the tenant's share, corrected later.
    pub est_cost: Duration,
    /// What it is good to have loaded already, such as a model's name.
    pub affinity: Option<String>,
    /// Stored files that it uses.
    pub artifacts: Vec<SlotArtifact>,
}

impl NewTask {
    /// A task with priority 100, three attempts, no parents, no files; skipped when a parent fails.
    pub fn new(name: impl Into<String>, kind: impl Into<String>, pool: impl Into<String>, input: Value) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            pool: pool.into(),
            input,
            after: Vec::new(),
            on_dep_failure: OnDepFailure::Skip,
            priority: 100,
            max_attempts: limits::MAX_ATTEMPTS,
            deadline: None,
            est_cost: limits::DEFAULT_COST,
            affinity: None,
            artifacts: Vec::new(),
        }
    }

    /// The task with one more parent.
    pub fn after(mut self, parent: impl Into<String>) -> Self {
        self.after.push(parent.into());
        self
    }

    /// The task with one more file that it uses.
    pub fn artifact(mut self, artifact: SlotArtifact) -> Self {
        self.artifacts.push(artifact);
        self
    }
}

/// A stored file, and the place it takes among the files that a task uses or made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotArtifact {
    /// Unique among what the task uses, and among what it made, such as `clip` or `image_02`.
    pub slot: String,
    /// The file's name in the artifact store.
    pub hash: ArtifactHash,
    /// Its length.
    pub bytes: u64,
    /// Its media type, such as `video/mp4`.
    pub media: String,
}

/// Answer to a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Submitted {
    /// The run.
    pub run: RunId,
    /// False when the idempotency key was known and nothing was added.
    pub created: bool,
}

/// A run that was over before this queue knew of it: without tasks or events.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    /// Who owned it.
    pub tenant: String,
    /// What people called it.
    pub name: String,
    /// Recording twice with one key records once.
    pub idem_key: String,
    /// What it was asked for, in whatever words.
    pub spec: Value,
    /// How it ended.
    pub state: RunState,
    /// When it was submitted.
    pub created_at: TimestampMs,
    /// When it ended.
    pub finished_at: TimestampMs,
    /// Its result.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What an operator sets for one tenant in one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSettings {
    /// The class of resource.
    pub pool: String,
    /// Whose lane.
    pub tenant: String,
    /// What becomes another; all else of the lane stays.
    pub change: LaneChange,
}

/// One setting of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneChange {
    /// Tasks of the tenant that may run there at once; `None` is as many as there is room for.
    MaxRunning(Option<u32>),
    /// Whether the lane is passed over; what runs goes on.
    Paused(bool),
}
