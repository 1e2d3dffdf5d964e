//! The queue's figures that need no peer, in one run: what history, stuck work, fan-in and size cost.
//!
//! ```text
//! cargo bench -p travel-queue --bench figures
//! ```
//!
//! Ratios are taken on a file system in memory where there is one (`/dev/shm`), as the disk would hide them; what a disk
//! adds is one `fsync` for each group of operations, measured by `bench/peers.py` beside the peers.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark that cannot go on should stop, and tells what it measured"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use travel_queue::{
    Capacity, ClaimRequest, Claimed, Finish, Incarnation, LaneChange, LaneSettings, NewRun, NewTask, NewWorker, RunId,
    SqliteStore, Store, SystemClock, WorkerId,
};

struct Bench {
    store: SqliteStore,
    worker: WorkerId,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn in_memory() -> Self {
        Self::at(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn on_disk() -> Self {
        Self::at(tempfile::tempdir_in(".").unwrap())
    }

    fn at(folder: tempfile::TempDir) -> Self {
        let path = folder.path().join("queue.db");
        let store = SqliteStore::open_for_work(&path, Arc::new(SystemClock)).unwrap();
        let capacity = Capacity::of([("gpu", 1)]);
        let worker = NewWorker { incarnation: Incarnation::fresh(), host: "bench".into(), capacity };
        let worker = store.register_worker(worker).unwrap();
        Self { store, worker, path, _folder: folder }
    }

    fn claim(&self) -> Claimed {
        self.store.claim(ClaimRequest::new(self.worker, ["gpu"])).unwrap().unwrap()
    }

    fn finish(&self, claimed: &Claimed) {
        self.store.succeed(Finish::new(claimed.task, claimed.token, json!({"frames": 81}))).unwrap();
    }

    fn submit(&self, tenant: &str, tasks: usize) -> RunId {
        let mut run = NewRun::new(tenant, "bench", json!({"images": 2}));
        run.tasks = (0..tasks).map(|n| NewTask::new(format!("t{n}"), "k", "gpu", json!({"frames": 81}))).collect();
        self.store.submit(run).unwrap().run
    }

    /// One claim, handed back, so that the next finds the same queue.
    fn timed_claim(&self) -> Duration {
        let begun = Instant::now();
        let claimed = self.claim();
        let took = begun.elapsed();
        self.store.release(claimed.task, claimed.token).unwrap();
        took
    }
}

/// Microseconds of a claim in each queue, medians of 2,000, in turns, so that a busy machine is busy for all.
fn claims_us(benches: &[&Bench]) -> Vec<f64> {
    let mut times = vec![Vec::new(); benches.len()];
    for _ in 0..2000 {
        for (bench, times) in benches.iter().zip(&mut times) {
            times.push(bench.timed_claim());
        }
    }
    times.iter_mut().map(|times| quantile(times, 0.5) * 1000.0).collect()
}

/// Milliseconds.
fn quantile(times: &mut [Duration], q: f64) -> f64 {
    times.sort_unstable();
    let index = ((times.len() as f64 * q) as usize).min(times.len() - 1);
    times[index].as_secs_f64() * 1000.0
}

fn memory_mib(what: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// A million finished tasks, written behind the store's back: through it they would take minutes.
fn add_history(path: &Path) {
    let sql = Connection::open(path).unwrap();
    sql.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; BEGIN;
         INSERT INTO run(tenant_id, name, state, created_at, finished_at)
           WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
           SELECT 1, 'old', 'succeeded', 1, 2 FROM n;
         INSERT INTO task(run_id, tenant_id, name, kind, pool, state, priority, ready_at, on_dep_failure, max_attempts,
                          est_cost_ms, created_at, started_at, finished_at)
           WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
           SELECT r.id, 1, 't' || n.i, 'k', 'gpu', 'succeeded', 100, 1, 'skip', 3, 1000, 1, 1, 2
             FROM run r CROSS JOIN n WHERE r.name = 'old';
         COMMIT;",
    )
    .unwrap();
}

fn main() {
    println!("| what | measured | reach |\n|---|---|---|");
    // First, while the process is small.
    large_run();
    claims();
    tenants();
    latency();
    fan_in();
}

fn claims() {
    let empty = Bench::in_memory();
    empty.submit("studio", 1);

    let full = Bench::in_memory();
    for _ in 0..10 {
        full.submit("studio", 10_000);
    }
    add_history(&full.path);

    let stuck = Bench::in_memory();
    for _ in 0..4 {
        stuck.submit("at its limit", 10_000);
        let run = stuck.submit("studio", 6_000);
        stuck.store.pause_run(run).unwrap();
        let mut other = NewRun::new("studio", "other", json!({}));
        other.tasks = (0..9_000).map(|n| NewTask::new(format!("t{n}"), "k", "gpu-80g", json!({}))).collect();
        stuck.store.submit(other).unwrap();
    }
    let lane =
        LaneSettings { pool: "gpu".into(), tenant: "at its limit".into(), change: LaneChange::MaxRunning(Some(0)) };
    stuck.store.set_lane(lane).unwrap();
    stuck.submit("studio", 1);
    let us = claims_us(&[&empty, &full, &stuck]);
    println!("| claim, one task in the queue | {:.0} µs | |", us[0]);
    println!("| claim, 1,000,000 finished and 100,000 waiting | {:.0} µs, {:.2}× | ≤ 1.3× |", us[1], us[1] / us[0]);
    println!(
        "| claim behind 100,000 tasks that cannot run (tenant at its limit, run paused, no such pool) | {:.0} µs, {:.2}× | ≤ 1.3× |",
        us[2],
        us[2] / us[0]
    );
}

/// One task from submission to finish beside others that wait, of one tenant and of a thousand.
fn tenants() {
    let of = |tenants: usize| {
        let bench = Bench::in_memory();
        for n in 0..tenants {
            bench.submit(&format!("tenant-{n}"), 3_000 / tenants);
        }
        bench
    };
    let (one, many) = (of(1), of(1_000));
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..1_000 {
        for (bench, times) in [&one, &many].into_iter().zip(&mut times) {
            let begun = Instant::now();
            bench.submit(&format!("guest-{n}"), 1);
            let claimed = bench.claim();
            bench.finish(&claimed);
            times.push(begun.elapsed());
        }
    }
    let us = times.map(|mut times| quantile(&mut times, 0.5) * 1000.0);
    println!("| submit, claim, finish beside 3,000 waiting tasks of one tenant | {:.0} µs | |", us[0]);
    println!("| the same, of 1,000 tenants | {:.0} µs, {:.2}× | |", us[1], us[1] / us[0]);
}

/// From the answer to a finish that releases a task until somebody who waits for a signal has claimed it.
fn latency() {
    for (place, bench) in [("in memory", Bench::in_memory()), ("on disk", Bench::on_disk())] {
        let mut times = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..500 {
            let run = NewRun::new("studio", "bench", json!({}));
            let task = |name: &str| NewTask::new(name, "k", "gpu", json!({}));
            bench.store.submit(run.task(task("a")).task(task("b").after("a"))).unwrap();
            let parent = bench.claim();
            let mut changes = bench.store.subscribe();
            let (begun, claimed) = std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    runtime.block_on(changes.changed()).unwrap();
                    let claimed = bench.claim();
                    (claimed, Instant::now())
                });
                bench.finish(&parent);
                let begun = Instant::now();
                (begun, waiter.join().unwrap())
            });
            times.push(claimed.1.saturating_duration_since(begun));
            bench.finish(&claimed.0);
        }
        let (half, most) = (quantile(&mut times, 0.5), quantile(&mut times, 0.99));
        println!(
            "| finish answered → its child claimed, {place}, p50 and p99 | {half:.3} ms, {most:.3} ms | p99 ≤ 2 ms |"
        );
    }
}

