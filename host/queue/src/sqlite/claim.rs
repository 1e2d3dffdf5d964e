//! Handing out work: workers, the fair choice, and the leases that heartbeats renew.

use std::time::Duration;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::columns::{add, all, change, first, json, optional_json, place, task_ids, word};
use super::fault::Outcome;
use super::ledger::event;
use super::read_tasks::artifacts;
use super::writer::Tx;
use crate::claim::{BeatAnswer, Capacity, ClaimRequest, Claimed, NewWorker, Parent};
use crate::error::QueueError;
use crate::ids::{LeaseToken, TaskId, TimestampMs, WorkerId};
use crate::limits::{AFFINITY_SLACK_VTIME, LEASE, PROMOTED_AT_ONCE, VTIME_PER_MS};
use crate::state::EventKind;

// A partial index serves a query only if the query repeats the index's condition word for word,
// so states are literals in these, never parameters.
pub(super) const IS_DUE: &str = "SELECT 1 FROM task WHERE state = 'scheduled' AND ready_at <= ?1 LIMIT 1";
// A bounded number at a time, so that no claim pays for all that became due while nobody asked; the next claim goes on.
pub(super) const PROMOTE: &str = "UPDATE task SET state = 'ready' WHERE id IN (
    SELECT id FROM task WHERE state = 'scheduled' AND ready_at <= ?1 ORDER BY ready_at LIMIT ?2)";
pub(super) const POOL_PAUSED: &str = "SELECT 1 FROM pool WHERE name = ?1 AND paused = 1";
pub(super) const PICK_LANE: &str = "SELECT tenant_id, vtime FROM lane
  WHERE pool = ?1 AND ready > 0 AND paused = 0 AND (max_running IS NULL OR running < max_running)
  ORDER BY vtime, tenant_id LIMIT 1";
pub(super) const PICK_TASK: &str = "SELECT id FROM task
  WHERE pool = ?1 AND tenant_id = ?2 AND state = 'ready' ORDER BY priority, ready_at, id LIMIT 1";
// Of the lanes that are hardly further on than the one whose turn it is, the first that has a task for what is loaded; it
// goes before older ones of its lane, not before more urgent ones.
pub(super) const PICK_AFFINE: &str = "SELECT (
    SELECT id FROM task INDEXED BY task_affine
     WHERE state = 'ready' AND affinity IS NOT NULL
       AND pool = lane.pool AND tenant_id = lane.tenant_id AND affinity = ?2
       AND priority <= (SELECT priority FROM task
                         WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'ready'
                         ORDER BY priority, ready_at, id LIMIT 1)
     ORDER BY priority, ready_at, id LIMIT 1) AS id
  FROM lane INDEXED BY lane_pick
 WHERE pool = ?1 AND ready > 0 AND paused = 0 AND (max_running IS NULL OR running < max_running)
   AND vtime <= ?3 AND id IS NOT NULL
 ORDER BY vtime, tenant_id LIMIT 1";
pub(super) const NEXT_DUE: &str = "SELECT min(ready_at) FROM task WHERE state = 'scheduled'";

pub(super) fn register(tx: &Tx<'_>, worker: &NewWorker, capacity: &str) -> Outcome<WorkerId> {
    let incarnation = worker.incarnation.as_str();
    let used = first(tx.sql, "SELECT 1 FROM worker WHERE incarnation = ?1", [incarnation], |_| Ok(()))?;
    if used.is_some() {
        return Err(QueueError::IncarnationUsed(incarnation.to_owned()).into());
    }
    let worker = add(
        tx.sql,
        "INSERT INTO worker(incarnation, host, capacity, started_at, seen_at) VALUES(?1, ?2, ?3, ?4, ?4)",
        params![incarnation, worker.host, capacity, tx.now],
    )?;
    Ok(WorkerId(worker))
}

/// Refuses workers that never registered or whose place another incarnation has taken.
pub(super) fn require_active(tx: &Tx<'_>, worker: WorkerId) -> Outcome<()> {
    first(tx.sql, "SELECT 1 FROM worker WHERE id = ?1 AND state = 'active'", [worker], |_| Ok(()))?
        .ok_or_else(|| QueueError::UnknownWorker(worker).into())
}

/// What a worker offers, as it is stored.
pub(super) fn capacity_text(capacity: &Capacity) -> crate::error::Result<String> {
    super::parcel::payload("a worker's capacity", &serde_json::json!(capacity))
}

