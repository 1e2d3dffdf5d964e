//! What machines do to a queue: hosts that are killed or frozen, full disks, damaged logs. The host is this test binary
//! itself, started again to run one of the tests that are ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop; a child tells what was acknowledged"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Lines, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use travel_queue::limits::LEASE;
use travel_queue::*;

const DATABASE: &str = "QUEUE_TO_WORK_ON";
const SEED: &str = "QUEUE_SEED";

/// Numbers that look random and are the same everywhere (Marsaglia's xorshift, 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

fn database() -> Option<PathBuf> {
    std::env::var_os(DATABASE).map(PathBuf::from)
}

fn work(path: &Path, clock: Arc<dyn Clock>) -> (SqliteStore, WorkerId) {
    let store = SqliteStore::open_for_work(path, clock).unwrap();
    let worker =
        NewWorker { incarnation: Incarnation::fresh(), host: "test".into(), capacity: Capacity::of([("gpu", 1)]) };
    let worker = store.register_worker(worker).unwrap();
    (store, worker)
}

/// A run of a plan, two segments and a stitch.
fn run(name: &str) -> NewRun {
    let task = |name: &str| NewTask::new(name, "k", "gpu", json!({"pad": "x".repeat(200)}));
    let tasks = ["s0", "s1"].map(|s| task(s).after("plan"));
    let run = NewRun::new("studio", name, json!({})).task(task("plan"));
    tasks.into_iter().fold(run, NewRun::task).task(task("stitch").after("s0").after("s1"))
}

