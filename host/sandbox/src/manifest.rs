//! `plugin.toml`: what a plugin says it is, before its code is looked at.
//!
//! ```toml
//! id = "acme-guide"
//! version = "0.3.0"
//! description = "Our house style for guides"
//! component = "acme-guide.wasm"
//!
//! [roles]
//! guide = true
//!
//! [wants]
//! log = true
//!
//! [limits]
//! wall-ms = 200
//!
//! [build]
//! command = "cargo build --release --target wasm32-wasip2"
//! ```
//!
//! The binary is the truth: roles that differ from what it exports, and imports that it does not ask for, are errors.

use crate::error::PluginError;
use crate::limits::LimitOverrides;
use serde::{Deserialize, Serialize};
use std::path::Path;
use travel::Role;

/// The name of the file.
pub const FILE_NAME: &str = "plugin.toml";

/// What a plugin says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `^[a-z][a-z0-9-]{0,63}$`.
    pub id: String,
    /// For people; not interpreted.
    pub version: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// The component's file, below the manifest's folder.
    pub component: String,
    /// What it answers.
    pub roles: Roles,
    /// What it asks to use.
    #[serde(default)]
    pub wants: Wants,
    /// What it promises to stay below.
    #[serde(default)]
    pub limits: LimitOverrides,
    /// How its component is made; for people and for the project's own build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// `[roles]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// One run → a graph of tasks.
    pub orchestrate: bool,
    /// One segment → its guide.
    pub guide: bool,
    /// All clips → the edit list.
    pub crossfade: bool,
}

impl Roles {
    /// Whether a role is said.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        match role {
            Role::Orchestrate => self.orchestrate,
            Role::Guide => self.guide,
            Role::Crossfade => self.crossfade,
        }
    }
}

/// `[wants]`: what is linked for it beyond the role itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wants {
    /// `travel:host/log`.
    pub log: bool,
}

/// `[build]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Run in the manifest's folder.
    pub command: String,
}

impl Manifest {
    /// Reads a manifest; `path` is where the text came from, for errors.
    ///
    /// # Errors
    /// [`PluginError::Manifest`]: not TOML, an unknown or missing field, an id or a component name that is not allowed,
    /// no role.
    pub fn parse(text: &str, path: &Path) -> Result<Self, PluginError> {
        let bad = |reason: String| PluginError::Manifest { path: path.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|e| bad(e.to_string().trim_end().to_owned()))?;
        if !is_id(&manifest.id) {
            return Err(bad(format!(
                "id `{}` must begin with a letter and have 1 to 64 of a-z, 0-9 and dash",
                manifest.id
            )));
        }
        if manifest.component.is_empty() {
            return Err(bad("component is empty; it names the .wasm file beside the manifest".into()));
        }
        if !Role::ALL.into_iter().any(|role| manifest.roles.has(role)) {
            return Err(bad("[roles] names none of orchestrate, guide and crossfade".into()));
        }
        Ok(manifest)
    }
}

/// `^[a-z][a-z0-9-]{0,63}$`
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "id = \"acme\"\nversion = \"1\"\ncomponent = \"acme.wasm\"\n[roles]\nguide = true\n";

    fn reason(text: &str) -> String {
        Manifest::parse(text, Path::new("acme/plugin.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_minimal_manifest_asks_for_nothing() {
        let manifest = Manifest::parse(GOOD, Path::new("plugin.toml")).unwrap();
        assert!(!manifest.wants.log && manifest.roles.has(Role::Guide) && !manifest.roles.has(Role::Crossfade));
    }

    #[test]
    fn bad_manifests_name_the_file_and_the_reason() {
        assert!(reason("id = 3").starts_with("acme/plugin.toml: "));
        assert!(reason(&GOOD.replace("\"acme\"", "\"Acme\"")).contains("`Acme`"));
        assert!(reason(&GOOD.replace("\"acme\"", "\"../x\"")).contains("`../x`"));
        assert!(reason(&GOOD.replace("guide = true", "guide = false")).contains("none of"));
        assert!(reason(&GOOD.replace("guide", "gide")).contains("gide"));
        assert!(reason(&format!("{GOOD}[wants]\nnetwork = true\n")).contains("network"));
    }
}
