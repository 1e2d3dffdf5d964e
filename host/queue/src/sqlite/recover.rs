//! Taking back the work of workers that vanished.

use rusqlite::params;
use serde_json::json;

use super::claim::require_active;
use super::columns::change;
use super::fault::Outcome;
use super::finish::back_to_ready;
use super::ledger::{Held, close_cancelled, end_attempt, event, give_up, held_tasks};
use super::writer::Tx;
use crate::completion::Recovered;
use crate::ids::WorkerId;
use crate::limits::MAX_LOST;
use crate::state::{AttemptOutcome, EventKind};

pub(super) const HELD_BY_THE_DEAD: &str = "SELECT id, lease_token FROM task
  WHERE state = 'running' AND worker_id IN (SELECT id FROM worker WHERE id <> ?1 AND state = 'active')";
pub(super) const LEFT_BEHIND: &str = "SELECT t.id, t.lease_token FROM task t INDEXED BY task_worker
  CROSS JOIN worker w ON w.id = t.worker_id WHERE t.state = 'running' AND t.worker_id <> ?1 AND w.state = 'gone'";
pub(super) const LEASE_OVER: &str = "SELECT id, lease_token FROM task WHERE state = 'running' AND lease_until < ?1";

/// Takes back all that others hold; they are dead.
pub(super) fn recover(tx: &Tx<'_>, worker: WorkerId) -> Outcome<Recovered> {
    require_active(tx, worker)?;
    let left = held_tasks(tx, LEFT_BEHIND, [worker])?;
    let mut recovered = take_back(tx, left, Loss::Leave)?;
    let held = held_tasks(tx, HELD_BY_THE_DEAD, [worker])?;
    change(tx.sql, "UPDATE worker SET state = 'gone' WHERE id <> ?1 AND state = 'active'", [worker])?;
    recovered.extend(take_back(tx, held, Loss::Death)?);
    Ok(recovered)
}

/// Takes back all whose lease is over.
pub(super) fn expire_leases(tx: &Tx<'_>) -> Outcome<Recovered> {
    let held = held_tasks(tx, LEASE_OVER, [tx.now])?;
    take_back(tx, held, Loss::Silence)
}

/// How a worker was lost.
#[derive(Clone, Copy)]
enum Loss {
    /// Its process has ended: perhaps it was the task that killed it.
    Death,
    /// It took its leave, and was not let hand back what it held.
    Leave,
    /// It could not renew, as on a disk that hangs: no task does that.
    Silence,
}

impl Loss {
    const fn why(self) -> &'static str {
        match self {
            Self::Death => "its worker process ended without a word",
            Self::Leave => "its worker was told to end at once",
            Self::Silence => "its worker gave no sign of life until the lease was over",
        }
    }
}

fn take_back(tx: &Tx<'_>, tasks: Vec<Held>, loss: Loss) -> Outcome<Recovered> {
    let (mut recovered, why) = (Recovered::default(), loss.why());
    for held in tasks {
        if held.cancelled {
            close_cancelled(tx, &held)?;
            recovered.cancelled.push(held.task);
            continue;
        }
        end_attempt(tx, &held, AttemptOutcome::Lost, Some(why))?;
        let lost = match loss {
            Loss::Death if !held.waits => held.lost.saturating_add(1),
            Loss::Death | Loss::Leave | Loss::Silence => held.lost,
        };
        change(tx.sql, "UPDATE task SET lost = ?2 WHERE id = ?1", params![held.task, lost])?;
        event(tx, held.run, Some(held.task), EventKind::TaskLost, &json!({"lost": lost, "why": why}))?;
        if lost < MAX_LOST {
            back_to_ready(tx, &held)?;
            recovered.requeued.push(held.task);
        } else {
            let error =
                format!("{lost} worker processes vanished while they ran it ({why}): it probably makes them crash");
            give_up(tx, &held, "poison", &error)?;
            recovered.poisoned.push(held.task);
        }
    }
    Ok(recovered)
}
