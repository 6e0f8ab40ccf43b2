//! What a function costs: its start, an event, its memory, and how long it takes to the call that somebody waits for.
//!
//! `cargo xtask bench` builds everything and runs this. The functions are the real binaries, served by a Lambda Runtime API and a small AWS in this
//! process; docs/explanation/performance.md says what is measured how.
#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

mod agent;
mod cases;
mod cloud;
mod function;
mod growth;
mod measure;
mod memory;
mod micro;
mod page;
mod report;
mod share;
mod statistics;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};

use crate::cases::{Case, Places};
use crate::cloud::{Cloud, Known};
use crate::measure::{Contender, Kind, Often};
use crate::report::{Machine, Part, Report};

/// What may be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Cold starts
    Cold,
    /// Warm events
    Warm,
    /// How long it takes to the call that somebody waits for
    Reactions,
    /// What grows with the jobs of a run and with the builds that are open
    Growth,
    /// Decisions and reading, as criterion measured them
    Decide,
    /// Times and prices by the size of memory
    Memory,
    /// The agent
    Agent,
}

/// Measures the functions, an empty one and twins in Python and Node.js.
#[derive(Debug, Parser)]
struct Arguments {
    /// These parts alone
    #[arg(long, value_delimiter = ',')]
    only: Vec<Only>,
    /// The folder of the functions' binaries
    #[arg(long)]
    functions: Option<PathBuf>,
    /// The agent
    #[arg(long)]
    agent: Option<PathBuf>,
    /// The folder of the functions' zips
    #[arg(long)]
    zips: Option<PathBuf>,
    /// A folder with the functions' binaries of an earlier build
    #[arg(long, requires = "zips_before")]
    before: Option<PathBuf>,
    /// The folder of their zips
    #[arg(long)]
    zips_before: Option<PathBuf>,
    /// The empty function
    #[arg(long)]
    empty: Option<PathBuf>,
    /// A Python that has boto3 and awslambdaric
    #[arg(long)]
    python: Option<PathBuf>,
    /// A Node.js
    #[arg(long)]
    node: Option<PathBuf>,
    /// The folder of the Python twin
    #[arg(long)]
    python_twin: Option<PathBuf>,
    /// The folder of the Node.js twin, with its packages installed
    #[arg(long)]
    node_twin: Option<PathBuf>,
    /// The folder of the sample events
    #[arg(long)]
    events: PathBuf,
    /// The folder of what criterion measured
    #[arg(long)]
    criterion: Option<PathBuf>,
    /// The trusted roots that functions read, in place of Amazon's
    #[arg(long)]
    roots: Option<PathBuf>,
    /// Where the results go
    #[arg(long)]
    out: PathBuf,
    /// A page whose measured parts are replaced
    #[arg(long)]
    page: Option<PathBuf>,
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
    /// How many processes of each event and size of memory
    #[arg(long)]
    processes: usize,
}

impl Arguments {
    fn wants(&self, part: Only) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (cloud, url) = Cloud::start(cases::CONFIGURATION).await?;
    let places = Places {
        functions: arguments.functions.clone().unwrap_or_default(),
        events: arguments.events.clone(),
        url,
        roots: arguments.roots.clone(),
    };
    let report = measured(&arguments, &places, &cloud).await?;
    let results = arguments.out.join("results.json");
    let earlier = std::fs::read_to_string(&results).unwrap_or_default();
    write(&results, &format!("{:#}\n", report.results(&earlier)?))?;
    let tables = report.tables();
    let text: Vec<&str> = tables.iter().map(|(_, text)| text.as_str()).collect();
    write(&arguments.out.join("tables.txt"), &text.join("\n"))?;
    print!("{}", text.join("\n"));
    if let Some(picture) = report.picture() {
        write(&arguments.out.join("cold-starts.svg"), &picture)?;
    }
    if let Some(page) = &arguments.page {
        let old = std::fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
        write(page, &page::renewed(&old, &tables)?)?;
    }
    println!("\nResults are in {}", arguments.out.display());
    Ok(())
}

