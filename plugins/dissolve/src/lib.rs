//! A second strategy: what a studio drops into `plugins/` to change how its films look.
//!
//! Its guide shows a dissolve from the start picture to the end still where the default shows grey, to be kept or as a
//! hint; its cross-fade is a line, without a match of colours. It has no orchestrator: the default one lays its runs out.

mod crossfade;
mod guide;

/// The strategy.
#[derive(Debug, Clone, Copy)]
pub struct Dissolve;

travel_plugin::export! {
    name: "dissolve",
    guide: Dissolve,
    crossfade: Dissolve,
    params: { guide: guide::SCHEMA, crossfade: crossfade::SCHEMA }
}
