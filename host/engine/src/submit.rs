//! From what a user typed to a run in the queue.
//!
//! [`Prepared::check`] reads and judges everything, and writes nothing; [`Prepared::submit`] then stores the files and
//! adds one row. So bad input leaves no row and no file.

use crate::course;
use crate::error::EngineError;
use crate::guide_request::Film;
use crate::limits::{DEFAULT_MULTIPLE, DEFAULT_PIXELS};
use crate::manifest::Manifest;
use crate::planning::{self, PlanInput, Planned};
use crate::rehearsal;
use crate::spec::{
    Able, ClipRef, Output, Post, References, RunSpec, SPEC_VERSION, SoundRef, SoundSpec, StillRef, Stitching,
    UpscaleSpec, Whole,
};
use crate::task::{ORCHESTRATOR, POOL_PLAN, PluginRef, slot};
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use travel::wishes::Wishes;
use travel::{Dims, Rate, Role};
use travel_artifacts::{Artifacts, Hash, Stored};
use travel_generators::{Capabilities, Generator, GeneratorError, Generators};
use travel_media::{Encode, MediaError, RgbReader, Watch};
use travel_queue::limits::{MAX_NAME_CHARS, MAX_ROWS};
use travel_queue::{ArtifactHash, NewRun, NewTask, RunFilter, RunState, SlotArtifact, Store, Submitted, TimestampMs};
use travel_sandbox::limits::MAX_LEGS;
use travel_sandbox::{CallContext, Plugin, Registry};

/// What a user wishes.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Who owns the run.
    pub tenant: String,
    /// What people call it.
    pub name: String,
    /// Submitting twice with one key gives the first run back.
    pub idem_key: Option<String>,
    /// In the order of the film.
    pub images: Vec<PathBuf>,
    /// A clip that the film begins with.
    pub continue_from: Option<PathBuf>,
    /// Size of the film; chosen from the first image when missing.
    pub size: Option<Dims>,
    /// Of the film.
    pub rate: Rate,
    /// Of segments; the film's where the generator renders it, else the nearest that it renders, when missing.
    pub generator_rate: Option<Rate>,
    /// Per-leg lists.
    pub wishes: Wishes,
    /// Name of the generator.
    pub generator: String,
    /// Which of its models; its usual one when missing.
    pub model: Option<String>,
    /// Those of its settings that flags ask for, by flag: whoever cannot honour one is told who can.
    pub flags: Vec<FlagSettings>,
    /// Whether each segment's pictures are references too.
    pub references: References,
    /// Plugins asked for by name.
    pub roles: BTreeMap<Role, String>,
    /// Parameters of the roles.
    pub params: BTreeMap<Role, Value>,
    /// Changes to each segment after the first.
    pub post: Post,
    /// The one lossy encode.
    pub encode: Encode,
    /// Who makes the film larger, and by how much; nobody when missing.
    pub upscale: Option<UpscaleWish>,
    /// Whether the film is encoded in one piece.
    pub stitch: Stitching,
    /// A track under the film.
    pub audio: Option<PathBuf>,
    /// Whether the sound of the continued video is kept.
    pub keep_sound: bool,
    /// Where the film goes.
    pub output: Output,
    /// Not started before.
    pub start_at: Option<TimestampMs>,
    /// How long one attempt of a task may take.
    pub attempt_deadline: Option<Duration>,
    /// Whether the frames that a guide gave are put back over those that its generator returned.
    pub paste_known: bool,
    /// Whether segments are rendered also when they were rendered before from the same.
    pub fresh: bool,
}

/// What one flag asks a generator's settings for.
#[derive(Debug, Clone, PartialEq)]
pub struct FlagSettings {
    /// As the user types it.
    pub flag: &'static str,
    /// Keys and values.
    pub settings: Map<String, Value>,
}

/// A film that is made larger before it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct UpscaleWish {
    /// Name of the generator.
    pub generator: String,
    /// How many times as wide and high; above 1.
    pub factor: f64,
    /// For that generator alone; a JSON object.
    pub settings: Value,
}

/// A request that was judged and can be submitted.
pub struct Prepared {
    request: RunRequest,
    stills: Vec<(PathBuf, Dims)>,
    continued: Option<(PathBuf, Dims, u32)>,
    own_sound: bool,
    stitch: Stitching,
    /// Of segments.
    rate: Rate,
    canvas: Dims,
    upscale: Option<UpscaleSpec>,
    able: Able,
    plugins: Plugins,
    plan: Planned,
}

