//! The host: claims tasks while it has free slots, holds them by their strings, stops when told.
//!
//! The loop waits for one of six signals and never polls: a task ended or left its place, the queue changed, a delayed task
//! is due, an attempt has taken too long, it is time for a heartbeat, somebody wants the host to stop. Each task runs on a
//! thread of its own, so that plugins and ffmpeg may block; that thread also settles the task with the queue before it
//! reports back.

use crate::control::{Begins, Control, DeviceTime, PlaceWatch, Stop};
use crate::error::EngineError;
use crate::limits::{QUEUE_RETRY, QUEUE_TRIES};
use crate::observer::{HostEvent, Observer};
use crate::settle;
use crate::slots::{Place, Slots};
use crate::workshop::Workshop;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use travel_generators::Device;
use travel_queue::limits::{HEARTBEAT, SELF_FENCE};
use travel_queue::{
    Beat, BeatAnswer, Capacity, ClaimRequest, Claimed, Incarnation, LaneView, LeaseToken, NewWorker, QueueError, RunId,
    RunState, RunView, Store, TaskId, TimestampMs, WorkerId,
};

/// When a host ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Not before it is told.
    Stopped,
    /// When nothing is running or due later, and nothing is ready that this host may take.
    Idle,
    /// When this run is over.
    Run(RunId),
}

/// What a host is told about stopping; it only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Shutdown {
    /// Go on.
    #[default]
    No,
    /// Finish what runs, claim nothing more.
    Drain,
    /// Hand back what runs.
    Now,
    /// End at once; what runs is taken back at the next start.
    Abandon,
}

/// A host at work on one queue. Its maker holds the queue's lock.
pub struct Host {
    store: Arc<dyn Store>,
    shop: Arc<Workshop>,
    places: Vec<Place>,
    observer: Arc<dyn Observer>,
    is_one_by_one: bool,
}

struct Running {
    run: RunId,
    control: Arc<Control>,
    token: LeaseToken,
    /// How long it may take; and until when, once it has its place.
    patience: Option<Duration>,
    deadline: Option<Instant>,
}

impl Running {
    fn let_run(&mut self) {
        self.deadline = self.patience.and_then(|patience| Instant::now().checked_add(patience));
        self.control.let_run();
    }
}

/// A task's place, as its thread tells of it.
struct Placed {
    store: Arc<dyn Store>,
    task: TaskId,
    token: LeaseToken,
    report: mpsc::UnboundedSender<Report>,
}

impl PlaceWatch for Placed {
    fn waits(&self) {
        if let Err(error) = self.store.await_work(self.task, self.token) {
            // Should this host die, the task counts as one that may have killed it.
            tracing::debug!(task = %self.task, %error, "the queue was not told that a task waits");
        }
    }

    fn has_place(&self) {
        if let Err(error) = self.store.begin_work(self.task, self.token) {
            // Its tenant is charged for the wait too; nothing else comes of it.
            tracing::debug!(task = %self.task, %error, "the queue was not told that a task begins");
        }
    }

    fn left_place(&self, time: DeviceTime) {
        // The host outlives its tasks: it waits for every report before it returns.
        drop(self.report.send(Report { task: self.task, token: self.token, now: Now::Left(time) }));
    }
}

/// What a host holds at one moment.
struct Hands {
    worker: WorkerId,
    slots: Slots,
    running: HashMap<TaskId, Running>,
    /// Runs that tasks were claimed of and whose end was not told yet.
    open: BTreeSet<RunId>,
    /// What the queue was told last that this host offers.
    offered: Capacity,
}

/// What a task's thread reports. The token says of which attempt: one that has settled may be claimed again before its thread
/// has said so.
struct Report {
    task: TaskId,
    token: LeaseToken,
    now: Now,
}

enum Now {
    /// It goes on, and no longer needs its place; how it spent its time there.
    Left(DeviceTime),
    /// It has settled.
    Ended(Result<(), QueueError>),
}

