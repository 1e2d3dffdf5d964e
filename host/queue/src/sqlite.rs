//! The queue in one SQLite file: every line of SQL is below this module.
//!
//! One thread writes (`writer`), a few connections read (`readers`). Several processes may have
//! the file open: one works, others submit and look.

mod backup;
mod cancel;
mod check;
mod claim;
mod columns;
mod connection;
mod explain;
mod fault;
mod finish;
mod ledger;
mod migration;
mod parcel;
mod pause;
mod prune;
mod read_runs;
mod read_tasks;
mod readers;
mod recover;
mod repair;
mod retry;
mod share;
mod stats;
mod submit;
mod takes;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::watch;

use self::readers::Readers;
use self::writer::{Effect, Writer};
use crate::claim::{Beat, BeatAnswer, Capacity, ClaimRequest, Claimed, NewWorker};
use crate::clock::{Clock, SystemClock};
use crate::completion::{Cancelled, Failed, Failure, Finish, Finished, Recovered, Revived};
use crate::control::{Expired, Explanation, Paused, PrunePolicy, Pruned, Repair, StoreStats};
use crate::error::{QueueError, Result};
use crate::host_lock::HostLock;
use crate::ids::{ArtifactHash, LeaseToken, RunId, Seq, TaskId, TimestampMs, WorkerId};
use crate::limits::MAX_WEIGHT;
use crate::state::TaskState;
use crate::store::{Store, Trial};
use crate::submission::{LaneSettings, NewRun, PastRun, Submitted};
use crate::take::{Memo, Redo, Take};
use crate::view::{ArtifactRef, Event, Finding, LaneView, RunFilter, RunKey, RunView, TaskDetail, TaskView};

/// What a store was opened for; each mode may do what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Read,
    Submit,
    Work,
}

impl Mode {
    const fn phrase(self) -> &'static str {
        match self {
            Self::Read => "for reading",
            Self::Submit => "for submitting",
            Self::Work => "for work",
        }
    }
}

/// The queue in one SQLite file. Dropping it ends its thread.
pub struct SqliteStore {
    // Fields drop in this order: the writer last, so that its connection closes last and leaves
    // one tidy file behind.
    readers: Readers,
    writer: Writer,
    mode: Mode,
    path: Arc<PathBuf>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a database for the one host that works on it; makes it if it is not there. The caller
    /// holds the [`crate::HostLock`].
    pub fn open_for_work(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open(path.as_ref(), clock, Mode::Work)
    }

    /// Opens a database for submitting, cancelling, retrying and settings; makes it if it is not
    /// there. Any number of processes may.
    pub fn open_for_submit(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open(path.as_ref(), clock, Mode::Submit)
    }

    /// Opens a database that exists, for looking only.
    pub fn open_for_read(path: impl AsRef<Path>) -> Result<Self> {
        Self::open(path.as_ref(), Arc::new(SystemClock), Mode::Read)
    }

    fn open(path: &Path, clock: Arc<dyn Clock>, mode: Mode) -> Result<Self> {
        let path = Arc::new(path.to_owned());
        let (connection, epoch) = match mode {
            Mode::Read => (connection::open_reader(&path)?, 0),
            Mode::Submit => (connection::open_writer(&path)?, 0),
            Mode::Work => {
                let connection = connection::open_writer(&path)?;
                let epoch = raise_epoch(&connection, &path)?;
                (connection, epoch)
            }
        };
        let readers = Readers::open(Arc::clone(&path))?;
        let writer = Writer::start(connection, Arc::clone(&path), Arc::clone(&clock), epoch)?;
        Ok(Self { readers, writer, mode, path, clock })
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Transactions that this store has committed: fewer than its operations, as those that wait
    /// together are committed together.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    fn require(&self, needs: Mode, operation: &'static str) -> Result<()> {
        if self.mode >= needs {
            return Ok(());
        }
        Err(QueueError::WrongMode { operation, needs: needs.phrase(), opened: self.mode.phrase() })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
    }
}

