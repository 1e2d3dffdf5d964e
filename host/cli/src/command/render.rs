//! `render`: submit, run and wait, in one process.

use super::{print, print_json};
use crate::args::{Global, RenderCommand};
use crate::diagnostic::Diagnostic;
use crate::format::duration;
use crate::progress::{Whole, observer, tell};
use crate::render_args::TravelArgs;
use crate::stop::{First, on_signal, runtime};
use crate::workplace::Workplace;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use travel::Timeline;
use travel_engine::generators::Generators;
use travel_engine::manifest::{Manifest, submit_again};
use travel_engine::queue::{HostLock, RunFilter, RunId, RunKey, RunState, SqliteStore, Store, TaskState};
use travel_engine::sandbox::{Registry, Sandbox};
use travel_engine::task::{FilmOutput, ORCHESTRATOR};
use travel_engine::{Host, Prepared, Shutdown, Until};

pub fn render(global: &Global, args: &RenderCommand) -> Result<u8, Diagnostic> {
    render_in(global, args, Pace::AsSlotsAllow)
}

/// How many tasks a host runs at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    AsSlotsAllow,
    OneByOne,
}

/// `travel --legacy-travel-flow`: as `render`, one task at a time.
pub fn one_by_one(global: &Global, travel: &TravelArgs) -> Result<u8, Diagnostic> {
    let args = RenderCommand { travel: travel.clone(), output: None, resume: None, from_manifest: None };
    render_in(global, &args, Pace::OneByOne)
}

fn render_in(global: &Global, args: &RenderCommand, pace: Pace) -> Result<u8, Diagnostic> {
    let begun = Instant::now();
    let place = Workplace::find(global)?;
    let (sandbox, registry) = place.plugins()?;
    let generators = place.generators();
    let output_dir = place.output_dir(args.travel.output_dir.as_deref())?;
    let (lock, store, run, timeline) = match (&args.resume, &args.from_manifest) {
        (None, Some(path)) => {
            args.travel.refused.refuse()?;
            let manifest = Manifest::read(path).map_err(Diagnostic::from)?;
            let timeline = Timeline::deserialize(&manifest.timeline).ok();
            let mut again = args.travel.again(&manifest, args.output.as_deref())?;
            again.output.film = output_dir.join(&again.output.film);
            again.output.seams = again.output.seams.map(|page| output_dir.join(page));
            again.output.contact_sheet = again.output.contact_sheet.map(|sheet| output_dir.join(sheet));
            let (lock, store) = place.store_to_work()?;
            let run = submit_again(manifest, again, &store, &place.artifacts()?, &registry, &generators)?.run;
            (lock, store, run, timeline)
        }
        (Some(run), _) => {
            args.travel.refused.refuse()?;
            let (lock, store) = existing(&place)?;
            let run = revive(&store, run)?;
            let timeline = timeline_of(&store, run);
            (lock, store, run, timeline)
        }
        (None, None) => {
            let mut request = args.travel.request(&place.config, args.output.as_deref())?;
            request.output.film = output_dir.join(&request.output.film);
            request.output.seams = request.output.seams.map(|page| output_dir.join(page));
            request.output.contact_sheet = request.output.contact_sheet.map(|sheet| output_dir.join(sheet));
            let (prepared, fetched) =
                place.prepare(global, &registry, &generators, request, args.travel.allow_private_addresses)?;
            prepared.check_output()?;
            let (lock, store) = place.store_to_work()?;
            let timeline = prepared.plan().timeline.clone();
            if !global.json {
                tell_plan(&prepared, &timeline);
            }
            let run = prepared.submit(&store, &place.artifacts()?)?.run;
            if let Some(fetched) = fetched {
                fetched.forget();
            }
            (lock, store, run, Some(timeline))
        }
    };
    let ready = Ready { place: &place, sandbox, registry, generators, output_dir, pace };
    ready.work(global, lock, store, run, timeline, begun)
}

/// Works on a run that is in the queue until it is over.
pub fn go_on(
    global: &Global,
    place: &Workplace,
    lock: HostLock,
    store: SqliteStore,
    run: RunId,
) -> Result<u8, Diagnostic> {
    let begun = Instant::now();
    let (sandbox, registry) = place.plugins()?;
    let timeline = timeline_of(&store, run);
    let (generators, output_dir) = (place.generators(), place.output_dir(None)?);
    let ready = Ready { place, sandbox, registry, generators, output_dir, pace: Pace::AsSlotsAllow };
    ready.work(global, lock, store, run, timeline, begun)
}

/// All that a host needs but its queue.
struct Ready<'a> {
    place: &'a Workplace,
    sandbox: Sandbox,
    registry: Registry,
    generators: Generators,
    output_dir: PathBuf,
    pace: Pace,
}

