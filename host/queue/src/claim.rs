//! Taking work: workers, claims and the heartbeats that keep them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::ids::{LeaseToken, RunId, TaskId, TimestampMs, WorkerId};
use crate::state::TaskState;
use crate::submission::SlotArtifact;

/// What tells one start of a worker process from every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation(String);

impl Incarnation {
    /// An incarnation that nobody had before (UUID v7).
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// An incarnation under a name of the caller's choice; must be new to the database.
    pub fn named(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A worker that starts.
#[derive(Debug, Clone)]
pub struct NewWorker {
    /// This start of it.
    pub incarnation: Incarnation,
    /// The machine's name, for people.
    pub host: String,
    /// What it offers.
    pub capacity: Capacity,
}

/// What a worker offers; who asks why a task does not run is told by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// The pools that it claims from, and how many tasks of each it runs at once.
    #[serde(default)]
    pub pools: BTreeMap<String, u32>,
    /// Pools all of whose places are kept free for a large task that it has claimed, and for which.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<String, TaskId>,
    /// Whether it ends what it runs and claims nothing more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

impl Capacity {
    /// So many places in each pool.
    pub fn of(pools: impl IntoIterator<Item = (impl Into<String>, u32)>) -> Self {
        let pools = pools.into_iter().map(|(pool, places)| (pool.into(), places)).collect();
        Self { pools, ..Self::default() }
    }
}

/// A wish for work.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// Pools with a free place, most wanted first.
    pub pools: Vec<String>,
    /// What the worker has loaded: a task of this affinity goes before others of its lane that are not more urgent, and
    /// its lane before one whose turn it is a little earlier. A worker that wants to be fair leaves it out now and then.
    pub affinity: Option<String>,
    /// Whether the task is only to be prepared until [`crate::Store::begin_work`] says that it has its place; its tenant is
    /// charged from then on.
    pub ahead: bool,
}

impl ClaimRequest {
    /// A wish for work from `pools`, whatever is loaded.
    pub fn new(worker: WorkerId, pools: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { worker, pools: pools.into_iter().map(Into::into).collect(), affinity: None, ahead: false }
    }
}

/// A task that now belongs to the worker until its lease runs out.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The task.
    pub task: TaskId,
    /// The fence that every answer about it must carry.
    pub token: LeaseToken,
    /// Its run.
    pub run: RunId,
    /// The run's human name.
    pub run_name: String,
    /// The run's owner.
    pub tenant: String,
    /// The run's specification: JSON, as text, because that of a long run is megabytes, and the one thread that writes must
    /// not be held up by reading it.
    pub spec: String,
    /// The task's name within the run.
    pub name: String,
    /// What handles it.
    pub kind: String,
    /// The pool it was claimed from.
    pub pool: String,
    /// Its affinity, if it has one.
    pub affinity: Option<String>,
    /// What the handler is given.
    pub input: Value,
    /// What a failed attempt left to the next ones.
    pub carry: Option<Value>,
    /// Stored files that it uses.
    pub artifacts: Vec<SlotArtifact>,
    /// Number of this attempt, from 1: one more than the attempts that *failed*. Attempts whose
    /// worker vanished or shut down do not count.
    pub attempt: u32,
    /// The attempt after whose failure the task is given up.
    pub max_attempts: u32,
    /// Times that a worker died with it.
    pub lost: u32,
    /// Until when the claim holds without a heartbeat.
    pub lease_until: TimestampMs,
    /// How long the attempt may take.
    pub deadline: Option<Duration>,
    /// What it waited for, in the order in which those tasks were added.
    pub parents: Vec<Parent>,
}

/// A task that a claimed one waited for.
#[derive(Debug, Clone)]
pub struct Parent {
    /// The task.
    pub task: TaskId,
    /// Its name within the run.
    pub name: String,
    /// What handled it.
    pub kind: String,
    /// How it ended; other than succeeded only for tasks that run in spite of failed parents.
    pub state: TaskState,
    /// Its result, if it succeeded.
    pub output: Option<Value>,
    /// The files that it made.
    pub artifacts: Vec<SlotArtifact>,
}

/// A sign of life of one running task.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The task.
    pub task: TaskId,
    /// Its fence.
    pub token: LeaseToken,
    /// How far it has come; `None` leaves the last one as it is.
    pub progress: Option<Value>,
}

/// What to do with a task that gave a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeatAnswer {
    /// Go on; the lease was renewed.
    Continue,
    /// Stop, and answer with a failure: the task was cancelled. The lease was renewed.
    Cancel,
    /// Stop, and do not answer: the task is no longer this worker's.
    Lost,
}
