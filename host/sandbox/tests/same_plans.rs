//! The default strategies say the same as a plugin and as native code, and what they say passes the host's checks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod component;
mod requests;

use proptest::prelude::*;
use std::sync::LazyLock;
use travel_plugin::{Crossfade, Guide, Orchestrate};
use travel_sandbox::{CallContext, Plugin, PluginError, Sandbox};

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(component::sandbox);
static TRAVEL: LazyLock<Plugin> = LazyLock::new(|| component::travel(&SANDBOX));

use plugin_travel::Travel;

/// Bit-equal plans, or the same refusal. A plan that the host refuses is a failure of the strategy.
fn same<T: PartialEq + std::fmt::Debug>(
    plugin: Result<(T, travel_sandbox::CallReport), PluginError>,
    native: Result<T, travel::Refusal>,
) -> Result<bool, TestCaseError> {
    match (plugin, native) {
        (Ok((plugin, _)), Ok(native)) => {
            prop_assert_eq!(plugin, native);
            Ok(true)
        }
        (Err(PluginError::Refused { refusal, .. }), Err(native)) => {
            prop_assert_eq!(refusal, native);
            Ok(false)
        }
        (plugin, native) => Err(TestCaseError::fail(format!("plugin: {plugin:?}\nnative: {native:?}"))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn graphs_are_the_same(request in requests::orchestrate()) {
        let ctx = CallContext::new("run", "expand");
        let stills = request.stills.len() as u32;
        let legs = TRAVEL.legs(stills, request.continued.is_some(), &request.params, &ctx);
        same(legs, Travel::legs(stills, request.continued.is_some(), &request.params))?;
        same(TRAVEL.expand(&request, &ctx), Travel::expand(&request))?;
    }

    #[test]
    fn guides_are_the_same(request in requests::guide()) {
        let made = same(TRAVEL.guide(&request, &CallContext::new("run", "guide")), Travel::compose_guide(&request))?;
        prop_assert!(made, "every request that an orchestrator makes has a guide");
    }

    #[test]
    fn edit_lists_are_the_same(request in requests::crossfade()) {
        let plugin = TRAVEL.crossfade(&request, &CallContext::new("run", "stitch"));
        let made = same(plugin, Travel::compose_crossfade(&request))?;
        prop_assert!(made, "every request whose overlaps fit has an edit list");
    }
}

/// Both traits have a `compose`; these say which is meant.
trait Named {
    fn compose_guide(request: &travel::guide::Request) -> Result<travel::guide::Plan, travel::Refusal>;
    fn compose_crossfade(request: &travel::crossfade::Request) -> Result<travel::crossfade::Plan, travel::Refusal>;
}

impl Named for Travel {
    fn compose_guide(request: &travel::guide::Request) -> Result<travel::guide::Plan, travel::Refusal> {
        <Self as Guide>::compose(request)
    }
    fn compose_crossfade(request: &travel::crossfade::Request) -> Result<travel::crossfade::Plan, travel::Refusal> {
        <Self as Crossfade>::compose(request)
    }
}