impl Ready<'_> {
    fn work(
        self,
        global: &Global,
        lock: HostLock,
        store: SqliteStore,
        run: RunId,
        timeline: Option<Timeline>,
        begun: Instant,
    ) -> Result<u8, Diagnostic> {
        let Self { place, sandbox, registry, generators, output_dir, pace } = self;
        let store: Arc<dyn Store> = Arc::new(store);
        let others = store.runs(&RunFilter { state: Some(RunState::Active), ..RunFilter::default() }, 100)?;
        let others = others.iter().filter(|other| other.id != run).count();
        if others > 0 && !global.json {
            tell(&format!("  note: {others} other unfinished runs of this queue are worked on too, by age"));
        }
        let shop = place.workshop(sandbox, registry, generators, output_dir)?;
        let whole = timeline.map(|line| whole(store.as_ref(), run, &line)).transpose()?;
        let host = Host::new(Arc::clone(&store), shop, place.places(), observer(global, whole));
        let host = if pace == Pace::OneByOne { host.one_by_one() } else { host };
        let stopped = runtime()?.block_on(async {
            let shutdown = on_signal(First::Now)?;
            host.work(Until::Run(run), shutdown.clone()).await?;
            let stopped = *shutdown.borrow() != Shutdown::No;
            Ok::<_, Diagnostic>(stopped)
        })?;
        drop(lock);
        if stopped && store.run(&run.into())?.state == RunState::Active {
            return Err(Diagnostic::stopped(format!("run {run} was stopped; nothing is lost"))
                .hint(format!("go on with `travel-host render --resume {run}`")));
        }
        tell_end(global, place, store.as_ref(), run, begun)
    }
}

/// Tells how a run ended, and puts its film back if that was taken away.
pub fn tell_end(
    global: &Global,
    place: &Workplace,
    store: &dyn Store,
    run: RunId,
    begun: Instant,
) -> Result<u8, Diagnostic> {
    let view = store.run(&run.into())?;
    match view.state {
        RunState::Succeeded => {
            restore(place, view.output.as_ref())?;
            let has_page = view.spec.pointer("/output/seams").is_some_and(|page| !page.is_null());
            report(global, run, view.output.as_ref(), has_page, begun)
        }
        RunState::Active => {
            Err(Diagnostic::failed("stuck", format!("run {run} has tasks that no slot of this host takes"))
                .hint("see `travel-host tasks list`, and [slots] in the configuration"))
        }
        state => {
            let why = view.error.unwrap_or_else(|| "no task says why".to_owned());
            Err(Diagnostic::failed("run_failed", format!("run {run} {state}: {why}"))
                .hint(format!("mend the cause, then go on with `travel-host render --resume {run}`")))
        }
    }
}

/// The queue of a run that is to go on: made by no command, so that a wrong path makes no file.
fn existing(place: &Workplace) -> Result<(HostLock, SqliteStore), Diagnostic> {
    drop(place.store_to_read()?);
    place.store_to_work()
}

/// The run, set going again when it is over without a film.
fn revive(store: &dyn Store, run: &str) -> Result<RunId, Diagnostic> {
    let view = store.run(&RunKey::parse(run))?;
    if matches!(view.state, RunState::Failed | RunState::Cancelled) {
        travel_engine::redo::resume(store, &view)?;
    }
    Ok(view.id)
}

/// A film that was taken away after its run ended is put back from the store.
fn restore(place: &Workplace, output: Option<&Value>) -> Result<(), Diagnostic> {
    let Some(film) = output.and_then(|o| FilmOutput::deserialize(o).ok()).filter(|o| !o.film.exists()) else {
        return Ok(());
    };
    if let Some(folder) = film.film.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| Diagnostic::failed("output_folder", format!("{}: {e}", folder.display())))?;
    }
    Ok(place.artifacts()?.export(film.hash, &film.film)?)
}

/// The time line of a run that was expanded already.
fn timeline_of(store: &dyn Store, run: RunId) -> Option<Timeline> {
    let tasks = store.tasks(run).ok()?;
    let orchestrator = tasks.iter().find(|t| t.kind == ORCHESTRATOR)?;
    let output = store.task(orchestrator.id).ok()?.output?;
    Timeline::deserialize(output.get("timeline")?).ok()
}

/// The film as its bar follows it, with what earlier hosts have rendered.
fn whole(store: &dyn Store, run: RunId, timeline: &Timeline) -> Result<Whole, Diagnostic> {
    let tasks = store.tasks(run)?;
    let done = tasks.into_iter().filter(|task| task.state == TaskState::Succeeded).map(|task| (task.id, task.name));
    Ok(Whole::new(run, timeline, done))
}

fn tell_plan(prepared: &Prepared, timeline: &Timeline) {
    let (frames, rate) = (timeline.frames, timeline.rate);
    tell(&format!(
        "{} segments, {frames} frames at {rate} a second, {:.1} s, {}",
        timeline.segments.len(),
        rate.seconds(frames),
        prepared.canvas()
    ));
    for note in &prepared.plan().notes {
        tell(&format!("  note: {note}"));
    }
}

fn report(
    global: &Global,
    run: RunId,
    output: Option<&Value>,
    has_page: bool,
    begun: Instant,
) -> Result<u8, Diagnostic> {
    let seconds = begun.elapsed().as_secs_f64();
    let output = output.cloned().unwrap_or_default();
    if global.json {
        return print_json(&json!({ "event": "rendered", "run": run, "output": output, "seconds": seconds }));
    }
    let text = |key: &str| output.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut lines = format!("run {run}: done in {}\n", duration(seconds));
    if let (Some(film), Some(frames)) = (text("film"), output.get("frames")) {
        lines.push_str(&format!("film: {film} ({frames} frames)\n"));
    }
    let seams = output.get("seams").and_then(Value::as_array);
    let shown = seams.into_iter().flatten().filter(|seam| seam.get("may_show") == Some(&Value::Bool(true))).count();
    if shown > 0 {
        let all = seams.map_or(0, Vec::len);
        let see = if has_page { "see their page" } else { "--seams makes a page with them" };
        lines.push_str(&format!("note: {shown} of {all} seams may show; {see}\n"));
    }
    if let Some(sheet) = text("contact_sheet") {
        lines.push_str(&format!("contact sheet: {sheet}\n"));
    }
    print(&lines)
}
