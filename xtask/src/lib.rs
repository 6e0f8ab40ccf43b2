//! What the project's commands share: where things are, running programs there, Python's environments, Node.js, and the functions' binaries.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people at a terminal")]

pub mod functions;
pub mod node;
pub mod python;
pub mod story;
pub mod workspace;

use std::process::ExitCode;

use tokio::signal::unix::SignalKind;

/// Runs a command of the project to its end, or until somebody stops it: then everything that it holds is dropped, which ends the servers and agents that it
/// started and removes its folders. Prints the error of a command that failed.
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

/// Comes back when somebody wants this program to end.
async fn stopped() -> &'static str {
    let Ok(mut terminate) = tokio::signal::unix::signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "Ctrl-C",
        _ = terminate.recv() => "SIGTERM",
    }
}