pub(super) fn offer(tx: &Tx<'_>, worker: WorkerId, capacity: &str) -> Outcome<()> {
    require_active(tx, worker)?;
    change(tx.sql, "UPDATE worker SET capacity = ?2, seen_at = ?3 WHERE id = ?1", params![worker, capacity, tx.now])?;
    Ok(())
}

pub(super) fn retire(tx: &Tx<'_>, worker: WorkerId) -> Outcome<()> {
    require_active(tx, worker)?;
    change(tx.sql, "UPDATE worker SET state = 'gone', seen_at = ?2 WHERE id = ?1", params![worker, tx.now])?;
    Ok(())
}

pub(super) fn claim(tx: &Tx<'_>, request: &ClaimRequest) -> Outcome<Option<Claimed>> {
    require_active(tx, request.worker)?;
    if first(tx.sql, IS_DUE, [tx.now], |_| Ok(()))?.is_some() {
        change(tx.sql, PROMOTE, params![tx.now, PROMOTED_AT_ONCE])?;
    }
    for pool in &request.pools {
        if first(tx.sql, POOL_PAUSED, [pool], |_| Ok(()))?.is_some() {
            continue;
        }
        let lane = first(tx.sql, PICK_LANE, [pool], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        let Some((tenant, vtime)) = lane else { continue };
        let affine = match &request.affinity {
            None => None,
            Some(loaded) => {
                let slack = vtime.saturating_add(AFFINITY_SLACK_VTIME);
                first(tx.sql, PICK_AFFINE, params![pool, loaded, slack], |row| Ok(row.get(0)?))?
            }
        };
        let picked: Option<TaskId> = match affine {
            Some(task) => Some(task),
            None => first(tx.sql, PICK_TASK, params![pool, tenant], |row| Ok(row.get(0)?))?,
        };
        match picked {
            Some(task) => return take(tx, request, task).map(Some),
            None => tracing::error!(pool, tenant, "a lane counts ready tasks that do not exist"),
        }
    }
    Ok(None)
}

fn take(tx: &Tx<'_>, request: &ClaimRequest, task: TaskId) -> Outcome<Claimed> {
    let worker = request.worker;
    let lease_until = tx.now.after(LEASE);
    change(
        tx.sql,
        "UPDATE task SET state = 'running', lease_token = max(lease_token + 1, ?2 << 32),
                worker_id = ?3, lease_until = ?4, started_at = ?5, progress = NULL, waits = 0,
                charged_from = CASE WHEN ?6 THEN NULL ELSE ?5 END WHERE id = ?1",
        params![task, tx.epoch, worker, lease_until, tx.now, request.ahead],
    )?;
    change(
        tx.sql,
        "INSERT INTO attempt(task_id, token, worker_id, started_at)
         SELECT id, lease_token, worker_id, started_at FROM task WHERE id = ?1",
        [task],
    )?;
    change(
        tx.sql,
        "UPDATE lane SET vtime = vtime + ?2 * t.est_cost_ms / n.weight
           FROM task t JOIN tenant n ON n.id = t.tenant_id
          WHERE t.id = ?1 AND lane.pool = t.pool AND lane.tenant_id = t.tenant_id",
        params![task, VTIME_PER_MS],
    )?;
    let claimed = claimed(tx.sql, task)?;
    let data = serde_json::json!({"worker": worker, "attempt": claimed.attempt});
    event(tx, claimed.run, Some(task), EventKind::TaskStarted, &data)?;
    Ok(claimed)
}

fn claimed(sql: &Connection, task: TaskId) -> Outcome<Claimed> {
    let found = first(
        sql,
        "SELECT t.lease_token, t.run_id, r.name, n.name, ri.spec, t.name, t.kind, t.pool,
                t.affinity, ti.input, t.failures, t.max_attempts, t.lost, t.lease_until, t.deadline_ms,
                t.carry
           FROM task t JOIN run r ON r.id = t.run_id JOIN tenant n ON n.id = t.tenant_id
           JOIN run_io ri ON ri.run_id = r.id JOIN task_io ti ON ti.task_id = t.id
          WHERE t.id = ?1",
        [task],
        |row| {
            let input: String = row.get(9)?;
            Ok(Claimed {
                task,
                token: row.get(0)?,
                run: row.get(1)?,
                run_name: row.get(2)?,
                tenant: row.get(3)?,
                spec: row.get(4)?,
                name: row.get(5)?,
                kind: row.get(6)?,
                pool: row.get(7)?,
                affinity: row.get(8)?,
                input: json(&input, place("task_io", "input", task.0))?,
                carry: optional_json(row.get(15)?, place("task", "carry", task.0))?,
                artifacts: Vec::new(),
                attempt: row.get::<_, u32>(10)?.saturating_add(1),
                max_attempts: row.get(11)?,
                lost: row.get(12)?,
                lease_until: row.get(13)?,
                deadline: row.get::<_, Option<i64>>(14)?.map(|ms| Duration::from_millis(ms.unsigned_abs())),
                parents: Vec::new(),
            })
        },
    )?;
    let mut claimed = found.ok_or(QueueError::UnknownTask(task))?;
    claimed.artifacts = artifacts(sql, task, "uses")?;
    claimed.parents = parents(sql, task)?;
    Ok(claimed)
}

fn parents(sql: &Connection, task: TaskId) -> Outcome<Vec<Parent>> {
    let mut parents = all(
        sql,
        "SELECT p.id, p.name, p.kind, p.state, io.output
           FROM task_dep d JOIN task p ON p.id = d.parent_id JOIN task_io io ON io.task_id = p.id
          WHERE d.child_id = ?1 ORDER BY p.id",
        [task],
        |row| {
            let id: TaskId = row.get(0)?;
            let state: String = row.get(3)?;
            Ok(Parent {
                task: id,
                name: row.get(1)?,
                kind: row.get(2)?,
                state: word(&state, place("task", "state", id.0))?,
                output: optional_json(row.get(4)?, place("task_io", "output", id.0))?,
                artifacts: Vec::new(),
            })
        },
    )?;
    for parent in &mut parents {
        parent.artifacts = artifacts(sql, parent.task, "made")?;
    }
    Ok(parents)
}

/// Of the tasks that a worker runs, those that were asked to stop.
pub(super) fn stopping(sql: &Connection, worker: WorkerId) -> Outcome<Vec<TaskId>> {
    task_ids(sql, STOPPING, [worker])
}

pub(super) const STOPPING: &str =
    "SELECT id FROM task WHERE state = 'running' AND worker_id = ?1 AND cancel_at IS NOT NULL";

/// Since when the task at the head of some lane of each pool waits: no more than its lanes are looked at.
pub(super) fn waiting(sql: &Connection, pools: &[String]) -> Outcome<Vec<Option<TimestampMs>>> {
    pools.iter().map(|pool| Ok(sql.prepare_cached(WAITING)?.query_row([pool], |row| row.get(0))?)).collect()
}

pub(super) const WAITING: &str = "SELECT min((SELECT ready_at FROM task
    WHERE state = 'ready' AND pool = lane.pool AND tenant_id = lane.tenant_id
    ORDER BY priority, ready_at, id LIMIT 1))
  FROM lane INDEXED BY lane_pick
 WHERE pool = ?1 AND ready > 0 AND paused = 0 AND (max_running IS NULL OR running < max_running)";

