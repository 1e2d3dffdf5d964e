//! Adding runs and tasks.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use super::columns::{add, change, first};
use super::fault::Outcome;
use super::ledger::{add_open, event, find_task, first_state, is_paused, settle, signed};
use super::parcel::{self, TaskParcel};
use super::writer::Tx;
use crate::completion::EmittedTask;
use crate::error::{QueueError, Result};
use crate::ids::{RunId, TaskId, TimestampMs};
use crate::limits::DEFAULT_WEIGHT;
use crate::state::{EventKind, RunState, TaskState};
use crate::submission::{NewRun, PastRun, SlotArtifact, Submitted};

/// A run that may be written down as it is.
pub(super) struct RunParcel {
    tenant: String,
    name: String,
    idem_key: Option<String>,
    spec: String,
    start_at: Option<TimestampMs>,
    tasks: Vec<TaskParcel>,
}

pub(super) fn prepare(run: NewRun) -> Result<RunParcel> {
    parcel::name("a tenant's name", &run.tenant)?;
    parcel::name("a run's name", &run.name)?;
    if let Some(key) = &run.idem_key {
        parcel::name("an idempotency key", key)?;
    }
    if run.tasks.is_empty() {
        return Err(parcel::invalid(&format!("run {:?}", run.name), "it has no task, and could never end".to_owned()));
    }
    Ok(RunParcel {
        spec: parcel::payload("a run's specification", &run.spec)?,
        start_at: run.start_at,
        tasks: parcel::tasks(run.tasks)?,
        tenant: run.tenant,
        name: run.name,
        idem_key: run.idem_key,
    })
}

pub(super) fn submit(tx: &Tx<'_>, new: &RunParcel) -> Outcome<Submitted> {
    let tenant = tenant(tx, &new.tenant)?;
    if let Some(run) = known(tx, tenant, new.idem_key.as_deref())? {
        return Ok(Submitted { run, created: false });
    }
    refuse_beyond_quota(tx.sql, &new.tenant)?;
    let run = RunId(add(
        tx.sql,
        "INSERT INTO run(tenant_id, name, idem_key, created_at) VALUES(?1, ?2, ?3, ?4)",
        params![tenant, new.name, new.idem_key, tx.now],
    )?);
    change(tx.sql, "INSERT INTO run_io(run_id, spec) VALUES(?1, ?2)", params![run, new.spec])?;
    event(tx, run, None, EventKind::RunSubmitted, &json!({"tasks": new.tasks.len()}))?;
    add_tasks(tx, run, tenant, &new.tasks, new.start_at)?;
    settle(tx, run)?;
    Ok(Submitted { run, created: true })
}

/// The run that this key has made before.
fn known(tx: &Tx<'_>, tenant: i64, key: Option<&str>) -> Outcome<Option<RunId>> {
    let query = "SELECT id FROM run WHERE tenant_id = ?1 AND idem_key = ?2";
    first(tx.sql, query, params![tenant, key], |row| Ok(row.get(0)?))
}

/// A past run as it may be written down.
pub(super) struct PastParcel {
    run: PastRun,
    spec: String,
    output: Option<String>,
}

pub(super) fn prepare_past(run: PastRun) -> Result<PastParcel> {
    parcel::name("a tenant's name", &run.tenant)?;
    parcel::name("a run's name", &run.name)?;
    parcel::name("an idempotency key", &run.idem_key)?;
    if run.state == RunState::Active || run.finished_at < run.created_at {
        return Err(parcel::invalid(
            &format!("run {:?}", run.name),
            "it is not over, or ended before it began".to_owned(),
        ));
    }
    Ok(PastParcel {
        spec: parcel::payload("a run's specification", &run.spec)?,
        output: run.output.as_ref().map(|output| parcel::payload("a run's output", output)).transpose()?,
        run,
    })
}

pub(super) fn record_past(tx: &Tx<'_>, past: &PastParcel) -> Outcome<Submitted> {
    let PastParcel { run: past, spec, output } = past;
    let tenant = tenant(tx, &past.tenant)?;
    if let Some(run) = known(tx, tenant, Some(&past.idem_key))? {
        return Ok(Submitted { run, created: false });
    }
    let run = RunId(add(
        tx.sql,
        "INSERT INTO run(tenant_id, name, idem_key, state, error, created_at, finished_at)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![tenant, past.name, past.idem_key, past.state, past.error, past.created_at, past.finished_at],
    )?);
    change(tx.sql, "INSERT INTO run_io(run_id, spec, output) VALUES(?1, ?2, ?3)", params![run, spec, output])?;
    Ok(Submitted { run, created: true })
}

/// The run of this tenant that uses up its quota, if it is open.
pub(super) const OPEN_RUN: &str = "SELECT 1 FROM run WHERE tenant_id = ?1 AND finished_at IS NULL LIMIT 1 OFFSET ?2";

/// Whether the tenant may have one more run open.
pub(super) fn refuse_beyond_quota(sql: &Connection, tenant: &str) -> Outcome<()> {
    let limit = first(sql, "SELECT id, max_runs FROM tenant WHERE name = ?1", [tenant], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Option<u32>>(1)?))
    })?;
    let Some((id, Some(max_runs))) = limit else { return Ok(()) };
    let is_used_up = match max_runs.checked_sub(1) {
        None => true,
        Some(before) => first(sql, OPEN_RUN, params![id, before], |_| Ok(()))?.is_some(),
    };
    if is_used_up {
        return Err(QueueError::Quota { tenant: tenant.to_owned(), max_runs }.into());
    }
    Ok(())
}

