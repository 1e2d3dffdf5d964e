//! What a run is: the record that is stored with it, and from which every task of it is done.

use crate::limits::SMART_SEGMENTS;
use crate::task::PluginRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use travel::wishes::Wishes;
use travel::{Dims, Grid, Rate, Role};
use travel_artifacts::Hash;
use travel_generators::{Capabilities, Generator, GeneratorError};
use travel_media::{Codec, Encode};

/// The version of [`RunSpec`] that this program writes and reads.
pub const SPEC_VERSION: u32 = 1;

/// A run as it was submitted. Its files are in the artifact store, so that nothing outside can change it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// Size of the film.
    pub canvas: Dims,
    /// Of segments and of the film's edit list.
    pub rate: Rate,
    /// Of the film, where that is another one.
    #[serde(default)]
    pub film_rate: Option<Rate>,
    /// In the order of the film.
    pub stills: Vec<StillRef>,
    /// A clip that the film begins with.
    pub continued: Option<ClipRef>,
    /// Per-leg lists.
    pub wishes: Wishes,
    /// Name of the generator.
    pub generator: String,
    /// Which of its models; its usual one when missing.
    #[serde(default)]
    pub model: Option<String>,
    /// Whether each segment's pictures are references too.
    #[serde(default)]
    pub references: References,
    /// What the generator said of itself when the run was submitted: one that is away when the run begins need not be asked.
    #[serde(default)]
    pub able: Option<Able>,
    /// Who answers each role. Their components are stored with the run, which so keeps the versions that it was planned
    /// with, whatever the host that makes it has.
    pub plugins: BTreeMap<Role, PluginRef>,
    /// Parameters of the roles; JSON objects.
    pub params: BTreeMap<Role, Value>,
    /// Changes to each segment after the first.
    pub post: Post,
    /// The one lossy encode.
    pub encode: Encode,
    /// What makes the film larger before it is encoded.
    #[serde(default)]
    pub upscale: Option<UpscaleSpec>,
    /// Where the film goes.
    pub output: Output,
    /// Whether the film is encoded in one piece.
    #[serde(default)]
    pub stitch: Stitching,
    /// What is heard under the film.
    #[serde(default)]
    pub sound: SoundSpec,
    /// Seconds that one attempt of a task may take; not limited when missing.
    #[serde(default)]
    pub attempt_deadline_s: Option<u64>,
    /// Whether the frames that a guide gave are put back over those that its generator returned.
    #[serde(default)]
    pub paste_known: bool,
    /// Whether segments are rendered also when they were rendered before from the same.
    #[serde(default)]
    pub fresh: bool,
}

/// What is read of a specification first, of whatever version it is.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Who renders, of a stored specification: what is asked of every attempt, and needs no more of it.
#[derive(Deserialize)]
pub(crate) struct Renderers {
    pub(crate) generator: String,
    pub(crate) upscale: Option<Upscaler>,
}

/// Who makes a film larger.
#[derive(Deserialize)]
pub(crate) struct Upscaler {
    pub(crate) generator: String,
}

/// An input image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StillRef {
    /// Its file.
    pub hash: Hash,
    /// As decoded, orientation applied.
    pub dims: Dims,
    /// The name that it came with.
    pub label: String,
    /// Where it came from.
    #[serde(default)]
    pub path: Option<PathBuf>,
}

/// The video that a film continues, at the film's rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipRef {
    /// Its file.
    pub hash: Hash,
    /// As decoded.
    pub dims: Dims,
    /// Decoded frames.
    pub frames: u32,
    /// The name that it came with.
    pub label: String,
    /// Where it came from.
    #[serde(default)]
    pub path: Option<PathBuf>,
}

/// How a film is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stitching {
    /// In one piece, when all segments are there.
    #[default]
    Full,
    /// Segment by segment, each as soon as it is rendered, where that is possible; else in one piece.
    Auto,
    /// Segment by segment; refused where that is not possible.
    Smart,
}

/// What of a film decides how it can be encoded.
#[derive(Debug, Clone, Copy)]
pub struct Whole<'a> {
    /// Its encode.
    pub encode: &'a Encode,
    /// Whether it is made larger.
    pub is_upscaled: bool,
    /// Whether its rate is another one than its segments'.
    pub is_retimed: bool,
    /// How many segments it has.
    pub segments: usize,
    /// Whether its end passes into its beginning.
    pub goes_round: bool,
}

