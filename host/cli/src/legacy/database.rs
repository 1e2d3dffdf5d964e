//! The original's SQLite file: one table `tasks`, in the layout of June 2025 (`task_id`) or the one after it (`id`, `project_id`).
//!
//! Its journal mode and schema are left as they are. A row is claimed by one statement that only an unclaimed row obeys, which
//! the original's own workers did not do: whoever else works on the file should be stopped first.

use crate::diagnostic::Diagnostic;
use rusqlite::{Connection, OpenFlags, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What its tools wait for a busy file.
const BUSY: Duration = Duration::from_secs(30);

/// Kinds of rows that are served.
pub const ORCHESTRATOR: &str = "travel_orchestrator";
pub const SEGMENT: &str = "travel_segment";
pub const STITCH: &str = "travel_stitch";

/// The original's states.
pub const QUEUED: &str = "Queued";
pub const IN_PROGRESS: &str = "In Progress";
pub const COMPLETE: &str = "Complete";
pub const FAILED: &str = "Failed";

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: String,
    pub kind: String,
    pub status: String,
    /// JSON; may be missing in the later layout.
    pub params: Option<String>,
    /// A path, or why it failed.
    pub location: Option<String>,
    /// When it was added and last changed, as far as that can be read; milliseconds since 1970.
    pub times: [Option<i64>; 2],
}

/// The open file.
pub struct LegacyDb {
    sql: Connection,
    path: PathBuf,
    id: &'static str,
    /// Whether files are named relative to the folder that the original's web page serves.
    is_served: bool,
}

impl LegacyDb {
    /// Opens a file that is there and is one of the original's.
    pub fn open(path: &Path) -> Result<Self, Diagnostic> {
        let refuse = |why: String| {
            Diagnostic::refused("legacy_db", format!("{}: {why}", path.display()))
                .hint("give the tasks.db of the original tool, in its layout of June to July 2025")
        };
        if !path.is_file() {
            return Err(refuse("there is no such file".to_owned()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |e: rusqlite::Error| refuse(e.to_string());
        let sql = Connection::open_with_flags(path, flags).map_err(failed)?;
        sql.busy_timeout(BUSY).map_err(failed)?;
        let columns = || -> rusqlite::Result<Vec<String>> {
            let mut columns = sql.prepare("SELECT name FROM pragma_table_info('tasks')")?;
            columns.query_map([], |row| row.get(0))?.collect()
        };
        let columns = columns().map_err(failed)?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        let missing = ["params", "task_type", "status", "output_location", "created_at", "updated_at"]
            .into_iter()
            .find(|name| !has(name));
        if let Some(name) = missing.or((!has("task_id") && !has("id")).then_some("task_id")) {
            return Err(refuse(format!("its table `tasks` has no column `{name}`")));
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self { id: if has("id") { "id" } else { "task_id" }, is_served: has("project_id"), sql, path })
    }

    /// Changes when somebody else has written to the file.
    pub fn version(&self) -> Result<i64, Diagnostic> {
        self.sql.pragma_query_value(None, "data_version", |row| row.get(0)).map_err(|e| self.failed(&e))
    }

    /// Rows of the kinds that are served, in one of these states, oldest first.
    pub fn rows(&self, states: &[&str]) -> Result<Vec<Row>, Diagnostic> {
        let query = format!(
            "SELECT {}, task_type, status, params, output_location,
                    unixepoch(created_at, 'subsec') * 1000, unixepoch(updated_at, 'subsec') * 1000 FROM tasks
              WHERE task_type IN (?1, ?2, ?3) AND status IN (SELECT value FROM json_each(?4))
              ORDER BY created_at, rowid",
            self.id
        );
        let rows = || -> rusqlite::Result<Vec<Row>> {
            let states = serde_json::json!(states).to_string();
            let mut rows = self.sql.prepare(&query)?;
            let row = |row: &rusqlite::Row<'_>| {
                let ms = |i| row.get::<_, Option<f64>>(i).map(|ms| ms.map(|ms| ms as i64));
                Ok(Row {
                    id: row.get(0)?,
                    kind: row.get(1)?,
                    status: row.get(2)?,
                    params: row.get(3)?,
                    location: row.get(4)?,
                    times: [ms(5)?, ms(6)?],
                })
            };
            rows.query_map(params![ORCHESTRATOR, SEGMENT, STITCH, states], row)?.collect()
        };
        rows().map_err(|e| self.failed(&e))
    }

    /// Takes a queued row; false when somebody else was faster.
    pub fn claim(&self, id: &str) -> Result<bool, Diagnostic> {
        self.change("status = ?2", &[&id, &IN_PROGRESS], "status = 'Queued'").map(|changed| changed > 0)
    }

    /// Says what became of a row: where its result lies, or why there is none. Both at once, so that who sees the state sees the
    /// other too.
    pub fn answer(&self, id: &str, status: &str, location: Option<&str>) -> Result<(), Diagnostic> {
        self.change("status = ?2, output_location = ?3", &[&id, &status, &location], "true").map(drop)
    }

    fn change(&self, what: &str, values: &[&dyn rusqlite::ToSql], only: &str) -> Result<usize, Diagnostic> {
        // As its tools write it: CURRENT_TIMESTAMP first, ISO 8601 later.
        let now = if self.id == "id" { "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" } else { "CURRENT_TIMESTAMP" };
        let statement = format!("UPDATE tasks SET {what}, updated_at = {now} WHERE {} = ?1 AND {only}", self.id);
        self.sql.execute(&statement, values).map_err(|e| self.failed(&e))
    }

    /// A whole copy of the file beside it, unless there is one; its path.
    pub fn keep_copy(&self) -> Result<PathBuf, Diagnostic> {
        let mut copy = self.path.clone().into_os_string();
        copy.push(".before-travel-host");
        let copy = PathBuf::from(copy);
        if !copy.exists() {
            // Under another name until it is whole: half a copy must not be taken for one.
            let part = copy.with_extension("part");
            let broken = |e: std::io::Error| Diagnostic::failed("legacy_db", format!("{}: {e}", part.display()));
            if part.exists() {
                std::fs::remove_file(&part).map_err(broken)?;
            }
            let to = part.to_string_lossy().into_owned();
            self.sql.execute("VACUUM INTO ?1", [to]).map_err(|e| self.failed(&e))?;
            std::fs::File::open(&part).and_then(|file| file.sync_all()).map_err(broken)?;
            std::fs::rename(&part, &copy).map_err(broken)?;
        }
        Ok(copy)
    }

    /// Where files go that a payload names no folder for, or that are served to the original's web page.
    pub fn folder(&self, wished: Option<&Path>) -> PathBuf {
        let beside = self.path.parent().unwrap_or(Path::new("."));
        match wished {
            _ if self.is_served => beside.join("public/files"),
            Some(wished) => beside.join(wished),
            None => beside.join("steerable_motion_output"),
        }
    }

    /// How a file is called in `output_location`.
    pub fn location(&self, file: &Path) -> String {
        let served = self.path.parent().map(|beside| beside.join("public"));
        let inside =
            served.filter(|_| self.is_served).and_then(|served| Some(file.strip_prefix(served).ok()?.to_owned()));
        inside.as_deref().unwrap_or(file).to_string_lossy().into_owned()
    }

    fn failed(&self, error: &rusqlite::Error) -> Diagnostic {
        Diagnostic::failed("legacy_db", format!("{}: {error}", self.path.display()))
    }
}
