//! What a generator beyond this program is asked for.

use crate::error::GeneratorError;
use crate::generator::{Device, Job, Upscale};
use crate::process::Hello;
use serde_json::Value;
use std::path::Path;
use travel::{Dims, Rate};

/// A segment or a film.
#[derive(Clone, Copy)]
pub(crate) enum Work<'a> {
    Segment(&'a Job),
    Film(&'a Upscale),
}

impl<'a> Work<'a> {
    pub(crate) fn frames(self) -> u32 {
        match self {
            Self::Segment(job) => job.place.total,
            Self::Film(job) => job.frames,
        }
    }

    pub(crate) fn settings(self) -> &'a Value {
        match self {
            Self::Segment(job) => &job.settings,
            Self::Film(job) => &job.settings,
        }
    }

    pub(crate) fn out(self) -> &'a Path {
        match self {
            Self::Segment(job) => &job.out,
            Self::Film(job) => &job.out,
        }
    }

    pub(crate) fn work_dir(self) -> &'a Path {
        match self {
            Self::Segment(job) => &job.work_dir,
            Self::Film(job) => &job.work_dir,
        }
    }

    pub(crate) fn dims(self) -> Dims {
        match self {
            Self::Segment(job) => job.dims,
            Self::Film(job) => job.dims,
        }
    }

    pub(crate) fn rate(self) -> Rate {
        match self {
            Self::Segment(job) => job.rate,
            Self::Film(job) => job.rate,
        }
    }

    /// The model that is asked for, if one is.
    pub(crate) fn model(self) -> Option<&'a str> {
        match self {
            Self::Segment(job) => job.model.as_deref(),
            Self::Film(_) => None,
        }
    }

    pub(crate) fn device(self) -> Option<&'a Device> {
        match self {
            Self::Segment(job) => job.device.as_ref(),
            Self::Film(job) => job.device.as_ref(),
        }
    }

    /// Whether a generator that describes itself so does such work.
    pub(crate) fn check_for(self, hello: &Hello, generator: &str) -> Result<(), GeneratorError> {
        let generator = || generator.to_owned();
        match self {
            Self::Segment(_) if !hello.renders() => Err(GeneratorError::OnlyAnUpscaler { generator: generator() }),
            Self::Film(_) if hello.upscales.is_none() => Err(GeneratorError::NotAnUpscaler { generator: generator() }),
            _ => Ok(()),
        }
    }

    /// What is asked for, for the middle of a sentence.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Segment(_) => "generate",
            Self::Film(_) => "upscale",
        }
    }
}
