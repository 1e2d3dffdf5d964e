//! Wan2GP behind the protocol: a bridge over its Python API, or its command line, which the program carries inside.
//!
//! WanGP Community License 2.0: whoever integrates it has to say so in the interface and the documents, which the bridge's
//! hello does (`notice`).

use super::recipe::Recipe;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

const BRIDGE: &str = include_str!("../../bridges/wan2gp.py");

/// How the bridge drives Wan2GP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Over its Python API: the model stays loaded.
    Api,
    /// Over its command line (`--process`): the model is loaded for each segment.
    Process,
}

/// Where Wan2GP has its Python API, since March 2026.
const API: &str = "shared/api.py";

/// `[generators.NAME.wan2gp]`: where Wan2GP is, and how it is started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wan2gp {
    /// Its folder, with `wgp.py`.
    pub root: PathBuf,
    /// How it is driven; over its Python API where it has one, unless said.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The Python of its environment; one in its folder's `venv`, `.venv` or `env`, or else `python3`.
    #[serde(default)]
    pub python: Option<PathBuf>,
    /// Options of `wgp.py`, such as `["--profile", "4"]`.
    #[serde(default)]
    pub args: Vec<String>,
    /// The folder of its own configuration, unless that is its folder.
    #[serde(default)]
    pub config: Option<PathBuf>,
}

/// Which letters of `video_prompt_type` have a guide and its mask read: the mask was `M` at first, and became `A` in the summer
/// of 2025, when `M` became a way to prepare the guide. Which of them this version looks for, its own text says.
fn reads_of(root: &Path) -> &'static str {
    let program = std::fs::read_to_string(root.join("wgp.py")).unwrap_or_default();
    let looks_for = |letter: &str| program.contains(&format!("\"{letter}\" in video_prompt_type"));
    if looks_for("M") && !looks_for("A") { "VM" } else { "VA" }
}

impl Wan2gp {
    /// Fills in the command and the folder of a recipe; what is wrong, in a sentence. Paths are relative to `folder`.
    pub(super) fn prepare(&self, recipe: &mut Recipe, folder: &Path) -> Option<String> {
        let Some(model) = &recipe.model else {
            return Some("it needs a model, such as `vace_14B`: Wan2GP has many".to_owned());
        };
        if !recipe.command.is_empty() || recipe.working_dir.is_some() {
            return Some("command and working-dir are Wan2GP's own; set wan2gp.root instead".to_owned());
        }
        let root = folder.join(&self.root);
        if !root.join("wgp.py").is_file() {
            return Some(format!("{} has no wgp.py, so it is not the folder of Wan2GP", root.display()));
        }
        let has_api = root.join(API).is_file();
        let mode = self.mode.unwrap_or(if has_api { Mode::Api } else { Mode::Process });
        if mode == Mode::Api && !has_api {
            return Some(format!(
                "{} has no {API}: this Wan2GP has no Python API; leave mode out, or set \"process\"",
                root.display()
            ));
        }
        let usual = || {
            let there = ["venv", ".venv", "env"].map(|env| root.join(env).join("bin/python"));
            there.into_iter().find(|python| python.exists()).unwrap_or_else(|| "python3".into())
        };
        let python = match &self.python {
            Some(python) if python.components().count() > 1 => folder.join(python),
            Some(python) => python.clone(),
            None => usual(),
        };
        let config = self.config.as_ref().map(|config| folder.join(config));
        let options = json!({
            "mode": mode, "model": model, "args": self.args, "config": config, "reads": reads_of(&root),
        });
        let words = [python.to_string_lossy().into_owned(), "-c".to_owned(), BRIDGE.to_owned(), options.to_string()];
        recipe.command = words.into();
        recipe.working_dir = Some(self.root.clone());
        None
    }
}
