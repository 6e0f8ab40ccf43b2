//! The program: an attempt, or a helper for Git's credentials.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "answers for people at a terminal")]

use std::process::ExitCode;

use bellhop_agent::settings::Variables;
use bellhop_agent::{attempt, git_credential, log};

/// What `--help` prints.
const HELP: &str = "\
Runs one attempt of a build, as the environment describes it: see docs/reference/environment.md.

  bellhop-agent                                             the attempt
  bellhop-agent git-credential [--ignore-host-check] get    a user name and a password for Git's requests to CodeCommit";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    match arguments.first().map(String::as_str) {
        Some("--help") => println!("{HELP}"),
        Some("--version") => println!("bellhop-agent {}", env!("CARGO_PKG_VERSION")),
        first => return ExitCode::from(run(first, &arguments)),
    }
    ExitCode::SUCCESS
}

fn run(first: Option<&str>, arguments: &[String]) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprint!("{}", log::line(&format!("the agent cannot start: {error}")));
            return attempt::CANNOT_START;
        }
    };
    let variables = Variables::of_this_process();
    let code = match first {
        Some("git-credential") => runtime.block_on(async {
            let code = git_credential::run(arguments, &variables).await;
            log::finish().await;
            code
        }),
        // A command that the task's overrides or an image name is not the agent's.
        _ => runtime.block_on(attempt::run(&variables)),
    };
    // Without waiting for a file that is still being read.
    runtime.shutdown_background();
    code
}
