//! What handlers share: plugins, files, the output folder.

use crate::circuit::Circuits;
use crate::error::EngineError;
use crate::task::PluginRef;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use travel_artifacts::{Artifacts, Hash};
use travel_generators::Generators;
use travel_sandbox::{Plugin, Registry, Sandbox};

/// What handlers share.
pub struct Workshop {
    /// The plugins of this host.
    pub registry: Registry,
    /// Its generators.
    pub generators: Generators,
    /// Its files.
    pub artifacts: Artifacts,
    /// Where films go whose runs name no folder of their own; absolute.
    pub output_dir: PathBuf,
    pub(crate) circuits: Circuits,
    sandbox: Sandbox,
    /// Plugins of runs that began with others than this host has.
    stored: Mutex<HashMap<Hash, Arc<Plugin>>>,
}

impl Workshop {
    /// Over a sandbox, its plugins, generators and a folder of files.
    pub fn new(
        sandbox: Sandbox,
        registry: Registry,
        generators: Generators,
        artifacts: Artifacts,
        output_dir: PathBuf,
    ) -> Self {
        Self {
            registry,
            generators,
            artifacts,
            output_dir,
            circuits: Circuits::default(),
            sandbox,
            stored: Mutex::default(),
        }
    }

    /// A run's output path; a relative one is below the host's output folder.
    pub(crate) fn output_path(&self, path: &Path) -> PathBuf {
        self.output_dir.join(path)
    }

    /// The plugin that a task was given: this host's own if it is the same, else the one stored with the run.
    pub(crate) fn plugin(&self, wanted: &PluginRef) -> Result<Arc<Plugin>, EngineError> {
        let own = self.registry.plugins().find(|p| p.digest().as_bytes() == wanted.digest.as_bytes());
        if let Some(plugin) = own {
            return Ok(Arc::clone(plugin));
        }
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = stored.get(&wanted.digest) {
            return Ok(Arc::clone(plugin));
        }
        let wasm = self.artifacts.read(wanted.digest)?;
        let plugin = Arc::new(Plugin::from_bytes(&self.sandbox, wanted.manifest.clone(), wasm)?);
        stored.insert(wanted.digest, Arc::clone(&plugin));
        Ok(plugin)
    }
}