/// Durable before the first claim: the connection still has `synchronous=FULL` here.
fn raise_epoch(connection: &Connection, path: &Path) -> Result<i64> {
    connection
        .query_row("UPDATE meta SET v = v + 1 WHERE k = 'epoch' RETURNING v", [], |row| row.get(0))
        .map_err(|error| fault::translate(error, path))
}

impl Store for SqliteStore {
    fn submit(&self, run: NewRun) -> Result<Submitted> {
        self.require(Mode::Submit, "submitting")?;
        let run = submit::prepare(run)?;
        self.writer.call(Effect::State, move |tx| submit::submit(tx, &run))
    }

    fn register_worker(&self, worker: NewWorker) -> Result<WorkerId> {
        self.require(Mode::Work, "registering a worker")?;
        parcel::name("a worker's incarnation", worker.incarnation.as_str())?;
        let capacity = claim::capacity_text(&worker.capacity)?;
        self.writer.call(Effect::State, move |tx| claim::register(tx, &worker, &capacity))
    }

    fn offer(&self, worker: WorkerId, capacity: Capacity) -> Result<()> {
        self.require(Mode::Work, "offering places")?;
        let capacity = claim::capacity_text(&capacity)?;
        self.writer.call(Effect::SignOfLife, move |tx| claim::offer(tx, worker, &capacity))
    }

    fn retire(&self, worker: WorkerId) -> Result<()> {
        self.require(Mode::Work, "taking leave")?;
        self.writer.call(Effect::State, move |tx| claim::retire(tx, worker))
    }

    fn recover(&self, worker: WorkerId) -> Result<Recovered> {
        self.require(Mode::Work, "recovering")?;
        self.writer.call(Effect::State, move |tx| recover::recover(tx, worker))
    }

    fn expire_leases(&self) -> Result<Recovered> {
        self.require(Mode::Work, "expiring leases")?;
        self.writer.call(Effect::State, recover::expire_leases)
    }

    fn claim(&self, request: ClaimRequest) -> Result<Option<Claimed>> {
        self.require(Mode::Work, "claiming")?;
        self.writer.call(Effect::State, move |tx| claim::claim(tx, &request))
    }

