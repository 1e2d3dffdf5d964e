//! One call: a fresh store, bounded, and dropped.

use crate::call::{CallContext, CallReport};
use crate::error::{Function, PluginError};
use crate::host::{HostState, Lines};
use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::log_budget::{LogBudget, Speaker};
use crate::ticker::Ticker;
use crate::trap::{self, Stop};
use crate::wasi::Random;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Engine, Store, UpdateDeadline};

/// What every call of a plugin shares.
pub(crate) struct Callee<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) ticker: &'a Ticker,
    pub(crate) pre: &'a InstancePre<HostState>,
    pub(crate) plugin: &'a Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) logs: bool,
}

/// Runs `body` against a fresh instance under the limits. `answer_bytes` is what an honest answer may need: a long film
/// has a long plan, whatever the limit on data says.
pub(crate) fn call<R>(
    callee: &Callee<'_>,
    function: Function,
    ctx: &CallContext,
    answer_bytes: u64,
    body: impl FnOnce(&mut Store<HostState>, &Instance) -> wasmtime::Result<R>,
) -> Result<(R, CallReport), PluginError> {
    let started = Instant::now();
    let limits = callee.limits.lowered_by(&ctx.limits);
    let data_bytes = limits.data_bytes.max(answer_bytes);
    if ctx.cancel.is_set() {
        return Err(PluginError::Cancelled { plugin: callee.plugin.to_string(), function });
    }
    let _ticking = callee.ticker.while_running();
    let mut store = store(callee, ctx, limits, started, data_bytes)
        .map_err(|e| PluginError::Engine { reason: format!("{e:#}") })?;
    let result = callee.pre.instantiate(&mut store).and_then(|instance| body(&mut store, &instance));
    store.data_mut().close_log();
    let wall = started.elapsed();
    let left = store.get_fuel().unwrap_or(0);
    let state = store.data();
    match result {
        Ok(answer) => {
            let report = CallReport {
                fuel_used: limits.fuel.saturating_sub(left),
                peak_memory: state.limiter.peak_memory(),
                wall,
                log_lines: state.log.kept(),
            };
            Ok((answer, report))
        }
        Err(error) => {
            let used_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
            Err(trap::classify(&error, callee.plugin, function, used_ms, data_bytes, state))
        }
    }
}

fn store(
    callee: &Callee<'_>,
    ctx: &CallContext,
    limits: Limits,
    started: Instant,
    data_bytes: u64,
) -> wasmtime::Result<Store<HostState>> {
    let deadline = started + Duration::from_millis(u64::from(limits.wall_ms));
    let speaker = Speaker { run: ctx.run.clone(), task: ctx.task.clone(), plugin: callee.plugin.clone() };
    let state = HostState {
        limiter: Limiter::new(limits),
        log: LogBudget::new(speaker, &limits),
        logs: callee.logs,
        cancel: ctx.cancel.clone(),
        deadline,
        random: Random(0),
        output: Lines::new(limits.log_line_bytes),
        errors: Lines::new(limits.log_line_bytes),
    };
    let mut store = Store::new(callee.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_fuel(limits.fuel)?;
    store.set_hostcall_fuel(usize::try_from(data_bytes).unwrap_or(usize::MAX));
    store.set_max_component_handles(limits.handles as usize);
    // Armed for the next tick, and again at each: one tick is the latency of a cancellation.
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |store| {
        let state = store.data();
        if state.cancel.is_set() {
            return Err(wasmtime::Error::from(Stop::Cancelled));
        }
        if Instant::now() >= state.deadline {
            return Err(wasmtime::Error::from(Stop::Deadline));
        }
        Ok(UpdateDeadline::Continue(1))
    });
    Ok(store)
}
