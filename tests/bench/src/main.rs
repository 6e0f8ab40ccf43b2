//! What a function costs: its start, an event, its memory, and how long it takes to the call that somebody waits for.
//!
//! `cargo xtask bench` builds everything and runs this. The functions are the real binaries, served by a Lambda Runtime API and a small AWS in this
//! process; docs/performance.md says what is measured how.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod cases;
mod cloud;
mod function;
mod measure;
mod report;
mod statistics;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::Parser;

use crate::cases::{Case, Places};
use crate::cloud::{Cloud, Known};
use crate::measure::{Contender, Kind, Often};
use crate::report::{Machine, Report};

/// Measures the functions, an empty one and twins in Python and Node.js.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder of the functions' binaries
    #[arg(long)]
    functions: PathBuf,
    /// The folder of the functions' zips
    #[arg(long)]
    zips: PathBuf,
    /// The empty function
    #[arg(long)]
    empty: PathBuf,
    /// A Python that has boto3 and awslambdaric
    #[arg(long)]
    python: PathBuf,
    /// A Node.js
    #[arg(long)]
    node: PathBuf,
    /// The folder of the Python twin
    #[arg(long)]
    python_twin: PathBuf,
    /// The folder of the Node.js twin, with its packages installed
    #[arg(long)]
    node_twin: PathBuf,
    /// The folder of the sample events
    #[arg(long)]
    events: PathBuf,
    /// The trusted roots that functions read, in place of the system's
    #[arg(long)]
    roots: Option<PathBuf>,
    /// Where the results go
    #[arg(long)]
    out: PathBuf,
    /// How many cold starts of each
    #[arg(long)]
    cold: usize,
    /// How many processes of each for warm events
    #[arg(long)]
    rounds: usize,
    /// How many warm events for each of those
    #[arg(long)]
    warm: usize,
    /// How many of each reaction
    #[arg(long)]
    reactions: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let often = Often {
        cold: arguments.cold,
        rounds: arguments.rounds,
        warm: arguments.warm,
        reactions: arguments.reactions,
    };
    let (cloud, url) = Cloud::start(cases::CONFIGURATION).await?;
    let places = Places {
        functions: arguments.functions.clone(),
        events: arguments.events.clone(),
        url,
        roots: arguments.roots.clone(),
    };
    let cases = places.one_each(&cloud).await?;
    let contenders = contenders(&arguments, &places, cases)?;
    let before = load()?;
    let figures = measure::figures(&contenders, &cloud, often, &arguments.zips).await?;
    let reactions = measure::reactions(&places.reactions(&cloud).await?, &places, &cloud, often).await?;
    let report = Report {
        machine: Machine {
            processor: processor()?,
            cores: std::thread::available_parallelism()?.get(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load: (before, load()?),
            python: version(&arguments.python)?,
            node: version(&arguments.node)?,
        },
        targets: report::targets(&figures, &reactions),
        figures,
        reactions,
    };
    write(
        &arguments.out.join("results.json"),
        &format!("{}\n", serde_json::to_string_pretty(&report)?),
    )?;
    write(&arguments.out.join("tables.txt"), &report.tables())?;
    write(&arguments.out.join("cold-starts.svg"), &report.picture())?;
    print!("{}", report.tables());
    println!("Results and the picture are in {}", arguments.out.display());
    Ok(())
}

/// The empty function, the functions in the order of their cases, and the twins.
fn contenders(arguments: &Arguments, places: &Places, cases: Vec<Case>) -> anyhow::Result<Vec<Contender>> {
    let push = places.event("codecommit/push.json")?;
    let other = |name: &'static str, kind: Kind, path: &Path, words: &[&Path]| Contender {
        name: name.to_owned(),
        kind,
        program: places.started_as(path.to_owned(), words),
        case: Case {
            name,
            function: name,
            deciding: "",
            event: push.clone(),
            known: Known::default(),
        },
    };
    let mut all = vec![other("empty", Kind::Empty, &arguments.empty, &[])];
    all.extend(cases.into_iter().map(|case| Contender {
        name: case.function.to_owned(),
        kind: Kind::Function,
        program: places.program(case.function),
        case,
    }));
    let mut python = other(
        "Python",
        Kind::Twin,
        &arguments.python,
        &[Path::new("-m"), Path::new("awslambdaric"), Path::new("handler.handler")],
    );
    let twin = arguments.python_twin.display().to_string();
    python
        .program
        .environment
        .extend([("PYTHONPATH".to_owned(), twin.clone()), ("LAMBDA_TASK_ROOT".to_owned(), twin)]);
    all.push(python);
    all.push(other(
        "Node.js",
        Kind::Twin,
        &arguments.node,
        &[&arguments.node_twin.join("runtime.mjs")],
    ));
    Ok(all)
}

fn processor() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    Ok(line
        .map_or("unnamed processor", |line| line.trim_start_matches([' ', '\t', ':']))
        .to_owned())
}

/// The load of the last minute.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
