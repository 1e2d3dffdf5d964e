//! What an operator does to a queue, and what the queue answers: pausing, explaining, repairing, pruning.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::ids::{RunId, TaskId, TimestampMs, WorkerId};
use crate::state::{RunState, TaskState};

/// Answer to pausing or resuming a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// The run.
    pub run: RunId,
    /// Its state.
    pub run_state: RunState,
    /// False when it was so already, or is over.
    pub changed: bool,
    /// Tasks that were held back, or let go.
    pub tasks: Vec<TaskId>,
}

/// Why a task is where it is. Its `Display` is one sentence with the numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The task.
    pub task: TaskId,
    /// Its name within the run.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
    /// The one thing that it waits for, or what became of it.
    #[serde(flatten)]
    pub reason: Reason,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} ({}) is {}: {}", self.task, self.name, self.state, self.reason)
    }
}

/// A parent that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenParent {
    /// The task.
    pub task: TaskId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: TaskState,
}

/// The one thing that a task waits for, or what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Some of its parents are not over.
    Parents {
        /// How many are not.
        open: u32,
        /// How many it has.
        of: u32,
        /// The first few of those.
        first: Vec<OpenParent>,
    },
    /// Somebody paused its run.
    RunPaused {
        /// The run.
        run: RunId,
        /// How long ago.
        for_ms: u64,
    },
    /// An attempt failed, and the next is due later.
    Retry {
        /// In how long.
        in_ms: u64,
        /// Attempts that failed.
        failures: u32,
        /// Attempts that may fail before it is given up.
        max_attempts: u32,
        /// Why the last one failed.
        error: Option<String>,
    },
    /// It waits for another way to be tried, or for what held it up.
    Held {
        /// In how long it is tried again.
        in_ms: u64,
        /// Why.
        error: Option<String>,
    },
    /// It was asked not to start before a time.
    NotBefore {
        /// In how long.
        in_ms: u64,
        /// The time.
        at: TimestampMs,
    },
    /// No host works on the queue.
    NoHost {
        /// When one did last.
        last_seen_ms_ago: Option<u64>,
    },
    /// Every host ends what it runs, and claims nothing more.
    Draining {
        /// Tasks that run.
        running: u32,
    },
    /// Every place of its pool is kept free for a task that is too large for the room there is.
    Kept {
        /// The pool.
        pool: String,
        /// The task that they are kept for.
        r#for: TaskId,
    },
    /// Hosts are at work, and none of them has places of this pool.
    NoWorkerOffers {
        /// The pool.
        pool: String,
        /// What they do offer.
        offered: Vec<String>,
    },
    /// Somebody paused its pool.
    PoolPaused {
        /// The pool.
        pool: String,
    },
    /// Somebody paused its tenant in that pool.
    LanePaused {
        /// The pool.
        pool: String,
        /// The tenant.
        tenant: String,
    },
    /// Its tenant runs as many tasks of that pool as it may.
    TenantLimit {
        /// The pool.
        pool: String,
        /// The tenant.
        tenant: String,
        /// How many run.
        running: u32,
        /// How many may.
        max_running: u32,
    },
    /// It may start as soon as a place is free and its turn has come.
    InLine {
        /// The pool.
        pool: String,
        /// Tasks of its own tenant that go first.
        ahead: u32,
        /// Other tenants with tasks for that pool.
        other_tenants: u32,
        /// Tasks of that pool that run, everybody's.
        running: u32,
        /// Places of that pool, over all hosts.
        places: u32,
    },
    /// The host that had it is gone, and the next one takes it up.
    Left {
        /// Who had it.
        worker: WorkerId,
        /// The worker's machine.
        host: String,
        /// When it was taken.
        for_ms: u64,
        /// Whether it was asked to stop.
        stopping: bool,
    },
    /// A host has it, and prepares it until its place is free.
    Prepared {
        /// Who has it.
        worker: WorkerId,
        /// The worker's machine.
        host: String,
        /// For how long.
        for_ms: u64,
        /// Whether nothing more can be done before.
        waits: bool,
        /// Whether it was asked to stop.
        stopping: bool,
    },
    /// It runs.
    Running {
        /// Who runs it.
        worker: WorkerId,
        /// The worker's machine.
        host: String,
        /// For how long.
        for_ms: u64,
        /// What the worker told last.
        progress: Option<Value>,
        /// Whether it was asked to stop.
        stopping: bool,
    },
    /// It is over.
    Over {
        /// How long ago.
        ago_ms: u64,
        /// Attempts that failed.
        failures: u32,
        /// Why it has no result, when it has none.
        error: Option<String>,
    },
}

