#!/usr/bin/env python3
"""Lets jobs go round in travel-host's queue and in other SQLite queues, on one disk, in one run, and prints a table of medians.

    python3 host/queue/bench/peers.py [--rounds 3] [--seconds 4] [--callers 32] [--folder FOLDER] [--quiet SECONDS]
        [--sync-ms MS] [--node FOLDER] [--apalis PROGRAM]

A cycle is the peer's own enqueue, claim and finish, each a call that returns once it is committed. All have a write-ahead log;
durability is what `PRAGMA synchronous` answers on the peer's own connection while it runs, and is set to FULL for each as
told below. After each round the database is opened and its finished jobs are counted: they must be the cycles, and nothing
may be left over. Rounds are interleaved, so that a busy machine is busy for everybody. A peer that is not there is left out,
with a line that says so.

Measure on a quiet machine: while other programs keep all processors busy, a commit takes as long as the scheduler lets a thread
wait that has slept, whatever the disk can do. --quiet waits for it, and the last line tells what the others took. The disk's
line is one thread that writes 4 KiB and waits for it, over and over.

How much group commit gains hangs on how long the disk takes, from 0.1 ms (a drive with a battery, or a virtual one that
promises too much) to 5 ms (network block storage). --sync-ms makes every fsync and fdatasync, of everybody, take so much
longer, through a small library that is loaded before the C library's (it needs a C compiler).

Nothing is installed from here; beforehand:

    cargo build --release -p travel-queue --example lifecycle
    pip install huey litequeue honker                        # into the Python that runs this
    npm install plainjob better-sqlite3@12                   # in a folder that --node names
    python3 host/queue/bench/peers.py --write-apalis FOLDER  # then --apalis FOLDER/target/release/apalis-cycle
    cargo build --release --manifest-path FOLDER/Cargo.toml

Who calls, and how FULL is come by:

    travel-host    threads, one store, which commits together what waits together; its own setting
    store-each     threads with a store of travel-host's each: the same work and tables, one transaction an operation
    one-by-one     threads with a connection each, one table, nothing else; pragma, read back by the program, which else stops
    huey           threads, one storage, as in its consumer; its option fsync=True. Its claim deletes the job, so a job that
                   is at work when the process dies is lost; its finish stores the result
    litequeue      threads with a queue object and connection each; pragma after its constructor, which sets NORMAL
    honker         threads, one database object, which has one writer; it opens with NORMAL and has no option, so pragma on
                   the writer, between a COMMIT and a BEGIN. Its finish deletes the job
    plainjob       async tasks in one process, as its calls block the event loop; pragma after defineQueue, which sets NORMAL
    apalis-sqlite  tokio tasks, the query functions that its worker calls, one job a call; connect option, as its setup sets
                   OFF, here on a connection of its own. With a pool of ten connections, as is usual, and with one of one,
                   where nobody waits for SQLite's lock
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

QUIET = 0.1
LEVELS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
DRIVE = """
import importlib.metadata, json, sys, threading, time
path, callers, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
def drive(package, cycles, level):
    laps, spans, gate = [], [], threading.Barrier(len(cycles))
    def go(cycle):
        mine = []
        gate.wait()
        begun = now = time.monotonic()
        while now - begun < seconds:
            cycle()
            ended = time.monotonic()
            mine.append(ended - now)
            now = ended
        laps.extend(mine)
        spans.append((begun, now))
    threads = [threading.Thread(target=go, args=[cycle]) for cycle in cycles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(spans) < len(cycles):
        sys.exit("a caller died")
    laps.sort()
    took = max(end for _, end in spans) - min(begun for begun, _ in spans)
    at = lambda percent: laps[min(len(laps) * percent // 100, len(laps) - 1)] * 1e3
    print(json.dumps({"version": importlib.metadata.version(package), "cycles": len(laps), "cycles_per_s": len(laps) / took,
                      "p50_ms": at(50), "p99_ms": at(99), "synchronous": level()}))
"""
HUEY = DRIVE + """
import itertools
from huey import SqliteHuey
storage = SqliteHuey("bench", filename=path, fsync=True, timeout=60).storage
numbers = itertools.count()
def cycle():
    storage.enqueue(b"%d" % next(numbers))
    storage.put_data(storage.dequeue().decode(), b'{"frames":81}', is_result=True)
drive("huey", [cycle] * callers, lambda: storage.sql("pragma synchronous", results=True)[0][0])
"""
LITEQUEUE = DRIVE + """
from litequeue import LiteQueue
queues = [LiteQueue(path, timeout=60) for _ in range(callers)]
for queue in queues:
    queue.conn.execute("PRAGMA synchronous = FULL")
def caller(queue):
    def cycle():
        queue.put('{"frames":81}')
        queue.done(queue.pop().message_id)
    return cycle
drive("litequeue", [caller(q) for q in queues], lambda: min(q.conn.execute("PRAGMA synchronous").fetchone()[0] for q in queues))
"""
HONKER = DRIVE + """
import honker
db = honker.open(path)
queue = db.queue("bench")
with db.transaction() as tx:
    tx.execute("COMMIT")
    tx.execute("PRAGMA synchronous = FULL")
    tx.execute("BEGIN IMMEDIATE")
def cycle():
    queue.enqueue({"frames": 81})
    if not queue.claim_one(threading.current_thread().name).ack():
        raise RuntimeError("a job was not acknowledged")
def level():
    with db.transaction() as tx:
        return tx.query("PRAGMA synchronous")[0]["synchronous"]
drive("honker", [cycle] * callers, level)
"""
PLAINJOB = """
import { readFileSync } from "node:fs";
import Database from "better-sqlite3";
import { better, defineQueue } from "plainjob";
const [path, callers, seconds] = process.argv.slice(1);
const database = new Database(path);
const queue = defineQueue({ connection: better(database) });
database.pragma("synchronous = FULL");
const laps = [], begun = performance.now();
const turn = () => new Promise((go) => setImmediate(go));
async function caller() {
  for (let now = begun; now - begun < seconds * 1e3; ) {
    queue.add("bench", { frames: 81 });
    await turn();
    const job = queue.getAndMarkJobAsProcessing("bench");
    await turn();
    queue.markJobAsDone(job.id);
    const ended = performance.now();
    laps.push(ended - now);
    now = ended;
    await turn();
  }
}
await Promise.all(Array.from({ length: Number(callers) }, caller));
const took = (performance.now() - begun) / 1e3;
laps.sort((a, b) => a - b);
const at = (percent) => laps[Math.min(Math.floor((laps.length * percent) / 100), laps.length - 1)];
const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
console.log(JSON.stringify({
  version: `${version("plainjob")} on better-sqlite3 ${version("better-sqlite3")}`, cycles: laps.length,
  cycles_per_s: laps.length / took, p50_ms: at(50), p99_ms: at(99),
  synchronous: database.pragma("synchronous", { simple: true }),
}));
queue.close();
"""
APALIS_MANIFEST = """[package]
name = "apalis-cycle"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
apalis-core = "=1.0.0"
apalis-sqlite = "=1.0.0"
serde_json = "1"
sqlx = { version = "0.9", default-features = false }
tokio = { version = "1", features = ["rt-multi-thread", "macros"] }
"""
APALIS = """use std::time::{Duration, Instant};

use apalis_core::backend::TaskResult;
use apalis_core::task::{builder::TaskBuilder, status::Status};
use apalis_core::worker::context::WorkerContext;
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage, queries};
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn cycle(pool: &SqlitePool, config: &Config, worker: &WorkerContext) -> Result<(), Fault> {
    let mut tx = pool.begin().await?;
    let task = TaskBuilder::new(br#"{"frames":81}"#.to_vec()).build();
    queries::push_tasks(&mut *tx, config.queue.as_ref(), &[task]).await?;
    tx.commit().await?;
    // It reads the clock before it waits for the lock, so a task of the second that has begun meanwhile is not seen.
    let task_id = loop {
        let mut tx = pool.begin().await?;
        let claimed = queries::fetch_next(&mut *tx, config, worker).await?;
        tx.commit().await?;
        if let Some(id) = claimed.first().and_then(|task| task.task_id()) {
            break id.clone();
        }
    };
    let done = TaskResult { task_id, attempt: 1, status: Status::Done, result: Ok(serde_json::json!({"frames": 81})) };
    let mut tx = pool.begin().await?;
    let acknowledged = queries::ack_tasks(&mut *tx, &[&done], worker.name()).await?;
    tx.commit().await?;
    if acknowledged == 1 { Ok(()) } else { Err("a task was not acknowledged".into()) }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, callers, seconds, connections] = args.as_slice() else {
        return Err("apalis-cycle DATABASE CALLERS SECONDS CONNECTIONS".into());
    };
    let (callers, time) = (callers.parse::<usize>()?, Duration::from_secs_f64(seconds.parse()?));
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(60));
    let first = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    SqliteStorage::setup(&first).await?;
    first.close().await;
    let config = Config::default().queue("bench").batch_size(1);
    let worker = WorkerContext::new("bench");
    let pool = SqlitePoolOptions::new()
        .max_connections(connections.parse()?)
        .acquire_timeout(Duration::from_secs(60))
        .connect_with(options)
        .await?;
    queries::register_worker(&pool, &config, &worker, "SqliteStorage").await?;
    let begun = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (pool, config, worker) = (pool.clone(), config.clone(), worker.clone());
            tokio::spawn(async move {
                let (mut laps, mut now) = (Vec::new(), begun);
                while now - begun < time {
                    cycle(&pool, &config, &worker).await?;
                    let ended = Instant::now();
                    laps.push((ended - now).as_secs_f64() * 1e3);
                    now = ended;
                }
                Ok::<_, Fault>(laps)
            })
        })
        .collect();
    let mut laps = Vec::new();
    for task in tasks {
        laps.extend(task.await??);
    }
    let took = begun.elapsed().as_secs_f64();
    laps.sort_by(f64::total_cmp);
    let at = |percent: usize| laps[(laps.len() * percent / 100).min(laps.len() - 1)];
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&pool).await?;
    let line = serde_json::json!({
        "version": "1.0.0", "cycles": laps.len(), "cycles_per_s": laps.len() as f64 / took,
        "p50_ms": at(50), "p99_ms": at(99), "synchronous": synchronous,
    });
    println!("{line}");
    pool.close().await;
    Ok(())
}
"""


SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int later(const char *name, int fd) {
    struct timespec wait = {MS / 1000, MS % 1000 * 1000000L};
    nanosleep(&wait, 0);
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}
int fsync(int fd) { return later("fsync", fd); }
int fdatasync(int fd) { return later("fdatasync", fd); }
"""


