//! Why a task does not run: the first thing that holds it up, looked for in the order in which a claim would meet it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::claim::POOL_PAUSED;
use super::columns::{all, first, place, word};
use super::fault::Outcome;
use super::read_tasks::view;
use crate::claim::Capacity;
use crate::control::{Explanation, OpenParent, Reason};
use crate::ids::{TaskId, TimestampMs};
use crate::limits::{EXPLAIN_PARENTS, MAX_ROWS};
use crate::state::TaskState;
use crate::view::TaskView;

pub(super) fn explain(sql: &Connection, task: TaskId, host_works: bool, now: TimestampMs) -> Outcome<Explanation> {
    let view = view(sql, task)?;
    let reason = match view.state {
        TaskState::Blocked => parents(sql, &view)?,
        TaskState::Paused => {
            let since: Option<TimestampMs> =
                first(sql, "SELECT coalesce(paused_at, created_at) FROM run WHERE id = ?1", [view.run], |row| {
                    Ok(row.get(0)?)
                })?;
            Reason::RunPaused { run: view.run, for_ms: ms(since.unwrap_or(now), now) }
        }
        // The next claim finds that its time has come.
        TaskState::Scheduled if view.ready_at <= now => ready(sql, &view, host_works, now)?,
        TaskState::Scheduled if view.error.is_none() => {
            Reason::NotBefore { in_ms: ms(now, view.ready_at), at: view.ready_at }
        }
        TaskState::Scheduled if view.failures == 0 || was_held(sql, &view)? => {
            Reason::Held { in_ms: ms(now, view.ready_at), error: view.error.clone() }
        }
        TaskState::Scheduled => Reason::Retry {
            in_ms: ms(now, view.ready_at),
            failures: view.failures,
            max_attempts: view.max_attempts,
            error: view.error.clone(),
        },
        TaskState::Ready => ready(sql, &view, host_works, now)?,
        TaskState::Running => running(sql, &view, host_works, now)?,
        TaskState::Succeeded | TaskState::Failed | TaskState::Cancelled | TaskState::Skipped => Reason::Over {
            ago_ms: ms(view.finished_at.unwrap_or(now), now),
            failures: view.failures,
            error: view.error.clone(),
        },
    };
    Ok(Explanation { task, name: view.name, state: view.state, reason })
}

/// Whether its last attempt was no failure.
fn was_held(sql: &Connection, view: &TaskView) -> Outcome<bool> {
    let query = "SELECT outcome = 'released' FROM attempt WHERE task_id = ?1 AND token = ?2";
    Ok(first(sql, query, params![view.id, view.token], |row| Ok(row.get(0)?))? == Some(true))
}

fn ms(from: TimestampMs, to: TimestampMs) -> u64 {
    u64::try_from(from.until(to).as_millis()).unwrap_or(u64::MAX)
}

fn parents(sql: &Connection, view: &TaskView) -> Outcome<Reason> {
    let of = first(sql, "SELECT count(*) FROM task_dep WHERE child_id = ?1", [view.id], |row| Ok(row.get(0)?))?;
    let open = all(
        sql,
        "SELECT p.id, p.name, p.state FROM task_dep d JOIN task p ON p.id = d.parent_id
          WHERE d.child_id = ?1 AND p.finished_at IS NULL ORDER BY p.id LIMIT ?2",
        params![view.id, EXPLAIN_PARENTS],
        |row| {
            let (task, state): (TaskId, String) = (row.get(0)?, row.get(2)?);
            Ok(OpenParent { task, name: row.get(1)?, state: word(&state, place("task", "state", task.0))? })
        },
    )?;
    Ok(Reason::Parents { open: view.pending_deps, of: of.unwrap_or(0), first: open })
}

struct Lane {
    tenant_id: i64,
    tenant: String,
    running: u32,
    max_running: Option<u32>,
    paused: bool,
}

