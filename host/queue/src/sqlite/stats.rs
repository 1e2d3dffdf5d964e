//! Sizes and counts.

use std::path::Path;

use rusqlite::Connection;

use super::columns::{all, first, place, word};
use super::fault::Outcome;
use crate::control::StoreStats;

pub(super) fn stats(sql: &Connection, path: &Path) -> Outcome<StoreStats> {
    let number = |query: &str| -> Outcome<u64> {
        Ok(first(sql, query, [], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).unsigned_abs())
    };
    let page = number("PRAGMA page_size")?;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    // Only its length is asked: opening the file would drop this process' locks on the database.
    let wal_bytes = std::fs::metadata(log).map_or(0, |file| file.len());
    let tasks = all(sql, "SELECT state, count(*) FROM task GROUP BY state", [], |row| {
        let state: String = row.get(0)?;
        Ok((word(&state, place("task", "state", 0))?, row.get::<_, i64>(1)?.unsigned_abs()))
    })?;
    Ok(StoreStats {
        schema: number("PRAGMA user_version")?.try_into().unwrap_or(i64::MAX),
        sqlite: rusqlite::version().to_owned(),
        bytes: page.saturating_mul(number("PRAGMA page_count")?),
        free_bytes: page.saturating_mul(number("PRAGMA freelist_count")?),
        wal_bytes,
        runs: number("SELECT count(*) FROM run")?,
        tasks: tasks.into_iter().collect(),
        events: number("SELECT count(*) FROM event")?,
    })
}
