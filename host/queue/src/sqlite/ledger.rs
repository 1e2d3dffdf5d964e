//! The steps that all changes share: writing events, ending attempts, and following the graph
//! when a task is over.

use rusqlite::params;
use serde_json::{Value, json};

use super::columns::{all, change, first, place, task_ids, word};
use super::fault::Outcome;
use super::writer::Tx;
use crate::error::QueueError;
use crate::ids::{LeaseToken, RunId, TaskId, TimestampMs};
use crate::limits::{LEASE, VTIME_PER_MS};
use crate::state::{AttemptOutcome, EventKind, OnDepFailure, RunState, TaskState};

/// A task that runs, as far as ending its attempt needs it.
pub(super) struct Held {
    pub(super) task: TaskId,
    pub(super) run: RunId,
    pub(super) tenant: i64,
    pub(super) name: String,
    pub(super) pool: String,
    pub(super) token: LeaseToken,
    pub(super) failures: u32,
    pub(super) max_attempts: u32,
    pub(super) lost: u32,
    pub(super) est_cost_ms: i64,
    /// Since when it has its place, if it has one.
    pub(super) charged_from: Option<TimestampMs>,
    /// Whether it is prepared and waits for its place.
    pub(super) waits: bool,
    pub(super) lease_until: TimestampMs,
    pub(super) ready_at: TimestampMs,
    pub(super) cancelled: bool,
}

/// What became of the graph when a task ended without a result.
pub(super) struct Ended {
    pub(super) run_state: RunState,
    pub(super) skipped: Vec<TaskId>,
    pub(super) released: Vec<TaskId>,
}

/// The task, if it runs under exactly this token.
pub(super) fn fence(tx: &Tx<'_>, task: TaskId, token: LeaseToken) -> Outcome<Held> {
    let found = first(
        tx.sql,
        "SELECT state, lease_token, run_id, tenant_id, name, pool, failures, max_attempts, lost,
                est_cost_ms, charged_from, cancel_at IS NOT NULL, ready_at, waits,
                coalesce(lease_until, 0)
           FROM task WHERE id = ?1",
        [task],
        |row| {
            let state: TaskState =
                word(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?, place("task", "state", task.0))?;
            Ok((
                state,
                Held {
                    task,
                    token: row.get(1)?,
                    run: row.get(2)?,
                    tenant: row.get(3)?,
                    name: row.get(4)?,
                    pool: row.get(5)?,
                    failures: row.get(6)?,
                    max_attempts: row.get(7)?,
                    lost: row.get(8)?,
                    est_cost_ms: row.get(9)?,
                    charged_from: row.get(10)?,
                    cancelled: row.get(11)?,
                    ready_at: row.get(12)?,
                    waits: row.get(13)?,
                    lease_until: row.get(14)?,
                },
            ))
        },
    )?;
    match found {
        None => Err(QueueError::UnknownTask(task).into()),
        Some((TaskState::Running, held)) if held.token == token => Ok(held),
        Some((state, held)) => Err(QueueError::Stale { task, given: token, current: held.token, state }.into()),
    }
}

/// Adds an event to its run's log. The number comes from the run's own counter, so the log of a
/// run has no gaps even though events of many runs are written together.
pub(super) fn event(tx: &Tx<'_>, run: RunId, task: Option<TaskId>, kind: EventKind, data: &Value) -> Outcome<()> {
    let data = (!data.is_null()).then(|| data.to_string());
    let told = change(
        tx.sql,
        "INSERT INTO event(run_id, seq, task_id, at, kind, data)
         SELECT id, next_seq, ?2, ?3, ?4, ?5 FROM run WHERE id = ?1",
        params![run, task, tx.now, kind, data],
    )?;
    if told == 0 {
        return Err(QueueError::UnknownRun(run.to_string()).into());
    }
    change(tx.sql, "UPDATE run SET next_seq = next_seq + 1 WHERE id = ?1", [run])?;
    Ok(())
}

