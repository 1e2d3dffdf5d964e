//! Where a command works: the database, the files beside it, the plugins.

use crate::args::Global;
use crate::config::{Config, DeviceConfig, DownloadConfig, card_pools};
use crate::devices;
use crate::diagnostic::Diagnostic;
use crate::progress::Reading;
use crate::render_args::absolute;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use travel_engine::artifacts::Artifacts;
use travel_engine::download::{Fetched, Rules, fetch, is_address};
use travel_engine::generators::Generators;
use travel_engine::generators::process::{CardPools, Warm};
use travel_engine::limits::PREPARE_AHEAD;
use travel_engine::media::Watch;
use travel_engine::queue::{HostLock, QueueError, SqliteStore, SystemClock};
use travel_engine::sandbox::{Manifest, Plugin, Registry, Sandbox, SandboxConfig};
use travel_engine::{EngineError, Place, Prepared, RunRequest, Workshop};

/// The default plugin, which the program carries inside.
const DEFAULT_COMPONENT: &[u8] = include_bytes!(env!("TRAVEL_DEFAULT_PLUGIN"));
const DEFAULT_MANIFEST: &str = include_str!("../../../plugins/travel/plugin.toml");

/// The database that is used when none is named.
const DEFAULT_DB: &str = "travel-host.db";
/// The output folder that is used when none is named.
const DEFAULT_OUTPUT_DIR: &str = "films";

/// Where a command works.
pub struct Workplace {
    /// Settings from a file.
    pub config: Config,
    /// The queue's database.
    pub db: PathBuf,
    plugins: Option<PathBuf>,
}

impl Workplace {
    /// From flags, environment and configuration.
    pub fn find(global: &Global) -> Result<Self, Diagnostic> {
        let config = Config::load(global)?;
        let db = global.db.clone().or_else(|| config.db.clone()).unwrap_or_else(|| DEFAULT_DB.into());
        let plugins = global.plugins.clone().or_else(|| config.plugins.clone());
        Ok(Self { db, plugins, config })
    }

    /// The folder of the queue's files, beside its database: `NAME.data` of `NAME.db`, and of every other name that name
    /// with `.data` behind it, so that a copy never shares the files of what it was copied from.
    pub fn data_dir(&self) -> PathBuf {
        if self.db.extension().is_some_and(|ending| ending == "db") {
            return self.db.with_extension("data");
        }
        let mut name = self.db.clone().into_os_string();
        name.push(".data");
        name.into()
    }

    /// The output folder: the flag's, the configuration's, or `films`.
    pub fn output_dir(&self, flag: Option<&Path>) -> Result<PathBuf, Diagnostic> {
        absolute(flag.or(self.config.output_dir.as_deref()).unwrap_or(Path::new(DEFAULT_OUTPUT_DIR)))
    }

    /// The sandbox and its plugins. Compiled code is kept beside the database once that is there; a command that only
    /// looks leaves nothing behind.
    pub fn plugins(&self) -> Result<(Sandbox, Registry), Diagnostic> {
        let data = self.data_dir();
        let cache_dir = data.is_dir().then(|| data.join("compiled"));
        let sandbox = Sandbox::new(SandboxConfig { limits: self.config.limits, cache_dir })?;
        let registry = match &self.plugins {
            Some(folder) => Registry::open(&sandbox, folder)?,
            None => Registry::empty(),
        };
        let manifest = Manifest::parse(DEFAULT_MANIFEST, Path::new("plugin.toml of the built-in plugin"))?;
        let registry = registry.with_embedded(Plugin::from_bytes(&sandbox, manifest, DEFAULT_COMPONENT.to_vec())?);
        for (role, id) in &self.config.roles {
            registry.resolve(*role, Some(id))?;
        }
        Ok((sandbox, registry))
    }

    /// The embedded generators and those of the configuration; nothing is started yet.
    pub fn generators(&self) -> Generators {
        let warm = Warm::default();
        // Who has no programs has no use for cards, and NVML takes its time.
        let pools = if self.config.generators.is_empty() { CardPools::default() } else { card_pools(&self.cards()) };
        self.config.generators.iter().fold(Generators::embedded(), |all, (name, recipe)| {
            all.with(name, recipe.generator(name, &warm, &pools), format!("{recipe:?}")).governed(name, recipe.policy())
        })
    }

    /// The queue's files.
    pub fn artifacts(&self) -> Result<Artifacts, Diagnostic> {
        Ok(Artifacts::open(&self.data_dir())?)
    }

    /// Judges a request, once the video that it continues was fetched, if it is at an address.
    pub fn prepare(
        &self,
        global: &Global,
        registry: &Registry,
        generators: &Generators,
        mut request: RunRequest,
        allow_private: bool,
    ) -> Result<(Prepared, Option<Fetched>), Diagnostic> {
        let reading = Reading::new(global);
        let fetched = self.fetch_continued(&mut request, allow_private, &reading)?;
        let prepared = Prepared::check(registry, generators, request, &reading);
        if let (Err(EngineError::Media(error)), Some(fetched)) = (&prepared, &fetched)
            && error.is_bad_input()
        {
            // The next try is to fetch it anew.
            fetched.forget();
        }
        Ok((prepared?, fetched))
    }

