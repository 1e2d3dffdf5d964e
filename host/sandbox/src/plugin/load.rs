//! From bytes to a plugin: compiled, linked, asked what it is, its roles known.

use super::{Digest, Plugin};
use crate::bindings::CONTRACT_VERSION;
use crate::bindings::contract::exports::travel::plugin::{crossfade as c, describe as d, guide as g, orchestrate as o};
use crate::call::CallContext;
use crate::error::{Function, PluginError};
use crate::folder;
use crate::limits::MAX_WASM_BYTES;
use crate::manifest::{FILE_NAME, Manifest, is_id};
use crate::params::Schemas;
use crate::run;
use crate::sandbox::Sandbox;
use crate::shown::shown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use travel::Role;

impl Plugin {
    /// Loads the plugin of a folder: its `plugin.toml`, and the component named there, which is read once and must lie
    /// below the folder.
    ///
    /// # Errors
    /// Everything that [`Plugin::from_bytes`] refuses, and [`PluginError::MissingFolder`], [`PluginError::Manifest`],
    /// [`PluginError::TooLarge`], [`PluginError::Io`].
    pub fn load_dir(sandbox: &Sandbox, path: &Path) -> Result<Self, PluginError> {
        let dir = folder::open(path)?;
        let (manifest, wasm) = folder::read(&dir, path)?;
        Self::load(sandbox, manifest, wasm.into(), Some(path.to_owned()))
    }

    /// Loads a component from memory: the one embedded in the host, or one that is kept in a store.
    ///
    /// # Errors
    /// [`PluginError::NotAComponent`], [`PluginError::Incompatible`] when it imports more than is granted or its roles
    /// are not those of the manifest, [`PluginError::Description`], and what its `describe` runs into.
    pub fn from_bytes(sandbox: &Sandbox, manifest: Manifest, wasm: impl Into<Arc<[u8]>>) -> Result<Self, PluginError> {
        Self::load(sandbox, manifest, wasm.into(), None)
    }

    fn load(
        sandbox: &Sandbox,
        manifest: Manifest,
        wasm: Arc<[u8]>,
        folder: Option<PathBuf>,
    ) -> Result<Self, PluginError> {
        let manifest_path = || folder.clone().unwrap_or_default().join(FILE_NAME);
        if !is_id(&manifest.id) {
            let reason = format!("id `{}` is not allowed", manifest.id);
            return Err(PluginError::Manifest { path: manifest_path(), reason });
        }
        if wasm.len() as u64 > MAX_WASM_BYTES {
            let path = folder.unwrap_or_default().join(&manifest.component);
            return Err(PluginError::TooLarge { path, size: wasm.len() as u64, allowed: MAX_WASM_BYTES });
        }
        let id: Arc<str> = manifest.id.as_str().into();
        let digest = Digest::of(&wasm);
        let component = sandbox.compile(&id, &digest.0, &wasm)?;
        let pre = sandbox.link(&id, &component, manifest.wants)?;
        let mut plugin = Self {
            sandbox: sandbox.clone(),
            limits: sandbox.limits().lowered_by(&manifest.limits),
            orchestrate: o::GuestIndices::new(&pre).ok(),
            guide: g::GuestIndices::new(&pre).ok(),
            crossfade: c::GuestIndices::new(&pre).ok(),
            schemas: Schemas::default(),
            id,
            manifest,
            folder,
            digest,
            wasm,
            pre,
        };
        plugin.check_roles()?;
        plugin.schemas = plugin.describe()?;
        Ok(plugin)
    }

    /// The binary is the truth; a manifest that says otherwise is an error.
    fn check_roles(&self) -> Result<(), PluginError> {
        for role in Role::ALL {
            let (said, done) = (self.manifest.roles.has(role), self.answers(role));
            if said == done {
                continue;
            }
            let engine = self.sandbox.engine();
            let ty = self.pre.component().component_type();
            let exports: Vec<String> = ty.exports(engine).map(|(name, _)| format!("`{name}`")).collect();
            let (have, want) = if said {
                (
                    format!("the component exports {}", exports.join(", ")),
                    format!("says in plugin.toml that it answers {role}"),
                )
            } else {
                ("plugin.toml does not say so".to_owned(), format!("exports {role}"))
            };
            return Err(PluginError::Incompatible {
                plugin: self.id.to_string(),
                missing: vec![format!("travel:plugin/{role}@{}", CONTRACT_VERSION)],
                have,
                want,
            });
        }
        Ok(())
    }

    /// Asks what it is; and, while an instance is at hand, whether its functions have the contract's types.
    fn describe(&self) -> Result<Schemas, PluginError> {
        let indices = d::GuestIndices::new(&self.pre).map_err(|e| self.misfit(&e))?;
        let ctx = CallContext::new("", "load");
        let ((about, misfit), _) = run::call(&self.callee(), Function::Describe, &ctx, 0, |store, instance| {
            let about = indices.load(&mut *store, instance)?.call_describe(&mut *store)?;
            let mut typed = Ok(());
            if let Some(face) = &self.orchestrate {
                typed = typed.and(face.load(&mut *store, instance).map(drop));
            }
            if let Some(face) = &self.guide {
                typed = typed.and(face.load(&mut *store, instance).map(drop));
            }
            if let Some(face) = &self.crossfade {
                typed = typed.and(face.load(&mut *store, instance).map(drop));
            }
            Ok((about, typed.err()))
        })?;
        if let Some(error) = misfit {
            return Err(self.misfit(&error));
        }
        let invalid = |reason| PluginError::Description { plugin: self.id.to_string(), reason };
        if about.name != *self.id {
            let name = shown(&about.name);
            return Err(invalid(format!("it calls itself `{name}`, but plugin.toml has the id `{}`", self.id)));
        }
        Schemas::compile(about.params_schemas).map_err(|reason| invalid(shown(&reason)))
    }

    fn misfit(&self, error: &wasmtime::Error) -> PluginError {
        PluginError::Incompatible {
            plugin: self.id.to_string(),
            missing: vec![format!("{error:#}")],
            have: format!("this host speaks {}", CONTRACT_VERSION),
            want: "speaks another form of travel:plugin".into(),
        }
    }
}