/// Reads every still, each file once, as many at a time as there are processors; their sizes, in the order given.
fn look_at<'a>(images: &'a [PathBuf], on: &dyn Watch) -> Result<Vec<(PathBuf, Dims)>, EngineError> {
    let mut seen = HashSet::new();
    let files: Vec<&PathBuf> = images.iter().filter(|path| seen.insert(*path)).collect();
    let (done, failed) = (AtomicU64::new(0), AtomicUsize::new(usize::MAX));
    let look = |(at, &path): (usize, &&'a PathBuf)| {
        // Behind one that cannot be read there is nothing worth to be found out.
        if on.cancelled() || at > failed.load(Ordering::Relaxed) {
            return Err(EngineError::Cancelled);
        }
        let still = travel_media::load_still(path).inspect_err(|_| {
            failed.fetch_min(at, Ordering::Relaxed);
        })?;
        on.frame(done.fetch_add(1, Ordering::Relaxed) + 1, files.len() as u64);
        Ok::<(&'a Path, Dims), EngineError>((path.as_path(), still.dims))
    };
    let looked: Vec<Result<(&Path, Dims), EngineError>> = files.par_iter().enumerate().map(look).collect();
    // The first of several that cannot be read is named.
    let dims: HashMap<&Path, Dims> = looked.into_iter().collect::<Result<_, _>>()?;
    Ok(images.iter().filter_map(|path| Some((path.clone(), *dims.get(path.as_path())?))).collect())
}

/// Who answers the roles of a run.
struct Plugins {
    orchestrate: Arc<Plugin>,
    guide: Arc<Plugin>,
    crossfade: Arc<Plugin>,
}

impl Plugins {
    fn resolve(registry: &Registry, wanted: &BTreeMap<Role, String>) -> Result<Self, EngineError> {
        let plugin = |role| registry.resolve(role, wanted.get(&role).map(String::as_str));
        Ok(Self {
            orchestrate: plugin(Role::Orchestrate)?,
            guide: plugin(Role::Guide)?,
            crossfade: plugin(Role::Crossfade)?,
        })
    }

    fn by_role(&self) -> [(Role, &Plugin); 3] {
        [(Role::Orchestrate, &self.orchestrate), (Role::Guide, &self.guide), (Role::Crossfade, &self.crossfade)]
    }
}

impl Prepared {
    /// Reads every input and plans the film.
    ///
    /// # Errors
    /// An unreadable image, a size that cannot be made, lists of the wrong length, a plugin's refusal.
    pub fn check(
        registry: &Registry,
        generators: &Generators,
        request: RunRequest,
        on: &dyn Watch,
    ) -> Result<Self, EngineError> {
        check_words(&request)?;
        let generator = generators.by_name(&request.generator)?;
        if !generator.describe()?.renders {
            return Err(GeneratorError::OnlyAnUpscaler { generator: request.generator.clone() }.into());
        }
        check_flags(&request, generators)?;
        let settings: Value = serde_json::from_str(&request.wishes.settings)
            .map_err(|e| EngineError::Stored(format!("the generator's settings are not JSON: {e}")))?;
        check_settings(generators, &request.generator, &settings)?;
        for wish in request.wishes.each.values() {
            if let Some(text) = &wish.settings {
                let own = serde_json::from_str(text).map_err(|e| EngineError::Stored(e.to_string()))?;
                check_settings(generators, &request.generator, &own)?;
            }
        }
        let most = MAX_LEGS + u32::from(request.continue_from.is_none() && !request.wishes.goes_round);
        if request.images.len() > most as usize {
            return Err(EngineError::TooManyImages { given: request.images.len(), most });
        }
        if request.wishes.goes_round && request.continue_from.is_some() {
            return Err(EngineError::NoWayRound { why: "a film that continues a video begins with it" });
        }
        if request.wishes.goes_round && request.images.len() < 2 {
            return Err(EngineError::TooFewImages { given: request.images.len(), needed: "two or more to go round" });
        }
        match (request.images.len(), &request.continue_from) {
            (0, Some(_)) => return Err(EngineError::TooFewImages { given: 0, needed: "one or more beside the video" }),
            (0, None) => return Err(EngineError::TooFewImages { given: 0, needed: "two or more" }),
            (1, None) => {
                return Err(EngineError::TooFewImages {
                    given: 1,
                    needed: "two or more, or one and a video to continue",
                });
            }
            _ => {}
        }
        for path in request.images.iter().chain(&request.continue_from).chain(&request.audio) {
            // A pipe would be waited for.
            if path.exists() && !path.is_file() {
                return Err(EngineError::NotAFile(path.clone()));
            }
        }
        let stills = look_at(&request.images, on)?;
        let able = generator.describe()?;
        let (rate, mut notes) = choose_rate(&able, &request)?;
        let continued = match &request.continue_from {
            None => None,
            Some(path) => {
                let info = travel_media::probe_at(path, rate, on)?;
                Some((path.clone(), info.dims, info.frames))
            }
        };
        let first = continued.as_ref().map(|(_, dims, _)| *dims).or(stills.first().map(|(_, dims)| *dims));
        let (canvas, chosen) = choose_canvas(&request, first, able.grid.dims_multiple)?;
        notes.extend(chosen);
        if let Some((path, dims, _)) = &continued {
            let own = RgbReader::open(path)?.rate();
            if *dims != canvas || own.reduced() != rate.reduced() {
                notes.push(format!(
                    "the continued video is {dims} at {own} a second, and becomes {canvas} at {rate}; --resolution and --fps choose otherwise"
                ));
            }
        }
        let own_sound = match &request.continue_from {
            Some(path) if request.keep_sound => travel_media::sounds_for(path)?.is_some(),
            _ => false,
        };
        let upscale = request.upscale.as_ref().map(|wish| upscale(wish, canvas, generators)).transpose()?;
        let Wishes { prompts, negative_prompts, each, .. } = &request.wishes;
        let single = each.values().flat_map(|leg| leg.prompt.iter().chain(&leg.negative_prompt));
        if !able.reads_prompts && prompts.iter().chain(negative_prompts).chain(single).any(|prompt| !prompt.is_empty())
        {
            notes.push(format!(
                "generator `{}` reads no prompts: --base-prompts and --negative-prompts have no effect",
                able.name
            ));
        }
        let plugins = Plugins::resolve(registry, &request.roles)?;
        let mut plan = planning::plan(
            &plugins.orchestrate,
            PlanInput {
                run: &request.name,
                canvas,
                rate,
                stills: stills.iter().map(|(_, dims)| *dims).collect(),
                continued: continued.as_ref().map(|(_, dims, frames)| (*dims, *frames)),
                wishes: &request.wishes,
                grid: able.grid,
                generator: Some(generator.as_ref()),
                params: role_params(&request.params, Role::Orchestrate),
            },
            &CallContext::new(request.name.as_str(), "plan"),
        )?;
        let context = CallContext::new(request.name.as_str(), "rehearsal");
        let [guide, crossfade] = [Role::Guide, Role::Crossfade].map(|role| role_params(&request.params, role));
        let dims: Vec<Dims> = stills.iter().map(|(_, dims)| *dims).collect();
        let film = Film { canvas, rate, stills: &dims, grid: able.grid, params: &guide };
        rehearsal::guides(&plugins.guide, &plan, &film, &context)?;
        rehearsal::crossfade(&plugins.crossfade, &plan, crossfade, &context)?;
        let whole = Whole {
            encode: &request.encode,
            is_upscaled: upscale.is_some(),
            is_retimed: rate.reduced() != request.rate.reduced(),
            segments: plan.timeline.segments.len(),
            goes_round: plan.request.wrap > 0,
        };
        let decided = request.stitch.decided(&whole);
        let (stitch, why) = decided.map_err(|why| EngineError::NoSmartStitch { why })?;
        notes.extend(why.map(|why| format!("the film is encoded in one piece: {why}")));
        if let Some(path) = &request.audio {
            let sounds = travel_media::sounds_for(path)?.ok_or_else(|| MediaError::NoSound { path: path.clone() })?;
            let film = rate.seconds(plan.timeline.frames);
            if sounds + 0.05 < film {
                notes.push(format!("the track is {sounds:.2} s long, and the film {film:.2} s: its end is silent"));
            }
        }
        notes.append(&mut plan.notes);
        plan.notes = notes;
        let able = able.into();
        Ok(Self { request, stills, continued, own_sound, stitch, rate, canvas, upscale, able, plugins, plan })
    }

    /// The plan, with what the user should know.
    #[must_use]
    pub fn plan(&self) -> &Planned {
        &self.plan
    }

    /// The stills, as they were given.
    pub fn stills(&self) -> impl Iterator<Item = &Path> {
        self.stills.iter().map(|(path, _)| path.as_path())
    }

    /// Size of the film.
    #[must_use]
    pub fn canvas(&self) -> Dims {
        self.canvas
    }

    /// How the film is made larger, if it is.
    #[must_use]
    pub fn upscale(&self) -> Option<&UpscaleSpec> {
        self.upscale.as_ref()
    }

    /// Whether the film can be put where it belongs.
    ///
    /// # Errors
    /// An output folder that cannot be written, a film that is there already.
    pub fn check_output(&self) -> Result<(), EngineError> {
        // A relative path is below the folder of a host that this process does not know; that host looks again.
        check_output(&self.request.output, |file| file.is_absolute().then(|| file.to_owned()))
    }

    /// Stores the inputs and adds the run: one row, one task.
    ///
    /// # Errors
    /// A run of this name that writes the same film, a full disk, a queue that refuses.
    pub fn submit(self, store: &dyn Store, artifacts: &Artifacts) -> Result<Submitted, EngineError> {
        let Self { request, stills, continued, own_sound, stitch, rate, canvas, upscale, able, plugins, .. } = self;
        check_untaken(store, &request.name, request.idem_key.as_deref(), &request.output)?;
        if request.idem_key.is_none() {
            // With a key it may be no new run. Files that are refused with their run are not stored first.
            store.check_quota(&request.tenant)?;
        }
        let mut task = NewTask::new("orchestrator", ORCHESTRATOR, POOL_PLAN, json!({}));
        let mut refs = Vec::new();
        let mut known: HashMap<&Path, Stored> = HashMap::new();
        for (i, (path, dims)) in stills.iter().enumerate() {
            let stored = match known.get(path.as_path()) {
                Some(stored) => *stored,
                None => artifacts.import(path)?,
            };
            known.insert(path, stored);
            task = task.artifact(slot_artifact(&slot::still(i), stored, "image"));
            refs.push(StillRef { hash: stored.hash, dims: *dims, label: label(path), path: origin(path) });
        }
        let continued = match continued {
            None => None,
            Some((path, dims, frames)) => {
                let stored = artifacts.import(&path)?;
                task = task.artifact(slot_artifact(slot::CONTINUED, stored, "video"));
                Some(ClipRef { hash: stored.hash, dims, frames, label: label(&path), path: origin(&path) })
            }
        };
        let track = match &request.audio {
            None => None,
            Some(path) => {
                let stored = artifacts.import(path)?;
                task = task.artifact(slot_artifact(slot::AUDIO, stored, "audio"));
                Some(SoundRef { hash: stored.hash, label: label(path), path: origin(path) })
            }
        };
        let mut chosen = BTreeMap::new();
        for (role, plugin) in plugins.by_role() {
            let stored = artifacts.put_bytes(plugin.wasm())?;
            task = task.artifact(slot_artifact(&slot::plugin(role), stored, "application/wasm"));
            chosen.insert(role, PluginRef { manifest: plugin.manifest().clone(), digest: stored.hash });
        }
        let spec = RunSpec {
            version: SPEC_VERSION,
            canvas,
            rate,
            film_rate: (rate.reduced() != request.rate.reduced()).then_some(request.rate),
            stills: refs,
            continued,
            wishes: request.wishes,
            generator: request.generator,
            model: request.model,
            references: request.references,
            able: Some(able),
            plugins: chosen,
            params: request.params,
            post: request.post,
            encode: request.encode,
            upscale,
            output: request.output,
            stitch,
            sound: SoundSpec { track, own: own_sound },
            attempt_deadline_s: request.attempt_deadline.map(|d| d.as_secs().max(1)),
            paste_known: request.paste_known,
            fresh: request.fresh,
        };
        let spec = serde_json::to_value(&spec).map_err(|e| EngineError::Stored(e.to_string()))?;
        let new = NewRun::new(request.tenant, request.name, spec);
        let run = NewRun { idem_key: request.idem_key, start_at: request.start_at, ..new }.task(task);
        Ok(store.submit(run)?)
    }
}

/// Whether the generator can do what flags ask of it beyond the job itself; else who can.
fn check_flags(request: &RunRequest, generators: &Generators) -> Result<(), EngineError> {
    let generator = generators.by_name(&request.generator)?;
    let able = generator.describe()?;
    let refuse = |flag: &'static str, can: &dyn Fn(&dyn Generator, &Capabilities) -> bool| {
        let able = |name: &&str| {
            let other = generators.by_name(name).and_then(|other| Ok((other.describe()?, other)));
            other.is_ok_and(|(able, other)| able.renders && can(other.as_ref(), &able))
        };
        let able = generators.names().filter(able).map(str::to_owned).collect();
        EngineError::CannotHonour { flag, generator: request.generator.clone(), able }
    };
    for FlagSettings { flag, settings } in &request.flags {
        let settings = Value::Object(settings.clone());
        if let Err(error) = generator.check_settings(&settings) {
            // It has the settings, so it is their values that are wrong.
            if knows(&able, &settings) {
                return Err(error.into());
            }
            return Err(refuse(flag, &|other, _| other.check_settings(&settings).is_ok()));
        }
    }
    if let Some(model) = &request.model
        && !able.models.contains(model)
    {
        if able.models.is_empty() {
            return Err(refuse("--model-name", &|_, able| able.models.contains(model)));
        }
        let (value, models) = (model.clone(), able.models.join(", "));
        return Err(EngineError::UnknownModel { model: value, generator: request.generator.clone(), models });
    }
    let References { initial, last } = request.references;
    for (flag, strength) in [("--initial-image-strength", initial), ("--final-image-strength", last)] {
        if !(0.0..=1.0).contains(&strength) {
            return Err(EngineError::BadValue { flag, value: strength.to_string(), range: "0 to 1" });
        }
        if strength > 0.0 && able.references == 0 {
            return Err(refuse(flag, &|_, able| able.references > 0));
        }
    }
    if initial > 0.0 && last > 0.0 && able.references < 2 {
        return Err(refuse("--initial-image-strength with --final-image-strength", &|_, able| able.references > 1));
    }
    Ok(())
}

