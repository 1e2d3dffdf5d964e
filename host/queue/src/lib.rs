//! The job queue: runs, tasks, edges, leases, and one trait over the database that keeps them.
//!
//! [`Store`] is the whole face; [`SqliteStore`] is its implementation for one machine. What a task
//! *does* is opaque here: inputs, outputs and specifications are JSON that the queue stores and
//! hands back. Nothing in this crate runs a task, reads a clock behind the caller's back, or sleeps.
//!
//! | module | holds |
//! |---|---|
//! | [`store`] | the trait, and what each operation promises |
//! | [`submission`] | what a caller hands in: runs, tasks, edges, artifacts |
//! | [`claim`] | taking work: workers, claims, heartbeats |
//! | [`completion`] | giving work back: success, failure, and their outcomes |
//! | [`view`] | what a reader sees |
//! | [`control`] | what an operator does: pausing, explaining, repairing, pruning |
//! | [`ids`], [`state`] | the newtypes and the closed sets of states |
//! | [`mod@backoff`], [`clock`], [`limits`] | time: delays, its source, every number |
//! | [`disk`] | which file system lies beneath, and how much room |
//! | [`host_lock`] | one working host a database |
//! | [`sqlite`] | the database |

pub mod backoff;
pub mod claim;
pub mod clock;
pub mod completion;
pub mod control;
pub mod disk;
mod error;
pub mod host_lock;
pub mod ids;
pub mod limits;
pub mod sqlite;
pub mod state;
pub mod store;
pub mod submission;
pub mod take;
pub mod view;

pub use backoff::backoff;
pub use claim::{Beat, BeatAnswer, Capacity, ClaimRequest, Claimed, Incarnation, NewWorker, Parent};
pub use clock::{Clock, ManualClock, SystemClock};
pub use completion::{
    Cancelled, Change, EmittedTask, Failed, Failure, Finish, Finished, NewEvent, Recovered, Retry, Revived,
};
pub use control::{Expired, Explanation, OpenParent, Paused, PrunePolicy, Pruned, Reason, Repair, StoreStats};
pub use disk::Disk;
pub use error::{Cause, QueueError, Result};
pub use host_lock::HostLock;
pub use ids::{ArtifactHash, LeaseToken, RunId, Seq, TaskId, TimestampMs, WorkerId};
pub use sqlite::SqliteStore;
pub use state::{AttemptOutcome, EventKind, OnDepFailure, RunState, TaskState};
pub use store::{Store, Trial};
pub use submission::{LaneChange, LaneSettings, NewRun, NewTask, PastRun, SlotArtifact, Submitted};
pub use take::{Memo, Redo, Take};
pub use view::{ArtifactRef, AttemptView, Event, Finding, LaneView, RunFilter, RunKey, RunView, TaskDetail, TaskView};
