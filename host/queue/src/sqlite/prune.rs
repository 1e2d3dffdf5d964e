//! Forgetting runs that are over, and copying the whole database while others work.

use std::path::Path;
use std::sync::Arc;

use rusqlite::named_params;

use super::columns::{all, change, first};
use super::connection;
use super::fault::{Outcome, words};
use super::writer::Tx;
use crate::control::{PrunePolicy, Pruned};
use crate::error::{QueueError, Result};
use crate::ids::RunId;
use crate::limits::PRUNE_BATCH;
use crate::store::Trial;

/// Runs that the policy would forget, oldest first, at most a batch.
const DUE: &str = "SELECT id FROM run
  WHERE finished_at IS NOT NULL AND finished_at < :before
    AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
    AND (:tenant IS NULL OR tenant_id = (SELECT id FROM tenant WHERE name = :tenant))
    AND id NOT IN (SELECT id FROM run WHERE finished_at IS NOT NULL ORDER BY finished_at DESC, id DESC LIMIT :keep)
  ORDER BY finished_at, id LIMIT :limit";

/// Forgets at most a batch of runs, so that nobody has to wait long for the writer; call again until none is left. A trial
/// only counts, all of them.
pub(super) fn prune(tx: &Tx<'_>, policy: &PrunePolicy, trial: Trial) -> Outcome<Pruned> {
    let states = serde_json::to_string(&policy.states).unwrap_or_else(|_| "[]".to_owned());
    let runs = all(
        tx.sql,
        DUE,
        named_params! {
            ":before": policy.finished_before,
            ":states": states,
            ":tenant": policy.tenant,
            ":keep": policy.keep,
            ":limit": if trial == Trial::Dry { i64::MAX } else { PRUNE_BATCH.into() },
        },
        |row| Ok(row.get::<_, RunId>(0)?),
    )?;
    let mut pruned = Pruned::default();
    for run in runs {
        let count = |query: &str| -> Outcome<u64> {
            Ok(first(tx.sql, query, [run], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).unsigned_abs())
        };
        pruned.tasks += count("SELECT count(*) FROM task WHERE run_id = ?1")?;
        pruned.events += count("SELECT count(*) FROM event WHERE run_id = ?1")?;
        if trial == Trial::Real {
            change(tx.sql, "DELETE FROM run WHERE id = ?1", [run])?;
        }
        pruned.runs.push(run);
    }
    if trial == Trial::Real && !pruned.runs.is_empty() {
        let gone = change(
            tx.sql,
            "DELETE FROM artifact WHERE NOT EXISTS (SELECT 1 FROM task_artifact t
               WHERE t.tenant_id = artifact.tenant_id AND t.hash = artifact.hash)",
            [],
        )?;
        pruned.artifacts = gone as u64;
    }
    Ok(pruned)
}

/// Writes a whole, compact copy of one moment of the database, while others go on writing. Never replaces a file.
pub(super) fn backup(from: &Path, to: &Path) -> Result<()> {
    let io = |cause: std::io::Error| QueueError::Io { path: to.to_owned(), cause: Arc::new(cause) };
    if to.exists() {
        return Err(io(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "it is there already")));
    }
    let unfinished = to.with_extension("partial");
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(io)?;
    }
    let copied = copy(from, &unfinished).map_err(|fault| fault.at(to));
    if let Err(error) = copied {
        // Half a copy must not be mistaken for one.
        let _ = std::fs::remove_file(&unfinished);
        return Err(error);
    }
    std::fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(io)?;
    std::fs::rename(&unfinished, to).map_err(io)
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    let Some(target) = to.to_str() else {
        return Err(QueueError::CannotOpen { path: to.to_owned(), cause: words("its name is not Unicode") }.into());
    };
    let connection = connection::open_reader(from)?;
    connection.execute("VACUUM INTO ?1", [target])?;
    Ok(())
}