impl Stitching {
    /// What is to be done for a film of so many segments, and why it is not what was wished; an error where nothing else will
    /// do.
    ///
    /// # Errors
    /// Why a film cannot be encoded segment by segment that is to be.
    pub fn decided(self, film: &Whole<'_>) -> Result<(Self, Option<String>), String> {
        let Whole { encode, is_upscaled, is_retimed, segments, goes_round } = *film;
        let hindrance = if encode.codec != Codec::H264 {
            Some("only H.264 is put together from parts".to_owned())
        } else if is_upscaled {
            Some("a film that is made larger is encoded once, after that".to_owned())
        } else if is_retimed {
            Some("a film of another rate than its segments is encoded in one piece".to_owned())
        } else if goes_round {
            Some("the first frames of one that goes round are known last".to_owned())
        } else if segments > SMART_SEGMENTS {
            Some(format!("it has {segments} segments, and {SMART_SEGMENTS} are the most"))
        } else {
            None
        };
        match (self, hindrance) {
            (Self::Smart, Some(why)) => Err(why),
            (Self::Auto, Some(why)) => Ok((Self::Full, Some(why))),
            (how, _) => Ok((how, None)),
        }
    }
}

/// What is heard under a film; nothing by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SoundSpec {
    /// A track under all of it.
    #[serde(default)]
    pub track: Option<SoundRef>,
    /// Whether the continued video's own sound is kept, up to where the first segment takes over.
    #[serde(default)]
    pub own: bool,
}

/// A file with sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundRef {
    /// Its file.
    pub hash: Hash,
    /// The name that it came with.
    pub label: String,
    /// Where it came from.
    #[serde(default)]
    pub path: Option<PathBuf>,
}

/// Changes to segments after their generation, done in one pass; none by default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Post {
    /// How far each segment's colours are matched to the pictures that it leads from and to, 0 to 1.
    #[serde(default)]
    pub colour_match: f32,
    /// Of each segment that follows something: factor of the colours' strength; 1 changes nothing, 0 is grey.
    pub saturation: Option<f32>,
    /// Likewise: RGB is multiplied by `1 + v`: positive is brighter.
    pub brightness: Option<f32>,
}

impl Post {
    /// What is done to a segment that follows nothing.
    #[must_use]
    pub fn of_first(self) -> Self {
        Self { colour_match: self.colour_match, ..Self::default() }
    }

    /// Whether anything is asked.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.colour_match == 0.0 && self.saturation.is_none_or(|s| s == 1.0) && self.brightness.is_none_or(|b| b == 0.0)
    }
}

/// What a plan has to know of a generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Able {
    /// Lengths and sizes that it renders.
    pub grid: Grid,
    /// The pool whose slots it competes for.
    pub pool: String,
    /// Of its program.
    #[serde(default)]
    pub version: String,
}

impl Able {
    /// As it says now.
    ///
    /// # Errors
    /// A generator that cannot be asked.
    pub fn of(generator: &dyn Generator) -> Result<Self, GeneratorError> {
        generator.describe().map(Self::from)
    }
}

impl From<Capabilities> for Able {
    fn from(able: Capabilities) -> Self {
        Self { grid: able.grid, pool: able.pool, version: able.version }
    }
}

/// How bright a segment's first and last picture are as references, 0 to 1: their RGB is multiplied by it, and 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct References {
    /// Of the picture that it begins with.
    pub initial: f32,
    /// Of the picture that it leads to.
    #[serde(rename = "final")]
    pub last: f32,
}

/// What makes a film larger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpscaleSpec {
    /// Name of the generator.
    pub generator: String,
    /// How many times as wide and high; above 1.
    pub factor: f64,
    /// What comes of it: even sides.
    pub dims: Dims,
    /// For that generator alone; a JSON object.
    pub settings: Value,
}

/// Where a film goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The film's path; a relative one is below the host's output folder.
    pub film: PathBuf,
    /// Whether another file there may be replaced.
    pub overwrite: bool,
    /// Where a picture of evenly spaced frames goes, if it is wished; likewise.
    pub contact_sheet: Option<PathBuf>,
    /// Where a page about how well the segments meet goes, if it is wished; likewise.
    #[serde(default)]
    pub seams: Option<PathBuf>,
    /// Whether guides and masks are kept in the artifact store.
    pub keep_guides: bool,
    /// Whether nothing that was made on the way ever expires.
    #[serde(default)]
    pub keep_all: bool,
}

impl RunSpec {
    /// Reads a stored specification.
    ///
    /// # Errors
    /// A version that this program does not know, or a record of another shape.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unreadable = |e| format!("the run's specification cannot be read: {e}");
        let Version { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != SPEC_VERSION {
            return Err(format!("the run has specification version {version}; this program reads {SPEC_VERSION}"));
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// Of the film.
    #[must_use]
    pub fn film_rate(&self) -> Rate {
        self.film_rate.unwrap_or(self.rate)
    }

    /// The parameters of a role; `{}` when none were given.
    #[must_use]
    pub fn params(&self, role: Role) -> String {
        self.params.get(&role).map_or_else(|| "{}".to_owned(), Value::to_string)
    }
}
