//! Read connections, kept open between reads. Readers never wait for the writer or for each
//! other; each read sees one moment of the database.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::connection;
use super::fault::Outcome;
use crate::error::Result;
use crate::limits::IDLE_READERS;

pub(super) struct Readers {
    path: Arc<PathBuf>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens the first connection at once, so that a file that cannot be read is found out now.
    pub(super) fn open(path: Arc<PathBuf>) -> Result<Self> {
        let first = connection::open_reader(&path)?;
        Ok(Self { path, idle: Mutex::new(vec![first]) })
    }

    /// Runs `work` in one read transaction. It must be short: an open read keeps the write-ahead
    /// log from being reset.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> Outcome<T>) -> Result<T> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let result = snapshot(&connection, work).map_err(|fault| fault.at(&self.path));
        if connection.is_autocommit() {
            let mut idle = self.idle();
            if idle.len() < IDLE_READERS {
                idle.push(connection);
            }
        }
        result
    }

    /// Closes what is idle, so that the writer closes last and can tidy up the log.
    pub(super) fn close(&self) {
        self.idle().clear();
    }

    /// A connection stands in the list only between reads, so a reader that died cannot have left
    /// one half used.
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn snapshot<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
    let transaction = connection.unchecked_transaction()?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
