//! `runs list` and `runs show`.

use super::{print, print_json};
use crate::args::{Global, RunsCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{cut, duration, table};
use crate::workplace::Workplace;
use serde_json::{Value, json};
use travel_engine::queue::{
    Clock as _, RunFilter, RunKey, RunState, RunView, Store, SystemClock, TaskState, TimestampMs,
};

pub fn runs(global: &Global, command: &RunsCommand) -> Result<u8, Diagnostic> {
    let store = Workplace::find(global)?.store_to_read()?;
    match command {
        RunsCommand::List { state, limit } => list(global, &store, state.as_deref(), *limit),
        RunsCommand::Show { run } => show(global, &store, run),
    }
}

fn list(global: &Global, store: &dyn Store, state: Option<&str>, limit: u32) -> Result<u8, Diagnostic> {
    let state = match state {
        None => None,
        Some(text) => Some(RunState::parse(text).ok_or_else(|| {
            Diagnostic::refused("unknown_state", format!("`{text}` is not a state of a run"))
                .hint("active, succeeded, failed or cancelled")
        })?),
    };
    let runs = store.runs(&RunFilter { state, ..RunFilter::default() }, limit)?;
    if global.json {
        return print_json(&runs.iter().map(brief).collect::<Vec<_>>());
    }
    if runs.is_empty() {
        return print("no runs");
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| vec![run.id.to_string(), cut(&run.name, 40), run.state.to_string(), age(run.created_at), about(run)])
        .collect();
    print(&table(&["run", "name", "state", "submitted", "about"], &rows))
}

fn about(run: &RunView) -> String {
    match (&run.state, &run.error) {
        (RunState::Succeeded, _) => film(run).unwrap_or_default(),
        (RunState::Failed, Some(error)) => cut(error, 80),
        (RunState::Active, _) => format!("{} tasks to do", run.open_tasks),
        _ => String::new(),
    }
}

fn film(run: &RunView) -> Option<String> {
    Some(run.output.as_ref()?.get("film")?.as_str()?.to_owned())
}

fn brief(run: &RunView) -> Value {
    json!({
        "run": run.id, "name": run.name, "tenant": run.tenant, "state": run.state, "open_tasks": run.open_tasks,
        "failed_tasks": run.failed_tasks, "created_at": run.created_at, "finished_at": run.finished_at,
        "error": run.error, "output": run.output,
    })
}

fn show(global: &Global, store: &dyn Store, run: &str) -> Result<u8, Diagnostic> {
    let run = store.run(&RunKey::parse(run))?;
    let tasks = store.tasks(run.id)?;
    if global.json {
        let mut value = brief(&run);
        if let Some(map) = value.as_object_mut() {
            map.insert("spec".to_owned(), run.spec.clone());
            map.insert("tasks".to_owned(), json!(tasks));
        }
        return print_json(&value);
    }
    let count = |state: TaskState| tasks.iter().filter(|t| t.state == state).count();
    let states: Vec<String> =
        TaskState::ALL.iter().filter(|s| count(**s) > 0).map(|s| format!("{} {s}", count(*s))).collect();
    let mut text = format!("run {} · {} · {}\n", run.id, run.name, run.state);
    text.push_str(&format!("submitted {} by {}\n", age(run.created_at), run.tenant));
    text.push_str(&format!("tasks: {}\n", states.join(", ")));
    if let Some(film) = film(&run) {
        text.push_str(&format!("film: {film}\n"));
    }
    if let Some(finished) = run.finished_at {
        text.push_str(&format!("took {}\n", duration(run.created_at.until(finished).as_secs_f64())));
    }
    if let Some(error) = &run.error {
        text.push_str(&format!("error: {error}\n"));
        text.push_str(&format!("go on with: travel-host render --resume {}\n", run.id));
    }
    text.push_str(&format!("\n{}", super::tasks::rows(&tasks)));
    print(&text)
}

/// `3 min 5 s ago`
pub fn age(at: TimestampMs) -> String {
    format!("{} ago", duration(at.until(SystemClock.now()).as_secs_f64()))
}
