//! What can only be seen from inside: plans, statements, and a database that fails underneath.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;

use super::writer::{Effect, Writer};
use super::{SqliteStore, check, claim, connection, prune, recover, repair, submit, takes};
use crate::clock::SystemClock;
use crate::control::{PrunePolicy, Pruned, Repair};
use crate::error::QueueError;
use crate::ids::{Seq, TimestampMs};
use crate::state::{EventKind, OnDepFailure, RunState, TaskState};
use crate::store::{Store, Trial};
use crate::submission::{NewRun, NewTask};
use crate::view::RunFilter;

fn database(folder: &tempfile::TempDir) -> Connection {
    connection::open_writer(&folder.path().join("queue.db")).unwrap()
}

fn plan(sql: &Connection, query: &str) -> String {
    let mut statement = sql.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    for index in 1..=statement.parameter_count() {
        statement.raw_bind_parameter(index, 1).unwrap();
    }
    let mut rows = statement.raw_query();
    let mut plan = String::new();
    while let Some(row) = rows.next().unwrap() {
        plan.push_str(&row.get::<_, String>(3).unwrap());
        plan.push('\n');
    }
    plan
}

#[test]
fn hot_queries_use_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let sql = database(&folder);
    for (query, index) in [
        (claim::PROMOTE, "SEARCH task USING COVERING INDEX task_due (ready_at<?)"),
        (claim::IS_DUE, "SEARCH task USING COVERING INDEX task_due (ready_at<?)"),
        (claim::NEXT_DUE, "SEARCH task USING COVERING INDEX task_due"),
        (claim::PICK_LANE, "SEARCH lane USING INDEX lane_pick (pool=?)"),
        (claim::PICK_TASK, "SEARCH task USING COVERING INDEX task_ready (pool=? AND tenant_id=?)"),
        (claim::PICK_AFFINE, "SEARCH lane USING INDEX lane_pick (pool=? AND vtime<?)"),
        (claim::PICK_AFFINE, "USING COVERING INDEX task_affine (pool=? AND tenant_id=? AND affinity=? AND priority<?)"),
        (claim::WAITING, "SEARCH lane USING INDEX lane_pick (pool=?)"),
        (claim::WAITING, "SEARCH task USING COVERING INDEX task_ready (pool=? AND tenant_id=?)"),
        (claim::STOPPING, "SEARCH task USING INDEX task_worker (worker_id=?)"),
        (claim::POOL_PAUSED, "SEARCH pool USING PRIMARY KEY (name=?)"),
        (recover::LEASE_OVER, "SEARCH task USING INDEX task_lease (lease_until<?)"),
        (recover::HELD_BY_THE_DEAD, "SEARCH task USING INDEX task_worker (worker_id=?)"),
        (recover::LEFT_BEHIND, "USING INDEX task_worker"),
        (takes::BY_MEMO, "SEARCH take USING COVERING INDEX take_memo (tenant_id=? AND memo=?)"),
        (submit::OPEN_RUN, "SEARCH run USING INDEX run_open (tenant_id=?)"),
    ] {
        let plan = plan(&sql, query);
        assert!(plan.contains(index), "{query}\nwants {index}\nhas {plan}");
    }
    // All of them come from their index in order: nothing is sorted.
    for query in [claim::PICK_LANE, claim::PICK_TASK, claim::PICK_AFFINE] {
        assert!(!plan(&sql, query).contains("TEMP B-TREE"), "{query}");
    }
}

/// The string literals of a source file, escapes resolved as far as SQL uses them.
fn literals(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n").replace("\\\"", "\u{1}");
    let parts = code.split('"').skip(1).step_by(2);
    parts.map(|part| part.replace('\u{1}', "\"")).collect()
}

/// Tables whose rows grow with the work that is done, by name and by the aliases that queries give them.
const GROWING: [&str; 17] = [
    "run",
    "r",
    "run_io",
    "task",
    "t",
    "p",
    "c",
    "task_io",
    "task_dep",
    "d",
    "attempt",
    "event",
    "artifact",
    "task_artifact",
    "take",
    "k",
    "take_artifact",
];

/// What looks at everything because that is its purpose: the doctor, and who counts.
const WHOLE_TABLES: [&str; 3] = ["check.rs", "repair.rs", "stats.rs"];

