//! Finds the default plugin's component, which the program carries inside.

use std::path::Path;

fn main() {
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/travel/travel.wasm");
    println!("cargo::rerun-if-changed={}", component.display());
    if component.is_file() {
        println!("cargo::rustc-env=TRAVEL_DEFAULT_PLUGIN={}", component.display());
    } else {
        println!("cargo::error=the default plugin is not built; run `make plugins` first");
    }
}
