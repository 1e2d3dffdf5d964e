//! `tasks list`, `tasks show` and `tasks tree`.

use super::names::find;
use super::runs::answer;
use super::{print, print_json};
use crate::args::{Global, OneRun, TasksCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{cut, duration, table};
use crate::workplace::Workplace;
use serde_json::json;
use std::collections::HashMap;
use travel_engine::queue::{Clock as _, Store, SystemClock, TaskId, TaskState, TaskView};

pub fn tasks(global: &Global, command: &TasksCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    match command {
        TasksCommand::List(run) => {
            let store = place.store_to_read()?;
            let tasks = store.tasks(find(&store, run)?.id)?;
            if global.json { print_json(&tasks) } else { print(&rows(&tasks)) }
        }
        TasksCommand::Show { task } => show(global, &place.store_to_read()?, TaskId(*task)),
        TasksCommand::Tree(run) => tree(global, &place.store_to_read()?, run),
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
        TaskState::Succeeded => otherwise(task).map(|e| cut(&e, 100)).unwrap_or_default(),
        _ => task.error.as_deref().map(|e| cut(e, 100)).unwrap_or_default(),
    }
}

/// Who renders a task and why, where that is not as its run says.
fn otherwise(task: &TaskView) -> Option<String> {
    let word = |key: &str| task.carry.as_ref()?.get(key)?.as_str();
    let because = word("because")?;
    Some(word("generator").map_or_else(|| because.to_owned(), |generator| format!("rendered by {generator} {because}")))
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
    if let Some(otherwise) = otherwise(task) {
        text.push_str(&format!("{otherwise}\n"));
    }
    let about = why(task);
    if task.error.is_none() && task.carry.is_none() && !about.is_empty() {
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
fn tree(global: &Global, store: &dyn Store, run: &OneRun) -> Result<u8, Diagnostic> {
    let run = find(store, run)?.id;
    let (tasks, edges) = (store.tasks(run)?, store.edges(run)?);
    let mut parents: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for (parent, child) in edges {
        parents.entry(child).or_default().push(parent);
    }
    if !global.json {
        return print(&drawn(&tasks, &parents));
    }
    let none = Vec::new();
    let node = |t: &TaskView| json!({ "task": t.id, "name": t.name, "state": t.state, "waits_for": parents.get(&t.id).unwrap_or(&none) });
    print_json(&tasks.iter().map(node).collect::<Vec<_>>())
}

/// How far a tree goes to the right: a run may be a chain of ten thousand tasks.
const DEEPEST: usize = 40;

/// Other parents that are named; the rest is counted.
const NAMED_PARENTS: usize = 3;

fn drawn(tasks: &[TaskView], parents: &HashMap<TaskId, Vec<TaskId>>) -> String {
    let names: HashMap<TaskId, &str> = tasks.iter().map(|task| (task.id, task.name.as_str())).collect();
    let parents_of = |task: &TaskView| parents.get(&task.id).map_or(&[][..], Vec::as_slice);
    let mut below: HashMap<TaskId, Vec<&TaskView>> = HashMap::new();
    // What is still to be drawn, the next one last.
    let mut open: Vec<(usize, &TaskView)> = Vec::new();
    for task in tasks.iter().rev() {
        match parents_of(task).last() {
            Some(last) => below.entry(*last).or_default().push(task),
            None => open.push((0, task)),
        }
    }
    let mut text = String::new();
    while let Some((depth, task)) = open.pop() {
        let lead = match depth {
            0 => String::new(),
            1..=DEEPEST => format!("{}└─ ", "   ".repeat(depth - 1)),
            _ => format!("{}└─ {depth} deep: ", "   ".repeat(DEEPEST - 1)),
        };
        let others = parents_of(task).iter().rev().skip(1);
        let more = others.len().saturating_sub(NAMED_PARENTS);
        let mut others: Vec<String> =
            others.take(NAMED_PARENTS).filter_map(|id| names.get(id)).map(|name| (*name).to_owned()).collect();
        others.extend((more > 0).then(|| format!("{more} more")));
        let also = if others.is_empty() { String::new() } else { format!(" (also after {})", others.join(", ")) };
        let about = why(task);
        let about = if about.is_empty() { about } else { format!(": {about}") };
        text.push_str(&format!("{lead}{} [{}]{also}{about}\n", task.name, task.state));
        open.extend(below.remove(&task.id).into_iter().flatten().map(|child| (depth + 1, child)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use travel_engine::queue::{NewRun, NewTask, SqliteStore};

    #[test]
    fn ten_thousand_chained_segments_are_drawn_on_a_line_each() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_for_submit(folder.path().join("queue.db"), Arc::new(SystemClock)).unwrap();
        let name = |n: usize| format!("segment-{n:05}");
        let task = |name: String| NewTask::new(name, "travel_segment", "gpu", json!(null));
        let mut run = NewRun::new("studio", "long", json!(null)).task(task(name(0)));
        for n in 1..10_000 {
            run.tasks.push(task(name(n)).after(name(n - 1)));
        }
        run.tasks.push((0..10_000).fold(task("stitch".to_owned()), |stitch, n| stitch.after(name(n))));
        let run = store.submit(run).unwrap().run;
        let mut parents: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
        for (parent, child) in store.edges(run).unwrap() {
            parents.entry(child).or_default().push(parent);
        }
        let text = drawn(&store.tasks(run).unwrap(), &parents);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 10_001);
        assert!(lines.iter().all(|line| line.len() < 300), "the text grows with the tasks alone");
        assert!(lines[1].starts_with("└─ segment-00001 [blocked]"), "{}", lines[1]);
        assert!(lines[2].starts_with("   └─ segment-00002 [blocked]"), "{}", lines[2]);
        let last =
            "└─ 10000 deep: stitch [blocked] (also after segment-09998, segment-09997, segment-09996, 9996 more)";
        assert!(lines[10_000].trim_start().starts_with(last), "{}", lines[10_000]);
    }
}
