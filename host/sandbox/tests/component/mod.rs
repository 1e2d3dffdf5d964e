//! Components that were built before the tests, and sandboxes to run them in.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;
use travel_sandbox::{Manifest, Plugin, Sandbox, SandboxConfig};

/// The bytes of a workspace package that was compiled for wasm.
pub(crate) fn wasm(package: &str) -> Vec<u8> {
    let file = format!("{}.wasm", package.replace('-', "_"));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../wasm32-wasip2/release").join(file);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}\nbuild it first: cargo build --release --target wasm32-wasip2 -p {package}", path.display())
    })
}

/// A manifest for a component.
pub(crate) fn manifest(id: &str, roles: &[&str]) -> Manifest {
    let roles: String = roles.iter().map(|role| format!("{role} = true\n")).collect();
    let text =
        format!("id = \"{id}\"\nversion = \"1\"\ncomponent = \"{id}.wasm\"\n[wants]\nlog = true\n[roles]\n{roles}");
    Manifest::parse(&text, "plugin.toml".as_ref()).unwrap()
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(SandboxConfig::default()).unwrap()
}

/// The default strategies as a plugin.
pub(crate) fn travel(sandbox: &Sandbox) -> Plugin {
    let manifest = manifest("travel", &["orchestrate", "guide", "crossfade"]);
    Plugin::from_bytes(sandbox, manifest, wasm("plugin-travel")).unwrap()
}

/// The hostile plugin.
pub(crate) fn hostile(sandbox: &Sandbox) -> Plugin {
    Plugin::from_bytes(sandbox, manifest("hostile", &["guide", "crossfade"]), wasm("travel-test-guests")).unwrap()
}
