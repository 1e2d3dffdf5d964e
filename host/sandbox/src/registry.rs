//! Which plugin answers a role.

use crate::error::PluginError;
use crate::folder;
use crate::manifest::FILE_NAME;
use crate::plugin::Plugin;
use crate::sandbox::Sandbox;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use travel::Role;

/// The plugin that answers when several could and none is named.
pub const DEFAULT_ID: &str = "travel";

/// Installed plugins by id, and the one embedded in the host.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    installed: BTreeMap<String, Arc<Plugin>>,
    embedded: Option<Arc<Plugin>>,
}

impl Registry {
    /// No plugin at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Loads a folder: when it has a `plugin.toml` itself, that one plugin; else every folder directly below it that
    /// has one. Other files and folders are ignored.
    ///
    /// # Errors
    /// [`PluginError::MissingFolder`], [`PluginError::NoPlugins`], [`PluginError::DuplicateId`], and whatever is wrong
    /// with the first plugin that cannot be loaded: a host does not start with half of its plugins.
    pub fn open(sandbox: &Sandbox, path: &Path) -> Result<Self, PluginError> {
        let dir = folder::open(path)?;
        let mut folders: Vec<PathBuf> = Vec::new();
        if dir.is_file(FILE_NAME) {
            folders.push(path.to_owned());
        } else {
            let io = |source| PluginError::Io { path: path.to_owned(), source };
            for entry in dir.entries().map_err(io)? {
                let name = PathBuf::from(entry.map_err(io)?.file_name());
                if path.join(&name).join(FILE_NAME).is_file() {
                    folders.push(path.join(name));
                }
            }
        }
        folders.sort();
        if folders.is_empty() {
            return Err(PluginError::NoPlugins { path: path.to_owned() });
        }
        let mut from: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut registry = Self::default();
        for folder in folders {
            let plugin = Plugin::load_dir(sandbox, &folder)?;
            if let Some(first) = from.insert(plugin.id().to_owned(), folder.clone()) {
                return Err(PluginError::DuplicateId { id: plugin.id().to_owned(), first, second: folder });
            }
            registry.installed.insert(plugin.id().to_owned(), Arc::new(plugin));
        }
        Ok(registry)
    }

    /// The same with a plugin that answers what no installed one does.
    #[must_use]
    pub fn with_embedded(self, plugin: Plugin) -> Self {
        Self { embedded: Some(Arc::new(plugin)), ..self }
    }

    /// Installed plugins in the order of their ids, then the embedded one unless an installed one bears its id.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        let shadowed = |p: &Arc<Plugin>| self.installed.contains_key(p.id());
        self.installed.values().chain(self.embedded.iter().filter(move |p| !shadowed(p)))
    }

    /// Whether it is the one embedded in the host.
    #[must_use]
    pub fn is_embedded(&self, plugin: &Plugin) -> bool {
        self.embedded.as_ref().is_some_and(|e| std::ptr::eq(e.as_ref(), plugin))
    }

    /// The plugin for a role: the one that is wanted by name; else the only installed one that answers it; else, among
    /// several, the one called `travel`; else, when none is installed, the embedded one.
    ///
    /// # Errors
    /// [`PluginError::UnknownPlugin`], [`PluginError::LacksRole`], [`PluginError::Ambiguous`],
    /// [`PluginError::NobodyAnswers`].
    pub fn resolve(&self, role: Role, wanted: Option<&str>) -> Result<Arc<Plugin>, PluginError> {
        if let Some(wanted) = wanted {
            let plugin = self.plugins().find(|p| p.id() == wanted).ok_or_else(|| PluginError::UnknownPlugin {
                wanted: wanted.to_owned(),
                known: self.plugins().map(|p| p.id().to_owned()).collect(),
            })?;
            plugin.must_answer(role)?;
            return Ok(plugin.clone());
        }
        let candidates: Vec<&Arc<Plugin>> = self.installed.values().filter(|p| p.answers(role)).collect();
        let chosen = match candidates.as_slice() {
            [] => self.embedded.as_ref().filter(|p| p.answers(role)),
            [only] => Some(*only),
            several => match several.iter().find(|p| p.id() == DEFAULT_ID) {
                Some(default) => Some(*default),
                None => {
                    let candidates = several.iter().map(|p| p.id().to_owned()).collect();
                    return Err(PluginError::Ambiguous { role, candidates });
                }
            },
        };
        chosen.cloned().ok_or(PluginError::NobodyAnswers { role })
    }
}
