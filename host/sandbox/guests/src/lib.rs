//! A hostile plugin for the sandbox's tests: its parameters choose what it does wrong. One component is the whole zoo.
//!
//! `{"do": "…"}` with, for `guide`: `nothing`, `spin`, `spin-politely`, `allocate`, `trap`, `recurse`, `not-a-number`,
//! `overflow`, `flood`, `giant`, `giant-log`, `foreign-medium`, `out-of-order`, `exit`, `print`, `refuse`, `sleep`,
//! `random`, `layers`. `crossfade` answers a plan of no steps.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nobody calls it"))]

mod misdeeds;

use travel_plugin::travel::guide::{self, Plan};
use travel_plugin::travel::{MediumId, Refusal, Span, Weight, crossfade};

struct Hostile;

/// Anything goes: what is wrong is found when it is done.
const SCHEMA: &str = r#"{"type":"object","properties":{"do":{"type":"string"}}}"#;

travel_plugin::export! {
    name: "hostile",
    guide: Hostile,
    crossfade: Hostile,
    params: { guide: SCHEMA }
}

impl travel_plugin::Crossfade for Hostile {
    fn compose(_: &crossfade::Request) -> Result<crossfade::Plan, Refusal> {
        Ok(crossfade::Plan { steps: Vec::new(), extras: Vec::new() })
    }
}

impl travel_plugin::Guide for Hostile {
    fn compose(request: &guide::Request) -> Result<Plan, Refusal> {
        let params: travel_plugin::serde_json::Value = travel_plugin::params(&request.params)?;
        let mut plan = Plan { layers: Vec::new(), keep: Vec::new(), extras: Vec::new() };
        let all = Span::new(0, request.place.total);
        let medium = request.media.first().map_or(MediumId(0), |m| m.id);
        match params.get("do").and_then(|v| v.as_str()).unwrap_or("nothing") {
            "spin" => misdeeds::spin(),
            "spin-politely" => while !travel_plugin::job::cancelled() {},
            "allocate" => misdeeds::allocate(),
            "trap" => misdeeds::trap(),
            "recurse" => plan.keep = vec![Span::new(misdeeds::recurse(u32::MAX), 1)],
            "not-a-number" => plan.layers.push(misdeeds::show(all, medium, Weight::Constant(f32::NAN))),
            "overflow" => plan.keep.push(Span::new(u32::MAX, u32::MAX)),
            "out-of-order" => plan.keep = vec![Span::new(5, 1), Span::new(4, 1)],
            "foreign-medium" => plan.layers.push(misdeeds::show(all, MediumId(4_000_000), Weight::ONE)),
            "layers" => plan.layers = vec![misdeeds::show(all, medium, Weight::ONE); guide::MAX_LAYERS + 1],
            "flood" => misdeeds::flood(),
            "giant" => plan.extras.push(("giant".into(), "x".repeat(32 << 20))),
            "giant-log" => travel_plugin::log::info(&"x".repeat(32 << 20)),
            "exit" => std::process::exit(0),
            "print" => misdeeds::print(),
            "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            "random" => plan.extras.push(("random".into(), misdeeds::random())),
            "refuse" => {
                return Err(Refusal::InvalidParams { pointer: "/do".into(), reason: "I would rather not".into() });
            }
            _ => {}
        }
        Ok(plan)
    }
}
