//! Setting things going again: a whole run, one task and what was skipped for its sake, or a task that is to have another
//! result and all that depends on it.

use std::collections::BTreeSet;

use rusqlite::params;
use serde_json::json;

use super::columns::{all, change, first, task_ids, word};
use super::fault::Outcome;
use super::ledger::{FoundRun, add_open, event, find_run, settle, signed, task_place};
use super::parcel;
use super::submit::{add_artifacts, refuse_beyond_quota};
use super::takes;
use super::writer::Tx;
use crate::completion::Revived;
use crate::error::{QueueError, Result};
use crate::ids::{LeaseToken, RunId, TaskId};
use crate::state::{EventKind, RunState, TaskState};
use crate::take::Redo;

pub(super) fn retry_run(tx: &Tx<'_>, run: RunId) -> Outcome<Revived> {
    let found = find_run(tx, run)?;
    refuse_closed(tx, run, &found)?;
    let tasks = task_ids(
        tx.sql,
        "SELECT id FROM task WHERE run_id = ?1 AND state IN ('failed', 'cancelled', 'skipped')",
        [run],
    )?;
    if tasks.is_empty() {
        return Ok(Revived { run, run_state: found.state, tasks });
    }
    // A run that somebody paused stays so: what is opened again waits with the rest.
    change(tx.sql, "UPDATE run SET cancel_at = NULL WHERE id = ?1", [run])?;
    revive(tx, run, &tasks)?;
    Ok(Revived { run, run_state: RunState::Active, tasks })
}

/// A task that was given up, cancelled or skipped, and all that was skipped below it and has no other parent that is
/// over without a result.
pub(super) fn retry_task(tx: &Tx<'_>, task: TaskId) -> Outcome<Revived> {
    let place = task_place(tx, task)?;
    let found = find_run(tx, place.run)?;
    if !place.state.is_final() || place.state.has_result() {
        return Err(QueueError::NotOver { task, state: place.state }.into());
    }
    refuse_closed(tx, place.run, &found)?;
    if let Some(parent) = given_up_parent(tx, task)? {
        return Err(QueueError::ParentFirst { task, parent }.into());
    }
    change(tx.sql, "UPDATE run SET cancel_at = NULL WHERE id = ?1", [place.run])?;
    let mut tasks = vec![task];
    // A child is younger than its parents: in the order of their numbers, parents come first.
    let below = task_ids(
        tx.sql,
        "WITH RECURSIVE below(id) AS (
           SELECT child_id FROM task_dep WHERE parent_id = ?1
           UNION SELECT d.child_id FROM below JOIN task_dep d ON d.parent_id = below.id)
         SELECT task.id FROM below CROSS JOIN task ON task.id = below.id WHERE task.state = 'skipped'",
        [task],
    )?;
    for child in below {
        let hopeless = task_ids(tx.sql, HOPELESS, [child])?;
        if hopeless.iter().all(|parent| tasks.contains(parent)) {
            tasks.push(child);
        }
    }
    revive(tx, place.run, &tasks)?;
    Ok(Revived { run: place.run, run_state: RunState::Active, tasks })
}

