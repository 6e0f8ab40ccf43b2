//! The benchmarks: this module builds and installs everything, and `tests/bench` measures.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::process::Command;
use xtask::functions::{self, FUNCTIONS};
use xtask::python::Venv;
use xtask::workspace::{cargo, root, run_openly, run_quietly, target};

/// The parts that can be measured separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Cold starts, compared with an empty function and twins in Python and Node.js
    Cold,
    /// Warm events, with the same comparison
    Warm,
    /// The time to the call that someone waits for
    Reactions,
    /// Growth with the jobs of a run and with the number of open builds
    Growth,
    /// Times and prices by memory size
    Memory,
    /// Decisions, and parsing of events and pipeline files, in memory only
    Decide,
    /// The time to all replacements after a Spot storm, in virtual time
    Storm,
    /// How late something happens that waits for a time, in virtual time
    Timers,
    /// The agent: its start, a script's output, its memory
    Agent,
}

/// The options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Measure only these parts, such as `growth,decide`
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// How many cold starts of each contender
    #[arg(long, default_value_t = 30)]
    cold: usize,
    /// How many processes of each contender for warm events
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many warm events for each process
    #[arg(long, default_value_t = 300)]
    warm: usize,
    /// How many of each reaction
    #[arg(long, default_value_t = 30)]
    reactions: usize,
    /// How many processes for each event and memory size
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// Write the tables to docs/explanation/performance.md
    #[arg(long)]
    page: bool,
    /// A folder with existing binaries of the functions, instead of building them
    #[arg(long)]
    functions: Option<PathBuf>,
    /// An existing binary of the agent, instead of building it
    #[arg(long)]
    agent: Option<PathBuf>,
    /// A folder with the functions' binaries of an earlier build, to compare cold starts and warm events
    #[arg(long, conflicts_with = "page")]
    before: Option<PathBuf>,
    /// A file with trusted root certificates for the functions, instead of Amazon's
    #[arg(long)]
    roots: Option<PathBuf>,
}

impl Part {
    /// Whether it is measured by the program of the storms.
    fn is_virtual(self) -> bool {
        matches!(self, Self::Storm | Self::Timers)
    }
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Measures the functions' release binaries, and the parts that run in memory only.
///
/// # Errors
/// If something cannot be built, installed or measured. A missed target is not an error: the table shows it.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let out = target().join("bench");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    if options.wants(Part::Storm) {
        let storms = ["--within", "10", "--per-second", "5,20,100"];
        in_virtual_time("playing Spot storms", &storms, &out.join("storm.json")).await?;
    }
    if options.wants(Part::Timers) {
        in_virtual_time("waiting for timers", &["--timers"], &out.join("timers.json")).await?;
    }
    if !options.only.is_empty() && options.only.iter().all(|part| part.is_virtual()) {
        return Ok(());
    }
    let mut build = cargo();
    build.args(["build", "--release", "--package", "bellhop-bench"]);
    run_openly("building the benchmarks", &mut build).await?;
    let binaries = target().join("release");
    let mut bench = Command::new(binaries.join("bellhop-bench"));
    bench.arg("--events").arg(root().join("events")).arg("--out").arg(&out);
    let with_contenders = options.wants(Part::Cold) || options.wants(Part::Warm);
    if with_contenders
        || [Part::Reactions, Part::Growth, Part::Memory]
            .into_iter()
            .any(|part| options.wants(part))
    {
        let functions = match &options.functions {
            Some(folder) => std::path::absolute(folder)?,
            None => functions::build_release().await?.binaries,
        };
        bench.arg("--functions").arg(&functions);
        if with_contenders {
            contenders(&mut bench, &functions, options.before.as_deref(), &binaries, &out).await?;
        }
    }
    if options.wants(Part::Agent) {
        let agent = match &options.agent {
            Some(file) => std::path::absolute(file)?,
            None => functions::build_release_of_agent().await?,
        };
        bench.arg("--agent").arg(agent);
    }
    if options.wants(Part::Decide) {
        bench.arg("--criterion").arg(criterion(&out).await?);
    }
    let measured = options.only.iter().filter(|part| !part.is_virtual());
    for part in measured.filter_map(ValueEnum::to_possible_value) {
        bench.arg("--only").arg(part.get_name());
    }
    if let Some(roots) = &options.roots {
        bench.arg("--roots").arg(roots);
    }
    if options.page {
        bench.arg("--page").arg(root().join("docs/explanation/performance.md"));
    }
    for (name, times) in [
        ("--cold", options.cold),
        ("--rounds", options.rounds),
        ("--warm", options.warm),
        ("--reactions", options.reactions),
        ("--processes", options.processes),
    ] {
        bench.arg(name).arg(times.to_string());
    }
    run_openly("measuring", &mut bench).await
}

