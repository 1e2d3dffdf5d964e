//! What can go wrong with a run, in one enum.

use crate::download::DownloadError;
use std::path::PathBuf;
use travel::wishes::LegsError;
use travel::{Dims, InvalidPlan, Rate};
use travel_artifacts::ArtifactError;
use travel_generators::{Flaw, GeneratorError};
use travel_media::MediaError;
use travel_queue::{QueueError, RunId};
use travel_sandbox::PluginError;

/// Why a run was refused, or a task failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A file could not be read or written.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The generator refused or failed.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// A plugin refused or failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The artifact store failed.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A per-leg list of another length.
    #[error(transparent)]
    List(#[from] LegsError),
    /// Too few images.
    #[error("{given} image{} given, but a film needs {needed}", if *given == 1 { " is" } else { "s are" })]
    TooFewImages {
        /// How many there are.
        given: usize,
        /// How many are needed, in words.
        needed: &'static str,
    },
    /// More images than a run may have.
    #[error("{given} images are given, but a run has no more than {most}")]
    TooManyImages {
        /// How many there are.
        given: usize,
        /// How many may be.
        most: u32,
    },
    /// A film whose end cannot pass into its beginning.
    #[error("--loop: {why}")]
    NoWayRound {
        /// In words.
        why: &'static str,
    },
    /// A value outside its range.
    #[error("{flag} is {value}; it must be {range}")]
    BadValue {
        /// As the user types it.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is possible, in words.
        range: &'static str,
    },
    /// A film of this size cannot be made.
    #[error("the size {0}")]
    BadSize(String),
    /// The size does not fit the generator's multiple even at its smallest.
    #[error("the size {canvas} cannot be rendered by {generator}: sides are multiples of {multiple}")]
    SizeOffGrid {
        /// What was asked.
        canvas: Dims,
        /// Whose multiple.
        generator: String,
        /// The multiple.
        multiple: u32,
    },
    /// The generator renders other rates.
    #[error("{rate} frames a second cannot be rendered by {generator}: it renders {rates}")]
    RateOffGrid {
        /// What was asked.
        rate: Rate,
        /// Whose rates.
        generator: String,
        /// What it renders, listed.
        rates: String,
    },
    /// The generator makes no films larger.
    #[error("{generator} makes no films larger; those that do are {}", able.join(", "))]
    NoUpscaler {
        /// Which generator.
        generator: String,
        /// Who does.
        able: Vec<String>,
    },
    /// A factor that the generator cannot do.
    #[error("a film {factor} times as large cannot be made by {generator}: above 1 and up to {most} times is possible")]
    UpscaleFactor {
        /// What was asked.
        factor: f64,
        /// Who was asked.
        generator: String,
        /// The most that it can.
        most: f64,
    },
    /// A folder, a pipe or a device where a file is needed.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The film's file is there already.
    #[error("{} exists already", .0.display())]
    OutputExists(PathBuf),
    /// Another run is going to write the film's file.
    #[error("run {run} is going to write {} too", film.display())]
    OutputTaken {
        /// The file.
        film: PathBuf,
        /// The other run.
        run: travel_queue::RunId,
    },
    /// The output folder cannot be written.
    #[error("the output folder {} cannot be written: {reason}", folder.display())]
    OutputFolder {
        /// Which.
        folder: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A plan that the host itself had accepted before.
    #[error("a stored plan is not valid: {0}")]
    StoredPlan(#[from] InvalidPlan),
    /// A stored record of another shape, or a parent's file that is not there.
    #[error("{0}")]
    Stored(String),
    /// The video to continue was not fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A file is no manifest.
    #[error("{} is no manifest of a film: {reason}", path.display())]
    NoManifest {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What a film was made from is not there any more, or has changed.
    #[error("what the film was made from is neither stored here nor where it came from: {what}")]
    InputsMissing {
        /// All of them.
        what: String,
    },
    /// A film cannot be encoded segment by segment.
    #[error("the film cannot be encoded segment by segment: {why}")]
    NoSmartStitch {
        /// Why.
        why: String,
    },
    /// A run has no such segment, or is not laid out yet.
    #[error("run {run} has no segment {segment}{}", match of { 0 => " yet: it is not laid out".to_owned(), n => format!(": it has {n}, counted from 0") })]
    NoSegment {
        /// Which run.
        run: RunId,
        /// Which segment.
        segment: u32,
        /// How many it has.
        of: usize,
    },
    /// A segment has no such take.
    #[error("segment {segment} has no take {take}: it has {takes}, counted from 1")]
    NoTake {
        /// Which segment.
        segment: u32,
        /// Which take.
        take: usize,
        /// How many it has.
        takes: usize,
    },
    /// A run's film was replaced by somebody else's file.
    #[error("{} is not the film that the run has made", .0.display())]
    FilmReplaced(PathBuf),
    /// A run that was taken over from the original's database.
    #[error("run {0} was only taken over from another database: it has no segments here")]
    OnlyHistory(RunId),
    /// A take's clip has expired.
    #[error(
        "the clip of take {take} of segment {segment} has expired: `runs redo` renders it again with its seed, prompt and settings"
    )]
    TakeGone {
        /// Which segment.
        segment: u32,
        /// Which take.
        take: usize,
    },
    /// A flag asks for what the generator cannot do.
    #[error("generator {generator} cannot honour {flag}{}", if able.is_empty() { "; none here can".to_owned() }
        else { format!("; those here that can: {}", able.join(", ")) })]
    CannotHonour {
        /// Which flag.
        flag: &'static str,
        /// Which generator.
        generator: String,
        /// Those that can.
        able: Vec<String>,
    },
    /// The generator has no such model.
    #[error("generator {generator} has no model `{model}`; it has {models}")]
    UnknownModel {
        /// As asked for.
        model: String,
        /// Which generator.
        generator: String,
        /// What it has.
        models: String,
    },
    /// A generator's clip is not what was asked for.
    #[error("{generator} returned {flaw}")]
    BadClip {
        /// Which generator.
        generator: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A generator's clip is no clip.
    #[error("the clip that {generator} returned cannot be decoded")]
    SpoiltClip {
        /// Which generator.
        generator: String,
        /// Why.
        source: MediaError,
    },
    /// The generator failed task after task, and is left alone.
    #[error("generator {generator} failed task after task and is left alone for another {}",
        humantime::format_duration(std::time::Duration::from_secs(wait.as_secs().saturating_add(1))))]
    CircuitOpen {
        /// Which generator.
        generator: String,
        /// For how long.
        wait: std::time::Duration,
    },
    /// The film is not what was planned.
    #[error("the film has {got} frames, but {want} were planned")]
    WrongFilm {
        /// Decoded frames.
        got: u32,
        /// Planned frames.
        want: u32,
    },
    /// A task of a kind that this host does not know.
    #[error("no handler answers tasks of kind `{0}`")]
    UnknownKind(String),
    /// The work is no longer wanted.
    #[error("the work was cancelled")]
    Cancelled,
    /// The attempt was ended because it took too long.
    #[error("it was not done after {}, which is as long as an attempt may take", humantime::format_duration(*after))]
    Deadline {
        /// How long it may take.
        after: std::time::Duration,
    },
    /// A handler panicked: a fault of this program.
    #[error("the handler of this task crashed: {0}")]
    Crashed(String),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(String),
}

