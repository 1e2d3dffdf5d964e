//! What is kept of runs that are over: films, what lies beside them, and what they were made from always; what was made on the way
//! (clips, guides, encoded parts, logs, former takes) until it is too old, or there is too much of it.

use crate::error::EngineError;
use crate::task::slot;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use travel_artifacts::{Artifacts, Hash};
use travel_queue::limits::MAX_ROWS;
use travel_queue::{Expired, QueueError, RunFilter, RunId, RunState, Store, TimestampMs, Trial};

/// Runs that are read at once.
const PAGE: u32 = 100;

/// Slots of what is kept.
const FINALS: [&str; 4] = [slot::FILM, slot::SHEET, slot::SEAMS, slot::MANIFEST];

/// When what was made on the way goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CleanUp {
    /// Of runs that ended longer ago than this.
    pub older_than: Option<Duration>,
    /// Of the runs that ended longest ago, while all together take more bytes than this.
    pub max_bytes: Option<u64>,
}

/// What a clean-up has done, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CleanedUp {
    /// Whether nothing was done, and this is what would be.
    pub dry_run: bool,
    /// Runs whose files have expired.
    pub runs: Vec<ExpiredRun>,
    /// Bytes of what was made on the way by the other runs that are over.
    pub kept_bytes: u64,
    /// Runs that keep all, and are passed over.
    pub keep_all: u64,
    /// Stored files that nothing refers to any more and that were removed; in a trial only those that there were before.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
}

/// A run of which only films, and what they were made from, are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpiredRun {
    /// Which.
    pub run: RunId,
    /// What people call it.
    pub name: String,
    /// What went.
    #[serde(flatten)]
    pub expired: Expired,
}

/// Cleans up by a policy. Files so young that a submission may be about to name them stay, whoever refers to them.
///
/// # Errors
/// A queue that cannot be read or told, a file that cannot be removed.
pub fn clean_up(
    store: &dyn Store,
    artifacts: &Artifacts,
    policy: CleanUp,
    now: TimestampMs,
    trial: Trial,
) -> Result<CleanedUp, EngineError> {
    let mut done = CleanedUp { dry_run: trial == Trial::Dry, ..CleanedUp::default() };
    // Newest first: what has room stays.
    for run in over(store)? {
        if run.keeps_all {
            done.keep_all += 1;
            continue;
        }
        let Some(made) = unless_it_moved(store.expire(run.id, &FINALS, Trial::Dry))? else { continue };
        if made.files == 0 {
            continue;
        }
        let age = run.finished_at.until(now);
        let is_old = policy.older_than.is_some_and(|most| age > most);
        let is_too_much = policy.max_bytes.is_some_and(|most| done.kept_bytes.saturating_add(made.bytes) > most);
        if !is_old && !is_too_much {
            done.kept_bytes = done.kept_bytes.saturating_add(made.bytes);
            continue;
        }
        let expired = match trial {
            Trial::Dry => Some(made),
            Trial::Real => unless_it_moved(store.expire(run.id, &FINALS, Trial::Real))?,
        };
        let Some(expired) = expired else { continue };
        done.runs.push(ExpiredRun { run: run.id, name: run.name, expired });
    }
    (done.removed, done.removed_bytes) = remove_orphans(store, artifacts, trial)?;
    Ok(done)
}

/// A run as far as a clean-up needs it: specifications of long runs are megabytes.
struct Over {
    id: RunId,
    name: String,
    finished_at: TimestampMs,
    keeps_all: bool,
}

/// Nothing of a run that was set going again or forgotten since it was listed.
fn unless_it_moved(expired: Result<Expired, QueueError>) -> Result<Option<Expired>, EngineError> {
    match expired {
        Err(QueueError::StillActive(_) | QueueError::UnknownRun(_)) => Ok(None),
        expired => Ok(Some(expired?)),
    }
}

/// Runs that are over, the one that ended last first.
fn over(store: &dyn Store) -> Result<Vec<Over>, EngineError> {
    let mut all = Vec::new();
    for state in [RunState::Succeeded, RunState::Failed, RunState::Cancelled] {
        let mut filter = RunFilter { state: Some(state), ..RunFilter::default() };
        loop {
            let page = store.runs(&filter, PAGE)?;
            let (last, is_last) = (page.last().map(|run| run.id), page.len() < PAGE as usize);
            all.extend(page.into_iter().map(|run| Over {
                id: run.id,
                keeps_all: run.spec.pointer("/output/keep_all") == Some(&Value::Bool(true)),
                finished_at: run.finished_at.unwrap_or(run.created_at),
                name: run.name,
            }));
            if is_last {
                break;
            }
            filter.before = last;
        }
    }
    all.sort_by_key(|run| (std::cmp::Reverse(run.finished_at), std::cmp::Reverse(run.id)));
    Ok(all)
}

/// Removes stored files that no row refers to, but for those so young that a submission may be about to name them; how many, and
/// their bytes.
///
/// # Errors
/// A queue or a folder that cannot be read, a file that cannot be removed.
pub fn remove_orphans(store: &dyn Store, artifacts: &Artifacts, trial: Trial) -> Result<(u64, u64), EngineError> {
    let mut known = HashSet::new();
    let mut after = None;
    loop {
        let page = store.artifact_refs(after, MAX_ROWS)?;
        let Some(last) = page.last() else { break };
        after = Some(last.hash);
        known.extend(page.iter().map(|file| Hash::from_bytes(file.hash.0)));
    }
    let (mut files, mut size) = (0u64, 0u64);
    for (hash, bytes) in artifacts.unreferenced(|hash| known.contains(hash))? {
        // Somebody may have come to need it meanwhile.
        if trial == Trial::Dry || artifacts.remove_old(hash)? {
            (files, size) = (files.saturating_add(1), size.saturating_add(bytes));
        }
    }
    Ok((files, size))
}
