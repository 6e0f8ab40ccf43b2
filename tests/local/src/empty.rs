//! A program with a local AWS on which nothing is deployed: the test of the installation.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::Command;
use xtask::functions::Functions;
use xtask::python::Venv;
use xtask::workspace::run_openly;

use crate::bare::Bare;

/// The vault of the suite, which is called after the stack.
const VAULT: &str = "bellhop";
/// How old the recovery point in it is.
const AGE: Duration = Duration::from_secs(3600);
/// How many of ministack's last lines are shown where the program fails.
const LINES: usize = 60;

/// Runs a program with what a person at a terminal has in its environment: AWS CLI, SAM CLI, Git, credentials. Beside it stand ministack's own address, the
/// folder of CodeCommit's repositories, and that of the functions' packages: `BELLHOP_LOCAL_AWS`, `BELLHOP_REPOSITORIES`, `BELLHOP_PACKAGES`. Once the suite
/// has a vault, there is a recovery point in it, as after a night.
///
/// # Errors
/// Something could not be set up, or the program failed.
pub(crate) async fn run(program: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = program.split_first().context("no program")?;
    let (bare, sam) = tokio::try_join!(Bare::start("INFO"), Venv::sam())?;
    bare.stand_in
        .backup()
        .add_point("arn:aws:dynamodb:us-east-1:000000000000:table/suite", VAULT, AGE);
    let functions = Functions::debug();
    functions.pack(bare.venv()).await?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(bare.person_environment(&sam)?)
        .env("BELLHOP_LOCAL_AWS", bare.ministack_url())
        .env("BELLHOP_REPOSITORIES", bare.repositories())
        .env("BELLHOP_PACKAGES", functions.packages());
    let done = run_openly(&program.to_string_lossy(), &mut command).await;
    done.with_context(|| format!("the last lines of ministack and the functions:\n{}", bare.log_tail(LINES)))
}
