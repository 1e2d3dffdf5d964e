//! What `wit/` says, as Rust: the plugin contract, and the stub of WASI.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from WIT")]

/// The contract. One set of types serves every role; each role is bound through its own `GuestIndices`, so that a plugin
/// may export any of them.
pub mod contract {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "travel:plugin/travel-plugin",
    });
}

/// WASI 0.2, answered with nothing.
pub mod stub {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "travel:stub/stub",
        imports: { default: trappable },
        with: {
            "wasi:io/error.error": crate::wasi::Never,
            "wasi:io/poll.pollable": crate::wasi::Ready,
            "wasi:io/streams.input-stream": crate::wasi::Closed,
            "wasi:io/streams.output-stream": crate::wasi::Output,
            "wasi:cli/terminal-input.terminal-input": crate::wasi::Never,
            "wasi:cli/terminal-output.terminal-output": crate::wasi::Never,
        },
    });
}

/// The contract's version, as interfaces bear it.
pub const CONTRACT_VERSION: &str = "0.1.0";
