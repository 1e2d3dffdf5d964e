//! What callers hand in, checked and put into words on the caller's own thread, so that the writer
//! spends its time on nothing but SQL.

use std::collections::HashSet;

use serde_json::Value;

use crate::error::{QueueError, Result};
use crate::limits::{MAX_ERROR_CHARS, MAX_NAME_CHARS, MAX_NEW_TASKS, MAX_PAYLOAD_BYTES};
use crate::submission::{NewTask, SlotArtifact};

/// A task that may be written down as it is.
pub(super) struct TaskParcel {
    pub(super) task: NewTask,
    pub(super) input: String,
    pub(super) est_cost_ms: i64,
    pub(super) deadline_ms: Option<i64>,
}

pub(super) fn tasks(tasks: Vec<NewTask>) -> Result<Vec<TaskParcel>> {
    if tasks.len() > MAX_NEW_TASKS {
        return Err(invalid(
            "the list of tasks",
            format!("it has {} tasks, and at most {MAX_NEW_TASKS} are allowed", tasks.len()),
        ));
    }
    let mut names = HashSet::new();
    for task in &tasks {
        if !names.insert(task.name.as_str()) {
            return Err(invalid(&format!("task {:?}", task.name), "its name stands twice in the list".to_owned()));
        }
    }
    tasks.into_iter().map(task_parcel).collect()
}

fn task_parcel(task: NewTask) -> Result<TaskParcel> {
    name("a task's name", &task.name)?;
    name("a task's kind", &task.kind)?;
    name("a task's pool", &task.pool)?;
    if task.max_attempts == 0 {
        return Err(invalid(&format!("task {:?}", task.name), "it allows 0 attempts, and needs at least 1".to_owned()));
    }
    artifacts(&task.artifacts)?;
    Ok(TaskParcel {
        input: payload("a task's input", &task.input)?,
        // At least one millisecond: what costs nothing could be claimed for ever by one tenant.
        est_cost_ms: i64::try_from(task.est_cost.as_millis()).unwrap_or(i64::MAX).clamp(1, MAX_COST_MS),
        // Likewise: a deadline of nothing would fail every attempt before it began.
        deadline_ms: task.deadline.map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX).max(1)),
        task,
    })
}

/// A year: far beyond any task, and small enough that virtual time never overflows.
const MAX_COST_MS: i64 = 366 * 24 * 3600 * 1000;

pub(super) fn artifacts(artifacts: &[SlotArtifact]) -> Result<()> {
    let mut slots = HashSet::new();
    for artifact in artifacts {
        name("an artifact's slot", &artifact.slot)?;
        name("an artifact's media type", &artifact.media)?;
        if !slots.insert(artifact.slot.as_str()) {
            return Err(invalid(
                &format!("artifact slot {:?}", artifact.slot),
                "it stands twice in the list".to_owned(),
            ));
        }
        if i64::try_from(artifact.bytes).is_err() {
            return Err(invalid(
                &format!("artifact slot {:?}", artifact.slot),
                format!("{} bytes are more than a file can have", artifact.bytes),
            ));
        }
    }
    Ok(())
}

pub(super) fn name(what: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(invalid(what, "it is empty".to_owned()));
    }
    if text.chars().nth(MAX_NAME_CHARS).is_some() {
        return Err(invalid(what, format!("it is longer than {MAX_NAME_CHARS} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(what, format!("{text:?} has a control character")));
    }
    Ok(())
}

pub(super) fn payload(what: &str, value: &Value) -> Result<String> {
    let text = value.to_string();
    if text.len() > MAX_PAYLOAD_BYTES {
        return Err(invalid(what, format!("it has {} bytes, and at most {MAX_PAYLOAD_BYTES} are allowed", text.len())));
    }
    Ok(text)
}

/// Errors come from processes that may write without end.
pub(super) fn error_text(text: &str) -> String {
    match text.char_indices().nth(MAX_ERROR_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

pub(super) fn invalid(what: &str, why: String) -> QueueError {
    QueueError::Invalid { what: what.to_owned(), why }
}
