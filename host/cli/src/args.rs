//! Commands and global flags.

use crate::render_args::{CONTENT_FLAGS, PLACE_FLAGS, TravelArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Turns a list of still images into one film that travels from each to the next.
///
/// A generator renders each leg between two images; neighbouring legs overlap and are cross-faded. What is decided —
/// how a run becomes tasks, what a generator is shown, how legs are joined — is decided by sandboxed WASM plugins,
/// which can be swapped without rebuilding.
#[derive(Debug, Parser)]
#[command(name = "travel-host", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done · 1 failed while running · 2 input refused, nothing changed · 130 stopped")]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// For every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The queue's database; its files lie beside it in a folder of the same name, `.data` [default: travel-host.db]
    #[arg(
        long,
        global = true,
        alias = "db_path",
        visible_alias = "db-path",
        value_name = "FILE",
        env = "TRAVEL_HOST_DB"
    )]
    pub db: Option<PathBuf>,
    /// Plugins: a folder with `plugin.toml`, or a folder of such folders [default: the built-in plugin]
    #[arg(long, global = true, value_name = "DIR")]
    pub plugins: Option<PathBuf>,
    /// Settings, read from `travel-host.toml` in the current folder when it is there
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Machine-readable output: JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more to standard error; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Colours and progress bars
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Submit, run and wait: images in, film out, in one process
    #[command(arg_required_else_help = true)]
    Render(RenderCommand),
    /// Submit a film and return at once; a host started with `run` makes it
    #[command(alias = "travel_between_images", visible_alias = "travel-between-images", arg_required_else_help = true)]
    Travel(TravelCommand),
    /// Be the host: work on the queue until stopped
    Run(RunCommand),
    /// Print a film's time line without touching the queue
    #[command(arg_required_else_help = true)]
    Plan(PlanCommand),
    /// List runs, show one, follow its events; cancel, pause, resume or retry one
    #[command(subcommand)]
    Runs(RunsCommand),
    /// List the tasks of a run, draw them as a tree, show or explain one; cancel or retry one
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Look after the queue: health, shares, pausing, pruning, backups
    #[command(subcommand)]
    Queue(QueueCommand),
    /// List generators, look into one, try one against the protocol, render one guide by hand
    #[command(subcommand)]
    Generators(GeneratorsCommand),
    /// List plugins, or look into one
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Clean up what was made on the way to films
    #[command(subcommand)]
    Artifacts(ArtifactsCommand),
    /// Take over what a database of the Python original tells of runs that are over, once
    Migrate(MigrateCommand),
    /// Print a completion script: `travel-host completions bash > /etc/bash_completion.d/travel-host`
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether everything is to be told.
    pub fn is_debugged(&self) -> bool {
        match self {
            Self::Render(RenderCommand { travel, .. })
            | Self::Travel(TravelCommand { travel, .. })
            | Self::Plan(PlanCommand { travel, .. }) => travel.debug,
            _ => false,
        }
    }
}

/// `render`
#[derive(Debug, Args)]
pub struct RenderCommand {
    #[command(flatten)]
    pub travel: TravelArgs,
    /// The film [default: OUTPUT_DIR/NAME.mp4]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Go on with a run that was stopped or failed, by number or name
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = CONTENT_FLAGS,
        conflicts_with_all = PLACE_FLAGS,
        conflicts_with_all = ["output", "from_manifest"]
    )]
    pub resume: Option<String>,
    /// Make the film of a manifest again, which lies beside every film: FILM.manifest.json
    #[arg(long, value_name = "FILE", conflicts_with_all = CONTENT_FLAGS)]
    pub from_manifest: Option<PathBuf>,
}