impl Host {
    /// A host that has not begun.
    pub fn new(store: Arc<dyn Store>, shop: Arc<Workshop>, places: Vec<Place>, observer: Arc<dyn Observer>) -> Self {
        Self { store, shop, places, observer, is_one_by_one: false }
    }

    /// The same, which begins a task only when nothing runs, whatever its places allow.
    #[must_use]
    pub fn one_by_one(self) -> Self {
        Self { is_one_by_one: true, ..self }
    }

    /// Works until its time has come. On an error of the queue it stops what runs; the next start takes it up again.
    ///
    /// # Errors
    /// A queue that fails for good, a thread that cannot be started.
    pub async fn work(&self, until: Until, mut shutdown: watch::Receiver<Shutdown>) -> Result<(), EngineError> {
        let slots = Slots::new(self.places.clone());
        let offered = slots.capacity();
        let worker = self.begin(offered.clone()).await?;
        let mut hands = Hands { worker, slots, running: HashMap::new(), open: BTreeSet::new(), offered };
        let mut changes = self.store.subscribe();
        let (report, mut reports) = mpsc::unbounded_channel();
        let mut told = Shutdown::No;
        let mut refused = 0u32;
        let fence = Arc::new(Fence::default());
        let guard = tokio::spawn(Fence::guard(Arc::clone(&fence)));
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            changes.mark_unchanged();
            self.tell_ended(&mut hands).await;
            let mut due = None;
            if told == Shutdown::No {
                match self.fill(&mut hands, &fence, &report).await {
                    Ok(()) => refused = 0,
                    // What runs goes on meanwhile: its own end is told patiently too. Who waits for the end of a run has it
                    // told when somebody must act.
                    Err(EngineError::Queue(e))
                        if e.is_retryable()
                            && (until == Until::Stopped
                                || !hands.running.is_empty()
                                || (is_passing(&e) && refused < QUEUE_TRIES)) =>
                    {
                        refused = refused.saturating_add(1);
                        if refused.is_power_of_two() {
                            tracing::warn!(error = %e, tries = refused, "no work can be claimed yet");
                        }
                        due = Some(QUEUE_RETRY);
                    }
                    Err(e) => break Err(e),
                }
                // Without room nobody would take what becomes due.
                let takes_more = !self.is_one_by_one || hands.running.is_empty();
                if due.is_none() && takes_more && hands.slots.has_room() {
                    due = match self.next_due().await {
                        Ok(next) => next,
                        Err(EngineError::Queue(e)) if is_passing(&e) => Some(QUEUE_RETRY),
                        Err(e) => break Err(e),
                    };
                }
                match self.is_over(until, hands.running.is_empty(), due.is_none()).await {
                    // What came in meanwhile was not looked at.
                    Ok(true) if until != Until::Idle || !changes.has_changed().unwrap_or(false) => break Ok(()),
                    Ok(_) => {}
                    Err(EngineError::Queue(e)) if is_passing(&e) => due = Some(QUEUE_RETRY),
                    Err(e) => break Err(e),
                }
            } else if hands.running.is_empty() {
                break Ok(());
            }
            self.offer(&mut hands, told != Shutdown::No).await;
            self.stop_cancelled(&hands).await;
            let overdue = hands.next_deadline();
            tokio::select! {
                Some(told) = reports.recv() => {
                    if let Err(e) = hands.take_report(told) {
                        break Err(e.into());
                    }
                }
                changed = changes.changed() => if changed.is_err() {
                    break Err(QueueError::Closed.into());
                },
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => {}
                () = tokio::time::sleep_until(overdue.unwrap_or_else(Instant::now).into()), if overdue.is_some() => {
                    hands.stop_overdue();
                }
                _ = heartbeat.tick() => self.beat(worker, &hands.running, &fence).await,
                _ = shutdown.changed() => {
                    let wish = *shutdown.borrow_and_update();
                    if wish > told {
                        told = wish;
                        if told == Shutdown::Abandon {
                            break Ok(());
                        }
                        let now = told == Shutdown::Now;
                        self.observer.tell(&HostEvent::Stopping { running: hands.running.len(), now });
                        if now {
                            hands.hand_back();
                        } else {
                            hands.release_prepared();
                        }
                    }
                }
            }
        };
        guard.abort();
        hands.hand_back();
        drop(report);
        loop {
            tokio::select! {
                report = reports.recv() => match report {
                    // What the queue was not told of stays this worker's, and is taken up again by the next.
                    Some(report) => drop(hands.take_report(report)),
                    None => break,
                },
                Ok(_) = shutdown.wait_for(|wish| *wish == Shutdown::Abandon) => break,
            }
        }
        self.tell_ended(&mut hands).await;
        if let Err(error) = self.ask(move |store| store.retire(worker)).await {
            // Its lock is free soon, which says the same.
            tracing::debug!(%error, "the queue was not told that this host has ended");
        }
        result
    }

    /// Registers this start of the host and takes back what an earlier one left.
    async fn begin(&self, capacity: Capacity) -> Result<WorkerId, EngineError> {
        let recovered = self
            .ask(move |store| {
                let worker = store.register_worker(NewWorker {
                    incarnation: Incarnation::fresh(),
                    host: hostname(),
                    capacity,
                })?;
                store.recover(worker).map(|recovered| (worker, recovered))
            })
            .await?;
        let (worker, recovered) = recovered;
        self.observer.tell(&HostEvent::Started { recovered: recovered.requeued.len() });
        Ok(worker)
    }

    /// Tells the queue what this host offers when that has changed: who asks why a task does not run is told by it.
    async fn offer(&self, hands: &mut Hands, draining: bool) {
        let offers = Capacity { draining, ..hands.slots.capacity() };
        if offers == hands.offered {
            return;
        }
        let (worker, told) = (hands.worker, offers.clone());
        match self.ask(move |store| store.offer(worker, told)).await {
            Ok(()) => hands.offered = offers,
            Err(e) => tracing::debug!(error = %e, "the queue was not told what this host offers"),
        }
    }

    /// Claims until no place has room or nothing is ready.
    async fn fill(
        &self,
        hands: &mut Hands,
        fence: &Fence,
        report: &mpsc::UnboundedSender<Report>,
    ) -> Result<(), EngineError> {
        'again: loop {
            if self.is_one_by_one && !hands.running.is_empty() {
                return Ok(());
            }
            let waiting = self.waiting(hands).await?;
            for wish in hands.slots.wishes(&waiting) {
                let (worker, pools, affinity) = (hands.worker, wish.pools.clone(), wish.affinity.clone());
                let request = ClaimRequest { worker, pools, affinity, ahead: wish.ahead };
                let asked = Instant::now();
                let Some(claimed) = self.ask(move |store| store.claim(request)).await? else { continue };
                let (run, task, token) = (claimed.run, claimed.task, claimed.token);
                let patience = claimed.deadline;
                let affinity = claimed.affinity.clone();
                // An earlier attempt of it has settled, though its thread has not come to say so.
                hands.slots.end(task);
                let may_run = hands.slots.take(wish.place, task, &claimed.pool, affinity.as_deref());
                let device = self.places.get(wish.place).and_then(Place::device);
                let begins = if wish.ahead { Begins::Ahead } else { Begins::AtOnce };
                let control = self.start(claimed, device, begins, report.clone())?;
                fence.hold(&control, asked);
                let mut held = Running { run, control, token, patience, deadline: None };
                if may_run {
                    held.let_run();
                }
                hands.running.insert(task, held);
                hands.open.insert(run);
                // What one place has taken changes what others should ask for.
                continue 'again;
            }
            return Ok(());
        }
    }

    /// How long the next task of each pool has waited, as far as places have a choice.
    async fn waiting(&self, hands: &Hands) -> Result<BTreeMap<String, Duration>, EngineError> {
        let pools = hands.slots.contested();
        if pools.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.ask(move |store| {
            let since = store.waiting(&pools)?;
            let waited = |(pool, since): (String, Option<TimestampMs>)| Some((pool, since?.until(now())));
            Ok(pools.into_iter().zip(since).filter_map(waited).collect())
        })
        .await
    }

    fn start(
        &self,
        claimed: Claimed,
        device: Option<Device>,
        begins: Begins,
        report: mpsc::UnboundedSender<Report>,
    ) -> Result<Arc<Control>, EngineError> {
        let (store, shop, observer) = (Arc::clone(&self.store), Arc::clone(&self.shop), Arc::clone(&self.observer));
        let (run, task, token, name) = (claimed.run, claimed.task, claimed.token, claimed.name.clone());
        let places = Box::new(Placed { store: Arc::clone(&self.store), task, token, report: report.clone() });
        let control = Arc::new(Control::new(run, task, name, device, begins, Arc::clone(&observer), places));
        let held = Arc::clone(&control);
        let work = move || {
            // Whatever happens to this thread, the host learns that it has ended.
            let settled = catch_unwind(AssertUnwindSafe(|| {
                settle::run(&claimed, store.as_ref(), &shop, &held, observer.as_ref())
            }));
            let settled = settled.unwrap_or(Err(QueueError::Closed));
            drop(held);
            let _ = report.send(Report { task, token, now: Now::Ended(settled) });
        };
        std::thread::Builder::new()
            .name("task".to_owned())
            .spawn(work)
            .map(|_| control)
            .map_err(|e| EngineError::Thread(e.to_string()))
    }

    /// Stops what somebody cancelled, as soon as the queue tells of it.
    async fn stop_cancelled(&self, hands: &Hands) {
        if hands.running.is_empty() {
            return;
        }
        let worker = hands.worker;
        match self.ask(move |store| store.stopping(worker)).await {
            Ok(tasks) => {
                for held in tasks.iter().filter_map(|task| hands.running.get(task)) {
                    held.control.stop(Stop::Cancel);
                }
            }
            // The heartbeat tells the same, a little later.
            Err(e) => tracing::debug!(error = %e, "the queue was not asked for cancellations"),
        }
    }

    /// Tells of runs that are over, whoever ended them: the last task, or an operator while nothing of them ran. A run that
    /// has a task here is told of after that task.
    async fn tell_ended(&self, hands: &mut Hands) {
        let busy: BTreeSet<RunId> = hands.running.values().map(|held| held.run).collect();
        let idle: Vec<RunId> = hands.open.difference(&busy).copied().collect();
        if idle.is_empty() {
            return;
        }
        let ended = move |store: &dyn Store| -> Result<Vec<(RunId, Option<RunView>)>, QueueError> {
            let view = |run: RunId| match store.run(&run.into()) {
                Ok(view) => Ok((run, Some(view))),
                // Pruned as soon as it was over.
                Err(QueueError::UnknownRun(_)) => Ok((run, None)),
                Err(e) => Err(e),
            };
            store.ended(&idle)?.into_iter().map(view).collect()
        };
        match self.ask(ended).await {
            Ok(ended) => {
                for (run, view) in ended {
                    hands.open.remove(&run);
                    let Some(RunView { state, output, error, .. }) = view else { continue };
                    self.observer.tell(&HostEvent::RunFinished { run, state, output, error });
                }
            }
            // Told at the next change, or by the next heartbeat's turn.
            Err(e) => tracing::debug!(error = %e, "the queue was not asked for runs that are over"),
        }
    }

    /// Renews all leases at once; stops what was cancelled or lost.
    async fn beat(&self, worker: WorkerId, running: &HashMap<TaskId, Running>, fence: &Fence) {
        // The lease counts from when the queue writes it down, which is not before it is asked.
        let asked = Instant::now();
        let beats: Vec<Beat> =
            running.iter().map(|(&task, r)| Beat { task, token: r.token, progress: r.control.progress() }).collect();
        let tasks: Vec<TaskId> = beats.iter().map(|b| b.task).collect();
        // Own leases first: what has run out after that was given up, by this host too.
        let beat = move |store: &dyn Store| {
            let answers = store.heartbeat(worker, beats)?;
            store.expire_leases().map(|_| answers)
        };
        match self.ask(beat).await {
            Ok(answers) => {
                fence.renew(asked);
                for (task, answer) in tasks.iter().zip(answers) {
                    let Some(held) = running.get(task) else { continue };
                    match answer {
                        BeatAnswer::Continue => {}
                        BeatAnswer::Cancel => held.control.stop(Stop::Cancel),
                        BeatAnswer::Lost => held.control.stop(Stop::Lost),
                    }
                }
            }
            // The fence stops what runs when this goes on for too long.
            Err(e) => tracing::warn!(error = %e, "the heartbeat failed"),
        }
    }

    async fn next_due(&self) -> Result<Option<Duration>, EngineError> {
        self.ask(|store| {
            let now = now();
            Ok(store.next_wakeup()?.map(|at| now.until(at).max(Duration::from_millis(1))))
        })
        .await
    }

    async fn is_over(&self, until: Until, nothing_runs: bool, nothing_is_due: bool) -> Result<bool, EngineError> {
        match until {
            Until::Stopped => Ok(false),
            Until::Idle => Ok(nothing_runs && nothing_is_due),
            Until::Run(run) => {
                let view = self.ask(move |store| store.run(&run.into())).await?;
                if view.state != RunState::Active {
                    return Ok(true);
                }
                // A run whose tasks nobody here can take would never end; one that somebody holds is waited for.
                Ok(nothing_runs && nothing_is_due && !self.ask(move |store| is_held(store, &view)).await?)
            }
        }
    }

    /// Asks the queue from a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Store) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || question(store.as_ref()))
            .await
            .map_err(|e| EngineError::Crashed(e.to_string()))?
            .map_err(EngineError::from)
    }
}

