//! Every duration and bound of the queue, named.

use std::time::Duration;

/// How long a claim holds without a heartbeat. A worker that could not renew for
/// [`SELF_FENCE`] stops its work by itself, before anybody else may start it.
pub const LEASE: Duration = Duration::from_secs(30);

/// Delayed tasks that one claim makes ready: what it takes is bounded when many became due at once.
pub(crate) const PROMOTED_AT_ONCE: u32 = 1_000;

/// How often a worker should send one heartbeat for all that it runs.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a worker may go on without a successful heartbeat; shorter than [`LEASE`].
pub const SELF_FENCE: Duration = Duration::from_secs(20);

/// After so many workers that died with it a task is taken for poison and failed: it probably kills them.
pub const MAX_LOST: u32 = 3;

/// Attempts that may fail before a task is given up, unless the task says otherwise.
pub const MAX_ATTEMPTS: u32 = 3;

/// Delay after the first failed attempt is twice this; it doubles with each.
pub const BACKOFF_UNIT: Duration = Duration::from_secs(5);

/// No delay before a retry is longer, jitter aside.
pub const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// Share of a delay that chance may add or take away, so that retries do not come in step.
pub const BACKOFF_JITTER: f64 = 0.2;

/// Estimated cost of a task that gives none; corrected by the time it really took.
pub const DEFAULT_COST: Duration = Duration::from_secs(60);

/// A tenant's weight in the fair share, unless set.
pub const DEFAULT_WEIGHT: u32 = 100;

/// The greatest weight.
pub const MAX_WEIGHT: u32 = 10_000;

/// Virtual time that one millisecond of work costs at weight 1. At least [`MAX_WEIGHT`], so that a
/// millisecond never rounds down to nothing.
pub const VTIME_PER_MS: i64 = 10_000;

/// How much further on than the lane whose turn it is another one may be, to be served first because it has a task for
/// what is loaded: five minutes of work at the default weight. What it gets too early it waits for afterwards.
pub const AFFINITY_SLACK_VTIME: i64 = 300_000 * VTIME_PER_MS / DEFAULT_WEIGHT as i64;

/// Waiting operations that the writer commits together at most.
pub const BATCH_OPS: usize = 256;

/// Work that the writer puts into one commit at most.
pub const BATCH_TIME: Duration = Duration::from_millis(5);

/// Operations that may wait for the writer before callers have to.
pub const WRITER_QUEUE: usize = 1024;

/// How long a statement waits for another process that holds the write lock.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often an idle store looks whether another process changed the database (about 2 µs each).
pub const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Read connections that are kept open between reads.
pub const IDLE_READERS: usize = 4;

/// The write-ahead log is cut back to this size after a checkpoint.
pub const JOURNAL_SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// Rows that one read returns at most, whatever was asked for: a long read holds up checkpoints.
pub const MAX_ROWS: u32 = 10_000;

/// Open parents that an explanation names; the rest is counted.
pub const EXPLAIN_PARENTS: u32 = 3;

/// Rows that one transaction of a clean-up removes, but for a run of more tasks: who claims meanwhile waits for no more.
pub const PRUNE_ROWS: i64 = 2_000;

/// Rows that go with a task, as a clean-up counts them: itself, its payloads, an attempt, two edges and a file.
pub const ROWS_OF_A_TASK: i64 = 6;

/// Copies that are kept of databases of one earlier version.
pub const COPIES: u32 = 9;

/// Characters of a name (run, task, tenant, pool, slot, kind).
pub const MAX_NAME_CHARS: usize = 200;

/// Bytes of one JSON payload (specification, input, output, event data).
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Characters of an error text that are kept; the rest is cut off.
pub const MAX_ERROR_CHARS: usize = 8_000;

/// Tasks that one submission or one finish may add: ten thousand segments and what joins them.
pub const MAX_NEW_TASKS: usize = 10_100;
