//! The names of the roles.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A decision that a plugin takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// One run → a graph of tasks.
    Orchestrate,
    /// One segment → what its guide shows and what the generator keeps.
    Guide,
    /// All clips → the film's edit list.
    Crossfade,
}

impl Role {
    /// All roles, in the order in which a run meets them.
    pub const ALL: [Self; 3] = [Self::Orchestrate, Self::Guide, Self::Crossfade];

    /// As it is written in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrate => "orchestrate",
            Self::Guide => "guide",
            Self::Crossfade => "crossfade",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a role: the roles are orchestrate, guide and crossfade"))
    }
}