/// Partial indexes that hold no more than what runs at the moment; read as a whole, they are short.
const SHORT_INDEXES: [&str; 1] = ["task_worker"];

fn assert_none_scans_what_grows(sql: &Connection, place: &str, statement: &str) {
    let plan = plan(sql, statement);
    for line in plan.lines() {
        let mut words = line.split(' ');
        let (how, table) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_of_interest = matches!(how, "SCAN" | "SEARCH") && GROWING.contains(&table);
        let by_a_key = how == "SEARCH" && (line.contains(" INDEX ") || line.contains(" PRIMARY KEY "));
        let is_short = SHORT_INDEXES.iter().any(|index| line.ends_with(&format!(" USING INDEX {index}")));
        assert!(!is_of_interest || by_a_key || is_short, "{place}: {statement}\n{line} of\n{plan}");
    }
}

/// The statements in triggers, which no plan of what sets them off tells of; a row's old and new values become parameters.
#[test]
fn no_trigger_looks_at_more_than_a_pool() {
    let folder = tempfile::tempdir().unwrap();
    let sql = database(&folder);
    let mut triggers = sql.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").unwrap();
    let triggers = triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let mut statements = 0;
    for (name, text) in triggers.map(|row: rusqlite::Result<(String, String)>| row.unwrap()) {
        let (_, body) = text.split_once(" BEGIN").unwrap();
        let body = body.trim().strip_suffix("END").unwrap().replace("new.", ":new_").replace("old.", ":old_");
        for statement in body.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            assert_none_scans_what_grows(&sql, &name, statement);
            let plan = plan(&sql, statement);
            for line in plan.lines() {
                let of_lanes =
                    ["SCAN lane", "SCAN other", "SEARCH lane", "SEARCH other"].iter().any(|of| line.starts_with(of));
                assert!(!of_lanes || line.contains(" USING PRIMARY KEY (pool=?"), "{name}: {line} of\n{plan}");
            }
            assert!(
                !plan.contains(" task ") || plan.contains("USING COVERING INDEX task_running (pool=? AND tenant_id=?)"),
                "{plan}"
            );
            statements += 1;
        }
    }
    assert_eq!(statements, 4);
}

#[test]
fn every_statement_prepares_and_none_scans_what_grows() {
    let folder = tempfile::tempdir().unwrap();
    let sql = database(&folder);
    // An inserted parent is searched for waiting children only while a constraint stands violated, but the plan
    // names that search always; what deletes rows, and so truly searches, is all in the clean-up.
    sql.pragma_update(None, "foreign_keys", false).unwrap();
    let mut prepared = 0;
    for (file, source) in [
        ("cancel.rs", include_str!("cancel.rs")),
        ("backup.rs", include_str!("backup.rs")),
        ("check.rs", include_str!("check.rs")),
        ("claim.rs", include_str!("claim.rs")),
        ("explain.rs", include_str!("explain.rs")),
        ("finish.rs", include_str!("finish.rs")),
        ("ledger.rs", include_str!("ledger.rs")),
        ("pause.rs", include_str!("pause.rs")),
        ("prune.rs", include_str!("prune.rs")),
        ("read_runs.rs", include_str!("read_runs.rs")),
        ("read_tasks.rs", include_str!("read_tasks.rs")),
        ("recover.rs", include_str!("recover.rs")),
        ("repair.rs", include_str!("repair.rs")),
        ("retry.rs", include_str!("retry.rs")),
        ("share.rs", include_str!("share.rs")),
        ("sqlite.rs", include_str!("../sqlite.rs")),
        ("stats.rs", include_str!("stats.rs")),
        ("submit.rs", include_str!("submit.rs")),
        ("takes.rs", include_str!("takes.rs")),
    ] {
        let mut head = String::new();
        for literal in literals(source) {
            let statement = match literal.split_whitespace().next() {
                Some("SELECT") if literal.ends_with(' ') => {
                    head = literal;
                    continue;
                }
                Some("WHERE") => format!("{head}{literal}"),
                Some("SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH") => literal,
                _ => continue,
            };
            if let Err(error) = sql.prepare(&statement) {
                panic!("{error}\n{statement}");
            }
            // Which runs are due is asked of all runs, beside the thread that writes.
            if !WHOLE_TABLES.contains(&file) && statement != prune::DUE {
                assert_none_scans_what_grows(&sql, file, &statement);
            }
            prepared += 1;
        }
    }
    assert!(prepared > 90, "only {prepared} statements were found");
    assert_eq!(check::check(&sql).unwrap(), []);
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open_for_submit(path, Arc::new(SystemClock)).unwrap()
}

