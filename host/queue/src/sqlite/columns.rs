//! Between rows and types: the one place where texts, numbers and hashes of a row are parsed.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Params, Row};
use serde_json::Value;

use super::fault::Outcome;
use crate::error::QueueError;
use crate::ids::{ArtifactHash, LeaseToken, RunId, Seq, TaskId, TimestampMs, WorkerId};
use crate::state::{AttemptOutcome, EventKind, OnDepFailure, RunState, TaskState};

macro_rules! stored_as_integer {
    ($($name:ident),+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }
    )+};
}
stored_as_integer!(RunId, TaskId, WorkerId, LeaseToken, Seq, TimestampMs);

impl ToSql for ArtifactHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_slice()))
    }
}

impl FromSql for ArtifactHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

/// A closed set of words that some column holds.
pub(super) trait Word: Sized {
    fn parse_word(text: &str) -> Option<Self>;
}

macro_rules! stored_as_word {
    ($($name:ident),+) => {$(
        impl Word for $name {
            fn parse_word(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
    )+};
}
stored_as_word!(TaskState, RunState, OnDepFailure, AttemptOutcome, EventKind);

/// Where a value stands, for the message when it is none.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    pub(super) id: i64,
}

pub(super) const fn place(table: &'static str, column: &'static str, id: i64) -> Place {
    Place { table, column, id }
}

/// The word in a column.
pub(super) fn word<T: Word>(text: &str, place: Place) -> Outcome<T> {
    T::parse_word(text).ok_or_else(|| corrupt(text, place).into())
}

/// The JSON in a column.
pub(super) fn json(text: &str, place: Place) -> Outcome<Value> {
    serde_json::from_str(text).map_err(|_| corrupt(text, place).into())
}

/// The JSON in a column that may be empty.
pub(super) fn optional_json(text: Option<String>, place: Place) -> Outcome<Option<Value>> {
    text.map(|text| json(&text, place)).transpose()
}

fn corrupt(text: &str, place: Place) -> QueueError {
    QueueError::Corrupt {
        table: place.table,
        id: place.id.to_string(),
        column: place.column,
        value: text.chars().take(80).collect(),
    }
}

/// All rows of a query, parsed.
pub(super) fn all<T>(
    sql: &Connection,
    query: &str,
    params: impl Params,
    parse: impl Fn(&Row<'_>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(row)?);
    }
    Ok(found)
}

/// The first row of a query, parsed, if there is one.
pub(super) fn first<T>(
    sql: &Connection,
    query: &str,
    params: impl Params,
    parse: impl FnOnce(&Row<'_>) -> Outcome<T>,
) -> Outcome<Option<T>> {
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(parse).transpose()
}

/// Runs a statement that changes rows; how many it changed.
pub(super) fn change(sql: &Connection, statement: &str, params: impl Params) -> Outcome<usize> {
    Ok(sql.prepare_cached(statement)?.execute(params)?)
}

/// Runs a statement that adds one row; its number. (`RETURNING` would have a table made for its answer each time.)
pub(super) fn add(sql: &Connection, statement: &str, params: impl Params) -> Outcome<i64> {
    Ok(sql.prepare_cached(statement)?.insert(params)?)
}

/// The numbers of the tasks that a query names, in the order in which they were added. (A
/// statement that returns what it changed does so in no particular order.)
pub(super) fn task_ids(sql: &Connection, query: &str, params: impl Params) -> Outcome<Vec<TaskId>> {
    let mut ids = all(sql, query, params, |row| Ok(row.get(0)?))?;
    ids.sort_unstable();
    Ok(ids)
}
