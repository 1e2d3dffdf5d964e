//! What the engine does with a generator's clips and failures, as the configuration wishes it.

/// How a generator's work is judged, and what becomes of its failures; nothing special by default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Whether a clip in which nothing moves is let pass, though its anchors differ.
    pub allow_still: bool,
}
