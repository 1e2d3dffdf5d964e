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

use std::collections::HashMap;
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
            .args(["--exact", test, "--ignored", "--nocapture"])
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

/// Does what a dice says, and tells every operation when it has been acknowledged.
#[test]
#[ignore = "run by two_hundred_killed_hosts_lose_nothing_that_was_acknowledged"]
fn host_that_rolls_dice() {
    let Some(path) = database() else { return };
    let mut dice = Dice(std::env::var(SEED).unwrap().parse().unwrap());
    let _lock = HostLock::acquire(&path).unwrap();
    let (store, worker) = work(&path, Arc::new(SystemClock));
    store.recover(worker).unwrap();
    let mut held: Vec<Claimed> = Vec::new();
    let ack = |what: &str, id: i64, more: i64| println!("ack {what} {id} {more}");
    loop {
        let pick = |dice: &mut Dice, held: &mut Vec<Claimed>| {
            let n = dice.roll(held.len().max(1) as u64) as usize;
            (n < held.len()).then(|| held.swap_remove(n))
        };
        match dice.roll(12) {
            0 | 1 => ack("submitted", store.submit(run("alps")).unwrap().run.0, 0),
            2..=5 => {
                if let Some(claimed) = store.claim(ClaimRequest::new(worker, ["gpu"])).unwrap() {
                    ack("claimed", claimed.task.0, claimed.token.0);
                    held.push(claimed);
                }
            }
            6..=8 => {
                let Some(claimed) = pick(&mut dice, &mut held) else { continue };
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
                store.succeed(finish).unwrap();
                ack("succeeded", claimed.task.0, claimed.token.0);
            }
            9 => {
                let Some(claimed) = pick(&mut dice, &mut held) else { continue };
                let retry = if dice.roll(2) == 0 { Retry::Never } else { Retry::After(Duration::from_millis(1)) };
                let (code, error) = ("c".into(), "e".into());
                store
                    .fail(Failure {
                        task: claimed.task,
                        token: claimed.token,
                        code,
                        error,
                        retry,
                        artifacts: Vec::new(),
                    })
                    .unwrap();
                ack("ended", claimed.task.0, claimed.token.0);
            }
            10 => {
                let Some(claimed) = pick(&mut dice, &mut held) else { continue };
                store.release(claimed.task, claimed.token).unwrap();
                ack("ended", claimed.task.0, claimed.token.0);
            }
            _ => {
                let beats = held.iter().map(|c| Beat { task: c.task, token: c.token, progress: Some(json!(1)) });
                store.heartbeat(worker, beats.collect()).unwrap();
                if let Some(old) = store.runs(&RunFilter::default(), 3).unwrap().last() {
                    match dice.roll(3) {
                        0 => drop(store.pause_run(old.id).unwrap()),
                        1 => drop(store.resume_run(old.id).unwrap()),
                        _ => {
                            store.cancel_run(old.id).unwrap();
                            ack("cancelled", old.id.0, 0);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn two_hundred_killed_hosts_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let mut dice = Dice(2026);
    let mut runs: Vec<RunId> = Vec::new();
    let mut succeeded: HashMap<TaskId, LeaseToken> = HashMap::new();
    let mut newest: HashMap<TaskId, LeaseToken> = HashMap::new();
    let mut ended: Vec<(TaskId, LeaseToken)> = Vec::new();
    let mut cancelled: Vec<RunId> = Vec::new();
    let mut acks = 0;
    for round in 0..200 {
        let mut host = Host::start("host_that_rolls_dice", &path, 1 + round * 7919);
        let (mut told, kill_after) = (0, 1 + dice.roll(40));
        while let Some(ack) = host.next() {
            let number = |i: usize| ack[i].parse::<i64>().unwrap();
            match ack[0].as_str() {
                "submitted" => runs.push(RunId(number(1))),
                "claimed" => {
                    let token = LeaseToken(number(2));
                    let before = newest.insert(TaskId(number(1)), token);
                    assert!(before.is_none_or(|t| t < token), "a token was given twice");
                }
                "succeeded" => {
                    let before = succeeded.insert(TaskId(number(1)), LeaseToken(number(2)));
                    assert!(before.is_none(), "task {} was finished twice", number(1));
                }
                "ended" => ended.push((TaskId(number(1)), LeaseToken(number(2)))),
                "cancelled" => cancelled.push(RunId(number(1))),
                other => panic!("{other}"),
            }
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
        acks += told;

        let reader = SqliteStore::open_for_read(&path).unwrap();
        assert_eq!(reader.check().unwrap(), [], "round {round}");
        let stored = reader.runs(&RunFilter::default(), 10_000).unwrap();
        assert!(runs.iter().all(|run| stored.iter().any(|r| r.id == *run)), "round {round}: a run is lost");
        for (task, token) in ended.drain(..) {
            let detail = reader.task(task).unwrap();
            let attempt = detail.attempts.iter().find(|attempt| attempt.token == token).unwrap();
            assert!(
                attempt.outcome.is_some_and(|o| o != AttemptOutcome::Lost),
                "round {round}: the end of {task} is lost"
            );
        }
        for run in cancelled.drain(..) {
            let open = reader.tasks(run).unwrap().into_iter().find(|t| !t.state.is_final() && t.cancel_at.is_none());
            assert!(open.is_none(), "round {round}: a cancellation is lost: {open:?}");
        }
        for (task, token) in &succeeded {
            let detail = reader.task(*task).unwrap();
            // A task that succeeded in a run that was being cancelled is a cancelled one; it is not done again either.
            assert!(detail.task.state.is_final() || detail.task.token > *token, "round {round}: task {task}");
            let results = detail.attempts.iter().filter(|a| a.outcome == Some(AttemptOutcome::Succeeded)).count();
            assert!(results <= 1, "round {round}: task {task} has {results} results");
            if detail.task.state == TaskState::Succeeded {
                assert_eq!((results, detail.task.token), (1, *token), "round {round}: task {task}");
                assert_eq!(detail.made.len(), 1);
            }
        }
    }
    assert!(acks > 1000, "only {acks} operations");
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