/// A sign of life, its progress put into words.
pub(super) struct BeatParcel {
    pub(super) task: TaskId,
    pub(super) token: LeaseToken,
    pub(super) progress: Option<String>,
}

pub(super) fn heartbeat(tx: &Tx<'_>, worker: WorkerId, beats: &[BeatParcel]) -> Outcome<Vec<BeatAnswer>> {
    require_active(tx, worker)?;
    change(tx.sql, "UPDATE worker SET seen_at = ?2 WHERE id = ?1", params![worker, tx.now])?;
    beats.iter().map(|beat| renew(tx, worker, beat)).collect()
}

fn renew(tx: &Tx<'_>, worker: WorkerId, beat: &BeatParcel) -> Outcome<BeatAnswer> {
    let cancelled = first(
        tx.sql,
        "UPDATE task SET lease_until = ?4, progress = coalesce(?5, progress)
          WHERE id = ?1 AND lease_token = ?2 AND worker_id = ?3 AND state = 'running'
         RETURNING cancel_at IS NOT NULL",
        params![beat.task, beat.token, worker, tx.now.after(LEASE), beat.progress],
        |row| Ok(row.get::<_, bool>(0)?),
    )?;
    Ok(match cancelled {
        None => BeatAnswer::Lost,
        Some(true) => BeatAnswer::Cancel,
        Some(false) => BeatAnswer::Continue,
    })
}

/// Progress as it is stored.
pub(super) fn progress_text(progress: Option<&Value>) -> crate::error::Result<Option<String>> {
    progress.map(|value| super::parcel::payload("a task's progress", value)).transpose()
}