impl EngineError {
    /// A stable code for scripts and documents.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Media(e) => e.code(),
            Self::Generator(e) => e.code(),
            Self::Plugin(e) => e.code(),
            Self::Artifact(ArtifactError::Missing { .. }) => "artifact_missing",
            Self::Artifact(ArtifactError::Changed { .. }) => "artifact_changed",
            Self::Artifact(ArtifactError::DiskFull { .. }) => "disk_full",
            Self::Artifact(ArtifactError::Io { .. }) => "artifact_io",
            Self::Queue(e) => e.code(),
            Self::List(_) => "list_length",
            Self::BadValue { .. } => "bad_value",
            Self::TooFewImages { .. } => "too_few_images",
            Self::TooManyImages { .. } => "too_many_images",
            Self::NoWayRound { .. } => "bad_loop",
            Self::BadSize(_) | Self::SizeOffGrid { .. } => "bad_size",
            Self::RateOffGrid { .. } => "bad_rate",
            Self::NoUpscaler { .. } | Self::UpscaleFactor { .. } => "bad_upscale",
            Self::NotAFile(_) => "not_a_file",
            Self::OutputExists(_) => "output_exists",
            Self::OutputTaken { .. } => "output_taken",
            Self::OutputFolder { .. } => "output_folder",
            Self::StoredPlan(_) | Self::Stored(_) => "stored_record",
            Self::Download(e) => e.code(),
            Self::NoManifest { .. } => "no_manifest",
            Self::InputsMissing { .. } => "inputs_missing",
            Self::NoSmartStitch { .. } => "no_smart_stitch",
            Self::NoSegment { .. } => "no_segment",
            Self::NoTake { .. } => "no_take",
            Self::TakeGone { .. } => "take_gone",
            Self::FilmReplaced(_) => "output_exists",
            Self::OnlyHistory(_) => "only_history",
            Self::CannotHonour { .. } => "cannot_honour",
            Self::UnknownModel { .. } => "unknown_model",
            Self::BadClip { flaw: Flaw::Wrong { .. }, .. } => "wrong_clip",
            Self::BadClip { flaw: Flaw::Black { .. }, .. } => "black_clip",
            Self::BadClip { flaw: Flaw::Frozen { .. }, .. } => "frozen_clip",
            Self::SpoiltClip { .. } => "spoilt_clip",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::WrongFilm { .. } => "wrong_film",
            Self::UnknownKind(_) => "unknown_kind",
            Self::Cancelled => "cancelled",
            Self::Deadline { .. } => "deadline",
            Self::Crashed(_) => "crashed",
            Self::Thread(_) => "thread",
        }
    }

    /// What the user can do about it; empty when the sentence says it already.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::OutputExists(_) => {
                "move that file away, choose another name with -o or --name, or pass --overwrite".to_owned()
            }
            Self::OutputTaken { run, .. } => format!(
                "choose another name with -o or --name, cancel that run with `travel-host runs cancel {run}`, or pass --overwrite"
            ),
            Self::OutputFolder { .. } => {
                "choose another folder with --output-dir (or -o), or change its permissions".to_owned()
            }
            Self::TooFewImages { .. } => "give more images, or continue a video with --continue-from-video".to_owned(),
            Self::NoWayRound { .. } => "leave out --loop or --continue-from-video".to_owned(),
            Self::TooManyImages { .. } => {
                "make several films, and let each continue the one before with --continue-from-video".to_owned()
            }
            Self::BadSize(_) | Self::SizeOffGrid { .. } => {
                "choose another --resolution, as 832x480 (even sides, 16 to 8192 pixels)".to_owned()
            }
            Self::RateOffGrid { .. } => "choose another rate with --generator-fps; the film may have any with --fps".to_owned(),
            Self::NoUpscaler { .. } => "choose one of them with --upscale-model-name".to_owned(),
            Self::Download(DownloadError::Private { .. }) => {
                "if you mean it, pass --allow-private-addresses, or set allow-private = true in [download]".to_owned()
            }
            Self::Download(DownloadError::TooLarge { .. }) => "raise max-mb in [download]".to_owned(),
            Self::Download(DownloadError::TooSlow { .. }) => "try again, or raise time in [download]".to_owned(),
            Self::Download(DownloadError::Broken { .. }) => "try again: it goes on where it was cut off".to_owned(),
            Self::NoManifest { .. } => "manifests lie beside their films, as FILM.manifest.json; what else has such a name is in the way of one".to_owned(),
            Self::FilmReplaced(_) => "move that file away: the run's film goes there".to_owned(),
            Self::OnlyHistory(_) => "submit the film anew to change it".to_owned(),
            Self::Queue(QueueError::StillOpen { .. }) => "`travel-host runs show RUN` tells what is at work".to_owned(),
            Self::NoSmartStitch { .. } => "--stitch auto does so where it can, and --stitch full never".to_owned(),
            Self::NoSegment { .. } | Self::NoTake { .. } => "`travel-host runs takes RUN` lists segments and takes".to_owned(),
            Self::InputsMissing { .. } => "put them back where they came from, or use the queue that the film was made in".to_owned(),
            Self::Download(DownloadError::Status { .. } | DownloadError::Kind { .. } | DownloadError::Address { .. }) => {
                "give the address of a video, as https://example.org/shot.mp4".to_owned()
            }
            Self::Queue(QueueError::Quota { tenant, .. }) => {
                format!("an operator raises it with `travel-host queue share {tenant} --max-runs N`")
            }
            Self::CannotHonour { able, .. } if !able.is_empty() => "choose one of them with --generator".to_owned(),
            Self::CannotHonour { .. } => {
                "add one that can, such as [generators.NAME.wan2gp]: see docs/generator-protocol.md".to_owned()
            }
            Self::UnknownModel { .. } => "see `travel-host generators list`".to_owned(),
            Self::UpscaleFactor { .. } => "choose another --upscale-factor".to_owned(),
            Self::Generator(e) => generator_hint(e),
            Self::Artifact(ArtifactError::DiskFull { .. }) | Self::Queue(QueueError::DiskFull(_)) => {
                "free some space, then try again".to_owned()
            }
            Self::Media(e) if e.is_disk_full() => "free some space, then try again".to_owned(),
            Self::Media(MediaError::Missing { .. }) => "check the path".to_owned(),
            Self::Media(e) if e.is_bad_input() => "give another file, or one that is whole".to_owned(),
            Self::Artifact(ArtifactError::Changed { .. } | ArtifactError::Missing { .. }) => {
                "submit the same files again, which stores them anew, then go on with `travel-host render --resume RUN`"
                    .to_owned()
            }
            Self::NotAFile(_) => "give the path of a picture or a clip".to_owned(),
            Self::List(_) => "see `travel-host plan --help`".to_owned(),
            Self::BadValue { .. } => "see `travel-host travel --help`".to_owned(),
            Self::Plugin(e) => plugin_hint(e),
            Self::Queue(QueueError::NotADatabase(_) | QueueError::Foreign(_) | QueueError::Missing(_)) => {
                "choose another database with --db".to_owned()
            }
            Self::Queue(QueueError::UnknownRun(_)) => "see `travel-host runs list`".to_owned(),
            Self::Queue(QueueError::Locked { .. }) => {
                "submit to the running host with `travel-host travel`, or choose another database with --db".to_owned()
            }
            Self::BadClip { flaw: Flaw::Wrong { .. }, .. } | Self::WrongFilm { .. } => {
                "the files were not used; see the log with -v, and try the run again".to_owned()
            }
            Self::BadClip { generator, flaw: Flaw::Frozen { .. } } => {
                format!("`allow-still = true` in [generators.{generator}] lets such clips pass")
            }
            _ => String::new(),
        }
    }

    /// The error with its causes, as far as they add something.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = inner.source();
        }
        text
    }

    /// The error with its causes and what to do, as a run keeps it.
    pub(crate) fn with_causes_and_hint(&self) -> String {
        let hint = self.hint();
        if hint.is_empty() { self.with_causes() } else { format!("{} ({hint})", self.with_causes()) }
    }

    /// Whether another attempt may succeed without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Generator(e) => e.is_retryable(),
            Self::Plugin(e) => e.is_retryable(),
            Self::Queue(e) => e.is_retryable(),
            Self::BadClip { .. } | Self::SpoiltClip { .. } | Self::CircuitOpen { .. } | Self::Deadline { .. } => true,
            _ => false,
        }
    }

    /// Whether it tells of the generator and not of the job, so that another generator may do better.
    pub(crate) fn is_the_generators(&self) -> bool {
        use GeneratorError as G;
        let Self::Generator(error) = self else {
            return matches!(
                self,
                Self::BadClip { .. } | Self::SpoiltClip { .. } | Self::CircuitOpen { .. } | Self::Deadline { .. }
            );
        };
        matches!(
            error,
            G::NotStarted { .. }
                | G::Died { .. }
                | G::Silent { .. }
                | G::Protocol { .. }
                | G::OutOfMemory { .. }
                | G::Transient { .. }
                | G::Fatal { .. }
                | G::NoClip { .. }
                | G::Model { .. }
        )
    }

    /// Whether it says that the work was stopped, and not that it failed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled
                | Self::Media(MediaError::Cancelled { .. })
                | Self::Generator(GeneratorError::Cancelled { .. })
                | Self::Plugin(PluginError::Cancelled { .. })
        )
    }

    /// Whether the user's input is to blame, and not the machine: a command that refuses it exits with 2.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Media(e) => e.is_bad_input(),
            Self::Generator(e) => {
                matches!(
                    e,
                    GeneratorError::UnknownGenerator { .. }
                        | GeneratorError::BadSettings { .. }
                        | GeneratorError::BadRecipe { .. }
                        | GeneratorError::NotStarted { .. }
                        | GeneratorError::OnlyAnUpscaler { .. }
                )
            }
            Self::Download(e) => e.is_refusal(),
            Self::Queue(e) => matches!(e, QueueError::Quota { .. }),
            Self::Plugin(e) => {
                !matches!(e, PluginError::Io { .. } | PluginError::CacheFolder { .. } | PluginError::Engine { .. })
            }
            Self::List(_)
            | Self::BadValue { .. }
            | Self::TooFewImages { .. }
            | Self::TooManyImages { .. }
            | Self::NoWayRound { .. }
            | Self::BadSize(_)
            | Self::SizeOffGrid { .. }
            | Self::RateOffGrid { .. }
            | Self::NoUpscaler { .. }
            | Self::UpscaleFactor { .. }
            | Self::NoManifest { .. }
            | Self::InputsMissing { .. }
            | Self::NoSmartStitch { .. }
            | Self::NoSegment { .. }
            | Self::NoTake { .. }
            | Self::TakeGone { .. }
            | Self::FilmReplaced(_)
            | Self::OnlyHistory(_)
            | Self::CannotHonour { .. }
            | Self::UnknownModel { .. }
            | Self::NotAFile(_)
            | Self::OutputExists(_)
            | Self::OutputTaken { .. }
            | Self::OutputFolder { .. } => true,
            _ => false,
        }
    }
}