/// A child that is this binary, running one ignored test.
struct Host {
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Host {
    fn start(test: &str, path: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            // With one thread the name of the test would stand before its first word.
            .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=2"])
            .env(DATABASE, path)
            .env(SEED, seed.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, told }
    }

    /// The next line that is one of ours.
    fn next(&mut self) -> Option<Vec<String>> {
        let ours = |line: String| {
            let line = line.strip_prefix("ack ")?.to_owned();
            Some(line.split(' ').map(str::to_owned).collect())
        };
        self.told.by_ref().map_while(std::result::Result::ok).find_map(ours)
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

/// Does what a dice says: tells what it is about to do where that may be done without having been told, and every operation
/// when it has been acknowledged.
#[test]
#[ignore = "run by two_hundred_killed_hosts_lose_nothing_that_was_acknowledged"]
fn host_that_rolls_dice() {
    let Some(path) = database() else { return };
    let mut dice = Dice(std::env::var(SEED).unwrap().parse().unwrap());
    let _lock = HostLock::acquire(&path).unwrap();
    let (store, worker) = work(&path, Arc::new(SystemClock));
    store.recover(worker).unwrap();
    let mut held: Vec<Claimed> = Vec::new();
    loop {
        let mut pick = |dice: &mut Dice| {
            let n = dice.roll(held.len().max(1) as u64) as usize;
            (n < held.len()).then(|| held.swap_remove(n))
        };
        match dice.roll(14) {
            0 | 1 => println!("ack submitted {}", store.submit(run("alps")).unwrap().run),
            2..=5 => {
                if let Some(claimed) = store.claim(ClaimRequest::new(worker, ["gpu"])).unwrap() {
                    println!("ack claimed {} {} {}", claimed.task, claimed.token, claimed.run);
                    held.push(claimed);
                }
            }
            6..=8 => {
                if let Some(claimed) = pick(&mut dice) {
                    let (task, token) = (claimed.task, claimed.token);
                    let state = store.succeed(success(&claimed)).unwrap().state;
                    println!(
                        "ack {} {task} {token} {}",
                        if state == TaskState::Succeeded { "succeeded" } else { "ended" },
                        claimed.name
                    );
                }
            }
            9 => {
                if let Some(claimed) = pick(&mut dice) {
                    let (task, token) = (claimed.task, claimed.token);
                    let retry = if dice.roll(2) == 0 { Retry::Never } else { Retry::After(Duration::from_millis(1)) };
                    let (code, error) = ("c".into(), "e".into());
                    store.fail(Failure { task, token, code, error, retry, artifacts: Vec::new() }).unwrap();
                    println!("ack ended {task} {token} {}", claimed.name);
                }
            }
            10 => {
                if let Some(claimed) = pick(&mut dice) {
                    store.release(claimed.task, claimed.token).unwrap();
                    println!("ack ended {} {} {}", claimed.task, claimed.token, claimed.name);
                }
            }
            11 => {
                let beats = held.iter().map(|c| Beat { task: c.task, token: c.token, progress: Some(json!(1)) });
                store.heartbeat(worker, beats.collect()).unwrap();
            }
            12 => change_a_run(&store, &mut dice),
            _ => change_a_setting(&store, &mut dice),
        }
    }
}

/// A file for every success, one more task after a plan, and something to tell.
fn success(claimed: &Claimed) -> Finish {
    let mut finish = Finish::new(claimed.task, claimed.token, json!(null));
    if claimed.name == "plan" {
        finish.emitted.push(NewTask::new("extra", "k", "gpu", json!(null)).after("plan"));
    }
    finish.artifacts.push(SlotArtifact {
        slot: "clip".into(),
        hash: ArtifactHash([(claimed.task.0 % 251) as u8; 32]),
        bytes: 9,
        media: "video/mp4".into(),
    });
    finish.events.push(NewEvent { label: "seen".into(), data: json!(1) });
    finish
}

/// What an operator does to one of the newest runs, or to those that are long over.
fn change_a_run(store: &SqliteStore, dice: &mut Dice) {
    let runs = store.runs(&RunFilter::default(), 4).unwrap();
    let Some(run) = runs.last().map(|run| run.id) else { return };
    match dice.roll(6) {
        0 | 1 => {
            println!("ack try run-{run} paused");
            store.pause_run(run).unwrap();
            println!("ack set run-{run} paused");
        }
        2 => {
            println!("ack try run-{run} open");
            store.resume_run(run).unwrap();
            println!("ack set run-{run} open");
        }
        3 => {
            store.cancel_run(run).unwrap();
            println!("ack cancelled {run}");
        }
        4 => {
            println!("ack reviving {run}");
            // Refused while something of it is being stopped.
            if let Ok(revived) = store.retry_run(run) {
                println!("ack revived {run} {}", revived.tasks.len());
            }
        }
        _ => {
            let policy =
                PrunePolicy { finished_before: TimestampMs(i64::MAX), keep: 20, states: Vec::new(), tenant: None };
            for run in store.prune(&policy, Trial::Dry).unwrap().runs {
                println!("ack forgetting {run}");
            }
            for run in store.prune(&policy, Trial::Real).unwrap().runs {
                println!("ack forgotten {run}");
            }
        }
    }
}

/// What an operator sets for everybody, or for a tenant.
fn change_a_setting(store: &SqliteStore, dice: &mut Dice) {
    let lane = |change| store.set_lane(LaneSettings { pool: "gpu".into(), tenant: "studio".into(), change }).unwrap();
    let number = u32::try_from(1 + dice.roll(9)).unwrap();
    let is_rare = dice.roll(4) == 0;
    let (what, value) = match dice.roll(5) {
        0 => ("weight", number.to_string()),
        1 => ("limit", number.to_string()),
        2 => ("quota", (number + 1_000).to_string()),
        3 => ("lane", is_rare.to_string()),
        _ => ("pool", is_rare.to_string()),
    };
    println!("ack try {what} {value}");
    match what {
        "weight" => store.set_weight("studio", number).unwrap(),
        "limit" => lane(LaneChange::MaxRunning(Some(number))),
        "quota" => store.set_max_runs("studio", Some(number + 1_000)).unwrap(),
        "lane" => lane(LaneChange::Paused(is_rare)),
        _ => store.set_pool_paused("gpu", is_rare).unwrap(),
    }
    println!("ack set {what} {value}");
}

/// What nobody has set yet.
fn initial(what: &str) -> &'static str {
    match what {
        "weight" => "100",
        "limit" | "quota" => "none",
        "lane" | "pool" => "false",
        _ => "open",
    }
}

/// What hosts have said, over all their lives.
#[derive(Default)]
struct Journal {
    runs: BTreeSet<RunId>,
    /// Of what run a claimed task is.
    run_of: HashMap<TaskId, RunId>,
    newest: HashMap<TaskId, LeaseToken>,
    succeeded: HashMap<TaskId, LeaseToken>,
    /// Of the last life: attempts that ended, plans that succeeded, runs that were cancelled.
    ended: Vec<(TaskId, LeaseToken)>,
    planned: Vec<RunId>,
    cancelled: BTreeSet<RunId>,
    /// Runs that were set going again, or may have been.
    revived: BTreeSet<RunId>,
    /// Runs that are gone, and those that may be.
    forgotten: BTreeSet<RunId>,
    forgetting: BTreeSet<RunId>,
    /// What was set last, and what may have been set after that.
    settings: HashMap<String, Vec<String>>,
}

impl Journal {
    fn note(&mut self, said: &[String]) {
        let number = |i: usize| said[i].parse::<i64>().unwrap();
        let (run, task) = (|i| RunId(number(i)), |i| TaskId(number(i)));
        match said[0].as_str() {
            "submitted" => drop(self.runs.insert(run(1))),
            "claimed" => {
                let token = LeaseToken(number(2));
                let before = self.newest.insert(task(1), token);
                assert!(before.is_none_or(|t| t < token), "a token was given twice");
                self.run_of.insert(task(1), run(3));
            }
            "succeeded" => {
                let before = self.succeeded.insert(task(1), LeaseToken(number(2)));
                assert!(before.is_none(), "task {} was finished twice", number(1));
                if said[3] == "plan" {
                    self.planned.push(self.run_of[&task(1)]);
                }
            }
            "ended" => self.ended.push((task(1), LeaseToken(number(2)))),
            "cancelled" => drop(self.cancelled.insert(run(1))),
            "reviving" => {
                self.cancelled.remove(&run(1));
                self.revived.insert(run(1));
            }
            "revived" => {}
            "forgetting" => drop(self.forgetting.insert(run(1))),
            "forgotten" => drop(self.forgotten.insert(run(1))),
            "try" => self
                .settings
                .entry(said[1].clone())
                .or_insert_with(|| vec![initial(&said[1]).to_owned()])
                .push(said[2].clone()),
            "set" => *self.settings.get_mut(&said[1]).unwrap() = vec![said[2].clone()],
            other => panic!("{other}"),
        }
    }

    /// Whether a value may be the one that was set last.
    fn allows(&self, what: &str, value: &str) -> bool {
        self.settings.get(what).map_or(value == initial(what), |may| may.iter().any(|may| may == value))
    }

    /// Holds a database against all that was acknowledged.
    fn hold_against(&mut self, reader: &SqliteStore, round: u64) {
        assert_eq!(reader.check().unwrap(), [], "round {round}");
        let stored: BTreeMap<RunId, RunView> =
            reader.runs(&RunFilter::default(), 10_000).unwrap().into_iter().map(|run| (run.id, run)).collect();
        let is_there = |run: &RunId| stored.contains_key(run);
        let lost = self.runs.iter().find(|run| !is_there(run) && !self.forgetting.contains(run));
        assert_eq!(lost, None, "round {round}: a run is lost");
        assert_eq!(self.forgotten.iter().find(|run| is_there(run)), None, "round {round}: a run is back");
        let is_there = |task: &TaskId| is_there(&self.run_of[task]);

        for (task, token) in self.ended.drain(..).filter(|(task, _)| is_there(task)) {
            let detail = reader.task(task).unwrap();
            let attempt = detail.attempts.iter().find(|attempt| attempt.token == token).unwrap();
            let is_over = attempt.outcome.is_some_and(|o| o != AttemptOutcome::Lost);
            assert!(is_over, "round {round}: the end of {task} is lost");
        }
        for run in std::mem::take(&mut self.planned).iter().filter(|run| stored.contains_key(run)) {
            let has_extra = reader.tasks(*run).unwrap().iter().any(|task| task.name == "extra");
            assert!(has_extra, "round {round}: a task of run {run} is lost");
        }
        for run in std::mem::take(&mut self.cancelled).iter().filter(|run| stored.contains_key(run)) {
            let open = reader.tasks(*run).unwrap().into_iter().find(|t| !t.state.is_final() && t.cancel_at.is_none());
            assert!(open.is_none(), "round {round}: a cancellation is lost: {open:?}");
        }
        for (task, token) in self.succeeded.iter().filter(|(task, _)| is_there(task)) {
            let detail = reader.task(*task).unwrap();
            assert_eq!((detail.task.state, detail.task.token), (TaskState::Succeeded, *token), "round {round}: {task}");
            let results = detail.attempts.iter().filter(|a| a.outcome == Some(AttemptOutcome::Succeeded)).count();
            assert_eq!((results, detail.made.len()), (1, 1), "round {round}: {task}");
            let events = reader.events(detail.task.run, Seq(0), 10_000).unwrap();
            let told = |kind| events.iter().filter(|e| e.task == Some(*task) && e.kind == kind).count();
            assert_eq!((told(EventKind::TaskSucceeded), told(EventKind::Reported)), (1, 1), "round {round}: {task}");
        }
        if let Some(lane) = reader.lanes().unwrap().into_iter().find(|lane| lane.pool == "gpu") {
            let text = |number: Option<u32>| number.map_or("none".to_owned(), |number| number.to_string());
            let is_closed = reader.paused_pools().unwrap().contains(&"gpu".to_owned());
            for (what, value) in [
                ("weight", lane.weight.to_string()),
                ("limit", text(lane.max_running)),
                ("quota", text(lane.max_runs)),
                ("lane", lane.paused.to_string()),
                ("pool", is_closed.to_string()),
            ] {
                assert!(self.allows(what, &value), "round {round}: {what} is {value:?}: {:?}", self.settings);
            }
        }
        let goes_on = |run: &&RunView| run.state == RunState::Active && !self.revived.contains(&run.id);
        for run in stored.values().filter(goes_on).filter(|run| run.cancel_at.is_none()) {
            let is = if run.paused_at.is_some() { "paused" } else { "open" };
            assert!(self.allows(&format!("run-{}", run.id), is), "round {round}: run {} is {is}", run.id);
        }
    }
}

#[test]
fn two_hundred_killed_hosts_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let mut dice = Dice(2026);
    let mut journal = Journal::default();
    let mut said: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..200 {
        let mut host = Host::start("host_that_rolls_dice", &path, 1 + round * 7919);
        let (mut told, kill_after) = (0, 1 + dice.roll(40));
        while let Some(ack) = host.next() {
            journal.note(&ack);
            *said.entry(ack[0].clone()).or_default() += 1;
            told += 1;
            if told == kill_after {
                // From here on it is killed at whatever it does; what it tells until then counts.
                host.child.kill().unwrap();
            }
        }
        // A host that failed by itself would end the pipe too, and hide what this looks for.
        let status = host.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "round {round}: the host ended by itself: {status}");
        assert!(told >= kill_after, "round {round}: it told {told} of {kill_after} things");
        journal.hold_against(&SqliteStore::open_for_read(&path).unwrap(), round);
    }
    for what in ["submitted", "claimed", "succeeded", "ended", "cancelled", "revived", "forgotten", "set"] {
        assert!(said.get(what).is_some_and(|times| *times > 20), "{what}: {said:?}");
    }
    let _free = HostLock::acquire(&path).unwrap();
}