/// Closes the attempt of a running task, and corrects what its tenant was charged by the time
/// that it really had its place.
pub(super) fn end_attempt(tx: &Tx<'_>, held: &Held, outcome: AttemptOutcome, error: Option<&str>) -> Outcome<()> {
    // Nobody knows of one that was lost whether it still ran after its last sign of life.
    let ended = match outcome {
        AttemptOutcome::Lost => tx.now.min(held.lease_until.before(LEASE)),
        _ => tx.now,
    };
    change(
        tx.sql,
        "UPDATE attempt SET ended_at = ?3, outcome = ?4, error = ?5
          WHERE task_id = ?1 AND token = ?2",
        params![held.task, held.token, tx.now, outcome, error],
    )?;
    // At least a millisecond: a tenant with endless tiny tasks must not be served for nothing.
    let took = held.charged_from.map_or(0, |from| ended.0.saturating_sub(from.0)).max(1);
    let correction = took.saturating_sub(held.est_cost_ms).saturating_mul(VTIME_PER_MS);
    change(
        tx.sql,
        "UPDATE lane SET vtime = max(0, vtime + ?3 / (SELECT weight FROM tenant WHERE id = ?2))
          WHERE pool = ?1 AND tenant_id = ?2",
        params![held.pool, held.tenant, correction],
    )?;
    Ok(())
}

/// Makes a running task final.
pub(super) fn close(tx: &Tx<'_>, held: &Held, state: TaskState, error: Option<&str>) -> Outcome<()> {
    change(
        tx.sql,
        "UPDATE task SET state = ?2, finished_at = ?3, error = ?4, worker_id = NULL,
                lease_until = NULL WHERE id = ?1",
        params![held.task, state, tx.now, error],
    )?;
    add_open(tx, held.run, -1)
}

/// Ends a running task that was cancelled. When it was its run that was, nothing waits for it any more.
pub(super) fn close_cancelled(tx: &Tx<'_>, held: &Held) -> Outcome<Ended> {
    end_attempt(tx, held, AttemptOutcome::Cancelled, None)?;
    close(tx, held, TaskState::Cancelled, None)?;
    event(tx, held.run, Some(held.task), EventKind::TaskCancelled, &Value::Null)?;
    end_without_result(tx, held.run, held.task, &held.name, "was cancelled")
}

/// Gives a running task up for good: its children are skipped, or run without it.
pub(super) fn give_up(tx: &Tx<'_>, held: &Held, code: &str, error: &str) -> Outcome<Ended> {
    close(tx, held, TaskState::Failed, Some(error))?;
    change(
        tx.sql,
        "UPDATE run SET failed_tasks = failed_tasks + 1, error = coalesce(error, ?2) WHERE id = ?1",
        params![held.run, format!("{}: {error}", held.name)],
    )?;
    let data = json!({"code": code, "error": error});
    event(tx, held.run, Some(held.task), EventKind::TaskFailed, &data)?;
    end_without_result(tx, held.run, held.task, &held.name, "failed")
}

/// Follows the graph below a task that is over and has no result: what needs one is skipped, all the way down; what runs
/// in spite of it is told that it is over. `what` is what became of it, in words.
pub(super) fn end_without_result(tx: &Tx<'_>, run: RunId, task: TaskId, name: &str, what: &str) -> Outcome<Ended> {
    let skipped = skip_descendants(tx, run, task, name, what)?;
    let mut released = release_children(tx, task)?;
    for task in &skipped {
        released.extend(release_children(tx, *task)?);
    }
    released.sort_unstable();
    Ok(Ended { run_state: settle(tx, run)?, skipped, released })
}

