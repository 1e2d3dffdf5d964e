//! The roles, as traits. A plugin's state lives for one call; so the functions have no `self`.

use travel::{Refusal, crossfade, guide, orchestrate};

/// One run → a graph of tasks.
pub trait Orchestrate {
    /// How many legs a run of so many stills has: what per-leg lists must have values for.
    ///
    /// # Errors
    /// A refusal; its text is shown to the user.
    fn legs(stills: u32, continued: bool, params: &str) -> Result<u32, Refusal>;

    /// The graph. The host checks it with [`orchestrate::Graph::check`].
    ///
    /// # Errors
    /// A refusal; its text is shown to the user.
    fn expand(request: &orchestrate::Request) -> Result<orchestrate::Graph, Refusal>;
}

/// One segment → what its guide shows, and what of it the generator keeps.
pub trait Guide {
    /// The plan. The host checks it with [`guide::Plan::check`].
    ///
    /// # Errors
    /// A refusal; its text is shown to the user.
    fn compose(request: &guide::Request) -> Result<guide::Plan, Refusal>;
}

/// All clips → the film's edit list.
pub trait Crossfade {
    /// The plan. The host checks it with [`crossfade::Plan::check`].
    ///
    /// # Errors
    /// A refusal; its text is shown to the user.
    fn compose(request: &crossfade::Request) -> Result<crossfade::Plan, Refusal>;
}
