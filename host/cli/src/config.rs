//! `travel-host.toml`.
//!
//! ```toml
//! db = "queue.db"
//! plugins = "plugins"
//! output-dir = "films"
//!
//! [roles]                  # which plugin answers a role
//! guide = "dissolve"
//!
//! [params.crossfade]       # parameters of a role's plugin
//! colour_match = "off"
//!
//! [generator]
//! name = "rife"
//! settings = { quality = "high" }
//!
//! [generators.wan]         # a generator that is a program of its own
//! command = ["python3", "wan.py"]
//!
//! [slots]                  # tasks of a pool that run at once
//! cpu = 2
//!
//! [[devices]]              # graphics cards; those that NVML finds, unless listed
//! name = "gpu0"
//! memory-mb = 24000
//! pools = { gpu = 0, gpu-24g = 24000 }
//!
//! [clean-up]               # of what was made on the way to films
//! older-than = "14d"
//! max-mb = 200000
//!
//! [limits]                 # of plugins
//! wall-ms = 2000
//! ```
//!
//! A flag beats the environment, which beats this file, which beats the default. Paths are relative to the file.

use crate::args::Global;
use crate::diagnostic::Diagnostic;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use travel::Role;
use travel_engine::clean_up::CleanUp;
use travel_engine::generators::process::{CardPools, Recipe, duration};
use travel_engine::generators::{CPU, GPU, Generators};
use travel_engine::limits::MAX_SLOTS;
use travel_engine::sandbox::Limits;

/// What tasks compete for: expanding runs, CPU generators, GPU generators, encoding films.
pub const POOLS: [&str; 4] = ["plan", "cpu", "gpu", "encode"];

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "travel-host.toml";

/// Settings from a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The queue's database.
    pub db: Option<PathBuf>,
    /// The plugin folder.
    pub plugins: Option<PathBuf>,
    /// Where films go.
    pub output_dir: Option<PathBuf>,
    /// Which plugin answers a role.
    pub roles: BTreeMap<Role, String>,
    /// Parameters of the roles' plugins.
    pub params: BTreeMap<Role, Map<String, Value>>,
    /// What renders.
    pub generator: GeneratorConfig,
    /// What makes films larger that are to be.
    pub upscaler: GeneratorConfig,
    /// Generators that are programs of their own.
    pub generators: BTreeMap<String, Recipe>,
    /// Tasks of a pool that run at once.
    pub slots: BTreeMap<String, u32>,
    /// Graphics cards.
    pub devices: Option<Vec<DeviceConfig>>,
    /// Of plugins.
    pub limits: Limits,
    /// Of videos from the network.
    pub download: DownloadConfig,
    /// When what was made on the way to films is removed.
    pub clean_up: CleanUpConfig,
}

/// `[clean-up]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CleanUpConfig {
    /// Of runs that ended longer ago than this.
    #[serde(deserialize_with = "some_duration")]
    pub older_than: Option<Duration>,
    /// Of the runs that ended longest ago, while all together take more than this, MiB.
    pub max_mb: Option<u64>,
}

impl CleanUpConfig {
    /// What is to be done; nothing when nothing is said.
    pub fn policy(&self) -> Option<CleanUp> {
        let max_bytes = self.max_mb.map(|mb| mb.saturating_mul(1 << 20));
        let policy = CleanUp { older_than: self.older_than, max_bytes };
        (policy != CleanUp::default()).then_some(policy)
    }
}

fn some_duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    duration(from).map(Some)
}

/// `[download]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DownloadConfig {
    /// Largest file, MiB.
    pub max_mb: u64,
    /// How long it may take in all.
    #[serde(deserialize_with = "duration")]
    pub time: Duration,
    /// Whether private, loopback and link-local addresses may be asked.
    pub allow_private: bool,
}

impl Default for DownloadConfig {
    fn default() -> Self {
        Self { max_mb: 8192, time: Duration::from_secs(1800), allow_private: false }
    }
}

/// `[[devices]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceConfig {
    /// Unique, such as `gpu0`.
    pub name: String,
    /// Memory that its tasks share, MiB.
    pub memory_mb: u64,
    /// Tasks that run on it at once.
    #[serde(default = "one")]
    pub slots: u32,
    /// Pools that it serves, and the memory that a task of each needs, MiB.
    #[serde(default = "any_gpu_task")]
    pub pools: BTreeMap<String, u64>,
    /// The card as the driver counts it (`CUDA_VISIBLE_DEVICES`); its place in this list when missing.
    #[serde(default)]
    pub cuda: Option<String>,
}

fn one() -> u32 {
    1
}

/// Tasks for some card, whichever.
pub fn any_gpu_task() -> BTreeMap<String, u64> {
    BTreeMap::from([("gpu".to_owned(), 0)])
}

