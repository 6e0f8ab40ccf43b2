//! The commands of the project. They install and build what they need, and run the programs of `tests/` that do the work.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod bench;
mod build;
mod dependencies;
#[cfg(test)]
mod documents;
mod fuzz;
mod ledgers;
mod steps;
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::functions;
use xtask::run_until_stopped;
use xtask::story::Story;

/// The commands of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells a story on a local AWS: of a push that loses its Spot agent half-way, unless another is wanted
    Demo {
        /// Which story
        #[arg(value_enum, default_value_t = Story::Push)]
        story: Story,
        /// Leave everything running afterwards, and say how to use it
        #[arg(long)]
        keep: bool,
    },
    /// Keeps the local AWS running, for `cargo lambda watch` and `cargo lambda invoke`
    Local,
    /// Kills functions at random moments while they carry builds: nothing may be lost or doubled
    Kill {
        /// How many builds there are at a time
        #[arg(long, default_value_t = 50)]
        builds: usize,
        /// How many function processes are killed
        #[arg(long, default_value_t = 200)]
        kills: u32,
    },
    /// Computes what the suite costs into docs/explanation/cost.md, after measuring it on a local AWS
    Cost {
        /// How many builds are measured, by tens
        #[arg(long, default_value_t = 40)]
        builds: u32,
        /// Measure nothing: count the templates' resources, and compute from the files of docs/explanation/cost as they are
        #[arg(long)]
        page: bool,
    },
    /// Fuzzes every parser
    Fuzz {
        /// How long each, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Simulates a hostile world, in which nothing may be lost or doubled; `--help` says how
    #[command(disable_help_flag = true)]
    Simulate {
        /// The simulation's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Lives through every flow with a fault at every call, and at every pair of calls; `--help` says how
    #[command(disable_help_flag = true)]
    Explore {
        /// The exploration's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measures the functions: cold starts, events, memory, and how long it takes to the call that matters
    Bench(bench::Options),
    /// Runs every check and test there is
    Test(tests::Options),
}

fn main() -> ExitCode {
    run_until_stopped(run(Arguments::parse().command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo { story, keep } => {
            build::local_aws(keep).await?;
            let mut arguments = vec!["demo", story.name()];
            arguments.extend(keep.then_some("--keep"));
            build::become_local(&arguments)
        }
        Command::Local => {
            build::local_aws(true).await?;
            build::become_local(&["local"])
        }
        Command::Kill { builds, kills } => {
            build::local_aws(false).await?;
            build::become_local(&["kill", "--builds", &builds.to_string(), "--kills", &kills.to_string()])
        }
        Command::Cost { page: true, .. } => {
            build::local_alone().await?;
            build::become_local(&["cost"])
        }
        Command::Cost { builds, .. } => {
            build::local_aws(false).await?;
            functions::build_release().await?;
            build::become_local(&["cost", "--builds", &builds.to_string()])
        }
        Command::Fuzz { seconds } => fuzz::run(seconds).await,
        Command::Simulate { arguments } => build::become_simulation("simulate", &arguments),
        Command::Explore { arguments } => build::become_simulation("explore", &arguments),
        Command::Bench(options) => bench::run(options).await,
        Command::Test(options) => tests::run(&options).await,
    }
}

#[cfg(test)]
mod reference {
    use std::collections::BTreeMap;

    use clap::CommandFactory;

    use super::*;

    /// Options and possible values of each command, with their defaults, as docs/reference/command-line.md lists them.
    fn listed(page: &str, command: &str) -> BTreeMap<String, String> {
        let section = page.split(&format!("\n### `cargo xtask {command}`\n")).nth(1);
        let section = section
            .and_then(|rest| rest.split("\n##").next())
            .unwrap_or("| `no such section` | |");
        let cells = |row: &str| {
            row.split('|')
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect::<Vec<_>>()
        };
        let rows = section.lines().filter(|line| line.starts_with("| `")).map(cells);
        rows.filter_map(|row| Some((row.get(1)?.clone(), row.get(2)?.clone()))).collect()
    }

    #[test]
    fn the_reference_lists_every_command_with_its_options() {
        let page = include_str!("../../docs/reference/command-line.md");
        for command in Arguments::command().get_subcommands() {
            let mut known = BTreeMap::new();
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                let defaults: Vec<_> = argument
                    .get_default_values()
                    .iter()
                    .map(|value| value.to_string_lossy().into_owned())
                    .collect();
                if let Some(long) = argument.get_long() {
                    known.insert(format!("--{long}"), defaults.join(","));
                } else if !argument.is_allow_hyphen_values_set() {
                    for value in argument.get_possible_values() {
                        known.insert(value.get_name().to_owned(), String::new());
                    }
                }
            }
            let listed = listed(page, command.get_name());
            assert!(listed.keys().eq(known.keys()), "{}: {listed:?}, but {known:?}", command.get_name());
            for (option, default) in known.iter().filter(|(_, default)| default.parse::<u64>().is_ok()) {
                assert_eq!(&listed[option], default, "{} {option}", command.get_name());
            }
        }
    }
}