/// Gives tasks of a run that are over another result, and opens all that is below them; a task that is done again is open
/// itself. What runs below one would not see the change, and is waited for by whoever asks.
pub(super) fn redo(tx: &Tx<'_>, tasks: &[(TaskId, RedoParcel)]) -> Outcome<Revived> {
    let first_task = tasks.first().map_or(TaskId(0), |(task, _)| *task);
    let run = task_place(tx, first_task)?.run;
    let found = find_run(tx, run)?;
    refuse_closed(tx, run, &found)?;
    let mut given = Vec::with_capacity(tasks.len());
    for (task, how) in tasks {
        let place = task_place(tx, *task)?;
        if place.run != run {
            return Err(QueueError::UnknownTask(*task).into());
        }
        if !place.state.is_final() {
            return Err(QueueError::StillOpen { task: *task, state: place.state }.into());
        }
        given.push(*task);
        match how {
            RedoParcel::Anew(input) => {
                if let Some(parent) = given_up_parent(tx, *task)?.filter(|parent| !given.contains(parent)) {
                    return Err(QueueError::ParentFirst { task: *task, parent }.into());
                }
                change(tx.sql, "UPDATE task_io SET input = ?2 WHERE task_id = ?1", params![task, input])?;
            }
            RedoParcel::Choose(token) => choose(tx, *task, *token, place.state)?,
        }
    }
    let below = all(tx.sql, BELOW, [json!(given).to_string()], |row| {
        let (task, state): (TaskId, String) = (row.get(0)?, row.get(1)?);
        Ok((task, word::<TaskState>(&state, super::columns::place("task", "state", task.0))?))
    })?;
    let anew = tasks.iter().filter(|(_, how)| matches!(how, RedoParcel::Anew(_))).map(|(task, _)| *task);
    let mut over: BTreeSet<TaskId> = anew.collect();
    // A child is younger than its parents: in the order of their numbers, parents come first.
    for (task, state) in below {
        match state {
            TaskState::Running => return Err(QueueError::StillOpen { task, state }.into()),
            TaskState::Succeeded => drop(over.insert(task)),
            // What would be skipped again for the sake of another one stays as it is.
            state if state.is_final() => {
                let hopeless = task_ids(tx.sql, HOPELESS, [task])?;
                if hopeless.iter().all(|parent| over.contains(parent)) {
                    over.insert(task);
                }
            }
            _ => {}
        }
    }
    let over: Vec<TaskId> = over.into_iter().collect();
    change(tx.sql, "UPDATE run SET cancel_at = NULL WHERE id = ?1", [run])?;
    if !over.is_empty() || found.state != RunState::Active {
        revive(tx, run, &over)?;
        // Where nothing has to be done again, a result that was chosen may be all that the run needed.
        settle(tx, run)?;
    }
    Ok(Revived { run, run_state: find_run(tx, run)?.state, tasks: over })
}

/// All that depends on some tasks, with its state, in the order of the numbers.
const BELOW: &str = "WITH RECURSIVE below(id) AS (
    SELECT d.child_id FROM json_each(?1) g JOIN task_dep d ON d.parent_id = g.value
    UNION SELECT d.child_id FROM below JOIN task_dep d ON d.parent_id = below.id)
  SELECT task.id, task.state FROM below CROSS JOIN task ON task.id = below.id ORDER BY task.id";

/// Parents without whose result a task is skipped, and that have none.
const HOPELESS: &str = "SELECT p.id FROM task_dep d JOIN task p ON p.id = d.parent_id
  WHERE d.child_id = ?1 AND p.state IN ('failed', 'cancelled', 'skipped')";

/// Makes one of its takes a task's result, whether or not it has another now.
fn choose(tx: &Tx<'_>, task: TaskId, token: LeaseToken, state: TaskState) -> Outcome<()> {
    let take = takes::take(tx.sql, task, token)?;
    change(
        tx.sql,
        "UPDATE task_io SET (input, output) = (SELECT input, output FROM take WHERE task_id = ?1 AND token = ?2)
          WHERE task_id = ?1",
        params![task, token],
    )?;
    let tenant = first(tx.sql, "SELECT tenant_id FROM task WHERE id = ?1", [task], |row| Ok(row.get(0)?))?;
    add_artifacts(tx, tenant.unwrap_or_default(), task, "made", &take.made)?;
    // The success that was taken back when it was done again is its own once more.
    change(
        tx.sql,
        "UPDATE task SET take = ?2, state = 'succeeded', error = NULL, pending_deps = 0,
                redone = redone - (?3 AND redone > 0) WHERE id = ?1",
        params![task, token, !state.has_result()],
    )?;
    Ok(())
}

