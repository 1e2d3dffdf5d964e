//! `tasks list`, `tasks show` and `tasks tree`.

use super::{print, print_json};
use crate::args::{Global, TasksCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{cut, duration, table};
use crate::workplace::Workplace;
use serde_json::json;
use std::collections::BTreeSet;
use travel_engine::queue::{RunKey, Store, TaskId, TaskState, TaskView};

pub fn tasks(global: &Global, command: &TasksCommand) -> Result<u8, Diagnostic> {
    let store = Workplace::find(global)?.store_to_read()?;
    match command {
        TasksCommand::List { run } => {
            let tasks = store.tasks(store.run(&RunKey::parse(run))?.id)?;
            if global.json { print_json(&tasks) } else { print(&rows(&tasks)) }
        }
        TasksCommand::Show { task } => show(global, &store, TaskId(*task)),
        TasksCommand::Tree { run } => tree(global, &store, run),
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
        TaskState::Blocked => format!("waits for {} tasks", task.pending_deps),
        TaskState::Ready => format!("waits for a free slot of pool {}", task.pool),
        TaskState::Scheduled => format!("attempt {} is due later", task.attempt()),
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
