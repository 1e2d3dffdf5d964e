//! Holding work back: a run, or a whole pool. What runs already goes on.

use rusqlite::params;
use serde_json::{Value, json};

use super::columns::{change, task_ids};
use super::fault::Outcome;
use super::ledger::{event, find_run};
use super::writer::Tx;
use crate::control::Paused;
use crate::ids::RunId;
use crate::state::{EventKind, RunState};

pub(super) fn pause_run(tx: &Tx<'_>, run: RunId) -> Outcome<Paused> {
    let found = find_run(tx, run)?;
    if found.state != RunState::Active || found.paused {
        return Ok(Paused { run, run_state: found.state, changed: false, tasks: Vec::new() });
    }
    change(tx.sql, "UPDATE run SET paused_at = ?2 WHERE id = ?1", params![run, tx.now])?;
    let tasks = task_ids(
        tx.sql,
        "UPDATE task SET state = 'paused' WHERE run_id = ?1 AND state IN ('ready', 'scheduled') RETURNING id",
        [run],
    )?;
    event(tx, run, None, EventKind::RunPaused, &json!({"tasks": tasks.len()}))?;
    Ok(Paused { run, run_state: found.state, changed: true, tasks })
}

pub(super) fn resume_run(tx: &Tx<'_>, run: RunId) -> Outcome<Paused> {
    let found = find_run(tx, run)?;
    if !found.paused {
        return Ok(Paused { run, run_state: found.state, changed: false, tasks: Vec::new() });
    }
    change(tx.sql, "UPDATE run SET paused_at = NULL WHERE id = ?1", [run])?;
    // Who waited for a time still does.
    let tasks = task_ids(
        tx.sql,
        "UPDATE task SET state = CASE WHEN ready_at > ?2 THEN 'scheduled' ELSE 'ready' END
          WHERE run_id = ?1 AND state = 'paused' RETURNING id",
        params![run, tx.now],
    )?;
    event(tx, run, None, EventKind::RunResumed, &Value::Null)?;
    Ok(Paused { run, run_state: found.state, changed: true, tasks })
}

pub(super) fn set_pool_paused(tx: &Tx<'_>, pool: &str, paused: bool) -> Outcome<()> {
    change(
        tx.sql,
        "INSERT INTO pool(name, paused) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET paused = excluded.paused",
        params![pool, paused],
    )?;
    Ok(())
}