impl DeviceConfig {
    fn fault(&self) -> Option<String> {
        if !(1..=MAX_SLOTS).contains(&self.slots) {
            return Some(format!("device {} has {} slots; 1 to {MAX_SLOTS} are possible", self.name, self.slots));
        }
        let too_large = self.pools.iter().find(|(_, need)| **need > self.memory_mb);
        too_large.map(|(pool, need)| {
            format!("device {} has {} MiB, and its pool {pool} needs {need}", self.name, self.memory_mb)
        })
    }
}

/// `[generator]`, `[upscaler]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GeneratorConfig {
    /// Its name.
    pub name: Option<String>,
    /// Its settings.
    pub settings: Map<String, Value>,
}

/// What is wrong with a generator, in a sentence.
fn fault_of(name: &str, recipe: &Recipe, devices: Option<&[DeviceConfig]>, names: &[String]) -> Option<String> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Some("its name may have letters, digits, `-`, `_` and `.`".to_owned());
    }
    let embedded = Generators::embedded();
    if embedded.by_name(name).is_ok() {
        return Some("the program has a generator of this name built in".to_owned());
    }
    let served = devices.unwrap_or_default().iter().flat_map(|device| device.pools.keys().map(String::as_str));
    let pools: Vec<&str> = [CPU, GPU].into_iter().chain(served).collect();
    let pool = recipe.pool_of(name);
    let own = recipe.own_slots().is_some() && pool == name;
    if own && (POOLS.contains(&name) || pools.contains(&name)) {
        return Some("its name is that of a pool; servers have one of their own, which is called like them".to_owned());
    }
    if !own && !pools.contains(&pool) {
        return Some(format!("no slot or device serves its pool {pool}; served are {}", pools.join(", ")));
    }
    recipe
        .policy()
        .fault(name, &pools, |other| names.iter().any(|name| name == other) || embedded.by_name(other).is_ok())
}

/// Pools of cards and how much memory a task of each may have, MiB: those that count it, the smallest first, and then those that
/// do not, whose tasks may have a whole card.
pub fn card_pools(devices: &[DeviceConfig]) -> CardPools {
    let mut pools: BTreeMap<&str, (bool, u64)> = BTreeMap::new();
    for device in devices {
        for (pool, need) in &device.pools {
            let memory = if *need > 0 { *need } else { device.memory_mb };
            let least = pools.entry(pool).or_insert((*need == 0, memory));
            least.1 = least.1.min(memory);
        }
    }
    let mut pools: Vec<(&str, (bool, u64))> = pools.into_iter().collect();
    pools.sort_by_key(|(_, order)| *order);
    CardPools(pools.into_iter().map(|(pool, (_, memory))| (pool.to_owned(), memory)).collect())
}

impl Config {
    /// Reads the file that `--config` names, or the usual one where there is one.
    pub fn load(global: &Global) -> Result<Self, Diagnostic> {
        let (path, must_exist) = match &global.config {
            Some(path) => (path.as_path(), true),
            None => (Path::new(DEFAULT_FILE), false),
        };
        let bad = |why: String| {
            Diagnostic::refused("bad_config", format!("{}: {why}", path.display())).hint("see docs/configuration.md")
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(Self::default()),
            Err(e) => return Err(bad(e.to_string())),
        };
        let mut config: Self = toml::from_str(&text).map_err(|e| bad(e.to_string().trim_end().to_owned()))?;
        if let Some(pool) = config.slots.keys().find(|pool| !POOLS.contains(&pool.as_str())) {
            return Err(bad(format!("slots.{pool} is not a pool; the pools are {}", POOLS.join(", "))));
        }
        if let Some((pool, n)) = config.slots.iter().find(|(_, n)| !(1..=MAX_SLOTS).contains(n)) {
            return Err(bad(format!("slots.{pool} is {n}; 1 to {MAX_SLOTS} are possible")));
        }
        let devices = config.devices.as_deref().unwrap_or_default();
        if let Some(fault) = devices.iter().find_map(DeviceConfig::fault) {
            return Err(bad(fault));
        }
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = devices.iter().find(|device| !names.insert(&device.name)) {
            return Err(bad(format!("two devices are called {}", twice.name)));
        }
        for (i, device) in config.devices.iter_mut().flatten().enumerate() {
            device.cuda.get_or_insert_with(|| i.to_string());
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let names: Vec<String> = config.generators.keys().cloned().collect();
        for (name, recipe) in &mut config.generators {
            let fault = fault_of(name, recipe, config.devices.as_deref(), &names).or_else(|| recipe.prepare(&folder));
            if let Some(fault) = fault {
                return Err(bad(format!("generators.{name}: {fault}")));
            }
        }
        for path in [&mut config.db, &mut config.plugins, &mut config.output_dir].into_iter().flatten() {
            *path = folder.join(&path);
        }
        Ok(config)
    }
}
