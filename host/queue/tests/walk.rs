//! Random walks over all operations, restarts and passing time, against a small model in memory.
//! After every step the rules of the store hold and the model agrees; at the end all work that is
//! left can be done.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use travel_queue::*;

#[derive(Debug, Clone)]
enum Step {
    Submit { tenant: u8, segments: u8, chained: bool, keep_going: bool },
    Claim { cpu_first: bool },
    Succeed { pick: usize, emit: u8 },
    Fail { pick: usize, again: bool },
    Release { pick: usize },
    Beat,
    AnswerLate { pick: usize },
    Cancel { pick: usize },
    Retry { pick: usize },
    Restart,
    Pass { seconds: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..3_u8, 1..4_u8, any::<bool>(), any::<bool>()).prop_map(
            |(tenant, segments, chained, keep_going)| Step::Submit { tenant, segments, chained, keep_going }),
        8 => any::<bool>().prop_map(|cpu_first| Step::Claim { cpu_first }),
        5 => (any::<usize>(), 0..3_u8).prop_map(|(pick, emit)| Step::Succeed { pick, emit }),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(pick, again)| Step::Fail { pick, again }),
        1 => any::<usize>().prop_map(|pick| Step::Release { pick }),
        1 => Just(Step::Beat),
        2 => any::<usize>().prop_map(|pick| Step::AnswerLate { pick }),
        1 => any::<usize>().prop_map(|pick| Step::Cancel { pick }),
        2 => any::<usize>().prop_map(|pick| Step::Retry { pick }),
        1 => Just(Step::Restart),
        2 => (0..60_u8).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// What the outside of the store has a right to expect.
struct Model {
    store: SqliteStore,
    clock: Arc<ManualClock>,
    worker: WorkerId,
    path: std::path::PathBuf,
    runs: Vec<RunId>,
    held: Vec<Claimed>,
    old: Vec<Claimed>,
    newest: HashMap<TaskId, LeaseToken>,
    cancelling: HashMap<TaskId, bool>,
    states: HashMap<TaskId, TaskState>,
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> (SqliteStore, WorkerId) {
    let store = SqliteStore::open_for_work(path, clock.clone()).unwrap();
    let worker = NewWorker { incarnation: Incarnation::fresh(), host: "walk".into(), capacity: json!({}) };
    let worker = store.register_worker(worker).unwrap();
    (store, worker)
}

fn task(name: String, pool: &str, keep_going: bool) -> NewTask {
    NewTask {
        on_dep_failure: if keep_going { OnDepFailure::Run } else { OnDepFailure::Skip },
        ..NewTask::new(name, "kind", pool, json!(null))
    }
}

impl Model {
    fn new(folder: &Path) -> Self {
        let clock = Arc::new(ManualClock::at(TimestampMs(1_000_000)));
        let path = folder.join("queue.db");
        let (store, worker) = open(&path, &clock);
        Self {
            store,
            clock,
            worker,
            path,
            runs: Vec::new(),
            held: Vec::new(),
            old: Vec::new(),
            newest: HashMap::new(),
            cancelling: HashMap::new(),
            states: HashMap::new(),
        }
    }

    fn take(&mut self, pick: usize) -> Option<Claimed> {
        let index = pick.checked_rem(self.held.len())?;
        let claimed = self.held.remove(index);
        self.old.push(claimed.clone());
        Some(claimed)
    }

    fn submit(&mut self, tenant: u8, segments: u8, chained: bool, keep_going: bool) {
        let mut run = NewRun::new(format!("tenant{tenant}"), "walk", json!({}));
        let mut stitch = task("stitch".into(), "cpu", keep_going);
        for n in 0..segments {
            let mut segment = task(format!("s{n}"), "gpu", false);
            if chained && n > 0 {
                segment = segment.after(format!("s{}", n - 1));
            }
            stitch = stitch.after(&segment.name);
            run.tasks.push(segment);
        }
        run.tasks.push(stitch);
        self.runs.push(self.store.submit(run).unwrap().run);
    }

    fn claim(&mut self, pools: [&str; 2]) -> bool {
        let Some(claimed) = self.store.claim(ClaimRequest::new(self.worker, pools)).unwrap() else {
            return false;
        };
        let before = self.newest.insert(claimed.task, claimed.token);
        assert!(before.is_none_or(|token| token < claimed.token), "a token came twice");
        assert!(self.held.iter().all(|held| held.task != claimed.task), "claimed twice");
        for parent in &claimed.parents {
            assert!(parent.state.is_final());
        }
        self.held.push(claimed);
        true
    }

    fn succeed(&mut self, claimed: &Claimed, emit: u8) {
        let mut finish = Finish::new(claimed.task, claimed.token, json!(claimed.name));
        for n in 0..emit {
            let name = format!("{}+{n}", claimed.name);
            finish.emitted.push(task(name, "gpu", false).after(&claimed.name));
        }
        let finished = self.store.succeed(finish).unwrap();
        let cancelled = self.cancelling.contains_key(&claimed.task);
        let expected = if cancelled { TaskState::Cancelled } else { TaskState::Succeeded };
        assert_eq!(finished.state, expected);
        assert_eq!(finished.emitted.len(), if cancelled { 0 } else { emit.into() });
    }

