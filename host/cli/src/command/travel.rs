//! `travel`: submit and return.

use super::{print, print_json};
use crate::args::{Global, TravelCommand};
use crate::diagnostic::Diagnostic;
use crate::workplace::Workplace;
use serde_json::json;
use std::time::UNIX_EPOCH;
use travel_engine::RunRequest;
use travel_engine::queue::{Clock as _, Store as _, SystemClock, TimestampMs};

pub fn travel(global: &Global, args: &TravelCommand) -> Result<u8, Diagnostic> {
    if args.legacy_travel_flow {
        return super::render::one_by_one(global, &args.travel);
    }
    let place = Workplace::find(global)?;
    let request = args.travel.request(&place.config, None)?;
    let start_at = match (args.start_in, args.start_at) {
        (Some(delay), _) => Some(SystemClock.now().after(delay)),
        (None, Some(at)) => Some(TimestampMs(0).after(at.duration_since(UNIX_EPOCH).unwrap_or_default())),
        (None, None) => None,
    };
    let request = RunRequest { idem_key: args.idempotency_key.clone(), start_at, ..request };
    let (_, registry) = place.plugins()?;
    let generators = place.generators();
    let (name, film) = (request.name.clone(), request.output.film.clone());
    let (prepared, fetched) =
        place.prepare(global, &registry, &generators, request, args.travel.allow_private_addresses)?;
    prepared.check_output()?;
    let (frames, rate) = (prepared.plan().timeline.frames, prepared.plan().timeline.rate);
    let notes = prepared.plan().notes.clone();
    let store = place.store_to_submit()?;
    let submitted = prepared.submit(&store, &place.artifacts()?)?;
    if let Some(fetched) = fetched {
        fetched.forget();
    }
    if !submitted.created {
        let run = store.run(&submitted.run.into())?;
        if global.json {
            return print_json(&json!({ "run": run.id, "created": false, "name": run.name, "state": run.state }));
        }
        return print(&format!("run {} ({}) was submitted before with this key; nothing was added", run.id, run.name));
    }
    if global.json {
        return print_json(&json!({
            "run": submitted.run, "created": submitted.created, "name": name, "film": film,
            "frames": frames, "notes": notes, "start_at": start_at,
        }));
    }
    let run = submitted.run;
    let below = if film.is_absolute() { "" } else { " in the output folder of the host that makes it" };
    let seconds = rate.seconds(frames);
    let mut text = format!("run {run}: {frames} frames, {seconds:.1} s, will be {}{below}\n", film.display());
    for note in notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text.push_str(&format!("it is made by `travel-host run`; watch it with `travel-host runs show {run}`"));
    print(&text)
}