/// `travel`
#[derive(Debug, Args)]
pub struct TravelCommand {
    #[command(flatten)]
    pub travel: TravelArgs,
    /// Do not start before this long from now, as `2h` or `90m`
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "start_at")]
    pub start_in: Option<std::time::Duration>,
    /// Do not start before this time, as `2027-01-31T22:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_rfc3339_weak)]
    pub start_at: Option<std::time::SystemTime>,
    /// Submitting twice with the same key gives the first run back
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// As the first tool did it: be the host too, render one segment after another, tell how far it is, wait, and end with the
    /// run's result
    #[arg(long, alias = "legacy_travel_flow", conflicts_with_all = ["start_in", "start_at", "idempotency_key"])]
    pub legacy_travel_flow: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanCommand {
    #[command(flatten)]
    pub travel: TravelArgs,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunCommand {
    /// Where films go whose runs name no folder [default: films]
    #[arg(long, alias = "output_dir", value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// End when nothing is left to do
    #[arg(long)]
    pub until_idle: bool,
    /// Also serve a database of the Python original: its queued rows are made here, and answered there
    #[arg(long, value_name = "TASKS.DB")]
    pub legacy_db: Option<PathBuf>,
}

/// `artifacts`
#[derive(Debug, Subcommand)]
pub enum ArtifactsCommand {
    /// Remove stored clips, guides, encoded parts, logs and former takes of runs that are over; films, manifests and inputs stay.
    /// Which, [clean-up] of travel-host.toml says, unless it is said here
    Gc {
        /// Of runs that ended longer ago than this, as `14d`
        #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
        older_than: Option<std::time::Duration>,
        /// Of the runs that ended longest ago, while all together take more MiB than this
        #[arg(long, value_name = "MIB")]
        max_mb: Option<u64>,
        /// Tell what would be removed, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// `migrate`
#[derive(Debug, Args)]
pub struct MigrateCommand {
    /// The original's database, tasks.db; a copy of it is made beside it, and nothing in it is altered
    #[arg(long, value_name = "TASKS.DB")]
    pub from_legacy: PathBuf,
    /// Whose its runs are
    #[arg(long, default_value = "default", value_name = "TENANT")]
    pub tenant: String,
}

/// Which run is meant.
#[derive(Debug, Args)]
pub struct OneRun {
    /// Its number or name; of several of one name, the newest
    pub run: String,
    /// Only a run of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
}

/// `runs`
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// The newest runs
    List {
        /// Only this tenant's
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Only runs in this state: active, succeeded, failed, cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
    },
    /// One run: what was asked, where it stands, and why
    Show(OneRun),
    /// What happened in a run, numbered without a gap: a cursor for whoever reads on
    Events {
        #[command(flatten)]
        run: OneRun,
        /// Only events after this number
        #[arg(long, default_value_t = 0, value_name = "SEQ")]
        after: i64,
        /// Wait for more until the run is over, or nobody reads on
        #[arg(long)]
        follow: bool,
    },
    /// Stop a run: what has not started never does, what runs is stopped
    Cancel(OneRun),
    /// Start nothing more of a run; what runs goes on
    Pause(OneRun),
    /// Let a run go on: one that is paused, failed or cancelled; what had succeeded is not done again
    Resume(OneRun),
    /// Set a failed or cancelled run going again, at once; what had succeeded is not done again
    Retry(OneRun),
    /// Render one segment of a film again, with another seed or prompt, then only what depends on it; what it was is kept
    Redo(RedoCommand),
    /// What each segment was rendered as; choose a former one, and only what depends on it is done again
    Takes(TakesCommand),
}

/// `runs redo`
#[derive(Debug, Args)]
pub struct RedoCommand {
    #[command(flatten)]
    pub run: OneRun,
    /// Which segment, counted from 0
    #[arg(long, value_name = "N")]
    pub segment: u32,
    /// For the generator's randomness
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// What to show, in words
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// What to avoid, in words
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// Settings of the generator over those that it had, a JSON object
    #[arg(long, value_name = "JSON")]
    pub generator_settings: Option<String>,
    /// Wait until the film is there; where no host works on the queue, be it until then
    #[arg(long)]
    pub wait: bool,
}

/// `runs takes`
#[derive(Debug, Args)]
pub struct TakesCommand {
    #[command(flatten)]
    pub run: OneRun,
    /// Only this segment, counted from 0
    #[arg(long, value_name = "N")]
    pub segment: Option<u32>,
    /// Make this take of the segment the one that the film has, counted from 1
    #[arg(long, value_name = "TAKE", requires = "segment")]
    pub choose: Option<usize>,
    /// With --choose: wait until the film is there; where no host works on the queue, be it until then
    #[arg(long, requires = "choose")]
    pub wait: bool,
}

/// `queue`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Check every rule of the queue, its file, its disk and its stored files
    Doctor {
        /// Mend what can be derived anew, and remove stored files that nothing refers to
        #[arg(long)]
        repair: bool,
        /// With --repair: tell what would be done, and do nothing
        #[arg(long, requires = "repair")]
        dry_run: bool,
    },
    /// Who waits and who runs: every tenant's place in the fair share of every pool
    Lanes,
    /// Start nothing more in a pool, for everybody or for one tenant; what runs goes on
    Pause {
        /// The pool, such as gpu
        #[arg(long, value_name = "POOL")]
        pool: String,
        /// Only this tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
    },
    /// Undo `queue pause`
    Resume {
        /// The pool, such as gpu
        #[arg(long, value_name = "POOL")]
        pool: String,
        /// Only this tenant
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
    },
    /// Set a tenant's weight in the fair share, and its limits: tasks at once in a pool, open runs
    Share {
        /// The tenant
        tenant: String,
        /// It has not submitted anything yet
        #[arg(long)]
        new: bool,
        /// Its weight: twice the weight, twice the time; 100 unless set
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), required_unless_present_any = ["max_running", "max_runs"])]
        weight: Option<u32>,
        /// Tasks of it that may run at once in --pool; `none` is no limit
        #[arg(long, value_name = "N", requires = "pool", value_parser = at_most)]
        max_running: Option<AtMost>,
        /// Runs of it that may be open at once; one more is refused when it is submitted; `none` is no limit
        #[arg(long, value_name = "N", value_parser = at_most)]
        max_runs: Option<AtMost>,
        /// The pool of --max-running
        #[arg(long, value_name = "POOL", requires = "max_running")]
        pool: Option<String>,
    },
    /// Forget runs that are over, and the stored files that only they used
    Prune {
        /// Runs that ended longer ago than this, as `30d` or `12h`
        #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
        older_than: std::time::Duration,
        /// Of each tenant's runs that are over (and in such a --state) keep so many of the newest, whatever their age
        #[arg(long, default_value_t = 0, value_name = "N")]
        keep: u32,
        /// Only runs that ended so: succeeded, failed, cancelled
        #[arg(long, value_name = "STATE", value_delimiter = ',')]
        state: Vec<String>,
        /// Only this tenant's
        #[arg(long, value_name = "TENANT")]
        tenant: Option<String>,
        /// Tell what would be forgotten, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write a whole copy of the database to a new file, while others work on it; stored files are not in it
    Backup {
        /// The copy
        file: PathBuf,
    },
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtMost(pub Option<u32>);

fn at_most(text: &str) -> Result<AtMost, String> {
    match text {
        "none" => Ok(AtMost(None)),
        number => number.parse().map(|n| AtMost(Some(n))).map_err(|_| "a number, or `none`".to_owned()),
    }
}

/// `tasks`
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// The tasks of a run
    List(OneRun),
    /// One task: input, output, attempts, files
    Show {
        /// Its number, as `tasks list` prints it
        task: i64,
    },
    /// Why a task is where it is: in one sentence, with the numbers
    Explain {
        /// Its number, as `tasks list` prints it
        task: i64,
    },
    /// Stop one task; what needs its result is skipped
    Cancel {
        /// Its number, as `tasks list` prints it
        task: i64,
    },
    /// Set a failed, cancelled or skipped task going again, and what was skipped for its sake
    Retry {
        /// Its number, as `tasks list` prints it
        task: i64,
    },
    /// The tasks of a run, each below what it waits for
    Tree(OneRun),
}

