//! The host: claims tasks while it has free slots, holds them by their strings, stops when told.
//!
//! The loop waits for one of five signals and never polls: a task ended, the queue changed, a delayed task is due, it is
//! time for a heartbeat, somebody wants the host to stop. Each task runs on a thread of its own, so that plugins and
//! ffmpeg may block; that thread also settles the task with the queue before it reports back.

use crate::control::{Control, Stop};
use crate::error::EngineError;
use crate::limits::{QUEUE_RETRY, QUEUE_TRIES};
use crate::observer::{HostEvent, Observer};
use crate::settle;
use crate::workshop::Workshop;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use travel_queue::limits::{HEARTBEAT, SELF_FENCE};
use travel_queue::{
    Beat, BeatAnswer, ClaimRequest, Claimed, Incarnation, LeaseToken, NewWorker, QueueError, RunId, RunState, Store,
    TaskId, WorkerId,
};

/// When a host ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Not before it is told.
    Stopped,
    /// When nothing is running, ready or due later.
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
}

/// How many tasks of each pool run at once.
pub type Slots = BTreeMap<String, usize>;

/// A host at work on one queue. Its maker holds the queue's lock.
pub struct Host {
    store: Arc<dyn Store>,
    shop: Arc<Workshop>,
    slots: Slots,
    observer: Arc<dyn Observer>,
}

struct Running {
    control: Arc<Control>,
    token: LeaseToken,
    pool: String,
}

/// What a task's thread reports when it has settled.
struct Ended {
    task: TaskId,
    settled: Result<(), QueueError>,
}

impl Host {
    /// A host that has not begun.
    pub fn new(store: Arc<dyn Store>, shop: Arc<Workshop>, slots: Slots, observer: Arc<dyn Observer>) -> Self {
        Self { store, shop, slots, observer }
    }

