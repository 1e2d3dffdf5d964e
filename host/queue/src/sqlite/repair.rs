//! Bringing counters and states in order with what they count. Edges, attempts and events are the truth; what can be
//! derived from them is derived anew. What cannot (a damaged file, a reference to nothing) is left to a backup.

use super::columns::change;
use super::fault::Outcome;
use super::writer::Tx;
use crate::control::Repair;

/// The rule that a statement mends, in the order in which they build on one another. Each changes only rows that are wrong.
pub(super) const REPAIRS: &[(&str, &str)] = &[
    (
        "open_attempt",
        "UPDATE attempt SET ended_at = started_at, outcome = 'lost', error = 'closed by a repair'
          WHERE ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM task t WHERE t.id = attempt.task_id
                                                   AND t.state = 'running' AND t.lease_token = attempt.token)",
    ),
    (
        "pending_deps",
        "UPDATE task SET pending_deps = (SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
                                          WHERE d.child_id = task.id AND p.finished_at IS NULL)
          WHERE state = 'blocked'
            AND pending_deps <> (SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
                                  WHERE d.child_id = task.id AND p.finished_at IS NULL)",
    ),
    ("pending_deps", "UPDATE task SET state = 'ready' WHERE state = 'blocked' AND pending_deps = 0"),
    (
        "paused_run",
        "UPDATE task SET state = 'paused' WHERE state IN ('ready', 'scheduled')
            AND run_id IN (SELECT id FROM run WHERE paused_at IS NOT NULL)",
    ),
    (
        "paused_run",
        // Its time may not have come; if it has, the next claim finds it.
        "UPDATE task SET state = 'scheduled' WHERE state = 'paused'
            AND run_id IN (SELECT id FROM run WHERE paused_at IS NULL)",
    ),
    (
        "lane_counters",
        "INSERT INTO lane(pool, tenant_id)
         SELECT DISTINCT pool, tenant_id FROM task WHERE state IN ('ready', 'running')
         ON CONFLICT DO NOTHING",
    ),
    (
        "lane_counters",
        "UPDATE lane SET
            ready = (SELECT count(*) FROM task WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'ready'),
            running = (SELECT count(*) FROM task WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'running')
          WHERE ready <> (SELECT count(*) FROM task WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'ready')
             OR running <> (SELECT count(*) FROM task
                             WHERE pool = lane.pool AND tenant_id = lane.tenant_id AND state = 'running')",
    ),
    (
        "run_counters",
        "UPDATE run SET
            open_tasks = (SELECT count(*) FROM task WHERE run_id = run.id AND finished_at IS NULL),
            failed_tasks = (SELECT count(*) FROM task WHERE run_id = run.id AND state = 'failed'),
            state = CASE WHEN EXISTS (SELECT 1 FROM task WHERE run_id = run.id AND finished_at IS NULL)
                         THEN 'active' ELSE state END,
            finished_at = CASE WHEN EXISTS (SELECT 1 FROM task WHERE run_id = run.id AND finished_at IS NULL)
                               THEN NULL ELSE finished_at END
          WHERE open_tasks <> (SELECT count(*) FROM task WHERE run_id = run.id AND finished_at IS NULL)
             OR failed_tasks <> (SELECT count(*) FROM task WHERE run_id = run.id AND state = 'failed')",
    ),
    (
        "run_state",
        "UPDATE run SET
            state = CASE WHEN cancel_at IS NOT NULL THEN 'cancelled' WHEN failed_tasks > 0 THEN 'failed'
                         WHEN EXISTS (SELECT 1 FROM task WHERE run_id = run.id AND state = 'cancelled') THEN 'cancelled'
                         ELSE 'succeeded' END,
            finished_at = coalesce((SELECT max(finished_at) FROM task WHERE run_id = run.id), created_at)
          WHERE state = 'active' AND open_tasks = 0",
    ),
    (
        "event_gap",
        "UPDATE run SET next_seq = (SELECT coalesce(max(seq), 0) + 1 FROM event WHERE run_id = run.id)
          WHERE next_seq <> (SELECT coalesce(max(seq), 0) + 1 FROM event WHERE run_id = run.id)",
    ),
];

/// Mends what can be mended; how many rows of each rule. The caller rolls it back when it was only asked what would be.
pub(super) fn repair(tx: &Tx<'_>) -> Outcome<Vec<Repair>> {
    let mut repairs: Vec<Repair> = Vec::new();
    for &(rule, statement) in REPAIRS {
        let rows = u32::try_from(change(tx.sql, statement, [])?).unwrap_or(u32::MAX);
        match repairs.iter_mut().find(|r| r.rule == rule) {
            _ if rows == 0 => {}
            Some(repair) => repair.rows = repair.rows.saturating_add(rows),
            None => repairs.push(Repair { rule, rows }),
        }
    }
    Ok(repairs)
}
