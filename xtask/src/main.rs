//! The commands of the project.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]
#![cfg_attr(test, expect(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod acknowledged;
mod alarms;
mod aws;
mod backups;
mod bench;
mod cost;
mod demo;
mod dependencies;
mod functions;
mod fuzz;
mod kill;
mod local;
mod pipeline;
mod python;
mod roles;
mod secrets;
mod shop;
mod simulate;
mod spot;
mod stack;
mod story;
mod tests;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::SignalKind;

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
    Test {
        /// Run these steps alone: format, lints, dependencies, template, rules, infra, deployed, security, entrypoint, environment,
        /// rust, acknowledged, cargo-lambda, kill
        #[arg(long = "only", value_name = "STEP")]
        only: Vec<String>,
    },
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
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        // Whatever is dropped on the way out ends what it started: servers, agents, folders.
        tokio::select! {
            done = run(arguments.command) => done,
            signal = stopped() => Err(anyhow::anyhow!("stopped by {signal}")),
        }
    });
    // A simulation that was stopped computes on in threads of its own, for which nobody waits.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Comes back when somebody wants this program to end.
async fn stopped() -> &'static str {
    let Ok(mut terminate) = tokio::signal::unix::signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo { story: None, keep } => demo::run(keep).await,
        Command::Demo {
            story: Some(Other::Pipeline),
            keep,
        } => pipeline::run(keep).await,
        Command::Demo {
            story: Some(Other::Spot),
            keep,
        } => spot::run(keep).await,
        Command::Demo {
            story: Some(Other::Alarm),
            keep,
        } => alarms::run(keep).await,
        Command::Demo {
            story: Some(Other::Backup),
            keep,
        } => backups::run(keep).await,
        Command::Local => local::run().await,
        Command::Kill { builds, kills } => kill::run(builds, kills).await,
        Command::Cost { page: true, .. } => cost::page(),
        Command::Cost { builds, .. } => cost::run(builds).await,
        Command::Fuzz { seconds } => fuzz::run(seconds).await,
        Command::Simulate { mutants: true, .. } => simulate::mutants().await,
        Command::Simulate { seeds, seed, minutes, .. } => simulate::run(seeds, seed, minutes).await,
        Command::Bench(options) => bench::run(options).await,
        Command::Test { only } => tests::run(&only).await,
    }
}
