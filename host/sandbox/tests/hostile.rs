//! What a plugin does wrong ends its call with the right error, within its limit, and the host goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod component;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use travel::{Dims, Grid, KeyFrame, MediumId, MediumInfo, MediumKind, Place, Rate, crossfade, guide};
use travel_sandbox::{Blame, CallContext, LimitOverrides, Limits, Plugin, PluginError, Sandbox};

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(component::sandbox);
static HOSTILE: LazyLock<Plugin> = LazyLock::new(|| component::hostile(&SANDBOX));
static TRAVEL: LazyLock<Plugin> = LazyLock::new(|| component::travel(&SANDBOX));

/// Far more than any of these may take, far less than a hang: the machine may be busy.
const SLACK: Duration = Duration::from_secs(60);

fn request(params: &str) -> guide::Request {
    let still = |id| MediumInfo {
        id: MediumId(id),
        kind: MediumKind::Still,
        dims: Dims { width: 64, height: 64 },
        frames: 1,
        rate: Rate::STILL,
    };
    guide::Request {
        place: Place { index: 0, of: 1, new: 17, overlap: 0, total: 17 },
        canvas: Dims { width: 64, height: 64 },
        rate: Rate { num: 16, den: 1 },
        key_frames: vec![KeyFrame { at: 0, still: MediumId(0), strength: 1.0, hold: 1 }],
        previous: None,
        next: None,
        grid: Grid::WAN,
        media: vec![still(0), still(1)],
        params: params.into(),
    }
}

