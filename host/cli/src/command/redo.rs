//! `runs redo` and `runs takes`.

use super::names::find;
use super::runs::{age, answer, tasks};
use super::{print, print_json, render};
use crate::args::{Global, RedoCommand, TakesCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{cut, table};
use crate::progress::tell;
use crate::stop::runtime;
use crate::workplace::Workplace;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use travel::wishes::LegWish;
use travel_engine::queue::{Revived, RunId, RunState, Store, Take};
use travel_engine::redo;
use travel_engine::task::slot;

pub fn redo(global: &Global, place: &Workplace, args: &RedoCommand) -> Result<u8, Diagnostic> {
    let store = place.store_to_change()?;
    let run = find(&store, &args.run)?;
    let wish = LegWish {
        prompt: args.prompt.clone(),
        negative_prompt: args.negative_prompt.clone(),
        seed: args.seed,
        settings: args
            .generator_settings
            .as_deref()
            .map(|text| settings_over(text, &redo::leg(&store, &run, args.segment)?.settings))
            .transpose()?,
    };
    let done = redo::redo(&store, &place.generators(), &run, args.segment, &wish)?;
    let nothing = format!(
        "segment {} of run {} is as it is to be: give another --seed, --prompt or --generator-settings",
        args.segment, run.id
    );
    told(global, place, store, run.id, done, &nothing, args.wait)
}

/// A JSON object over another one.
fn settings_over(text: &str, settings: &str) -> Result<String, Diagnostic> {
    let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text);
    let over = object(text).map_err(|e| {
        Diagnostic::refused("bad_value", format!("--generator-settings is not a JSON object: {e}"))
            .hint("as --generator-settings '{\"steps\": 20}'")
    })?;
    let mut all = object(settings).unwrap_or_default();
    all.extend(over);
    Ok(Value::Object(all).to_string())
}

pub fn takes(global: &Global, place: &Workplace, args: &TakesCommand) -> Result<u8, Diagnostic> {
    if let (Some(segment), Some(take)) = (args.segment, args.choose) {
        let store = place.store_to_change()?;
        let run = find(&store, &args.run)?;
        let done = redo::choose(&store, &run, segment, take)?;
        let nothing = format!("segment {segment} of run {} has take {take} already", run.id);
        return told(global, place, store, run.id, done, &nothing, args.wait);
    }
    let store = place.store_to_read()?;
    let run = find(&store, &args.run)?;
    let mut segments = redo::takes(&store, &run)?;
    if let Some(only) = args.segment {
        redo::leg(&store, &run, only)?;
        segments.retain(|segment| segment.segment == only);
    }
    if global.json {
        return print_json(&json!({ "run": run.id, "segments": segments }));
    }
    let artifacts = place.artifacts()?;
    let rows: Vec<Vec<String>> = segments
        .iter()
        .flat_map(|segment| segment.takes.iter().enumerate().map(move |(i, take)| (segment, i + 1, take)))
        .map(|(segment, number, take)| {
            let clip = take.made.iter().find(|file| file.slot == slot::CLIP);
            let path =
                clip.and_then(|file| artifacts.path(travel_engine::artifacts::Hash::from_bytes(file.hash.0)).ok());
            let chosen = if take.is_chosen { "*" } else { "" };
            let [seed, prompt, settings] = ["seed", "prompt", "settings"].map(|key| said(take, key));
            let settings = if settings == "{}" { String::new() } else { cut(&settings, 60) };
            let clip = path.map_or_else(|| "gone".to_owned(), |path| path.display().to_string());
            let segment = segment.segment.to_string();
            vec![
                segment,
                number.to_string(),
                chosen.to_owned(),
                seed,
                cut(&prompt, 40),
                settings,
                age(take.created_at),
                clip,
            ]
        })
        .collect();
    if rows.is_empty() {
        return print(&format!("no segment of run {} is rendered yet", run.id));
    }
    print(&table(&["segment", "take", "", "seed", "prompt", "settings", "rendered", "clip"], &rows))
}

fn said(take: &Take, key: &str) -> String {
    match take.input.pointer(&format!("/segment/leg/{key}")) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Tells what was opened, and sees it through when that is wished.
fn told(
    global: &Global,
    place: &Workplace,
    store: impl Store,
    run: RunId,
    done: Option<Revived>,
    nothing: &str,
    wait: bool,
) -> Result<u8, Diagnostic> {
    let Some(done) = done else {
        let view = store.run(&run.into())?;
        if wait && matches!(view.state, RunState::Active | RunState::Succeeded) {
            if !global.json {
                tell(nothing);
            }
            // It may be on its way, or its film taken away.
            return see_through(global, place, store, run);
        }
        let record = json!({ "run": run, "run_state": view.state, "tasks": [] });
        return answer(global, &record, nothing);
    };
    let open = store.run(&run.into())?.open_tasks;
    let sentence = format!("run {run} goes on: {} to do", tasks(open as usize));
    if !wait || done.run_state != RunState::Active {
        return answer(global, &done, &sentence);
    }
    if !global.json {
        tell(&sentence);
    }
    see_through(global, place, store, run)
}

/// How often somebody who waits looks whether there is still a host.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until a run is over: as its host, as soon as there is no other.
fn see_through(global: &Global, place: &Workplace, store: impl Store, run: RunId) -> Result<u8, Diagnostic> {
    let begun = Instant::now();
    let mut changes = store.subscribe();
    let waiter = runtime()?;
    while store.run(&run.into())?.state == RunState::Active {
        if let Some((lock, own)) = place.store_to_work_if_free()? {
            drop(store);
            return render::go_on(global, place, lock, own, run);
        }
        // Told of changes at once; that a host has gone is told by its lock alone.
        let changed = waiter.block_on(async { tokio::time::timeout(LOOK, changes.changed()).await });
        if matches!(changed, Ok(Err(_))) {
            return Err(Diagnostic::failed("queue_closed", "the database cannot be watched any more"));
        }
    }
    render::tell_end(global, place, &store, run, begun)
}
