//! What a task does, by kind.
//!
//! A handler gets a claimed task and returns what its success is to leave behind; it reads the queue, and never writes. Files
//! that it made are stored before it returns, so that the row that names them comes after them.

mod deliver;
mod encode;
mod film;
mod orchestrator;
mod segment;
mod stitch;
mod upscale;

use crate::circuit;
use crate::control::Control;
use crate::error::EngineError;
use crate::spec::RunSpec;
use crate::submit::slot_artifact;
use crate::task::{ENCODE, ORCHESTRATOR, SEGMENT, STITCH, UPSCALE, slot};
use crate::workshop::Workshop;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use travel::Role;
use travel_artifacts::Hash;
use travel_generators::Policy;
use travel_queue::{ArtifactHash, Claimed, NewEvent, NewTask, SlotArtifact, Store, Take};
use travel_sandbox::{CallContext, Cancel, Plugin};

/// What a success leaves behind.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) output: Value,
    pub(crate) made: Vec<SlotArtifact>,
    pub(crate) emitted: Vec<NewTask>,
    pub(crate) events: Vec<NewEvent>,
    pub(crate) run_output: Option<Value>,
    pub(crate) memo: Option<Hash>,
}

/// A claimed task in its handler's hands.
pub(crate) struct Job<'a> {
    pub(crate) claimed: &'a Claimed,
    pub(crate) spec: RunSpec,
    pub(crate) store: &'a dyn Store,
    pub(crate) shop: &'a Workshop,
    pub(crate) control: &'a Arc<Control>,
}

/// Does a task.
///
/// # Errors
/// Whatever its handler meets.
pub(crate) fn handle(
    claimed: &Claimed,
    store: &dyn Store,
    shop: &Workshop,
    control: &Arc<Control>,
) -> Result<Done, EngineError> {
    let spec = RunSpec::parse(&claimed.spec).map_err(EngineError::Stored)?;
    let job = Job { claimed, spec, store, shop, control };
    // A segment is prepared before its place is free; nothing else is.
    if claimed.kind != SEGMENT {
        control.await_place();
        job.go_on()?;
    }
    match claimed.kind.as_str() {
        ORCHESTRATOR => orchestrator::expand(&job),
        SEGMENT => segment::generate(&job),
        ENCODE => encode::encode(&job),
        STITCH => stitch::join(&job),
        UPSCALE => upscale::enlarge(&job),
        other => Err(EngineError::UnknownKind(other.to_owned())),
    }
}

impl Job<'_> {
    /// For calls to plugins: named for logs, ended when the task has to stop.
    pub(crate) fn call(&self) -> CallContext {
        let control = Arc::clone(self.control);
        CallContext::new(self.claimed.run_name.as_str(), self.claimed.name.as_str())
            .cancelled_by(Cancel::when(move || control.stopped().is_some()))
    }

    /// The plugin that answers a role of this run.
    pub(crate) fn plugin(&self, role: Role) -> Result<Arc<Plugin>, EngineError> {
        self.shop.plugin(self.spec.plugins.get(&role).ok_or_else(|| missing("plugin for", role))?)
    }

    /// Where a run's still lies.
    pub(crate) fn still(&self, index: u32) -> Result<PathBuf, EngineError> {
        let still = self.spec.stills.get(index as usize).ok_or_else(|| missing("still", index))?;
        Ok(self.shop.artifacts.verified_path(still.hash)?)
    }

    /// A file that a parent made.
    pub(crate) fn made_by(&self, task: &str, slot: &str) -> Result<PathBuf, EngineError> {
        Ok(self.shop.artifacts.path(self.hash_by(task, slot)?)?)
    }

    /// Its hash.
    pub(crate) fn hash_by(&self, task: &str, slot: &str) -> Result<Hash, EngineError> {
        let parent = self.claimed.parents.iter().find(|p| p.name == task);
        let file = parent.and_then(|p| p.artifacts.iter().find(|a| a.slot == slot));
        let file =
            file.ok_or_else(|| EngineError::Stored(format!("task `{task}` left no file in its slot `{slot}`")))?;
        Ok(Hash::from_bytes(file.hash.0))
    }

    /// Whether the generator is given tasks at present.
    fn admit(&self, generator: &str, policy: &Policy) -> Result<(), EngineError> {
        let (admitted, change) =
            self.shop.circuits.admit(generator, &policy.circuit, self.claimed.task, Instant::now());
        if let Some(state) = change {
            circuit::tell(self.control.observer(), generator.to_owned(), state, None);
        }
        admitted.map_err(|wait| EngineError::CircuitOpen { generator: generator.to_owned(), wait })
    }

    /// Stores what the generator said on standard error, if it said anything; a log that cannot be stored is no reason to
    /// fail.
    fn keep_log(&self, log: &Path) {
        if std::fs::metadata(log).map_or(0, |file| file.len()) == 0 {
            return;
        }
        match self.shop.artifacts.put(log) {
            Ok(stored) => self.control.keep(slot_artifact(&slot::log(self.claimed.token), stored, "text")),
            Err(error) => tracing::warn!(task = self.claimed.name, %error, "the generator's log is not kept"),
        }
    }

    /// What this tenant's task gave once from inputs of that hash, with the files of these slots, if they are still there;
    /// nothing for a run that is to be made afresh.
    pub(crate) fn recalled(&self, memo: Hash, slots: &[&str]) -> Result<Option<Take>, EngineError> {
        if self.spec.fresh {
            return Ok(None);
        }
        let take = self.store.remembered(&self.claimed.tenant, ArtifactHash(*memo.as_bytes()))?;
        let Some(mut take) = take else { return Ok(None) };
        take.made.retain(|file| slots.contains(&file.slot.as_str()));
        // Made young first, so that no clean-up takes it away before it is referred to.
        let is_there = |file: &SlotArtifact| {
            let (artifacts, hash) = (&self.shop.artifacts, Hash::from_bytes(file.hash.0));
            artifacts.keep_young(hash).is_ok() && artifacts.verified_path(hash).is_ok()
        };
        Ok(take.made.iter().all(is_there).then_some(take))
    }

    /// Ends a handler that has to stop.
    pub(crate) fn go_on(&self) -> Result<(), EngineError> {
        if self.control.stopped().is_some() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

pub(crate) fn missing(what: &str, which: impl std::fmt::Display) -> EngineError {
    EngineError::Stored(format!("the run has no {what} {which}"))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<Value, EngineError> {
    serde_json::to_value(value).map_err(|e| EngineError::Stored(e.to_string()))
}