def slow_disk(folder, ms):
    """The environment in which files take so much longer to be synced."""
    library = os.path.join(folder, "slow-disk.so")
    command = ["cc", "-shared", "-fPIC", "-O1", f"-DMS={ms}", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=SLOW_DISK, text=True, check=True)
    os.environ["LD_PRELOAD"] = library


class Queue:
    """What to run, with `{db}` for its database, and two queries: how many jobs are finished, how many are not."""

    def __init__(self, command, done, open_, missing=None, cwd=None):
        self.command, self.done, self.open, self.missing, self.cwd = command, done, open_, missing, cwd


def python(package, code, done, open_, load):
    there = subprocess.run([sys.executable, "-c", f"import {package}"], capture_output=True).returncode == 0
    missing = None if there else f"this Python has no {package}"
    return Queue([sys.executable, "-c", code, "{db}", *load], done, open_, missing)


def queues(args):
    load = [str(args.callers), str(args.seconds)]
    ours = "SELECT count(*) FROM task WHERE state = 'succeeded'", "SELECT count(*) FROM task WHERE state <> 'succeeded'"
    plain = "SELECT count(*) FROM job WHERE state = 'done'", "SELECT count(*) FROM job WHERE state <> 'done'"
    found = {"travel-host": Queue([args.program, "store", "{db}", *load], *ours),
             "store-each": Queue([args.program, "store-each", "{db}", *load], *ours),
             "one-by-one": Queue([args.program, "one-by-one", "{db}", *load], *plain),
             "huey": python("huey", HUEY, "SELECT count(*) FROM kv", "SELECT count(*) FROM task", load),
             "litequeue": python("litequeue", LITEQUEUE, "SELECT count(*) FROM Queue WHERE status = 2",
                                 "SELECT count(*) FROM Queue WHERE status <> 2", load),
             # It deletes what is finished; the sequence tells how many there were.
             "honker": python("honker", HONKER, "SELECT seq FROM sqlite_sequence WHERE name = '_honker_live'",
                              "SELECT count(*) FROM _honker_jobs", load)}
    modules = [os.path.join(args.node, "node_modules", name) for name in ("plainjob", "better-sqlite3")]
    there = shutil.which("node") and all(os.path.isdir(module) for module in modules)
    found["plainjob"] = Queue(["node", "--input-type=module", "-e", PLAINJOB, "{db}", *load],
                              "SELECT count(*) FROM plainjob_jobs WHERE status = 2",
                              "SELECT count(*) FROM plainjob_jobs WHERE status <> 2",
                              None if there else "no node, or no plainjob and better-sqlite3 where --node says", args.node)
    for connections in ("10", "1"):
        found[f"apalis-sqlite, pool of {connections}"] = Queue(
            [args.apalis or "", "{db}", *load, connections], "SELECT count(*) FROM Jobs WHERE status = 'Done'",
            "SELECT count(*) FROM Jobs WHERE status <> 'Done'",
            None if args.apalis and os.access(args.apalis, os.X_OK) else "no program where --apalis says")
    return found