/// `1 h 5 min`, `40 s`.
fn span(ms: u64) -> String {
    humantime::format_duration(Duration::from_secs(ms.div_ceil(1000))).to_string()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parents { open, of, first } => {
                let names: Vec<String> = first.iter().map(|p| format!("{} ({})", p.name, p.state)).collect();
                let more = if (*open as usize) > first.len() { ", …" } else { "" };
                write!(f, "{open} of {of} parents are not over: {}{more}", names.join(", "))
            }
            Self::RunPaused { run, for_ms } => {
                write!(f, "run {run} was paused {} ago; `runs resume {run}` lets it go on", span(*for_ms))
            }
            Self::Retry { in_ms, failures, max_attempts, error } => {
                write!(f, "attempt {failures} of {max_attempts} failed, the next is due in {}", span(*in_ms))?;
                error.as_ref().map_or(Ok(()), |error| write!(f, "; it failed with: {error}"))
            }
            Self::Held { in_ms, error } => {
                write!(f, "a retry is due in {}", span(*in_ms))?;
                error.as_ref().map_or(Ok(()), |error| write!(f, ", because {error}"))
            }
            Self::NotBefore { in_ms, .. } => write!(f, "it was asked not to start for another {}", span(*in_ms)),
            Self::NoHost { last_seen_ms_ago: None } => {
                f.write_str("no host has ever worked on this queue; `travel-host run` starts one")
            }
            Self::NoHost { last_seen_ms_ago: Some(ms) } => write!(
                f,
                "no host works on this queue, the last gave a sign of life {} ago; `travel-host run` starts one",
                span(*ms)
            ),
            Self::Draining { running } => write!(
                f,
                "the host is draining: it ends the {running} tasks that it runs and claims nothing more; the next \
                 `travel-host run` goes on"
            ),
            Self::Kept { pool, r#for } => write!(
                f,
                "every place of pool {pool} is kept free for task {}, which is too large for the room that there is",
                r#for
            ),
            Self::NoWorkerOffers { pool, offered } => {
                write!(f, "no worker offers pool {pool}; offered are {}", offered.join(", "))
            }
            Self::PoolPaused { pool } => write!(f, "pool {pool} is paused; `queue resume --pool {pool}` opens it"),
            Self::LanePaused { pool, tenant } => write!(
                f,
                "tenant {tenant} is paused in pool {pool}; `queue resume --pool {pool} --tenant {tenant}` lets it go on"
            ),
            Self::TenantLimit { pool, tenant, running, max_running } => {
                write!(f, "tenant {tenant} runs {running} tasks of pool {pool}, and may run {max_running}")
            }
            Self::InLine { pool, ahead, other_tenants, running, places } => {
                let taken = (*running).min(*places);
                write!(f, "{taken} of {places} places of pool {pool} are taken")?;
                if let prepared @ 1.. = running.saturating_sub(*places) {
                    write!(f, " and {prepared} tasks are being prepared for them")?;
                }
                write!(f, ", and {ahead} tasks go before it")?;
                match other_tenants {
                    0 => Ok(()),
                    n => write!(f, ", in turns with {n} other tenants"),
                }
            }
            Self::Left { worker, host, for_ms, stopping } => {
                let then = if *stopping { "ends it" } else { "takes it up again" };
                let ago = span(*for_ms);
                write!(f, "worker {worker} on {host} began it {ago} ago and is gone; the next `travel-host run` {then}")
            }
            Self::Prepared { worker, host, for_ms, waits, stopping } => {
                let what = if *waits { "is prepared" } else { "is being prepared" };
                write!(
                    f,
                    "it {what}, and its place is not free yet: worker {worker} on {host} has had it for {}",
                    span(*for_ms)
                )?;
                if *stopping { f.write_str(", and it was asked to stop") } else { Ok(()) }
            }
            Self::Running { worker, host, for_ms, progress, stopping } => {
                write!(f, "worker {worker} on {host} has run it for {}", span(*for_ms))?;
                if let Some(progress) = progress {
                    let number = |key| progress.get(key).and_then(Value::as_u64).unwrap_or(0);
                    let phase = progress.get("phase").and_then(Value::as_str).unwrap_or("work");
                    write!(f, ", {phase} {} of {}", number("done"), number("total"))?;
                }
                if *stopping { f.write_str(", and was asked to stop") } else { Ok(()) }
            }
            Self::Over { ago_ms, failures, error } => {
                write!(f, "it ended {} ago", span(*ago_ms))?;
                if *failures > 0 {
                    write!(f, " after {failures} failed attempts")?;
                }
                error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
            }
        }
    }
}

/// What a repair would do, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// The rule that was broken, as in [`crate::Finding`].
    pub rule: &'static str,
    /// Rows that were, or would be, brought in order.
    pub rows: u32,
}

/// Which runs are to be forgotten: those that are over, and older than `finished_before`, but for each tenant's newest
/// `keep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePolicy {
    /// Runs that ended before this time.
    pub finished_before: TimestampMs,
    /// So many of the newest of each tenant's runs that are over (and in these `states`) stay whatever their age.
    pub keep: u32,
    /// Only runs that ended so; empty is however they ended.
    pub states: Vec<RunState>,
    /// Only this tenant's.
    pub tenant: Option<String>,
}

/// Files of a run that were forgotten, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// How many.
    pub files: u64,
    /// Their bytes, those included that something else refers to as well.
    pub bytes: u64,
}

/// What was pruned, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// The runs.
    pub runs: Vec<RunId>,
    /// Their tasks.
    pub tasks: u64,
    /// Their events.
    pub events: u64,
    /// Stored files that no task refers to any more.
    pub artifacts: u64,
    /// Whether there may be more to forget.
    pub more: bool,
}

/// The database's size and place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreStats {
    /// Version of its tables.
    pub schema: i64,
    /// Version of the library.
    pub sqlite: String,
    /// Bytes of the file, free pages included.
    pub bytes: u64,
    /// Bytes of pages that nothing uses.
    pub free_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Runs.
    pub runs: u64,
    /// Tasks by state; only states that occur.
    pub tasks: std::collections::BTreeMap<TaskState, u64>,
    /// Events.
    pub events: u64,
}
