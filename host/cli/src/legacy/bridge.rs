//! From the original's rows to runs, and back.
//!
//! A run knows its rows by its key for idempotence, `legacy:` and the orchestrator's row, or the run's name where segments and
//! stitches were queued without one. So nothing is kept beside the two databases: after any death, of this host or of its
//! machine, rows that are in progress find their runs again.

use super::database::{COMPLETE, FAILED, IN_PROGRESS, LegacyDb, ORCHESTRATOR, QUEUED, Row, SEGMENT};
use super::payload::{self, Order};
use crate::args::{Cli, Command, Global};
use crate::diagnostic::Diagnostic;
use crate::workplace::Workplace;
use clap::Parser as _;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use travel_engine::RunRequest;
use travel_engine::artifacts::{Artifacts, Hash};
use travel_engine::generators::Generators;
use travel_engine::media::{Unwatched, encode_film};
use travel_engine::queue::limits::MAX_ROWS;
use travel_engine::queue::{RunFilter, RunId, RunState, RunView, Store, TaskState};
use travel_engine::sandbox::Registry;
use travel_engine::spec::RunSpec;
use travel_engine::task::{self, SegmentInput, slot};

/// How often the old file is looked at: SQLite tells no other process of a change.
const LOOK: Duration = Duration::from_millis(250);

/// After how long something is tried again that went wrong.
const AGAIN: Duration = Duration::from_secs(10);

/// Who serves the old file.
pub struct Bridge {
    db: LegacyDb,
    place: Workplace,
    global: Global,
    registry: Registry,
    generators: Generators,
    artifacts: Artifacts,
    store: Arc<dyn Store>,
    runs: HashMap<String, RunId>,
    seen: Option<i64>,
    /// When what went wrong is tried again.
    again_at: Option<Instant>,
}

/// Queued rows of one run.
struct Group {
    rows: Vec<Row>,
    params: Map<String, Value>,
}

impl Bridge {
    /// For the old file at `path`.
    pub fn open(
        path: &Path,
        place: Workplace,
        global: &Global,
        registry: Registry,
        store: Arc<dyn Store>,
    ) -> Result<Self, Diagnostic> {
        let (generators, artifacts) = (place.generators(), place.artifacts()?);
        let (db, global) = (LegacyDb::open(path)?, global.clone());
        Ok(Self {
            db,
            place,
            global,
            registry,
            generators,
            artifacts,
            store,
            runs: HashMap::new(),
            seen: None,
            again_at: None,
        })
    }

    /// Takes up what is queued and answers what is done, once; how many rows were taken up. What goes wrong with one row is that
    /// row's affair.
    pub fn pass(&mut self) -> Result<usize, Diagnostic> {
        let version = self.db.version()?;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for row in self.db.rows(&[QUEUED])? {
            match payload::parse(row.params.as_deref()).and_then(|params| Ok((key(&row, &params)?, params))) {
                Ok((key, params)) => {
                    groups.entry(key).or_insert_with(|| Group { rows: Vec::new(), params }).rows.push(row)
                }
                Err(why) => self.refuse(&row, &why)?,
            }
        }
        let (mut taken, mut is_put_off) = (0, false);
        for (key, group) in groups {
            match self.take_up(&key, &group) {
                Ok(rows) => taken += rows,
                Err(why) => {
                    is_put_off = true;
                    tracing::warn!(run = key, %why, "rows of the old database wait for another try");
                }
            }
        }
        for row in self.db.rows(&[IN_PROGRESS])? {
            if let Err(why) = self.answer(&row) {
                is_put_off = true;
                tracing::warn!(row = row.id, %why, "a row of the old database waits for its answer");
            }
        }
        self.seen = Some(version);
        self.again_at = is_put_off.then(|| Instant::now() + AGAIN);
        Ok(taken)
    }