    fn heartbeat(&self, worker: WorkerId, beats: Vec<Beat>) -> Result<Vec<BeatAnswer>> {
        self.require(Mode::Work, "a heartbeat")?;
        let beats = beats
            .into_iter()
            .map(|beat| {
                Ok(claim::BeatParcel {
                    task: beat.task,
                    token: beat.token,
                    progress: claim::progress_text(beat.progress.as_ref())?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.writer.call(Effect::SignOfLife, move |tx| claim::heartbeat(tx, worker, &beats))
    }

    fn succeed(&self, finish: Finish) -> Result<Finished> {
        self.require(Mode::Work, "finishing a task")?;
        let finish = finish::prepare(finish)?;
        self.writer.call(Effect::State, move |tx| finish::succeed(tx, &finish))
    }

    fn await_work(&self, task: TaskId, token: LeaseToken) -> Result<()> {
        self.require(Mode::Work, "waiting for a place")?;
        self.writer.call(Effect::SignOfLife, move |tx| finish::await_work(tx, task, token))
    }

    fn begin_work(&self, task: TaskId, token: LeaseToken) -> Result<()> {
        self.require(Mode::Work, "beginning a task")?;
        self.writer.call(Effect::SignOfLife, move |tx| finish::begin_work(tx, task, token))
    }

    fn fail(&self, failure: Failure) -> Result<Failed> {
        self.require(Mode::Work, "failing a task")?;
        self.writer.call(Effect::State, move |tx| finish::fail(tx, &failure))
    }

    fn release(&self, task: TaskId, token: LeaseToken) -> Result<TaskState> {
        self.require(Mode::Work, "releasing a task")?;
        self.writer.call(Effect::State, move |tx| finish::release(tx, task, token))
    }

    fn cancel_run(&self, run: RunId) -> Result<Cancelled> {
        self.require(Mode::Submit, "cancelling a run")?;
        self.writer.call(Effect::State, move |tx| cancel::cancel_run(tx, run))
    }

    fn retry_run(&self, run: RunId) -> Result<Revived> {
        self.require(Mode::Submit, "retrying a run")?;
        self.writer.call(Effect::State, move |tx| retry::retry_run(tx, run))
    }

    fn cancel_task(&self, task: TaskId) -> Result<Cancelled> {
        self.require(Mode::Submit, "cancelling a task")?;
        self.writer.call(Effect::State, move |tx| cancel::cancel_task(tx, task))
    }

    fn retry_task(&self, task: TaskId) -> Result<Revived> {
        self.require(Mode::Submit, "retrying a task")?;
        self.writer.call(Effect::State, move |tx| retry::retry_task(tx, task))
    }

    fn record_past(&self, run: PastRun) -> Result<Submitted> {
        self.require(Mode::Submit, "recording a past run")?;
        let past = submit::prepare_past(run)?;
        self.writer.call(Effect::State, move |tx| submit::record_past(tx, &past))
    }

    fn redo(&self, tasks: Vec<(TaskId, Redo)>) -> Result<Revived> {
        self.require(Mode::Submit, "doing a task again")?;
        let tasks = retry::prepare(tasks)?;
        self.writer.call(Effect::State, move |tx| retry::redo(tx, &tasks))
    }

    fn expire(&self, run: RunId, keep: &[&str], trial: Trial) -> Result<Expired> {
        let keep = serde_json::json!(keep).to_string();
        if trial == Trial::Dry {
            return self.readers.read(|sql| prune::expirable(sql, run, &keep));
        }
        self.require(Mode::Submit, "forgetting files")?;
        self.writer.call(Effect::State, move |tx| prune::expire(tx, run, &keep))
    }

    fn takes(&self, task: TaskId) -> Result<Vec<Take>> {
        self.readers.read(|sql| takes::of_task(sql, task))
    }

    fn remembered(&self, tenant: &str, memo: Memo) -> Result<Option<Take>> {
        self.readers.read(|sql| takes::by_memo(sql, tenant, memo))
    }

    fn pause_run(&self, run: RunId) -> Result<Paused> {
        self.require(Mode::Submit, "pausing a run")?;
        self.writer.call(Effect::State, move |tx| pause::pause_run(tx, run))
    }

    fn resume_run(&self, run: RunId) -> Result<Paused> {
        self.require(Mode::Submit, "resuming a run")?;
        self.writer.call(Effect::State, move |tx| pause::resume_run(tx, run))
    }

    fn set_pool_paused(&self, pool: &str, paused: bool) -> Result<()> {
        self.require(Mode::Submit, "pausing a pool")?;
        parcel::name("a pool's name", pool)?;
        let pool = pool.to_owned();
        self.writer.call(Effect::State, move |tx| pause::set_pool_paused(tx, &pool, paused))
    }

    fn stopping(&self, worker: WorkerId) -> Result<Vec<TaskId>> {
        self.readers.read(|sql| claim::stopping(sql, worker))
    }

    fn ended(&self, runs: &[RunId]) -> Result<Vec<RunId>> {
        self.readers.read(|sql| read_runs::ended(sql, runs))
    }

    fn waiting(&self, pools: &[String]) -> Result<Vec<Option<TimestampMs>>> {
        self.readers.read(|sql| claim::waiting(sql, pools))
    }

    fn set_weight(&self, tenant: &str, weight: u32) -> Result<()> {
        self.require(Mode::Submit, "setting a weight")?;
        parcel::name("a tenant's name", tenant)?;
        if !(1..=MAX_WEIGHT).contains(&weight) {
            return Err(parcel::invalid(
                &format!("weight {weight} of tenant {tenant:?}"),
                format!("a weight is between 1 and {MAX_WEIGHT}"),
            ));
        }
        let tenant = tenant.to_owned();
        self.writer.call(Effect::State, move |tx| share::set_weight(tx, &tenant, weight))
    }

    fn set_max_runs(&self, tenant: &str, max_runs: Option<u32>) -> Result<()> {
        self.require(Mode::Submit, "setting a quota")?;
        parcel::name("a tenant's name", tenant)?;
        let tenant = tenant.to_owned();
        self.writer.call(Effect::State, move |tx| share::set_max_runs(tx, &tenant, max_runs))
    }

    fn check_quota(&self, tenant: &str) -> Result<()> {
        self.readers.read(|sql| submit::refuse_beyond_quota(sql, tenant))
    }

    fn set_lane(&self, settings: LaneSettings) -> Result<()> {
        self.require(Mode::Submit, "setting a lane")?;
        parcel::name("a tenant's name", &settings.tenant)?;
        parcel::name("a pool's name", &settings.pool)?;
        self.writer.call(Effect::State, move |tx| share::set_lane(tx, &settings))
    }

    fn next_wakeup(&self) -> Result<Option<TimestampMs>> {
        self.readers.read(|sql| Ok(sql.prepare_cached(claim::NEXT_DUE)?.query_row([], |row| row.get(0))?))
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.writer.watch()
    }

    fn runs(&self, filter: &RunFilter, limit: u32) -> Result<Vec<RunView>> {
        self.readers.read(|sql| read_runs::runs(sql, filter, limit))
    }

    fn run(&self, key: &RunKey) -> Result<RunView> {
        self.readers.read(|sql| read_runs::run(sql, key))
    }

    fn tasks(&self, run: RunId) -> Result<Vec<TaskView>> {
        self.readers.read(|sql| read_tasks::tasks(sql, run))
    }

    fn edges(&self, run: RunId) -> Result<Vec<(TaskId, TaskId)>> {
        self.readers.read(|sql| read_tasks::edges(sql, run))
    }

    fn task(&self, task: TaskId) -> Result<TaskDetail> {
        self.readers.read(|sql| read_tasks::task(sql, task))
    }

    fn events(&self, run: RunId, after: Seq, limit: u32) -> Result<Vec<Event>> {
        self.readers.read(|sql| read_runs::events(sql, run, after, limit))
    }

    fn artifact_refs(&self, after: Option<ArtifactHash>, limit: u32) -> Result<Vec<ArtifactRef>> {
        self.readers.read(|sql| read_runs::artifact_refs(sql, after, limit))
    }

    fn lanes(&self) -> Result<Vec<LaneView>> {
        self.readers.read(share::lanes)
    }

    fn tenants(&self) -> Result<Vec<String>> {
        self.readers.read(share::tenants)
    }

    fn pools(&self) -> Result<Vec<String>> {
        self.readers.read(share::pools)
    }

    fn paused_pools(&self) -> Result<Vec<String>> {
        self.readers.read(share::paused_pools)
    }

    fn explain(&self, task: TaskId) -> Result<Explanation> {
        let host_works = HostLock::is_held(&self.path)?;
        self.readers.read(|sql| explain::explain(sql, task, host_works, self.clock.now()))
    }

    fn repair(&self, trial: Trial) -> Result<Vec<Repair>> {
        match trial {
            Trial::Dry => repair::rehearse(&self.path, self.clock.now()),
            Trial::Real => {
                self.require(Mode::Submit, "repairing")?;
                self.writer.call(Effect::State, repair::repair)
            }
        }
    }

    fn prune(&self, policy: &PrunePolicy, trial: Trial) -> Result<Pruned> {
        if trial == Trial::Dry {
            return self.readers.read(|sql| prune::rehearse(sql, policy));
        }
        self.require(Mode::Submit, "pruning")?;
        // Looked for by a reader: the writer has only to remove.
        let due = self.readers.read(|sql| prune::due(sql, policy))?;
        if due.is_empty() {
            return Ok(Pruned::default());
        }
        let before = policy.finished_before;
        self.writer.call(Effect::State, move |tx| prune::forget(tx, &due, before))
    }

    fn backup(&self, to: &Path) -> Result<()> {
        backup::backup(&self.path, to)
    }

    fn stats(&self) -> Result<StoreStats> {
        self.readers.read(|sql| stats::stats(sql, &self.path))
    }

    fn check(&self) -> Result<Vec<Finding>> {
        self.readers.read(check::check)
    }
}
