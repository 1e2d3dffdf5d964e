//! Tells how fast jobs go round in the store, in the plainest SQLite queue, and what the disk allows, as one JSON line.
//!
//! ```text
//! lifecycle MODE DATABASE CALLERS SECONDS
//! ```
//!
//! | MODE | what goes round |
//! |---|---|
//! | `store` | [`SqliteStore`]: CALLERS threads, one store |
//! | `store-each` | the same, and each of CALLERS threads has a store of its own on the file: one transaction an operation |
//! | `one-by-one` | one table, CALLERS threads with a connection each, one transaction an operation |
//! | `fsync` | 4 KiB written and `fdatasync`ed beside DATABASE by one thread, whatever CALLERS says |
//!
//! A cycle is submit (a run of one task), claim, finish (of any task), each durable before the next
//! begins. DATABASE must not exist yet, and is left to the caller, who may look into it.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::Serialize;
use serde_json::json;
use travel_queue::limits::MAX_ROWS;
use travel_queue::{
    ClaimRequest, Finish, HostLock, Incarnation, NewRun, NewTask, NewWorker, RunFilter, RunState, SqliteStore, Store,
    SystemClock, TaskState, WorkerId,
};

const USAGE: &str = "store|store-each|one-by-one|fsync DATABASE CALLERS SECONDS";

/// As the store's.
const PAGE: usize = 4096;
/// SQLite's log is started anew after about as many pages; from then on it is overwritten, not extended.
const LOG_PAGES: u64 = 1000;
/// What `PRAGMA synchronous` answers for `FULL`.
const FULL: i64 = 2;

type Fault = Box<dyn Error + Send + Sync>;

/// What is printed.
#[derive(Serialize)]
struct Line {
    mode: String,
    cycles: usize,
    seconds: f64,
    cycles_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    commits: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Fault> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or_else(|| format!("{what} is missing: {USAGE}"));
    let mode = next("MODE")?;
    let database = PathBuf::from(next("DATABASE")?);
    let callers: usize = next("CALLERS")?.parse()?;
    let time = Duration::try_from_secs_f64(next("SECONDS")?.parse()?)?;
    if callers == 0 {
        return Err("CALLERS must be at least 1".into());
    }
    if database.exists() {
        return Err(format!("{} exists already", database.display()).into());
    }
    let (laps, commits) = match mode.as_str() {
        "store" => store(&database, callers, time)?,
        "store-each" => store_each(&database, callers, time)?,
        "one-by-one" => one_by_one(&database, callers, time)?,
        "fsync" => fsync(&database, time)?,
        _ => return Err(format!("{mode} is no MODE: {USAGE}").into()),
    };
    println!("{}", serde_json::to_string(&line(mode, laps, commits))?);
    Ok(())
}

/// How long each cycle took, and all of them together.
struct Laps {
    each: Vec<Duration>,
    all: Duration,
}