/// Stops everything when the queue was not reached for so long that somebody else may begin the same work: also while a
/// question to it hangs, as on a disk that does not answer. What was stopped is handed back once the queue answers, and
/// counts as no attempt; should somebody else have it by then, its token is stale and nothing happens.
#[derive(Default)]
struct Fence {
    /// What runs, and when its lease was asked for last.
    held: Mutex<Vec<(Instant, Weak<Control>)>>,
    /// Something more is held.
    more: Notify,
}

impl Fence {
    fn held(&self) -> MutexGuard<'_, Vec<(Instant, Weak<Control>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All leases were asked for anew at `at`; one that was claimed since is younger.
    fn renew(&self, at: Instant) {
        self.held().iter_mut().for_each(|(asked, _)| *asked = at.max(*asked));
    }

    fn hold(&self, control: &Arc<Control>, asked: Instant) {
        let mut held = self.held();
        held.retain(|(_, held)| held.strong_count() > 0);
        held.push((asked, Arc::downgrade(control)));
        drop(held);
        self.more.notify_one();
    }

    /// Stops what was not renewed for too long, and says when the next would have to be.
    fn fall(&self, now: Instant) -> Instant {
        let mut held = self.held();
        let fallen = held.extract_if(.., |(asked, _)| *asked + SELF_FENCE <= now);
        let fallen: Vec<_> = fallen.filter_map(|(_, control)| control.upgrade()).collect();
        let next = held.iter().map(|(asked, _)| *asked).min().unwrap_or(now) + SELF_FENCE;
        drop(held);
        if !fallen.is_empty() {
            tracing::error!("the queue was not reached for {SELF_FENCE:?}; what runs is stopped and handed back");
            fallen.iter().for_each(|control| control.stop(Stop::Release));
        }
        next
    }

