//! What lies beside every film: how it was made, so that the same film can be made again.

use crate::error::EngineError;
use crate::seams::SeamMade;
use crate::spec::{Output, RunSpec};
use crate::submit::{check_output, check_untaken, slot_artifact};
use crate::task::{ORCHESTRATOR, POOL_PLAN, SEGMENT, SegmentInput, SegmentOutput, parse, slot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use travel::wishes::{LegWish, Wishes};
use travel::{Dims, Leg, Rate};
use travel_artifacts::{Artifacts, Hash, Stored};
use travel_generators::{GeneratorError, Generators};
use travel_queue::{NewRun, NewTask, RunId, Store, Submitted, TaskState};
use travel_sandbox::Registry;

/// The version of [`Manifest`] that this program writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

/// How a film was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub manifest: u32,
    /// The program and its version.
    pub made_by: String,
    /// What people call the film.
    pub name: String,
    /// Number of the run.
    pub run: RunId,
    /// What came of it.
    pub film: FilmMade,
    /// Who rendered.
    pub generator: GeneratorMade,
    /// All that was asked: inputs and plugins by their hashes (BLAKE3), every parameter.
    pub spec: RunSpec,
    /// Where each segment stands in the film.
    pub timeline: Value,
    /// In film order.
    pub segments: Vec<SegmentMade>,
}

/// The film's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilmMade {
    /// Its name.
    pub file: String,
    /// BLAKE3 of its bytes.
    pub hash: Hash,
    /// Its length, bytes.
    pub bytes: u64,
    /// Decoded frames.
    pub frames: u32,
    /// Decoded size, pixels.
    pub dims: Dims,
    /// Frames a second.
    pub rate: Rate,
    /// How well its segments meet.
    #[serde(default)]
    pub seams: Vec<SeamMade>,
    /// How it was made larger, where that is not as the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Value>,
    /// Milliseconds of each phase of its last task.
    pub phases_ms: BTreeMap<String, f64>,
}

/// A generator, as it described itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorMade {
    /// Its name on the host.
    pub name: String,
    /// Of its program.
    pub version: String,
    /// Its notice, such as a licence's.
    pub notice: Option<String>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentMade {
    /// Its task.
    pub key: String,
    /// For its generator's randomness.
    pub seed: u64,
    /// BLAKE3 of its clip.
    pub clip: Option<Hash>,
    /// Who rendered it, and why, where that was not as the run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Value>,
    /// Milliseconds of each phase.
    pub phases_ms: BTreeMap<String, f64>,
}

impl Manifest {
    /// Of a run whose film has just been made.
    pub(crate) fn of(
        run: RunId,
        name: &str,
        spec: &RunSpec,
        film: FilmMade,
        store: &dyn Store,
        generators: &Generators,
    ) -> Result<Self, EngineError> {
        let (mut timeline, mut segments, mut legs) = (Value::Null, Vec::new(), BTreeMap::new());
        for task in store.tasks(run)? {
            let of_run = [ORCHESTRATOR, SEGMENT].contains(&task.kind.as_str());
            if !of_run || task.state != TaskState::Succeeded {
                continue;
            }
            let detail = store.task(task.id)?;
            let output = detail.output.unwrap_or_default();
            if task.kind == ORCHESTRATOR {
                timeline = output.get("timeline").cloned().unwrap_or_default();
                continue;
            }
            let input: SegmentInput = parse("segment", &detail.input).map_err(EngineError::Stored)?;
            legs.insert(input.segment.place.index, input.segment.leg.clone());
            let made: SegmentOutput = parse("segment's output", &output).map_err(EngineError::Stored)?;
            let clip = detail.made.iter().find(|file| file.slot == slot::CLIP);
            segments.push(SegmentMade {
                key: task.name,
                seed: input.segment.leg.seed,
                clip: clip.map(|file| Hash::from_bytes(file.hash.0)),
                course: made.course.and_then(|course| serde_json::to_value(course).ok()),
                phases_ms: made.phases_ms,
            });
        }
        let able = generators.by_name(&spec.generator).and_then(|generator| generator.describe());
        let (version, notice) = able.map_or_else(|_| (String::new(), None), |able| (able.version, able.notice));
        Ok(Self {
            manifest: MANIFEST_VERSION,
            made_by: format!("travel-host {}", env!("CARGO_PKG_VERSION")),
            name: name.to_owned(),
            run,
            film,
            generator: GeneratorMade { name: spec.generator.clone(), version, notice },
            spec: RunSpec { wishes: as_made(&spec.wishes, &legs, spec.continued.is_some()), ..spec.clone() },
            timeline,
            segments,
        })
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`EngineError::NoManifest`] for a file that cannot be read, or is none of this version.
    pub fn read(path: &Path) -> Result<Self, EngineError> {
        let refuse = |reason: String| EngineError::NoManifest { path: path.to_owned(), reason };
        let text = std::fs::read(path).map_err(|e| refuse(e.to_string()))?;
        let value: Value = serde_json::from_slice(&text).map_err(|e| refuse(e.to_string()))?;
        match value.get("manifest").and_then(Value::as_u64) {
            Some(version) if version == u64::from(MANIFEST_VERSION) => {}
            Some(version) => {
                return Err(refuse(format!("it has version {version}; this program reads {MANIFEST_VERSION}")));
            }
            None => return Err(refuse("it has no key `manifest`".to_owned())),
        }
        Self::deserialize(&value).map_err(|e| refuse(e.to_string()))
    }

