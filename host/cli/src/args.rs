//! Commands and global flags.

use crate::render_args::{FILM_FLAGS, TravelArgs};
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
    /// List runs, or show one
    #[command(subcommand)]
    Runs(RunsCommand),
    /// List the tasks of a run, show one, or draw them as a tree
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// List plugins, or look into one
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// Print a completion script: `travel-host completions bash > /etc/bash_completion.d/travel-host`
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
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
    #[arg(long, value_name = "RUN", conflicts_with_all = FILM_FLAGS, conflicts_with = "output")]
    pub resume: Option<String>,
}

/// `travel`
#[derive(Debug, Args)]
pub struct TravelCommand {
    #[command(flatten)]
    pub travel: TravelArgs,
    /// Submitting twice with the same key gives the first run back
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
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
}

/// `runs`
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// The newest runs
    List {
        /// Only runs in this state: active, succeeded, failed, cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
    },
    /// One run: what was asked, where it stands, and why
    Show {
        /// Its number or name
        run: String,
    },
}

/// `tasks`
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// The tasks of a run
    List {
        /// Its number or name
        run: String,
    },
    /// One task: input, output, attempts, files
    Show {
        /// Its number, as `tasks list` prints it
        task: i64,
    },
    /// The tasks of a run, each below what it waits for
    Tree {
        /// Its number or name
        run: String,
    },
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
