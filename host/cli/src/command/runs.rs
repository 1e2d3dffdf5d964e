//! `runs list` and `runs show`.

use super::names::{find, require_tenant};
use super::{json_line, print, print_json, put};
use crate::args::{Global, OneRun, RunsCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{cut, duration, table};
use crate::stop::runtime;
use crate::workplace::Workplace;
use serde_json::{Value, json};
use travel_engine::queue::{
    Clock as _, Event, RunFilter, RunState, RunView, Seq, Store, SystemClock, TaskState, TimestampMs,
};

pub fn runs(global: &Global, command: &RunsCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    match command {
        RunsCommand::List { tenant, state, limit } => {
            list(global, &place.store_to_read()?, tenant.as_deref(), state.as_deref(), *limit)
        }
        RunsCommand::Show(run) => show(global, &place.store_to_read()?, run),
        RunsCommand::Events { run, after, follow } => {
            events(global, &place.store_to_read()?, run, Seq(*after), *follow)
        }
        RunsCommand::Cancel(run) => {
            let store = place.store_to_change()?;
            let done = store.cancel_run(find(&store, run)?.id)?;
            let stopping = done.stopping.len();
            answer(
                global,
                &done,
                &match (done.stopped.len(), stopping) {
                    (0, 0) => format!("run {} is {} already", done.run, done.run_state),
                    (stopped, 0) => format!("run {}: {} will not start, and none runs", done.run, tasks(stopped)),
                    (stopped, _) => format!(
                        "run {}: {} will not start; {} asked to stop",
                        done.run,
                        tasks(stopped),
                        if stopping == 1 {
                            "one that runs was".to_owned()
                        } else {
                            format!("{stopping} that run were")
                        }
                    ),
                },
            )
        }
        RunsCommand::Pause(run) => {
            let store = place.store_to_change()?;
            let done = store.pause_run(find(&store, run)?.id)?;
            let so = if done.run_state == RunState::Active { "paused" } else { done.run_state.as_str() };
            answer(
                global,
                &done,
                &match done.changed {
                    true => {
                        format!("run {} is paused, {} held back; what runs goes on", done.run, tasks(done.tasks.len()))
                    }
                    false => format!("run {} is {so} already", done.run),
                },
            )
        }
        RunsCommand::Resume(run) => {
            let store = place.store_to_change()?;
            let found = find(&store, run)?;
            if matches!(found.state, RunState::Failed | RunState::Cancelled) {
                return retry(global, &store, &found);
            }
            let done = store.resume_run(found.id)?;
            answer(
                global,
                &done,
                &match done.changed {
                    true => format!("run {} goes on, {} let go", done.run, tasks(done.tasks.len())),
                    false => format!("run {} is not paused, but {}", done.run, done.run_state),
                },
            )
        }
        RunsCommand::Retry(run) => {
            let store = place.store_to_change()?;
            retry(global, &store, &find(&store, run)?)
        }
        RunsCommand::Redo(redo) => super::redo::redo(global, &place, redo),
        RunsCommand::Takes(takes) => super::redo::takes(global, &place, takes),
    }
}

fn retry(global: &Global, store: &dyn Store, run: &RunView) -> Result<u8, Diagnostic> {
    let done = travel_engine::redo::resume(store, run)?;
    answer(
        global,
        &done,
        &match done.tasks.len() {
            0 => format!("run {} is {}: nothing of it failed, was cancelled or skipped", done.run, done.run_state),
            n => format!("run {} goes on: {} open again", done.run, tasks(n)),
        },
    )
}

/// A number of tasks, in words.
pub fn tasks(n: usize) -> String {
    if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") }
}

/// What a change did: a record for scripts, a sentence for people.
pub fn answer<T: serde::Serialize>(global: &Global, record: &T, sentence: &str) -> Result<u8, Diagnostic> {
    if global.json { print_json(record) } else { print(sentence) }
}

/// Events from a cursor on, one a line; with `follow` until the run is over or nobody reads on.
fn events(global: &Global, store: &dyn Store, run: &OneRun, after: Seq, follow: bool) -> Result<u8, Diagnostic> {
    let run = find(store, run)?.id;
    let mut changes = store.subscribe();
    let waiter = follow.then(runtime).transpose()?;
    let mut after = after;
    loop {
        // Looked at before the events are read, so that the last of them is not missed.
        let over = store.run(&run.into())?.state != RunState::Active;
        loop {
            let page = store.events(run, after, EVENT_PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for event in &page {
                if !put(&if global.json { json_line(event)? } else { event_line(event) })? {
                    return Ok(0);
                }
            }
        }
        let Some(waiter) = waiter.as_ref().filter(|_| !over) else { return Ok(0) };
        waiter
            .block_on(changes.changed())
            .map_err(|_| Diagnostic::failed("queue_closed", "the database cannot be watched any more"))?;
    }
}

/// Events that are read at once.
const EVENT_PAGE: u32 = 1000;

fn event_line(event: &Event) -> String {
    let at = std::time::UNIX_EPOCH + TimestampMs(0).until(event.at);
    let task = event.task.map_or_else(String::new, |task| format!(" task {task}"));
    let data = if event.data.is_null() { String::new() } else { format!(" {}", event.data) };
    format!("{:>5} {} {}{task}{data}", event.seq, humantime::format_rfc3339_seconds(at), event.kind)
}

fn list(
    global: &Global,
    store: &dyn Store,
    tenant: Option<&str>,
    state: Option<&str>,
    limit: u32,
) -> Result<u8, Diagnostic> {
    tenant.map_or(Ok(()), |tenant| require_tenant(store, tenant, ""))?;
    let state = match state {
        None => None,
        Some(text) => Some(RunState::parse(text).ok_or_else(|| {
            Diagnostic::refused("unknown_state", format!("`{text}` is not a state of a run"))
                .hint("active, succeeded, failed or cancelled")
        })?),
    };
    let runs = store.runs(&RunFilter { tenant: tenant.map(str::to_owned), state, ..RunFilter::default() }, limit)?;
    if global.json {
        return print_json(&runs.iter().map(brief).collect::<Vec<_>>());
    }
    if runs.is_empty() {
        return print("no runs");
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let (name, tenant) = (cut(&run.name, 40), cut(&run.tenant, 20));
            vec![run.id.to_string(), name, tenant, run.state.to_string(), age(run.created_at), about(run)]
        })
        .collect();
    print(&table(&["run", "name", "tenant", "state", "submitted", "about"], &rows))
}

fn about(run: &RunView) -> String {
    match (&run.state, &run.error) {
        (RunState::Succeeded, _) => film(run).unwrap_or_default(),
        (RunState::Failed, Some(error)) => cut(error, 80),
        (RunState::Active, _) if run.paused_at.is_some() => format!("paused, {} to do", tasks(run.open_tasks as usize)),
        (RunState::Active, _) => format!("{} to do", tasks(run.open_tasks as usize)),
        _ => String::new(),
    }
}

fn film(run: &RunView) -> Option<String> {
    Some(run.output.as_ref()?.get("film")?.as_str()?.to_owned())
}

fn brief(run: &RunView) -> Value {
    json!({
        "run": run.id, "name": run.name, "tenant": run.tenant, "state": run.state, "open_tasks": run.open_tasks,
        "failed_tasks": run.failed_tasks, "created_at": run.created_at, "paused_at": run.paused_at, "finished_at": run.finished_at,
        "error": run.error, "output": run.output,
    })
}

fn show(global: &Global, store: &dyn Store, run: &OneRun) -> Result<u8, Diagnostic> {
    let run = find(store, run)?;
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
    if let Some(since) = run.paused_at {
        text.push_str(&format!("paused {}; go on with: travel-host runs resume {}\n", age(since), run.id));
    }
    if let Some(error) = &run.error {
        text.push_str(&format!("error: {error}\n"));
        if !tasks.is_empty() {
            text.push_str(&format!("go on with: travel-host runs resume {}\n", run.id));
        }
    }
    text.push_str(&format!("\n{}", super::tasks::rows(&tasks)));
    print(&text)
}

/// `3 min 5 s ago`
pub fn age(at: TimestampMs) -> String {
    format!("{} ago", duration(at.until(SystemClock.now()).as_secs_f64()))
}
