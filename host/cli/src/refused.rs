//! Flags of the original tool that have no meaning here: listed, and refused, never ignored.

use crate::diagnostic::Diagnostic;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// Flag, old spelling, whether it takes a value, and what to do instead.
const FLAGS: [(&str, &str, bool, &str); 4] = [
    (
        "booster-loras",
        "booster_loras",
        false,
        "no list of them was ever published; name them in --generator-settings '{\"activated_loras\": [\"…\"]}'",
    ),
    ("poll-interval", "poll_interval", true, "nothing polls here; leave it out"),
    ("poll-timeout", "poll_timeout", true, "nothing polls here; --attempt-deadline bounds an attempt"),
    ("output-video-frames", "output_video_frames", true, "it belongs to different_pose, which is not part of this"),
];

/// The refused flags that a command line has.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    given: Option<(&'static str, &'static str)>,
}

impl Refused {
    /// Refuses the first of them.
    pub fn refuse(&self) -> Result<(), Diagnostic> {
        self.given.map_or(Ok(()), |(flag, instead)| {
            Err(Diagnostic::refused("not_supported", format!("--{flag} is not supported")).hint(instead))
        })
    }
}

impl Args for Refused {
    fn augment_args(command: Command) -> Command {
        FLAGS.into_iter().fold(command, |command, (flag, old, takes_value, instead)| {
            let action = if takes_value { ArgAction::Append } else { ArgAction::SetTrue };
            let arg = Arg::new(flag).long(flag).alias(old).action(action).help(instead);
            let arg = if takes_value { arg.value_name("…").allow_negative_numbers(true) } else { arg };
            command.arg(arg.help_heading("Not supported (refused)"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Refused {
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
