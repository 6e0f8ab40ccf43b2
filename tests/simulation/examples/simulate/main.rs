//! The simulation: the real domain and engine in a hostile world that one seed decides. `cargo xtask simulate` runs it.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use bellhop_simulation::{Mutant, MutantResult, Options, Statistics};
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use indicatif::{ProgressBar, ProgressStyle};

/// How many violations are shown with their traces.
const SHOWN: usize = 3;

/// Simulates a hostile world, in which nothing may be lost or doubled.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many worlds
    #[arg(long, default_value_t = 300)]
    seeds: u64,
    /// The first seed; the same seed is always the same world
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How long each world is hostile, in virtual minutes
    #[arg(long, default_value_t = 60)]
    minutes: u32,
    /// How many events somebody makes up in each world
    #[arg(long, default_value_t = Options::default().forgeries)]
    forgeries: u32,
    /// Make mistakes on purpose instead, all or those with these names, and see that each is found
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 0..)]
    mutants: Option<Vec<String>>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.mutants {
        Some(names) => mutants(&names),
        None => run(arguments.seeds, arguments.seed, arguments.minutes, arguments.forgeries),
    }
}

/// Simulates so many worlds from a seed on, each hostile for so many virtual minutes.
///
/// # Errors
/// Something that must hold did not: its seed and its trace are printed.
fn run(seeds: u64, first: u64, minutes: u32, forgeries: u32) -> anyhow::Result<()> {
    ensure!(seeds > 0, "there is nothing to simulate");
    let last = first.checked_add(seeds).context("there are not so many seeds from this one on")?;
    let options = Options {
        minutes,
        forgeries,
        ..Options::default()
    };
    let begun = Instant::now();
    let bar = bar(seeds);
    let summary = bellhop_simulation::simulate(first..last, &options, threads(), |done| bar.set_position(done));
    bar.finish_and_clear();
    let took = begun.elapsed();
    for violation in summary.violations.iter().take(SHOWN) {
        println!("{violation}\n");
    }
    println!("{}", table(&summary.statistics));
    println!(
        "{} simulations of {minutes} hostile minutes in {:.1} s ({:.1} a second).",
        summary.simulations,
        took.as_secs_f64(),
        summary.simulations as f64 / took.as_secs_f64()
    );
    if let Some((seed, longest)) = summary.slowest {
        println!("The slowest was seed {seed}, with {:.0} ms.", longest.as_secs_f64() * 1000.0);
    }
    let seeds: Vec<String> = summary.violations.iter().map(|violation| violation.seed.to_string()).collect();
    ensure!(
        seeds.is_empty(),
        "violated with the seeds {}; one of them again: --seeds 1 --seed SEED",
        seeds.join(", ")
    );
    println!("No violation.");
    Ok(())
}

/// Makes every mistake of the list, or those with these names, and sees that each is found.
///
/// # Errors
/// One was not found within its number of seeds, or there is none with a name.
fn mutants(names: &[String]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut mutants = Mutant::all();
    if let Some(unknown) = names.iter().find(|name| mutants.iter().all(|mutant| mutant.name != name.as_str())) {
        bail!("there is no mistake {unknown}");
    }
    mutants.retain(|mutant| names.is_empty() || names.iter().any(|name| name == mutant.name));
    let bar = bar(mutants.len() as u64);
    let results = bellhop_simulation::mutants(&mutants, threads(), |_| bar.inc(1));
    bar.finish_and_clear();
    let took = begun.elapsed();
    println!("{}", findings(&results));
    let missed: Vec<&str> = results
        .iter()
        .filter(|result| result.found_at_seed.is_none())
        .map(|result| result.name)
        .collect();
    if !missed.is_empty() {
        bail!("mistakes that were not found: {}", missed.join(", "));
    }
    println!("{} mistakes made in {:.1} s, all found.", results.len(), took.as_secs_f64());
    Ok(())
}

fn findings(results: &[MutantResult]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["mutant", "mistake", "seed", "of at most", "invariant"]);
    for result in results {
        table.add_row([
            result.name.to_owned(),
            result.mistake.to_owned(),
            result.found_at_seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string()),
            result.within.to_string(),
            result.invariant.unwrap_or("not found").to_owned(),
        ]);
    }
    table
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn bar(length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

fn table(statistics: &Statistics) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(["what", "how many"]);
    let rows = [
        ("runs", statistics.runs),
        ("builds", statistics.builds),
        ("retries", statistics.retries),
        ("cancelled or superseded", statistics.cancelled),
        ("waited for a place", statistics.waited),
        ("actions of CodePipeline", statistics.actions),
        ("their continuations", statistics.continued),
        ("of them stopped", statistics.withdrawn),
        ("of them without an answer", statistics.unanswered),
        ("runs asked for", statistics.requested),
        ("tasks", statistics.tasks),
        ("of them on CodeBuild", statistics.on_codebuild),
        ("of them on Step Functions", statistics.on_step_functions),
        ("executions that these started", statistics.children),
        ("of them on instances", statistics.on_instances),
        ("instances taken away", statistics.taken_away),
        ("alarms taken", statistics.alarms),
        ("services restarted", statistics.restarts),
        ("jobs of AWS Backup", statistics.backup_jobs),
        ("of them told about", statistics.backup_alerts),
        ("restored resources removed", statistics.removed),
        ("of them on agents with refs", statistics.guarded),
        ("runs rejected because of refs", statistics.off_refs),
        ("events forged", statistics.forged),
        ("imitations of agents", statistics.imitations),
        ("reports forged", statistics.forged_reports),
        ("tokens taken by others", statistics.tokens_taken),
        ("launches refused", statistics.refusals),
        ("launches refused for good", statistics.refused_for_good),
        ("requests denied", statistics.denials),
        ("effects and agents given up", statistics.given_up),
        ("Spot interruptions", statistics.interruptions),
        ("invocations", statistics.invocations),
        ("invocations that died", statistics.deaths),
        ("invocations that failed", statistics.errors),
        ("dead letters", statistics.dead_letters),
        ("events", statistics.events),
        ("events lost", statistics.events_lost),
        ("events repeated", statistics.events_repeated),
        ("faults of services", statistics.faults),
        ("conflicts", statistics.conflicts),
        ("messages", statistics.messages),
        ("invariants checked", statistics.checks),
    ];
    for (what, count) in rows {
        table.add_row([what.to_owned(), count.to_string()]);
    }
    table
}