fn refuse_closed(tx: &Tx<'_>, run: RunId, found: &FoundRun) -> Outcome<()> {
    if found.forgotten {
        return Err(QueueError::Forgotten(run).into());
    }
    if found.state != RunState::Active || !found.cancelling {
        return Ok(());
    }
    let query = "SELECT count(*) FROM task WHERE run_id = ?1 AND state = 'running'";
    let running = first(tx.sql, query, [run], |row| Ok(row.get(0)?))?.unwrap_or(0);
    Err(QueueError::StillStopping { run, running }.into())
}

/// A parent without whose result the task would be skipped again.
fn given_up_parent(tx: &Tx<'_>, task: TaskId) -> Outcome<Option<TaskId>> {
    let query = "SELECT p.id FROM task_dep d JOIN task p ON p.id = d.parent_id JOIN task c ON c.id = d.child_id
      WHERE d.child_id = ?1 AND c.on_dep_failure = 'skip' AND p.state IN ('failed', 'cancelled', 'skipped')
      ORDER BY p.id LIMIT 1";
    first(tx.sql, query, [task], |row| Ok(row.get(0)?))
}

/// How a task is to get another result, as it may be written down.
pub(super) enum RedoParcel {
    Anew(String),
    Choose(LeaseToken),
}

pub(super) fn prepare(tasks: Vec<(TaskId, Redo)>) -> Result<Vec<(TaskId, RedoParcel)>> {
    let parcel = |(task, how)| {
        let how = match how {
            Redo::Anew(input) => RedoParcel::Anew(parcel::payload("a task's input", &input)?),
            Redo::Choose(token) => RedoParcel::Choose(token),
        };
        Ok((task, how))
    };
    tasks.into_iter().map(parcel).collect()
}

/// Opens tasks that are over, with all their attempts and in the way and pool in which they began, and
/// their run. What had not begun waits for the start that was asked for.
fn revive(tx: &Tx<'_>, run: RunId, tasks: &[TaskId]) -> Outcome<()> {
    // One that is over is opened, and counts as a new one does.
    let over =
        "SELECT n.name FROM run r JOIN tenant n ON n.id = r.tenant_id WHERE r.id = ?1 AND r.finished_at IS NOT NULL";
    if let Some(tenant) = first(tx.sql, over, [run], |row| Ok(row.get::<_, String>(0)?))? {
        refuse_beyond_quota(tx.sql, &tenant)?;
    }
    for task in tasks {
        change(
            tx.sql,
            "UPDATE task SET redone = redone + (state = 'succeeded'), state = 'blocked', finished_at = NULL, cancel_at = NULL, error = NULL,
                    failures = 0, lost = 0, progress = NULL, carry = NULL, pool = coalesce(home_pool, pool),
                    affinity = CASE WHEN home_pool IS NULL THEN affinity ELSE home_affinity END,
                    home_pool = NULL, home_affinity = NULL,
                    not_before = CASE WHEN started_at IS NULL THEN not_before END WHERE id = ?1",
            [task],
        )?;
    }
    // A task that runs in spite of failed parents may stand in line already; it waits for them now.
    change(
        tx.sql,
        "UPDATE task SET state = 'blocked'
          WHERE run_id = ?1 AND state IN ('ready', 'scheduled', 'paused')
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
        "UPDATE task SET ready_at = max(?2, coalesce(not_before, ?2)), state = CASE
                WHEN (SELECT paused_at FROM run WHERE id = ?1) IS NOT NULL THEN 'paused'
                WHEN not_before > ?2 THEN 'scheduled' ELSE 'ready' END
          WHERE run_id = ?1 AND state = 'blocked' AND pending_deps = 0",
        params![run, tx.now],
    )?;
    change(
        tx.sql,
        "UPDATE run SET state = 'active', finished_at = NULL,
                failed_tasks = (SELECT count(*) FROM task WHERE run_id = ?1 AND state = 'failed'),
                error = (SELECT name || ': ' || error FROM task WHERE run_id = ?1 AND state = 'failed'
                          ORDER BY finished_at, id LIMIT 1)
          WHERE id = ?1",
        [run],
    )?;
    add_open(tx, run, signed(tasks.len()))?;
    event(tx, run, None, EventKind::RunRevived, &json!({"tasks": tasks}))
}
