//! Claim, handle, finish: what turns rows into films.
//!
//! The engine is the one room that sees all others. It knows what a run is ([`spec`]), how it becomes tasks
//! ([`planning`], [`submit`]), what each task does, and how tasks are held while they run ([`host`], [`control`]).
//!
//! | module | holds |
//! |---|---|
//! | [`spec`] | what a run is, as it is stored |
//! | [`task`] | the tasks of a run: kinds, inputs, outputs |
//! | [`planning`] | a run's graph, by the orchestrator plugin |
//! | [`submit`] | from a user's wishes to a run in the queue |
//! | [`course`] | what becomes of a segment whose generator failed |
//! | [`workshop`] | what handlers share: plugins, files, the output folder |
//! | [`host`] | the loop: claim, hold, stop |
//! | [`slots`] | which task may start where |
//! | [`control`] | a running task's stop flag, progress and phases |
//! | [`observer`] | what a host tells while it works |
//! | [`error`] | what can go wrong |
//! | [`limits`] | the engine's numbers |

mod circuit;
pub mod clean_up;
pub mod control;
pub mod course;
pub mod download;
pub mod error;
mod guide_request;
mod handle;
pub mod host;
pub mod limits;
pub mod manifest;
mod memo;
pub mod observer;
pub mod planning;
pub mod redo;
mod rehearsal;
pub mod seams;
mod settle;
pub mod slots;
pub mod spec;
pub mod submit;
pub mod task;
pub mod workshop;

pub use error::EngineError;
pub use host::{Host, Shutdown, Until};
pub use observer::{CircuitState, HostEvent, Observer};
pub use planning::Planned;
pub use slots::Place;
pub use spec::{Output, Post, References, RunSpec, UpscaleSpec};
pub use submit::{FlagSettings, Prepared, RunRequest, UpscaleWish};
pub use workshop::Workshop;

// The rooms below, for whoever wires a program: the command line needs no other dependency on them.
pub use {travel_artifacts as artifacts, travel_generators as generators, travel_media as media};
pub use {travel_queue as queue, travel_sandbox as sandbox};