/// `generators`
#[derive(Debug, Subcommand)]
pub enum GeneratorsCommand {
    /// Name, version, pool, lengths and models of every generator; programs are started to be asked
    List,
    /// One generator: also its rates and settings
    Show {
        /// Its name
        name: String,
    },
    /// Try a program against the generator protocol, step by step, and say what it breaks
    ///
    /// travel-host generators check wan            one of travel-host.toml
    /// travel-host generators check -- python3 flow.py
    #[command(verbatim_doc_comment)]
    Check {
        /// A generator of travel-host.toml; or its command after `--`
        #[arg(required_unless_present = "command", conflicts_with = "command")]
        name: Option<String>,
        /// Settings to try it with, a JSON object
        #[arg(long = "generator-settings", alias = "generator_settings", value_name = "JSON")]
        settings: Option<String>,
        /// The graphics card that it gets, as `CUDA_VISIBLE_DEVICES` names it
        #[arg(long, value_name = "N")]
        device: Option<String>,
        /// The program and its arguments
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Render one guide and mask by hand
    Run(TryGenerator),
}

/// `generators run`
#[derive(Debug, Args)]
pub struct TryGenerator {
    /// The generator
    pub name: String,
    /// Clip of what to show
    #[arg(long, value_name = "FILE")]
    pub guide: PathBuf,
    /// Clip of what to keep (black) and what to generate (white)
    #[arg(long, value_name = "FILE")]
    pub mask: PathBuf,
    /// The clip to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace it when it is there
    #[arg(long)]
    pub overwrite: bool,
    /// What to show, in words
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub prompt: String,
    /// What to avoid, in words
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub negative_prompt: String,
    /// A picture to go by besides; may be given again
    #[arg(long, value_name = "FILE")]
    pub reference: Vec<PathBuf>,
    /// One of its models
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// For the generator's randomness
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Its settings, a JSON object
    #[arg(long = "generator-settings", alias = "generator_settings", value_name = "JSON")]
    pub settings: Option<String>,
    /// The graphics card that it gets, as `CUDA_VISIBLE_DEVICES` names it
    #[arg(long, value_name = "N")]
    pub device: Option<String>,
}

/// `plugins`
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// Id, version, roles, digest and source of every plugin
    List,
    /// One plugin: also its parameters and limits
    Inspect {
        /// Its id
        id: String,
    },
}
