//! The default strategies.
//!
//! | module | role | decides |
//! |---|---|---|
//! | [`orchestrate`] | one run → a graph | which still stands where, what continues what |
//! | [`guide`] | one segment → its guide | what is shown, faded and kept |
//! | [`crossfade`] | all clips → the film | how clips run into one another, whose colours follow whose |
//!
//! Each role's parameters are a type that serde reads and a JSON Schema in `schemas/`, by which the host refuses wrong
//! ones before a run is stored; a test holds the two together. The same source runs natively and as a plugin.

pub mod crossfade;
pub mod guide;
pub mod numbers;
pub mod orchestrate;

/// The default strategies.
#[derive(Debug, Clone, Copy)]
pub struct Travel;

travel_plugin::export! {
    name: "travel",
    orchestrate: Travel,
    guide: Travel,
    crossfade: Travel,
    params: {
        orchestrate: orchestrate::SCHEMA,
        guide: guide::SCHEMA,
        crossfade: crossfade::SCHEMA,
    }
}
