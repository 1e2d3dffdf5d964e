//! Flags of the original tool whose effect comes later, or never: listed, and refused, never ignored.

use crate::diagnostic::Diagnostic;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// Flag, old spelling, whether it takes a value, and what to do instead.
const FLAGS: [(&str, &str, bool, &str); 14] = [
    ("model-name", "model_name", true, "the embedded generators have no models; use --generator"),
    ("execution-engine", "execution_engine", true, "Wan2GP and ComfyUI cannot be driven yet; use --generator rife"),
    ("use-causvid-lora", "use_causvid_lora", false, "no generator here takes LoRAs yet"),
    ("booster-loras", "booster_loras", false, "no generator here takes LoRAs yet"),
    ("cfg-star-switch", "cfg_star_switch", true, "no generator here has guidance yet"),
    ("cfg-zero-step", "cfg_zero_step", true, "no generator here has guidance yet"),
    ("params-json-str", "params_json_str", true, "use --generator-settings for the embedded generators"),
    ("initial-image-strength", "initial_image_strength", true, "no generator here takes reference images yet"),
    ("final-image-strength", "final_image_strength", true, "no generator here takes reference images yet"),
    ("poll-interval", "poll_interval", true, "nothing polls here; leave it out"),
    ("poll-timeout", "poll_timeout", true, "nothing polls here; leave it out"),
    ("output-video-frames", "output_video_frames", true, "it belongs to different_pose, which is not part of this"),
    ("skip-cleanup", "skip_cleanup", false, "use --keep-guides; clips are always kept"),
    ("debug", "debug", false, "use -vv and --keep-guides"),
];

/// The refused flags that a command line has.
#[derive(Debug, Clone, Default)]
pub struct NotYet {
    given: Option<(&'static str, &'static str)>,
}

impl NotYet {
    /// Refuses the first of them.
    pub fn refuse(&self) -> Result<(), Diagnostic> {
        self.given.map_or(Ok(()), |(flag, instead)| {
            Err(Diagnostic::refused("not_supported", format!("--{flag} is not supported yet")).hint(instead))
        })
    }
}

impl Args for NotYet {
    fn augment_args(command: Command) -> Command {
        FLAGS.into_iter().fold(command, |command, (flag, old, takes_value, instead)| {
            let action = if takes_value { ArgAction::Append } else { ArgAction::SetTrue };
            let arg = Arg::new(flag).long(flag).alias(old).action(action).help(instead);
            let arg = if takes_value { arg.value_name("…").allow_negative_numbers(true) } else { arg };
            command.arg(arg.help_heading("Not yet supported (refused)"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for NotYet {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |(flag, ..): &&(&'static str, &str, bool, &str)| {
            matches.value_source(flag) == Some(clap::parser::ValueSource::CommandLine)
        };
        Ok(Self { given: FLAGS.iter().find(given).map(|(flag, _, _, instead)| (*flag, *instead)) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