def run(command, seconds, cwd=None):
    """The one line that a program prints."""
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=seconds + 240)
    if ended.returncode:
        sys.exit(f"{command[0]} failed: {ended.stderr[-800:]}")
    return json.loads(ended.stdout)


def processors():
    """Seconds that they worked, and all there were."""
    with open("/proc/stat") as file:
        ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def others_during(work):
    """What `work` gives, and the share of the processors' time that went to programs not started by it."""
    (busy, all_), begun = processors(), os.times()
    result = work()
    (busy_now, all_now), ended = processors(), os.times()
    own = sum(ended[:4]) - sum(begun[:4])
    return result, max(0, busy_now - busy - own) / (all_now - all_)


def quietly(work, patience):
    """Does `work` when the machine is quiet, and again when it did not stay so, until the patience is over."""
    until = time.monotonic() + patience
    while True:
        while time.monotonic() < until and others_during(lambda: time.sleep(1))[1] > QUIET:
            pass
        result, others = others_during(work)
        if others <= QUIET or time.monotonic() >= until:
            return result | {"others": others}


def measure(name, queue, folder, seconds):
    home = tempfile.mkdtemp(dir=folder)
    database = os.path.join(home, "queue.db")
    result = run([database if part == "{db}" else part for part in queue.command], seconds, queue.cwd)
    connection = sqlite3.connect(database)
    done, left = (connection.execute(query).fetchone()[0] for query in (queue.done, queue.open))
    connection.close()
    if (done, left) != (result["cycles"], 0):
        sys.exit(f"{name} tells of {result['cycles']} cycles; {done} jobs are finished and {left} are not")
    shutil.rmtree(home)
    return result


