//! The commands of the project. They install and build what they need, and run the programs of `tests/` that do the work.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod bench;
mod build;
mod dependencies;
mod fuzz;
mod steps;
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use xtask::functions;
use xtask::run_until_stopped;

/// The commands of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows a push being built, losing its Spot agent half-way, and its owner being told; then a push that fails
    Demo {
        /// Another story
        story: Option<Other>,
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
    /// Computes what the suite costs into docs/cost.md, after measuring it on a local AWS
    Cost {
        /// How many builds are measured
        #[arg(long, default_value_t = 40)]
        builds: u32,
        /// Measure nothing: compute from docs/cost/measured.json and docs/cost/prices.json as they are
        #[arg(long)]
        page: bool,
    },
    /// Fuzzes every parser
    Fuzz {
        /// How long each, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Simulates a hostile world, in which nothing may be lost or doubled
    Simulate {
        /// How many worlds
        #[arg(long, default_value_t = 300)]
        seeds: u64,
        /// The first seed; the same seed is always the same world
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// How long each world is hostile, in virtual minutes
        #[arg(long, default_value_t = 60)]
        minutes: u32,
        /// Make mistakes on purpose instead, and see that each is found
        #[arg(long)]
        mutants: bool,
    },
    /// Measures the functions: cold starts, events, memory, and how long it takes to the call that matters
    Bench(bench::Options),
    /// Runs every check and test there is
    Test(tests::Options),
}

/// Stories beside the first one.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Other {
    /// Tests on Spot and an image on CodeBuild, for a push and for an action of CodePipeline
    Pipeline,
    /// An instance of EC2 that is taken away, with two builds and somebody else's task on it
    Spot,
    /// An alarm in three forms that has a service restarted, and its flapping
    Alarm,
    /// A backup that fails and recovers, its copy, and a restore test
    Backup,
}

fn main() -> ExitCode {
    run_until_stopped(run(Arguments::parse().command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo { story, keep } => {
            build::local_aws(keep).await?;
            let story = story.as_ref().and_then(ValueEnum::to_possible_value);
            let mut arguments = vec!["demo"];
            arguments.extend(story.as_ref().map(clap::builder::PossibleValue::get_name));
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
        Command::Simulate { mutants: true, .. } => build::become_simulation(&["--mutants"]),
        Command::Simulate { seeds, seed, minutes, .. } => {
            let [seeds, seed, minutes] = [seeds, seed, u64::from(minutes)].map(|number| number.to_string());
            build::become_simulation(&["--seeds", &seeds, "--seed", &seed, "--minutes", &minutes])
        }
        Command::Bench(options) => bench::run(options).await,
        Command::Test(options) => tests::run(&options).await,
    }
}