    /// Makes a run of queued rows, then claims them: should this host die in between, the next one finds the run by its key.
    /// How many rows were claimed; an error is one that may pass.
    fn take_up(&mut self, key: &str, group: &Group) -> Result<usize, Diagnostic> {
        let refused =
            |why: &str| group.rows.iter().try_for_each(|row| self.refuse(row, why)).map(|()| group.rows.len());
        let order = match payload::order(&group.params) {
            Ok(order) if order.is_nothing => {
                for row in &group.rows {
                    if self.db.claim(&row.id)? {
                        self.db.answer(&row.id, COMPLETE, None)?;
                    }
                }
                return Ok(group.rows.len());
            }
            Ok(order) => order,
            Err(why) => return refused(&why),
        };
        let stray = |row: &&Row| {
            let index = payload::parse(row.params.as_deref()).ok().and_then(|params| payload::segment_index(&params));
            row.kind == SEGMENT && index.is_none_or(|index| index as usize >= order.segments)
        };
        let (strays, rows): (Vec<&Row>, Vec<&Row>) = group.rows.iter().partition(stray);
        for row in &strays {
            self.refuse(row, &format!("its run has {} segments, and it is none of them", order.segments))?;
        }
        if rows.is_empty() {
            return Ok(strays.len());
        }
        let (run, is_new) = match self.find(key, &order.run_id)? {
            Some(run) => {
                // Queued once more, as its tools do it to have it tried again.
                let view = self.store.run(&run.into())?;
                if matches!(view.state, RunState::Failed | RunState::Cancelled) {
                    travel_engine::redo::resume(self.store.as_ref(), &view)?;
                }
                (run, false)
            }
            None => match self.submit(key, order) {
                Ok(run) => (run, true),
                Err(why) if why.may_pass() => return Err(why),
                Err(why) => return refused(&why.to_string()),
            },
        };
        let mut claimed = 0;
        for row in rows {
            claimed += usize::from(self.db.claim(&row.id)?);
        }
        if claimed == 0 && is_new {
            // Somebody else was faster with all of them.
            self.store.cancel_run(run)?;
            return Ok(0);
        }
        tracing::info!(rows = claimed, %run, "rows of the old database are a run now");
        self.runs.insert(key.to_owned(), run);
        Ok(claimed)
    }

    fn refuse(&self, row: &Row, why: &str) -> Result<(), Diagnostic> {
        tracing::warn!(row = row.id, why, "a row of the old database was refused");
        self.db.answer(&row.id, FAILED, Some(why))
    }

    /// The run that was submitted with this key before.
    fn find(&self, key: &str, name: &str) -> Result<Option<RunId>, Diagnostic> {
        if let Some(run) = self.runs.get(key) {
            return Ok(Some(*run));
        }
        let named = RunFilter { name: Some(name.to_owned()), ..RunFilter::default() };
        let runs = self.store.runs(&named, MAX_ROWS)?;
        Ok(runs.into_iter().find(|run| run.idem_key.as_deref() == Some(key)).map(|run| run.id))
    }

    fn submit(&self, key: &str, order: Order) -> Result<RunId, Diagnostic> {
        let request = self.request(key, order)?;
        let (prepared, fetched) = self.place.prepare(&self.global, &self.registry, &self.generators, request, false)?;
        prepared.check_output()?;
        let run = prepared.submit(self.store.as_ref(), &self.artifacts)?.run;
        if let Some(fetched) = fetched {
            fetched.forget();
        }
        Ok(run)
    }

    fn request(&self, key: &str, order: Order) -> Result<RunRequest, Diagnostic> {
        let film = self.db.folder(order.folder.as_deref()).join(format!("{}_final.mp4", order.run_id));
        let mut args = vec!["travel-host".to_owned(), "travel".to_owned(), format!("--name={}", order.run_id)];
        if self.place.config.generator.name.is_none() {
            args.extend(order.engine.map(|engine| format!("--execution-engine={engine}")));
        }
        args.extend(order.args);
        let parsed = |args: &[String]| match Cli::try_parse_from(args).map(|cli| cli.command) {
            Ok(Command::Travel(travel)) => travel.travel.request(&self.place.config, Some(&film)),
            Ok(_) => Err(Diagnostic::usage("the row is no travel")),
            Err(e) => Err(Diagnostic::usage(&e.render().to_string())),
        };
        let generator = self.generators.by_name(&parsed(&args)?.generator).map_err(travel_engine::EngineError::from)?;
        // What the original passed to every generator is passed to those that have it.
        let mut settings = Map::new();
        for (name, value) in order.settings {
            let one = json!({ name.as_str(): value });
            match generator.check_settings(&one) {
                Ok(()) => drop(settings.insert(name, value)),
                Err(_) => tracing::warn!(run = order.run_id, setting = name, "the generator has no such setting"),
            }
        }
        if !settings.is_empty() {
            args.insert(2, format!("--generator-settings={}", Value::Object(settings)));
        }
        if order.references != [0.0; 2] {
            let reads = generator.describe().map_err(travel_engine::EngineError::from)?.references > 0;
            let [initial, last] = order.references;
            if reads {
                args.insert(2, format!("--initial-image-strength={initial}"));
                args.insert(2, format!("--final-image-strength={last}"));
            } else {
                tracing::warn!(run = order.run_id, "the generator reads no reference images");
            }
        }
        Ok(RunRequest { idem_key: Some(key.to_owned()), ..parsed(&args)? })
    }