/// Whether a generator names all of these settings.
fn knows(able: &Capabilities, settings: &Value) -> bool {
    let properties = able.settings_schema.get("properties");
    let named = |key: &String| properties.is_some_and(|properties| properties.get(key).is_some());
    settings.as_object().is_some_and(|map| map.keys().all(named))
}

/// The parameters of a role; `{}` when none were given.
fn role_params(params: &BTreeMap<Role, Value>, role: Role) -> String {
    params.get(&role).map_or_else(|| "{}".to_owned(), Value::to_string)
}

fn choose_canvas(request: &RunRequest, first: Option<Dims>, multiple: u32) -> Result<(Dims, Vec<String>), EngineError> {
    let mut notes = Vec::new();
    let canvas = match (request.size, first) {
        (Some(asked), _) => {
            asked.check_encodable().or_else(|why| {
                // An odd side is floored below; everything else is final.
                asked.floored_to(2).check_encodable().map_err(|_| EngineError::BadSize(why))
            })?;
            let canvas = asked.floored_to(multiple.max(2));
            if canvas != asked {
                notes.push(format!(
                    "the film is {canvas} instead of {asked}: {} renders multiples of {}",
                    request.generator,
                    multiple.max(2)
                ));
            }
            canvas
        }
        (None, first) => {
            let like = first.unwrap_or(Dims { width: 832, height: 480 });
            let canvas = like.scaled_to_pixels(DEFAULT_PIXELS, DEFAULT_MULTIPLE.max(multiple));
            notes.push(format!(
                "the film is {canvas}, after its first picture of {like}; --resolution chooses another size"
            ));
            canvas
        }
    };
    canvas.check_encodable().map_err(|_| EngineError::SizeOffGrid {
        canvas,
        generator: request.generator.clone(),
        multiple,
    })?;
    Ok((canvas, notes))
}