def middle(results, key):
    return statistics.median(result[key] for result in results)


def loads(averages):
    return " ".join(f"{load:.1f}" for load in averages)


def table(seen):
    print("| queue | version | durability | cycles/s | lowest to highest | p50 ms | p99 ms | ours ÷ it |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    ours = middle(seen["travel-host"], "cycles_per_s")
    for name, results in seen.items():
        # Ours and the plain queue refuse to go on with less, so their lines do not tell.
        level = LEVELS[min(result.get("synchronous", 2) for result in results)]
        speed, speeds = middle(results, "cycles_per_s"), [result["cycles_per_s"] for result in results]
        print(f"| {name} | {results[0].get('version', 'this tree')} | {level} | {speed:.0f} "
              f"| {min(speeds):.0f} to {max(speeds):.0f} | {middle(results, 'p50_ms'):.1f} "
              f"| {middle(results, 'p99_ms'):.1f} | {ours / speed:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="how long a round of one queue takes")
    parser.add_argument("--callers", type=int, default=32, help="how many call at once")
    parser.add_argument("--quiet", type=float, default=0, metavar="SECONDS", help="how long each may wait for a quiet machine")
    parser.add_argument("--sync-ms", type=int, default=0, metavar="MS", help="how much longer every sync takes")
    parser.add_argument("--folder", default=".", help="where the databases' own folder is made, and removed again")
    parser.add_argument("--program", default="target/release/examples/lifecycle")
    parser.add_argument("--node", default=".", help="the folder whose node_modules has plainjob and better-sqlite3")
    parser.add_argument("--apalis", help="the program that --write-apalis is the source of")
    parser.add_argument("--write-apalis", metavar="FOLDER", help="write that source there, and do nothing else")
    args = parser.parse_args()
    if args.write_apalis:
        os.makedirs(os.path.join(args.write_apalis, "src"))
        for name, text in (("Cargo.toml", APALIS_MANIFEST), (os.path.join("src", "main.rs"), APALIS)):
            with open(os.path.join(args.write_apalis, name), "w") as file:
                file.write(text)
        return
    there = queues(args)
    for name, queue in list(there.items()):
        if queue.missing:
            print(f"{name} is left out: {queue.missing}")
            del there[name]
    before = os.getloadavg()
    folder = tempfile.mkdtemp(prefix="queue-bench-", dir=os.path.abspath(args.folder))
    if args.sync_ms:
        slow_disk(folder, args.sync_ms)
    try:
        seen, ceiling = {name: [] for name in there}, []
        for _ in range(args.rounds):
            command = [args.program, "fsync", os.path.join(folder, "disk"), "1", str(args.seconds)]
            ceiling.append(quietly(lambda: run(command, args.seconds), args.quiet))
            for name, queue in there.items():
                seen[name].append(quietly(lambda: measure(name, queue, folder, args.seconds), args.quiet))
    finally:
        shutil.rmtree(folder)
    print(f"{args.callers} callers; medians of {args.rounds} rounds of {args.seconds:g} s\n")
    table(seen)
    speeds = [result["cycles_per_s"] for result in ceiling]
    ours, cycles = seen["travel-host"], sum(result["cycles"] for result in seen["travel-host"])
    others = [result["others"] for results in [ceiling, *seen.values()] for result in results]
    print(f"\nThe disk: {statistics.median(speeds):.0f} fdatasync/s by one thread ({min(speeds):.0f} to {max(speeds):.0f}). "
          f"travel-host: {sum(result['commits'] for result in ours) / cycles:.2f} commits a cycle. "
          f"Load: {loads(before)} before, {loads(os.getloadavg())} after; others had {statistics.median(others):.0%} of the "
          f"processors' time ({min(others):.0%} to {max(others):.0%}).")


if __name__ == "__main__":
    main()