fn fan_in() {
    let mut all = Vec::new();
    for parents in [1_000_usize, 10_000] {
        let round = |children: bool| {
            let bench = Bench::in_memory();
            let mut run = NewRun::new("studio", "bench", json!({}));
            let name = |n: usize| format!("p{n}");
            run.tasks = (0..parents).map(|n| NewTask::new(name(n), "k", "gpu", json!({}))).collect();
            if children {
                run.tasks.push((0..parents).fold(NewTask::new("c", "k", "gpu", json!({})), |t, n| t.after(name(n))));
            }
            let begun = Instant::now();
            bench.store.submit(run).unwrap();
            let submitted = begun.elapsed();
            let held: Vec<Claimed> = (0..parents).map(|_| bench.claim()).collect();
            let begun = Instant::now();
            held.iter().for_each(|claimed| bench.finish(claimed));
            let finished = begun.elapsed();
            let begun = Instant::now();
            if children {
                assert_eq!(bench.claim().parents.len(), parents);
            }
            (submitted, finished, begun.elapsed())
        };
        // The least of five in turns: the difference of two times is lost in what else the machine does.
        let least = |a: (Duration, Duration, Duration), b: (Duration, Duration, Duration)| {
            (a.0.min(b.0), a.1.min(b.1), a.2.min(b.2))
        };
        let (mut with, mut without) = (round(true), round(false));
        for _ in 0..4 {
            (with, without) = (least(with, round(true)), least(without, round(false)));
        }
        // What the fan-in itself costs: its edges, telling the child each time, and handing it all its parents.
        let edges = with.0.saturating_sub(without.0);
        let telling = with.1.saturating_sub(without.1);
        let total = edges + telling + with.2;
        println!(
            "| fan-in of {parents} parents: edges {:.0} ms, finishes {:.0} ms, claim {:.0} ms | {:.0} ms | ≤ 1 s at 10,000 |",
            edges.as_secs_f64() * 1e3,
            telling.as_secs_f64() * 1e3,
            with.2.as_secs_f64() * 1e3,
            total.as_secs_f64() * 1e3
        );
        // The quotient of two differences of small times says nothing; of all that the parents cost it does.
        all.push((with.0 + with.1 + with.2).as_secs_f64() * 1e6 / parents as f64);
    }
    println!(
        "| a parent and its edge, all that it costs, of 1,000 and of 10,000 | {:.0} µs, {:.0} µs, {:.2}× | linear: 1× |",
        all[0],
        all[1],
        all[1] / all[0]
    );
}

fn large_run() {
    let bench = Bench::on_disk();
    let idle = memory_mib("VmRSS");
    let mut run = NewRun::new("studio", "bench", json!({}));
    let name = |n: usize| format!("segment-{n:05}");
    let input = json!({"segment": {"frames": 81, "prompt": "a road through the hills, in the evening"}});
    for n in 0..10_000 {
        let task = NewTask::new(name(n), "travel_segment", "gpu", input.clone());
        run.tasks.push(if n == 0 { task } else { task.after(name(n - 1)) });
    }
    run.tasks
        .push((0..10_000).fold(NewTask::new("stitch", "travel_stitch", "encode", json!({})), |t, n| t.after(name(n))));
    let begun = Instant::now();
    bench.store.submit(run).unwrap();
    let (took, peak) = (begun.elapsed(), memory_mib("VmHWM"));
    println!("| 10,000 chained segments and their stitch submitted, on disk | {:.2} s | ≤ 1 s |", took.as_secs_f64());
    println!("| memory for it, peak over idle | {:.0} MiB | ≤ 100 MiB |", peak - idle);
}