fn skip_descendants(tx: &Tx<'_>, run: RunId, task: TaskId, name: &str, what: &str) -> Outcome<Vec<TaskId>> {
    let doomed = task_ids(
        tx.sql,
        "WITH RECURSIVE doomed(id) AS (
           SELECT c.id FROM task_dep d JOIN task c ON c.id = d.child_id
            WHERE d.parent_id = ?1 AND c.state = 'blocked' AND c.on_dep_failure = 'skip'
           UNION
           SELECT c.id FROM doomed JOIN task_dep d ON d.parent_id = doomed.id
                            JOIN task c ON c.id = d.child_id
            WHERE c.state = 'blocked' AND c.on_dep_failure = 'skip')
         SELECT id FROM doomed",
        [task],
    )?;
    let why = format!("skipped, because {name} {what}");
    for task in &doomed {
        change(
            tx.sql,
            "UPDATE task SET state = 'skipped', finished_at = ?2, error = ?3 WHERE id = ?1",
            params![task, tx.now, why],
        )?;
        event(tx, run, Some(*task), EventKind::TaskSkipped, &json!({"because": name}))?;
    }
    add_open(tx, run, -signed(doomed.len()))?;
    Ok(doomed)
}

/// Tells the waiting children of a task that it is over; those that waited for nothing else are
/// ready now, and are returned; in a paused run they are paused, and not returned, nor are those whose time has not come.
pub(super) fn release_children(tx: &Tx<'_>, parent: TaskId) -> Outcome<Vec<TaskId>> {
    if first(tx.sql, "SELECT 1 FROM task_dep WHERE parent_id = ?1 LIMIT 1", [parent], |_| Ok(()))?.is_none() {
        return Ok(Vec::new());
    }
    change(
        tx.sql,
        "UPDATE task SET pending_deps = pending_deps - 1
          WHERE state = 'blocked' AND id IN (SELECT child_id FROM task_dep WHERE parent_id = ?1)",
        [parent],
    )?;
    let released = all(
        tx.sql,
        "UPDATE task SET ready_at = max(?2, coalesce(not_before, ?2)), state = CASE
                WHEN (SELECT paused_at FROM run WHERE id = task.run_id) IS NOT NULL THEN 'paused'
                WHEN not_before > ?2 THEN 'scheduled' ELSE 'ready' END
          WHERE state = 'blocked' AND pending_deps = 0
            AND id IN (SELECT child_id FROM task_dep WHERE parent_id = ?1)
         RETURNING id, state",
        params![parent, tx.now],
        |row| Ok((row.get::<_, TaskId>(0)?, row.get::<_, String>(1)?)),
    )?;
    // A statement that returns what it changed does so in no particular order.
    let mut ready: Vec<TaskId> =
        released.into_iter().filter(|(_, state)| state == TaskState::Ready.as_str()).map(|(task, _)| task).collect();
    ready.sort_unstable();
    Ok(ready)
}

/// Whether somebody paused the run.
pub(super) fn is_paused(tx: &Tx<'_>, run: RunId) -> Outcome<bool> {
    let paused =
        first(tx.sql, "SELECT paused_at IS NOT NULL FROM run WHERE id = ?1", [run], |row| Ok(row.get::<_, bool>(0)?))?;
    Ok(paused == Some(true))
}

/// Counts tasks of a run that are not over.
pub(super) fn add_open(tx: &Tx<'_>, run: RunId, by: i64) -> Outcome<()> {
    if by != 0 {
        change(tx.sql, "UPDATE run SET open_tasks = open_tasks + ?2 WHERE id = ?1", params![run, by])?;
    }
    Ok(())
}

/// Ends the run when none of its tasks is open; its state now.
pub(super) fn settle(tx: &Tx<'_>, run: RunId) -> Outcome<RunState> {
    let (state, open, failed, cancelled) = first(
        tx.sql,
        "SELECT state, open_tasks, failed_tasks, cancel_at IS NOT NULL FROM run WHERE id = ?1",
        [run],
        |row| {
            let state: String = row.get(0)?;
            let state: RunState = word(&state, place("run", "state", run.0))?;
            Ok((state, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?))
        },
    )?
    .ok_or_else(|| QueueError::UnknownRun(run.to_string()))?;
    if state != RunState::Active || open > 0 {
        return Ok(state);
    }
    let (end, kind) = if cancelled {
        (RunState::Cancelled, EventKind::RunCancelled)
    } else if failed > 0 {
        (RunState::Failed, EventKind::RunFailed)
    } else if has_cancelled_task(tx, run)? {
        (RunState::Cancelled, EventKind::RunCancelled)
    } else {
        (RunState::Succeeded, EventKind::RunSucceeded)
    };
    change(
        tx.sql,
        "UPDATE run SET state = ?2, finished_at = ?3, paused_at = NULL WHERE id = ?1",
        params![run, end, tx.now],
    )?;
    event(tx, run, None, kind, &Value::Null)?;
    Ok(end)
}

