//! One loaded component, and what it can be asked.

mod answer_bytes;
mod load;

use crate::bindings::contract::exports::travel::plugin::{crossfade as c, guide as g, orchestrate as o};
use crate::bindings::contract::travel::host::media;
use crate::call::{CallContext, CallReport};
use crate::convert;
use crate::error::{Function, PluginError};
use crate::host::HostState;
use crate::limits::{Limits, MAX_LEGS};
use crate::manifest::Manifest;
use crate::params::Schemas;
use crate::run::{self, Callee};
use crate::sandbox::Sandbox;
use crate::shown::shown;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use travel::{InvalidPlan, Role, crossfade, guide, orchestrate};
use wasmtime::component::InstancePre;

/// BLAKE3 of a component's bytes; written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(blake3::Hash);

impl Digest {
    /// The digest of a component's bytes.
    #[must_use]
    pub fn of(wasm: &[u8]) -> Self {
        Self(blake3::hash(wasm))
    }

    /// As bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// A component that was compiled, linked with what it may use, asked what it is, and whose roles are known.
pub struct Plugin {
    sandbox: Sandbox,
    id: Arc<str>,
    manifest: Manifest,
    folder: Option<PathBuf>,
    digest: Digest,
    wasm: Arc<[u8]>,
    limits: Limits,
    pre: InstancePre<HostState>,
    orchestrate: Option<o::GuestIndices>,
    guide: Option<g::GuestIndices>,
    crossfade: Option<c::GuestIndices>,
    schemas: Schemas,
}

impl Plugin {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its manifest says.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder that it was loaded from; `None` when it was loaded from memory.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The digest of its component.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its component, as it was read.
    #[must_use]
    pub fn wasm(&self) -> &Arc<[u8]> {
        &self.wasm
    }

    /// What one of its calls may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The roles that it answers.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| self.answers(*role)).collect()
    }

    /// Whether it answers a role.
    #[must_use]
    pub fn answers(&self, role: Role) -> bool {
        match role {
            Role::Orchestrate => self.orchestrate.is_some(),
            Role::Guide => self.guide.is_some(),
            Role::Crossfade => self.crossfade.is_some(),
        }
    }

    /// The JSON Schema of a role's parameters; `None` when it takes none.
    #[must_use]
    pub fn params_schema(&self, role: Role) -> Option<&Value> {
        self.schemas.schema(role)
    }

    /// Checks parameters as every call does, so that a run with wrong ones is refused when it is submitted.
    ///
    /// # Errors
    /// [`PluginError::LacksRole`], [`PluginError::Params`].
    pub fn check_params(&self, role: Role, params: &str) -> Result<(), PluginError> {
        self.must_answer(role)?;
        self.schemas.check(&self.id, role, params)
    }

    pub(crate) fn must_answer(&self, role: Role) -> Result<(), PluginError> {
        if self.answers(role) { Ok(()) } else { Err(self.lacks(role)) }
    }

    fn lacks(&self, role: Role) -> PluginError {
        PluginError::LacksRole { plugin: self.id.to_string(), role, has: self.roles() }
    }