fn run(bytes: usize) -> NewRun {
    NewRun::new("studio", "alps", json!("x".repeat(bytes))).task(NewTask::new("a", "k", "gpu", json!(null)))
}

fn pragma(store: &SqliteStore, statement: &'static str) {
    store
        .writer
        .call(Effect::SignOfLife, move |tx| {
            let mut prepared = tx.sql.prepare(statement)?;
            let mut rows = prepared.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })
        .unwrap();
}

/// Breaks every rule that can be broken behind the schema's back, and has all of it mended.
#[test]
fn what_is_broken_is_found_and_what_can_be_derived_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("queue.db"));
    for _ in 0..2 {
        let two = run(1).task(NewTask::new("b", "k", "gpu", json!(null)).after("a"));
        store.submit(two).unwrap();
    }
    store.pause_run(crate::RunId(2)).unwrap();
    let break_it = |statements: &'static str| {
        store.writer.call(Effect::State, move |tx| Ok(tx.sql.execute_batch(statements)?)).unwrap();
    };
    for (rule, statements) in [
        ("pending_deps", "UPDATE task SET pending_deps = 7 WHERE id = 2"),
        ("lane_counters", "UPDATE lane SET ready = ready + 3"),
        ("run_counters", "UPDATE run SET open_tasks = 9 WHERE id = 1"),
        ("event_gap", "UPDATE run SET next_seq = 50 WHERE id = 1"),
        ("paused_run", "UPDATE run SET paused_at = NULL WHERE id = 2"),
        (
            "open_attempt",
            "INSERT INTO worker(incarnation, host, capacity, started_at, seen_at) VALUES('w', 'h', '{}', 1, 1);
             INSERT INTO attempt(task_id, token, worker_id, started_at) VALUES(1, 7, 1, 1)",
        ),
        ("run_state", "UPDATE task SET state = 'skipped', finished_at = 5, pending_deps = 0 WHERE run_id = 1"),
    ] {
        break_it(statements);
        let found: Vec<_> = store.check().unwrap().iter().map(|f| f.rule).collect();
        assert!(found.contains(&rule) || rule == "run_state" && !found.is_empty(), "{rule}: {found:?}");
        let dry = store.repair(Trial::Dry).unwrap();
        assert!(!store.check().unwrap().is_empty(), "{rule}: a trial changes nothing");
        assert_eq!(store.repair(Trial::Real).unwrap(), dry, "{rule}");
        assert_eq!(store.check().unwrap(), [], "{rule}");
    }
    // What nothing else tells of is left for somebody to look at.
    break_it("UPDATE attempt SET outcome = 'succeeded' WHERE token = 7");
    let found = store.check().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].rule, &*found[0].detail), ("succeeded_once", "task 1 is skipped and succeeded 1 times"));
    assert_eq!(store.repair(Trial::Real).unwrap(), []);
    assert!(repair::REPAIRS.iter().all(|(rule, _)| check::RULES.iter().any(|(known, _)| known == rule)));
}

/// A child whose parent failed behind its back is skipped like every other, and does not run without what it needs; one
/// that runs in spite of failed parents does.
#[test]
fn a_repair_skips_what_needs_a_result_that_will_not_come() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("queue.db"));
    let task = |name: &str| NewTask::new(name, "k", "gpu", json!(null));
    let cleanup = NewTask { on_dep_failure: OnDepFailure::Run, ..task("cleanup").after("b") };
    let chain = run(1).task(task("b").after("a")).task(task("c").after("b")).task(cleanup);
    let run = store.submit(chain).unwrap().run;
    let break_it = "UPDATE task SET state = 'failed', finished_at = 5 WHERE name = 'a'";
    store.writer.call(Effect::State, move |tx| Ok(tx.sql.execute_batch(break_it)?)).unwrap();
    assert!(store.check().unwrap().iter().any(|finding| finding.rule == "no_hope"));
    store.repair(Trial::Real).unwrap();
    assert_eq!(store.check().unwrap(), []);
    let states: Vec<TaskState> = store.tasks(run).unwrap().iter().map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Failed, TaskState::Skipped, TaskState::Skipped, TaskState::Ready]);

    let end_it = "UPDATE task SET state = 'cancelled', finished_at = 6 WHERE name = 'cleanup'";
    store.writer.call(Effect::State, move |tx| Ok(tx.sql.execute_batch(end_it)?)).unwrap();
    store.repair(Trial::Real).unwrap();
    assert_eq!(store.run(&run.into()).unwrap().state, RunState::Failed);
    let ends = store.events(run, Seq(0), 100).unwrap().into_iter().filter(|e| e.kind == EventKind::RunFailed).count();
    assert_eq!(ends, 1, "who follows the run is told of its end");
}

