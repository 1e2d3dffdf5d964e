//! `artifacts gc`.

use super::queue::many;
use super::runs::answer;
use crate::args::{ArtifactsCommand, Global};
use crate::diagnostic::Diagnostic;
use crate::format::bytes;
use crate::workplace::Workplace;
use travel_engine::clean_up::{CleanUp, clean_up};
use travel_engine::queue::{Clock as _, SystemClock, Trial};

pub fn artifacts(global: &Global, command: &ArtifactsCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    let ArtifactsCommand::Gc { older_than, max_mb, dry_run } = command;
    let policy = match (older_than, max_mb) {
        (None, None) => place.config.clean_up.policy().unwrap_or_default(),
        (older_than, max_mb) => {
            CleanUp { older_than: *older_than, max_bytes: max_mb.map(|mb| mb.saturating_mul(1 << 20)) }
        }
    };
    if policy == CleanUp::default() {
        return Err(Diagnostic::refused("no_policy", "nothing says what is to be removed")
            .hint("--older-than 14d, or --max-mb 100000, or [clean-up] in travel-host.toml"));
    }
    let trial = if *dry_run { Trial::Dry } else { Trial::Real };
    let store = if *dry_run { place.store_to_read()? } else { place.store_to_change()? };
    let done = clean_up(&store, &place.artifacts()?, policy, SystemClock.now(), trial)?;
    let (files, size) =
        done.runs.iter().fold((0, 0), |(files, size), run| (files + run.expired.files, size + run.expired.bytes));
    let would = if *dry_run { "would expire" } else { "expired" };
    let (runs, files) = (many(done.runs.len() as u64, "run"), many(files, "file"));
    let mut text = format!("{files} of {runs} {would}, {}; {} of others stay", bytes(size), bytes(done.kept_bytes));
    if done.keep_all > 0 {
        text.push_str(&format!("; {} with --keep all passed over", many(done.keep_all, "run")));
    }
    let (gone, size) = (many(done.removed, "stored file"), bytes(done.removed_bytes));
    let removed = if *dry_run { "that nothing refers to would be removed" } else { "removed" };
    text.push_str(&format!("\n{gone} {removed}, {size}; files of the last hour wait for the next time"));
    answer(global, &done, &text)
}
