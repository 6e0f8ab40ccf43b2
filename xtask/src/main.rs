//! The developers' commands. They install and build what they need, and run the programs in `tests/`.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod base_images;
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
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::functions;
use xtask::run_until_stopped;
use xtask::story::Story;
use xtask::workspace::root;

/// The developers' commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a demo on a local AWS; by default a push whose agent loses its Spot capacity half-way
    Demo {
        /// Which demo
        #[arg(value_enum, default_value_t = Story::Push)]
        story: Story,
        /// Leave everything running afterwards, and print how to use it
        #[arg(long)]
        keep: bool,
    },
    /// Keeps a local AWS running, for `cargo lambda watch` and `cargo lambda invoke`
    Local,
    /// Kills functions at random while they process builds: nothing may be lost or done twice
    Kill {
        /// How many builds run at the same time
        #[arg(long, default_value_t = 50)]
        builds: usize,
        /// How many function processes to kill
        #[arg(long, default_value_t = 200)]
        kills: u32,
    },
    /// Measures the suite on a local AWS, and updates the costs in docs/explanation/cost.md
    Cost {
        /// How many builds to measure, in steps of ten
        #[arg(long, default_value_t = 40)]
        builds: u32,
        /// Do not measure: count the templates' resources, and compute from the existing files in docs/explanation/cost
        #[arg(long)]
        page: bool,
    },
    /// Fuzzes every parser
    Fuzz {
        /// How long to fuzz each parser, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Simulates a hostile environment, in which nothing may be lost or done twice; see `--help`
    #[command(disable_help_flag = true)]
    Simulate {
        /// The simulation's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs every flow with a fault at every call, and at every pair of calls; see `--help`
    #[command(disable_help_flag = true)]
    Explore {
        /// The exploration's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measures the functions: cold starts, warm events, memory, and the time to the decisive call
    Bench(bench::Options),
    /// Pins the base images of the agent's Dockerfiles to the digests that docker reports; needs a registry
    BaseImages {
        /// Change nothing, and fail if a digest is missing or out of date
        #[arg(long)]
        check: bool,
    },
    /// Runs all checks and tests
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
        Command::BaseImages { check } => base_images::run(Path::new("docker"), &root().join("infra/agent"), check).await,
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