fn has_cancelled_task(tx: &Tx<'_>, run: RunId) -> Outcome<bool> {
    let query = "SELECT 1 FROM task WHERE run_id = ?1 AND state = 'cancelled' LIMIT 1";
    Ok(first(tx.sql, query, [run], |_| Ok(()))?.is_some())
}

/// A run, as far as stopping and starting it needs it.
pub(super) struct FoundRun {
    pub(super) state: RunState,
    pub(super) cancelling: bool,
    pub(super) paused: bool,
    pub(super) forgotten: bool,
}

pub(super) fn find_run(tx: &Tx<'_>, run: RunId) -> Outcome<FoundRun> {
    let query = "SELECT state, cancel_at IS NOT NULL, paused_at IS NOT NULL, forgotten_at IS NOT NULL
      FROM run WHERE id = ?1";
    first(tx.sql, query, [run], |row| {
        let state: String = row.get(0)?;
        let state = word(&state, place("run", "state", run.0))?;
        Ok(FoundRun { state, cancelling: row.get(1)?, paused: row.get(2)?, forgotten: row.get(3)? })
    })?
    .ok_or_else(|| QueueError::UnknownRun(run.to_string()).into())
}

/// Where a task belongs and stands.
pub(super) struct TaskPlace {
    pub(super) run: RunId,
    pub(super) name: String,
    pub(super) state: TaskState,
}

pub(super) fn task_place(tx: &Tx<'_>, task: TaskId) -> Outcome<TaskPlace> {
    first(tx.sql, "SELECT run_id, name, state FROM task WHERE id = ?1", [task], |row| {
        let state: String = row.get(2)?;
        let state = word(&state, place("task", "state", task.0))?;
        Ok(TaskPlace { run: row.get(0)?, name: row.get(1)?, state })
    })?
    .ok_or_else(|| QueueError::UnknownTask(task).into())
}

/// The state of the parent tasks of that name, for a task about to be added.
pub(super) fn find_task(tx: &Tx<'_>, run: RunId, name: &str) -> Outcome<Option<(TaskId, TaskState)>> {
    first(tx.sql, "SELECT id, state FROM task WHERE run_id = ?1 AND name = ?2", params![run, name], |row| {
        let id: TaskId = row.get(0)?;
        let state: String = row.get(1)?;
        Ok((id, word(&state, place("task", "state", id.0))?))
    })
}

/// Whether a task with these parents can start, must wait, or never will.
pub(super) fn first_state(parents: &[TaskState], on_failure: OnDepFailure) -> TaskState {
    let given_up = parents.iter().any(|state| state.is_final() && *state != TaskState::Succeeded);
    if given_up && on_failure == OnDepFailure::Skip {
        TaskState::Skipped
    } else if parents.iter().any(|state| !state.is_final()) {
        TaskState::Blocked
    } else {
        TaskState::Ready
    }
}

/// The running tasks that a query names.
pub(super) fn held_tasks(tx: &Tx<'_>, query: &str, params: impl rusqlite::Params) -> Outcome<Vec<Held>> {
    let mut tokens = all(tx.sql, query, params, |row| Ok((row.get::<_, TaskId>(0)?, row.get::<_, LeaseToken>(1)?)))?;
    tokens.sort_unstable();
    tokens.into_iter().map(|(task, token)| fence(tx, task, token)).collect()
}

/// A length as SQL counts.
pub(super) fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
