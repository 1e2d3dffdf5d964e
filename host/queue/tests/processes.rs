//! Several openers of one file, many callers of one store, and a host that is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use travel_queue::*;

fn run(name: &str) -> NewRun {
    NewRun::new("studio", name, json!({})).task(NewTask::new("a", "k", "gpu", json!(null)))
}

fn work(path: &Path) -> (SqliteStore, WorkerId) {
    let store = SqliteStore::open_for_work(path, Arc::new(SystemClock)).unwrap();
    let worker = NewWorker { incarnation: Incarnation::fresh(), host: "test".into(), capacity: Capacity::default() };
    let worker = store.register_worker(worker).unwrap();
    (store, worker)
}

async fn told(ticks: &mut watch::Receiver<u64>) {
    tokio::time::timeout(Duration::from_secs(10), ticks.changed())
        .await
        .expect("nobody told")
        .expect("the store is open");
}

#[tokio::test]
async fn a_host_is_told_what_other_openers_commit_and_they_what_it_commits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let (host, worker) = work(&path);
    let mut host_ticks = host.subscribe();
    let guest = SqliteStore::open_for_submit(&path, Arc::new(SystemClock)).unwrap();
    let reader = SqliteStore::open_for_read(&path).unwrap();

    guest.submit(run("alps")).unwrap();
    told(&mut host_ticks).await;
    let mut reader_ticks = reader.subscribe();
    let mut guest_ticks = guest.subscribe();
    let claimed = host.claim(ClaimRequest::new(worker, ["gpu"])).unwrap().unwrap();
    told(&mut reader_ticks).await;
    told(&mut guest_ticks).await;
    assert_eq!(guest.task(claimed.task).unwrap().task.state, TaskState::Running);
    assert_eq!(reader.check().unwrap(), []);
}

#[tokio::test]
async fn only_changes_of_state_are_told_and_the_end_is() {
    let folder = tempfile::tempdir().unwrap();
    let (host, worker) = work(&folder.path().join("queue.db"));
    host.submit(run("alps")).unwrap();
    let mut ticks = host.subscribe();
    let claimed = host.claim(ClaimRequest::new(worker, ["gpu"])).unwrap().unwrap();
    told(&mut ticks).await;
    assert!(host.claim(ClaimRequest::new(worker, ["gpu"])).unwrap().is_none());
    let beat = Beat { task: claimed.task, token: claimed.token, progress: Some(json!(1)) };
    host.heartbeat(worker, vec![beat]).unwrap();
    // The heartbeat's answer came after any tick that the claim before it could have caused.
    assert!(!ticks.has_changed().unwrap());
    drop(host);
    assert!(ticks.changed().await.is_err());
}

#[test]
fn callers_at_the_same_time_share_commits_and_one_that_fails_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let store = SqliteStore::open_for_submit(&path, Arc::new(SystemClock)).unwrap();
    let before = store.commits();
    std::thread::scope(|scope| {
        for caller in 0..32 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..10 {
                    let good = run(&format!("{caller}-{n}"));
                    store.submit(good.idem_key(format!("{caller}-{n}"))).unwrap();
                    let bad = run("bad").task(NewTask::new("b", "k", "gpu", json!(null)).after("?"));
                    let refused = store.submit(bad).unwrap_err();
                    assert_eq!(refused.code(), "queue_unknown_parent");
                }
            });
        }
    });
    let commits = store.commits() - before;
    assert!(commits < 320, "{commits} commits for 320 submissions");
    drop(store);
    let store = SqliteStore::open_for_read(&path).unwrap();
    assert_eq!(store.runs(&RunFilter::default(), 1000).unwrap().len(), 320);
    assert_eq!(store.check().unwrap(), []);
}

#[test]
fn several_stores_may_make_and_fill_one_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::thread::scope(|scope| {
        for opener in 0..6 {
            let path = &path;
            scope.spawn(move || {
                let store = SqliteStore::open_for_submit(path, Arc::new(SystemClock)).unwrap();
                for n in 0..10 {
                    store.submit(run(&format!("{opener}-{n}"))).unwrap();
                }
            });
        }
    });
    let store = SqliteStore::open_for_read(&path).unwrap();
    assert_eq!(store.runs(&RunFilter::default(), 1000).unwrap().len(), 60);
    assert_eq!(store.check().unwrap(), []);
}
