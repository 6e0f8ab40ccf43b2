//! The common code of the developers' commands: paths, running programs, Python environments, Node.js, and the functions' binaries.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

pub mod functions;
pub mod node;
pub mod python;
pub mod story;
pub mod workspace;

use std::process::ExitCode;

use tokio::signal::unix::SignalKind;

/// Runs a command to its end, or until it is interrupted. Then all its values are dropped, which ends the servers and agents that it started and
/// removes its folders. Prints the error of a failed command.
pub fn run_until_stopped(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        tokio::select! {
            done = command => done,
            signal = stopped() => Err(anyhow::anyhow!("stopped by {signal}")),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns when this program is asked to end.
async fn stopped() -> &'static str {
    let Ok(mut terminate) = tokio::signal::unix::signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
    }
}
