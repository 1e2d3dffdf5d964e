//! Reading tasks, and all that belongs to one.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::columns::{all, first, json, optional_json, place, task_ids, word};
use super::fault::Outcome;
use super::read_runs;
use crate::error::QueueError;
use crate::ids::{RunId, TaskId};
use crate::submission::SlotArtifact;
use crate::view::{AttemptView, TaskDetail, TaskView};

macro_rules! select_task {
    ($rest:literal) => {
        concat!(
            "SELECT id, run_id, name, kind, pool, state, priority, ready_at, pending_deps,
                    on_dep_failure, failures, max_attempts, lost, lease_token, worker_id,
                    lease_until, cancel_at, progress, error, created_at, started_at, finished_at,
                    deadline_ms, carry FROM task ",
            $rest
        )
    };
}

pub(super) fn tasks(sql: &Connection, run: RunId) -> Outcome<Vec<TaskView>> {
    read_runs::require(sql, run)?;
    all(sql, select_task!("WHERE run_id = ?1 ORDER BY id"), [run], task_view)
}

pub(super) fn edges(sql: &Connection, run: RunId) -> Outcome<Vec<(TaskId, TaskId)>> {
    read_runs::require(sql, run)?;
    all(
        sql,
        "SELECT d.parent_id, d.child_id FROM task t CROSS JOIN task_dep d ON d.child_id = t.id
          WHERE t.run_id = ?1 ORDER BY d.child_id, d.parent_id",
        [run],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

pub(super) fn view(sql: &Connection, task: TaskId) -> Outcome<TaskView> {
    first(sql, select_task!("WHERE id = ?1"), [task], task_view)?.ok_or_else(|| QueueError::UnknownTask(task).into())
}

pub(super) fn task(sql: &Connection, task: TaskId) -> Outcome<TaskDetail> {
    let view = view(sql, task)?;
    let (input, output) = first(sql, "SELECT input, output FROM task_io WHERE task_id = ?1", [task], |row| {
        let input: String = row.get(0)?;
        Ok((
            json(&input, place("task_io", "input", task.0))?,
            optional_json(row.get(1)?, place("task_io", "output", task.0))?,
        ))
    })?
    .ok_or(QueueError::UnknownTask(task))?;
    Ok(TaskDetail {
        task: view,
        input,
        output,
        parents: task_ids(sql, "SELECT parent_id FROM task_dep WHERE child_id = ?1", [task])?,
        children: task_ids(sql, "SELECT child_id FROM task_dep WHERE parent_id = ?1", [task])?,
        uses: artifacts(sql, task, "uses")?,
        made: artifacts(sql, task, "made")?,
        attempts: attempts(sql, task)?,
    })
}

/// The files that a task uses or made, by slot.
pub(super) fn artifacts(sql: &Connection, task: TaskId, role: &str) -> Outcome<Vec<SlotArtifact>> {
    all(
        sql,
        "SELECT t.slot, a.hash, a.bytes, a.media FROM task_artifact t
           JOIN artifact a ON a.tenant_id = t.tenant_id AND a.hash = t.hash
          WHERE t.task_id = ?1 AND t.role = ?2 ORDER BY t.slot",
        params![task, role],
        slot_artifact,
    )
}

/// A file in a slot, from its slot, hash, bytes and media.
pub(super) fn slot_artifact(row: &Row<'_>) -> Outcome<SlotArtifact> {
    let bytes = row.get::<_, i64>(2)?.unsigned_abs();
    Ok(SlotArtifact { slot: row.get(0)?, hash: row.get(1)?, bytes, media: row.get(3)? })
}

fn attempts(sql: &Connection, task: TaskId) -> Outcome<Vec<AttemptView>> {
    all(
        sql,
        "SELECT token, worker_id, started_at, ended_at, outcome, error FROM attempt
          WHERE task_id = ?1 ORDER BY token",
        [task],
        |row| {
            let outcome: Option<String> = row.get(4)?;
            Ok(AttemptView {
                token: row.get(0)?,
                worker: row.get(1)?,
                started_at: row.get(2)?,
                ended_at: row.get(3)?,
                outcome: outcome.map(|text| word(&text, place("attempt", "outcome", task.0))).transpose()?,
                error: row.get(5)?,
            })
        },
    )
}

fn task_view(row: &Row<'_>) -> Outcome<TaskView> {
    let id: TaskId = row.get(0)?;
    let state: String = row.get(5)?;
    let on_dep_failure: String = row.get(9)?;
    Ok(TaskView {
        id,
        run: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        pool: row.get(4)?,
        state: word(&state, place("task", "state", id.0))?,
        priority: row.get(6)?,
        ready_at: row.get(7)?,
        pending_deps: row.get(8)?,
        on_dep_failure: word(&on_dep_failure, place("task", "on_dep_failure", id.0))?,
        failures: row.get(10)?,
        max_attempts: row.get(11)?,
        lost: row.get(12)?,
        token: row.get(13)?,
        worker: row.get(14)?,
        lease_until: row.get(15)?,
        cancel_at: row.get(16)?,
        progress: optional_json(row.get(17)?, place("task", "progress", id.0))?,
        error: row.get(18)?,
        carry: optional_json(row.get(23)?, place("task", "carry", id.0))?,
        created_at: row.get(19)?,
        started_at: row.get(20)?,
        finished_at: row.get(21)?,
        deadline: row.get::<_, Option<i64>>(22)?.map(|ms| Duration::from_millis(ms.unsigned_abs())),
    })
}
