//! Building the functions.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::workspace::{cargo, run_openly, target};

/// The functions there are, by the names of their binaries.
pub(crate) const FUNCTIONS: [&str; 9] = [
    "push",
    "task-state",
    "build-state",
    "spot-interruption",
    "alarm",
    "pipeline",
    "control",
    "backup",
    "sweep",
];

/// Builds the functions, and lays each out as `cargo lambda build` does, `lambda/NAME/bootstrap`, which is where the template looks for it. Gives the
/// folder of the plain binaries.
pub(crate) async fn build() -> anyhow::Result<PathBuf> {
    build_as(&[], "debug", "about five minutes").await
}

/// The same, optimised, as they are deployed to AWS but for this machine.
pub(crate) async fn build_release() -> anyhow::Result<PathBuf> {
    build_as(&["--release"], "release", "about a quarter of an hour").await
}

async fn build_as(profile: &[&str], folder: &str, first: &str) -> anyhow::Result<PathBuf> {
    let mut command = cargo();
    // Chosen by their binaries, as `cargo lambda` does it, so that the SDKs are compiled once for both, and for the tests.
    command.args(["build", "--workspace"]).args(profile);
    for name in FUNCTIONS {
        command.args(["--bin", name]);
    }
    println!("Building the functions (the first time {first}: the AWS SDKs are large)");
    run_openly("building the functions", &mut command).await?;
    let binaries = target().join(folder);
    for name in FUNCTIONS {
        let folder = target().join("lambda").join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let bootstrap = folder.join("bootstrap");
        std::fs::copy(binaries.join(name), &bootstrap).with_context(|| format!("cannot write {}", bootstrap.display()))?;
    }
    Ok(binaries)
}

/// The template's output with the address of a function's dead-letter queue.
pub(crate) fn dead_letter_output(function: &str) -> String {
    let capitalised = function.split('-').map(|part| {
        let (first, rest) = part.split_at(part.len().min(1));
        format!("{}{rest}", first.to_uppercase())
    });
    format!("{}DeadLetterQueueUrl", capitalised.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_functions() {
        assert_eq!(dead_letter_output("push"), "PushDeadLetterQueueUrl");
        assert_eq!(dead_letter_output("task-state"), "TaskStateDeadLetterQueueUrl");
    }
}