fn line(mode: String, mut laps: Laps, commits: u64) -> Line {
    laps.each.sort_unstable();
    let cycles = laps.each.len();
    let share = |percent: usize| {
        let place = (cycles * percent / 100).min(cycles.saturating_sub(1));
        rounded(laps.each.get(place).map_or(0.0, |lap| lap.as_secs_f64() * 1e3))
    };
    let seconds = laps.all.as_secs_f64();
    Line {
        mode,
        cycles,
        seconds: rounded(seconds),
        cycles_per_s: rounded(cycles as f64 / seconds),
        p50_ms: share(50),
        p99_ms: share(99),
        commits,
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Lets every caller go round on a thread of its own until `time` is over; a cycle that has begun is ended and counted.
fn drive<C: Send>(
    callers: &mut [C],
    time: Duration,
    cycle: impl Fn(&mut C) -> Result<(), Fault> + Sync,
) -> Result<Laps, Fault> {
    let start = Barrier::new(callers.len());
    let go = |caller: &mut C| {
        let mut each = Vec::new();
        start.wait();
        let begun = Instant::now();
        let mut now = begun;
        while now - begun < time {
            cycle(caller)?;
            let ended = Instant::now();
            each.push(ended - now);
            now = ended;
        }
        Ok::<_, Fault>((each, begun, now))
    };
    let ended = std::thread::scope(|scope| {
        let threads: Vec<_> = callers.iter_mut().map(|caller| scope.spawn(|| go(caller))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a caller died")?).collect::<Result<Vec<_>, _>>()
    })?;
    let first = ended.iter().map(|(_, begun, _)| *begun).min().ok_or("nobody called")?;
    let last = ended.iter().map(|(_, _, end)| *end).max().ok_or("nobody called")?;
    Ok(Laps { each: ended.into_iter().flat_map(|(each, _, _)| each).collect(), all: last - first })
}

fn same(what: &str, found: usize, cycles: usize) -> Result<(), Fault> {
    if found == cycles {
        return Ok(());
    }
    Err(format!("{cycles} cycles, but {found} {what}").into())
}

fn store(database: &Path, callers: usize, time: Duration) -> Result<(Laps, u64), Fault> {
    let _lock = HostLock::acquire(database)?;
    let store = SqliteStore::open_for_work(database, Arc::new(SystemClock))?;
    let worker = NewWorker { incarnation: Incarnation::fresh(), host: "bench".into(), capacity: Default::default() };
    let worker = store.register_worker(worker)?;
    let before = store.commits();
    let laps = drive(&mut vec![(); callers], time, |()| store_cycle(&store, worker))?;
    let commits = store.commits() - before;
    same("runs that succeeded", succeeded(&store)?, laps.each.len())?;
    if let Some(finding) = store.check()?.first() {
        return Err(format!("{}: {}", finding.rule, finding.detail).into());
    }
    Ok((laps, commits))
}

fn store_each(database: &Path, callers: usize, time: Duration) -> Result<(Laps, u64), Fault> {
    let _lock = HostLock::acquire(database)?;
    let mut stores = Vec::with_capacity(callers);
    for _ in 0..callers {
        let store = SqliteStore::open_for_work(database, Arc::new(SystemClock))?;
        let worker =
            NewWorker { incarnation: Incarnation::fresh(), host: "bench".into(), capacity: Default::default() };
        let worker = store.register_worker(worker)?;
        stores.push((store, worker));
    }
    let laps = drive(&mut stores, time, |(store, worker)| store_cycle(store, *worker))?;
    let (store, _) = stores.first().ok_or("nobody called")?;
    same("runs that succeeded", succeeded(store)?, laps.each.len())?;
    let commits = stores.iter().map(|(store, _)| store.commits()).sum();
    Ok((laps, commits))
}

fn store_cycle(store: &SqliteStore, worker: WorkerId) -> Result<(), Fault> {
    let run = NewRun::new("studio", "bench", json!({"images": 2}));
    let run = run.task(NewTask::new("a", "k", "gpu", json!({"frames": 81})));
    patiently(|| store.submit(run.clone()))?;
    let claimed = patiently(|| store.claim(ClaimRequest::new(worker, ["gpu"])))?.ok_or("nothing to claim")?;
    let finished = patiently(|| store.succeed(Finish::new(claimed.task, claimed.token, json!({"frames": 81}))))?;
    if finished.state == TaskState::Succeeded { Ok(()) } else { Err("a task did not succeed".into()) }
}

/// Asks again as long as others keep the file locked.
fn patiently<T>(mut ask: impl FnMut() -> travel_queue::Result<T>) -> Result<T, Fault> {
    loop {
        match ask() {
            Err(error) if error.is_retryable() => {}
            answer => return Ok(answer?),
        }
    }
}

fn succeeded(store: &SqliteStore) -> Result<usize, Fault> {
    let mut filter = RunFilter { state: Some(RunState::Succeeded), ..RunFilter::default() };
    let mut found = 0;
    loop {
        let page = store.runs(&filter, MAX_ROWS)?;
        let Some(last) = page.last() else { return Ok(found) };
        found += page.len();
        filter.before = Some(last.id);
    }
}

const PLAIN: &str = "
CREATE TABLE job(id INTEGER PRIMARY KEY, state TEXT NOT NULL, input TEXT NOT NULL, output TEXT);
CREATE INDEX job_ready ON job(id) WHERE state = 'ready';";

fn one_by_one(database: &Path, callers: usize, time: Duration) -> Result<(Laps, u64), Fault> {
    let mut connections = (0..callers).map(|_| plain(database)).collect::<Result<Vec<_>, _>>()?;
    let first = connections.first().ok_or("nobody calls")?;
    first.execute_batch(PLAIN)?;
    let laps = drive(&mut connections, time, plain_cycle)?;
    let first = connections.first().ok_or("nobody called")?;
    let count = |query| Ok::<_, Fault>(first.query_row(query, [], |row| row.get::<_, i64>(0))?.try_into()?);
    same("jobs that are done", count("SELECT count(*) FROM job WHERE state = 'done'")?, laps.each.len())?;
    same("jobs", count("SELECT count(*) FROM job")?, laps.each.len())?;
    let commits = u64::try_from(laps.each.len())? * 3;
    Ok((laps, commits))
}

fn plain(database: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let durability: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if durability == FULL { Ok(connection) } else { Err("synchronous is not FULL".into()) }
}

fn plain_cycle(connection: &mut Connection) -> Result<(), Fault> {
    durably(connection, |tx| {
        tx.prepare_cached("INSERT INTO job(state, input) VALUES('ready', ?1)")?.execute([r#"{"frames":81}"#])
    })?;
    let job: i64 = durably(connection, |tx| {
        tx.prepare_cached(
            "UPDATE job SET state = 'running'
              WHERE id = (SELECT id FROM job WHERE state = 'ready' ORDER BY id LIMIT 1) RETURNING id",
        )?
        .query_row([], |row| row.get(0))
    })?;
    let done = durably(connection, |tx| {
        tx.prepare_cached("UPDATE job SET state = 'done', output = ?2 WHERE id = ?1 AND state = 'running'")?
            .execute((job, r#"{"frames":81}"#))
    })?;
    if done == 1 { Ok(()) } else { Err("somebody else's job".into()) }
}

fn durably<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let answer = work(&tx)?;
    tx.commit()?;
    Ok(answer)
}

/// A file that is removed again.
struct Log {
    file: File,
    path: PathBuf,
    page: u64,
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            eprintln!("{} stays: {error}", self.path.display());
        }
    }
}

fn fsync(database: &Path, time: Duration) -> Result<(Laps, u64), Fault> {
    let mut name: OsString = database.into();
    name.push(".fsync");
    let file = OpenOptions::new().write(true).create_new(true).open(&name)?;
    let mut log = Log { file, path: name.into(), page: 0 };
    let page = [7_u8; PAGE];
    for _ in 0..LOG_PAGES {
        log.file.write_all(&page)?;
    }
    log.file.sync_all()?;
    let laps = drive(std::slice::from_mut(&mut log), time, |log| {
        log.file.seek(SeekFrom::Start(log.page % LOG_PAGES * PAGE as u64))?;
        log.page += 1;
        log.file.write_all(&page)?;
        Ok(log.file.sync_data()?)
    })?;
    Ok((laps, log.page))
}
