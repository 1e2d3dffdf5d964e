//! Random walks over all operations, restarts, clock jumps and passing time, beside a queue in memory. After every step
//! all states agree and the rules of the store hold; at the end all work that is left can be done.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

#[path = "model/reference.rs"]
mod reference;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use reference::{Added, Reference};
use serde_json::json;
use travel_queue::*;

#[derive(Debug, Clone)]
enum Again {
    Never,
    Later,
    /// In this pool, or where it is.
    Changed(Option<&'static str>),
    Held,
}

#[derive(Debug, Clone)]
enum Step {
    Submit {
        tenant: u8,
        segments: u8,
        chained: bool,
        keep_going: bool,
        start_in: u8,
    },
    Claim {
        cpu_first: bool,
        ahead: bool,
    },
    /// A task that was claimed waits for its place, or has it.
    Place {
        pick: usize,
        waits: bool,
    },
    Succeed {
        pick: usize,
        emit: u8,
    },
    Fail {
        pick: usize,
        again: Again,
    },
    Release {
        pick: usize,
    },
    Beat,
    AnswerLate {
        pick: usize,
    },
    CancelRun {
        pick: usize,
    },
    CancelTask {
        pick: usize,
    },
    RetryRun {
        pick: usize,
    },
    RetryTask {
        pick: usize,
    },
    Pause {
        pick: usize,
    },
    Resume {
        pick: usize,
    },
    ClosePool {
        gpu: bool,
        closed: bool,
    },
    Lane {
        tenant: u8,
        gpu: bool,
        max_running: Option<u32>,
        paused: bool,
    },
    Weight {
        tenant: u8,
        weight: u32,
    },
    Restart {
        /// Whether the worker took its leave.
        retired: bool,
    },
    /// Everything that is over is forgotten.
    Prune,
    Repair,
    Pass {
        seconds: u8,
    },
    /// Somebody sets the clock by an hour.
    Jump {
        back: bool,
    },
}

fn again() -> impl Strategy<Value = Again> {
    let pools = [None, Some("gpu"), Some("cpu")].map(Again::Changed);
    prop_oneof![
        2 => Just(Again::Never),
        2 => Just(Again::Later),
        2 => prop::sample::select(pools.to_vec()),
        1 => Just(Again::Held),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<usize>;
    prop_oneof![
        2 => (0..3_u8, 1..4_u8, any::<bool>(), any::<bool>(), prop_oneof![3 => Just(0), 1 => 1..60_u8]).prop_map(
            |(tenant, segments, chained, keep_going, start_in)|
                Step::Submit { tenant, segments, chained, keep_going, start_in }),
        9 => (any::<bool>(), any::<bool>()).prop_map(|(cpu_first, ahead)| Step::Claim { cpu_first, ahead }),
        2 => (pick(), any::<bool>()).prop_map(|(pick, waits)| Step::Place { pick, waits }),
        5 => (pick(), 0..3_u8).prop_map(|(pick, emit)| Step::Succeed { pick, emit }),
        6 => (pick(), again()).prop_map(|(pick, again)| Step::Fail { pick, again }),
        1 => pick().prop_map(|pick| Step::Release { pick }),
        1 => Just(Step::Beat),
        2 => pick().prop_map(|pick| Step::AnswerLate { pick }),
        1 => pick().prop_map(|pick| Step::CancelRun { pick }),
        2 => pick().prop_map(|pick| Step::CancelTask { pick }),
        2 => pick().prop_map(|pick| Step::RetryRun { pick }),
        3 => pick().prop_map(|pick| Step::RetryTask { pick }),
        2 => pick().prop_map(|pick| Step::Pause { pick }),
        2 => pick().prop_map(|pick| Step::Resume { pick }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(gpu, closed)| Step::ClosePool { gpu, closed }),
        1 => (0..3_u8, any::<bool>(), prop::option::of(0..3_u32), any::<bool>()).prop_map(
            |(tenant, gpu, max_running, paused)| Step::Lane { tenant, gpu, max_running, paused }),
        1 => (0..3_u8, 1..limits::MAX_WEIGHT).prop_map(|(tenant, weight)| Step::Weight { tenant, weight }),
        2 => any::<bool>().prop_map(|retired| Step::Restart { retired }),
        1 => Just(Step::Prune),
        1 => Just(Step::Repair),
        2 => (0..60_u8).prop_map(|seconds| Step::Pass { seconds }),
        1 => any::<bool>().prop_map(|back| Step::Jump { back }),
    ]
}

struct Walk {
    store: SqliteStore,
    clock: Arc<ManualClock>,
    worker: WorkerId,
    path: std::path::PathBuf,
    reference: Reference,
    held: Vec<Claimed>,
    old: Vec<Claimed>,
    newest: HashMap<TaskId, LeaseToken>,
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> (SqliteStore, WorkerId) {
    let store = SqliteStore::open_for_work(path, clock.clone()).unwrap();
    let worker =
        NewWorker { incarnation: Incarnation::fresh(), host: "walk".into(), capacity: Capacity::of([("gpu", 1)]) };
    let worker = store.register_worker(worker).unwrap();
    (store, worker)
}

fn task(name: String, pool: &str, keep_going: bool) -> NewTask {
    let on_dep_failure = if keep_going { OnDepFailure::Run } else { OnDepFailure::Skip };
    NewTask { on_dep_failure, ..NewTask::new(name, "kind", pool, json!(null)) }
}

impl Walk {
    fn new(folder: &Path) -> Self {
        let clock = Arc::new(ManualClock::at(TimestampMs(10_000_000)));
        let path = folder.join("queue.db");
        let (store, worker) = open(&path, &clock);
        let reference = Reference::new(clock.now());
        Self { store, clock, worker, path, reference, held: Vec::new(), old: Vec::new(), newest: HashMap::new() }
    }

    fn take(&mut self, pick: usize) -> Option<Claimed> {
        let index = pick.checked_rem(self.held.len())?;
        let claimed = self.held.remove(index);
        self.old.push(claimed.clone());
        Some(claimed)
    }

    fn run(&self, pick: usize) -> Option<RunId> {
        let runs: Vec<RunId> = self.reference.runs.keys().copied().collect();
        Some(runs[pick.checked_rem(runs.len())?])
    }

    fn task(&self, pick: usize) -> Option<TaskId> {
        let tasks: Vec<TaskId> = self.reference.tasks.keys().copied().collect();
        Some(tasks[pick.checked_rem(tasks.len())?])
    }

    fn added(&self, task: TaskId, new: &NewTask, ids: &HashMap<String, TaskId>) -> Added {
        Added {
            task,
            pool: new.pool.clone(),
            parents: new.after.iter().map(|name| ids[name]).collect(),
            on_dep_failure: new.on_dep_failure,
            max_attempts: new.max_attempts,
        }
    }

    fn submit(&mut self, tenant: u8, segments: u8, chained: bool, keep_going: bool, start_in: u8) {
        let tenant = format!("tenant{tenant}");
        let mut new = NewRun::new(&tenant, "walk", json!({}));
        new.start_at = (start_in > 0).then(|| self.clock.now().after(Duration::from_secs(start_in.into())));
        let mut stitch = task("stitch".into(), "cpu", keep_going);
        for n in 0..segments {
            let mut segment = task(format!("s{n}"), "gpu", false);
            if chained && n > 0 {
                segment = segment.after(format!("s{}", n - 1));
            }
            stitch = stitch.after(&segment.name);
            new.tasks.push(segment);
        }
        new.tasks.push(stitch);
        let run = self.store.submit(new.clone()).unwrap().run;
        let ids: HashMap<String, TaskId> =
            self.store.tasks(run).unwrap().into_iter().map(|view| (view.name, view.id)).collect();
        let added = new.tasks.iter().map(|t| self.added(ids[&t.name], t, &ids)).collect();
        self.reference.submit(run, tenant, added, new.start_at);
    }

    fn claim(&mut self, pools: [&str; 2], ahead: bool) -> bool {
        self.reference.now = self.clock.now();
        self.reference.promote();
        let may = self.reference.claimable(&pools);
        let Some(claimed) = self.store.claim(ClaimRequest { ahead, ..ClaimRequest::new(self.worker, pools) }).unwrap()
        else {
            assert!(may.is_empty(), "{may:?} could have been claimed");
            return false;
        };
        assert!(may.contains(&claimed.task), "task {} may not be claimed", claimed.task);
        let before = self.newest.insert(claimed.task, claimed.token);
        assert!(before.is_none_or(|token| token < claimed.token), "a token came twice");
        assert!(claimed.parents.iter().all(|parent| parent.state.is_final()));
        self.reference.claim(claimed.task);
        self.held.push(claimed);
        true
    }

    fn succeed(&mut self, claimed: &Claimed, emit: u8) {
        let mut finish = Finish::new(claimed.task, claimed.token, json!(claimed.name));
        let name = |n: u8| format!("{}+{n}", claimed.name);
        finish.emitted = (0..emit).map(|n| task(name(n), "gpu", false).after(&claimed.name)).collect();
        let emitted = finish.emitted.clone();
        let finished = self.store.succeed(finish).unwrap();
        let cancelled = self.reference.tasks[&claimed.task].cancelling;
        self.reference.close(claimed.task, TaskState::Succeeded);
        assert_eq!(finished.state, self.reference.tasks[&claimed.task].state);
        assert_eq!(finished.emitted.len(), if cancelled { 0 } else { emit.into() });
        let ids = HashMap::from([(claimed.name.clone(), claimed.task)]);
        let new = finished.emitted.iter().zip(&emitted).filter(|(e, _)| e.created);
        let added = new.map(|(e, t)| self.added(e.task, t, &ids)).collect();
        self.reference.add(claimed.run, added);
        self.reference.settle(claimed.run);
        assert_eq!(finished.run_state, self.reference.run_state(claimed.run));
    }

    fn fail(&mut self, claimed: &Claimed, again: Again) {
        let delay = backoff(claimed.attempt, 0.5);
        let retry = match again {
            Again::Never => Retry::Never,
            Again::Later => Retry::After(delay),
            Again::Held => Retry::Held(delay),
            Again::Changed(pool) => {
                let pool = pool.map(str::to_owned);
                Retry::Changed(delay, Change { pool, affinity: None, carry: json!(claimed.token) })
            }
        };
        self.reference.fail(claimed.task, &retry);
        let (code, error) = ("c".to_owned(), "e".to_owned());
        let failed = self
            .store
            .fail(Failure { task: claimed.task, token: claimed.token, code, error, retry, artifacts: Vec::new() })
            .unwrap();
        assert_eq!(failed.state, self.reference.tasks[&claimed.task].state);
    }

    fn step(&mut self, step: Step) {
        let told = format!("{step:?}");
        self.reference.now = self.clock.now();
        match step {
            Step::Submit { tenant, segments, chained, keep_going, start_in } => {
                self.submit(tenant, segments, chained, keep_going, start_in);
            }
            Step::Claim { cpu_first, ahead } => {
                self.claim(if cpu_first { ["cpu", "gpu"] } else { ["gpu", "cpu"] }, ahead);
            }
            Step::Place { pick, waits } => {
                if let Some(index) = pick.checked_rem(self.held.len()) {
                    let (task, token) = (self.held[index].task, self.held[index].token);
                    let told = if waits { Store::await_work } else { Store::begin_work };
                    told(&self.store, task, token).unwrap();
                    self.reference.tasks.get_mut(&task).unwrap().waits = waits;
                }
            }
            Step::Succeed { pick, emit } => {
                if let Some(claimed) = self.take(pick) {
                    self.succeed(&claimed, emit);
                }
            }
            Step::Fail { pick, again } => {
                if let Some(claimed) = self.take(pick) {
                    self.fail(&claimed, again);
                }
            }
            Step::Release { pick } => {
                if let Some(claimed) = self.take(pick) {
                    self.store.release(claimed.task, claimed.token).unwrap();
                    self.reference.release(claimed.task);
                }
            }
            Step::Beat => self.beat(),
            Step::AnswerLate { pick } => {
                if let Some(index) = pick.checked_rem(self.old.len()) {
                    let old = &self.old[index];
                    let late = Finish::new(old.task, old.token, json!("late"));
                    assert!(self.store.succeed(late).unwrap_err().is_stale());
                }
            }
            Step::CancelRun { pick } => {
                if let Some(run) = self.run(pick) {
                    self.store.cancel_run(run).unwrap();
                    self.reference.cancel_run(run);
                }
            }
            Step::CancelTask { pick } => {
                if let Some(task) = self.task(pick) {
                    self.store.cancel_task(task).unwrap();
                    self.reference.cancel_task(task);
                }
            }
            Step::RetryRun { pick } => {
                if let Some(run) = self.run(pick) {
                    match self.store.retry_run(run) {
                        Ok(_) => self.reference.retry_run(run),
                        Err(error) => {
                            assert_eq!(error.code(), "queue_still_stopping");
                            assert!(self.reference.is_stopping(run));
                        }
                    }
                }
            }
            Step::RetryTask { pick } => {
                if let Some(task) = self.task(pick) {
                    let answer = self.store.retry_task(task).map(|_| ());
                    assert_eq!(answer.map_err(|e| e.code()), self.reference.retry_task(task));
                }
            }
            Step::Pause { pick } => {
                if let Some(run) = self.run(pick) {
                    self.store.pause_run(run).unwrap();
                    self.reference.pause(run);
                }
            }
            Step::Resume { pick } => {
                if let Some(run) = self.run(pick) {
                    self.store.resume_run(run).unwrap();
                    if self.reference.is_paused(run) {
                        self.reference.resume(run);
                    }
                }
            }
            Step::ClosePool { gpu, closed } => {
                let pool = if gpu { "gpu" } else { "cpu" };
                self.store.set_pool_paused(pool, closed).unwrap();
                self.reference.closed_pools.retain(|p| p != pool);
                self.reference.closed_pools.extend(closed.then(|| pool.to_owned()));
            }
            Step::Lane { tenant, gpu, max_running, paused } => self.set_lane(tenant, gpu, max_running, paused),
            Step::Weight { tenant, weight } => self.store.set_weight(&format!("tenant{tenant}"), weight).unwrap(),
            Step::Prune => self.prune(),
            Step::Repair => assert_eq!(self.store.repair(Trial::Real).unwrap(), []),
            Step::Restart { retired } => {
                if retired {
                    self.store.retire(self.worker).unwrap();
                }
                (self.store, self.worker) = open(&self.path, &self.clock);
                let recovered = self.store.recover(self.worker).unwrap();
                let lost = self.take_back(recovered, if retired { Reference::expire } else { Reference::lose });
                assert!(self.held.is_empty(), "{lost:?} were taken back, {:?} were not", self.held.len());
            }
            Step::Pass { seconds } => {
                self.clock.advance(Duration::from_secs(seconds.into()));
                self.reference.now = self.clock.now();
                let recovered = self.store.expire_leases().unwrap();
                self.take_back(recovered, Reference::expire);
            }
            Step::Jump { back } => {
                let hour = if back { -3_600_000 } else { 3_600_000 };
                self.clock.set(TimestampMs(self.clock.now().0 + hour));
                self.reference.now = self.clock.now();
                // A host that lives renews first, so that a clock set forward costs it nothing.
                self.beat();
                assert_eq!(self.store.expire_leases().unwrap(), Recovered::default());
            }
        }
        self.agree(&told);
    }

    fn set_lane(&mut self, tenant: u8, gpu: bool, max_running: Option<u32>, paused: bool) {
        let (tenant, pool) = (format!("tenant{tenant}"), if gpu { "gpu" } else { "cpu" }.to_owned());
        self.reference.lanes.insert((tenant.clone(), pool.clone()), if paused { Some(0) } else { max_running });
        for change in [LaneChange::MaxRunning(max_running), LaneChange::Paused(paused)] {
            self.store.set_lane(LaneSettings { tenant: tenant.clone(), pool: pool.clone(), change }).unwrap();
        }
    }

    fn prune(&mut self) {
        let policy = PrunePolicy { finished_before: TimestampMs(i64::MAX), keep: 0, states: Vec::new(), tenant: None };
        let mut pruned = Vec::new();
        loop {
            let some = self.store.prune(&policy, Trial::Real).unwrap();
            pruned.extend(some.runs);
            if !some.more {
                break;
            }
        }
        pruned.sort_unstable();
        assert_eq!(pruned, self.reference.prune());
        self.old.retain(|old| self.reference.tasks.contains_key(&old.task));
    }

    fn beat(&mut self) {
        let beats = self.held.iter().chain(&self.old).map(|claimed| Beat {
            task: claimed.task,
            token: claimed.token,
            progress: Some(json!(1)),
        });
        let answers = self.store.heartbeat(self.worker, beats.collect()).unwrap();
        for (index, answer) in answers.iter().enumerate() {
            let expected = match self.held.get(index) {
                None => BeatAnswer::Lost,
                Some(c) if self.reference.tasks[&c.task].cancelling => BeatAnswer::Cancel,
                Some(_) => BeatAnswer::Continue,
            };
            assert_eq!(*answer, expected);
        }
    }

    /// What the store took back is no longer held, and stands where the reference says.
    fn take_back(&mut self, recovered: Recovered, how: fn(&mut Reference, TaskId)) -> Vec<TaskId> {
        let lost = [recovered.requeued, recovered.poisoned, recovered.cancelled].concat();
        for task in &lost {
            how(&mut self.reference, *task);
            let index = self.held.iter().position(|held| held.task == *task).unwrap();
            self.old.push(self.held.remove(index));
        }
        lost
    }

    fn agree(&self, after: &str) {
        assert_eq!(self.store.check().unwrap(), []);
        let mut stopping = Vec::new();
        for run in self.reference.runs.keys() {
            let view = self.store.run(&(*run).into()).unwrap();
            assert_eq!(view.state, self.reference.run_state(*run), "run {run} after {after}");
            assert_eq!(view.paused_at.is_some(), self.reference.is_paused(*run), "run {run} after {after}");
            let tasks = self.store.tasks(*run).unwrap();
            assert_eq!(tasks.len(), self.reference.of(*run).len(), "run {run} after {after}");
            for task in tasks {
                assert_eq!(
                    task.state, self.reference.tasks[&task.id].state,
                    "task {} ({}) after {after}",
                    task.id, task.name
                );
                assert_eq!(
                    task.pool, self.reference.tasks[&task.id].pool,
                    "task {} ({}) after {after}",
                    task.id, task.name
                );
                assert_eq!(
                    task.failures, self.reference.tasks[&task.id].failures,
                    "task {} ({}) after {after}",
                    task.id, task.name
                );
                // Whatever its state, it can say why.
                assert_eq!(self.store.explain(task.id).unwrap().state, task.state);
                if task.state == TaskState::Running && self.reference.tasks[&task.id].cancelling {
                    stopping.push(task.id);
                }
            }
        }
        stopping.sort_unstable();
        assert_eq!(self.store.stopping(self.worker).unwrap(), stopping);
    }

    /// Opens what is closed and does all the work that is left.
    fn finish(mut self) {
        for gpu in [true, false] {
            self.step(Step::ClosePool { gpu, closed: false });
            for tenant in 0..3 {
                self.set_lane(tenant, gpu, None, false);
            }
        }
        let runs: Vec<RunId> = self.reference.runs.keys().copied().collect();
        for pick in 0..runs.len() {
            self.step(Step::Resume { pick });
        }
        loop {
            while let Some(claimed) = self.take(0) {
                self.succeed(&claimed, 0);
            }
            if self.claim(["gpu", "cpu"], false) {
                continue;
            }
            match self.store.next_wakeup().unwrap() {
                Some(due) => self.clock.set(due),
                None => break,
            }
        }
        self.agree("all is done");
        for run in runs {
            assert_ne!(self.reference.run_state(run), RunState::Active);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_store_agrees_with_a_queue_in_memory_after_every_step(steps in prop::collection::vec(step(), 60..=60)) {
        // In memory where that is possible: what is tested is the logic, not the disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut walk = Walk::new(folder.path());
        for step in steps {
            walk.step(step);
        }
        walk.finish();
    }
}