/// Creates and packs the functions for comparison, and returns their locations.
async fn contenders(bench: &mut Command, functions: &Path, before: Option<&Path>, binaries: &Path, out: &Path) -> anyhow::Result<()> {
    let zips = out.join("zips");
    let venv = Venv::bench().await?;
    // In a folder of their own, where what Python compiles of its twin does not lie among the sources.
    let python_twin = copied("python", &["handler.py"], out)?;
    let node_twin = node_twin(out).await?;
    zip(&venv, functions, out, &zips).await?;
    if let Some(before) = before {
        let (before, zips) = (std::path::absolute(before)?, out.join("zips-before"));
        zip(&venv, &before, out, &zips).await?;
        bench.arg("--before").arg(before).arg("--zips-before").arg(zips);
    }
    for (name, path) in [
        ("--zips", &zips),
        ("--empty", &binaries.join("bellhop-bench-empty")),
        ("--python", &venv.program("python")),
        ("--node", &PathBuf::from("node")),
        ("--python-twin", &python_twin),
        ("--node-twin", &node_twin),
    ] {
        bench.arg(name).arg(path);
    }
    Ok(())
}

/// Runs criterion. Returns the folder of its results.
async fn criterion(out: &Path) -> anyhow::Result<PathBuf> {
    let folder = out.join("criterion");
    // What is left of a benchmark that is not there any more would be taken for measured.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let mut bench = cargo();
    bench
        .args(["bench", "--package", "bellhop-bench", "--bench", "decide", "--", "--quiet"])
        .env("CRITERION_HOME", &folder);
    run_quietly("Measuring decisions and parsing (half a minute, plus the build)", &mut bench).await?;
    Ok(folder)
}

/// Runs the simulation's program for storms and timers, which writes its results to a file.
async fn in_virtual_time(what: &str, arguments: &[&str], results: &Path) -> anyhow::Result<()> {
    let mut storm = cargo();
    storm.args(["run", "--release", "--package", "bellhop-simulation", "--features", "programs"]);
    storm.args(["--example", "storm", "--"]).args(arguments);
    storm.arg("--json").arg(results);
    run_openly(what, &mut storm).await
}

/// Installs the Node.js twin according to its lock file. Returns its folder.
async fn node_twin(out: &Path) -> anyhow::Result<PathBuf> {
    let folder = copied("node", &["package.json", "package-lock.json", "handler.mjs", "runtime.mjs"], out)?;
    let mut install = Command::new("npm");
    install
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&folder);
    run_quietly("Installing the AWS SDK of Node.js (about 20 MB)", &mut install)
        .await
        .context("the Node.js twin needs Node.js 20 or newer, with npm")?;
    Ok(folder)
}

/// Copies files of a twin to the folder where it runs. Returns that folder.
fn copied(twin: &str, files: &[&str], out: &Path) -> anyhow::Result<PathBuf> {
    let (from, folder) = (root().join("tests/bench").join(twin), out.join(twin));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for file in files {
        std::fs::copy(from.join(file), folder.join(file)).with_context(|| format!("cannot copy {file} of the twin"))?;
    }
    Ok(folder)
}

/// Packs each function for its upload: a zip with its binary as `bootstrap`.
async fn zip(venv: &Venv, functions: &Path, out: &Path, zips: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(zips).with_context(|| format!("cannot create {}", zips.display()))?;
    let staged = out.join("bootstrap");
    for name in FUNCTIONS {
        let binary = functions.join(name);
        std::fs::copy(&binary, &staged).with_context(|| format!("cannot copy {}", binary.display()))?;
        let mut zip = Command::new(venv.program("python"));
        zip.args(["-m", "zipfile", "-c"])
            .arg(zips.join(name).with_extension("zip"))
            .arg("bootstrap")
            .current_dir(out);
        run_quietly("Packing the functions", &mut zip).await?;
    }
    std::fs::remove_file(&staged).with_context(|| format!("cannot remove {}", staged.display()))
}