    async fn guard(fence: Arc<Self>) {
        loop {
            let next = fence.fall(Instant::now());
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                // A claim whose answer took long may fall before all that was held.
                () = fence.more.notified() => {}
            }
        }
    }
}

impl Hands {
    fn take_report(&mut self, report: Report) -> Result<(), QueueError> {
        let Report { task, token, now } = report;
        let is_newest = self.running.get(&task).is_some_and(|held| held.token == token);
        let settled = match now {
            Now::Left(time) => {
                if is_newest {
                    self.slots.leave(task, time);
                }
                Ok(())
            }
            Now::Ended(settled) => {
                if is_newest {
                    self.slots.end(task);
                    self.running.remove(&task);
                }
                settled
            }
        };
        while let Some(task) = self.slots.start_next() {
            if let Some(held) = self.running.get_mut(&task) {
                held.let_run();
            }
        }
        settled
    }

    /// Hands back all that it holds, and waits no longer for a queue that cannot be told.
    fn hand_back(&self) {
        for held in self.running.values() {
            held.control.be_impatient();
            held.control.stop(Stop::Release);
        }
    }

    /// Hands back what waits for a place that it will not get.
    fn release_prepared(&self) {
        for held in self.slots.prepared().iter().filter_map(|task| self.running.get(task)) {
            held.control.stop(Stop::Release);
        }
    }

