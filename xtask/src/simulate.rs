//! The simulation: the real domain and engine in a hostile world that one seed decides.

use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::{bail, ensure};
use bellhop_simulation::{MutantResult, Options, Statistics};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use indicatif::{ProgressBar, ProgressStyle};

/// How many violations are shown with their traces.
const SHOWN: usize = 3;

/// Simulates so many worlds from a seed on, each hostile for so many virtual minutes.
///
/// # Errors
/// Something that must hold did not: its seed and its trace are printed.
pub(crate) fn run(seeds: u64, first: u64, minutes: u32) -> anyhow::Result<()> {
    ensure!(seeds > 0, "there is nothing to simulate");
    let options = Options {
        minutes,
        ..Options::default()
    };
    let begun = Instant::now();
    let bar = bar(seeds);
    let summary = bellhop_simulation::simulate(first..first.saturating_add(seeds), &options, threads(), |done| {
        bar.set_position(done)
    });
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
    let seeds: Vec<String> = summary.violations.iter().map(|violation| violation.seed.to_string()).collect();
    ensure!(
        seeds.is_empty(),
        "violated with the seeds {}; one of them again: --seeds 1 --seed SEED",
        seeds.join(", ")
    );
    println!("No violation.");
    Ok(())
}

/// Makes every mistake of the list, and sees that each is found.
///
/// # Errors
/// One was not found within its number of seeds.
pub(crate) fn mutants() -> anyhow::Result<()> {
    let bar = bar(0);
    let results = bellhop_simulation::mutants(threads(), |result| bar.println(line(result)));
    bar.finish_and_clear();
    let missed: Vec<&str> = results
        .iter()
        .filter(|result| result.found_at_seed.is_none())
        .map(|result| result.name)
        .collect();
    if !missed.is_empty() {
        bail!("mistakes that were not found: {}", missed.join(", "));
    }
    println!("{} mistakes made, all found.", results.len());
    Ok(())
}

fn line(result: &MutantResult) -> String {
    match (result.found_at_seed, result.invariant) {
        (Some(seed), Some(invariant)) => format!("{:<32} seed {seed:<6} {invariant}", result.name),
        _ => format!("{:<32} not found", result.name),
    }
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
        ("tasks", statistics.tasks),
        ("launches refused", statistics.refusals),
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
