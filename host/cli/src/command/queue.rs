//! `queue …`: looking after it.

use super::runs::{age, answer};
use super::{print, print_json};
use crate::args::{AtMost, Global, QueueCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{bytes, table};
use crate::progress::tell;
use crate::workplace::Workplace;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use travel_engine::artifacts::{Artifacts, Hash};
use travel_engine::queue::{
    ArtifactHash, Clock as _, Disk, Finding, LaneSettings, PrunePolicy, Pruned, Repair, RunState, SqliteStore, Store,
    StoreStats, SystemClock, TimestampMs, Trial, disk,
};

pub fn queue(global: &Global, command: &QueueCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    match command {
        QueueCommand::Doctor { repair, dry_run } => {
            let trial = match (repair, dry_run) {
                (false, _) => None,
                (true, true) => Some(Trial::Dry),
                (true, false) => Some(Trial::Real),
            };
            doctor(global, &place, trial)
        }
        QueueCommand::Lanes => lanes(global, &place.store_to_read()?),
        QueueCommand::Pause { pool, tenant } => pause(global, &place.store_to_change()?, pool, tenant.as_deref(), true),
        QueueCommand::Resume { pool, tenant } => {
            pause(global, &place.store_to_change()?, pool, tenant.as_deref(), false)
        }
        QueueCommand::Share { tenant, weight, max_running, pool } => {
            share(global, &place.store_to_change()?, tenant, *weight, pool.as_deref().zip(*max_running))
        }
        QueueCommand::Prune { older_than, keep, state, tenant, dry_run } => {
            let policy = PrunePolicy {
                finished_before: before(SystemClock.now(), *older_than),
                keep: *keep,
                states: state.iter().map(|text| ended(text)).collect::<Result<_, _>>()?,
                tenant: tenant.clone(),
            };
            prune(global, &place, &policy, *dry_run)
        }
        QueueCommand::Backup { file } => {
            place.store_to_read()?.backup(file)?;
            let length = std::fs::metadata(file).map_or(0, |f| f.len());
            let record = json!({ "backup": file, "bytes": length });
            answer(global, &record, &format!("{}: {}", file.display(), bytes(length)))
        }
    }
}

fn before(now: TimestampMs, age: Duration) -> TimestampMs {
    TimestampMs(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
}

fn ended(text: &str) -> Result<RunState, Diagnostic> {
    RunState::parse(text).filter(|state| *state != RunState::Active).ok_or_else(|| {
        Diagnostic::refused("unknown_state", format!("`{text}` is not a state in which a run ends"))
            .hint("succeeded, failed or cancelled")
    })
}

fn pause(global: &Global, store: &dyn Store, pool: &str, tenant: Option<&str>, paused: bool) -> Result<u8, Diagnostic> {
    let so = if paused { "paused; what runs goes on" } else { "open" };
    let record = json!({ "pool": pool, "tenant": tenant, "paused": paused });
    let Some(tenant) = tenant else {
        store.set_pool_paused(pool, paused)?;
        return answer(global, &record, &format!("pool {pool} is {so}"));
    };
    let lane = store.lanes()?.into_iter().find(|lane| lane.pool == pool && lane.tenant == tenant);
    let max_running = lane.and_then(|lane| lane.max_running);
    store.set_lane(LaneSettings { pool: pool.to_owned(), tenant: tenant.to_owned(), max_running, paused })?;
    answer(global, &record, &format!("tenant {tenant} in pool {pool} is {so}"))
}

fn share(
    global: &Global,
    store: &dyn Store,
    tenant: &str,
    weight: Option<u32>,
    limit: Option<(&str, AtMost)>,
) -> Result<u8, Diagnostic> {
    let mut said = Vec::new();
    if let Some(weight) = weight {
        store.set_weight(tenant, weight)?;
        said.push(format!("weighs {weight}"));
    }
    if let Some((pool, AtMost(max_running))) = limit {
        let lane = store.lanes()?.into_iter().find(|lane| lane.pool == pool && lane.tenant == tenant);
        let paused = lane.is_some_and(|lane| lane.paused);
        store.set_lane(LaneSettings { pool: pool.to_owned(), tenant: tenant.to_owned(), max_running, paused })?;
        let most = max_running.map_or_else(|| "any number of tasks".to_owned(), |n| format!("at most {n} tasks"));
        said.push(format!("runs {most} at once in pool {pool}"));
    }
    let record = json!({
        "tenant": tenant, "weight": weight, "pool": limit.map(|(pool, _)| pool), "max_running": limit.and_then(|(_, m)| m.0),
    });
    answer(global, &record, &format!("tenant {tenant} {}", said.join(" and ")))
}

fn lanes(global: &Global, store: &dyn Store) -> Result<u8, Diagnostic> {
    let (lanes, closed) = (store.lanes()?, store.paused_pools()?);
    if global.json {
        return print_json(&json!({ "lanes": lanes, "paused_pools": closed }));
    }
    if lanes.is_empty() && closed.is_empty() {
        return print("no lanes: nothing was submitted yet");
    }
    let total = |pool: &str| -> u64 {
        lanes.iter().filter(|l| l.pool == pool && l.ready + l.running > 0).map(|l| u64::from(l.weight)).sum()
    };
    let rows: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            let share = match lane.ready + lane.running {
                0 => String::new(),
                _ => format!("{} %", u64::from(lane.weight) * 100 / total(&lane.pool).max(1)),
            };
            let state = if closed.contains(&lane.pool) {
                "pool paused"
            } else if lane.paused {
                "paused"
            } else {
                ""
            };
            let most = lane.max_running.map_or_else(String::new, |n| n.to_string());
            let counts = [lane.ready.to_string(), lane.running.to_string(), most, lane.weight.to_string(), share];
            [&[lane.pool.clone(), lane.tenant.clone()][..], &counts, &[state.to_owned()]].concat()
        })
        .collect();
    print(&table(&["pool", "tenant", "ready", "running", "at most", "weight", "share", "about"], &rows))
}