/// Whether a generator accepts these settings, and those of every rung of its out-of-memory ladder over them.
fn check_settings(generators: &Generators, name: &str, settings: &Value) -> Result<(), EngineError> {
    let (generator, ladder) = (generators.by_name(name)?, generators.policy(name).out_of_memory);
    for rungs in 0..=ladder.len() {
        generator.check_settings(&course::on_rungs(settings.clone(), ladder.iter().take(rungs)))?;
    }
    Ok(())
}

/// The size that comes of a factor, and whether the generator can make it.
fn upscale(wish: &UpscaleWish, canvas: Dims, generators: &Generators) -> Result<UpscaleSpec, EngineError> {
    let generator = generators.by_name(&wish.generator)?;
    let most = generator
        .describe()?
        .upscales
        .ok_or_else(|| EngineError::NoUpscaler { generator: wish.generator.clone(), able: upscalers(generators) })?;
    if !(wish.factor.is_finite() && wish.factor > 1.0 && wish.factor <= most) {
        return Err(EngineError::UpscaleFactor { factor: wish.factor, generator: wish.generator.clone(), most });
    }
    check_settings(generators, &wish.generator, &wish.settings)?;
    let side = |pixels: u32| ((f64::from(pixels) * wish.factor / 2.0).floor() * 2.0) as u32;
    let dims = Dims { width: side(canvas.width), height: side(canvas.height) };
    dims.check_encodable().map_err(|why| EngineError::BadSize(format!("{dims} of the upscaled film {why}")))?;
    let UpscaleWish { generator, factor, settings } = wish.clone();
    Ok(UpscaleSpec { generator, factor, dims, settings })
}

