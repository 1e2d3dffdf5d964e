//! Why a plugin declines.

use serde::{Deserialize, Serialize};

/// A plugin's own "no"; its text is shown to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// A parameter is wrong.
    #[error("parameter `{pointer}`: {reason}")]
    InvalidParams {
        /// JSON pointer below the role's `params`.
        pointer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked is beyond this strategy.
    #[error("{0}")]
    Unsupported(String),
    /// Anything else.
    #[error("{message} ({code})")]
    Other {
        /// The plugin's own code.
        code: String,
        /// For a person.
        message: String,
    },
}
