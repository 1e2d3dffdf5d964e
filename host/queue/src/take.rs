//! Doing a task again, and what it gave each time.

use serde::Serialize;
use serde_json::Value;

use crate::ids::{ArtifactHash, LeaseToken, TaskId, TimestampMs};
use crate::submission::SlotArtifact;

/// The BLAKE3 hash of all that a result depends on: two tasks of one tenant with the same one would give the same.
pub type Memo = ArtifactHash;

/// What a task gave once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Take {
    /// Whose it is.
    pub task: TaskId,
    /// The claim that gave it, which names it among those of its task.
    pub token: LeaseToken,
    /// What the handler was given.
    pub input: Value,
    /// The result.
    pub output: Value,
    /// Files that were made.
    pub made: Vec<SlotArtifact>,
    /// When.
    pub created_at: TimestampMs,
    /// Whether it is the result that the task has now.
    pub is_chosen: bool,
}

/// How a task that is over gets another result; everything below it is done again.
#[derive(Debug, Clone, PartialEq)]
pub enum Redo {
    /// By being done again, with this input.
    Anew(Value),
    /// By one that it had before.
    Choose(LeaseToken),
}