/// How many stored files lie there that no task refers to, and what was done about it.
#[derive(serde::Serialize)]
struct Orphans {
    files: usize,
    bytes: u64,
    removed: bool,
}

/// Stored files that no task refers to, but for those so young that a submission may be about to name them.
fn orphans(artifacts: &Artifacts, store: &dyn Store, remove: bool) -> Result<Orphans, Diagnostic> {
    let mut known = HashSet::new();
    let mut after: Option<ArtifactHash> = None;
    loop {
        let page = store.artifact_refs(after, 10_000)?;
        let Some(last) = page.last() else { break };
        after = Some(last.hash);
        known.extend(page.iter().map(|r| Hash::from_bytes(r.hash.0)));
    }
    let found = artifacts.unreferenced(|hash| known.contains(hash))?;
    if remove {
        for (hash, _) in &found {
            artifacts.remove(*hash)?;
        }
    }
    Ok(Orphans { files: found.len(), bytes: found.iter().map(|(_, n)| n).sum(), removed: remove && !found.is_empty() })
}

#[derive(serde::Serialize)]
struct Health {
    healthy: bool,
    #[serde(flatten)]
    stats: StoreStats,
    disk: Disk,
    findings: Vec<Finding>,
    orphans: Orphans,
    repairs: Vec<Repair>,
    dry_run: bool,
}

/// Less room than this is worth a warning: a run of ten segments leaves about as much behind.
const LITTLE_ROOM: u64 = 2 << 30;