/// Names of the generators that make films larger; those that do not answer are left out.
fn upscalers(generators: &Generators) -> Vec<String> {
    let able = |name: &&str| {
        generators.by_name(name).and_then(|generator| generator.describe()).is_ok_and(|able| able.upscales.is_some())
    };
    generators.names().filter(able).map(str::to_owned).collect()
}

/// The rate of segments, and what the user should know of it.
fn choose_rate(able: &Capabilities, request: &RunRequest) -> Result<(Rate, Vec<String>), EngineError> {
    let film = request.rate;
    let rate = match (request.generator_rate, &able.rates) {
        (Some(rate), _) => rate,
        (None, None) => film,
        (None, Some(rates)) => {
            let off = |rate: &Rate| {
                let per_second = |rate: &Rate| f64::from(rate.num) / f64::from(rate.den.max(1));
                (per_second(rate) / per_second(&film)).ln().abs()
            };
            rates.iter().min_by(|a, b| off(a).total_cmp(&off(b))).copied().unwrap_or(film)
        }
    };
    check_rate(able, rate)?;
    if rate.reduced() == film.reduced() {
        return Ok((film, Vec::new()));
    }
    let note = format!(
        "segments are rendered at {rate} frames a second, in which all lengths are counted; the film has {film}, each of \
         its frames the one that stands nearest in time"
    );
    Ok((rate, vec![note]))
}

