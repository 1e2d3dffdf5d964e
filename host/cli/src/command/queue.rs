//! `queue …`: looking after it.

use super::names::{require_pool, require_tenant};
use super::runs::{age, answer};
use super::{print, print_json};
use crate::args::{AtMost, Global, QueueCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{bytes, table};
use crate::progress::tell;
use crate::stop::runtime;
use crate::workplace::Workplace;
use serde_json::json;
use std::time::Duration;
use travel_engine::artifacts::{Artifacts, Hash};
use travel_engine::clean_up::remove_orphans;
use travel_engine::queue::{
    ArtifactRef, Clock as _, Disk, Finding, HostLock, LaneChange, LaneSettings, PrunePolicy, Pruned, Repair, RunState,
    SqliteStore, Store, StoreStats, SystemClock, TimestampMs, Trial, disk,
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
        QueueCommand::Pause { pool, tenant } => pause(global, &place, pool, tenant.as_deref(), true),
        QueueCommand::Resume { pool, tenant } => pause(global, &place, pool, tenant.as_deref(), false),
        QueueCommand::Share { tenant, new, weight, max_running, max_runs, pool } => {
            let store = if *new { place.store_to_submit()? } else { place.store_to_change()? };
            if !new {
                require_tenant(&store, tenant, ", or --new for one that has not submitted anything yet")?;
            }
            pool.as_deref().map_or(Ok(()), |pool| require_pool(&place, &store, pool))?;
            share(global, &store, tenant, *weight, pool.as_deref().zip(*max_running), *max_runs)
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
            let (copy, data) = (file.display(), place.data_dir());
            let sentence =
                format!("{copy}: the whole database, {}; stored files stay in {}", bytes(length), data.display());
            answer(global, &record, &sentence)
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

fn pause(global: &Global, place: &Workplace, pool: &str, tenant: Option<&str>, paused: bool) -> Result<u8, Diagnostic> {
    let store = place.store_to_change()?;
    require_pool(place, &store, pool)?;
    tenant.map_or(Ok(()), |tenant| require_tenant(&store, tenant, ""))?;
    let so = if paused { "paused; what runs goes on" } else { "open" };
    let record = json!({ "pool": pool, "tenant": tenant, "paused": paused });
    let Some(tenant) = tenant else {
        store.set_pool_paused(pool, paused)?;
        return answer(global, &record, &format!("pool {pool} is {so}"));
    };
    let change = LaneChange::Paused(paused);
    store.set_lane(LaneSettings { pool: pool.to_owned(), tenant: tenant.to_owned(), change })?;
    answer(global, &record, &format!("tenant {tenant} in pool {pool} is {so}"))
}

fn share(
    global: &Global,
    store: &dyn Store,
    tenant: &str,
    weight: Option<u32>,
    limit: Option<(&str, AtMost)>,
    max_runs: Option<AtMost>,
) -> Result<u8, Diagnostic> {
    let mut said = Vec::new();
    if let Some(weight) = weight {
        store.set_weight(tenant, weight)?;
        said.push(format!("weighs {weight}"));
    }
    if let Some((pool, AtMost(max_running))) = limit {
        let change = LaneChange::MaxRunning(max_running);
        store.set_lane(LaneSettings { pool: pool.to_owned(), tenant: tenant.to_owned(), change })?;
        let most = max_running.map_or_else(|| "any number of tasks".to_owned(), |n| format!("at most {n} tasks"));
        said.push(format!("runs {most} at once in pool {pool}"));
    }
    if let Some(AtMost(max_runs)) = max_runs {
        store.set_max_runs(tenant, max_runs)?;
        let most = max_runs.map_or_else(|| "any number of".to_owned(), |n| format!("at most {n}"));
        said.push(format!("may have {most} runs open"));
    }
    let record = json!({
        "tenant": tenant, "weight": weight, "pool": limit.map(|(pool, _)| pool), "max_running": limit.and_then(|(_, m)| m.0),
        "max_runs": max_runs.and_then(|m| m.0),
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
#[derive(Default, serde::Serialize)]
struct Orphans {
    files: u64,
    bytes: u64,
    removed: bool,
}

/// Every stored file that rows refer to.
fn references(store: &dyn Store) -> Result<Vec<ArtifactRef>, Diagnostic> {
    let mut all: Vec<ArtifactRef> = Vec::new();
    loop {
        let page = store.artifact_refs(all.last().map(|last| last.hash), 10_000)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

fn orphans(store: &dyn Store, artifacts: &Artifacts, trial: Trial) -> Result<Orphans, Diagnostic> {
    let (files, bytes) = remove_orphans(store, artifacts, trial)?;
    Ok(Orphans { files, bytes, removed: trial == Trial::Real && files > 0 })
}

#[derive(serde::Serialize)]
struct Health {
    healthy: bool,
    #[serde(flatten)]
    stats: StoreStats,
    disk: Disk,
    findings: Vec<Finding>,
    orphans: Orphans,
    /// Stored files that rows refer to and that are not there.
    missing: Vec<ArtifactRef>,
    repairs: Vec<Repair>,
    dry_run: bool,
}

/// Missing files that are named; the rest is counted.
const SHOWN_MISSING: usize = 5;

/// `1 run`, `2 runs`.
pub fn many(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Less room than this is worth a warning: a run of ten segments leaves about as much behind.
const LITTLE_ROOM: u64 = 2 << 30;

fn doctor(global: &Global, place: &Workplace, trial: Option<Trial>) -> Result<u8, Diagnostic> {
    let repairs = match trial {
        None => Vec::new(),
        Some(Trial::Dry) => place.store_to_read()?.repair(Trial::Dry)?,
        Some(Trial::Real) => place.store_to_change()?.repair(Trial::Real)?,
    };
    let store: SqliteStore = place.store_to_read()?;
    let findings = store.check()?;
    let references = references(&store)?;
    // A command that looks makes no folder.
    let (orphans, missing) = if place.data_dir().is_dir() {
        let artifacts = place.artifacts()?;
        // What a damaged database does not refer to may be all that is left of what it has lost.
        let orphans = orphans(&store, &artifacts, trial.filter(|_| findings.is_empty()).unwrap_or(Trial::Dry))?;
        let is_missing = |file: &ArtifactRef| artifacts.path(Hash::from_bytes(file.hash.0)).is_err();
        (orphans, references.into_iter().filter(is_missing).collect())
    } else {
        (Orphans::default(), references)
    };
    let disk = disk::beneath(&place.db)?;
    let health = Health {
        healthy: findings.is_empty() && missing.is_empty() && !disk.network,
        stats: store.stats()?,
        disk,
        findings,
        orphans,
        missing,
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
    if !health.findings.is_empty() && trial.is_none() {
        tell("try: travel-host queue doctor --repair --dry-run");
    }
    if !health.missing.is_empty() {
        tell(&format!("try: put back the folder {}, as it was kept with the database", place.data_dir().display()));
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
        let (runs, events) = (many(stats.runs, "run"), many(stats.events, "event"));
        writeln!(
            f,
            "{runs}, {events}; tasks: {}",
            if tasks.is_empty() { "none".to_owned() } else { tasks.join(", ") }
        )?;
        let would = if self.dry_run { "would be " } else { "" };
        for repair in &self.repairs {
            writeln!(f, "repair: {} {would}mended by the rule {}", many(repair.rows.into(), "row"), repair.rule)?;
        }
        match (self.orphans.files, self.orphans.removed) {
            (0, _) => {}
            (n, removed) => {
                let (files, size) = (many(n, "stored file"), bytes(self.orphans.bytes));
                let then = if removed { "removed" } else { "--repair removes what it finds so" };
                writeln!(f, "{files} that nothing refers to, {size}: {then}")?;
            }
        }
        for file in self.missing.iter().take(SHOWN_MISSING) {
            let uses = many(file.uses.into(), "place");
            writeln!(
                f,
                "missing: stored file {} of {}, which {uses} of the queue refer to",
                file.hash,
                bytes(file.bytes)
            )?;
        }
        if let more @ 1.. = self.missing.len().saturating_sub(SHOWN_MISSING) {
            writeln!(f, "missing: {} more", many(more as u64, "stored file"))?;
        }
        for finding in &self.findings {
            writeln!(f, "broken: {}: {}", finding.rule, finding.detail)?;
        }
        match (self.findings.len(), self.missing.len()) {
            (0, 0) => f.write_str("every rule holds, and every stored file is there"),
            (0, missing) => write!(f, "every rule holds; {} missing", many(missing as u64, "stored file")),
            (broken, 0) => write!(f, "{}", many(broken as u64, "broken place")),
            (broken, missing) => {
                write!(f, "{}, {} missing", many(broken as u64, "broken place"), many(missing as u64, "stored file"))
            }
        }
    }
}

/// The longest that a host which waits for the database sleeps between two looks whether it is free (SQLite's busy handler).
const HOST_TURN: Duration = Duration::from_millis(100);

fn prune(global: &Global, place: &Workplace, policy: &PrunePolicy, dry_run: bool) -> Result<u8, Diagnostic> {
    let (store, trial) = match dry_run {
        true => (place.store_to_read()?, Trial::Dry),
        false => (place.store_to_change()?, Trial::Real),
    };
    policy.tenant.as_deref().map_or(Ok(()), |tenant| require_tenant(&store, tenant, ""))?;
    let waiter = runtime()?;
    let mut changes = store.subscribe();
    let mut all = Pruned::default();
    loop {
        let pruned = store.prune(policy, trial)?;
        all.runs.extend(pruned.runs);
        all.tasks += pruned.tasks;
        all.events += pruned.events;
        all.artifacts += pruned.artifacts;
        if !pruned.more {
            break;
        }
        if HostLock::is_held(&place.db)? {
            changes.mark_unchanged();
            // Over when the host has had its turn, or wanted none.
            let _ = waiter.block_on(async { tokio::time::timeout(HOST_TURN, changes.changed()).await });
        }
    }
    let files = if dry_run || !place.data_dir().is_dir() {
        Orphans::default()
    } else {
        orphans(&store, &place.artifacts()?, Trial::Real)?
    };
    let record = json!({
        "dry_run": dry_run, "older_than": policy.finished_before, "runs": all.runs, "tasks": all.tasks, "events": all.events,
        "artifacts": all.artifacts, "files_removed": files.files, "bytes_freed": files.bytes,
    });
    let what = format!(
        "{} with {} that ended more than {}",
        many(all.runs.len() as u64, "run"),
        many(all.tasks, "task"),
        age(policy.finished_before)
    );
    answer(
        global,
        &record,
        &match dry_run {
            true => format!("would forget {what}"),
            false => {
                format!("forgot {what}; removed {}, {}", many(files.files, "stored file"), bytes(files.bytes))
            }
        },
    )
}
