//! Rules that must hold whatever happened: each is a query that finds what breaks it.

use rusqlite::Connection;

use super::columns::all;
use super::fault::Outcome;
use crate::view::Finding;

/// Name of the rule, and a query whose every row is a sentence about what breaks it.
pub(super) const RULES: &[(&str, &str)] = &[
    (
        "pending_deps",
        "SELECT format('task %d waits for %d parents by its counter, and for %d by its edges',
                       t.id, t.pending_deps, t.open)
           FROM (SELECT id, pending_deps,
                        (SELECT count(*) FROM task_dep d JOIN task p ON p.id = d.parent_id
                          WHERE d.child_id = task.id AND p.finished_at IS NULL) AS open
                   FROM task WHERE state = 'blocked') t
          WHERE t.pending_deps <> t.open OR t.pending_deps = 0",
    ),
    (
        "no_hope",
        "SELECT format('task %d is %s, and needs the result of task %d, which is %s', c.id, c.state, p.id, p.state)
           FROM task c JOIN task_dep d ON d.child_id = c.id JOIN task p ON p.id = d.parent_id
          WHERE c.state IN ('blocked', 'scheduled', 'paused', 'ready') AND c.on_dep_failure = 'skip'
            AND p.state IN ('failed', 'cancelled', 'skipped')",
    ),
    (
        "lane_counters",
        "SELECT format('lane %s of tenant %d counts %d ready and %d running, and has %d and %d',
                       pool, tenant_id, sum(lr), sum(lu), sum(tr), sum(tu))
           FROM (SELECT pool, tenant_id, ready AS lr, running AS lu, 0 AS tr, 0 AS tu FROM lane
                 UNION ALL
                 SELECT pool, tenant_id, 0, 0, state = 'ready', state = 'running' FROM task)
          GROUP BY pool, tenant_id HAVING sum(lr) <> sum(tr) OR sum(lu) <> sum(tu)",
    ),
    (
        "run_counters",
        "SELECT format('run %d counts %d open and %d failed tasks, and has %d and %d',
                       id, open_tasks, failed_tasks, open, failed)
           FROM (SELECT r.id, r.open_tasks, r.failed_tasks,
                        count(t.id) FILTER (WHERE t.finished_at IS NULL) AS open,
                        count(t.id) FILTER (WHERE t.state = 'failed') AS failed
                   FROM run r LEFT JOIN task t ON t.run_id = r.id GROUP BY r.id)
          WHERE open_tasks <> open OR failed_tasks <> failed",
    ),
    (
        "paused_run",
        "SELECT format('task %d is %s, and its run %d is %s', t.id, t.state, r.id,
                       CASE WHEN r.paused_at IS NULL THEN 'not paused' ELSE 'paused' END)
           FROM task t JOIN run r ON r.id = t.run_id
          WHERE (t.state = 'paused' AND r.paused_at IS NULL)
             OR (t.state IN ('ready', 'scheduled') AND r.paused_at IS NOT NULL)",
    ),
    (
        "run_state",
        "SELECT format('run %d is %s with %d open tasks', id, state, open_tasks)
           FROM run WHERE (state = 'active') <> (open_tasks > 0)",
    ),
    (
        "open_attempt",
        "SELECT format('task %d is %s and has %d open attempts', id, state, open)
           FROM (SELECT t.id, t.state,
                        count(a.token) FILTER (WHERE a.ended_at IS NULL) AS open,
                        count(a.token) FILTER (WHERE a.ended_at IS NULL
                                                 AND a.token = t.lease_token) AS current
                   FROM task t LEFT JOIN attempt a ON a.task_id = t.id GROUP BY t.id)
          WHERE open <> (state = 'running') OR open <> current",
    ),
    (
        "succeeded_once",
        "SELECT format('task %d is %s and succeeded %d times', id, state, times)
           FROM (SELECT t.id, t.state,
                        count(a.token) FILTER (WHERE a.outcome = 'succeeded') - t.redone AS times
                   FROM task t LEFT JOIN attempt a ON a.task_id = t.id GROUP BY t.id)
          WHERE times <> (state = 'succeeded')",
    ),
    (
        "event_gap",
        "SELECT format('run %d has %d events up to number %d, and will write number %d next',
                       id, many, last, next_seq)
           FROM (SELECT r.id, r.next_seq, count(e.seq) AS many, coalesce(max(e.seq), 0) AS last
                   FROM run r LEFT JOIN event e ON e.run_id = r.id WHERE r.forgotten_at IS NULL GROUP BY r.id)
          WHERE many <> last OR next_seq <> last + 1",
    ),
    (
        "foreign_keys",
        "SELECT format('table %s, row %s refers to a row of %s that does not exist',
                       \"table\", coalesce(rowid, '?'), parent) FROM pragma_foreign_key_check",
    ),
    ("file", "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
];

pub(super) fn check(sql: &Connection) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for &(rule, query) in RULES {
        findings.extend(all(sql, query, [], |row| Ok(Finding { rule, detail: row.get(0)? }))?);
    }
    Ok(findings)
}
