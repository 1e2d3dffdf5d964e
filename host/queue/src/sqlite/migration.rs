//! Versions of the schema. Each is one file of SQL that brings a database from the version before;
//! a file, once released, never changes.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::backup;
use super::fault::{Fault, Outcome, words};
use crate::error::QueueError;
use crate::limits::COPIES;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("schema_v1.sql")),
    M::up(include_str!("schema_v2.sql")).foreign_key_check(),
    M::up(include_str!("schema_v3.sql")),
    M::up(include_str!("schema_v4.sql")),
    M::up(include_str!("schema_v5.sql")),
    M::up(include_str!("schema_v6.sql")),
    M::up(include_str!("schema_v7.sql")).foreign_key_check(),
    M::up(include_str!("schema_v8.sql")).foreign_key_check(),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// `PRAGMA application_id` of our databases ("TRVV" in ASCII), set by the first schema.
const APPLICATION_ID: i64 = 1_414_681_174;

/// The version that this program writes.
pub(super) fn known_version() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// Refuses other programs' databases and those of later versions. Also the first statement to
/// read the file, so the one that finds out that it is no database or is cut short.
pub(super) fn refuse_others(connection: &Connection, path: &Path) -> Outcome<()> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(QueueError::Foreign(path.to_owned()).into());
    }
    let (found, known) = (version(connection)?, known_version());
    if found > known {
        let path = path.to_owned();
        return Err(QueueError::TooNew { path, found, known }.into());
    }
    Ok(())
}

/// Refuses a database that would have to be migrated first.
pub(super) fn refuse_older(connection: &Connection, path: &Path) -> Outcome<()> {
    let (found, known) = (version(connection)?, known_version());
    if found < known {
        let path = path.to_owned();
        return Err(QueueError::TooOld { path, found, known }.into());
    }
    Ok(())
}

/// Brings the database to the known version, keeping a copy of what was there.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Outcome<()> {
    migrate_by(&MIGRATIONS, known_version(), connection, path)
}

fn migrate_by(steps: &Migrations<'_>, known: i64, connection: &mut Connection, path: &Path) -> Outcome<()> {
    let found = version(connection)?;
    if found >= known {
        return Ok(());
    }
    if found > 0 {
        keep_copy(connection, path, found)?;
    }
    match steps.to_latest(connection) {
        Ok(()) => Ok(()),
        // Two processes that open a new file at once both find it empty; the slower one fails on
        // the faster one's tables, and has what it wants.
        Err(_) if version(connection)? >= known => Ok(()),
        Err(rusqlite_migration::Error::RusqliteError { err, .. }) => Err(Fault::Sql(err)),
        Err(other) => {
            Err(QueueError::Database { cause: words(format!("migration from version {found} failed: {other}")) }.into())
        }
    }
}

/// A copy that is there already is of another time, perhaps of before somebody went back to it: it is neither trusted nor
/// replaced.
fn keep_copy(connection: &Connection, path: &Path, found: i64) -> Outcome<()> {
    let Some(copy) = (1..=COPIES).map(|nth| copy_path(path, found, nth)).find(|copy| !copy.exists()) else {
        return Err(QueueError::TooManyCopies { path: copy_path(path, found, 1), copies: COPIES }.into());
    };
    backup::copy(|| Ok(connection), path, &copy)?;
    tracing::info!(copy = %copy.display(), from_version = found, "kept a copy before migrating");
    Ok(())
}

fn copy_path(path: &Path, found: i64, nth: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{found}"));
    if nth > 1 {
        name.push(format!("-{nth}"));
    }
    name.push(".bak");
    PathBuf::from(name)
}

fn version(connection: &Connection) -> Outcome<i64> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_runs_on_an_empty_database() {
        MIGRATIONS.validate().unwrap();
    }

    /// A database of the first version, in the middle of its work.
    const BUSY_V1: &str = "
      INSERT INTO tenant(name, created_at) VALUES('studio', 1);
      INSERT INTO worker(incarnation, host, capacity, started_at, seen_at) VALUES('w', 'h', '{\"gpu\":1}', 1, 1);
      INSERT INTO run(tenant_id, name, created_at, open_tasks) VALUES(1, 'alps', 1, 2);
      INSERT INTO run_io(run_id, spec) VALUES(1, '{}');
      INSERT INTO task(run_id, tenant_id, name, kind, pool, state, priority, ready_at, on_dep_failure, max_attempts,
                       est_cost_ms, created_at, pending_deps, finished_at)
        VALUES(1, 1, 'a', 'k', 'gpu', 'ready', 1, 1, 'skip', 3, 1, 1, 0, NULL),
              (1, 1, 'b', 'k', 'gpu', 'blocked', 1, 1, 'skip', 3, 1, 1, 1, NULL),
              (1, 1, 'c', 'k', 'gpu', 'cancelled', 1, 1, 'skip', 3, 1, 1, 0, 5);
      INSERT INTO task_io(task_id, input) SELECT id, '{}' FROM task;
      INSERT INTO task_dep(parent_id, child_id) VALUES(1, 2);
      UPDATE task SET state = 'running', worker_id = 1, lease_until = 9, lease_token = 7, started_at = 1 WHERE id = 1;
      INSERT INTO attempt(task_id, token, worker_id, started_at) VALUES(1, 7, 1, 1);
      DELETE FROM task WHERE id = 3;";

    #[test]
    fn a_database_of_the_first_version_goes_on_and_a_copy_of_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate_by(&Migrations::from_slice(&STEPS[..1]), 1, &mut connection, &path).unwrap();
        assert!(!copy_path(&path, 0, 1).exists(), "an empty file needs no copy");
        connection.execute_batch(BUSY_V1).unwrap();
        drop(connection);

        let migrated = super::super::connection::open_writer(&path).unwrap();
        assert_eq!(version(&migrated).unwrap(), known_version());
        assert_eq!(super::super::check::check(&migrated).unwrap(), []);
        let one = |query: &str| migrated.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT running FROM lane"), 1);
        assert_eq!(one("SELECT count(*) FROM task_dep"), 1, "edges are still there");
        assert_eq!(one("PRAGMA foreign_keys"), 1);
        assert_eq!(one("SELECT seq FROM sqlite_sequence WHERE name = 'task'"), 3, "no number is used again");
        migrated.execute_batch("UPDATE task SET state = 'paused', pending_deps = 0 WHERE id = 2").unwrap();

        let tasks = |copy: PathBuf| {
            let copy = Connection::open(copy).unwrap();
            assert_eq!(version(&copy).unwrap(), 1);
            copy.query_row("SELECT count(*) FROM task", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(tasks(copy_path(&path, 1, 1)), 2);

        // Somebody goes back to the copy, works on, and migrates again: both times are kept.
        drop(migrated);
        std::fs::copy(copy_path(&path, 1, 1), &path).unwrap();
        Connection::open(&path).unwrap().execute_batch("DELETE FROM task WHERE id = 2").unwrap();
        drop(super::super::connection::open_writer(&path).unwrap());
        assert_eq!(tasks(copy_path(&path, 1, 1)), 2);
        assert_eq!(tasks(copy_path(&path, 1, 2)), 1);
    }

    #[test]
    fn a_later_version_is_refused_by_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path).unwrap();
        let later = known_version() + 1;
        connection.pragma_update(None, "user_version", later).unwrap();
        let refused = refuse_others(&connection, &path).unwrap_err().at(&path);
        assert!(matches!(refused, QueueError::TooNew { found, known, .. } if found == later && known == later - 1));
    }
}
