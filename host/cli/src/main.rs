//! `travel-host`: the command line.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it failed while it ran: the run of a `render`, a disk, a database |
//! | 2 | the input was refused; nothing was changed |
//! | 130 | stopped by Ctrl-C; the work can go on later |

#![allow(unreachable_pub, reason = "a program has no face: `pub` means for other modules")]

mod args;
mod command;
mod config;
mod devices;
mod diagnostic;
mod format;
mod legacy;
mod progress;
mod project;
mod refused;
mod render_args;
mod stop;
mod workplace;

use args::Cli;
use clap::Parser as _;
use clap::error::ErrorKind;
use diagnostic::Diagnostic;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() && e.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let diagnostic = Diagnostic::usage(&e.render().to_string());
            diagnostic.print_early(std::env::args_os().any(|a| a == "--json"));
            return ExitCode::from(diagnostic.exit_code());
        }
        Err(e) => {
            // A closed pipe (`--help | head`) is no reason to fail.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let json = cli.global.json;
    cli = match project::expanded(cli, &args) {
        Ok(cli) => cli,
        Err(diagnostic) => {
            diagnostic.print_early(json);
            return ExitCode::from(diagnostic.exit_code());
        }
    };
    if cli.command.is_debugged() {
        cli.global.verbose = cli.global.verbose.max(2);
    }
    let global = cli.global.clone();
    progress::log_to_stderr(&global);
    match command::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(diagnostic) => {
            diagnostic.print(&global);
            ExitCode::from(diagnostic.exit_code())
        }
    }
}