fn call(misdeed: &str, ctx: &CallContext) -> Result<guide::Plan, PluginError> {
    let started = Instant::now();
    let params = format!(r#"{{"do":"{misdeed}"}}"#);
    let result = HOSTILE.guide(&request(&params), ctx).map(|(plan, _)| plan);
    assert!(started.elapsed() < SLACK, "{misdeed} took {:?}", started.elapsed());
    // The host, and the very same plugin, go on.
    HOSTILE.guide(&request("{}"), &CallContext::new("run", "after")).unwrap();
    TRAVEL.guide(&request("{}"), &CallContext::new("run", "after")).unwrap();
    result
}

fn error(misdeed: &str) -> PluginError {
    call(misdeed, &CallContext::new("run", misdeed)).expect_err(misdeed)
}

#[test]
fn an_endless_loop_runs_out_of_time_or_of_fuel() {
    let time = LimitOverrides { wall_ms: Some(100), ..LimitOverrides::default() };
    let unbounded = SandboxWith::fuel(u64::MAX);
    let ctx = CallContext::new("run", "spin").limited_to(time);
    let error = unbounded.0.guide(&request(r#"{"do":"spin"}"#), &ctx).unwrap_err();
    assert!(matches!(error, PluginError::Timeout { allowed_ms: 100, used_ms: 100.., .. }), "{error}");
    assert!(error.is_retryable());

    let fuel = LimitOverrides { fuel: Some(1_000_000), ..LimitOverrides::default() };
    let error = call("spin", &CallContext::new("run", "spin").limited_to(fuel)).unwrap_err();
    assert!(matches!(error, PluginError::CpuBudget { allowed: 1_000_000, .. }), "{error}");
    assert_eq!((error.code(), error.blame(), error.is_retryable()), ("plugin_cpu_budget", Blame::Plugin, false));
}

/// The hostile plugin in a sandbox of its own.
struct SandboxWith(Plugin);

impl SandboxWith {
    fn fuel(fuel: u64) -> Self {
        let limits = Limits { fuel, ..Limits::default() };
        let sandbox = Sandbox::new(travel_sandbox::SandboxConfig { limits, cache_dir: None }).unwrap();
        Self(component::hostile(&sandbox))
    }
}

#[test]
fn cancelling_stops_a_guest_that_never_asks() {
    let cancel = Arc::new(AtomicBool::new(false));
    let plugin = SandboxWith::fuel(u64::MAX).0;
    let params = request(r#"{"do":"spin"}"#);
    let ctx = CallContext::new("run", "spin").cancelled_by(cancel.clone());
    let error = std::thread::scope(|scope| {
        let call = scope.spawn(|| plugin.guide(&params, &ctx).unwrap_err());
        cancel.store(true, Ordering::Relaxed);
        call.join().unwrap()
    });
    assert!(matches!(error, PluginError::Cancelled { .. } | PluginError::Timeout { .. }), "{error}");
    let error = HOSTILE.guide(&request("{}"), &ctx).unwrap_err();
    assert!(matches!(error, PluginError::Cancelled { .. }), "a call that is cancelled before it begins: {error}");
}

#[test]
fn a_guest_that_asks_learns_that_its_time_is_over() {
    let ctx =
        CallContext::new("run", "polite").limited_to(LimitOverrides { wall_ms: Some(30), ..LimitOverrides::default() });
    match call("spin-politely", &ctx) {
        Ok(_) | Err(PluginError::Timeout { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn memory_without_end_is_refused_with_what_was_wanted() {
    let error = error("allocate");
    let PluginError::MemoryLimit { wanted, allowed, limit, .. } = error else { panic!("{error}") };
    assert_eq!((allowed, limit), (64 << 20, "memory-bytes"));
    assert!(wanted > allowed && wanted < 2 * allowed);
}

#[test]
fn a_crash_says_what_the_plugin_said() {
    let error = error("trap");
    let PluginError::Crashed { trap, frames, .. } = &error else { panic!("{error}") };
    assert!(trap.contains("index out of bounds: the len is 3 but the index is 17"), "{trap}");
    assert_eq!(frames[0], "travel_test_guests::misdeeds::trap", "{frames:?}");
    assert!(matches!(self::error("exit"), PluginError::Crashed { .. }));
}

#[test]
fn recursion_uses_up_the_plugin_s_stack_and_not_the_host_s() {
    let error = error("recurse");
    assert!(matches!(error, PluginError::StackLimit { allowed: 524_288, .. }), "{error}");
}

#[test]
fn plans_that_break_the_contract_name_the_place() {
    for (misdeed, place) in [
        ("not-a-number", "layers[0].opacity"),
        ("overflow", "keep[0]"),
        ("out-of-order", "keep[1]"),
        ("foreign-medium", "layers[0].medium"),
        ("layers", "layers"),
    ] {
        let error = error(misdeed);
        let PluginError::InvalidPlan { invalid, .. } = &error else { panic!("{misdeed}: {error}") };
        assert_eq!(invalid.path, place, "{misdeed}");
        assert_eq!((error.code(), error.blame()), ("plugin_invalid_plan", Blame::Plugin));
    }
}

#[test]
fn an_edit_list_without_steps_is_refused() {
    let clip = MediumInfo {
        id: MediumId(0),
        kind: MediumKind::Clip,
        dims: Dims { width: 64, height: 64 },
        frames: 9,
        rate: Rate { num: 16, den: 1 },
    };
    let request = crossfade::Request { clips: vec![clip], joins: vec![], rate: clip.rate, params: "{}".into() };
    let error = HOSTILE.crossfade(&request, &CallContext::new("run", "stitch")).unwrap_err();
    assert!(error.to_string().contains("the film has 0 frames instead of 9"), "{error}");
}

#[test]
fn too_much_data_is_refused_before_the_host_holds_it() {
    for misdeed in ["giant", "giant-log"] {
        let error = error(misdeed);
        assert!(matches!(error, PluginError::DataLimit { allowed: 4_194_304, .. }), "{misdeed}: {error}");
    }
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    let params = request(r#"{"do":"flood"}"#);
    let (_, report) = HOSTILE.guide(&params, &CallContext::new("run", "flood")).unwrap();
    assert_eq!(report.log_lines, 256);
    let (_, report) = HOSTILE.guide(&request(r#"{"do":"print"}"#), &CallContext::new("run", "print")).unwrap();
    assert_eq!(report.log_lines, 2, "output becomes log lines");
}

#[test]
fn sleeping_is_over_at_once_because_the_clock_stands() {
    // Whether the guest gives up or spins on a clock that never moves, it does not hold the host for an hour.
    match call("sleep", &CallContext::new("run", "sleep")) {
        Ok(_) | Err(PluginError::Timeout { .. } | PluginError::CpuBudget { .. } | PluginError::Crashed { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_refusal_reaches_the_user_in_the_plugin_s_words() {
    let error = error("refuse");
    assert_eq!(error.to_string(), "plugin `hostile` declines guide.compose: parameter `/do`: I would rather not");
    assert_eq!((error.code(), error.blame()), ("plugin_refused", Blame::Caller));
}

#[test]
fn the_same_call_has_the_same_randomness_and_uses_the_same_fuel() {
    let params = request(r#"{"do":"random"}"#);
    let ctx = CallContext::new("run", "random");
    let (first, one) = HOSTILE.guide(&params, &ctx).unwrap();
    let (second, two) = HOSTILE.guide(&params, &ctx).unwrap();
    assert_eq!((first, one.fuel_used), (second, two.fuel_used));
    assert!(one.fuel_used > 0 && one.peak_memory > 0);
}

#[test]
fn parameters_are_checked_before_the_plugin_is_asked() {
    let error = HOSTILE.guide(&request(r#"{"do":3}"#), &CallContext::new("run", "params")).unwrap_err();
    assert!(matches!(&error, PluginError::Params { pointer, .. } if pointer == "/do"), "{error}");
    assert!(HOSTILE.check_params(travel::Role::Crossfade, "{}").is_ok());
    assert!(HOSTILE.check_params(travel::Role::Crossfade, r#"{"x":1}"#).is_err());
    assert!(matches!(HOSTILE.check_params(travel::Role::Orchestrate, "{}"), Err(PluginError::LacksRole { .. })));
}
