//! The local AWS with everything deployed, the stories told on it, and the checks that need it.
//!
//! `cargo xtask` builds this program and the functions, installs what Python brings, and then starts it.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]
#![cfg_attr(test, expect(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod acknowledged;
mod alarms;
mod aws;
mod backups;
mod bare;
mod clock;
mod commands;
mod cost;
mod demo;
mod empty;
mod kill;
mod local;
mod pages;
mod parse;
mod pipeline;
mod requests;
mod secrets;
mod shop;
mod spot;
mod stack;
mod story;
mod transcripts;
mod with;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::run_until_stopped;
use xtask::story::Story;

/// The local AWS, and what is shown and checked on it.
#[derive(Debug, Parser)]
#[command(name = "bellhop-local", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells a story
    Demo {
        /// Which one
        #[arg(value_enum)]
        story: Story,
        /// Leave everything running afterwards, and say how to use it
        #[arg(long)]
        keep: bool,
    },
    /// Keeps the local AWS running
    Local,
    /// Kills functions at random moments while they carry builds
    Kill {
        /// How many builds there are at a time
        #[arg(long)]
        builds: usize,
        /// How many function processes are killed
        #[arg(long)]
        kills: u32,
    },
    /// Measures so many builds with the release binaries, and computes docs/explanation/cost.md
    Cost {
        /// How many builds are measured; without it docs/explanation/cost.md is computed from what was measured before
        #[arg(long)]
        builds: Option<u32>,
    },
    /// Tries every row of the table "what is acknowledged, and what is retried"
    Acknowledged,
    /// Runs every command that `local` prints
    Commands,
    /// Compares the page of the demo with what all stories printed
    Transcripts {
        /// The file with the lines that the stories printed
        printed: PathBuf,
    },
    /// Runs a program with the address of a stand-in in its environment, in which there is more of everything than a page holds
    Pages {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true)]
        program: Vec<std::ffi::OsString>,
    },
    /// Parses pipeline files and suite configurations from standard input
    Parse,
    /// Runs a program with a local AWS in its environment on which nothing is deployed
    Empty {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true)]
        program: Vec<std::ffi::OsString>,
    },
    /// Runs a program with a local AWS in its environment
    With {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true)]
        program: Vec<std::ffi::OsString>,
    },
}

fn main() -> ExitCode {
    run_until_stopped(run(Arguments::parse().command))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo { story, keep } => match story {
            Story::Push => demo::run(keep).await,
            Story::Pipeline => pipeline::run(keep).await,
            Story::Spot => spot::run(keep).await,
            Story::Alarm => alarms::run(keep).await,
            Story::Backup => backups::run(keep).await,
        },
        Command::Local => local::run().await,
        Command::Kill { builds, kills } => kill::run(builds, kills).await,
        Command::Cost { builds: Some(builds) } => cost::run(builds).await,
        Command::Cost { builds: None } => cost::page().await,
        Command::Acknowledged => acknowledged::run().await,
        Command::Commands => commands::run().await,
        Command::Transcripts { printed } => transcripts::check(&printed),
        Command::Pages { program } => pages::run(&program).await,
        Command::Parse => parse::run(),
        Command::Empty { program } => empty::run(&program).await,
        Command::With { program } => with::run(&program).await,
    }
}