    fn fetch_continued(
        &self,
        request: &mut RunRequest,
        allow_private: bool,
        on: &dyn Watch,
    ) -> Result<Option<Fetched>, Diagnostic> {
        let Some(url) = request.continue_from.as_ref().and_then(|path| path.to_str()).filter(|url| is_address(url))
        else {
            return Ok(None);
        };
        let url = url.to_owned();
        let DownloadConfig { max_mb, time, allow_private: always } = self.config.download;
        let rules = Rules { max_bytes: max_mb.saturating_mul(1 << 20), time, allow_private: allow_private || always };
        let folder = self.data_dir().join("downloads");
        let fetched = fetch(&url, &folder, &rules, on).map_err(EngineError::from)?;
        request.continue_from = Some(fetched.file.clone());
        Ok(Some(fetched))
    }

    /// The queue, for reading; must exist.
    pub fn store_to_read(&self) -> Result<SqliteStore, Diagnostic> {
        Ok(SqliteStore::open_for_read(&self.db)?)
    }

    /// The queue, to add runs to; made when missing.
    pub fn store_to_submit(&self) -> Result<SqliteStore, Diagnostic> {
        // A host of an earlier version must not find its database changed beneath it.
        let _alone = match SqliteStore::open_for_read(&self.db) {
            Err(QueueError::TooOld { .. }) => Some(HostLock::acquire(&self.db).map_err(|e| {
                match e {
                    QueueError::Locked { .. } => Diagnostic::refused(
                        "queue_too_old",
                        format!("{} is worked on by a host of an earlier version", self.db.display()),
                    )
                    .hint("stop that host, and start the one of this version"),
                    other => other.into(),
                }
            })?),
            _ => None,
        };
        Ok(SqliteStore::open_for_submit(&self.db, Arc::new(SystemClock))?)
    }

    /// The queue, to change what is in it; must exist.
    pub fn store_to_change(&self) -> Result<SqliteStore, Diagnostic> {
        if !self.db.exists() {
            return Err(QueueError::Missing(self.db.clone()).into());
        }
        self.store_to_submit()
    }

    /// The queue, to work on, and the lock that keeps other hosts away.
    pub fn store_to_work(&self) -> Result<(HostLock, SqliteStore), Diagnostic> {
        // Looked at first, so that a file that is no queue gets no lock beside it.
        if self.db.exists()
            && let Err(e) = SqliteStore::open_for_read(&self.db)
            && !matches!(e, QueueError::TooOld { .. })
        {
            return Err(e.into());
        }
        let lock = HostLock::acquire(&self.db)?;
        let store = SqliteStore::open_for_work(&self.db, Arc::new(SystemClock))?;
        Ok((lock, store))
    }

    /// The same, unless another host has it.
    pub fn store_to_work_if_free(&self) -> Result<Option<(HostLock, SqliteStore)>, Diagnostic> {
        match HostLock::acquire(&self.db) {
            Err(QueueError::Locked { .. }) => Ok(None),
            Err(other) => Err(other.into()),
            Ok(lock) => Ok(Some((lock, SqliteStore::open_for_work(&self.db, Arc::new(SystemClock))?))),
        }
    }

    /// What handlers share.
    pub fn workshop(
        &self,
        sandbox: Sandbox,
        registry: Registry,
        generators: Generators,
        output_dir: PathBuf,
    ) -> Result<Arc<Workshop>, Diagnostic> {
        let artifacts = self.artifacts()?;
        artifacts.sweep_scratch()?;
        Ok(Arc::new(Workshop::new(sandbox, registry, generators, artifacts, output_dir)))
    }

    /// The configured graphics cards, or those that NVML finds.
    fn cards(&self) -> Vec<DeviceConfig> {
        self.config.devices.clone().unwrap_or_else(devices::found)
    }

    /// Where tasks run: one slot a pool, unless configured, and the graphics cards.
    pub fn places(&self) -> Vec<Place> {
        let slots = |pool: &str| self.config.slots.get(pool).copied();
        let own = ["plan", "encode"].map(|pool| Place::slots_of(pool, slots(pool).unwrap_or(1), 0));
        let cpu = Place::slots_of("cpu", slots("cpu").unwrap_or(1), PREPARE_AHEAD);
        let cards = self.cards();
        let mut places = Vec::from(own);
        places.push(cpu);
        // Without a card that is known of, tasks for one go to slots that somebody else vouches for.
        match (slots("gpu"), cards.is_empty()) {
            (None, true) => places.push(Place::slots_of("gpu", 1, PREPARE_AHEAD)),
            (Some(n), _) => places.push(Place::slots_of("gpu", n, PREPARE_AHEAD)),
            (None, false) => {}
        }
        for (name, recipe) in &self.config.generators {
            // Servers that are not one of this machine's cards.
            if let Some(slots) = recipe.own_slots().filter(|_| recipe.pool_of(name) == name) {
                places.push(Place::slots_of(name, slots, PREPARE_AHEAD));
            }
        }
        places.extend(cards.into_iter().map(|card| Place {
            name: card.name,
            slots: card.slots,
            ahead: PREPARE_AHEAD,
            memory_mb: card.memory_mb,
            pools: card.pools,
            cuda: card.cuda,
        }));
        places
    }
}
