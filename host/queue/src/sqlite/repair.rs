//! Bringing counters and states in order with what they count. Edges, attempts and events are the truth; what can be
//! derived from them is derived anew. What cannot (a damaged file, a reference to nothing) is left to a backup.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, params};
use serde_json::json;

use super::columns::{all, change, first, task_ids};
use super::connection;
use super::fault::Outcome;
use super::ledger::{event, settle};
use super::writer::Tx;
use crate::control::Repair;
use crate::error::{QueueError, Result};
use crate::ids::{RunId, TimestampMs};
use crate::limits::BUSY_TIMEOUT;
use crate::state::EventKind;

/// How a broken rule is mended.
pub(super) enum Mend {
    /// By a statement that changes only rows that are wrong.
    Statement(&'static str),
    /// By what also does it where nothing is broken; how many rows were wrong.
    Steps(fn(&Tx<'_>) -> Outcome<usize>),
}
use Mend::{Statement, Steps};

/// Which rule each mends, in the order in which they build on one another.
pub(super) const REPAIRS: &[(&str, Mend)] = &[
    // First, as what follows may have something to tell.
    (
        "event_gap",
        Statement(
            "UPDATE run SET next_seq = (SELECT coalesce(max(seq), 0) + 1 FROM event WHERE run_id = run.id)
              WHERE next_seq <> (SELECT coalesce(max(seq), 0) + 1 FROM event WHERE run_id = run.id)",
        ),
    ),
    // Before any state changes: from then on triggers keep them right, and refuse to count below nothing.
    (
        "lane_counters",
        Statement("INSERT INTO lane(pool, tenant_id)
         SELECT DISTINCT pool, tenant_id FROM task WHERE state IN ('ready', 'running')
         ON CONFLICT DO NOTHING"),
    ),
    (
        "lane_counters",
        Statement("UPDATE lane SET
            ready = (SELECT count(*) FROM task WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'ready'),
            running = (SELECT count(*) FROM task WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'running')
          WHERE ready <> (SELECT count(*) FROM task WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'ready')
             OR running <> (SELECT count(*) FROM task
                             WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'running')"),
    ),
    (
        "open_attempt",
        Statement("UPDATE attempt SET ended_at = started_at, outcome = 'lost', error = 'closed by a repair'
          WHERE ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM task t WHERE t.id = attempt.task_id
                                                   AND t.state = 'running' AND t.lease_token = attempt.token)"),
    ),
    // Before what waits is counted: what is skipped here is waited for no more.
    ("no_hope", Steps(skip_hopeless)),
    (
        "pending_deps",
        Statement("UPDATE task SET pending_deps = (SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
                                          WHERE d.child_id = task.id AND p.finished_at IS NULL)
          WHERE state = 'blocked'
            AND pending_deps <> (SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
                                  WHERE d.child_id = task.id AND p.finished_at IS NULL)"),
    ),
    (
        "pending_deps",
        // A start that was asked for may not have come; if it has, the next claim finds it.
        Statement("UPDATE task SET ready_at = max(ready_at, coalesce(not_before, ready_at)),
            state = CASE WHEN not_before IS NULL THEN 'ready' ELSE 'scheduled' END
          WHERE state = 'blocked' AND pending_deps = 0"),
    ),
    (
        "paused_run",
        Statement("UPDATE task SET state = 'paused' WHERE state IN ('ready', 'scheduled')
            AND run_id IN (SELECT id FROM run WHERE paused_at IS NOT NULL)"),
    ),
    (
        "paused_run",
        // Its time may not have come; if it has, the next claim finds it.
        Statement("UPDATE task SET state = 'scheduled' WHERE state = 'paused'
            AND run_id IN (SELECT id FROM run WHERE paused_at IS NULL)"),
    ),
    (
        "run_counters",
        Statement("UPDATE run SET
            open_tasks = (SELECT count(*) FROM task WHERE run_id = run.id AND finished_at IS NULL),
            failed_tasks = (SELECT count(*) FROM task WHERE run_id = run.id AND state = 'failed'),
            state = CASE WHEN EXISTS (SELECT 1 FROM task WHERE run_id = run.id AND finished_at IS NULL)
                         THEN 'active' ELSE state END,
            finished_at = CASE WHEN EXISTS (SELECT 1 FROM task WHERE run_id = run.id AND finished_at IS NULL)
                               THEN NULL ELSE finished_at END
          WHERE open_tasks <> (SELECT count(*) FROM task WHERE run_id = run.id AND finished_at IS NULL)
             OR failed_tasks <> (SELECT count(*) FROM task WHERE run_id = run.id AND state = 'failed')"),
    ),
    ("run_state", Steps(end_runs)),
];

/// What a repair would do: done to a copy in memory of one moment, so that nobody waits meanwhile.
pub(super) fn rehearse(path: &Path, now: TimestampMs) -> Result<Vec<Repair>> {
    let rehearsed = || -> Outcome<Vec<Repair>> {
        let original = connection::open_reader(path)?;
        let mut copy = Connection::open_in_memory()?;
        const ALL_PAGES: i32 = -1;
        if Backup::new(&original, &mut copy)?.step(ALL_PAGES)? != StepResult::Done {
            let (path, waited_ms) = (path.to_owned(), BUSY_TIMEOUT.as_millis());
            return Err(QueueError::Busy { path, waited_ms }.into());
        }
        repair(&Tx { sql: &copy, now, epoch: 0 })
    };
    rehearsed().map_err(|fault| fault.at(path))
}

/// Mends what can be mended; how many rows of each rule.
pub(super) fn repair(tx: &Tx<'_>) -> Outcome<Vec<Repair>> {
    let mut repairs: Vec<Repair> = Vec::new();
    for (rule, mend) in REPAIRS {
        let rows = match mend {
            Statement(statement) => change(tx.sql, statement, [])?,
            Steps(steps) => steps(tx)?,
        };
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        match repairs.iter_mut().find(|r| r.rule == *rule) {
            _ if rows == 0 => {}
            Some(repair) => repair.rows = repair.rows.saturating_add(rows),
            None => repairs.push(Repair { rule, rows }),
        }
    }
    Ok(repairs)
}

/// Skips what has not started and needs a result that will not come, all the way down: as the end of the parent would have.
fn skip_hopeless(tx: &Tx<'_>) -> Outcome<usize> {
    let mut skipped = 0;
    // A child is younger than its parents, so one pass in the order of their numbers goes all the way down.
    let waiting = task_ids(
        tx.sql,
        "SELECT id FROM task WHERE state IN ('blocked', 'scheduled', 'paused', 'ready') AND on_dep_failure = 'skip'",
        [],
    )?;
    for task in waiting {
        let parent = first(
            tx.sql,
            "SELECT c.run_id, p.name, p.state FROM task c JOIN task_dep d ON d.child_id = c.id
               JOIN task p ON p.id = d.parent_id
              WHERE c.id = ?1 AND p.state IN ('failed', 'cancelled', 'skipped') ORDER BY p.id LIMIT 1",
            [task],
            |row| Ok((row.get::<_, RunId>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
        )?;
        let Some((run, name, state)) = parent else { continue };
        change(
            tx.sql,
            "UPDATE task SET state = 'skipped', finished_at = ?2, pending_deps = 0, error = ?3 WHERE id = ?1",
            params![task, tx.now, format!("skipped, because {name} was {state}")],
        )?;
        event(tx, run, Some(task), EventKind::TaskSkipped, &json!({"because": name}))?;
        skipped += 1;
    }
    Ok(skipped)
}

/// Ends what has no open task, and tells of it.
fn end_runs(tx: &Tx<'_>) -> Outcome<usize> {
    let runs = all(tx.sql, "SELECT id FROM run WHERE state = 'active' AND open_tasks = 0", [], |row| Ok(row.get(0)?))?;
    for run in &runs {
        settle(tx, *run)?;
    }
    Ok(runs.len())
}
