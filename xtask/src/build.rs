//! Builds and runs the programs behind the commands.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use xtask::functions::{AGENT, FUNCTIONS};
use xtask::python::Venv;
use xtask::workspace::{cargo, root, run_openly, target};

/// The program that runs the local AWS, in `tests/local`.
const LOCAL: &str = "bellhop-local";

/// Where that program is once it is built.
pub(crate) fn local() -> PathBuf {
    target().join("debug").join(LOCAL)
}

/// Builds the functions, the agent and the program of the local AWS, and installs its Python packages meanwhile; also cargo-lambda, if requested.
///
/// # Errors
/// If something does not compile or cannot be installed.
pub(crate) async fn local_aws(with_cargo_lambda: bool) -> anyhow::Result<()> {
    let install = async {
        Venv::local_aws().await?;
        if with_cargo_lambda {
            Venv::cargo_lambda().await?;
        }
        Ok(())
    };
    println!("Building the functions (takes some minutes the first time, because the AWS SDKs are large)");
    let mut build = cargo();
    build.arg("build").args(programs());
    tokio::try_join!(install, run_openly("building the functions", &mut build))?;
    Ok(())
}

/// The arguments with which cargo builds the functions, the agent and the program of the local AWS.
pub(crate) fn programs() -> Vec<String> {
    // Chosen by their binaries, as `cargo lambda watch` does it, so that the SDKs are compiled once for both, and for the tests.
    let binaries = FUNCTIONS.iter().chain([&AGENT, &LOCAL]).map(|name| format!("--bin={name}"));
    std::iter::once("--workspace".to_owned()).chain(binaries).collect()
}

/// Replaces this process by the program of the local AWS.
///
/// # Errors
/// If it cannot be started. Otherwise this does not return.
pub(crate) fn become_local(arguments: &[&str]) -> anyhow::Result<()> {
    let mut program = std::process::Command::new(local());
    let error = program.current_dir(root()).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", local().display()))
}

/// Replaces this process by cargo, which builds and runs a program of the simulation: `simulate` or `explore`.
///
/// # Errors
/// If it cannot be started. Otherwise this does not return.
pub(crate) fn become_simulation(program: &str, arguments: &[OsString]) -> anyhow::Result<()> {
    let mut command = cargo();
    command
        .args(["run", "--quiet", "--profile", "simulation", "--package", "bellhop-simulation"])
        .args(["--features", "programs", "--example", program, "--"])
        .args(arguments);
    let error = command.as_std_mut().exec();
    Err(error).context("cannot start cargo")
}

/// Builds only the program of the local AWS.
///
/// # Errors
/// If it does not compile.
pub(crate) async fn local_alone() -> anyhow::Result<()> {
    run_openly("building", cargo().args(["build", "--workspace"]).arg(format!("--bin={LOCAL}"))).await
}