fn ready(sql: &Connection, view: &TaskView, host_works: bool, now: TimestampMs) -> Outcome<Reason> {
    let pool = view.pool.clone();
    let count = |query: &str, params: &[&dyn rusqlite::ToSql]| -> Outcome<u32> {
        Ok(first(sql, query, params, |row| Ok(row.get(0)?))?.unwrap_or(0))
    };
    let offers = offers(sql)?;
    if !host_works || (offers.places.is_empty() && !offers.draining) {
        return Ok(Reason::NoHost { last_seen_ms_ago: offers.last_seen.map(|at| ms(at, now)) });
    }
    if offers.places.is_empty() {
        return Ok(Reason::Draining { running: count("SELECT coalesce(sum(running), 0) FROM lane", &[])? });
    }
    let Some(places) = offers.places.get(&pool).copied().filter(|n| *n > 0) else {
        return Ok(Reason::NoWorkerOffers { pool, offered: offers.places.into_keys().collect() });
    };
    if first(sql, POOL_PAUSED, [&pool], |_| Ok(()))?.is_some() {
        return Ok(Reason::PoolPaused { pool });
    }
    let lane = first(
        sql,
        "SELECT l.tenant_id, n.name, l.running, l.max_running, l.paused
           FROM lane l JOIN task t ON t.pool = l.pool AND t.tenant_id = l.tenant_id
           JOIN tenant n ON n.id = l.tenant_id WHERE t.id = ?1",
        [view.id],
        |row| {
            Ok(Lane {
                tenant_id: row.get(0)?,
                tenant: row.get(1)?,
                running: row.get(2)?,
                max_running: row.get(3)?,
                paused: row.get(4)?,
            })
        },
    )?;
    let Some(lane) = lane else { return Ok(Reason::InLine { pool, ahead: 0, other_tenants: 0, running: 0, places }) };
    if lane.paused {
        return Ok(Reason::LanePaused { pool, tenant: lane.tenant });
    }
    if let Some(max_running) = lane.max_running.filter(|max| lane.running >= *max) {
        return Ok(Reason::TenantLimit { pool, tenant: lane.tenant, running: lane.running, max_running });
    }
    if let Some(task) = offers.kept.get(&pool) {
        return Ok(Reason::Kept { pool, r#for: *task });
    }
    let ahead = count(
        "SELECT count(*) FROM (SELECT 1 FROM task WHERE state = 'ready' AND pool = ?1 AND tenant_id = ?2
           AND (priority, ready_at, id) < (?3, ?4, ?5) LIMIT ?6)",
        params![pool, lane.tenant_id, view.priority, view.ready_at, view.id, MAX_ROWS],
    )?;
    let other_tenants = count(
        "SELECT count(*) FROM lane WHERE pool = ?1 AND tenant_id <> ?2 AND ready > 0",
        params![pool, lane.tenant_id],
    )?;
    let running = count("SELECT coalesce(sum(running), 0) FROM lane WHERE pool = ?1", params![pool])?;
    Ok(Reason::InLine { pool, ahead, other_tenants, running, places })
}

/// What workers offer that have not left.
#[derive(Default)]
struct Offers {
    /// Places of each pool over all that claim.
    places: BTreeMap<String, u32>,
    /// Pools whose places are all kept free, and for which task.
    kept: BTreeMap<String, TaskId>,
    /// Whether some of them claim nothing more.
    draining: bool,
    /// When any worker gave a sign of life last.
    last_seen: Option<TimestampMs>,
}

fn offers(sql: &Connection) -> Outcome<Offers> {
    let workers =
        all(sql, "SELECT capacity, seen_at, state = 'active' FROM worker ORDER BY id DESC LIMIT 100", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, TimestampMs>(1)?, row.get::<_, bool>(2)?))
        })?;
    let mut offers = Offers { last_seen: workers.iter().map(|(_, seen_at, _)| *seen_at).max(), ..Offers::default() };
    let mut open = BTreeSet::new();
    for (capacity, _, _) in workers.iter().filter(|(_, _, active)| *active) {
        // What a worker of an earlier version wrote of itself is no reason to fail; it is gone at the next start.
        let Capacity { pools, kept, draining } = serde_json::from_str(capacity).unwrap_or_default();
        if draining {
            offers.draining = true;
            continue;
        }
        open.extend(pools.keys().filter(|pool| !kept.contains_key(*pool)).cloned());
        offers.kept.extend(kept);
        for (pool, n) in pools {
            *offers.places.entry(pool).or_insert(0) += n;
        }
    }
    offers.kept.retain(|pool, _| !open.contains(pool));
    Ok(offers)
}

fn running(sql: &Connection, view: &TaskView, host_works: bool, now: TimestampMs) -> Outcome<Reason> {
    let host = first(sql, "SELECT host FROM worker WHERE id = ?1", [view.worker], |row| Ok(row.get(0)?))?;
    let (worker, host) = (view.worker.unwrap_or(crate::ids::WorkerId(0)), host.unwrap_or_default());
    let (for_ms, stopping) = (ms(view.started_at.unwrap_or(now), now), view.cancel_at.is_some());
    if !host_works {
        return Ok(Reason::Left { worker, host, for_ms, stopping });
    }
    let place = "SELECT charged_from IS NULL, waits FROM task WHERE id = ?1";
    let place = first(sql, place, [view.id], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?)))?;
    Ok(match place {
        Some((true, waits)) => Reason::Prepared { worker, host, for_ms, waits, stopping },
        _ => Reason::Running { worker, host, for_ms, progress: view.progress.clone(), stopping },
    })
}
