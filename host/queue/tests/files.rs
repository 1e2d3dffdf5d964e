//! What a person sees when the database's file is not as it should be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use travel_queue::*;

fn database(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("queue.db");
    let store = SqliteStore::open_for_submit(&path, Arc::new(SystemClock)).unwrap();
    let mut run = NewRun::new("studio", "alps", json!({"pad": "x".repeat(50_000)}));
    run.tasks.push(NewTask::new("a", "k", "gpu", json!(null)));
    store.submit(run).unwrap();
    path
}

/// What each way of opening says.
fn codes(path: &Path) -> [String; 3] {
    let clock = || Arc::new(SystemClock);
    [
        SqliteStore::open_for_work(path, clock()).map(|_| ()),
        SqliteStore::open_for_submit(path, clock()).map(|_| ()),
        SqliteStore::open_for_read(path).map(|_| ()),
    ]
    .map(|opened| opened.map_or_else(|error| error.code().to_owned(), |()| "open".to_owned()))
}

#[test]
fn reading_never_makes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let refused = SqliteStore::open_for_read(&path).unwrap_err();
    assert_eq!(refused.code(), "queue_missing");
    assert!(refused.to_string().contains("queue.db"));
    assert!(!path.exists());
}

#[test]
fn folders_are_made_and_everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/queue.db");
    drop(SqliteStore::open_for_submit(&path, Arc::new(SystemClock)).unwrap());
    assert!(!path.with_extension("db-wal").exists(), "the log is tidied up by the last to close");
    assert_eq!(codes(&path), ["open"; 3]);
}

#[test]
fn a_database_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let known = SqliteStore::open_for_read(&path).unwrap().stats().unwrap().schema;
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(codes(&path), ["queue_too_new"; 3]);
    let message = SqliteStore::open_for_read(&path).unwrap_err().to_string();
    assert!(message.contains("version 99") && message.contains(&format!("up to {known}:")), "{message}");
}

#[test]
fn an_empty_file_is_made_a_database_but_not_by_readers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::fs::write(&path, "").unwrap();
    assert_eq!(SqliteStore::open_for_read(&path).unwrap_err().code(), "queue_too_old");
    assert_eq!(codes(&path), ["open"; 3]);
}

#[test]
fn some_other_file_is_not_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::fs::write(&path, "just some notes\n".repeat(500)).unwrap();
    assert_eq!(codes(&path), ["queue_not_a_database"; 3]);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("just some notes"));
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes(x)").unwrap();
    assert_eq!(codes(&path), ["queue_foreign"; 3]);
}

#[test]
fn a_truncated_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    assert_eq!(codes(&path), ["queue_damaged"; 3]);
}

#[test]
fn a_file_marked_read_only_can_be_read_and_not_worked_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    assert_eq!(codes(&path), ["queue_read_only", "queue_read_only", "open"]);
}

#[test]
fn a_place_where_no_file_can_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(codes(folder.path())[0], "queue_not_a_database");
    let file = database(&folder);
    assert_eq!(codes(&file.join("queue.db"))[0], "queue_folder");
}

#[test]
fn each_way_of_opening_allows_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let submit = SqliteStore::open_for_submit(&path, Arc::new(SystemClock)).unwrap();
    let claim = submit.claim(ClaimRequest::new(WorkerId(1), ["gpu"])).unwrap_err();
    assert_eq!(claim.to_string(), "claiming needs a store opened for work, and this one was opened for submitting");
    let read = SqliteStore::open_for_read(&path).unwrap();
    let run = read.runs(&RunFilter::default(), 5).unwrap()[0].id;
    assert_eq!(read.cancel_run(run).unwrap_err().code(), "queue_wrong_mode");
    assert_eq!(submit.cancel_run(run).unwrap().run_state, RunState::Cancelled);
    assert_eq!(read.run(&run.into()).unwrap().state, RunState::Cancelled);
}

#[test]
fn a_row_that_nobody_wrote_is_named_and_found_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE event SET kind = 'huh'; UPDATE lane SET ready = 5; UPDATE run SET next_seq = 9;")
        .unwrap();
    let store = SqliteStore::open_for_read(&path).unwrap();
    let corrupt = store.events(RunId(1), Seq(0), 10).unwrap_err();
    assert_eq!(corrupt.to_string(), "table event, row 1: \"huh\" is not a valid kind");
    let rules: Vec<_> = store.check().unwrap().iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, ["lane_counters", "event_gap"]);
}
