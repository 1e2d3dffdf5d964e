//! The fair share: weights, limits, and every lane's place.

use rusqlite::{Connection, params};

use super::columns::{all, change, first};
use super::fault::Outcome;
use super::submit::tenant;
use super::writer::Tx;
use crate::submission::{LaneChange, LaneSettings};
use crate::view::LaneView;

pub(super) fn set_weight(tx: &Tx<'_>, name: &str, weight: u32) -> Outcome<()> {
    let id = tenant(tx, name)?;
    change(tx.sql, "UPDATE tenant SET weight = ?2 WHERE id = ?1", params![id, weight])?;
    Ok(())
}

pub(super) fn set_max_runs(tx: &Tx<'_>, name: &str, max_runs: Option<u32>) -> Outcome<()> {
    let id = tenant(tx, name)?;
    change(tx.sql, "UPDATE tenant SET max_runs = ?2 WHERE id = ?1", params![id, max_runs])?;
    Ok(())
}

pub(super) fn set_lane(tx: &Tx<'_>, settings: &LaneSettings) -> Outcome<()> {
    let id = tenant(tx, &settings.tenant)?;
    let query = "SELECT max_running, paused FROM lane WHERE pool = ?1 AND tenant_id = ?2";
    let before = first(tx.sql, query, params![settings.pool, id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (limit, paused): (Option<u32>, bool) = before.unwrap_or_default();
    let (max_running, is_paused) = match settings.change {
        LaneChange::MaxRunning(max_running) => (max_running, paused),
        LaneChange::Paused(is_paused) => (limit, is_paused),
    };
    change(
        tx.sql,
        "INSERT INTO lane(pool, tenant_id, max_running, paused) VALUES(?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET max_running = excluded.max_running, paused = excluded.paused",
        params![settings.pool, id, max_running, is_paused],
    )?;
    // It may have been held back by its limit also when nothing of it runs at this moment.
    let is_raised = limit.is_some_and(|limit| max_running.is_none_or(|raised| raised > limit));
    if !is_paused && (paused || is_raised) {
        // What it was not given while it was held is not made up for.
        change(
            tx.sql,
            "UPDATE lane SET vtime = max(vtime, coalesce(
               (SELECT min(vtime) FROM lane WHERE pool = ?1 AND tenant_id <> ?2 AND (ready > 0 OR running > 0)
                   AND paused = 0 AND (max_running IS NULL OR running < max_running)), vtime))
              WHERE pool = ?1 AND tenant_id = ?2",
            params![settings.pool, id],
        )?;
    }
    Ok(())
}

pub(super) fn tenants(sql: &Connection) -> Outcome<Vec<String>> {
    all(sql, "SELECT name FROM tenant ORDER BY name", [], |row| Ok(row.get(0)?))
}

pub(super) fn pools(sql: &Connection) -> Outcome<Vec<String>> {
    all(sql, "SELECT pool FROM lane UNION SELECT name FROM pool ORDER BY 1", [], |row| Ok(row.get(0)?))
}

pub(super) fn paused_pools(sql: &Connection) -> Outcome<Vec<String>> {
    all(sql, "SELECT name FROM pool WHERE paused = 1 ORDER BY name", [], |row| Ok(row.get(0)?))
}

pub(super) fn lanes(sql: &Connection) -> Outcome<Vec<LaneView>> {
    all(
        sql,
        "SELECT l.pool, t.name, t.weight, l.ready, l.running, l.max_running, l.paused, l.vtime, t.max_runs
           FROM lane l JOIN tenant t ON t.id = l.tenant_id ORDER BY l.pool, l.vtime, t.name",
        [],
        |row| {
            Ok(LaneView {
                pool: row.get(0)?,
                tenant: row.get(1)?,
                weight: row.get(2)?,
                ready: row.get(3)?,
                running: row.get(4)?,
                max_running: row.get(5)?,
                paused: row.get(6)?,
                vtime: row.get(7)?,
                max_runs: row.get(8)?,
            })
        },
    )
}
