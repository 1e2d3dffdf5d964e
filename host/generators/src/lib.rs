//! What renders a segment: the [`Generator`] trait and its adapters.
//!
//! | module | holds |
//! |---|---|
//! | `generator` | the trait; what it is given and what it hands back |
//! | `error` | why a segment was not rendered |
//! | `registry` | the generators of a host by name |
//! | `policy` | what becomes of its clips and failures |
//! | `process` | generators that are programs of their own |
//! | `comfyui` | ComfyUI servers |
//! | `farm` | render farms |
//! | `rife` | neural in-betweening on the CPU, the default (feature `rife`) |
//! | `dissolve` | a plain cross-dissolve |
//! | `lanczos` | larger films, by resampling |
//! | `work`, `ends`, `http` | what programs, ComfyUI and farms share |
//! | `verify` | whether a clip is what was asked for |
//! | `settings` | their settings |
//! | `control`, `render`, `gap` | guide and mask → kept frames and gaps between them |
//! | `pace` | how time runs in a gap |
//! | `limits` | their numbers |
//!
//! Both embedded generators honour guide and mask like any other: a guide frame whose mask is black (mean below 128) is
//! kept bit-exactly, each run of white ones is in-betweened from the kept frame before it to the kept frame after it.
//! A run with a kept frame on one side only holds that frame. The clip is lossless RGB.

mod comfyui;
mod control;
mod dissolve;
mod ends;
mod error;
mod farm;
mod gap;
mod generator;
mod http;
mod lanczos;
mod limits;
mod pace;
mod policy;
pub mod process;
mod registry;
mod render;
#[cfg(feature = "rife")]
mod rife;
mod settings;
mod verify;
mod work;

pub use comfyui::{Comfyui, ComfyuiServers, Interrupt};
pub use dissolve::Dissolve;
pub use error::{Control, GeneratorError, LAST_SAID};
pub use farm::{Farm, RenderFarm};
pub use gap::{Emit, Gap};
pub use generator::{CPU, Capabilities, Device, GPU, Generated, Generator, Job, Progress, Upscale, Upscaled};
pub use lanczos::Lanczos;
pub use limits::KNOWN_OFF;
pub use policy::{Circuit, Policy, Rung};
pub use registry::Generators;
#[cfg(feature = "rife")]
pub use rife::Rife;
pub use verify::{Flaw, Wanted};
