//! What a plan's ids mean.

use crate::error::MediaError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use travel::MediumId;

/// A file behind a [`MediumId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One picture.
    Still(PathBuf),
    /// A clip; its frames are counted at the rate of the call.
    Clip(PathBuf),
}

impl Source {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Still(path) | Self::Clip(path) => path,
        }
    }
}

/// Every medium that a plan may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaSet {
    sources: BTreeMap<MediumId, Source>,
}

impl MediaSet {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces one.
    pub fn insert(&mut self, id: MediumId, source: Source) {
        self.sources.insert(id, source);
    }

    /// What an id means.
    ///
    /// # Errors
    /// [`MediaError::UnknownMedium`].
    pub fn get(&self, id: MediumId) -> Result<&Source, MediaError> {
        self.sources.get(&id).ok_or(MediaError::UnknownMedium { id, known: self.sources.len() })
    }

    /// The file of a clip.
    ///
    /// # Errors
    /// [`MediaError::UnknownMedium`], [`MediaError::NotAClip`].
    pub fn clip(&self, id: MediumId) -> Result<&Path, MediaError> {
        match self.get(id)? {
            Source::Clip(path) => Ok(path),
            Source::Still(path) => Err(MediaError::NotAClip { id, path: path.clone() }),
        }
    }
}

impl FromIterator<(MediumId, Source)> for MediaSet {
    fn from_iter<I: IntoIterator<Item = (MediumId, Source)>>(sources: I) -> Self {
        Self { sources: sources.into_iter().collect() }
    }
}

impl Extend<(MediumId, Source)> for MediaSet {
    fn extend<I: IntoIterator<Item = (MediumId, Source)>>(&mut self, sources: I) {
        self.sources.extend(sources);
    }
}
