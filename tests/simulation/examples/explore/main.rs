//! The exploration: every flow with a fault at every call, and at every pair of calls. `cargo xtask explore` runs it.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use std::num::NonZeroUsize;

use anyhow::{Context as _, ensure};
use bellhop_simulation::{Exploration, Explored, Flow, Mutant, explore};
use clap::Parser;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use indicatif::{ProgressBar, ProgressStyle};

/// Lives through every flow with a fault at every call, and at every pair of calls.
#[derive(Debug, Parser)]
struct Arguments {
    /// These flows alone, such as `push,cancel`
    #[arg(long, value_name = "FLOW", value_delimiter = ',')]
    flows: Vec<String>,
    /// List the calls of each flow, and its events, and explore nothing
    #[arg(long)]
    calls: bool,
    /// How many faults there may be at once: 1 or 2
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    faults: u8,
    /// Of the first faults of pairs, every so many, such as 10
    #[arg(long, default_value_t = NonZeroUsize::MIN, value_name = "N")]
    every: NonZeroUsize,
    /// How many violations of a flow are enough
    #[arg(long, default_value_t = 1)]
    enough: usize,
    /// Make mistakes on purpose instead, and say which are found
    #[arg(long)]
    mutants: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let flows = flows(&arguments.flows)?;
    if arguments.calls {
        flows.into_iter().for_each(calls);
        return Ok(());
    }
    if arguments.mutants {
        mutants(&flows, usize::from(arguments.faults));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "flow",
        "calls",
        "with one fault",
        "with two",
        "first faults left out",
        "invariants",
        "seconds",
    ]);
    let mut violated = Vec::new();
    for flow in flows {
        let exploration = Exploration {
            share: (0, arguments.every.get()),
            enough: arguments.enough,
            ..Exploration::all(flow, usize::from(arguments.faults))
        };
        let explored = with_bar(&exploration);
        for found in &explored.found {
            println!("{found}\n");
        }
        violated.extend((!explored.found.is_empty()).then(|| flow.name()));
        table.add_row(row(&explored));
    }
    println!("{table}");
    ensure!(violated.is_empty(), "violated in the flows {}", violated.join(", "));
    println!("No violation.");
    Ok(())
}

fn flows(names: &[String]) -> anyhow::Result<Vec<Flow>> {
    if names.is_empty() {
        return Ok(Flow::ALL.to_vec());
    }
    let find = |name: &String| {
        let known = || Flow::ALL.iter().map(|flow| flow.name()).collect::<Vec<_>>().join(", ");
        let flow = Flow::ALL.iter().find(|flow| flow.name() == name);
        flow.copied()
            .with_context(|| format!("there is no flow {name}; there are {}", known()))
    };
    names.iter().map(find).collect()
}

fn calls(flow: Flow) {
    println!("{}: {}", flow.name(), flow.story());
    for (number, call) in explore(&Exploration::all(flow, 0), 1, |_, _| {}).calls.iter().enumerate() {
        let kinds: Vec<_> = call.kinds().collect();
        println!("{number:>5}  {:<18} {:<32} {kinds:?}", call.function, call.operation);
    }
}

/// Makes every mistake, and says which flow shows it first, and how.
fn mutants(flows: &[Flow], faults: usize) {
    let mut missed = 0;
    let mistakes = Mutant::all();
    for mutant in &mistakes {
        let found = flows.iter().find_map(|flow| {
            let exploration = Exploration {
                mutant: Some(*mutant),
                ..Exploration::all(*flow, faults)
            };
            explore(&exploration, threads(), |_, _| {}).found.into_iter().next()
        });
        missed += usize::from(found.is_none());
        let how = found.map_or_else(
            || "not found".to_owned(),
            |found| format!("{}, in the flow {}{}", found.violation.invariant, found.flow.name(), found.path()),
        );
        println!("{:<28} {how}", mutant.name);
    }
    println!("{} mistakes, {missed} of them not found.", mistakes.len());
}

fn row(explored: &Explored) -> [String; 7] {
    [
        explored.flow.name().to_owned(),
        explored.calls.len().to_string(),
        explored.lives[0].to_string(),
        explored.lives[1].to_string(),
        explored.left_out.to_string(),
        explored.statistics.checks.to_string(),
        format!("{:.1}", explored.took.as_secs_f64()),
    ]
}

fn with_bar(exploration: &Exploration) -> Explored {
    let style = ProgressStyle::with_template("{prefix:>14} {elapsed_precise} {wide_bar} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(1).with_style(style).with_prefix(exploration.flow.name());
    let explored = explore(exploration, threads(), |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    explored
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
