//! What can go wrong with a plugin: each arm a sentence with used, allowed and what to do.

use std::fmt;
use std::path::PathBuf;
use travel::{InvalidPlan, Refusal, Role};

/// What a plugin was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// What it says of itself.
    Describe,
    /// How many legs a run has.
    Legs,
    /// One run → a graph.
    Expand,
    /// One segment → its guide.
    Guide,
    /// All clips → the edit list.
    Crossfade,
}

impl Function {
    /// The role that it belongs to; `describe` belongs to none.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Describe => None,
            Self::Legs | Self::Expand => Some(Role::Orchestrate),
            Self::Guide => Some(Role::Guide),
            Self::Crossfade => Some(Role::Crossfade),
        }
    }

    /// As the contract writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Legs => "orchestrate.legs",
            Self::Expand => "orchestrate.expand",
            Self::Guide => "guide.compose",
            Self::Crossfade => "crossfade.compose",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Who wrote the plugin.
    Plugin,
    /// Who submitted the run: its parameters, its lists, its choice of plugin.
    Caller,
    /// Who runs the host: folders, limits, which plugins are installed.
    Operator,
}

/// Why a plugin could not be loaded, found or asked, or why its answer is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The plugin's own "no".
    #[error("plugin `{plugin}` declines {function}: {refusal}")]
    Refused {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// Its words.
        #[source]
        refusal: Refusal,
    },
    /// Too much wall time.
    #[error(
        "plugin `{plugin}` was stopped: {function} ran {used_ms} ms of the {allowed_ms} ms allowed; raise the limit \
         `wall-ms` if the machine is slow, else the plugin hangs"
    )]
    Timeout {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// Milliseconds until it was stopped.
        used_ms: u64,
        /// Milliseconds allowed.
        allowed_ms: u32,
    },
    /// The host wanted the call to end.
    #[error("{function} of plugin `{plugin}` was cancelled")]
    Cancelled {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
    },
    /// Too many instructions.
    #[error(
        "plugin `{plugin}` was stopped: {function} used up the {allowed} units of fuel allowed; raise the limit `fuel` \
         if so much work is needed"
    )]
    CpuBudget {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// Units allowed.
        allowed: u64,
    },
    /// Too much memory, too many tables or elements.
    #[error(
        "plugin `{plugin}` was stopped: {function} wanted {wanted} of {what}, and {allowed} are allowed; raise the \
         limit `{limit}` if so much is needed"
    )]
    MemoryLimit {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// `bytes of memory`, `table elements`, `core instances`, ….
        what: &'static str,
        /// How much it would have had.
        wanted: u64,
        /// How much is allowed.
        allowed: u64,
        /// The limit's name in the configuration.
        limit: &'static str,
    },
    /// Too much data handed to the host.
    #[error(
        "plugin `{plugin}` was stopped: {function} handed more than {allowed} bytes to the host at once; raise the \
         limit `data-bytes` if plans are that large"
    )]
    DataLimit {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// Bytes allowed.
        allowed: u64,
    },
    /// Too many handles held.
    #[error("plugin `{plugin}` was stopped: {function} held more than {allowed} handles; raise the limit `handles`")]
    HandleLimit {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// Handles allowed.
        allowed: u32,
    },
    /// Too deep a recursion.
    #[error(
        "plugin `{plugin}` was stopped: {function} used up the stack of {allowed} bytes; the plugin recurses too deeply"
    )]
    StackLimit {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// Bytes allowed.
        allowed: usize,
    },
    /// A plan that breaks the contract.
    #[error("the {role} plan of plugin `{plugin}` is not valid: {invalid}")]
    InvalidPlan {
        /// Which plugin.
        plugin: String,
        /// Whose plan.
        role: Role,
        /// Where, and why.
        #[source]
        invalid: InvalidPlan,
    },
    /// A trap.
    #[error("plugin `{plugin}` crashed in {function}: {trap}{}", at(.frames))]
    Crashed {
        /// Which plugin.
        plugin: String,
        /// What it was asked.
        function: Function,
        /// The trap.
        trap: String,
        /// Names of its functions, innermost first, as far as the binary has them.
        frames: Vec<String>,
    },
    /// A component that this host cannot serve.
    #[error("plugin `{plugin}` does not fit this host: it {want}, but {have}{}", list(": ", .missing))]
    Incompatible {
        /// Which plugin.
        plugin: String,
        /// What cannot be served, one by one.
        missing: Vec<String>,
        /// What the host, or the manifest, has.
        have: String,
        /// What the binary wants.
        want: String,
    },
    /// A file that is something else.
    #[error("the component of plugin `{plugin}` is not a WebAssembly component: {reason}")]
    NotAComponent {
        /// Which plugin.
        plugin: String,
        /// What the parser says.
        reason: String,
    },
    /// A file beyond its limit.
    #[error("{} has {size} bytes; {allowed} are allowed", .path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size; at least this much.
        size: u64,
        /// The most that is read.
        allowed: u64,
    },
    /// A manifest that cannot be used.
    #[error("{}: {reason}", .path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No such folder.
    #[error("the plugin folder {} does not exist", .path.display())]
    MissingFolder {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder with no plugin in it.
    #[error(
        "no plugin in {}: neither the folder itself nor one directly below it has a plugin.toml",
        .path.display()
    )]
    NoPlugins {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A role that a plugin does not have.
    #[error("plugin `{plugin}` does not answer {role}; it answers {}", roles(.has))]
    LacksRole {
        /// Which plugin.
        plugin: String,
        /// The role that is wanted.
        role: Role,
        /// The roles that it has.
        has: Vec<Role>,
    },
    /// A name that no plugin bears.
    #[error("no plugin is called `{wanted}`; there are {}", names(.known))]
    UnknownPlugin {
        /// The name that is wanted.
        wanted: String,
        /// All names.
        known: Vec<String>,
    },
    /// Several plugins for a role, and no choice among them.
    #[error("several plugins answer {role}: {}; name the one that is meant", names(.candidates))]
    Ambiguous {
        /// Which role.
        role: Role,
        /// Their names.
        candidates: Vec<String>,
    },
    /// No plugin for a role.
    #[error("no plugin answers {role}")]
    NobodyAnswers {
        /// Which role.
        role: Role,
    },
    /// Parameters that the plugin's schema refuses.
    #[error("parameters for {role} of plugin `{plugin}`, at {}: {reason}", pointer_text(.pointer))]
    Params {
        /// Which plugin.
        plugin: String,
        /// Whose parameters.
        role: Role,
        /// JSON pointer into the parameters; empty for the whole.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
    /// Two plugins of one name.
    #[error("two plugins are called `{id}`: {} and {}", .first.display(), .second.display())]
    DuplicateId {
        /// The name.
        id: String,
        /// One folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// What a plugin says of itself cannot be used.
    #[error("what plugin `{plugin}` says of itself is not valid: {reason}")]
    Description {
        /// Which plugin.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The compiled-code cache's folder cannot be trusted.
    #[error("the cache folder {} cannot be used: {reason}", .path.display())]
    CacheFolder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The wasm engine itself.
    #[error("the plugin engine could not be made: {reason}")]
    Engine {
        /// What it says.
        reason: String,
    },
    /// The file system.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
}

impl PluginError {
    /// A stable code, for documentation and for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "plugin_refused",
            Self::Timeout { .. } => "plugin_timeout",
            Self::Cancelled { .. } => "plugin_cancelled",
            Self::CpuBudget { .. } => "plugin_cpu_budget",
            Self::MemoryLimit { .. } => "plugin_memory_limit",
            Self::DataLimit { .. } => "plugin_data_limit",
            Self::StackLimit { .. } => "plugin_stack_limit",
            Self::InvalidPlan { .. } => "plugin_invalid_plan",
            Self::Crashed { .. } => "plugin_crashed",
            Self::Incompatible { .. } => "plugin_incompatible",
            Self::NotAComponent { .. } => "plugin_not_a_component",
            Self::TooLarge { .. } => "plugin_too_large",
            Self::Manifest { .. } => "plugin_manifest",
            Self::MissingFolder { .. } => "plugin_folder_missing",
            Self::NoPlugins { .. } => "plugin_none",
            Self::LacksRole { .. } => "plugin_lacks_role",
            Self::UnknownPlugin { .. } => "plugin_unknown",
            Self::Ambiguous { .. } => "plugin_ambiguous",
            Self::Params { .. } => "plugin_params",
            Self::DuplicateId { .. } => "plugin_duplicate_id",
            Self::Io { .. } => "plugin_io",
            Self::Description { .. } => "plugin_description",
            Self::CacheFolder { .. } => "plugin_cache_folder",
            Self::Engine { .. } => "plugin_engine",
            Self::HandleLimit { .. } => "plugin_handle_limit",
            Self::NobodyAnswers { .. } => "plugin_nobody_answers",
        }
    }

    /// Who can do something about it.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Timeout { .. }
            | Self::CpuBudget { .. }
            | Self::MemoryLimit { .. }
            | Self::DataLimit { .. }
            | Self::HandleLimit { .. }
            | Self::StackLimit { .. }
            | Self::InvalidPlan { .. }
            | Self::Crashed { .. }
            | Self::Incompatible { .. }
            | Self::NotAComponent { .. }
            | Self::Manifest { .. }
            | Self::Description { .. } => Blame::Plugin,
            Self::Refused { .. }
            | Self::Cancelled { .. }
            | Self::LacksRole { .. }
            | Self::UnknownPlugin { .. }
            | Self::Ambiguous { .. }
            | Self::Params { .. } => Blame::Caller,
            Self::TooLarge { .. }
            | Self::MissingFolder { .. }
            | Self::NoPlugins { .. }
            | Self::NobodyAnswers { .. }
            | Self::DuplicateId { .. }
            | Self::CacheFolder { .. }
            | Self::Engine { .. }
            | Self::Io { .. } => Blame::Operator,
        }
    }

    /// Whether the same call may well succeed when it is made again. Plugins are pure, so only what depends on the
    /// machine is worth a second try.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Io { .. })
    }
}

fn pointer_text(pointer: &str) -> String {
    if pointer.is_empty() { "the top".to_owned() } else { format!("`{pointer}`") }
}

fn at(frames: &[String]) -> String {
    if frames.is_empty() { String::new() } else { format!(" (in {})", frames.join(" < ")) }
}

fn list(lead: &str, items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!("{lead}{}", items.join(", ")) }
}

fn names(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { format!("`{}`", names.join("`, `")) }
}

fn roles(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(|r| r.as_str()).collect();
    if names.is_empty() { "no role".to_owned() } else { names.join(", ") }
}