/// Takes a task, waits for a word, and only then finishes it.
#[test]
#[ignore = "run by a_host_that_was_frozen_beyond_its_lease_is_refused"]
fn host_that_waits_for_a_word() {
    let Some(path) = database() else { return };
    let (store, worker) = work(&path, Arc::new(SystemClock));
    let claimed = store.claim(ClaimRequest::new(worker, ["gpu"])).unwrap().unwrap();
    println!("ack claimed {} {}", claimed.task, claimed.token);
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let finished = store.succeed(Finish::new(claimed.task, claimed.token, json!("late")));
    println!("ack {} 0 0", finished.unwrap_err().code());
    let beat = store.heartbeat(worker, vec![Beat { task: claimed.task, token: claimed.token, progress: None }]);
    println!("ack {:?} 0 0", beat.unwrap()[0]);
}

#[test]
fn a_host_that_was_frozen_beyond_its_lease_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    SqliteStore::open_for_submit(&path, clock.clone()).unwrap().submit(run("alps")).unwrap();
    let mut frozen = Host::start("host_that_waits_for_a_word", &path, 1);
    assert_eq!(frozen.next().unwrap()[0], "claimed");
    frozen.signal("STOP");

    // Another host, on a machine where the lease has run out meanwhile.
    clock.set(SystemClock.now().after(LEASE + Duration::from_secs(1)));
    let (store, worker) = work(&path, clock);
    let taken_back = store.expire_leases().unwrap().requeued;
    assert_eq!(taken_back.len(), 1);
    let claimed = store.claim(ClaimRequest::new(worker, ["gpu"])).unwrap().unwrap();
    assert_eq!(claimed.task, taken_back[0]);
    store.succeed(Finish::new(claimed.task, claimed.token, json!("in time"))).unwrap();

    frozen.signal("CONT");
    frozen.child.stdin.take().unwrap().write_all(b"x").unwrap();
    assert_eq!(frozen.next().unwrap()[0], "queue_stale");
    assert_eq!(frozen.next().unwrap()[0], "Lost");
    assert!(frozen.child.wait().unwrap().success());
    let detail = store.task(claimed.task).unwrap();
    assert_eq!(detail.output, Some(json!("in time")));
    assert_eq!(store.check().unwrap(), []);
}

