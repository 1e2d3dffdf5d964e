//! The strings by which a running task is held: its stop flag, its progress, its phases.

use crate::observer::{HostEvent, Observer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use travel_generators::Device;
use travel_queue::{RunId, SlotArtifact, TaskId};

const GO_ON: u8 = 0;
const CANCEL: u8 = 1;
const RELEASE: u8 = 2;
const LOST: u8 = 3;
const DEADLINE: u8 = 4;

/// Why a task has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was cancelled, or its run was.
    Cancel,
    /// The host stops, or cannot reach the queue; the task goes back to the queue.
    Release,
    /// Somebody else has it now.
    Lost,
    /// The attempt has taken as long as it may.
    Deadline,
}

/// How a task was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// For a free place.
    AtOnce,
    /// To be prepared while its place is busy.
    Ahead,
}

/// Who is told of a task's place.
pub trait PlaceWatch: Send + Sync {
    /// The task is prepared, and its place is not free yet.
    fn waits(&self);
    /// The task was claimed ahead or had to wait for its place, and has it now.
    fn has_place(&self);
    /// The task no longer needs its place, though it goes on; how it spent its time there.
    fn left_place(&self, time: DeviceTime);
}

/// How a task has spent its time on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceTime {
    /// Until its model was loaded; nothing where it was loaded already, or its generator does not say.
    pub load: Duration,
    /// From then on.
    pub work: Duration,
}

/// One running task.
pub struct Control {
    run: RunId,
    task: TaskId,
    name: String,
    device: Option<Device>,
    begins: Begins,
    stop: AtomicU8,
    impatient: AtomicBool,
    changed: Condvar,
    state: Mutex<State>,
    observer: std::sync::Arc<dyn Observer>,
    places: Box<dyn PlaceWatch>,
}

#[derive(Default)]
struct State {
    /// Whether its place is free for it.
    may_run: bool,
    phase: Option<(&'static str, Instant)>,
    /// Since when the generator loads, and how long it has loaded in this phase.
    loading: Option<Instant>,
    loaded: Duration,
    stage: Option<String>,
    preview: Option<PathBuf>,
    done: u64,
    total: u64,
    told: Option<Instant>,
    phases_ms: BTreeMap<String, f64>,
    on_stop: Vec<Box<dyn Fn() + Send + Sync>>,
    kept: Vec<SlotArtifact>,
}

/// Shortest time between two reports of progress within a phase.
const REPORT_EVERY: Duration = Duration::from_millis(50);

impl Control {
    /// Of a task that begins.
    pub fn new(
        run: RunId,
        task: TaskId,
        name: String,
        device: Option<Device>,
        begins: Begins,
        observer: std::sync::Arc<dyn Observer>,
        places: Box<dyn PlaceWatch>,
    ) -> Self {
        Self {
            places,
            run,
            task,
            name,
            device,
            begins,
            stop: AtomicU8::new(GO_ON),
            impatient: AtomicBool::new(false),
            changed: Condvar::new(),
            state: Mutex::default(),
            observer,
        }
    }

    /// Asks the task to stop; the first reason stays.
    pub fn stop(&self, why: Stop) {
        let code = match why {
            Stop::Cancel => CANCEL,
            Stop::Release => RELEASE,
            Stop::Lost => LOST,
            Stop::Deadline => DEADLINE,
        };
        let _ = self.stop.compare_exchange(GO_ON, code, Ordering::AcqRel, Ordering::Acquire);
        // Taken so that nobody between looking and waiting misses the call.
        let calls = std::mem::take(&mut self.lock().on_stop);
        self.changed.notify_all();
        calls.iter().for_each(|call| call());
    }

    /// Who is told of what happens.
    pub(crate) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    /// The graphics card that it has, if its place is one.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// The host ends: nobody waits any longer for a queue that cannot be told.
    pub fn be_impatient(&self) {
        let state = self.lock();
        self.impatient.store(true, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until nothing is to be waited for any more, because the claim is lost or the host ends, at most so long; whether
    /// it is so.
    pub fn is_hopeless_within(&self, time: Duration) -> bool {
        let hopeless = || self.stopped() == Some(Stop::Lost) || self.impatient.load(Ordering::Acquire);
        let waited = self.changed.wait_timeout_while(self.lock(), time, |_| !hopeless());
        drop(waited);
        hopeless()
    }

    /// Tells the task that its place is free for it.
    pub fn let_run(&self) {
        self.lock().may_run = true;
        self.changed.notify_all();
    }

    /// Waits until the task's place is free for it, or it has to stop.
    pub fn await_place(&self) {
        let must_wait = !self.lock().may_run;
        if must_wait && self.stopped().is_none() {
            self.phase("wait", 0);
            self.places.waits();
            let waited = self.changed.wait_while(self.lock(), |state| !state.may_run && self.stopped().is_none());
            drop(waited);
        }
        if (must_wait || self.begins == Begins::Ahead) && self.stopped().is_none() {
            self.places.has_place();
        }
    }

    /// The task no longer needs its place, though it goes on.
    pub fn leave_place(&self) {
        let mut state = self.lock();
        state.end_loading();
        let spent = state.phase.map_or(Duration::ZERO, |(_, since)| since.elapsed());
        let time = DeviceTime { load: state.loaded, work: spent.saturating_sub(state.loaded) };
        drop(state);
        self.places.left_place(time);
    }

    /// Why the task has to stop, if it has to.
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::Acquire) {
            CANCEL => Some(Stop::Cancel),
            RELEASE => Some(Stop::Release),
            LOST => Some(Stop::Lost),
            DEADLINE => Some(Stop::Deadline),
            _ => None,
        }
    }