/// What to do about a generator that cannot be used, or does not do what it was asked.
fn generator_hint(error: &GeneratorError) -> String {
    use GeneratorError as G;
    match error {
        G::UnknownGenerator { .. } => {
            "see `travel-host generators list`; more are added in travel-host.toml".to_owned()
        }
        G::BadSettings { generator, .. } => format!("see `travel-host generators show {generator}`"),
        G::BadRecipe { generator, .. } | G::NotStarted { generator, .. } => {
            format!("correct [generators.{generator}] of travel-host.toml")
        }
        G::Died { generator, .. } | G::Silent { generator, .. } | G::Protocol { generator, .. } => format!(
            "`travel-host generators check {generator}` tries it step by step; what it said on standard error is kept as \
             a file of the task"
        ),
        G::OnlyAnUpscaler { .. } => {
            "it is for --upscale-model-name; choose what renders the legs with --generator".to_owned()
        }
        G::OutOfMemory { .. } => {
            "choose a smaller --resolution, shorter segments, or a pool with more memory".to_owned()
        }
        _ => String::new(),
    }
}

/// What to do about a plugin that cannot be used, or whose answer cannot.
fn plugin_hint(error: &PluginError) -> String {
    use PluginError as P;
    match error {
        P::MissingFolder { .. } | P::NoPlugins { .. } => {
            "give --plugins a folder with plugin.toml, or a folder of such folders".to_owned()
        }
        P::UnknownPlugin { .. } | P::Params { .. } => {
            "see `travel-host plugins list` and `travel-host plugins inspect`".to_owned()
        }
        P::Refused { .. } => "change what it names, or choose another plugin with --role".to_owned(),
        P::Timeout { plugin, .. }
        | P::CpuBudget { plugin, .. }
        | P::MemoryLimit { plugin, .. }
        | P::DataLimit { plugin, .. }
        | P::HandleLimit { plugin, .. } => format!(
            "limits are raised in [limits] of travel-host.toml; `travel-host plugins inspect {plugin}` shows those of a call"
        ),
        P::StackLimit { .. } => {
            "no setting raises this limit: let its author know, or choose another plugin with --role".to_owned()
        }
        P::Crashed { .. } | P::InvalidPlan { .. } => {
            "the plugin is at fault: let its author know, or choose another one with --role".to_owned()
        }
        P::Incompatible { .. } => {
            "build it against the contract of this host, and let its plugin.toml say what it exports and wants"
                .to_owned()
        }
        P::NotAComponent { .. } => {
            "build it with `cargo build --release --target wasm32-wasip2`, and name that file in its plugin.toml"
                .to_owned()
        }
        P::TooLarge { .. } => {
            "make that file smaller: a component by a release build without debug information".to_owned()
        }
        P::Manifest { .. } => "correct that file; docs/plugins.md has an example".to_owned(),
        P::Description { .. } => {
            "correct what it answers to `describe`, or its plugin.toml, until the two agree with docs/plugins.md"
                .to_owned()
        }
        P::LacksRole { role, .. } | P::Ambiguous { role, .. } => {
            format!("choose one with --role {role}=PLUGIN; `travel-host plugins list` shows who answers what")
        }
        P::NobodyAnswers { role } => format!("add a plugin that answers {role} to the folder of --plugins"),
        P::DuplicateId { .. } => "move one of the two folders away, or choose another folder with --plugins".to_owned(),
        P::CacheFolder { .. } => "remove that folder, or make it yours alone with `chmod 700`".to_owned(),
        P::Engine { .. } => "free some memory, or lift the limit on address space (`ulimit -v unlimited`)".to_owned(),
        P::Io { .. } => "check that the file is there and can be read".to_owned(),
        // Whoever cancelled it knows.
        _ => String::new(),
    }
}
