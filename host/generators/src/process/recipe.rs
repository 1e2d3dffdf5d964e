//! How a program is started, and how much patience it is given.

use super::wan2gp::Wan2gp;
use super::{Process, Warm};
use crate::comfyui::{Comfyui, ComfyuiServers};
use crate::farm::{Farm, RenderFarm};
use crate::generator::{GPU, Generator};
use crate::limits;
use crate::policy::{Circuit, Policy, Rung};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Variables that every program is given, where the host has them: enough to find programs, homes and words.
pub const PASSED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
];

/// A generator that is a program of its own: `[generators.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The program and its arguments; no shell reads them.
    #[serde(default)]
    pub command: Vec<String>,
    /// Wan2GP instead of a command.
    #[serde(default)]
    pub wan2gp: Option<Wan2gp>,
    /// ComfyUI servers instead of a command.
    #[serde(default)]
    pub comfyui: Option<Comfyui>,
    /// A render farm instead of a command.
    #[serde(default)]
    pub farm: Option<Farm>,
    /// Where it runs; the folder of the configuration when missing.
    #[serde(default)]
    pub working_dir: Option<PathBuf>,
    /// The pool whose slots its tasks compete for; [`Recipe::pool_of`] says which when missing.
    #[serde(default)]
    pub pool: Option<String>,
    /// The model to load, of those that it names; its first when missing.
    #[serde(default)]
    pub model: Option<String>,
    /// Settings that hold unless the run says otherwise.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Variables that are set for it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the host that it is given besides [`PASSED`].
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// Until its first word.
    #[serde(default = "start", deserialize_with = "duration")]
    pub start: Duration,
    /// Between two signs of life.
    #[serde(default = "silence", deserialize_with = "duration")]
    pub silence: Duration,
    /// Between the request to stop and the end of its process group.
    #[serde(default = "grace", deserialize_with = "duration")]
    pub grace: Duration,
    /// How long it is kept without work.
    #[serde(default = "idle", deserialize_with = "duration")]
    pub idle: Duration,
    /// What the kernel lets it have.
    #[serde(default)]
    pub limits: ResourceLimits,
    /// Whether a clip in which nothing moves is let pass, though its anchors differ.
    #[serde(default)]
    pub allow_still: bool,
    /// Whether the frames that the guide gave are put back over those that it returns.
    #[serde(default)]
    pub paste_known: bool,
    /// What is changed when memory does not suffice, one rung for each time that it does not.
    #[serde(default)]
    pub out_of_memory: Vec<Rung>,
    /// Who renders instead, in this order, when it cannot.
    #[serde(default)]
    pub fallback: Vec<String>,
    /// When it is left alone for a while.
    #[serde(default)]
    pub circuit: Circuit,
}

/// Pools of this machine's cards, and how much memory a task of each may have, MiB; the most suitable first.
#[derive(Debug, Clone, Default)]
pub struct CardPools(pub Vec<(String, u64)>);

/// Limits that the kernel enforces on the program and whatever it starts; none unless set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResourceLimits {
    /// Address space of a process, MiB; CUDA needs far more of it than memory.
    pub address_space_mb: Option<u64>,
    /// Largest file, MiB.
    pub file_mb: Option<u64>,
    /// Files open at once.
    pub open_files: Option<u64>,
}

impl Recipe {
    /// For this command, everything else as usual.
    #[must_use]
    pub fn of(command: Vec<String>) -> Self {
        Self {
            command,
            wan2gp: None,
            comfyui: None,
            farm: None,
            working_dir: None,
            pool: None,
            model: None,
            settings: Map::new(),
            env: BTreeMap::new(),
            pass_env: Vec::new(),
            start: start(),
            silence: silence(),
            grace: grace(),
            idle: idle(),
            limits: ResourceLimits::default(),
            allow_still: false,
            paste_known: false,
            out_of_memory: Vec::new(),
            fallback: Vec::new(),
            circuit: Circuit::default(),
        }
    }

