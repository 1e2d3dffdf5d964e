//! What an operator does with runs, tasks and the queue, while a host works or while none does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

#[path = "support/host.rs"]
mod host;
mod support;

use host::Host;
use serde_json::{Value, json};
use support::{Desk, count, quick};

fn submit(desk: &Desk, images: usize, more: &[&str]) {
    let pictures = desk.pictures(images);
    let flags = [&["--name", "trip", "--output-dir", "out"], more].concat();
    desk.json(&quick("travel", &pictures, &flags));
}

fn state(desk: &Desk, run: &str, task: &str) -> Value {
    let tasks = desk.json(&["tasks", "list", run]);
    tasks.as_array().unwrap().iter().find(|t| t["name"] == task).unwrap()["state"].clone()
}

#[test]
fn a_cancelled_run_stops_while_it_works_and_can_be_set_going_again() {
    let desk = Desk::new();
    // A leg that would take minutes: that it ends at all shows that it was stopped.
    submit(&desk, 3, &["--segment-frames", "60000"]);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["phase"] == "guide"));
    let cancelled = desk.json(&["runs", "cancel", "trip"]);
    assert_eq!(cancelled["stopping"].as_array().unwrap().len(), 1, "{cancelled}");
    assert!(host.wait_for(|e| e["event"] == "task-cancelled" && e["name"] == "segment-00"));
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "cancelled"));
    assert_eq!(state(&desk, "trip", "stitch"), "cancelled");
    let text = desk.ok(&["runs", "cancel", "trip"]);
    assert!(text.contains("cancelled already"), "{text}");
    desk.ok(&["runs", "retry", "trip"]);
    assert!(host.wait_for(|e| e["event"] == "task-started" && e["name"] == "segment-00"));
    desk.ok(&["runs", "cancel", "trip"]);
    assert!(host.wait_for(|e| e["event"] == "run-finished"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    assert_eq!(std::fs::read_dir(desk.path("travel-host.data/tmp")).unwrap().count(), 0);
}

#[test]
fn the_end_of_a_run_is_told_once_also_when_nothing_of_it_runs() {
    let desk = Desk::new();
    submit(&desk, 3, &[]);
    desk.json(&["queue", "pause", "--pool", "cpu"]);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "orchestrator"));
    assert_eq!(state(&desk, "trip", "segment-00"), "ready");
    desk.json(&["runs", "cancel", "trip"]);
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "cancelled"));
    host.signal("TERM");
    assert!(!host.wait_for(|e| e["event"] == "run-finished"), "told twice");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn the_second_signal_hands_back_what_runs() {
    let desk = Desk::new();
    submit(&desk, 3, &["--segment-frames", "60000"]);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["phase"] == "guide"));
    host.signal("TERM");
    assert!(host.wait_for(|e| e["event"] == "stopping" && e["now"] == false));
    host.signal("TERM");
    assert!(host.wait_for(|e| e["event"] == "stopping" && e["now"] == true));
    assert!(host.wait_for(|e| e["event"] == "task-released" && e["name"] == "segment-00"));
    host.end();
    assert_eq!(state(&desk, "trip", "segment-00"), "ready");
    assert_eq!(std::fs::read_dir(desk.path("travel-host.data/tmp")).unwrap().count(), 0);
}

#[test]
fn a_cancelled_task_takes_its_followers_along_until_it_is_retried() {
    let desk = Desk::new();
    submit(&desk, 3, &[]);
    let mut host = Host::start(&desk, &["run", "--until-idle"]);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "orchestrator"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    let tasks = desk.json(&["tasks", "list", "trip"]);
    let id = |name: &str| tasks.as_array().unwrap().iter().find(|t| t["name"] == name).unwrap()["id"].to_string();
    let (segment, stitch) = (id("segment-01"), id("stitch"));
    if state(&desk, "trip", "segment-01") == "succeeded" {
        panic!("the host should have stopped before");
    }
    desk.json(&["tasks", "cancel", &segment]);
    assert_eq!(state(&desk, "trip", "stitch"), "skipped");
    let text = desk.refused(&["tasks", "retry", &stitch], 1, "queue_parent_first");
    assert!(text.contains(&format!("task {segment}")), "{text}");
    let text = desk.ok(&["tasks", "explain", &stitch]);
    assert!(text.contains("skipped, because segment-01 was cancelled"), "{text}");
    let revived = desk.json(&["tasks", "retry", &segment]);
    assert_eq!(revived["tasks"].as_array().unwrap().len(), 2);
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(count(&desk.path("out/trip.mp4")), 18);
    desk.refused(&["tasks", "retry", &segment], 1, "queue_not_over");
}