    /// Works until its time has come. On an error of the queue it stops what runs; the next start takes it up again.
    ///
    /// # Errors
    /// A queue that fails for good, a thread that cannot be started.
    pub async fn work(&self, until: Until, mut shutdown: watch::Receiver<Shutdown>) -> Result<(), EngineError> {
        let worker = self.begin().await?;
        let mut changes = self.store.subscribe();
        let (report, mut reports) = mpsc::unbounded_channel();
        let mut running: HashMap<TaskId, Running> = HashMap::new();
        let mut told = Shutdown::No;
        let mut refused = 0;
        let mut fence = Instant::now();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            changes.mark_unchanged();
            let mut due = None;
            if told == Shutdown::No {
                match self.fill(worker, &mut running, &report).await {
                    Ok(()) => refused = 0,
                    Err(EngineError::Queue(e)) if is_passing(&e) && refused < QUEUE_TRIES => {
                        tracing::warn!(error = %e, "no work can be claimed yet");
                        refused += 1;
                        due = Some(QUEUE_RETRY);
                    }
                    Err(e) => break Err(e),
                }
                if due.is_none() {
                    due = match self.next_due().await {
                        Ok(next) => next,
                        Err(EngineError::Queue(e)) if is_passing(&e) => Some(QUEUE_RETRY),
                        Err(e) => break Err(e),
                    };
                }
                match self.is_over(until, running.is_empty(), due.is_none()).await {
                    Ok(false) => {}
                    Ok(true) => break Ok(()),
                    Err(EngineError::Queue(e)) if is_passing(&e) => due = Some(QUEUE_RETRY),
                    Err(e) => break Err(e),
                }
            } else if running.is_empty() {
                break Ok(());
            }
            tokio::select! {
                Some(ended) = reports.recv() => {
                    let Ended { task, settled } = ended;
                    running.remove(&task);
                    if let Err(e) = settled {
                        break Err(e.into());
                    }
                }
                changed = changes.changed() => if changed.is_err() {
                    break Err(QueueError::Closed.into());
                },
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => {}
                _ = heartbeat.tick() => self.beat(worker, &running, &mut fence).await,
                _ = shutdown.changed() => {
                    let wish = *shutdown.borrow_and_update();
                    if wish > told {
                        told = wish;
                        let now = told == Shutdown::Now;
                        self.observer.tell(&HostEvent::Stopping { running: running.len(), now });
                        if now {
                            running.values().for_each(|r| r.control.stop(Stop::Release));
                        }
                    }
                }
            }
        };
        running.values().for_each(|r| r.control.stop(Stop::Release));
        drop(report);
        while reports.recv().await.is_some() {}
        result
    }

    /// Registers this start of the host and takes back what an earlier one left.
    async fn begin(&self) -> Result<WorkerId, EngineError> {
        let capacity = serde_json::json!(self.slots);
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

    /// Claims until no slot is free or nothing is ready.
    async fn fill(
        &self,
        worker: WorkerId,
        running: &mut HashMap<TaskId, Running>,
        report: &mpsc::UnboundedSender<Ended>,
    ) -> Result<(), EngineError> {
        loop {
            let used = |pool: &String| running.values().filter(|r| r.pool == *pool).count();
            let free: Vec<String> =
                self.slots.iter().filter(|(pool, n)| used(pool) < **n).map(|(pool, _)| pool.clone()).collect();
            if free.is_empty() {
                return Ok(());
            }
            let request = ClaimRequest::new(worker, free);
            let Some(claimed) = self.ask(move |store| store.claim(request)).await? else { return Ok(()) };
            let control =
                Arc::new(Control::new(claimed.run, claimed.task, claimed.name.clone(), Arc::clone(&self.observer)));
            let task = claimed.task;
            let hold = Running { control: Arc::clone(&control), token: claimed.token, pool: claimed.pool.clone() };
            self.start(claimed, control, report.clone())?;
            running.insert(task, hold);
        }
    }

    fn start(
        &self,
        claimed: Claimed,
        control: Arc<Control>,
        report: mpsc::UnboundedSender<Ended>,
    ) -> Result<(), EngineError> {
        let (store, shop, observer) = (Arc::clone(&self.store), Arc::clone(&self.shop), Arc::clone(&self.observer));
        let work = move || {
            // Whatever happens to this thread, the host learns that it has ended.
            let settled = catch_unwind(AssertUnwindSafe(|| {
                settle::run(&claimed, store.as_ref(), &shop, &control, observer.as_ref())
            }));
            let settled = settled.unwrap_or(Err(QueueError::Closed));
            // The host outlives its tasks: it waits for every report before it returns.
            let _ = report.send(Ended { task: claimed.task, settled });
        };
        std::thread::Builder::new()
            .name("task".to_owned())
            .spawn(work)
            .map(drop)
            .map_err(|e| EngineError::Thread(e.to_string()))
    }

    /// Renews all leases at once; stops what was cancelled or lost, and everything when the queue cannot be reached for
    /// so long that somebody else may begin the same work.
    async fn beat(&self, worker: WorkerId, running: &HashMap<TaskId, Running>, fence: &mut Instant) {
        if running.is_empty() {
            *fence = Instant::now();
        }
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
                *fence = Instant::now();
                for (task, answer) in tasks.iter().zip(answers) {
                    let Some(held) = running.get(task) else { continue };
                    match answer {
                        BeatAnswer::Continue => {}
                        BeatAnswer::Cancel => held.control.stop(Stop::Cancel),
                        BeatAnswer::Lost => held.control.stop(Stop::Lost),
                    }
                }
            }
            Err(e) => {
                tracing::warn!(error = %e, "the heartbeat failed");
                if fence.elapsed() > SELF_FENCE {
                    running.values().for_each(|r| r.control.stop(Stop::Lost));
                }
            }
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
                let state = self.ask(move |store| store.run(&run.into())).await?.state;
                // A run whose tasks nobody here can take would never end.
                Ok(state != RunState::Active || (nothing_runs && nothing_is_due))
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
