//! A plan call in a fresh sandbox, through this crate and through wasmtime alone, in one run.
//!
//! `cargo bench -p travel-sandbox`, after `cargo build --release --target wasm32-wasip2 -p plugin-travel`. The same
//! component composes the guide of an 81-frame segment (a fade in, a fade out, 16 repeated frames). `bare` is wasmtime
//! without limits, checks and conversions: a pre-linked component, a new store, one typed call. `bare, interruptible` has
//! fuel and epochs on, which is what compiled code itself costs.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::all,
    reason = "a benchmark may fail, and half of it is generated"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::PathBuf;
use travel::{Dims, Grid, KeyFrame, MediumId, MediumInfo, MediumKind, Place, Rate, Span, guide};
use travel_sandbox::{CallContext, Manifest, Plugin, Sandbox, SandboxConfig};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, Store};

mod bare {
    wasmtime::component::bindgen!({ path: "../../wit", world: "travel:plugin/travel-plugin" });
}
use bare::exports::travel::plugin::guide as g;
use bare::travel::host::media as m;
use bare::travel::plugin::travel as t;

fn request() -> guide::Request {
    let medium = |id, kind, frames| MediumInfo {
        id: MediumId(id),
        kind,
        dims: Dims { width: 832, height: 480 },
        frames,
        rate: Rate { num: 16, den: 1 },
    };
    guide::Request {
        place: Place { index: 1, of: 3, new: 65, overlap: 16, total: 81 },
        canvas: Dims { width: 832, height: 480 },
        rate: Rate { num: 16, den: 1 },
        key_frames: vec![KeyFrame { at: 80, still: MediumId(1), strength: 1.0, hold: 4 }],
        previous: Some((MediumId(2), Span::new(65, 16))),
        next: None,
        grid: Grid::WAN,
        media: vec![medium(1, MediumKind::Still, 1), medium(2, MediumKind::Clip, 81)],
        params: r#"{"fade_in":{"duration_factor":0.3},"fade_out":{"duration_factor":0.5}}"#.into(),
    }
}

fn bare_request(r: &guide::Request) -> g::Request {
    let dims = |d: Dims| m::Dims { width: d.width, height: d.height };
    let rate = |r: Rate| m::Rate { num: r.num, den: r.den };
    g::Request {
        place: t::Place { index: 1, of: 3, new: 65, overlap: 16, total: 81 },
        canvas: dims(r.canvas),
        rate: rate(r.rate),
        key_frames: r
            .key_frames
            .iter()
            .map(|k| t::KeyFrame { at: k.at, still: k.still.0, strength: k.strength, hold: k.hold })
            .collect(),
        previous: r.previous.map(|(id, s)| (id.0, m::Span { start: s.start, count: s.count })),
        next: None,
        grid: t::Grid { step: 4, offset: 1, min: 17, max: 1281, dims_multiple: 16, anchor_hold: 4, wants_mask: true },
        media: r
            .media
            .iter()
            .map(|i| m::MediumInfo {
                id: i.id.0,
                kind: match i.kind {
                    MediumKind::Still => m::MediumKind::Still,
                    MediumKind::Clip => m::MediumKind::Clip,
                },
                dims: dims(i.dims),
                frames: i.frames,
                rate: rate(i.rate),
            })
            .collect(),
        params: r.params.clone(),
    }
}

fn bare(wasm: &[u8], config: &Config) -> (Engine, InstancePre<()>, g::GuestIndices) {
    let engine = Engine::new(config).unwrap();
    let component = Component::from_binary(&engine, wasm).unwrap();
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&component).unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let indices = g::GuestIndices::new(&pre).unwrap();
    (engine, pre, indices)
}

fn plan_call(criterion: &mut Criterion) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../wasm32-wasip2/release/plugin_travel.wasm");
    let wasm = std::fs::read(path).unwrap();
    let mut group = criterion.benchmark_group("guide.compose, fresh sandbox");

    let manifest = "id = \"travel\"\nversion = \"1\"\ncomponent = \"travel.wasm\"\n[wants]\nlog = true\n\
                    [roles]\norchestrate = true\nguide = true\ncrossfade = true\n";
    let manifest = Manifest::parse(manifest, "plugin.toml".as_ref()).unwrap();
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let plugin = Plugin::from_bytes(&sandbox, manifest, wasm.clone()).unwrap();
    let request = request();
    let ctx = CallContext::new("run", "segment-01");
    group.bench_function("travel-sandbox", |b| b.iter(|| plugin.guide(black_box(&request), &ctx).unwrap()));

    let mut config = Config::new();
    config.concurrency_support(false);
    let asked = bare_request(&request);
    let (engine, pre, indices) = bare(&wasm, &config);
    group.bench_function("bare", |b| {
        b.iter(|| {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            indices.load(&mut store, &instance).unwrap().call_compose(&mut store, black_box(&asked)).unwrap().unwrap()
        })
    });

    config.consume_fuel(true).epoch_interruption(true);
    let (engine, pre, indices) = bare(&wasm, &config);
    group.bench_function("bare, interruptible", |b| {
        b.iter(|| {
            let mut store = Store::new(&engine, ());
            store.set_fuel(u64::MAX).unwrap();
            store.set_epoch_deadline(1_000_000);
            let instance = pre.instantiate(&mut store).unwrap();
            indices.load(&mut store, &instance).unwrap().call_compose(&mut store, black_box(&asked)).unwrap().unwrap()
        })
    });
    group.finish();
}

criterion_group!(benches, plan_call);
criterion_main!(benches);