#[test]
fn a_log_that_was_cut_short_loses_its_end_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let mut host = Host::start("host_that_rolls_dice", &path, 99);
    for _ in 0..60 {
        host.next().unwrap();
    }
    host.child.kill().unwrap();
    host.child.wait().unwrap();
    let name = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    let (main, log) = (std::fs::read(&path).unwrap(), std::fs::read(name(&path)).unwrap());
    assert!(log.len() > 10_000, "{} bytes of log", log.len());
    let mut tasks_before = 0;
    for cut in [0, 1, 31, 32, 33, log.len() / 3, log.len() / 2, log.len() - 1, log.len()] {
        let cut_path = folder.path().join(format!("cut-{cut}.db"));
        std::fs::write(&cut_path, &main).unwrap();
        std::fs::write(name(&cut_path), &log[..cut]).unwrap();
        // With no log at all not even the tables may be there yet; they are made then.
        let (store, worker) = work(&cut_path, Arc::new(SystemClock));
        store.recover(worker).unwrap();
        assert_eq!(store.check().unwrap(), [], "cut at {cut}");
        let tasks: u64 = store.stats().unwrap().tasks.values().sum();
        assert!(tasks >= tasks_before, "a longer log holds no less");
        tasks_before = tasks;
        store.submit(run("alps")).unwrap();
        while let Some(claimed) = store.claim(ClaimRequest::new(worker, ["gpu"])).unwrap() {
            store.succeed(Finish::new(claimed.task, claimed.token, json!(null))).unwrap();
        }
        assert_eq!(store.check().unwrap(), [], "cut at {cut}");
    }
    assert!(tasks_before > 0);
}

