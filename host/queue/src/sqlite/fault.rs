//! Errors on their way out of the SQL: the driver's become ours at the border, where the path of
//! the database is known.

use std::path::Path;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::error::{Cause, QueueError};
use crate::limits::BUSY_TIMEOUT;

/// Inside the SQL: either the driver failed, or a rule of the queue said no.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Queue(QueueError),
}

/// Short for results inside the SQL.
pub(super) type Outcome<T> = Result<T, Fault>;

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl Fault {
    /// The error for the caller.
    pub(super) fn at(self, path: &Path) -> QueueError {
        match self {
            Self::Queue(error) => error,
            Self::Sql(error) => translate(error, path),
        }
    }
}

/// A cause that only has words.
pub(super) fn words(text: impl Into<String>) -> Cause {
    let boxed: Box<dyn std::error::Error + Send + Sync> = text.into().into();
    Arc::from(boxed)
}

/// The arm that a driver error belongs to.
pub(super) fn translate(error: rusqlite::Error, path: &Path) -> QueueError {
    let path = path.to_owned();
    let code = error.sqlite_error_code();
    let cause: Cause = Arc::new(error);
    match code {
        Some(ErrorCode::NotADatabase) => QueueError::NotADatabase(path),
        Some(ErrorCode::DatabaseCorrupt) => QueueError::Damaged { path, cause },
        Some(ErrorCode::ReadOnly) => QueueError::ReadOnly(path),
        Some(ErrorCode::DiskFull) => QueueError::DiskFull(path),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => QueueError::CannotOpen { path, cause },
        Some(ErrorCode::SystemIoFailure) => QueueError::Io { path, cause },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            QueueError::Busy { path, waited_ms: BUSY_TIMEOUT.as_millis() }
        }
        Some(ErrorCode::ConstraintViolation) => QueueError::Refused { cause },
        _ => QueueError::Database { cause },
    }
}
