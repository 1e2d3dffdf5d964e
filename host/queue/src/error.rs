//! What can go wrong, one arm a sentence.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ids::{LeaseToken, RunId, TaskId, WorkerId};
use crate::state::TaskState;

/// Short for results of this crate.
pub type Result<T> = std::result::Result<T, QueueError>;

/// The driver's own error below one of ours. Shared, because all operations of one failed commit
/// fail for the same cause.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Everything that an operation of the queue can fail with. After an error nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The claim was taken over: the result must be dropped.
    #[error("task {task} is no longer held under token {given}: it is {state} and its newest token is {current}")]
    Stale {
        /// The task.
        task: TaskId,
        /// The token that came with the answer.
        given: LeaseToken,
        /// The newest token of the task.
        current: LeaseToken,
        /// Where the task stands now.
        state: TaskState,
    },
    /// No such run.
    #[error("there is no run {0}")]
    UnknownRun(String),
    /// No such task.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// The worker was never registered, or another incarnation has taken its place.
    #[error("worker {0} is not registered, or a later one has taken its place: register anew")]
    UnknownWorker(WorkerId),
    /// The incarnation is in use.
    #[error("a worker of incarnation {0:?} has registered before: each start needs a new one")]
    IncarnationUsed(String),
    /// A parent that the run does not have, or that stands later in the list.
    #[error(
        "task {task:?} waits for {parent:?}, which the run does not have and which does not stand before it in the list"
    )]
    UnknownParent {
        /// The waiting task's name.
        task: String,
        /// The missing parent's name.
        parent: String,
    },
    /// The tenant has as many open runs as it may have.
    #[error("tenant {tenant} may have no more runs open: its quota is {max_runs}")]
    Quota {
        /// Whose run.
        tenant: String,
        /// How many may be open.
        max_runs: u32,
    },
    /// The run cannot be retried yet.
    #[error("run {run} was cancelled and {running} of its tasks are still stopping: retry it when they have stopped")]
    StillStopping {
        /// The run.
        run: RunId,
        /// Tasks that have not stopped.
        running: u32,
    },
    /// What is left of the run is about to go.
    #[error("run {0} is being forgotten, and cannot go on: submit it anew")]
    Forgotten(RunId),
    /// Only what is over without a result can be done again.
    #[error("task {task} is {state}: only a failed, cancelled or skipped task can be retried")]
    NotOver {
        /// The task.
        task: TaskId,
        /// Where it stands.
        state: TaskState,
    },
    /// The task would be skipped again at once.
    #[error("task {task} needs task {parent}, which has no result: retry that one, and this one follows")]
    ParentFirst {
        /// The task.
        task: TaskId,
        /// What it needs.
        parent: TaskId,
    },
    /// Files of a run are forgotten only when it is over.
    #[error("run {0} is still active: its files are at work")]
    StillActive(RunId),
    /// Only what is over can be given another result, and only while nothing at work depends on it.
    #[error("task {task} is {state}: wait until it is over, or cancel it, before what it depends on is changed")]
    StillOpen {
        /// The task.
        task: TaskId,
        /// Where it stands.
        state: TaskState,
    },
    /// There is no such take.
    #[error("task {task} has no take {token}")]
    UnknownTake {
        /// The task.
        task: TaskId,
        /// The claim that would have given it.
        token: LeaseToken,
    },
    /// A file system on which a database of this kind is not safe.
    #[error(
        "the queue database {} lies on a network file system ({kind}), where its locks and its log are not safe: keep it on a local disk",
        path.display()
    )]
    NetworkDisk {
        /// The database.
        path: PathBuf,
        /// Which file system.
        kind: String,
    },
    /// Before a migration a copy is kept, and there is no room for its name.
    #[error(
        "{} and {copies} more copies of earlier versions are there already: remove what is no longer needed, then start again",
        path.display()
    )]
    TooManyCopies {
        /// The first of them.
        path: PathBuf,
        /// How many may be.
        copies: u32,
    },
    /// Something handed in breaks a rule.
    #[error("{what} is not acceptable: {why}")]
    Invalid {
        /// What was handed in.
        what: String,
        /// The rule, with the values.
        why: String,
    },
    /// Two different facts about one stored file.
    #[error("artifact {hash} is recorded with {known} bytes and cannot be recorded with {given} bytes")]
    ArtifactMismatch {
        /// The file's hash.
        hash: String,
        /// Bytes on record.
        known: u64,
        /// Bytes handed in.
        given: u64,
    },
    /// The store was opened for less than this.
    #[error("{operation} needs a store opened {needs}, and this one was opened {opened}")]
    WrongMode {
        /// What was tried.
        operation: &'static str,
        /// The mode that it needs.
        needs: &'static str,
        /// The mode that the store has.
        opened: &'static str,
    },
    /// Another host works on this database.
    #[error("{} is in use by another travel-host (process {pid}): stop it, or choose another database", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
        /// The other process, as far as its lock file tells.
        pid: String,
    },
    /// The lock file cannot be made or locked.
    #[error("the lock file {} cannot be used: {cause}", path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Opened for reading, and it is not there.
    #[error("there is no queue database at {}: submit something first, or check the path", .0.display())]
    Missing(PathBuf),
    /// The folder of the database cannot be made.
    #[error("the folder {} for the queue database cannot be made: {cause}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The file cannot be opened.
    #[error("the queue database {} cannot be opened: {cause}", path.display())]
    CannotOpen {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The file, its folder or its file system may not be written to.
    #[error("the queue database {} is read-only: give this user the right to write to it and to its folder", .0.display())]
    ReadOnly(PathBuf),
    /// No space left.
    #[error("the disk of the queue database {} is full: nothing was changed; free some space", .0.display())]
    DiskFull(PathBuf),
    /// The disk failed.
    #[error("the queue database {} could not be read or written: {cause}", path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// A copy of the database cannot be made.
    #[error("no copy of the queue is made at {}: {cause}", to.display())]
    Backup {
        /// Where it should have been.
        to: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Some other kind of file.
    #[error("{} is not a database", .0.display())]
    NotADatabase(PathBuf),
    /// A database of another program.
    #[error("{} is a database, but not a travel-host queue", .0.display())]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error("the queue database {} is damaged ({cause}): restore a copy", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// Where it showed.
        #[source]
        cause: Cause,
    },
    /// Made by a later travel-host.
    #[error(
        "the queue database {} has schema version {found}, and this travel-host knows versions up to {known}: use the newer travel-host",
        path.display()
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Made by an earlier travel-host, and opened only for reading.
    #[error(
        "the queue database {} has schema version {found} and must be brought to {known} first: start the host once",
        path.display()
    )]
    TooOld {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// The database library is one that can corrupt files.
    #[error("SQLite {found} is too old: {needed} or later is needed (older ones can corrupt the database)")]
    LibraryTooOld {
        /// The library's version.
        found: String,
        /// The oldest that is accepted.
        needed: &'static str,
    },
    /// Another process held the database for too long.
    #[error("the queue database {} is busy: another process has kept it locked for {waited_ms} ms", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
        /// How long was waited.
        waited_ms: u128,
    },
    /// A row holds something that no version of this program wrote.
    #[error("table {table}, row {id}: {value:?} is not a valid {column}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        id: String,
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
    /// A counter, state or reference would have broken a rule of the schema.
    #[error("the database refused the change, as it breaks a rule of the schema: {cause}")]
    Refused {
        /// The rule.
        #[source]
        cause: Cause,
    },
    /// Anything else that the database reports.
    #[error("the database failed: {cause}")]
    Database {
        /// Its report.
        #[source]
        cause: Cause,
    },
    /// The store is shutting down, or its writer has died.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// Whether the same operation may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::DiskFull(_) | Self::Io { .. } | Self::StillStopping { .. })
    }

    /// Whether what was given cannot be taken, however often it is tried.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Invalid { .. } | Self::UnknownParent { .. } | Self::ArtifactMismatch { .. } | Self::Refused { .. }
        )
    }

    /// Whether the work behind this answer must be dropped, because somebody else owns it now.
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }

    /// A stable name of the arm, for `--json` and for documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "queue_stale",
            Self::UnknownRun(_) => "queue_unknown_run",
            Self::UnknownTask(_) => "queue_unknown_task",
            Self::UnknownWorker(_) => "queue_unknown_worker",
            Self::IncarnationUsed(_) => "queue_incarnation_used",
            Self::UnknownParent { .. } => "queue_unknown_parent",
            Self::Quota { .. } => "queue_quota",
            Self::StillStopping { .. } => "queue_still_stopping",
            Self::Forgotten(_) => "queue_forgotten",
            Self::NotOver { .. } => "queue_not_over",
            Self::ParentFirst { .. } => "queue_parent_first",
            Self::StillActive(_) => "queue_still_active",
            Self::StillOpen { .. } => "queue_still_open",
            Self::UnknownTake { .. } => "queue_unknown_take",
            Self::NetworkDisk { .. } => "queue_network_disk",
            Self::TooManyCopies { .. } => "queue_too_many_copies",
            Self::Invalid { .. } => "queue_invalid",
            Self::ArtifactMismatch { .. } => "queue_artifact_mismatch",
            Self::WrongMode { .. } => "queue_wrong_mode",
            Self::Locked { .. } => "queue_locked",
            Self::LockFile { .. } => "queue_lock_file",
            Self::Missing(_) => "queue_missing",
            Self::Folder { .. } => "queue_folder",
            Self::CannotOpen { .. } => "queue_cannot_open",
            Self::ReadOnly(_) => "queue_read_only",
            Self::DiskFull(_) => "queue_disk_full",
            Self::Io { .. } => "queue_io",
            Self::Backup { .. } => "queue_backup",
            Self::NotADatabase(_) => "queue_not_a_database",
            Self::Foreign(_) => "queue_foreign",
            Self::Damaged { .. } => "queue_damaged",
            Self::TooNew { .. } => "queue_too_new",
            Self::TooOld { .. } => "queue_too_old",
            Self::LibraryTooOld { .. } => "queue_library_too_old",
            Self::Busy { .. } => "queue_busy",
            Self::Corrupt { .. } => "queue_corrupt",
            Self::Refused { .. } => "queue_refused",
            Self::Database { .. } => "queue_database",
            Self::Closed => "queue_closed",
        }
    }
}
