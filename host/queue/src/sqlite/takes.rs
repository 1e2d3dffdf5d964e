//! What successes gave, kept: to be found by the hash of what they were made from, or chosen again.

use rusqlite::{Connection, params};

use super::columns::{all, change, first, json, place};
use super::fault::Outcome;
use super::ledger::Held;
use super::read_tasks::slot_artifact;
use super::writer::Tx;
use crate::error::QueueError;
use crate::ids::{LeaseToken, TaskId};
use crate::submission::SlotArtifact;
use crate::take::{Memo, Take};

/// Keeps what a task has just given, as its take. The same from the same inputs once more is the take that it has already.
pub(super) fn keep(tx: &Tx<'_>, held: &Held, memo: Option<Memo>, output: &str, made: &[SlotArtifact]) -> Outcome<()> {
    let known = match memo {
        Some(memo) => first(tx.sql, OWN, params![held.task, memo], |row| Ok(row.get::<_, LeaseToken>(0)?))?,
        None => None,
    };
    let token = match known {
        Some(token) if same_files(&artifacts(tx.sql, held.task, token)?, made) => token,
        _ => {
            change(
                tx.sql,
                "INSERT INTO take(task_id, token, tenant_id, memo, input, output, created_at)
                 SELECT ?1, ?2, ?3, ?4, input, ?5, ?6 FROM task_io WHERE task_id = ?1",
                params![held.task, held.token, held.tenant, memo, output, tx.now],
            )?;
            for file in made {
                change(
                    tx.sql,
                    "INSERT INTO take_artifact(task_id, token, slot, tenant_id, hash) VALUES(?1, ?2, ?3, ?4, ?5)",
                    params![held.task, held.token, file.slot, held.tenant, file.hash],
                )?;
            }
            held.token
        }
    };
    change(tx.sql, "UPDATE task SET take = ?2 WHERE id = ?1", params![held.task, token])?;
    Ok(())
}

/// Whether a take holds all of what was made now; it may hold more, as what was said while it was made.
fn same_files(known: &[SlotArtifact], made: &[SlotArtifact]) -> bool {
    let holds = |file: &SlotArtifact| known.iter().any(|o| (&o.slot, o.hash) == (&file.slot, file.hash));
    made.iter().all(holds)
}

const OWN: &str = "SELECT token FROM take WHERE task_id = ?1 AND memo = ?2 ORDER BY token DESC LIMIT 1";

/// Newest first, as a later one is the likelier to have all its files; not one whose files have expired.
pub(super) const BY_MEMO: &str = "SELECT task_id, token FROM take
  WHERE tenant_id = (SELECT id FROM tenant WHERE name = ?1) AND memo = ?2
    AND EXISTS (SELECT 1 FROM take_artifact a WHERE a.task_id = take.task_id AND a.token = take.token)
  ORDER BY created_at DESC LIMIT 1";

/// What was made for this tenant from inputs of that hash.
pub(super) fn by_memo(sql: &Connection, tenant: &str, memo: Memo) -> Outcome<Option<Take>> {
    match first(sql, BY_MEMO, params![tenant, memo], |row| Ok((row.get(0)?, row.get(1)?)))? {
        Some((task, token)) => take(sql, task, token).map(Some),
        None => Ok(None),
    }
}

/// All of a task, oldest first.
pub(super) fn of_task(sql: &Connection, task: TaskId) -> Outcome<Vec<Take>> {
    let tokens: Vec<LeaseToken> =
        all(sql, "SELECT token FROM take WHERE task_id = ?1 ORDER BY token", [task], |row| Ok(row.get(0)?))?;
    tokens.into_iter().map(|token| take(sql, task, token)).collect()
}

/// One of a task.
pub(super) fn take(sql: &Connection, task: TaskId, token: LeaseToken) -> Outcome<Take> {
    let found = first(
        sql,
        "SELECT k.input, k.output, k.created_at, coalesce(t.take = k.token, 0) AND t.state = 'succeeded'
           FROM take k JOIN task t ON t.id = k.task_id WHERE k.task_id = ?1 AND k.token = ?2",
        params![task, token],
        |row| {
            let (input, output): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(Take {
                task,
                token,
                input: json(&input, place("take", "input", task.0))?,
                output: json(&output, place("take", "output", task.0))?,
                made: Vec::new(),
                created_at: row.get(2)?,
                is_chosen: row.get(3)?,
            })
        },
    )?;
    let mut take = found.ok_or(QueueError::UnknownTake { task, token })?;
    take.made = artifacts(sql, task, token)?;
    Ok(take)
}

fn artifacts(sql: &Connection, task: TaskId, token: LeaseToken) -> Outcome<Vec<SlotArtifact>> {
    all(
        sql,
        "SELECT t.slot, a.hash, a.bytes, a.media FROM take_artifact t
           JOIN artifact a ON a.tenant_id = t.tenant_id AND a.hash = t.hash
          WHERE t.task_id = ?1 AND t.token = ?2 ORDER BY t.slot",
        params![task, token],
        slot_artifact,
    )
}