fn doctor(global: &Global, place: &Workplace, trial: Option<Trial>) -> Result<u8, Diagnostic> {
    let repairs = match trial {
        None => Vec::new(),
        Some(trial) => place.store_to_change()?.repair(trial)?,
    };
    let store: SqliteStore = place.store_to_read()?;
    let findings = store.check()?;
    let data = place.data_dir();
    let orphans = if data.is_dir() {
        orphans(&place.artifacts()?, &store, trial == Some(Trial::Real))?
    } else {
        Orphans { files: 0, bytes: 0, removed: false }
    };
    let disk = disk::beneath(&place.db)?;
    let health = Health {
        healthy: findings.is_empty() && !disk.network,
        stats: store.stats()?,
        disk,
        findings,
        orphans,
        repairs,
        dry_run: trial == Some(Trial::Dry),
    };
    let code = u8::from(!health.healthy);
    if global.json {
        print_json(&health)?;
        return Ok(code);
    }
    print(&health.to_string())?;
    if health.disk.free_bytes < LITTLE_ROOM {
        tell(&format!("warning: only {} are free on its disk", bytes(health.disk.free_bytes)));
    }
    if !health.healthy && trial.is_none() {
        tell("try: travel-host queue doctor --repair --dry-run");
    }
    Ok(code)
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stats = &self.stats;
        let tasks: Vec<String> = stats.tasks.iter().map(|(state, n)| format!("{n} {state}")).collect();
        writeln!(f, "schema {}, SQLite {}", stats.schema, stats.sqlite)?;
        writeln!(
            f,
            "file {}, of which free {}; log {}",
            bytes(stats.bytes),
            bytes(stats.free_bytes),
            bytes(stats.wal_bytes)
        )?;
        writeln!(f, "disk {}, {} free", self.disk.kind, bytes(self.disk.free_bytes))?;
        if self.disk.network {
            writeln!(
                f,
                "it is shared over a network, where two machines can damage the queue: move it to a disk of its host"
            )?;
        }
        writeln!(f, "{} runs, {} events; tasks: {}", stats.runs, stats.events, tasks.join(", "))?;
        let would = if self.dry_run { "would be " } else { "" };
        for repair in &self.repairs {
            writeln!(f, "repair: {} rows {would}mended by the rule {}", repair.rows, repair.rule)?;
        }
        match (self.orphans.files, self.orphans.removed) {
            (0, _) => {}
            (n, true) => writeln!(f, "removed {n} stored files that nothing refers to, {}", bytes(self.orphans.bytes))?,
            (n, false) => {
                writeln!(
                    f,
                    "{n} stored files that nothing refers to, {}; --repair removes them",
                    bytes(self.orphans.bytes)
                )?;
            }
        }
        for finding in &self.findings {
            writeln!(f, "broken: {}: {}", finding.rule, finding.detail)?;
        }
        if self.healthy {
            f.write_str("every rule holds")
        } else {
            write!(f, "{} rules are broken", self.findings.len())
        }
    }
}

fn prune(global: &Global, place: &Workplace, policy: &PrunePolicy, dry_run: bool) -> Result<u8, Diagnostic> {
    let store = place.store_to_change()?;
    let mut all = Pruned::default();
    loop {
        let pruned = store.prune(policy, if dry_run { Trial::Dry } else { Trial::Real })?;
        let more = !pruned.runs.is_empty() && !dry_run;
        all.runs.extend(pruned.runs);
        all.tasks += pruned.tasks;
        all.events += pruned.events;
        all.artifacts += pruned.artifacts;
        if !more {
            break;
        }
    }
    let files = if dry_run || !place.data_dir().is_dir() {
        Orphans { files: 0, bytes: 0, removed: false }
    } else {
        orphans(&place.artifacts()?, &store, true)?
    };
    let record = json!({
        "dry_run": dry_run, "older_than": policy.finished_before, "runs": all.runs, "tasks": all.tasks, "events": all.events,
        "artifacts": all.artifacts, "files_removed": files.files, "bytes_freed": files.bytes,
    });
    let what = format!(
        "{} runs with {} tasks that ended more than {}",
        all.runs.len(),
        all.tasks,
        age(policy.finished_before)
    );
    answer(
        global,
        &record,
        &match dry_run {
            true => format!("would forget {what}"),
            false => format!("forgot {what}; removed {} stored files, {}", files.files, bytes(files.bytes)),
        },
    )
}
