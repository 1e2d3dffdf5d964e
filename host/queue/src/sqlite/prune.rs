//! Forgetting runs that are over, a few rows at a time, so that a host beside it is never held up for long.

use rusqlite::{Connection, named_params, params};

use super::columns::{all, change, first};
use super::fault::Outcome;
use super::ledger::{event, signed};
use super::writer::Tx;
use crate::control::{Expired, PrunePolicy, Pruned};
use crate::error::QueueError;
use crate::ids::{ArtifactHash, RunId, TimestampMs};
use crate::limits::{PRUNE_ROWS, ROWS_OF_A_TASK};
use crate::state::EventKind;

/// Runs that the policy would forget, oldest first. What is kept is counted for each tenant among the runs that the policy
/// speaks of. What was begun is finished, whatever the policy.
pub(super) const DUE: &str = "SELECT id, finished_at FROM (
    SELECT id, finished_at, row_number() OVER (PARTITION BY tenant_id ORDER BY finished_at DESC, id DESC) AS place
      FROM run
     WHERE finished_at IS NOT NULL AND forgotten_at IS NULL
       AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
       AND (:tenant IS NULL OR tenant_id = (SELECT id FROM tenant WHERE name = :tenant)))
  WHERE place > :keep AND finished_at < :before
 UNION ALL
 SELECT id, finished_at FROM run WHERE forgotten_at IS NOT NULL
 ORDER BY finished_at, id";

pub(super) fn due(sql: &Connection, policy: &PrunePolicy) -> Outcome<Vec<RunId>> {
    let states = serde_json::to_string(&policy.states).unwrap_or_else(|_| "[]".to_owned());
    let params = named_params! {
        ":before": policy.finished_before,
        ":states": states,
        ":tenant": policy.tenant,
        ":keep": policy.keep,
    };
    all(sql, DUE, params, |row| Ok(row.get(0)?))
}

/// Counts all that the policy would forget.
pub(super) fn rehearse(sql: &Connection, policy: &PrunePolicy) -> Outcome<Pruned> {
    let mut pruned = Pruned { runs: due(sql, policy)?, ..Pruned::default() };
    for run in &pruned.runs {
        pruned.tasks += count(sql, "SELECT count(*) FROM task WHERE run_id = ?1", *run)?.unsigned_abs();
        pruned.events += count(sql, "SELECT count(*) FROM event WHERE run_id = ?1", *run)?.unsigned_abs();
    }
    Ok(pruned)
}

/// Forgets some of these runs, unless somebody has set them going again: about [`PRUNE_ROWS`] rows, or one run's tasks.
pub(super) fn forget(tx: &Tx<'_>, due: &[RunId], before: TimestampMs) -> Outcome<Pruned> {
    let mut pruned = Pruned { more: true, ..Pruned::default() };
    let mut rows = 0;
    for run in due {
        // Who holds a number of it finds that it is gone, and nobody sets half of it going again.
        let begun = change(
            tx.sql,
            "UPDATE run SET forgotten_at = coalesce(forgotten_at, ?3), idem_key = NULL
              WHERE id = ?1 AND (forgotten_at IS NOT NULL OR finished_at < ?2)",
            params![run, before, tx.now],
        )?;
        if begun == 0 {
            continue;
        }
        let events = signed(change(
            tx.sql,
            "DELETE FROM event WHERE run_id = ?1 AND seq < ?2 +
               (SELECT coalesce(min(seq), 0) FROM event WHERE run_id = ?1)",
            params![run, PRUNE_ROWS.saturating_sub(rows)],
        )?);
        (pruned.events, rows) = (pruned.events + events.unsigned_abs(), rows + events);
        // Tasks go with their run in one piece: half a run must not be set going again.
        let tasks = count(tx.sql, "SELECT count(*) FROM task WHERE run_id = ?1", *run)?;
        let is_whole = count(tx.sql, "SELECT count(*) FROM event WHERE run_id = ?1", *run)? == 0;
        if !is_whole || (rows > 0 && rows + tasks * ROWS_OF_A_TASK > PRUNE_ROWS) {
            break;
        }
        pruned.artifacts += forget_tasks(tx, *run)?;
        (pruned.tasks, rows) = (pruned.tasks + tasks.unsigned_abs(), rows + tasks * ROWS_OF_A_TASK);
        pruned.runs.push(*run);
    }
    Ok(pruned)
}