    /// When the next attempt has taken too long; those that were told so are not waited for.
    fn next_deadline(&self) -> Option<Instant> {
        let told = |held: &&Running| held.control.stopped().is_none();
        self.running.values().filter(told).filter_map(|held| held.deadline).min()
    }

    fn stop_overdue(&self) {
        let now = Instant::now();
        for held in self.running.values().filter(|held| held.deadline.is_some_and(|at| at <= now)) {
            held.control.stop(Stop::Deadline);
        }
    }
}

/// Whether somebody keeps a run from going on: it is paused, or a pool that it needs, or its tenant there.
fn is_held(store: &dyn Store, run: &RunView) -> Result<bool, QueueError> {
    if run.paused_at.is_some() {
        return Ok(true);
    }
    let closed = store.paused_pools()?;
    let lanes = store.lanes()?;
    let held = |pool: &str| {
        let own = |lane: &&LaneView| lane.tenant == run.tenant && lane.pool == pool;
        closed.iter().any(|closed| closed == pool) || lanes.iter().find(own).is_some_and(LaneView::is_held)
    };
    Ok(store.tasks(run.id)?.iter().any(|task| !task.state.is_final() && held(&task.pool)))
}

/// A busy database is asked again; a full disk is somebody's to mend.
fn is_passing(error: &QueueError) -> bool {
    error.is_retryable() && !matches!(error, QueueError::DiskFull(_))
}

