//! A program with a local AWS in its environment: the tests of the workspace that need one.

use std::ffi::OsString;

use anyhow::Context as _;
use tokio::process::Command;
use xtask::functions::Functions;
use xtask::workspace::{root, run_openly};

use crate::stack::Stack;

/// Runs a program with the address of a ministack, the name of the table that is deployed to it, and the folder of the functions' binaries in its environment:
/// `BELLHOP_LOCAL_AWS`, `BELLHOP_TABLE`, `BELLHOP_BINARIES`.
///
/// # Errors
/// Something could not be set up, or the program failed.
pub(crate) async fn run(program: &[OsString]) -> anyhow::Result<()> {
    let (program, arguments) = program.split_first().context("no program")?;
    let stack = Stack::start("INFO").await?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root())
        .env("BELLHOP_LOCAL_AWS", stack.ministack_url())
        .env("BELLHOP_TABLE", stack.output("TableName")?)
        .env("BELLHOP_BINARIES", Functions::debug().binaries);
    run_openly(&program.to_string_lossy(), &mut command).await
}
