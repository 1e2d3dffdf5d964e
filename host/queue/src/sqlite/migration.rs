//! Versions of the schema. Each is one file of SQL that brings a database from the version before;
//! a file, once released, never changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::fault::{Fault, Outcome, words};
use crate::error::QueueError;

const STEPS: &[M<'static>] = &[M::up(include_str!("schema_v1.sql"))];
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

/// Copies the database by SQL: opening it as a plain file would drop this process' locks on it.
fn keep_copy(connection: &Connection, path: &Path, found: i64) -> Outcome<()> {
    let copy = copy_path(path, found);
    if copy.exists() {
        // An earlier migration from this version was interrupted after its copy was made.
        return Ok(());
    }
    let unfinished = copy.with_extension("partial");
    let failed = |cause: std::io::Error| QueueError::Io { path: unfinished.clone(), cause: Arc::new(cause) };
    if unfinished.exists() {
        std::fs::remove_file(&unfinished).map_err(failed)?;
    }
    let Some(target) = unfinished.to_str() else {
        return Err(QueueError::CannotOpen { path: unfinished, cause: words("its name is not Unicode") }.into());
    };
    connection.execute("VACUUM INTO ?1", [target])?;
    // Only a whole copy bears the name that the next attempt trusts.
    std::fs::rename(&unfinished, &copy).map_err(failed)?;
    tracing::info!(copy = %copy.display(), from_version = found, "kept a copy before migrating");
    Ok(())
}

fn copy_path(path: &Path, found: i64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{found}.bak"));
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

    #[test]
    fn a_copy_of_the_old_version_stands_beside_a_migrated_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, &path).unwrap();
        assert!(!copy_path(&path, 1).exists(), "an empty file needs no copy");

        let later = [M::up(include_str!("schema_v1.sql")), M::up("CREATE TABLE extra(x);")];
        migrate_by(&Migrations::from_slice(&later), 2, &mut connection, &path).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
        let copy = Connection::open(copy_path(&path, 1)).unwrap();
        assert_eq!(version(&copy).unwrap(), 1);
        let refused = refuse_others(&connection, &path).unwrap_err().at(&path);
        assert!(matches!(refused, QueueError::TooNew { found: 2, known: 1, .. }));
    }
}