    fn callee(&self) -> Callee<'_> {
        Callee {
            engine: self.sandbox.engine(),
            ticker: self.sandbox.ticker(),
            pre: &self.pre,
            plugin: &self.id,
            limits: self.limits,
            logs: self.manifest.wants.log,
        }
    }

    /// How many legs a run of so many stills has; 1 to [`MAX_LEGS`].
    ///
    /// # Errors
    /// [`PluginError`]; any arm of a call.
    pub fn legs(
        &self,
        stills: u32,
        continued: bool,
        params: &str,
        ctx: &CallContext,
    ) -> Result<(u32, CallReport), PluginError> {
        let face = self.orchestrate.as_ref().ok_or_else(|| self.lacks(Role::Orchestrate))?;
        self.schemas.check(&self.id, Role::Orchestrate, params)?;
        let (answer, report) = run::call(&self.callee(), Function::Legs, ctx, 0, |store, instance| {
            face.load(&mut *store, instance)?.call_legs(&mut *store, stills, continued, params)
        })?;
        let legs = answer.map_err(|r| self.refused(Function::Legs, r))?;
        if !(1..=MAX_LEGS).contains(&legs) {
            let reason = format!("{legs} legs; a run has 1 to {MAX_LEGS}");
            return Err(self.invalid(Role::Orchestrate, InvalidPlan::new("legs", reason)));
        }
        Ok((legs, report))
    }

    /// One run → a graph of tasks, checked against the request.
    ///
    /// # Errors
    /// [`PluginError`]; any arm of a call.
    pub fn expand(
        &self,
        request: &orchestrate::Request,
        ctx: &CallContext,
    ) -> Result<(orchestrate::Graph, CallReport), PluginError> {
        let face = self.orchestrate.as_ref().ok_or_else(|| self.lacks(Role::Orchestrate))?;
        self.schemas.check(&self.id, Role::Orchestrate, &request.params)?;
        let asked = convert::orchestrate_request(request);
        let data = answer_bytes::graph(request);
        let (answer, report) = run::call(&self.callee(), Function::Expand, ctx, data, |store, instance| {
            face.load(&mut *store, instance)?.call_expand(&mut *store, &asked)
        })?;
        let graph = convert::graph(answer.map_err(|r| self.refused(Function::Expand, r))?);
        graph.check(request).map_err(|e| self.invalid(Role::Orchestrate, e))?;
        Ok((graph, report))
    }

    /// One segment → what its guide shows and what the generator keeps, checked against the request.
    ///
    /// # Errors
    /// [`PluginError`]; any arm of a call.
    pub fn guide(&self, request: &guide::Request, ctx: &CallContext) -> Result<(guide::Plan, CallReport), PluginError> {
        let face = self.guide.as_ref().ok_or_else(|| self.lacks(Role::Guide))?;
        self.schemas.check(&self.id, Role::Guide, &request.params)?;
        let asked = convert::guide_request(request);
        let data = answer_bytes::guide(request);
        let (answer, report) = run::call(&self.callee(), Function::Guide, ctx, data, |store, instance| {
            face.load(&mut *store, instance)?.call_compose(&mut *store, &asked)
        })?;
        let plan = answer.map_err(|r| self.refused(Function::Guide, r))?;
        let plan = convert::guide_plan(plan).map_err(|e| self.invalid(Role::Guide, e))?;
        plan.check(request).map_err(|e| self.invalid(Role::Guide, e))?;
        Ok((plan, report))
    }

    /// All clips → the film's edit list, checked against the request.
    ///
    /// # Errors
    /// [`PluginError`]; any arm of a call.
    pub fn crossfade(
        &self,
        request: &crossfade::Request,
        ctx: &CallContext,
    ) -> Result<(crossfade::Plan, CallReport), PluginError> {
        let face = self.crossfade.as_ref().ok_or_else(|| self.lacks(Role::Crossfade))?;
        self.schemas.check(&self.id, Role::Crossfade, &request.params)?;
        let asked = convert::crossfade_request(request);
        let data = answer_bytes::crossfade(request);
        let (answer, report) = run::call(&self.callee(), Function::Crossfade, ctx, data, |store, instance| {
            face.load(&mut *store, instance)?.call_compose(&mut *store, &asked)
        })?;
        let plan = answer.map_err(|r| self.refused(Function::Crossfade, r))?;
        let plan = convert::crossfade_plan(plan).map_err(|e| self.invalid(Role::Crossfade, e))?;
        plan.check(request).map_err(|e| self.invalid(Role::Crossfade, e))?;
        Ok((plan, report))
    }

    fn refused(&self, function: Function, r: media::Refusal) -> PluginError {
        PluginError::Refused { plugin: self.id.to_string(), function, refusal: convert::refusal(r) }
    }

    /// The error for a plan of this plugin that breaks a rule; for the rules that only the caller knows.
    #[must_use]
    pub fn invalid(&self, role: Role, invalid: InvalidPlan) -> PluginError {
        // The reason quotes the plan.
        let invalid = InvalidPlan::new(shown(&invalid.path), shown(&invalid.reason));
        PluginError::InvalidPlan { plugin: self.id.to_string(), role, invalid }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("id", &self.id)
            .field("digest", &self.digest.to_string())
            .field("roles", &self.roles())
            .finish_non_exhaustive()
    }
}
