//! Opening the file: which pragmas, in which order, and what is refused before anything is read.

use std::path::Path;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags, TransactionBehavior};

use super::fault::{Fault, Outcome, words};
use super::migration;
use crate::disk;
use crate::error::{QueueError, Result};
use crate::limits::{BUSY_TIMEOUT, JOURNAL_SIZE_LIMIT};

/// Versions 3.7.0 to 3.51.2 can corrupt a database when its write-ahead log is reset.
const OLDEST_LIBRARY: i32 = 3_051_003;
const OLDEST_LIBRARY_TEXT: &str = "3.51.3";

/// Statements that a connection keeps prepared; there are about sixty.
const STATEMENT_CACHE: usize = 128;

/// Opens the one connection that may write; makes the file, its folder and its tables if need be.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    refuse_old_library()?;
    disk::refuse_network(path)?;
    make_folder(path)?;
    // SQLite opens a file that it may not write for reading only, without a word; and root may
    // write anything, so the permission bits are asked as well: they are somebody's wish.
    if std::fs::metadata(path).is_ok_and(|file| file.permissions().readonly()) {
        return Err(QueueError::ReadOnly(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = open(path, flags)?;
    prepare_writer(&mut connection, path).map_err(|fault| fault.at(path))?;
    Ok(connection)
}

fn prepare_writer(connection: &mut Connection, path: &Path) -> Outcome<()> {
    if connection.is_readonly(MAIN_DB)? {
        return Err(QueueError::ReadOnly(path.to_owned()).into());
    }
    migration::refuse_others(connection, path)?;
    let journal = write_ahead(connection, path)?;
    if journal != "wal" {
        return Err(QueueError::CannotOpen {
            path: path.to_owned(),
            cause: words(format!("its file system does not support write-ahead logging (journal mode {journal:?})")),
        }
        .into());
    }
    connection.pragma_update(None, "journal_size_limit", i64::try_from(JOURNAL_SIZE_LIMIT).unwrap_or(i64::MAX))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Every operation has a savepoint, whose journal would be a file in the temporary folder.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // macOS: without these, fsync does not reach the disk.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    // A step may write a table anew, whose old form others refer to; what refers to nothing is looked for before it commits.
    connection.pragma_update(None, "foreign_keys", false)?;
    // One that begins as a reader is refused at once when somebody else has written meanwhile; one that begins as a writer waits.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    migration::migrate(connection, path)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(())
}

/// Turns the log on; the journal mode then. To change it is the one thing for which SQLite waits for nobody, so those who open
/// a new database at once take turns.
fn write_ahead(connection: &Connection, path: &Path) -> Outcome<String> {
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if journal == "wal" {
        return Ok(journal);
    }
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // On a file system without such locks nobody waits, and the slower one fails and tries again.
    let turn = std::fs::File::open(folder).and_then(|folder| folder.lock().map(|()| folder));
    let journal = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    drop(turn);
    Ok(journal)
}

/// Opens a connection that can only read a database which is there already.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    refuse_old_library()?;
    if !path.exists() {
        return Err(QueueError::Missing(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags)?;
    migration::refuse_others(&connection, path)
        .and_then(|()| migration::refuse_older(&connection, path))
        .map_err(|fault| fault.at(path))?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    // Of a folder SQLite would say that the disk is at fault.
    if path.is_dir() {
        return Err(QueueError::NotADatabase(path.to_owned()));
    }
    let opened = || -> std::result::Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(path, flags)?;
        // Before any other statement: the first one may already meet another process' lock.
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        // A plan is made once, whatever is bound. Without it a value that might decide whether a partial index serves has the
        // statement prepared anew each time that it runs: a quarter of all work.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    };
    opened().map_err(|error| Fault::from(error).at(path))
}

fn make_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder)
        .map_err(|cause| QueueError::Folder { path: folder.to_owned(), cause: Arc::new(cause) })
}

fn refuse_old_library() -> Result<()> {
    if rusqlite::version_number() >= OLDEST_LIBRARY {
        return Ok(());
    }
    Err(QueueError::LibraryTooOld { found: rusqlite::version().to_owned(), needed: OLDEST_LIBRARY_TEXT })
}