#[test]
fn what_is_paused_is_not_started_and_says_so() {
    let desk = Desk::new();
    submit(&desk, 2, &[]);
    let says = || desk.json(&["tasks", "explain", "1"]);
    assert_eq!(says()["reason"], "no_host");
    desk.json(&["runs", "pause", "trip"]);
    assert_eq!(says()["reason"], "run_paused");
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(state(&desk, "trip", "orchestrator"), "paused");
    desk.json(&["runs", "resume", "trip"]);
    desk.json(&["queue", "pause", "--pool", "cpu"]);
    desk.json(&["queue", "pause", "--pool", "encode", "--tenant", "default"]);
    desk.ok(&["run", "--until-idle"]);
    assert_eq!(state(&desk, "trip", "segment-00"), "ready");
    let lanes = desk.json(&["queue", "lanes"]);
    assert_eq!(lanes["paused_pools"], json!(["cpu"]));

    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "started"));
    let text = desk.ok(&["tasks", "explain", "2"]);
    assert!(text.contains("pool cpu is paused; `queue resume --pool cpu` opens it"), "{text}");
    desk.json(&["queue", "resume", "--pool", "cpu"]);
    assert!(host.wait_for(|e| e["event"] == "task-succeeded" && e["name"] == "segment-00"));
    let text = desk.ok(&["tasks", "explain", "3"]);
    assert!(text.contains("tenant default is paused in pool encode"), "{text}");
    desk.json(&["queue", "resume", "--pool", "encode", "--tenant", "default"]);
    assert!(host.wait_for(|e| e["event"] == "run-finished" && e["state"] == "succeeded"));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn a_host_that_ended_or_was_killed_is_known_to_be_gone_at_once() {
    let desk = Desk::new();
    submit(&desk, 2, &[]);
    desk.json(&["queue", "pause", "--pool", "plan"]);
    let reason = || desk.json(&["tasks", "explain", "1"])["reason"].clone();
    let ends: [fn(Host); 2] = [Host::kill, |host| {
        host.signal("TERM");
        assert_eq!(host.end(), Some(0));
    }];
    for end in ends {
        let mut host = Host::start(&desk, &["run"]);
        assert!(host.wait_for(|e| e["event"] == "started"));
        assert_eq!(reason(), "pool_paused");
        end(host);
        assert_eq!(reason(), "no_host");
    }
}