/// Whether the generator renders this rate.
fn check_rate(able: &Capabilities, rate: Rate) -> Result<(), EngineError> {
    let Some(rates) = &able.rates else { return Ok(()) };
    if rates.iter().any(|able| able.reduced() == rate.reduced()) {
        return Ok(());
    }
    let rates: Vec<String> = rates.iter().map(Rate::to_string).collect();
    Err(EngineError::RateOffGrid { rate, generator: able.name.clone(), rates: rates.join(", ") })
}

/// Names and numbers that a row or a clip cannot take.
fn check_words(request: &RunRequest) -> Result<(), EngineError> {
    let name = |flag: &'static str, value: &str| {
        if (1..=MAX_NAME_CHARS).contains(&value.chars().count()) && !value.contains(char::is_control) {
            return Ok(());
        }
        let value = format!("`{}`", value.escape_debug());
        Err(EngineError::BadValue { flag, value, range: "1 to 200 characters without control characters" })
    };
    name("--name", &request.name)?;
    name("--tenant", &request.tenant)?;
    name("--idempotency-key", request.idem_key.as_deref().unwrap_or("none"))?;
    if request.output.film.extension().is_none_or(|e| !e.eq_ignore_ascii_case("mp4")) {
        let value = format!("`{}`", request.output.film.display());
        return Err(EngineError::BadValue {
            flag: "--output",
            value,
            range: "a name that ends in .mp4: films are MP4",
        });
    }
    let within = |flag: &'static str, value: Option<f32>, range: RangeInclusive<f32>, words: &'static str| match value {
        Some(v) if !range.contains(&v) => Err(EngineError::BadValue { flag, value: v.to_string(), range: words }),
        _ => Ok(()),
    };
    let Post { colour_match, saturation, brightness } = request.post;
    within("--colour-match", Some(colour_match), 0.0..=1.0, "0 to 1")?;
    within("--after-first-post-generation-saturation", saturation, 0.0..=4.0, "0 to 4")?;
    within("--after-first-post-generation-brightness", brightness, -1.0..=1.0, "-1 to 1")
}

