//! Reading runs, their events, and the files that rows refer to.

use rusqlite::{Connection, Row, named_params, params};
use serde_json::Value;

use super::columns::{all, first, json, optional_json, place, word};
use super::fault::Outcome;
use crate::error::QueueError;
use crate::ids::{ArtifactHash, RunId, Seq};
use crate::limits::MAX_ROWS;
use crate::view::{ArtifactRef, Event, RunFilter, RunKey, RunView};

macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, n.name, r.name, r.idem_key, r.state, io.spec, io.output, r.error,
                    r.open_tasks, r.failed_tasks, r.cancel_at, r.created_at, r.finished_at, r.paused_at
               FROM run r JOIN tenant n ON n.id = r.tenant_id JOIN run_io io ON io.run_id = r.id ",
            $rest
        )
    };
}

pub(super) fn runs(sql: &Connection, filter: &RunFilter, limit: u32) -> Outcome<Vec<RunView>> {
    let before = filter.before.map_or(i64::MAX, |run| run.0);
    let mut statement = sql.prepare_cached(select_run!(
        "WHERE r.id < :before AND r.forgotten_at IS NULL AND (:tenant IS NULL OR n.name = :tenant)
           AND (:name IS NULL OR r.name = :name)
           AND (:state IS NULL OR r.state = :state) ORDER BY r.id DESC LIMIT :limit"
    ))?;
    let mut rows = statement.query(named_params! {
        ":before": before,
        ":tenant": filter.tenant,
        ":name": filter.name,
        ":state": filter.state,
        ":limit": limit.min(MAX_ROWS),
    })?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(run_view(row)?);
    }
    Ok(runs)
}

pub(super) fn run(sql: &Connection, key: &RunKey) -> Outcome<RunView> {
    let found = match key {
        RunKey::Id(id) => first(sql, select_run!("WHERE r.id = ?1 AND r.forgotten_at IS NULL"), [id], run_view),
        RunKey::Name(name) => first(
            sql,
            select_run!("WHERE r.name = ?1 AND r.forgotten_at IS NULL ORDER BY r.id DESC LIMIT 1"),
            [name],
            run_view,
        ),
    }?;
    found.ok_or_else(|| QueueError::UnknownRun(key.to_string()).into())
}

/// Of some runs, those that are over or not there any more.
pub(super) fn ended(sql: &Connection, runs: &[RunId]) -> Outcome<Vec<RunId>> {
    let mut ended = Vec::new();
    for run in runs {
        let query = "SELECT 1 FROM run WHERE id = ?1 AND finished_at IS NULL";
        if first(sql, query, [run], |_| Ok(()))?.is_none() {
            ended.push(*run);
        }
    }
    Ok(ended)
}

fn run_view(row: &Row<'_>) -> Outcome<RunView> {
    let id: RunId = row.get(0)?;
    let state: String = row.get(4)?;
    let spec: String = row.get(5)?;
    Ok(RunView {
        id,
        tenant: row.get(1)?,
        name: row.get(2)?,
        idem_key: row.get(3)?,
        state: word(&state, place("run", "state", id.0))?,
        spec: json(&spec, place("run_io", "spec", id.0))?,
        output: optional_json(row.get(6)?, place("run_io", "output", id.0))?,
        error: row.get(7)?,
        open_tasks: row.get(8)?,
        failed_tasks: row.get(9)?,
        cancel_at: row.get(10)?,
        created_at: row.get(11)?,
        finished_at: row.get(12)?,
        paused_at: row.get(13)?,
    })
}

/// Refuses runs that do not exist, so that an empty list means an empty run.
pub(super) fn require(sql: &Connection, run: RunId) -> Outcome<()> {
    first(sql, "SELECT 1 FROM run WHERE id = ?1 AND forgotten_at IS NULL", [run], |_| Ok(()))?
        .ok_or_else(|| QueueError::UnknownRun(run.to_string()).into())
}

pub(super) fn events(sql: &Connection, run: RunId, after: Seq, limit: u32) -> Outcome<Vec<Event>> {
    require(sql, run)?;
    all(
        sql,
        "SELECT seq, task_id, at, kind, data FROM event
          WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        params![run, after, limit.min(MAX_ROWS)],
        |row| {
            let seq: Seq = row.get(0)?;
            let kind: String = row.get(3)?;
            let data = optional_json(row.get(4)?, place("event", "data", seq.0))?;
            Ok(Event {
                seq,
                task: row.get(1)?,
                at: row.get(2)?,
                kind: word(&kind, place("event", "kind", seq.0))?,
                data: data.unwrap_or(Value::Null),
            })
        },
    )
}

pub(super) fn artifact_refs(sql: &Connection, after: Option<ArtifactHash>, limit: u32) -> Outcome<Vec<ArtifactRef>> {
    // Below every hash: the empty blob sorts first.
    let after = after.map_or(Vec::new(), |hash| hash.0.to_vec());
    all(
        sql,
        "WITH used AS (
           SELECT hash, tenant_id, task_id, slot FROM task_artifact WHERE hash > ?1
           UNION SELECT hash, tenant_id, task_id, slot FROM take_artifact WHERE hash > ?1)
         SELECT a.hash, max(a.bytes), count(*) FROM used
           JOIN artifact a ON a.tenant_id = used.tenant_id AND a.hash = used.hash
          GROUP BY used.hash ORDER BY used.hash LIMIT ?2",
        params![after, limit.min(MAX_ROWS)],
        |row| Ok(ArtifactRef { hash: row.get(0)?, bytes: row.get::<_, i64>(1)?.unsigned_abs(), uses: row.get(2)? }),
    )
}
