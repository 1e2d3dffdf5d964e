//! What was rendered before from the same: found by the hash of all that a segment's clip depends on.
//!
//! The guide enters by its plan and the files that it shows, not by its own frames, so that nothing is rendered to find out.
//! Where a segment stands in the film is no part of it: a film that grows at its end keeps what it has. Who renders enters with
//! its version and with what the configuration says of it; a program that renders differently under the same version and
//! configuration is not told apart.

use crate::error::EngineError;
use crate::handle::to_json;
use crate::spec::{Post, References};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use travel::guide::{Layer, Plan};
use travel::{Dims, Leg, MediumId, Rate};
use travel_artifacts::Hash;

/// Raised when the same inputs would give another clip: what was remembered before is then forgotten.
const VERSION: u32 = 1;

/// All that a segment's clip depends on.
#[derive(Serialize)]
pub(crate) struct Inputs<'a> {
    pub(crate) generator: Renderer<'a>,
    pub(crate) canvas: Dims,
    pub(crate) rate: Rate,
    /// Frames, and how many of them are shared with what precedes.
    pub(crate) frames: (u32, u32),
    pub(crate) leg: Words<'a>,
    pub(crate) guide: Guide,
    pub(crate) references: References,
    pub(crate) post: Post,
    /// The pictures that it begins with and leads to.
    pub(crate) stills: (Option<Hash>, Option<Hash>),
    pub(crate) paste_known: bool,
}

/// What the guide shows.
#[derive(Serialize)]
pub(crate) struct Guide {
    /// Its media are called by their places in `media`: what number a picture has among all of the run means nothing.
    plan: Plan,
    media: Vec<Hash>,
}

impl Guide {
    /// `files` are those of the plan's media, by their numbers.
    pub(crate) fn of(plan: &Plan, files: &BTreeMap<u32, Hash>) -> Self {
        let (mut plan, mut media) = (plan.clone(), Vec::new());
        for layer in &mut plan.layers {
            let Layer::Show(show) = layer else { continue };
            let Some(hash) = files.get(&show.medium.0) else { continue };
            let place = media.iter().position(|known| known == hash).unwrap_or_else(|| {
                media.push(*hash);
                media.len().saturating_sub(1)
            });
            show.medium = MediumId(u32::try_from(place).unwrap_or(u32::MAX));
        }
        Self { plan, media }
    }
}

/// Who renders.
#[derive(Serialize)]
pub(crate) struct Renderer<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: String,
    /// What the configuration says of it.
    pub(crate) said: &'a str,
    pub(crate) model: Option<&'a str>,
    pub(crate) settings: &'a Value,
}

/// What is asked of it in words and numbers.
#[derive(Serialize)]
pub(crate) struct Words<'a> {
    prompt: &'a str,
    negative_prompt: &'a str,
    seed: u64,
}

impl<'a> Words<'a> {
    pub(crate) fn of(leg: &'a Leg) -> Self {
        Self { prompt: &leg.prompt, negative_prompt: &leg.negative_prompt, seed: leg.seed }
    }
}

impl Inputs<'_> {
    /// Their hash: BLAKE3 of their JSON, whose keys are in order.
    pub(crate) fn hash(&self) -> Result<Hash, EngineError> {
        let inputs = to_json(self)?;
        Ok(Hash::of(serde_json::json!({ "version": VERSION, "inputs": inputs }).to_string().as_bytes()))
    }
}