/// Fills its disk, and goes on when there is room again. Its folder is a file system of 2 MiB with a ballast in it.
#[test]
#[ignore = "run by a_full_disk_of_two_mebibytes_is_told_and_survived"]
fn host_on_a_small_disk() {
    let Some(path) = database() else { return };
    let (store, worker) = work(&path, Arc::new(SystemClock));
    let mut accepted = 0;
    let full = loop {
        match store.submit(run("alps")) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full.code(), "queue_disk_full");
    assert!(full.is_retryable() && full.to_string().contains("queue.db"), "{full}");
    assert_eq!(store.runs(&RunFilter::default(), 10_000).unwrap().len(), accepted, "all or nothing");
    assert_eq!(store.check().unwrap(), []);
    std::fs::remove_file(path.with_file_name("ballast")).unwrap();
    let claimed = store.claim(ClaimRequest::new(worker, ["gpu"])).unwrap().unwrap();
    store.succeed(Finish::new(claimed.task, claimed.token, json!(null))).unwrap();
    store.submit(run("alps")).unwrap();
    assert_eq!(store.check().unwrap(), []);
    println!("ack survived {accepted} 0");
}

#[test]
fn a_full_disk_of_two_mebibytes_is_told_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    // In a mount name space of its own, which is gone with the process.
    let script = format!(
        "set -e; mount -t tmpfs -o size=2m tmpfs .; head -c 600000 /dev/zero > ballast; \
         exec env {DATABASE}=\"$PWD/queue.db\" {} --exact host_on_a_small_disk --ignored --nocapture",
        program.display()
    );
    let root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    let map: &[&str] = if root { &["--mount"] } else { &["--mount", "--user", "--map-root-user"] };
    let output = Command::new("unshare")
        .args(map)
        // Entered anew after the mount, so that the folder is the file system's.
        .args(["sh", "-c", &script.replace("tmpfs .;", "tmpfs \"$PWD\"; cd \"$PWD\";")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let (said, erred) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("ack survived"), "{said}\n{erred}");
}