#[test]
fn events_are_numbered_without_a_gap_and_can_be_followed_to_the_end() {
    let desk = Desk::new();
    submit(&desk, 2, &[]);
    let mut follower = Host::start(&desk, &["runs", "events", "trip", "--follow"]);
    assert!(follower.wait_for(|e| e["kind"] == "run_submitted" && e["seq"] == 1));
    desk.ok(&["run", "--until-idle"]);
    assert!(follower.wait_for(|e| e["kind"] == "run_succeeded"));
    assert_eq!(follower.end(), Some(0), "it ends with its run");
    let lines = |args: &[&str]| -> Vec<Value> {
        let text = desk.ok(&[args, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&["runs", "events", "trip"]);
    assert!(all.iter().zip(1..).all(|(event, seq)| event["seq"] == seq), "{all:?}");
    assert_eq!(lines(&["runs", "events", "trip", "--after", "3"]), all[3..]);
}

#[test]
fn events_are_followed_for_as_long_as_somebody_reads_them() {
    let desk = Desk::new();
    submit(&desk, 2, &[]);
    let mut follower =
        desk.command(&["runs", "events", "trip", "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut reader = std::io::BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    assert!(line.contains("run_submitted"), "{line}");
    drop(reader);
    // The run goes on and is never over: only the missing reader can end the follower.
    for command in ["pause", "resume"] {
        desk.json(&["runs", command, "trip"]);
    }
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn names_that_nobody_has_are_refused_and_told() {
    let desk = Desk::new();
    submit(&desk, 2, &["--tenant", "alpha"]);
    submit(&desk, 2, &["--tenant", "beta", "--overwrite"]);
    let pools: [&[&str]; 3] = [
        &["queue", "pause", "--pool", "gup"],
        &["queue", "resume", "--pool", "gup"],
        &["queue", "share", "alpha", "--pool", "gup", "--max-running", "1"],
    ];
    for args in pools {
        let text = desk.refused(args, 2, "unknown_pool");
        assert!(text.contains("no pool `gup`") && text.contains("try: cpu, encode, gpu, plan"), "{text}");
    }
    let tenants: [&[&str]; 6] = [
        &["queue", "pause", "--pool", "gpu", "--tenant", "alfa"],
        &["queue", "share", "alfa", "--weight", "200"],
        &["queue", "prune", "--older-than", "1d", "--tenant", "alfa"],
        &["runs", "list", "--tenant", "alfa"],
        &["runs", "cancel", "trip", "--tenant", "alfa"],
        &["tasks", "tree", "trip", "--tenant", "alfa"],
    ];
    for args in tenants {
        let text = desk.refused(args, 2, "unknown_tenant");
        assert!(text.contains("no tenant `alfa`") && text.contains("try: alpha, beta"), "{text}");
    }
    desk.json(&["queue", "share", "gamma", "--new", "--weight", "200"]);
    desk.json(&["queue", "pause", "--pool", "gpu", "--tenant", "gamma"]);

    // Two tenants have a run of that name; without a word the newest is meant.
    let listed = desk.json(&["runs", "list", "--tenant", "alpha"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["run"]), (1, &json!(1)));
    let text = desk.refused(&["runs", "cancel", "2", "--tenant", "alpha"], 1, "queue_unknown_run");
    assert!(text.contains("no run 2 of tenant alpha"), "{text}");
    assert_eq!(desk.json(&["runs", "cancel", "trip", "--tenant", "alpha"])["run"], 1);
    assert_eq!(desk.json(&["runs", "cancel", "trip"])["run"], 2);
    assert!(desk.ok(&["runs", "list"]).contains("beta"));
}

#[test]
fn a_run_waits_for_its_start_and_an_attempt_ends_at_its_deadline() {
    let desk = Desk::new();
    submit(&desk, 2, &["--start-in", "2h"]);
    let late = desk.json(&["tasks", "explain", "1"]);
    assert_eq!((&late["state"], &late["reason"]), (&json!("scheduled"), &json!("not_before")));
    desk.refused(&["travel", "a.png", "b.png", "--start-at", "yesterday"], 2, "usage");
    desk.json(&["runs", "cancel", "trip"]);

    let pictures = desk.pictures(2);
    let flags = ["--name", "slow", "--segment-frames", "60000", "--attempt-deadline", "1s"];
    desk.json(&quick("travel", &pictures, &flags));
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["event"] == "task-failed" && e["code"] == "deadline" && e["retrying"] == true));
    let text = desk.ok(&["tasks", "explain", "3"]);
    assert!(text.contains("attempt 1 of 3 failed, the next is due in") && text.contains("not done after 1s"), "{text}");
    desk.json(&["runs", "cancel", "slow"]);
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
}

#[test]
fn a_doctor_finds_what_is_broken_and_mends_it_when_asked() {
    let desk = Desk::new();
    desk.refused(&["queue", "doctor"], 1, "queue_missing");
    submit(&desk, 2, &[]);
    desk.ok(&["run", "--until-idle"]);
    let health = desk.json(&["queue", "doctor"]);
    assert_eq!((&health["healthy"], &health["orphans"]["files"]), (&json!(true), &json!(0)), "{health}");
    assert!(health["disk"]["free_bytes"].as_u64().unwrap() > 0);

    // A stored file of yesterday that nothing refers to.
    let orphan = desk.path("travel-host.data/cas").join("ab").join("c".repeat(62));
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, b"left over").unwrap();
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    std::fs::File::open(&orphan).unwrap().set_modified(yesterday).unwrap();
    // Failed tasks of the only run, counted wrongly.
    let sql = rusqlite::Connection::open(desk.path("travel-host.db")).unwrap();
    sql.execute("UPDATE run SET failed_tasks = 3", []).unwrap();
    drop(sql);

    let sick = desk.run(&["queue", "doctor", "--json"]);
    assert_eq!(sick.status.code(), Some(1));
    let health: Value = serde_json::from_slice(&sick.stdout).unwrap();
    assert_eq!(health["findings"][0]["rule"], "run_counters", "{health}");
    assert_eq!(health["orphans"]["files"], 1);
    let dry = desk.run(&["queue", "doctor", "--repair", "--dry-run", "--json"]);
    let dry: Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!((&dry["repairs"][0]["rows"], &dry["healthy"]), (&json!(1), &json!(false)), "{dry}");
    assert!(orphan.exists());
    let mended = desk.json(&["queue", "doctor", "--repair"]);
    assert_eq!((&mended["healthy"], &mended["orphans"]["removed"]), (&json!(true), &json!(true)), "{mended}");
    assert!(!orphan.exists());

    // A stored file that rows refer to, lost.
    let made = desk.json(&["tasks", "show", "2"])["made"][0]["hash"].as_str().unwrap().to_owned();
    std::fs::remove_file(desk.path("travel-host.data/cas").join(&made[..2]).join(&made[2..])).unwrap();
    let sick = desk.run(&["queue", "doctor"]);
    let text = String::from_utf8_lossy(&sick.stdout);
    assert_eq!(sick.status.code(), Some(1), "{text}");
    assert!(text.contains(&format!("missing: stored file {made}")), "{text}");
    assert!(text.ends_with("every rule holds; 1 stored file missing\n"), "{text}");
}

#[test]
fn a_backup_is_made_while_a_host_works_and_old_runs_are_forgotten() {
    let desk = Desk::new();
    submit(&desk, 2, &[]);
    let mut host = Host::start(&desk, &["run"]);
    assert!(host.wait_for(|e| e["phase"] == "generate"));
    desk.json(&["queue", "backup", "copy.db"]);
    let listed = desk.json(&["runs", "list", "--db", "copy.db"]);
    assert_eq!(listed[0]["name"], "trip");
    let text = desk.refused(&["queue", "backup", "copy.db"], 1, "queue_backup");
    assert!(text.contains("copy.db: it is there already"), "{text}");
    assert!(host.wait_for(|e| e["event"] == "run-finished"));

    let dry = desk.json(&["queue", "prune", "--older-than", "0s", "--dry-run"]);
    assert_eq!((&dry["runs"], &dry["tasks"]), (&json!([1]), &json!(3)), "{dry}");
    assert_eq!(desk.json(&["queue", "prune", "--older-than", "30d"])["runs"], json!([]));
    assert_eq!(desk.json(&["queue", "prune", "--older-than", "0s", "--keep", "1"])["runs"], json!([]));
    desk.refused(&["queue", "prune", "--older-than", "0s", "--state", "active"], 2, "unknown_state");
    assert_eq!(desk.json(&["queue", "prune", "--older-than", "0s"])["runs"], json!([1]));
    assert_eq!(desk.json(&["runs", "list"]), json!([]));
    host.signal("TERM");
    assert_eq!(host.end(), Some(0));
    assert_eq!(count(&desk.path("out/trip.mp4")), 9, "the film is the user's");
    assert_eq!(desk.json(&["queue", "doctor"])["healthy"], true);
}

#[test]
fn shares_and_limits_of_tenants_are_set_and_shown() {
    let desk = Desk::new();
    submit(&desk, 2, &["--tenant", "alpha"]);
    desk.json(&["queue", "share", "alpha", "--weight", "300"]);
    desk.json(&["queue", "share", "alpha", "--pool", "cpu", "--max-running", "2"]);
    let lanes = desk.json(&["queue", "lanes"]);
    let lane = |pool: &str| lanes["lanes"].as_array().unwrap().iter().find(|l| l["pool"] == pool).unwrap().clone();
    assert_eq!((&lane("plan")["weight"], &lane("cpu")["max_running"]), (&json!(300), &json!(2)));
    desk.json(&["queue", "share", "alpha", "--pool", "cpu", "--max-running", "none"]);
    for bad in [&["queue", "share", "alpha"][..], &["queue", "share", "alpha", "--weight", "0"]] {
        desk.refused(bad, 2, "usage");
    }
    assert!(desk.ok(&["queue", "lanes"]).contains("100 %"));
}

#[test]
fn a_run_beyond_its_tenants_quota_is_refused_before_anything_of_it_is_stored() {
    let desk = Desk::new();
    desk.json(&["queue", "share", "small", "--new", "--max-runs", "0"]);
    let pictures = desk.pictures(2);
    let text = desk.refused(&quick("travel", &pictures, &["--tenant", "small"]), 2, "queue_quota");
    assert!(text.contains("its quota is 0") && text.contains("queue share small --max-runs"), "{text}");
    assert_eq!(desk.json(&["queue", "doctor"])["orphans"]["files"], 0);
    let stored = desk.path("travel-host.data/cas");
    assert!(!stored.exists() || std::fs::read_dir(stored).unwrap().next().is_none());
    desk.json(&quick("travel", &pictures, &[]));
}

#[test]
fn a_host_that_ends_says_what_it_leaves() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    desk.json(&quick("travel", &pictures, &["--name", "trip", "--output-dir", "out"]));
    desk.ok(&["queue", "pause", "--pool", "plan"]);
    assert_eq!(desk.json(&["run", "--until-idle"]), serde_json::json!({"event": "left", "tasks": 1}));
    desk.ok(&["queue", "resume", "--pool", "plan"]);
    assert_ne!(desk.json(&["run", "--until-idle"])["event"], "left");
}
