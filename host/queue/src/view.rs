//! What a reader sees. Every value was parsed out of its row before it comes here.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::ids::{ArtifactHash, LeaseToken, RunId, Seq, TaskId, TimestampMs, WorkerId};
use crate::state::{AttemptOutcome, EventKind, OnDepFailure, RunState, TaskState};
use crate::submission::SlotArtifact;

/// What a person calls a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunKey {
    /// Its number.
    Id(RunId),
    /// Its name; the newest run of that name is meant.
    Name(String),
}

impl RunKey {
    /// A number if `text` is one (`17` or `#17`), else a name.
    pub fn parse(text: &str) -> Self {
        let digits = text.strip_prefix('#').unwrap_or(text);
        match digits.parse() {
            Ok(number) => Self::Id(RunId(number)),
            Err(_) => Self::Name(text.to_owned()),
        }
    }
}

impl From<RunId> for RunKey {
    fn from(run: RunId) -> Self {
        Self::Id(run)
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(run) => run.fmt(f),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// Which runs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only this tenant's.
    pub tenant: Option<String>,
    /// Only runs of this name.
    pub name: Option<String>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Only runs older than this one: how the next page is asked for.
    pub before: Option<RunId>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct RunView {
    /// Its number.
    pub id: RunId,
    /// Its owner.
    pub tenant: String,
    /// Its human name.
    pub name: String,
    /// The key that it was submitted with.
    pub idem_key: Option<String>,
    /// Where it stands.
    pub state: RunState,
    /// What was asked for.
    pub spec: Value,
    /// Its result, once a task has given it.
    pub output: Option<Value>,
    /// The first task failure that was not retried.
    pub error: Option<String>,
    /// Tasks that are not over.
    pub open_tasks: u32,
    /// Tasks that were given up.
    pub failed_tasks: u32,
    /// When cancellation was asked for.
    pub cancel_at: Option<TimestampMs>,
    /// Since when it is paused.
    pub paused_at: Option<TimestampMs>,
    /// When it was accepted.
    pub created_at: TimestampMs,
    /// When its last task was over.
    pub finished_at: Option<TimestampMs>,
}

/// A task without its payloads.
#[derive(Debug, Clone, Serialize)]
pub struct TaskView {
    /// Its number.
    pub id: TaskId,
    /// Its run.
    pub run: RunId,
    /// Its name within the run.
    pub name: String,
    /// What handles it.
    pub kind: String,
    /// The class of resource that it needs.
    pub pool: String,
    /// Where it stands.
    pub state: TaskState,
    /// Smaller goes first.
    pub priority: i32,
    /// From when it may be (or might have been) claimed.
    pub ready_at: TimestampMs,
    /// Parents that are not over.
    pub pending_deps: u32,
    /// What becomes of it when a parent is given up.
    pub on_dep_failure: OnDepFailure,
    /// Attempts that failed.
    pub failures: u32,
    /// Failures after which it is given up.
    pub max_attempts: u32,
    /// Times that a worker died with it.
    pub lost: u32,
    /// The newest token.
    pub token: LeaseToken,
    /// Who runs it.
    pub worker: Option<WorkerId>,
    /// Until when the claim holds without a heartbeat.
    pub lease_until: Option<TimestampMs>,
    /// When it was asked to stop.
    pub cancel_at: Option<TimestampMs>,
    /// How long one attempt may take.
    #[serde(rename = "deadline_ms", serialize_with = "as_ms")]
    pub deadline: Option<std::time::Duration>,
    /// What its worker told last.
    pub progress: Option<Value>,
    /// Why the last attempt failed, or why it was skipped.
    pub error: Option<String>,
    /// What a failed attempt left to the next ones.
    pub carry: Option<Value>,
    /// When it was added.
    pub created_at: TimestampMs,
    /// When the last attempt began.
    pub started_at: Option<TimestampMs>,
    /// When it was over.
    pub finished_at: Option<TimestampMs>,
}

fn as_ms<S: serde::Serializer>(duration: &Option<std::time::Duration>, to: S) -> std::result::Result<S::Ok, S::Error> {
    duration.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)).serialize(to)
}

impl TaskView {
    /// Number of the present attempt (or the next one), from 1.
    pub fn attempt(&self) -> u32 {
        self.failures.saturating_add(1).min(self.max_attempts.max(1))
    }
}

/// A task with all that belongs to it.
#[derive(Debug, Clone, Serialize)]
pub struct TaskDetail {
    /// The task.
    pub task: TaskView,
    /// What its handler is given.
    pub input: Value,
    /// Its result.
    pub output: Option<Value>,
    /// What it waits for.
    pub parents: Vec<TaskId>,
    /// What waits for it.
    pub children: Vec<TaskId>,
    /// Files that it uses.
    pub uses: Vec<SlotArtifact>,
    /// Files that it made.
    pub made: Vec<SlotArtifact>,
    /// Its claims, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// One claim of a task.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// Its fence.
    pub token: LeaseToken,
    /// Who had it.
    pub worker: WorkerId,
    /// When it began.
    pub started_at: TimestampMs,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<TimestampMs>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<AttemptOutcome>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Something that happened in a run.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// Its place: 1, 2, 3 … without a gap.
    pub seq: Seq,
    /// The task concerned, if one is.
    pub task: Option<TaskId>,
    /// When.
    pub at: TimestampMs,
    /// What.
    pub kind: EventKind,
    /// The rest; `null` when there is none.
    pub data: Value,
}

/// A stored file that some task uses or made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactRef {
    /// The file's name in the artifact store.
    pub hash: ArtifactHash,
    /// Its length.
    pub bytes: u64,
    /// How many task slots refer to it.
    pub uses: u32,
}

/// A tenant's place in the fair share of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneView {
    /// The class of resource.
    pub pool: String,
    /// Whose lane.
    pub tenant: String,
    /// The tenant's weight.
    pub weight: u32,
    /// Tasks that may be claimed.
    pub ready: u32,
    /// Tasks that run.
    pub running: u32,
    /// How many may run; `None` is no limit.
    pub max_running: Option<u32>,
    /// How many runs of the tenant may be open at once; `None` is no limit.
    pub max_runs: Option<u32>,
    /// Whether it is passed over.
    pub paused: bool,
    /// Virtual time used: the lane with the least is served next.
    pub vtime: i64,
}

impl LaneView {
    /// Whether somebody keeps it from running anything.
    pub fn is_held(&self) -> bool {
        self.paused || self.max_running == Some(0)
    }
}

/// Something that a check found wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, such as `pending_deps`.
    pub rule: &'static str,
    /// What breaks it, with the values.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_called_by_number_or_by_name() {
        assert_eq!(RunKey::parse("17"), RunKey::Id(RunId(17)));
        assert_eq!(RunKey::parse("#17"), RunKey::Id(RunId(17)));
        assert_eq!(RunKey::parse("17b"), RunKey::Name("17b".into()));
    }
}