/// Removes a run with its tasks, and the files that only they used; how many of those.
fn forget_tasks(tx: &Tx<'_>, run: RunId) -> Outcome<u64> {
    let used = all(
        tx.sql,
        "SELECT a.tenant_id, a.hash FROM task t JOIN task_artifact a ON a.task_id = t.id WHERE t.run_id = ?1
         UNION SELECT a.tenant_id, a.hash FROM task t JOIN take_artifact a ON a.task_id = t.id WHERE t.run_id = ?1",
        [run],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, ArtifactHash>(1)?)),
    )?;
    change(tx.sql, "DELETE FROM run WHERE id = ?1", [run])?;
    let mut gone = 0;
    for (tenant, hash) in used {
        gone += forget_unused(tx, tenant, &hash)? as u64;
    }
    Ok(gone)
}

/// Files that tasks and takes of a run have made, in other slots than these: the tenant, the hash and the bytes of each.
const MADE: &str = "SELECT DISTINCT a.tenant_id, a.hash, a.bytes FROM (
    SELECT m.tenant_id, m.hash FROM task t JOIN task_artifact m ON m.task_id = t.id AND m.role = 'made'
     WHERE t.run_id = ?1 AND m.slot NOT IN (SELECT value FROM json_each(?2))
    UNION SELECT m.tenant_id, m.hash FROM task t JOIN take_artifact m ON m.task_id = t.id
     WHERE t.run_id = ?1 AND m.slot NOT IN (SELECT value FROM json_each(?2))) m
  JOIN artifact a ON a.tenant_id = m.tenant_id AND a.hash = m.hash";

type Made = (i64, ArtifactHash, i64);

fn made(sql: &Connection, run: RunId, keep: &str) -> Outcome<Vec<Made>> {
    all(sql, MADE, params![run, keep], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

fn refuse_active(sql: &Connection, run: RunId) -> Outcome<()> {
    match first(sql, "SELECT state = 'active' FROM run WHERE id = ?1", [run], |row| Ok(row.get::<_, bool>(0)?))? {
        None => Err(QueueError::UnknownRun(run.to_string()).into()),
        Some(true) => Err(QueueError::StillActive(run).into()),
        Some(false) => Ok(()),
    }
}

/// What [`expire`] would forget.
pub(super) fn expirable(sql: &Connection, run: RunId, keep: &str) -> Outcome<Expired> {
    refuse_active(sql, run)?;
    let made = made(sql, run, keep)?;
    Ok(Expired { files: made.len() as u64, bytes: made.iter().map(|(.., bytes)| bytes.unsigned_abs()).sum() })
}

/// Forgets files that a run has made, in other slots than these.
pub(super) fn expire(tx: &Tx<'_>, run: RunId, keep: &str) -> Outcome<Expired> {
    refuse_active(tx.sql, run)?;
    let made = made(tx.sql, run, keep)?;
    for table in [
        "DELETE FROM task_artifact WHERE role = 'made' AND slot NOT IN (SELECT value FROM json_each(?2))
            AND task_id IN (SELECT id FROM task WHERE run_id = ?1)",
        "DELETE FROM take_artifact WHERE slot NOT IN (SELECT value FROM json_each(?2))
            AND task_id IN (SELECT id FROM task WHERE run_id = ?1)",
    ] {
        change(tx.sql, table, params![run, keep])?;
    }
    for (tenant, hash, _) in &made {
        forget_unused(tx, *tenant, hash)?;
    }
    let expired =
        Expired { files: made.len() as u64, bytes: made.iter().map(|(.., bytes)| bytes.unsigned_abs()).sum() };
    if expired.files > 0 {
        let data =
            serde_json::json!({ "label": "expired", "data": { "files": expired.files, "bytes": expired.bytes } });
        event(tx, run, None, EventKind::Reported, &data)?;
    }
    Ok(expired)
}

/// Forgets a file that nothing refers to; how many.
fn forget_unused(tx: &Tx<'_>, tenant: i64, hash: &ArtifactHash) -> Outcome<usize> {
    change(
        tx.sql,
        "DELETE FROM artifact WHERE tenant_id = ?1 AND hash = ?2
            AND NOT EXISTS (SELECT 1 FROM task_artifact t WHERE t.hash = ?2 AND t.tenant_id = ?1)
            AND NOT EXISTS (SELECT 1 FROM take_artifact t WHERE t.hash = ?2 AND t.tenant_id = ?1)",
        params![tenant, hash],
    )
}

fn count(sql: &Connection, query: &str, run: RunId) -> Outcome<i64> {
    Ok(first(sql, query, [run], |row| Ok(row.get(0)?))?.unwrap_or(0))
}