#[test]
fn a_backup_is_a_whole_database_and_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("queue.db"));
    store.submit(run(100)).unwrap();
    let to = folder.path().join("copy.db");
    store.backup(&to).unwrap();
    let copy = SqliteStore::open_for_read(&to).unwrap();
    assert_eq!(copy.runs(&RunFilter::default(), 10).unwrap().len(), 1);
    assert_eq!(copy.check().unwrap(), []);
    let again = store.backup(&to).unwrap_err();
    assert!(again.to_string().contains("copy.db") && again.to_string().contains("there already"), "{again}");
    let nowhere = store.backup(&folder.path().join("no/such/copy.db")).unwrap_err();
    assert!(nowhere.to_string().contains("copy"), "{nowhere}");
    assert_eq!(
        std::fs::read_dir(folder.path())
            .unwrap()
            .filter(|f| { f.as_ref().unwrap().file_name().to_string_lossy().contains("partial") })
            .count(),
        0
    );
}

#[test]
fn a_trial_waits_for_nobody_and_nobody_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    open(&path).submit(run(10)).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("UPDATE lane SET ready = 5; BEGIN IMMEDIATE").unwrap();
    let store = SqliteStore::open_for_read(&path).unwrap();
    assert_eq!(store.repair(Trial::Dry).unwrap(), [Repair { rule: "lane_counters", rows: 1 }]);
    let policy = PrunePolicy { finished_before: TimestampMs(i64::MAX), keep: 0, states: Vec::new(), tenant: None };
    assert_eq!(store.prune(&policy, Trial::Dry).unwrap(), Pruned::default());
    assert_eq!(store.prune(&policy, Trial::Real).unwrap_err().code(), "queue_wrong_mode");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("queue.db"));
    store.submit(run(10)).unwrap();
    pragma(&store, "PRAGMA max_page_count = 60");
    let full = store.submit(run(1_000_000)).unwrap_err();
    assert!(matches!(full, QueueError::DiskFull(_)), "{full:?}");
    assert!(full.is_retryable());
    store.submit(run(10)).unwrap();
    pragma(&store, "PRAGMA max_page_count = 100000");
    store.submit(run(1_000_000)).unwrap();
    assert_eq!(store.runs(&RunFilter::default(), 10).unwrap().len(), 3);
    assert_eq!(store.check().unwrap(), []);
}

#[test]
fn a_file_system_that_turns_read_only_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let sql = database(&folder);
    sql.execute_batch("PRAGMA query_only = ON").unwrap();
    let clock = Arc::new(SystemClock);
    let writer = Writer::start(sql, Arc::new(path.clone()), clock, 0).unwrap();
    let refused = writer.call(Effect::State, |tx| submit::tenant(tx, "studio")).unwrap_err();
    assert!(matches!(&refused, QueueError::ReadOnly(at) if *at == path), "{refused:?}");
}

#[test]
fn a_writer_that_waits_too_long_for_another_is_told_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let store = open(&path);
    pragma(&store, "PRAGMA busy_timeout = 1");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = store.submit(run(10)).unwrap_err();
    assert!(matches!(busy, QueueError::Busy { .. }) && busy.is_retryable(), "{busy:?}");
    other.execute_batch("ROLLBACK").unwrap();
    store.submit(run(10)).unwrap();
}

#[test]
fn heartbeats_do_not_wait_for_the_disk_and_changes_of_state_do() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("queue.db"));
    let level = |effect| {
        store
            .writer
            .call(effect, |tx| Ok(tx.sql.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?))
            .unwrap()
    };
    let (full, normal) = (2, 1);
    assert_eq!(level(Effect::State), full);
    assert_eq!(level(Effect::SignOfLife), normal);
    assert_eq!(level(Effect::State), full);
}
