//! Stopping runs, and setting them going again.

use rusqlite::params;
use serde_json::{Value, json};

use super::columns::{change, first, place, task_ids, word};
use super::fault::Outcome;
use super::ledger::{add_open, event, settle, signed};
use super::writer::Tx;
use crate::completion::{Cancelled, Revived};
use crate::error::QueueError;
use crate::ids::RunId;
use crate::state::{EventKind, RunState};

struct Found {
    state: RunState,
    cancelling: bool,
}

fn find(tx: &Tx<'_>, run: RunId) -> Outcome<Found> {
    first(tx.sql, "SELECT state, cancel_at IS NOT NULL FROM run WHERE id = ?1", [run], |row| {
        let state: String = row.get(0)?;
        Ok(Found { state: word(&state, place("run", "state", run.0))?, cancelling: row.get(1)? })
    })?
    .ok_or_else(|| QueueError::UnknownRun(run.to_string()).into())
}

pub(super) fn cancel_run(tx: &Tx<'_>, run: RunId) -> Outcome<Cancelled> {
    let found = find(tx, run)?;
    if found.state != RunState::Active {
        return Ok(Cancelled { run, run_state: found.state, stopped: Vec::new(), stopping: Vec::new() });
    }
    if !found.cancelling {
        change(tx.sql, "UPDATE run SET cancel_at = ?2 WHERE id = ?1", params![run, tx.now])?;
        event(tx, run, None, EventKind::RunCancelling, &Value::Null)?;
    }
    let stopped = task_ids(
        tx.sql,
        "UPDATE task SET state = 'cancelled', finished_at = ?2, cancel_at = ?2
          WHERE run_id = ?1 AND state IN ('blocked', 'scheduled', 'ready') RETURNING id",
        params![run, tx.now],
    )?;
    for task in &stopped {
        event(tx, run, Some(*task), EventKind::TaskCancelled, &Value::Null)?;
    }
    add_open(tx, run, -signed(stopped.len()))?;
    let stopping = task_ids(
        tx.sql,
        "UPDATE task SET cancel_at = coalesce(cancel_at, ?2)
          WHERE run_id = ?1 AND state = 'running' RETURNING id",
        params![run, tx.now],
    )?;
    Ok(Cancelled { run, run_state: settle(tx, run)?, stopped, stopping })
}

pub(super) fn retry_run(tx: &Tx<'_>, run: RunId) -> Outcome<Revived> {
    let found = find(tx, run)?;
    if found.state == RunState::Active && found.cancelling {
        let running =
            first(tx.sql, "SELECT count(*) FROM task WHERE run_id = ?1 AND state = 'running'", [run], |row| {
                Ok(row.get(0)?)
            })?;
        let running = running.unwrap_or(0);
        return Err(QueueError::StillStopping { run, running }.into());
    }
    let tasks = task_ids(
        tx.sql,
        "UPDATE task SET state = 'blocked', finished_at = NULL, cancel_at = NULL, error = NULL,
                failures = 0, lost = 0, progress = NULL
          WHERE run_id = ?1 AND state IN ('failed', 'cancelled', 'skipped') RETURNING id",
        [run],
    )?;
    if tasks.is_empty() {
        return Ok(Revived { run, run_state: found.state, tasks });
    }
    // A task that runs in spite of failed parents may stand in line already; it waits for them now.
    change(
        tx.sql,
        "UPDATE task SET state = 'blocked'
          WHERE run_id = ?1 AND state IN ('ready', 'scheduled')
            AND EXISTS (SELECT 1 FROM task_dep d JOIN task p ON p.id = d.parent_id
                         WHERE d.child_id = task.id AND p.finished_at IS NULL)",
        [run],
    )?;
    // Only now, as parents may have been opened again together with their children.
    change(
        tx.sql,
        "UPDATE task SET pending_deps =
                (SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
                  WHERE d.child_id = task.id AND p.finished_at IS NULL)
          WHERE run_id = ?1 AND state = 'blocked'",
        [run],
    )?;
    change(
        tx.sql,
        "UPDATE task SET state = 'ready', ready_at = ?2
          WHERE run_id = ?1 AND state = 'blocked' AND pending_deps = 0",
        params![run, tx.now],
    )?;
    change(
        tx.sql,
        "UPDATE run SET state = 'active', finished_at = NULL, cancel_at = NULL, error = NULL,
                failed_tasks = 0 WHERE id = ?1",
        [run],
    )?;
    add_open(tx, run, signed(tasks.len()))?;
    event(tx, run, None, EventKind::RunRevived, &json!({"tasks": tasks.len()}))?;
    Ok(Revived { run, run_state: RunState::Active, tasks })
}
