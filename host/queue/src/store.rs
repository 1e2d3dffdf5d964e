//! The trait over the database, and what each operation promises.
//!
//! Every operation blocks its thread until its change is durable; call it from plain threads or
//! through `spawn_blocking`. Each is one transaction: after an error nothing was changed. Times
//! come from the clock that the store was opened with.

use std::path::Path;

use tokio::sync::watch;

use crate::claim::{Beat, BeatAnswer, Capacity, ClaimRequest, Claimed, NewWorker};
use crate::completion::{Cancelled, Failed, Failure, Finish, Finished, Recovered, Revived};
use crate::control::{Expired, Explanation, Paused, PrunePolicy, Pruned, Repair, StoreStats};
use crate::error::Result;
use crate::ids::{ArtifactHash, LeaseToken, RunId, Seq, TaskId, TimestampMs, WorkerId};
use crate::state::TaskState;
use crate::submission::{LaneSettings, NewRun, PastRun, Submitted};
use crate::take::{Memo, Redo, Take};
use crate::view::{ArtifactRef, Event, Finding, LaneView, RunFilter, RunKey, RunView, TaskDetail, TaskView};

/// Whether an operation is carried out or only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Nothing is changed.
    Dry,
    /// It is done.
    Real,
}

/// The queue.
pub trait Store: Send + Sync {
    /// Accepts a run. With an idempotency key that its tenant has used before, gives that run back
    /// and adds nothing.
    fn submit(&self, run: NewRun) -> Result<Submitted>;

    /// Adds a worker. Each start of a process registers anew.
    fn register_worker(&self, worker: NewWorker) -> Result<WorkerId>;

    /// A worker tells anew what it offers, for who asks why a task does not run.
    fn offer(&self, worker: WorkerId, capacity: Capacity) -> Result<()>;

    /// A worker that ends in an orderly way takes its leave: it is not waited for, and claims nothing more. What it still
    /// holds is not counted against those tasks.
    fn retire(&self, worker: WorkerId) -> Result<()>;

    /// Takes back everything that workers other than `worker` hold, at once, and lets none of them
    /// claim again. Only for a caller that knows all others to be dead, such as the holder of the
    /// [`crate::HostLock`].
    ///
    /// An attempt lost so is not a failed one: it adds to the task's `lost`, not to its `failures`, and
    /// after [`crate::limits::MAX_LOST`] the task is given up as poison. What only waited for its place, and what a worker held
    /// that took its leave, loses nothing. Nobody is charged for the time after the last sign of life.
    fn recover(&self, worker: WorkerId) -> Result<Recovered>;

    /// Takes back every task whose lease has run out. That its worker could not renew is no fault of the task and is not
    /// counted against it.
    fn expire_leases(&self) -> Result<Recovered>;

    /// Gives the next task to a worker: from the first pool that has one, of the tenant that is
    /// furthest behind its fair share there, by priority and age. Tasks whose delay is over are
    /// made ready first.
    fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>>;

    /// Renews leases and records progress; answers in the order of `beats`. Durable against a
    /// killed process at once, against power failure with the next change of a state.
    fn heartbeat(&self, worker: WorkerId, beats: Vec<Beat>) -> Result<Vec<BeatAnswer>>;

    /// Finishes a task and does all that follows from it: artifacts, emitted tasks, edges,
    /// children, run, events. Fails with [`crate::QueueError::Stale`] when the token is not the
    /// newest or the task does not run; the work must be dropped then.
    fn succeed(&self, finish: Finish) -> Result<Finished>;

    /// Says that a task is prepared and does nothing until its place is free: should its worker die meanwhile, it was not
    /// this task's doing. Stale like [`Store::succeed`].
    fn await_work(&self, task: TaskId, token: LeaseToken) -> Result<()>;

    /// Says that a task which was only prepared since it was claimed has its place from now on: its tenant is charged from
    /// here. Stale like [`Store::succeed`].
    fn begin_work(&self, task: TaskId, token: LeaseToken) -> Result<()>;

    /// Ends an attempt without a result: to be retried (as it is, or in another way and perhaps in another pool), held up, given
    /// up (children are skipped or run without it), or, when its run was cancelled, cancelled. Stale like [`Store::succeed`].
    fn fail(&self, failure: Failure) -> Result<Failed>;

    /// Hands a running task back; counts as no attempt. What it is then: ready, or paused or blocked with its run, or
    /// cancelled when it or its run was. Stale like [`Store::succeed`].
    fn release(&self, task: TaskId, token: LeaseToken) -> Result<TaskState>;

    /// Cancels what has not started and asks what runs to stop. Cancelling a run that is over
    /// changes nothing.
    fn cancel_run(&self, run: RunId) -> Result<Cancelled>;

    /// Sets a run going again: failed, cancelled and skipped tasks are open anew, with all their
    /// attempts, in the pools and the way in which they began. What succeeded stays as it is, and what never began waits for the
    /// start that was asked for. A run that is over counts against its tenant's quota as a new one does, here and wherever one
    /// is set going again.
    fn retry_run(&self, run: RunId) -> Result<Revived>;

    /// Cancels one task; what needs its result is skipped. One that runs is asked to stop.
    fn cancel_task(&self, task: TaskId) -> Result<Cancelled>;

    /// Sets one task going again that is over without a result, and what was skipped for its sake. Fails with
    /// [`crate::QueueError::NotOver`], or with [`crate::QueueError::ParentFirst`] when it would be skipped again.
    fn retry_task(&self, task: TaskId) -> Result<Revived>;

    /// Writes down a run that was over before this queue knew of it.
    fn record_past(&self, run: PastRun) -> Result<Submitted>;

