//! Runs plugins: WebAssembly components that decide, and can do nothing else.
//!
//! A plugin sees no path, no socket and no moving clock; it takes a request and returns a plan, which is plain data. The
//! host checks the plan like any user input. Three ideas carry the crate:
//!
//! * **The linker is the grant.** What a plugin may not use is not linked, so there is nothing to refuse at run time.
//! * **Limits are on by default and add up**, and each hit is a typed error with what was used, what is allowed and how
//!   to raise it ([`Limits`], [`PluginError`]).
//! * **A fresh store for every call.** Nothing leaks from call to call or from tenant to tenant, and what a trap leaves
//!   behind is dropped with its store.
//!
//! Calls run on the caller's thread and take microseconds to, at the worst, the wall-time limit. Inside an async task
//! they would hold up its executor for as long: call them from a thread that may block.
//!
//! | module | holds |
//! |---|---|
//! | [`limits`] | every limit, named, with its default |
//! | [`error`] | [`PluginError`]: what can go wrong, whose fault it is, whether to try again |
//! | [`sandbox`] | [`Sandbox`]: the engine, its clock tick, its linkers |
//! | [`manifest`] | `plugin.toml` |
//! | [`folder`] | a plugin's folder, read without leaving it |
//! | [`plugin`] | [`Plugin`]: one loaded component and its faces |
//! | [`registry`] | [`Registry`]: which plugin answers a role |
//! | [`call`] | [`CallContext`], [`CallReport`] |

mod bindings;
pub mod call;
mod code_cache;
mod convert;
pub mod error;
pub mod folder;
mod host;
mod imports;
mod limiter;
pub mod limits;
mod log_budget;
pub mod manifest;
mod params;
pub mod plugin;
pub mod registry;
mod run;
pub mod sandbox;
mod shown;
mod ticker;
mod trap;
mod wasi;

pub use call::{CallContext, CallReport, Cancel};
pub use error::{Blame, Function, PluginError};
pub use limits::{LimitOverrides, Limits};
pub use manifest::Manifest;
pub use plugin::{Digest, Plugin};
pub use registry::Registry;
pub use sandbox::{Sandbox, SandboxConfig};
