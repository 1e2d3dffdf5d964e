//! `migrate --from-legacy`: what the original's database tells of runs that are over.

use super::runs::answer;
use crate::args::{Global, MigrateCommand};
use crate::diagnostic::Diagnostic;
use crate::legacy::database::{COMPLETE, FAILED, LegacyDb, ORCHESTRATOR, QUEUED};
use crate::legacy::payload;
use crate::workplace::Workplace;
use serde_json::{Value, json};
use travel_engine::queue::limits::MAX_ROWS;
use travel_engine::queue::{Clock as _, PastRun, RunFilter, RunState, Store as _, SystemClock, TimestampMs};

pub fn migrate(global: &Global, args: &MigrateCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    let db = LegacyDb::open(&args.from_legacy)?;
    let copy = db.keep_copy()?;
    let store = place.store_to_submit()?;
    let (mut taken, mut known, mut unread) = (0u32, 0u32, Vec::new());
    for row in db.rows(&[COMPLETE, FAILED])? {
        if row.kind != ORCHESTRATOR {
            continue;
        }
        let params = match payload::parse(row.params.as_deref()) {
            Ok(params) => params,
            Err(why) => {
                unread.push(json!({ "row": row.id, "why": why }));
                continue;
            }
        };
        let name = payload::run_id(&params).unwrap_or_else(|| row.id.clone());
        let succeeded = row.status == COMPLETE;
        let own = RunFilter { name: Some(name.clone()), ..RunFilter::default() };
        // One that was served is here already, as the run that it is.
        let served = format!("legacy:{}", row.id);
        if store.runs(&own, MAX_ROWS)?.iter().any(|run| run.idem_key.as_deref() == Some(&served)) {
            known += 1;
            continue;
        }
        let [created, updated] = row.times.map(|at| at.map_or_else(|| SystemClock.now(), TimestampMs));
        let past = PastRun {
            tenant: args.tenant.clone(),
            name,
            idem_key: format!("legacy-past:{}", row.id),
            spec: json!({ "legacy": Value::Object(params) }),
            state: if succeeded { RunState::Succeeded } else { RunState::Failed },
            created_at: created,
            finished_at: updated.max(created),
            output: row.location.as_ref().filter(|_| succeeded).map(|film| json!({ "film": film })),
            error: row.location.filter(|_| !succeeded),
        };
        match store.record_past(past)?.created {
            true => taken += 1,
            false => known += 1,
        }
    }
    let queued = db.rows(&[QUEUED])?.len();
    let record = json!({ "taken": taken, "known": known, "unread": unread, "queued": queued, "copy": copy });
    let mut text = format!("{taken} runs taken over, {known} were known already; a copy is {}", copy.display());
    for row in &unread {
        text.push_str(&format!("\nnote: row {} is left out: {}", row["row"], row["why"]));
    }
    if queued > 0 {
        let path = args.from_legacy.display();
        text.push_str(&format!("\n{queued} rows are still queued: `travel-host run --legacy-db {path}` makes them"));
    }
    answer(global, &record, &text)
}