fn now() -> travel_queue::TimestampMs {
    use travel_queue::Clock as _;
    travel_queue::SystemClock.now()
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |h| h.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Observer for Nobody {
        fn tell(&self, _: &HostEvent) {}
    }

    impl PlaceWatch for Nobody {
        fn waits(&self) {}
        fn has_place(&self) {}
        fn left_place(&self, _: DeviceTime) {}
    }

    #[test]
    fn a_fence_that_falls_hands_back_what_runs() {
        let of = |task| {
            let (observer, places) = (Arc::new(Nobody), Box::new(Nobody));
            Arc::new(Control::new(RunId(1), TaskId(task), String::new(), None, Begins::AtOnce, observer, places))
        };
        let (fence, first, second, third) = (Fence::default(), of(1), of(2), of(3));
        let begun = Instant::now();
        let at = |s| begun + Duration::from_secs(s);
        fence.hold(&first, at(0));
        fence.hold(&second, at(0));
        assert_eq!(fence.fall(at(19)), at(0) + SELF_FENCE);
        fence.renew(at(5));
        fence.hold(&third, at(9));
        first.stop(Stop::Cancel);
        assert_eq!(fence.fall(at(5) + SELF_FENCE), at(9) + SELF_FENCE);
        assert_eq!(first.stopped(), Some(Stop::Cancel), "the first reason stays");
        assert_eq!(second.stopped(), Some(Stop::Release), "its claim is still its own");
        assert_eq!(third.stopped(), None, "it was claimed later");
        fence.renew(at(6));
        fence.fall(at(9) + SELF_FENCE);
        assert_eq!(third.stopped(), Some(Stop::Release), "an answer to an older question renews nothing newer");
        assert!(fence.held().is_empty());
    }
}
