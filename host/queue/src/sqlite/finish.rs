//! Giving work back. Each of these is one operation in one transaction: the fence comes first, and
//! a stale token changes nothing.

use rusqlite::params;
use serde_json::{Value, json};

use super::columns::change;
use super::fault::Outcome;
use super::ledger::{
    Held, close, close_cancelled, end_attempt, event, fence, give_up, is_paused, release_children, settle,
};
use super::parcel::{self, TaskParcel};
use super::submit::{add_artifacts, add_tasks, tell_added};
use super::takes;
use super::writer::Tx;
use crate::completion::{Change, Failed, Failure, Finish, Finished, Retry};
use crate::error::Result;
use crate::ids::{LeaseToken, TaskId, TimestampMs};
use crate::state::{AttemptOutcome, EventKind, TaskState};
use crate::submission::SlotArtifact;
use crate::take::Memo;

/// A success that may be written down as it is.
pub(super) struct FinishParcel {
    task: TaskId,
    token: LeaseToken,
    output: String,
    artifacts: Vec<SlotArtifact>,
    emitted: Vec<TaskParcel>,
    events: Vec<Value>,
    run_output: Option<String>,
    memo: Option<Memo>,
}

pub(super) fn prepare(finish: Finish) -> Result<FinishParcel> {
    parcel::artifacts(&finish.artifacts)?;
    let mut events = Vec::with_capacity(finish.events.len());
    for new in finish.events {
        parcel::name("an event's label", &new.label)?;
        parcel::payload("an event's data", &new.data)?;
        events.push(json!({"label": new.label, "data": new.data}));
    }
    Ok(FinishParcel {
        task: finish.task,
        token: finish.token,
        output: parcel::payload("a task's output", &finish.output)?,
        artifacts: finish.artifacts,
        emitted: parcel::tasks(finish.emitted)?,
        events,
        run_output: finish.run_output.map(|output| parcel::payload("a run's output", &output)).transpose()?,
        memo: finish.memo,
    })
}

pub(super) fn succeed(tx: &Tx<'_>, finish: &FinishParcel) -> Outcome<Finished> {
    let held = fence(tx, finish.task, finish.token)?;
    if held.cancelled {
        // Somebody decided that it shall not be: its children are not started by it.
        return Ok(Finished {
            state: TaskState::Cancelled,
            run_state: close_cancelled(tx, &held)?.run_state,
            emitted: Vec::new(),
            released: Vec::new(),
        });
    }
    end_attempt(tx, &held, AttemptOutcome::Succeeded, None)?;
    close(tx, &held, TaskState::Succeeded, None)?;
    change(tx.sql, "UPDATE task_io SET output = ?2 WHERE task_id = ?1", params![held.task, finish.output])?;
    add_artifacts(tx, held.tenant, held.task, "made", &finish.artifacts)?;
    if !finish.artifacts.is_empty() {
        takes::keep(tx, &held, finish.memo, &finish.output, &finish.artifacts)?;
    }
    for data in &finish.events {
        event(tx, held.run, Some(held.task), EventKind::Reported, data)?;
    }
    event(tx, held.run, Some(held.task), EventKind::TaskSucceeded, &Value::Null)?;
    // Before the new tasks: their counters leave out this task, which is over, so they must not
    // be counted down for it.
    let mut released = release_children(tx, held.task)?;
    let added = add_tasks(tx, held.run, held.tenant, &finish.emitted, None)?;
    tell_added(tx, held.run, &added)?;
    released.extend(added.ready);
    if let Some(output) = &finish.run_output {
        change(tx.sql, "UPDATE run_io SET output = ?2 WHERE run_id = ?1", params![held.run, output])?;
    }
    Ok(Finished { state: TaskState::Succeeded, run_state: settle(tx, held.run)?, emitted: added.tasks, released })
}

pub(super) fn fail(tx: &Tx<'_>, failure: &Failure) -> Outcome<Failed> {
    let held = fence(tx, failure.task, failure.token)?;
    if held.cancelled {
        let ended = close_cancelled(tx, &held)?;
        return Ok(Failed {
            state: TaskState::Cancelled,
            retry_at: None,
            run_state: ended.run_state,
            skipped: ended.skipped,
            released: ended.released,
        });
    }
    let error = parcel::error_text(&failure.error);
    let is_held = matches!(failure.retry, Retry::Held(_));
    let outcome = if is_held { AttemptOutcome::Released } else { AttemptOutcome::Failed };
    end_attempt(tx, &held, outcome, Some(&error))?;
    add_artifacts(tx, held.tenant, held.task, "made", &failure.artifacts)?;
    let failures = if is_held { held.failures } else { held.failures.saturating_add(1) };
    change(tx.sql, "UPDATE task SET failures = ?2 WHERE id = ?1", params![held.task, failures])?;
    let code = &failure.code;
    match &failure.retry {
        Retry::After(delay) if failures < held.max_attempts => {
            let retry_at = tx.now.after(*delay);
            let data = json!({"code": code, "error": error, "attempt": failures, "retry_at": retry_at});
            again(tx, &held, &error, retry_at, EventKind::TaskRetrying, &data)
        }
        Retry::Changed(delay, change) => {
            let retry_at = tx.now.after(*delay);
            let data = json!({
                "code": code, "error": error, "attempt": failures, "retry_at": retry_at,
                "change": {"pool": change.pool, "carry": change.carry},
            });
            let failed = again(tx, &held, &error, retry_at, EventKind::TaskRetrying, &data)?;
            alter(tx, held.task, change)?;
            Ok(failed)
        }
        Retry::Held(delay) => {
            let retry_at = tx.now.after(*delay);
            let data = json!({"code": code, "error": error, "retry_at": retry_at});
            again(tx, &held, &error, retry_at, EventKind::TaskHeld, &data)
        }
        Retry::After(_) | Retry::Never => {
            let ended = give_up(tx, &held, &failure.code, &error)?;
            Ok(Failed {
                state: TaskState::Failed,
                retry_at: None,
                run_state: ended.run_state,
                skipped: ended.skipped,
                released: ended.released,
            })
        }
    }
}

