//! `tasks list`, `tasks show` and `tasks tree`.

use super::runs::answer;
use super::{print, print_json};
use crate::args::{Global, TasksCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{cut, duration, table};
use crate::workplace::Workplace;
use serde_json::json;
use std::collections::BTreeSet;
use travel_engine::queue::{Clock as _, RunKey, Store, SystemClock, TaskId, TaskState, TaskView};

pub fn tasks(global: &Global, command: &TasksCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    match command {
        TasksCommand::List { run } => {
            let store = place.store_to_read()?;
            let tasks = store.tasks(store.run(&RunKey::parse(run))?.id)?;
            if global.json { print_json(&tasks) } else { print(&rows(&tasks)) }
        }
        TasksCommand::Show { task } => show(global, &place.store_to_read()?, TaskId(*task)),
        TasksCommand::Tree { run } => tree(global, &place.store_to_read()?, run),
        TasksCommand::Explain { task } => {
            let explained = place.store_to_read()?.explain(TaskId(*task))?;
            if !global.json {
                return print(&explained.to_string());
            }
            let mut record = json!(explained);
            if let Some(map) = record.as_object_mut() {
                map.insert("sentence".to_owned(), json!(explained.to_string()));
            }
            print_json(&record)
        }
        TasksCommand::Cancel { task } => {
            let done = place.store_to_change()?.cancel_task(TaskId(*task))?;
            let skipped = done.skipped.len();
            answer(
                global,
                &done,
                &match (done.stopped.is_empty(), done.stopping.is_empty()) {
                    (true, true) => format!("task {task} is over already"),
                    (true, false) => format!("task {task} was asked to stop"),
                    (false, _) => format!("task {task} will not start; {skipped} that need its result are skipped"),
                },
            )
        }
        TasksCommand::Retry { task } => {
            let done = place.store_to_change()?.retry_task(TaskId(*task))?;
            let others = done.tasks.len().saturating_sub(1);
            let also =
                if others == 0 { String::new() } else { format!(", and {others} that were skipped for its sake") };
            answer(global, &done, &format!("task {task} is open again{also}"))
        }
    }
}

/// The tasks of a run as a table.
pub fn rows(tasks: &[TaskView]) -> String {
    let rows: Vec<Vec<String>> = tasks
        .iter()
        .map(|t| vec![t.id.to_string(), t.name.clone(), t.kind.clone(), t.state.to_string(), took(t), why(t)])
        .collect();
    table(&["task", "name", "kind", "state", "took", "about"], &rows)
}

fn took(task: &TaskView) -> String {
    match (task.started_at, task.finished_at) {
        (Some(from), Some(to)) => duration(from.until(to).as_secs_f64()),
        _ => String::new(),
    }
}

/// Why a task is where it is, in a few words.
fn why(task: &TaskView) -> String {
    let progress = || {
        let progress = task.progress.as_ref()?;
        let number = |key: &str| progress.get(key).and_then(serde_json::Value::as_u64);
        Some(format!("{} {}/{}", progress.get("phase")?.as_str()?, number("done")?, number("total")?))
    };
    match task.state {
        TaskState::Blocked if task.pending_deps == 1 => "waits for 1 task".to_owned(),
        TaskState::Blocked => format!("waits for {} tasks", task.pending_deps),
        TaskState::Ready => format!("waits for a free slot of pool {}", task.pool),
        TaskState::Scheduled => {
            let left = SystemClock.now().until(task.ready_at).as_secs_f64();
            let what =
                if task.failures == 0 { "starts".to_owned() } else { format!("attempt {} is due", task.attempt()) };
            format!("{what} in {}", duration(left))
        }
        TaskState::Paused => "its run is paused".to_owned(),
        TaskState::Running => progress().unwrap_or_default(),
        _ => task.error.as_deref().map(|e| cut(e, 100)).unwrap_or_default(),
    }
}

fn show(global: &Global, store: &dyn Store, task: TaskId) -> Result<u8, Diagnostic> {
    let detail = store.task(task)?;
    if global.json {
        return print_json(&detail);
    }
    let task = &detail.task;
    let mut text = format!("task {} · {} · {} · {}\n", task.id, task.name, task.kind, task.state);
    text.push_str(&format!(
        "run {}, pool {}, attempt {} of {}\n",
        task.run,
        task.pool,
        task.attempt(),
        task.max_attempts
    ));
    if let Some(error) = &task.error {
        text.push_str(&format!("error: {error}\n"));
    }
    let about = why(task);
    if task.error.is_none() && !about.is_empty() {
        text.push_str(&format!("{about}\n"));
    }
    for (title, files) in [("uses", &detail.uses), ("made", &detail.made)] {
        for file in files {
            text.push_str(&format!("{title} {}: {} ({} bytes)\n", file.slot, file.hash, file.bytes));
        }
    }
    for (i, attempt) in (1..).zip(&detail.attempts) {
        let outcome = attempt.outcome.map_or_else(|| "running".to_owned(), |o| o.to_string());
        let error = attempt.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
        text.push_str(&format!("claim {i}: {outcome}{error}\n"));
    }
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap_or_default();
    text.push_str(&format!("\ninput: {}\n", pretty(&detail.input)));
    if let Some(output) = &detail.output {
        text.push_str(&format!("\noutput: {}\n", pretty(output)));
    }
    print(&text)
}

/// Each task below the last of what it waits for; others that it waits for are named beside it.
fn tree(global: &Global, store: &dyn Store, run: &str) -> Result<u8, Diagnostic> {
    let tasks = store.tasks(store.run(&RunKey::parse(run))?.id)?;
    let mut edges = Vec::with_capacity(tasks.len());
    for task in &tasks {
        edges.push((task, store.task(task.id)?.parents));
    }
    if global.json {
        let nodes: Vec<_> = edges
            .iter()
            .map(|(t, parents)| json!({ "task": t.id, "name": t.name, "state": t.state, "waits_for": parents }))
            .collect();
        return print_json(&nodes);
    }
    let mut text = String::new();
    let roots: BTreeSet<TaskId> = edges.iter().filter(|(_, p)| p.is_empty()).map(|(t, _)| t.id).collect();
    for root in roots {
        branch(&edges, root, 0, &mut text);
    }
    print(&text)
}

fn branch(edges: &[(&TaskView, Vec<TaskId>)], id: TaskId, depth: usize, text: &mut String) {
    let name_of = |id: &TaskId| edges.iter().find(|(t, _)| t.id == *id).map(|(t, _)| t.name.clone());
    let Some((task, parents)) = edges.iter().find(|(t, _)| t.id == id) else { return };
    let lead = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
    let others: Vec<String> = parents.iter().rev().skip(1).filter_map(name_of).collect();
    let also = if others.is_empty() { String::new() } else { format!(" (also after {})", others.join(", ")) };
    let about = why(task);
    let about = if about.is_empty() { about } else { format!(": {about}") };
    text.push_str(&format!("{lead}{} [{}]{also}{about}\n", task.name, task.state));
    for (child, _) in edges.iter().filter(|(_, p)| p.last() == Some(&id)) {
        branch(edges, child.id, depth + 1, text);
    }
}
