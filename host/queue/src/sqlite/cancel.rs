//! Stopping runs and tasks.

use rusqlite::params;
use serde_json::Value;

use super::columns::{change, task_ids};
use super::fault::Outcome;
use super::ledger::{add_open, end_without_result, event, find_run, signed, task_place};
use super::writer::Tx;
use crate::completion::Cancelled;
use crate::ids::{RunId, TaskId};
use crate::state::{EventKind, RunState, TaskState};

pub(super) fn cancel_run(tx: &Tx<'_>, run: RunId) -> Outcome<Cancelled> {
    let found = find_run(tx, run)?;
    if found.state != RunState::Active {
        return Ok(nothing(run, found.state));
    }
    if !found.cancelling {
        change(tx.sql, "UPDATE run SET cancel_at = ?2 WHERE id = ?1", params![run, tx.now])?;
        event(tx, run, None, EventKind::RunCancelling, &Value::Null)?;
    }
    let stopped = task_ids(
        tx.sql,
        "UPDATE task SET state = 'cancelled', finished_at = ?2, cancel_at = ?2
          WHERE run_id = ?1 AND state IN ('blocked', 'scheduled', 'paused', 'ready') RETURNING id",
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
    let run_state = super::ledger::settle(tx, run)?;
    Ok(Cancelled { run, run_state, stopped, stopping, skipped: Vec::new() })
}

/// One task; what needs its result is skipped, as if it had failed. A running one is asked to stop, and ends the same way.
pub(super) fn cancel_task(tx: &Tx<'_>, task: TaskId) -> Outcome<Cancelled> {
    let place = task_place(tx, task)?;
    let run = place.run;
    if place.state.is_final() {
        return Ok(nothing(run, find_run(tx, run)?.state));
    }
    let asked =
        change(tx.sql, "UPDATE task SET cancel_at = ?2 WHERE id = ?1 AND cancel_at IS NULL", params![task, tx.now])?;
    if place.state == TaskState::Running {
        if asked > 0 {
            event(tx, run, Some(task), EventKind::TaskCancelling, &Value::Null)?;
        }
        let stopping = vec![task];
        return Ok(Cancelled { stopping, ..nothing(run, RunState::Active) });
    }
    change(tx.sql, "UPDATE task SET state = 'cancelled', finished_at = ?2 WHERE id = ?1", params![task, tx.now])?;
    event(tx, run, Some(task), EventKind::TaskCancelled, &Value::Null)?;
    add_open(tx, run, -1)?;
    let ended = end_without_result(tx, run, task, &place.name, "was cancelled")?;
    Ok(Cancelled { run, run_state: ended.run_state, stopped: vec![task], stopping: Vec::new(), skipped: ended.skipped })
}

fn nothing(run: RunId, run_state: RunState) -> Cancelled {
    Cancelled { run, run_state, stopped: Vec::new(), stopping: Vec::new(), skipped: Vec::new() }
}
