//! What every store must do, written against the trait alone. A second database is put under the
//! same cases by giving it a [`Database`].

pub(crate) mod graph;
pub(crate) mod leases;
pub(crate) mod operate;
pub(crate) mod redo;
pub(crate) mod share;
pub(crate) mod submission;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use travel_queue::*;

/// One empty database that may be opened again and again, as by host after host.
pub(crate) trait Database {
    fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn Store>;
}

/// An open store with its clock and one registered worker.
pub(crate) struct Bench<'a> {
    pub(crate) database: &'a dyn Database,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Box<dyn Store>,
    pub(crate) worker: WorkerId,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(database: &'a dyn Database) -> Self {
        let clock = Arc::new(ManualClock::at(TimestampMs(1_700_000_000_000)));
        let store = database.open(clock.clone());
        let worker = register(store.as_ref());
        Self { database, clock, store, worker }
    }

    /// The host dies and another one starts on the same database.
    pub(crate) fn restart(&mut self) -> Recovered {
        self.store = self.database.open(self.clock.clone());
        self.worker = register(self.store.as_ref());
        self.store.recover(self.worker).unwrap()
    }

    pub(crate) fn submit(&self, tasks: Vec<NewTask>) -> RunId {
        let mut run = NewRun::new("studio", "alps", json!({"images": 3}));
        run.tasks = tasks;
        self.store.submit(run).unwrap().run
    }

    pub(crate) fn claim(&self) -> Option<Claimed> {
        self.store.claim(ClaimRequest::new(self.worker, ["gpu", "cpu"])).unwrap()
    }

    /// Claims, and insists on a certain task.
    pub(crate) fn take(&self, name: &str) -> Claimed {
        let claimed = self.claim().unwrap_or_else(|| panic!("nothing to claim, wanted {name}"));
        assert_eq!(claimed.name, name);
        claimed
    }

    pub(crate) fn done(&self, claimed: &Claimed) -> Finished {
        let output = json!({"by": claimed.name});
        self.store.succeed(Finish::new(claimed.task, claimed.token, output)).unwrap()
    }

    pub(crate) fn fail(&self, claimed: &Claimed, retry: Retry) -> Failed {
        self.store.fail(failure(claimed, retry)).unwrap()
    }

    pub(crate) fn state(&self, run: RunId, name: &str) -> TaskState {
        self.view(run, name).state
    }

    pub(crate) fn view(&self, run: RunId, name: &str) -> TaskView {
        let tasks = self.store.tasks(run).unwrap();
        tasks.into_iter().find(|task| task.name == name).unwrap()
    }

    pub(crate) fn run(&self, run: RunId) -> RunView {
        self.store.run(&run.into()).unwrap()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn kinds(&self, run: RunId) -> Vec<EventKind> {
        let events = self.store.events(run, Seq(0), 1000).unwrap();
        events.iter().map(|event| event.kind).collect()
    }

    /// Every case ends here: whatever it did, the rules hold.
    pub(crate) fn sound(&self) {
        assert_eq!(self.store.check().unwrap(), []);
    }
}

pub(crate) fn register(store: &dyn Store) -> WorkerId {
    store
        .register_worker(NewWorker {
            incarnation: Incarnation::fresh(),
            host: "bench".into(),
            capacity: Capacity::of([("gpu", 1), ("cpu", 2)]),
        })
        .unwrap()
}

pub(crate) fn failure(claimed: &Claimed, retry: Retry) -> Failure {
    Failure {
        task: claimed.task,
        token: claimed.token,
        code: "generator_silent".into(),
        error: "no frame for 60 s".into(),
        retry,
        artifacts: Vec::new(),
    }
}

pub(crate) fn task(name: &str) -> NewTask {
    NewTask::new(name, "travel_segment", "gpu", json!({"name": name}))
}

pub(crate) fn file(slot: &str, byte: u8) -> SlotArtifact {
    SlotArtifact {
        slot: slot.into(),
        hash: ArtifactHash([byte; 32]),
        bytes: u64::from(byte) * 10,
        media: "video/mp4".into(),
    }
}

pub(crate) const LATER: Retry = Retry::After(Duration::from_secs(10));

pub(crate) fn null() -> Value {
    Value::Null
}
