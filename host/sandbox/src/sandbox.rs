//! The engine, its tick, its linkers, its cache.

use crate::code_cache::CodeCache;
use crate::error::PluginError;
use crate::host::HostState;
use crate::imports;
use crate::limits::{Limits, WASM_STACK_BYTES};
use crate::manifest::Wants;
use crate::ticker::Ticker;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine};

/// How plugins are run.
#[derive(Debug, Clone, Default)]
pub struct SandboxConfig {
    /// What one call may use, unless its plugin or the call itself asks for less.
    pub limits: Limits,
    /// Where compiled code is kept; `None` compiles at every start (a plugin takes some 100 ms).
    pub cache_dir: Option<PathBuf>,
}

/// Where plugins run. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    // Before the engine, so that the tick ends first.
    ticker: Ticker,
    engine: Engine,
    limits: Limits,
    cache: Option<CodeCache>,
    with_log: Linker<HostState>,
    without_log: Linker<HostState>,
}

impl Sandbox {
    /// Makes an engine and starts its tick.
    ///
    /// # Errors
    /// [`PluginError::Engine`] when this machine cannot run it, [`PluginError::CacheFolder`] when the cache's folder
    /// cannot be trusted.
    pub fn new(config: SandboxConfig) -> Result<Self, PluginError> {
        let failed = |e: wasmtime::Error| PluginError::Engine { reason: format!("{e:#}") };
        let engine = Engine::new(&engine_config()).map_err(failed)?;
        let ticker = Ticker::start(&engine).map_err(|e| PluginError::Engine { reason: e.to_string() })?;
        let cache = config.cache_dir.as_deref().map(|dir| CodeCache::open(dir, &engine)).transpose()?;
        let with_log = imports::linker(&engine, Wants { log: true }).map_err(failed)?;
        let without_log = imports::linker(&engine, Wants { log: false }).map_err(failed)?;
        Ok(Self(Arc::new(Inner { ticker, engine, limits: config.limits, cache, with_log, without_log })))
    }

    /// The limits of every call.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }

    /// Compiles, or takes from the cache.
    pub(crate) fn compile(&self, plugin: &str, digest: &blake3::Hash, wasm: &[u8]) -> Result<Component, PluginError> {
        let cache = self.0.cache.as_ref();
        if let Some(component) = cache.and_then(|cache| cache.get(&self.0.engine, digest)) {
            return Ok(component);
        }
        let component = Component::from_binary(&self.0.engine, wasm).map_err(|error| PluginError::NotAComponent {
            plugin: plugin.to_owned(),
            reason: format!("{:#}", error.root_cause()),
        })?;
        if let Some(cache) = cache {
            cache.put(digest, &component);
        }
        Ok(component)
    }

    /// Links a component with what its manifest asks for, and with nothing else.
    pub(crate) fn link(
        &self,
        plugin: &str,
        component: &Component,
        wants: Wants,
    ) -> Result<InstancePre<HostState>, PluginError> {
        imports::check(&self.0.engine, component, wants, plugin)?;
        let linker = if wants.log { &self.0.with_log } else { &self.0.without_log };
        linker.instantiate_pre(component).map_err(|error| PluginError::Incompatible {
            plugin: plugin.to_owned(),
            missing: vec![format!("{error:#}")],
            have: "what this host gives has another form".into(),
            want: "imports something".into(),
        })
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Calls are synchronous, on the caller's thread: a call into a guest costs a third of what it does with it.
        .concurrency_support(false)
        // Fuel bounds work and is the same everywhere; the epoch bounds time and lets a call be cancelled.
        .consume_fuel(true)
        .epoch_interruption(true)
        // The same plan on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(WASM_STACK_BYTES);
    config
}