    fn fail(&mut self, claimed: &Claimed, again: bool) {
        let delay = backoff(claimed.attempt, 0.5);
        let failed = self
            .store
            .fail(Failure {
                task: claimed.task,
                token: claimed.token,
                code: "c".into(),
                error: "e".into(),
                retry: if again { Retry::After(delay) } else { Retry::Never },
            })
            .unwrap();
        let expected = if self.cancelling.contains_key(&claimed.task) {
            TaskState::Cancelled
        } else if again && claimed.attempt < claimed.max_attempts {
            TaskState::Scheduled
        } else {
            TaskState::Failed
        };
        // A retry of the run may have opened a parent meanwhile; then it waits for that first.
        let blocked = expected == TaskState::Scheduled && failed.state == TaskState::Blocked;
        assert!(failed.state == expected || blocked, "{} for {expected}", failed.state);
    }

    fn step(&mut self, step: Step) {
        let mut revived = false;
        match step {
            Step::Submit { tenant, segments, chained, keep_going } => {
                self.submit(tenant, segments, chained, keep_going);
            }
            Step::Claim { cpu_first } => {
                self.claim(if cpu_first { ["cpu", "gpu"] } else { ["gpu", "cpu"] });
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
                }
            }
            Step::Beat => {
                let beats = self.held.iter().chain(&self.old).map(|claimed| Beat {
                    task: claimed.task,
                    token: claimed.token,
                    progress: Some(json!(1)),
                });
                let answers = self.store.heartbeat(self.worker, beats.collect()).unwrap();
                for (index, answer) in answers.iter().enumerate() {
                    let expected = match self.held.get(index) {
                        None => BeatAnswer::Lost,
                        Some(c) if self.cancelling.contains_key(&c.task) => BeatAnswer::Cancel,
                        Some(_) => BeatAnswer::Continue,
                    };
                    assert_eq!(*answer, expected);
                }
            }
            Step::AnswerLate { pick } => {
                if let Some(index) = pick.checked_rem(self.old.len()) {
                    let old = &self.old[index];
                    let late = Finish::new(old.task, old.token, json!("late"));
                    assert!(self.store.succeed(late).unwrap_err().is_stale());
                }
            }
            Step::Cancel { pick } => {
                if let Some(index) = pick.checked_rem(self.runs.len()) {
                    let cancelled = self.store.cancel_run(self.runs[index]).unwrap();
                    self.cancelling.extend(cancelled.stopping.iter().map(|task| (*task, true)));
                }
            }
            Step::Retry { pick } => {
                if let Some(index) = pick.checked_rem(self.runs.len()) {
                    match self.store.retry_run(self.runs[index]) {
                        Ok(_) => revived = true,
                        Err(error) => assert_eq!(error.code(), "queue_still_stopping"),
                    }
                }
            }
            Step::Restart => {
                (self.store, self.worker) = open(&self.path, &self.clock);
                let recovered = self.store.recover(self.worker).unwrap();
                let mut all = recovered.requeued;
                all.extend(recovered.poisoned);
                all.extend(recovered.cancelled);
                all.sort_unstable();
                let mut held: Vec<_> = self.held.iter().map(|claimed| claimed.task).collect();
                held.sort_unstable();
                assert_eq!(all, held);
                self.old.append(&mut self.held);
            }
            Step::Pass { seconds } => {
                self.clock.advance(Duration::from_secs(seconds.into()));
                let recovered = self.store.expire_leases().unwrap();
                let lost = [recovered.requeued, recovered.poisoned, recovered.cancelled].concat();
                let (gone, kept) =
                    std::mem::take(&mut self.held).into_iter().partition(|claimed| lost.contains(&claimed.task));
                self.held = kept;
                let gone: Vec<Claimed> = gone;
                assert_eq!(gone.len(), lost.len());
                self.old.extend(gone);
            }
        }
        self.agree(revived);
    }

    fn agree(&mut self, revived: bool) {
        assert_eq!(self.store.check().unwrap(), []);
        let mut running = Vec::new();
        for run in &self.runs {
            for view in self.store.tasks(*run).unwrap() {
                if view.state == TaskState::Running {
                    running.push(view.id);
                }
                let before = self.states.insert(view.id, view.state);
                if let Some(before) = before.filter(|state| state.is_final()) {
                    let again = revived && before != TaskState::Succeeded;
                    assert!(again || before == view.state, "{before} became {}", view.state);
                }
            }
        }
        running.sort_unstable();
        let mut held: Vec<_> = self.held.iter().map(|claimed| claimed.task).collect();
        held.sort_unstable();
        assert_eq!(running, held);
        self.cancelling.retain(|task, _| held.contains(task));
    }

    /// Does all the work that is left.
    fn finish(mut self) {
        loop {
            while let Some(claimed) = self.take(0) {
                self.succeed(&claimed, 0);
            }
            if self.claim(["gpu", "cpu"]) {
                continue;
            }
            match self.store.next_wakeup().unwrap() {
                Some(due) => self.clock.set(due),
                None => break,
            }
        }
        self.agree(false);
        for run in &self.runs {
            assert_ne!(self.store.run(&(*run).into()).unwrap().state, RunState::Active);
            for view in self.store.tasks(*run).unwrap() {
                assert!(view.state.is_final());
                self.parents_fit(&view);
            }
        }
    }

    fn parents_fit(&self, view: &TaskView) {
        let parents = self.store.task(view.id).unwrap().parents;
        let fine = parents.iter().all(|parent| self.states[parent] == TaskState::Succeeded);
        match view.state {
            TaskState::Succeeded => assert!(fine || view.on_dep_failure == OnDepFailure::Run),
            TaskState::Skipped => assert!(!fine),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_rules_hold_after_every_step(steps in prop::collection::vec(step(), 1..60)) {
        // In memory where that is possible: what is tested is the logic, not the disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut model = Model::new(folder.path());
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}
