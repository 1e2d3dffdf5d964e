//! How fast work goes round: submit, claim, finish, each a durable transaction of its own.
//!
//! The physical limit is the disk's `fsync`, of which one cycle costs three; `in memory` runs on a
//! file system without one and shows the cost of the SQL alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on should stop")]

use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use travel_queue::{
    ClaimRequest, Finish, Incarnation, NewRun, NewTask, NewWorker, SqliteStore, Store, SystemClock, WorkerId,
};

fn open(folder: &Path) -> (SqliteStore, WorkerId) {
    let store = SqliteStore::open_for_work(folder.join("queue.db"), Arc::new(SystemClock)).unwrap();
    let worker = NewWorker { incarnation: Incarnation::fresh(), host: "bench".into(), capacity: json!({}) };
    let worker = store.register_worker(worker).unwrap();
    (store, worker)
}

fn cycle(store: &SqliteStore, worker: WorkerId) {
    let run = NewRun::new("studio", "bench", json!({"images": 2}));
    let run = run.task(NewTask::new("a", "k", "gpu", json!({"frames": 81})));
    store.submit(run).unwrap();
    let request = ClaimRequest::new(worker, ["gpu"]);
    let claimed = store.claim(request).unwrap().unwrap();
    let finish = Finish::new(claimed.task, claimed.token, json!({"frames": 81}));
    store.succeed(finish).unwrap();
}

fn cycles(criterion: &mut Criterion) {
    let disk = tempfile::tempdir().unwrap();
    let (store, worker) = open(disk.path());
    criterion.bench_function("cycle on disk", |bench| bench.iter(|| cycle(&store, worker)));
    if let Ok(memory) = tempfile::tempdir_in("/dev/shm") {
        let (store, worker) = open(memory.path());
        criterion.bench_function("cycle in memory", |bench| {
            bench.iter(|| cycle(&store, worker));
        });
    }
}

criterion_group!(benches, cycles);
criterion_main!(benches);
