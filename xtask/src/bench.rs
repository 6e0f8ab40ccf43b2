//! The benchmarks: everything is built and installed here, and measured by `tests/bench`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::functions::{self, FUNCTIONS};
use crate::python::Venv;
use crate::workspace::{cargo, root, run_openly, run_quietly, target};

/// What `cargo xtask bench` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many cold starts of each contender
    #[arg(long, default_value_t = 30)]
    cold: usize,
    /// How many processes of each contender for warm events
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many warm events for each of those
    #[arg(long, default_value_t = 300)]
    warm: usize,
    /// How many of each reaction
    #[arg(long, default_value_t = 30)]
    reactions: usize,
    /// A folder of functions' binaries that are built already, in place of building them
    #[arg(long)]
    functions: Option<PathBuf>,
    /// A file of trusted roots for functions to read, in place of the system's
    #[arg(long)]
    roots: Option<PathBuf>,
}

/// Measures the release binaries of the functions side by side with an empty function and twins in Python and Node.js.
///
/// # Errors
/// Something cannot be built, installed or measured. A target that is not reached is no error: the table says so.
pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let out = target().join("bench");
    let zips = out.join("zips");
    std::fs::create_dir_all(&zips).with_context(|| format!("cannot create {}", zips.display()))?;
    let venv = Venv::bench().await?;
    // In a folder of their own, where what Python compiles of its twin does not lie among the sources.
    let python_twin = copied("python", &["handler.py"], &out)?;
    let node_twin = node_twin(&out).await?;
    let functions = match &options.functions {
        Some(folder) => std::path::absolute(folder)?,
        None => functions::build_release().await?,
    };
    let mut build = cargo();
    build.args(["build", "--release", "--package", "bellhop-bench"]);
    run_openly("building the benchmarks", &mut build).await?;
    zip(&venv, &functions, &out, &zips).await?;

    let binaries = target().join("release");
    let mut bench = Command::new(binaries.join("bellhop-bench"));
    for (name, path) in [
        ("--functions", &functions),
        ("--zips", &zips),
        ("--empty", &binaries.join("bellhop-bench-empty")),
        ("--python", &venv.program("python")),
        ("--node", &PathBuf::from("node")),
        ("--python-twin", &python_twin),
        ("--node-twin", &node_twin),
        ("--events", &root().join("events")),
        ("--out", &out),
    ] {
        bench.arg(name).arg(path);
    }
    if let Some(roots) = &options.roots {
        bench.arg("--roots").arg(roots);
    }
    for (name, times) in [
        ("--cold", options.cold),
        ("--rounds", options.rounds),
        ("--warm", options.warm),
        ("--reactions", options.reactions),
    ] {
        bench.arg(name).arg(times.to_string());
    }
    run_openly("measuring", &mut bench).await
}

/// Installs the Node.js twin as its lock file says. Gives its folder.
async fn node_twin(out: &Path) -> anyhow::Result<PathBuf> {
    let folder = copied("node", &["package.json", "package-lock.json", "handler.mjs", "runtime.mjs"], out)?;
    let mut install = Command::new("npm");
    install
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&folder);
    run_quietly("Installing the AWS SDK of Node.js (about 20 MB)", &mut install)
        .await
        .context("Node.js 20 or newer with npm is needed for its twin")?;
    Ok(folder)
}

/// Copies files of a twin to where it runs. Gives that folder.
fn copied(twin: &str, files: &[&str], out: &Path) -> anyhow::Result<PathBuf> {
    let (from, folder) = (root().join("tests/bench").join(twin), out.join(twin));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for file in files {
        std::fs::copy(from.join(file), folder.join(file)).with_context(|| format!("cannot copy {file} of the twin"))?;
    }
    Ok(folder)
}

/// Packs each function as it is uploaded: a zip with its binary as `bootstrap`.
async fn zip(venv: &Venv, functions: &Path, out: &Path, zips: &Path) -> anyhow::Result<()> {
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
