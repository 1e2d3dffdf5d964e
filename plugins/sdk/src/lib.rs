//! What a Rust plugin for travel-host is written against.
//!
//! A strategy is plain Rust over the types of crate [`travel`]: it is tested natively, like any other code, and one
//! macro makes a plugin of it when it is compiled for `wasm32-wasip2`. This is a whole plugin, which shows nothing but
//! grey and keeps nothing:
//!
//! ```
//! use travel_plugin::travel::{Refusal, guide};
//!
//! struct Grey;
//! impl travel_plugin::Guide for Grey {
//!     fn compose(_: &guide::Request) -> Result<guide::Plan, Refusal> {
//!         Ok(guide::Plan { layers: vec![], keep: vec![], extras: vec![] })
//!     }
//! }
//! travel_plugin::export! { name: "grey", guide: Grey }
//! ```
//!
//! Its crate needs `crate-type = ["cdylib"]` and this dependency, and beside it a `plugin.toml`. A plugin exports the
//! roles that it names, and no others. [`log`] and [`job`] reach the host; natively they do nothing.

mod export;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod glue;
pub mod job;
pub mod keep;
pub mod log;
mod params;
mod roles;

pub use params::params;
pub use roles::{Crossfade, Guide, Orchestrate};
pub use serde;
pub use serde_json;
pub use travel;