/// Whether the film can be put where it belongs, tried before work is done for it, leaving nothing behind. `place` says where
/// a file goes, or that nobody knows yet.
pub(crate) fn check_output(output: &Output, place: impl Fn(&Path) -> Option<PathBuf>) -> Result<(), EngineError> {
    for file in
        std::iter::once(&output.film).chain(&output.contact_sheet).chain(&output.seams).filter_map(|file| place(file))
    {
        let folder = file.parent().unwrap_or(Path::new("/"));
        let refused = |reason: String| EngineError::OutputFolder { folder: folder.to_owned(), reason };
        // Folders that are missing are made when the film is there; until then the nearest one that is not stands for them.
        let there = folder.ancestors().find(|f| f.exists()).unwrap_or(Path::new("/"));
        if !there.is_dir() {
            return Err(refused(format!("{} is not a folder", there.display())));
        }
        let probe = there.join(format!(".travel-host-{}", std::process::id()));
        let tried = std::fs::File::create(&probe).map(drop);
        let _ = std::fs::remove_file(&probe);
        tried.map_err(|e| refused(e.to_string()))?;
        check_free(&file, output)?;
    }
    place(&Manifest::beside(&output.film)).map_or(Ok(()), |file| check_free_for_manifest(&file))
}

/// Whether another run of this name is going to write the same film: it would be found out when all is rendered.
pub(crate) fn check_untaken(
    store: &dyn Store,
    name: &str,
    idem_key: Option<&str>,
    output: &Output,
) -> Result<(), EngineError> {
    if output.overwrite {
        return Ok(());
    }
    let film = serde_json::to_value(&output.film).unwrap_or_default();
    let mut of = RunFilter { name: Some(name.to_owned()), state: Some(RunState::Active), ..RunFilter::default() };
    loop {
        let runs = store.runs(&of, MAX_ROWS)?;
        for run in &runs {
            let is_this_one = idem_key.is_some() && run.idem_key.as_deref() == idem_key;
            if !is_this_one && run.spec.pointer("/output/film") == Some(&film) {
                return Err(EngineError::OutputTaken { film: output.film.clone(), run: run.id });
            }
        }
        match runs.last() {
            Some(last) if runs.len() >= MAX_ROWS as usize => of.before = Some(last.id),
            _ => return Ok(()),
        }
    }
}

/// Whether a film may be placed at a path.
pub(crate) fn check_free(file: &Path, output: &Output) -> Result<(), EngineError> {
    match std::fs::symlink_metadata(file) {
        Ok(there) if !there.is_file() => Err(EngineError::NotAFile(file.to_owned())),
        Ok(_) if !output.overwrite => Err(EngineError::OutputExists(file.to_owned())),
        _ => Ok(()),
    }
}

/// Whether a path holds a file that is none of these stored ones.
pub(crate) fn sees_other_file(path: &Path, own: &[SlotArtifact]) -> bool {
    match std::fs::File::open(path).and_then(|mut file| Hash::of_all(&mut file)) {
        Ok(hash) => !own.iter().any(|file| file.hash.0 == *hash.as_bytes()),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// A path that means the same for every process.
fn origin(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

/// Whether a manifest may be placed at a path: it takes the place of another one, for it tells of the film beside it, and of
/// nothing else.
pub(crate) fn check_free_for_manifest(file: &Path) -> Result<(), EngineError> {
    match Manifest::read(file) {
        Err(foreign) if std::fs::symlink_metadata(file).is_ok() => Err(foreign),
        _ => Ok(()),
    }
}

fn label(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A stored file in a task's slot.
pub(crate) fn slot_artifact(slot: &str, stored: Stored, media: &str) -> SlotArtifact {
    SlotArtifact {
        slot: slot.to_owned(),
        hash: ArtifactHash(*stored.hash.as_bytes()),
        bytes: stored.bytes,
        media: media.to_owned(),
    }
}