    /// Answers a row whose run, or whose part of it, is over. Rows in progress that are nobody's here are left alone.
    fn answer(&mut self, row: &Row) -> Result<(), Diagnostic> {
        let Ok(params) = payload::parse(row.params.as_deref()) else { return Ok(()) };
        let (Ok(key), Some(name)) = (key(row, &params), payload::run_id(&params)) else { return Ok(()) };
        let Some(run) = self.find(&key, &name)? else { return Ok(()) };
        self.runs.insert(key, run);
        let run = self.store.run(&run.into())?;
        if row.kind == SEGMENT
            && let Some(index) = payload::segment_index(&params)
            && let Some(clip) = self.segment(&run, index)?
        {
            return self.db.answer(&row.id, COMPLETE, Some(&self.db.location(&clip)));
        }
        match run.state {
            RunState::Active => Ok(()),
            RunState::Succeeded if row.kind == SEGMENT => {
                self.refuse(row, "the film has no such segment, or its clip has been cleaned up")
            }
            RunState::Succeeded => {
                let film = run.output.as_ref().and_then(|output| output.get("film")?.as_str());
                self.db.answer(&row.id, COMPLETE, film.map(|film| self.db.location(Path::new(film))).as_deref())
            }
            RunState::Failed | RunState::Cancelled => {
                let why = run.error.unwrap_or_else(|| format!("run {} was cancelled", run.id));
                self.refuse(row, &why)
            }
        }
    }

    /// A segment that is done, as a file of its own that players read.
    fn segment(&self, run: &RunView, index: u32) -> Result<Option<PathBuf>, Diagnostic> {
        for task in self.store.tasks(run.id)? {
            if task.kind != task::SEGMENT || task.state != TaskState::Succeeded {
                continue;
            }
            let detail = self.store.task(task.id)?;
            let input: SegmentInput = task::parse("segment", &detail.input).map_err(stored)?;
            let clip = detail.made.iter().find(|file| file.slot == slot::CLIP);
            let (true, Some(clip)) = (input.segment.place.index == index, clip) else { continue };
            let spec = RunSpec::parse(&run.spec.to_string()).map_err(stored)?;
            let film = spec.output.film;
            let out = film.with_file_name(format!("{}_seg{index:02}_output.mp4", run.name));
            let folder = film.parent().unwrap_or(Path::new("."));
            let unwritable =
                |e: std::io::Error| Diagnostic::failed("output_folder", format!("{}: {e}", folder.display()));
            std::fs::create_dir_all(folder).map_err(unwritable)?;
            let clip = self.artifacts.verified_path(Hash::from_bytes(clip.hash.0))?;
            // Beside its place, so that nobody sees half of it.
            let part = out.with_extension("part");
            let encoded =
                encode_film(&clip, input.segment.place.total, spec.canvas, spec.rate, &spec.encode, &part, &Unwatched);
            encoded.map_err(travel_engine::EngineError::from)?;
            std::fs::rename(&part, &out).map_err(unwritable)?;
            return Ok(Some(out));
        }
        Ok(None)
    }

    /// Whether the old file was changed since the last pass.
    fn is_behind(&self) -> bool {
        self.db.version().ok() != self.seen || self.again_at.is_some_and(|at| at <= Instant::now())
    }
}

fn stored(why: String) -> Diagnostic {
    Diagnostic::failed("stored_record", why)
}

/// By what the run of a row is found.
fn key(row: &Row, params: &Map<String, Value>) -> Result<String, String> {
    match row.kind == ORCHESTRATOR {
        true => Ok(format!("legacy:{}", row.id)),
        false => Ok(format!("legacy:{}", payload::run_id(params).ok_or("it names no run")?)),
    }
}

/// Serves the old file until `stop` says so: whenever one of the two databases has changed.
pub async fn serve(bridge: Arc<Mutex<Bridge>>, mut stop: watch::Receiver<bool>) {
    let mut changes = lock(&bridge).store.subscribe();
    while !*stop.borrow() {
        let changed = tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            () = tokio::time::sleep(LOOK) => false,
            _ = stop.changed() => break,
        };
        let looked =
            on_thread(&bridge, move |bridge| if changed || bridge.is_behind() { bridge.pass() } else { Ok(0) });
        if let Err(why) = looked.await {
            tracing::warn!(%why, "the old database was not served; it is tried again");
        }
    }
}

/// One pass.
pub async fn pass(bridge: &Arc<Mutex<Bridge>>) -> Result<usize, Diagnostic> {
    on_thread(bridge, Bridge::pass).await
}

/// On a thread that may wait for a busy file.
async fn on_thread(
    bridge: &Arc<Mutex<Bridge>>,
    work: impl FnOnce(&mut Bridge) -> Result<usize, Diagnostic> + Send + 'static,
) -> Result<usize, Diagnostic> {
    let bridge = Arc::clone(bridge);
    let done = tokio::task::spawn_blocking(move || work(&mut lock(&bridge))).await;
    done.unwrap_or_else(|e| Err(Diagnostic::failed("legacy_db", e.to_string())))
}

fn lock(bridge: &Mutex<Bridge>) -> std::sync::MutexGuard<'_, Bridge> {
    bridge.lock().unwrap_or_else(PoisonError::into_inner)
}