    /// Where the manifest of a film lies: `trip.mp4` has `trip.manifest.json`.
    #[must_use]
    pub fn beside(film: &Path) -> PathBuf {
        film.with_extension("manifest.json")
    }
}

/// The wishes of which these legs come: those that were done again have what they were done with.
fn as_made(wishes: &Wishes, legs: &BTreeMap<u32, Leg>, continued: bool) -> Wishes {
    let mut wishes = wishes.clone();
    let count = u32::try_from(legs.len()).unwrap_or(u32::MAX);
    // An orchestrator may have as many segments as it likes; who makes other ones of legs makes them again.
    let Ok((asked, _)) = wishes.legs(count, continued) else { return wishes };
    for ((index, made), asked) in legs.iter().zip(&asked) {
        let changed = LegWish::between(asked, made);
        if changed != LegWish::default() {
            wishes.each.insert(*index, changed.over(wishes.each.get(index)));
        }
    }
    wishes
}

/// Where a film of a manifest is to go, and what it is called.
#[derive(Debug, Clone)]
pub struct Again {
    /// Who owns the run.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// Where the film goes.
    pub output: Output,
}

/// Submits the run of a manifest once more: the same inputs, plugins, parameters and seeds, and so the same film as far as its
/// generator is deterministic. Inputs and plugins are taken from the store, else from where they came from, if they are
/// still the same.
///
/// # Errors
/// [`EngineError::InputsMissing`] with all of them; a generator that is not there or refuses the settings; an output that is.
pub fn submit_again(
    manifest: Manifest,
    again: Again,
    store: &dyn Store,
    artifacts: &Artifacts,
    registry: &Registry,
    generators: &Generators,
) -> Result<Submitted, EngineError> {
    let mut spec = manifest.spec;
    let generator = generators.by_name(&spec.generator)?;
    if !generator.describe()?.renders {
        return Err(GeneratorError::OnlyAnUpscaler { generator: spec.generator }.into());
    }
    let settings = serde_json::from_str(&spec.wishes.settings).map_err(|e| EngineError::Stored(e.to_string()))?;
    generator.check_settings(&settings)?;
    if let Some(upscale) = &spec.upscale {
        generators.by_name(&upscale.generator)?.check_settings(&upscale.settings)?;
    }
    check_output(&again.output, |file| file.is_absolute().then(|| file.to_owned()))?;
    check_untaken(store, &again.name, None, &again.output)?;
    store.check_quota(&again.tenant)?;

    let mut task = NewTask::new("orchestrator", ORCHESTRATOR, POOL_PLAN, json!({}));
    let mut missing = Vec::new();
    for (i, still) in spec.stills.iter().enumerate() {
        match found(artifacts, still.hash, still.path.as_deref())? {
            Some(stored) => task = task.artifact(slot_artifact(&slot::still(i), stored, "image")),
            None => missing.push(format!("picture {} ({})", still.label, still.hash)),
        }
    }
    if let Some(clip) = &spec.continued {
        match found(artifacts, clip.hash, clip.path.as_deref())? {
            Some(stored) => task = task.artifact(slot_artifact(slot::CONTINUED, stored, "video")),
            None => missing.push(format!("video {} ({})", clip.label, clip.hash)),
        }
    }
    if let Some(track) = &spec.sound.track {
        match found(artifacts, track.hash, track.path.as_deref())? {
            Some(stored) => task = task.artifact(slot_artifact(slot::AUDIO, stored, "audio")),
            None => missing.push(format!("sound {} ({})", track.label, track.hash)),
        }
    }
    for (role, plugin) in &spec.plugins {
        let own = registry.plugins().find(|own| own.digest().as_bytes() == plugin.digest.as_bytes());
        let stored = match own {
            Some(own) => Some(artifacts.put_bytes(own.wasm())?),
            None => found(artifacts, plugin.digest, None)?,
        };
        match stored {
            Some(stored) => task = task.artifact(slot_artifact(&slot::plugin(*role), stored, "application/wasm")),
            None => missing.push(format!(
                "plugin {} {} for role {role} ({})",
                plugin.manifest.id, plugin.manifest.version, plugin.digest
            )),
        }
    }
    if !missing.is_empty() {
        return Err(EngineError::InputsMissing { what: missing.join(", ") });
    }
    spec.output = again.output;
    let spec = serde_json::to_value(&spec).map_err(|e| EngineError::Stored(e.to_string()))?;
    Ok(store.submit(NewRun::new(again.tenant, again.name, spec).task(task))?)
}

/// A file by its hash: stored here, or where it came from.
fn found(artifacts: &Artifacts, hash: Hash, came_from: Option<&Path>) -> Result<Option<Stored>, EngineError> {
    if let Ok(path) = artifacts.verified_path(hash) {
        let bytes = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        return Ok(Some(Stored { hash, bytes }));
    }
    let Some(path) = came_from.filter(|path| path.is_file()) else { return Ok(None) };
    let stored = artifacts.import(path)?;
    Ok((stored.hash == hash).then_some(stored))
}