    /// Keeps a stored file with the task, however the task ends.
    pub fn keep(&self, file: SlotArtifact) {
        self.lock().kept.push(file);
    }

    /// The files to keep with the task.
    pub fn kept(&self) -> Vec<SlotArtifact> {
        self.lock().kept.clone()
    }

    /// Begins a phase, which ends the one before.
    pub fn phase(&self, phase: &'static str, total: u64) {
        let mut state = self.lock();
        state.close_phase();
        state.phase = Some((phase, Instant::now()));
        (state.stage, state.preview) = (None, None);
        (state.done, state.total, state.told) = (0, total, Some(Instant::now()));
        drop(state);
        self.tell(phase.to_owned(), 0, total);
    }

    /// Goes on within the phase.
    pub fn advance(&self, done: u64, total: u64) {
        let mut state = self.lock();
        let Some((phase, _)) = state.phase else { return };
        // Who works does not always know how much there is; who began the phase does.
        let total = if total == 0 { state.total } else { total };
        (state.done, state.total) = (done, total);
        if done < total && state.told.is_some_and(|at| at.elapsed() < REPORT_EVERY) {
            return;
        }
        state.told = Some(Instant::now());
        let phase = state.stage.as_ref().map_or_else(|| phase.to_owned(), |stage| format!("{phase}: {stage}"));
        drop(state);
        self.tell(phase, done, total);
    }

    /// Ends the last phase; milliseconds of each.
    pub fn phases_ms(&self) -> BTreeMap<String, f64> {
        let mut state = self.lock();
        state.close_phase();
        state.phases_ms.clone()
    }

    /// The last progress, as the queue keeps it.
    pub fn progress(&self) -> Option<Value> {
        let state = self.lock();
        let (phase, _) = state.phase?;
        let mut progress = json!({ "phase": phase, "done": state.done, "total": state.total });
        if let Some(map) = progress.as_object_mut() {
            map.extend(state.stage.as_ref().map(|stage| ("stage".to_owned(), json!(stage))));
            map.extend(state.preview.as_ref().map(|preview| ("preview".to_owned(), json!(preview))));
        }
        Some(progress)
    }

    fn tell(&self, phase: String, done: u64, total: u64) {
        let (run, task, name) = (self.run, self.task, self.name.clone());
        self.observer.tell(&HostEvent::Progress { run, task, name, phase, done, total });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close_phase(&mut self) {
        self.end_loading();
        let loaded = std::mem::take(&mut self.loaded);
        if let Some((phase, since)) = self.phase.take() {
            let ms = |time: Duration| time.as_secs_f64() * 1000.0;
            *self.phases_ms.entry(phase.to_owned()).or_default() += ms(since.elapsed().saturating_sub(loaded));
            if !loaded.is_zero() {
                *self.phases_ms.entry("load".to_owned()).or_default() += ms(loaded);
            }
        }
    }

    fn end_loading(&mut self) {
        let load = self.loading.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.loaded = self.loaded.saturating_add(load);
    }
}

impl travel_media::Watch for Control {
    fn frame(&self, done: u64, total: u64) {
        self.advance(done, total);
    }

    fn cancelled(&self) -> bool {
        self.stopped().is_some()
    }
}

impl travel_generators::Progress for Control {
    fn report(&self, done: u32, total: u32) {
        self.advance(u64::from(done), u64::from(total));
    }

    fn stage(&self, name: &str) {
        let mut state = self.lock();
        if state.stage.as_deref() != Some(name) {
            state.stage = Some(name.to_owned());
            // What a stage begins with is told at once.
            (state.done, state.told) = (0, None);
        }
    }

    fn loads(&self, now: bool) {
        let mut state = self.lock();
        state.end_loading();
        state.loading = now.then(Instant::now);
    }

    fn preview(&self, picture: &Path) {
        self.lock().preview = Some(picture.to_owned());
    }

    fn cancelled(&self) -> bool {
        self.stopped().is_some()
    }

    fn on_cancel(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let mut state = self.lock();
        if self.stopped().is_some() {
            drop(state);
            wake();
        } else {
            state.on_stop.push(wake);
        }
    }
}