    /// Gives tasks of one run that are over another result, and opens all that depends on them; what is done again does not touch
    /// the takes that are there. Fails with [`crate::QueueError::StillOpen`] while one or something below it is at work.
    fn redo(&self, tasks: Vec<(TaskId, Redo)>) -> Result<Revived>;

    /// Forgets the files that tasks and takes of a run that is over have made, but for those in these slots; results stay. What
    /// nobody refers to any more is for the caller to remove. Fails with [`crate::QueueError::StillActive`].
    fn expire(&self, run: RunId, keep: &[&str], trial: Trial) -> Result<Expired>;

    /// What a task gave, oldest first.
    fn takes(&self, task: TaskId) -> Result<Vec<Take>>;

    /// What a task of this tenant gave, made from the same; whether its files are still there is for the caller to see.
    fn remembered(&self, tenant: &str, memo: Memo) -> Result<Option<Take>>;

    /// Holds back what has not started of a run; what runs goes on.
    fn pause_run(&self, run: RunId) -> Result<Paused>;

    /// Lets a paused run go on.
    fn resume_run(&self, run: RunId) -> Result<Paused>;

    /// Closes or opens a pool for everybody; what runs goes on.
    fn set_pool_paused(&self, pool: &str, paused: bool) -> Result<()>;

    /// Of the tasks that a worker runs, those that were asked to stop: what it asks when the queue has changed, so that
    /// nobody waits for a heartbeat.
    fn stopping(&self, worker: WorkerId) -> Result<Vec<TaskId>>;

    /// Of some runs, those that are over or were forgotten.
    fn ended(&self, runs: &[RunId]) -> Result<Vec<RunId>>;

    /// For each pool, since when the longest waiting of its lanes' next tasks waits; `None` when nothing there may start.
    fn waiting(&self, pools: &[String]) -> Result<Vec<Option<TimestampMs>>>;

    /// Sets a tenant's weight in the fair share, 1 to [`crate::limits::MAX_WEIGHT`]; the tenant is
    /// made when it is new.
    fn set_weight(&self, tenant: &str, weight: u32) -> Result<()>;

    /// Sets how many runs of a tenant may be open at once; `None` is no limit. The tenant is made when it is new, and runs that
    /// are open stay so.
    fn set_max_runs(&self, tenant: &str, max_runs: Option<u32>) -> Result<()>;

    /// Whether a tenant may have one more run open now: for who would do work before the submission finds out.
    ///
    /// # Errors
    /// [`crate::QueueError::Quota`].
    fn check_quota(&self, tenant: &str) -> Result<()>;

    /// Limits or pauses a tenant in one pool.
    fn set_lane(&self, settings: LaneSettings) -> Result<()>;

    /// When the next delayed task is due; a worker with free places wakes up then.
    fn next_wakeup(&self) -> Result<Option<TimestampMs>>;

    /// A number that grows after every commit that changed a state, also by other processes.
    /// Heartbeats do not count, unless another process sent them. Subscribe first, then read, then
    /// wait: nothing is missed so. Other processes are watched from the first subscription on. The
    /// channel closes when the store is dropped.
    fn subscribe(&self) -> watch::Receiver<u64>;

    /// Runs, newest first.
    fn runs(&self, filter: &RunFilter, limit: u32) -> Result<Vec<RunView>>;

    /// One run.
    fn run(&self, key: &RunKey) -> Result<RunView>;

    /// The tasks of a run, in the order in which they were added.
    fn tasks(&self, run: RunId) -> Result<Vec<TaskView>>;

    /// The edges of a run as parent and child, in the order of the children and then of the parents.
    fn edges(&self, run: RunId) -> Result<Vec<(TaskId, TaskId)>>;

    /// One task with all that belongs to it.
    fn task(&self, task: TaskId) -> Result<TaskDetail>;

    /// Events of a run after `after`, oldest first, without a gap.
    fn events(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Event>>;

    /// Stored files that rows refer to, by hash, from the one after `after`: what a clean-up of
    /// the artifact store must keep.
    fn artifact_refs(&self, after: Option<ArtifactHash>, limit: u32) -> Result<Vec<ArtifactRef>>;

    /// Every tenant's place in every pool.
    fn lanes(&self) -> Result<Vec<LaneView>>;

    /// Everybody who has submitted or was given a weight or a limit, by name.
    fn tenants(&self) -> Result<Vec<String>>;

    /// Pools that some task could be claimed from or that were paused once, by name.
    fn pools(&self) -> Result<Vec<String>>;

    /// Pools that were paused.
    fn paused_pools(&self) -> Result<Vec<String>>;

    /// Why a task is where it is. Whether a host works is told by its lock where there is one, never by comparing clocks.
    fn explain(&self, task: TaskId) -> Result<Explanation>;

    /// Brings counters and states in order with what they count. With [`Trial::Dry`] it only tells what it would do, from one
    /// moment of the database, and nobody waits for it.
    fn repair(&self, trial: Trial) -> Result<Vec<Repair>>;

    /// Forgets a little of what the policy names; call it while there is [`Pruned::more`], and let others have the database in
    /// between. With [`Trial::Dry`] it only counts all of it (but for the files that would be left over), and nobody waits
    /// for it.
    fn prune(&self, policy: &PrunePolicy, trial: Trial) -> Result<Pruned>;

    /// Writes a whole copy of one moment of the database to a new file, while others go on.
    fn backup(&self, to: &Path) -> Result<()>;

    /// Sizes and counts.
    fn stats(&self) -> Result<StoreStats>;

    /// Looks for broken rules: counters against states and edges, and the file itself. Reads the
    /// whole database.
    fn check(&self) -> Result<Vec<Finding>>;
}