async fn measured(arguments: &Arguments, places: &Places, cloud: &Cloud) -> anyhow::Result<Report> {
    let often = Often {
        cold: if arguments.wants(Only::Cold) { arguments.cold } else { 0 },
        rounds: if arguments.wants(Only::Warm) { arguments.rounds } else { 0 },
        warm: arguments.warm,
        reactions: arguments.reactions,
    };
    let mut report = Report::default();
    if often.cold + often.rounds > 0 {
        let mut machine = Machine::now()?;
        let cases = places.one_each(cloud).await?;
        // Each build has records that it has made itself: an older one may not be able to read those of a newer one.
        let earlier = match &arguments.before {
            Some(functions) => {
                let functions = functions.clone();
                Places {
                    functions,
                    ..places.clone()
                }
                .one_each(cloud)
                .await?
            }
            None => Vec::new(),
        };
        let contenders = contenders(arguments, places, cases, earlier)?;
        let figures = measure::figures(&contenders, cloud, often).await?;
        for program in [&arguments.python, &arguments.node].into_iter().flatten() {
            machine.beside.push(version(program)?);
        }
        report.functions = Some(Part::of(machine, figures)?);
    }
    if arguments.wants(Only::Reactions) {
        let machine = Machine::now()?;
        let reactions = measure::reactions(&places.reactions(cloud).await?, places, cloud, often).await?;
        report.reactions = Some(Part::of(machine, reactions)?);
    }
    if let (Some(figures), Some(reactions)) = (&report.functions, &report.reactions)
        && often.cold > 0
        && often.rounds > 0
    {
        let targets = report::targets(&figures.measured, &reactions.measured);
        report.targets = Some(Part::of(figures.machine.clone(), targets)?);
    }
    if arguments.wants(Only::Growth) {
        let machine = Machine::now()?;
        report.growth = Some(Part::of(machine, growth::growth(places, cloud).await?)?);
    }
    if arguments.wants(Only::Memory) {
        let machine = Machine::now()?;
        let events = memory::events(places, cloud).await?;
        let memory = memory::memory(&events, places, cloud, arguments.processes).await?;
        report.memory = Some(Part::of(machine, memory)?);
    }
    if arguments.wants(Only::Agent) {
        let program = given("--agent", arguments.agent.as_deref())?.to_owned();
        let (machine, s3) = (Machine::now()?, places.url.clone());
        let measured = tokio::task::spawn_blocking(move || agent::agent(&program, &s3)).await??;
        report.agent = Some(Part::of(machine, measured)?);
    }
    if arguments.wants(Only::Decide) {
        let folder = given("--criterion", arguments.criterion.as_deref())?;
        report.decide = Some(Part::of(Machine::now()?, micro::estimates(folder)?)?);
    }
    Ok(report)
}

/// An option that only some parts need.
fn given<'a>(name: &str, value: Option<&'a Path>) -> anyhow::Result<&'a Path> {
    value.with_context(|| format!("{name} is missing"))
}

/// The empty function, the functions in the order of their cases, each after its earlier build, and the twins.
fn contenders(arguments: &Arguments, places: &Places, cases: Vec<Case>, earlier: Vec<Case>) -> anyhow::Result<Vec<Contender>> {
    let mut earlier = earlier.into_iter();
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
        zip: None,
    };
    let zips = given("--zips", arguments.zips.as_deref())?;
    let packed = |zips: &Path, case: &Case| Some(zips.join(case.function).with_extension("zip"));
    let mut all = vec![other("empty", Kind::Empty, given("--empty", arguments.empty.as_deref())?, &[])];
    for case in cases {
        if let (Some(folder), Some(zips), Some(case)) = (&arguments.before, &arguments.zips_before, earlier.next()) {
            all.push(Contender {
                name: format!("{} before", case.function),
                kind: Kind::Before,
                program: places.started_as(folder.join(case.function), &[]),
                zip: packed(zips, &case),
                case,
            });
        }
        all.push(Contender {
            name: case.function.to_owned(),
            kind: Kind::Function,
            program: places.program(case.function),
            zip: packed(zips, &case),
            case,
        });
    }
    let mut python = other(
        "Python",
        Kind::Twin,
        given("--python", arguments.python.as_deref())?,
        &[Path::new("-m"), Path::new("awslambdaric"), Path::new("handler.handler")],
    );
    let twin = given("--python-twin", arguments.python_twin.as_deref())?.display().to_string();
    python
        .program
        .environment
        .extend([("PYTHONPATH".to_owned(), twin.clone()), ("LAMBDA_TASK_ROOT".to_owned(), twin)]);
    all.push(python);
    all.push(other(
        "Node.js",
        Kind::Twin,
        given("--node", arguments.node.as_deref())?,
        &[&given("--node-twin", arguments.node_twin.as_deref())?.join("runtime.mjs")],
    ));
    Ok(all)
}

fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // Node.js tells its number alone.
    Ok(if version.starts_with('v') {
        format!("Node.js {version}")
    } else {
        version
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
