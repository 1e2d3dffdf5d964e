//! What takes long: five hundred jobs on four devices, by a program that goes wrong at random, with hosts that are killed in
//! between; and hosts that are kept from their queue for longer than their leases hold. Nothing is lost, every failure is
//! explained, and nobody is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

#[path = "support/host.rs"]
mod host;
mod support;

use host::Host;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use support::{Desk, count, quick, workspace};
use travel_engine::queue::limits::LEASE;

const RUNS: usize = 50;
const SEGMENTS: usize = 10;

/// The processes that the program noted, as far as they still live.
fn living(desk: &Desk) -> Vec<String> {
    let noted = std::fs::read_to_string(desk.path("pids")).unwrap_or_default();
    let lives = |pid: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    noted.lines().filter(lives).map(str::to_owned).collect()
}

#[test]
fn five_hundred_jobs_survive_what_goes_wrong() {
    let desk = Desk::new();
    let script = workspace().join("tests/support/unreliable.py");
    let mut config =
        format!("[generators.bad]\ncommand = [\"python3\", {script:?}]\nsilence = \"2s\"\ngrace = \"1s\"\n");
    for device in 0..4 {
        config.push_str(&format!("[[devices]]\nname = \"gpu{device}\"\nmemory-mb = 1000\n"));
    }
    std::fs::write(desk.path("travel-host.toml"), config).unwrap();
    let pictures = desk.pictures(5);
    let stills: Vec<String> = pictures.iter().cycle().take(SEGMENTS + 1).cloned().collect();
    for run in 0..RUNS {
        let (name, tenant) = (format!("run-{run}"), format!("tenant-{}", run % 3));
        let more = [
            "--name",
            &name,
            "--tenant",
            &tenant,
            "--output-dir",
            "out",
            "--generator",
            "bad",
            "--segment-frames",
            "5",
        ];
        desk.json(&quick("travel", &stills, &[&more[..], &["--frame-overlap", "2"]].concat()));
    }

    // Three hosts are killed in the middle of their work, the fourth ends it.
    for _ in 0..3 {
        let mut host = Host::start(&desk, &["run"]);
        for _ in 0..60 {
            assert!(host.wait_for(|event| event["event"] == "task-succeeded"));
        }
        host.kill();
    }
    desk.ok(&["run", "--until-idle"]);

    let runs = desk.json(&["runs", "list", "--limit", "1000"]);
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), RUNS);
    let mut failures: BTreeMap<String, usize> = BTreeMap::new();
    for run in runs {
        let name = run["name"].as_str().unwrap();
        match run["state"].as_str().unwrap() {
            "succeeded" => {
                let film = run["output"]["film"].as_str().unwrap();
                assert_eq!(count(film.as_ref()), SEGMENTS as u32 * 5, "{name}");
            }
            "failed" => {
                let why = run["error"].as_str().unwrap();
                assert!(why.contains("generator `bad`") || why.contains("that bad returned"), "{name}: {why}");
                *failures.entry(why.split_once(": ").unwrap().1.to_owned()).or_default() += 1;
            }
            other => panic!("{name} is {other}"),
        }
        let events = desk.ok(&["runs", "events", name, "--json"]);
        let kind = |line: &str| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned();
        let ends = events.lines().map(kind).filter(|kind| ["run_succeeded", "run_failed"].contains(&kind.as_str()));
        assert_eq!(ends.count(), 1, "{name} ended more or less than once:\n{events}");
    }
    println!("{} of {RUNS} runs failed: {failures:#?}", failures.values().sum::<usize>());
    assert!(failures.values().sum::<usize>() < RUNS, "no run at all survived");
    assert_eq!(living(&desk), Vec::<String>::new(), "processes are left behind");
    desk.ok(&["queue", "doctor"]);
}

/// A host whose first segment is at work, until there is a file `go`.
fn host_at_work(desk: &Desk) -> Host {
    let script = workspace().join("tests/support/waiting.py");
    let config = format!("[generators.waiting]\ncommand = [\"python3\", {script:?}]\ngrace = \"1s\"\n");
    std::fs::write(desk.path("travel-host.toml"), config).unwrap();
    let pictures = desk.pictures(2);
    let more = ["--name", "trip", "--output-dir", "out", "--generator", "waiting"];
    desk.json(&quick("travel", &pictures, &more));
    let mut host = Host::start(desk, &["run"]);
    assert!(host.wait_for(|event| event["phase"] == "generate" && event["name"] == "segment-00"));
    wait_until(|| !living(desk).is_empty());
    host
}

/// Far longer than it takes, also on a busy machine.
#[track_caller]
fn wait_until(holds: impl Fn() -> bool) {
    let patience = Instant::now() + 4 * LEASE;
    while !holds() {
        assert!(Instant::now() < patience, "waited in vain");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lets the program go on, and sees the run end, each of its tasks with one result and nobody at fault.
fn assert_goes_on(desk: &Desk, mut host: Host) {
    std::fs::write(desk.path("go"), "").unwrap();
    assert!(host.wait_for(|event| event["event"] == "run-finished"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    for task in desk.json(&["tasks", "list", "trip"]).as_array().unwrap() {
        let task = desk.json(&["tasks", "show", &task["id"].to_string()]);
        assert_eq!((&task["task"]["state"], &task["task"]["failures"]), (&"succeeded".into(), &0.into()), "{task:#}");
        let results = task["attempts"].as_array().unwrap().iter().filter(|a| a["outcome"] == "succeeded").count();
        assert_eq!(results, 1, "{task:#}");
    }
    assert_eq!(count(&desk.path("out/trip.mp4")), 9);
    assert_eq!(living(desk), Vec::<String>::new(), "processes are left behind");
    desk.ok(&["queue", "doctor"]);
}

#[test]
fn a_host_that_was_frozen_for_longer_than_its_leases_goes_on() {
    let desk = Desk::new();
    let host = host_at_work(&desk);
    host.signal("STOP");
    std::thread::sleep(LEASE + Duration::from_secs(2));
    host.signal("CONT");
    assert_goes_on(&desk, host);
}

#[test]
fn a_host_that_cannot_reach_its_queue_stops_what_runs_and_begins_it_anew() {
    let desk = Desk::new();
    let host = host_at_work(&desk);
    let other = rusqlite::Connection::open(desk.path("travel-host.db")).unwrap();
    other.busy_timeout(Duration::from_secs(60)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Nobody is told to stop: the host finds out by itself that its leases are about to end.
    wait_until(|| living(&desk).is_empty());
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    assert_goes_on(&desk, host);
}

#[test]
fn who_asks_is_told_that_the_host_drains() {
    let desk = Desk::new();
    let host = host_at_work(&desk);
    let pictures = desk.pictures(3);
    desk.json(&quick("travel", &pictures, &["--name", "next", "--generator", "waiting"]));
    let explained = || desk.json(&["tasks", "explain", &desk.json(&["tasks", "list", "next"])[0]["id"].to_string()]);
    host.signal("TERM");
    wait_until(|| explained()["reason"] == "draining");
    std::fs::write(desk.path("go"), "").unwrap();
    assert_eq!(host.end(), Some(0));
    assert_eq!(explained()["reason"], "no_host");
}
