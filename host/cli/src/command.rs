//! What each command does.

mod artifacts;
mod generators;
mod migrate;
mod names;
mod plan;
mod plugins;
mod queue;
mod redo;
mod render;
mod run;
mod runs;
mod tasks;
mod travel;

use crate::args::{Cli, Command};
use crate::diagnostic::Diagnostic;
use clap::CommandFactory as _;
use serde::Serialize;
use std::io::Write as _;

/// Does what the command line asks; the exit code.
pub fn run(cli: Cli) -> Result<u8, Diagnostic> {
    let Cli { global, command } = cli;
    match command {
        Command::Render(args) => render::render(&global, &args),
        Command::Travel(args) => travel::travel(&global, &args),
        Command::Run(args) => run::run(&global, &args),
        Command::Plan(args) => plan::plan(&global, &args),
        Command::Runs(args) => runs::runs(&global, &args),
        Command::Tasks(args) => tasks::tasks(&global, &args),
        Command::Queue(args) => queue::queue(&global, &args),
        Command::Generators(args) => generators::generators(&global, &args),
        Command::Plugins(args) => plugins::plugins(&global, &args),
        Command::Artifacts(args) => artifacts::artifacts(&global, &args),
        Command::Migrate(args) => migrate::migrate(&global, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "travel-host", &mut script);
            // clap_complete 4.6 splits a program's name at its dash where it labels the cases of the bash script.
            print(&String::from_utf8_lossy(&script).replace("travel__subcmd__host", "travel__host"))
        }
    }
}

/// Text on standard output; whether somebody still reads it. A reader that has seen enough (`| head`) is no failure.
fn put(text: &str) -> Result<bool, Diagnostic> {
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Diagnostic::failed("output", format!("standard output: {e}"))),
    }
}

/// Text on standard output, and nothing after it.
fn print(text: &str) -> Result<u8, Diagnostic> {
    put(text).map(|_| 0)
}

/// A value as one line of JSON.
fn print_json<T: Serialize>(value: &T) -> Result<u8, Diagnostic> {
    print(&json_line(value)?)
}

fn json_line<T: Serialize>(value: &T) -> Result<String, Diagnostic> {
    serde_json::to_string(value).map_err(|e| Diagnostic::failed("output", e.to_string()))
}