/// The tenant of that name, made if it is new.
pub(super) fn tenant(tx: &Tx<'_>, name: &str) -> Outcome<i64> {
    let known = tx
        .sql
        .prepare_cached("SELECT id FROM tenant WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    add(
        tx.sql,
        "INSERT INTO tenant(name, weight, created_at) VALUES(?1, ?2, ?3)",
        params![name, DEFAULT_WEIGHT, tx.now],
    )
}

/// What was added to a run.
pub(super) struct Added {
    pub(super) tasks: Vec<EmittedTask>,
    pub(super) ready: Vec<TaskId>,
}

/// Adds tasks to a run, parents before children; names that it has already are left as they are. What waits for no other
/// task waits for `start_at`.
pub(super) fn add_tasks(
    tx: &Tx<'_>,
    run: RunId,
    tenant: i64,
    tasks: &[TaskParcel],
    start_at: Option<TimestampMs>,
) -> Outcome<Added> {
    let ready_at = start_at.filter(|at| *at > tx.now).unwrap_or(tx.now);
    let to_start = if is_paused(tx, run)? {
        TaskState::Paused
    } else if ready_at > tx.now {
        TaskState::Scheduled
    } else {
        TaskState::Ready
    };
    let mut added = Added { tasks: Vec::with_capacity(tasks.len()), ready: Vec::new() };
    let mut open = 0;
    for parcel in tasks {
        let name = parcel.task.name.clone();
        if let Some((task, _)) = find_task(tx, run, &name)? {
            added.tasks.push(EmittedTask { name, task, created: false });
            continue;
        }
        let (task, state) = add_task(tx, run, tenant, parcel, (to_start, ready_at))?;
        open += i64::from(!state.is_final());
        if state == TaskState::Ready {
            added.ready.push(task);
        }
        added.tasks.push(EmittedTask { name, task, created: true });
    }
    add_open(tx, run, open)?;
    Ok(added)
}

/// `to_start` is the state of a task that waits for no other, and from when it may be claimed.
fn add_task(
    tx: &Tx<'_>,
    run: RunId,
    tenant: i64,
    parcel: &TaskParcel,
    (to_start, ready_at): (TaskState, TimestampMs),
) -> Outcome<(TaskId, TaskState)> {
    let new = &parcel.task;
    let mut parents = Vec::with_capacity(new.after.len());
    for name in &new.after {
        let parent = find_task(tx, run, name)?
            .ok_or_else(|| QueueError::UnknownParent { task: new.name.clone(), parent: name.clone() })?;
        if !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    let states: Vec<TaskState> = parents.iter().map(|(_, state)| *state).collect();
    let state = match first_state(&states, new.on_dep_failure) {
        TaskState::Ready => to_start,
        other => other,
    };
    let pending = states.iter().filter(|state| !state.is_final()).count();
    let finished_at = state.is_final().then_some(tx.now);
    let task = TaskId(add(
        tx.sql,
        "INSERT INTO task(run_id, tenant_id, name, kind, pool, state, priority, ready_at,
                          pending_deps, on_dep_failure, max_attempts, est_cost_ms, affinity,
                          created_at, finished_at, deadline_ms, not_before)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?15, ?9, ?10, ?11, ?12, ?13, ?8, ?14, ?16, ?17)",
        params![
            run,
            tenant,
            new.name,
            new.kind,
            new.pool,
            state,
            new.priority,
            tx.now,
            signed(pending),
            new.on_dep_failure,
            new.max_attempts,
            parcel.est_cost_ms,
            new.affinity,
            finished_at,
            ready_at,
            parcel.deadline_ms,
            (state == TaskState::Scheduled).then_some(ready_at),
        ],
    )?);
    change(tx.sql, "INSERT INTO task_io(task_id, input) VALUES(?1, ?2)", params![task, parcel.input])?;
    for (parent, _) in &parents {
        change(tx.sql, "INSERT INTO task_dep(parent_id, child_id) VALUES(?1, ?2)", params![parent, task])?;
    }
    add_artifacts(tx, tenant, task, "uses", &new.artifacts)?;
    Ok((task, state))
}

/// Writes down each event for the tasks that a finish added.
pub(super) fn tell_added(tx: &Tx<'_>, run: RunId, added: &Added) -> Outcome<()> {
    for emitted in added.tasks.iter().filter(|emitted| emitted.created) {
        event(tx, run, Some(emitted.task), EventKind::TaskAdded, &Value::Null)?;
    }
    Ok(())
}

/// Records files, and in which slots a task uses or made them. What a task makes when it is done again takes the place of what
/// it made before.
pub(super) fn add_artifacts(
    tx: &Tx<'_>,
    tenant: i64,
    task: TaskId,
    role: &str,
    artifacts: &[SlotArtifact],
) -> Outcome<()> {
    for artifact in artifacts {
        let bytes = i64::try_from(artifact.bytes).unwrap_or(i64::MAX);
        change(
            tx.sql,
            "INSERT INTO artifact(tenant_id, hash, bytes, media, created_at)
             VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            params![tenant, artifact.hash, bytes, artifact.media, tx.now],
        )?;
        let known: i64 = tx
            .sql
            .prepare_cached("SELECT bytes FROM artifact WHERE tenant_id = ?1 AND hash = ?2")?
            .query_row(params![tenant, artifact.hash], |row| row.get(0))?;
        if known != bytes {
            return Err(QueueError::ArtifactMismatch {
                hash: artifact.hash.to_string(),
                known: known.unsigned_abs(),
                given: artifact.bytes,
            }
            .into());
        }
        change(
            tx.sql,
            "INSERT INTO task_artifact(task_id, role, slot, tenant_id, hash)
             VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET hash = excluded.hash",
            params![task, role, artifact.slot, tenant, artifact.hash],
        )?;
    }
    Ok(())
}