/// Makes a running task wait for its next attempt, and says so.
fn again(
    tx: &Tx<'_>,
    held: &Held,
    error: &str,
    retry_at: TimestampMs,
    kind: EventKind,
    data: &Value,
) -> Outcome<Failed> {
    let state = put_back(tx, held, TaskState::Scheduled, retry_at, Some(error))?;
    event(tx, held.run, Some(held.task), kind, data)?;
    Ok(Failed {
        state,
        retry_at: Some(retry_at),
        run_state: settle(tx, held.run)?,
        skipped: Vec::new(),
        released: Vec::new(),
    })
}

/// Changes how a task is tried again. It no longer runs and is not ready, so that no lane counts it while it moves.
fn alter(tx: &Tx<'_>, task: TaskId, to: &Change) -> Outcome<()> {
    if let Some(pool) = &to.pool {
        parcel::name("a task's pool", pool)?;
    }
    let carry = parcel::payload("what a task carries", &to.carry)?;
    change(
        tx.sql,
        "UPDATE task SET failures = 0, carry = ?2,
                home_affinity = CASE WHEN home_pool IS NULL THEN affinity ELSE home_affinity END,
                home_pool = coalesce(home_pool, pool),
                pool = coalesce(?3, pool), affinity = coalesce(?4, affinity) WHERE id = ?1",
        params![task, carry, to.pool, to.affinity],
    )?;
    Ok(())
}

pub(super) fn begin_work(tx: &Tx<'_>, task: TaskId, token: LeaseToken) -> Outcome<()> {
    let held = fence(tx, task, token)?;
    change(
        tx.sql,
        "UPDATE task SET started_at = ?2, charged_from = ?2, waits = 0 WHERE id = ?1",
        params![held.task, tx.now],
    )?;
    Ok(())
}

pub(super) fn await_work(tx: &Tx<'_>, task: TaskId, token: LeaseToken) -> Outcome<()> {
    let held = fence(tx, task, token)?;
    change(tx.sql, "UPDATE task SET waits = 1 WHERE id = ?1", [held.task])?;
    Ok(())
}

pub(super) fn release(tx: &Tx<'_>, task: TaskId, token: LeaseToken) -> Outcome<TaskState> {
    let held = fence(tx, task, token)?;
    if held.cancelled {
        close_cancelled(tx, &held)?;
        return Ok(TaskState::Cancelled);
    }
    end_attempt(tx, &held, AttemptOutcome::Released, None)?;
    let state = back_to_ready(tx, &held)?;
    event(tx, held.run, Some(held.task), EventKind::TaskReleased, &Value::Null)?;
    Ok(state)
}

/// Puts a running task back in the line, at the place that it had.
pub(super) fn back_to_ready(tx: &Tx<'_>, held: &Held) -> Outcome<TaskState> {
    put_back(tx, held, TaskState::Ready, held.ready_at, None)
}

/// Makes a running task wait again. A retry of its run may have opened a failed parent while it
/// ran; it waits for that one first.
fn put_back(
    tx: &Tx<'_>,
    held: &Held,
    state: TaskState,
    ready_at: TimestampMs,
    error: Option<&str>,
) -> Outcome<TaskState> {
    let open: i64 = tx.sql.prepare_cached(OPEN_PARENTS)?.query_row([held.task], |row| row.get(0))?;
    let not_before = (state == TaskState::Scheduled).then_some(ready_at);
    let state = match open {
        0 if is_paused(tx, held.run)? => TaskState::Paused,
        0 => state,
        _ => TaskState::Blocked,
    };
    change(
        tx.sql,
        "UPDATE task SET state = ?2, pending_deps = ?3, ready_at = ?4, error = ?5, not_before = ?6,
                worker_id = NULL, lease_until = NULL WHERE id = ?1",
        params![held.task, state, open, ready_at, error, not_before],
    )?;
    Ok(state)
}

const OPEN_PARENTS: &str = "SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
  WHERE d.child_id = ?1 AND p.finished_at IS NULL";