    /// How its work is judged, and what becomes of its failures.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            allow_still: self.allow_still,
            paste_known: self.paste_known,
            out_of_memory: self.out_of_memory.clone(),
            fallback: self.fallback.clone(),
            circuit: self.circuit,
        }
    }

    /// Fills in what the configuration leaves open; what is wrong with it, in a sentence. Paths are relative to `folder`.
    pub fn prepare(&mut self, folder: &Path) -> Option<String> {
        if let Some(wan2gp) = self.wan2gp.clone()
            && let Some(fault) = wan2gp.prepare(self, folder)
        {
            return Some(fault);
        }
        let is_program = !self.command.is_empty() || self.wan2gp.is_some();
        if [is_program, self.comfyui.is_some(), self.farm.is_some()].iter().filter(|one| **one).count() > 1 {
            return Some("command, wan2gp, comfyui and farm are four ways to render; choose one".to_owned());
        }
        if let Some(comfyui) = &mut self.comfyui {
            return comfyui.prepare(folder);
        }
        if let Some(farm) = &self.farm {
            return farm.fault();
        }
        if self.command.first().is_none_or(String::is_empty) {
            return Some(
                "it has no command, a list of a program and its arguments, and is neither wan2gp, comfyui nor farm"
                    .to_owned(),
            );
        }
        let times = [("start", self.start), ("silence", self.silence), ("grace", self.grace)];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Some(format!("{name} is 0; it is a time such as `30s` or `10m`"));
        }
        let own = self.working_dir.as_ref().map_or_else(|| folder.to_owned(), |own| folder.join(own));
        let own = if own.as_os_str().is_empty() { PathBuf::from(".") } else { own };
        if !own.is_dir() {
            return Some(format!("working-dir {} is no folder", own.display()));
        }
        self.working_dir = Some(own);
        None
    }

    /// The pool of the generator of this name: servers have slots of their own, everything else wants a graphics card.
    #[must_use]
    pub fn pool_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.pool.as_deref().unwrap_or(if self.own_slots().is_some() { name } else { GPU })
    }

    /// The pool of a program that wants so much of a card's memory, MiB; what is wrong, in a sentence.
    pub(super) fn pool_with<'a>(
        &'a self,
        name: &'a str,
        memory_mb: Option<u64>,
        pools: &'a CardPools,
    ) -> Result<&'a str, String> {
        let largest = pools.0.iter().max_by_key(|(_, memory)| *memory);
        let (Some(wanted), None, Some((largest, most))) = (memory_mb, &self.pool, largest) else {
            return Ok(self.pool_of(name));
        };
        let fits = pools.0.iter().find(|(_, memory)| *memory >= wanted);
        fits.map(|(pool, _)| pool.as_str()).ok_or_else(|| {
            format!(
                "it wants {wanted} MiB of a card's memory; the largest pool of the devices, {largest}, gives {most}"
            )
        })
    }

    /// How many jobs at a time its servers do; nothing for a program, which runs on this machine.
    #[must_use]
    pub fn own_slots(&self) -> Option<u32> {
        let servers = |comfyui: &Comfyui| u32::try_from(comfyui.servers.len()).unwrap_or(u32::MAX);
        self.comfyui.as_ref().map(servers).or(self.farm.as_ref().map(|farm| farm.jobs))
    }

    /// The generator; nothing is started or asked yet.
    #[must_use]
    pub fn generator(&self, name: &str, warm: &Warm, pools: &CardPools) -> Arc<dyn Generator> {
        if let Some(servers) = self.servers(name) {
            return Arc::new(servers);
        }
        match self.render_farm(name) {
            Some(farm) => Arc::new(farm),
            None => Arc::new(Process::new(name, self.clone(), warm.clone()).on(pools.clone())),
        }
    }

    /// The farm, if it is one.
    #[must_use]
    pub fn render_farm(&self, name: &str) -> Option<RenderFarm> {
        let farm = self.farm.clone()?;
        let (pool, model) = (self.pool_of(name), self.model.clone());
        Some(RenderFarm::new(name, farm, pool, model, self.settings.clone(), self.silence))
    }

    /// The servers, if it is ComfyUI that renders.
    #[must_use]
    pub fn servers(&self, name: &str) -> Option<ComfyuiServers> {
        let comfyui = self.comfyui.clone()?;
        ComfyuiServers::new(name, comfyui, self.pool_of(name), self.settings.clone(), self.silence)
    }

    /// The command as people read it: a program that is given as text is left out.
    pub(super) fn shown(&self) -> String {
        let words = self.command.iter().map(|word| if word.contains('\n') { "…" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }
}

fn start() -> Duration {
    limits::START
}

fn silence() -> Duration {
    limits::SILENCE
}

fn grace() -> Duration {
    limits::GRACE
}

fn idle() -> Duration {
    limits::IDLE
}

/// Reads a time as people write it, such as `30s`.
///
/// # Errors
/// A text that is none.
pub fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text).map_err(|e| serde::de::Error::custom(format!("`{text}` is no time: {e}")))
}
