//! Building the functions.

use std::path::PathBuf;

use tokio::process::Command;

use crate::python::Venv;
use crate::workspace::{cargo, root, run_openly, run_quietly, target};

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

/// Functions that were built, for this machine.
#[derive(Debug)]
pub(crate) struct Functions {
    /// The folder of the binaries, each under its function's name.
    pub(crate) binaries: PathBuf,
}

impl Functions {
    /// Packs them for the local AWS. Gives each one's package by its name. They are beside the binaries, and not in `target/lambda`: what is there is
    /// built for AWS, and may be about to be deployed.
    pub(crate) async fn pack(&self, venv: &Venv) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
        let packages = self.binaries.join("packages");
        let mut pack = Command::new(venv.program("python"));
        pack.arg(root().join("tests/local/package.py"))
            .arg(&self.binaries)
            .arg(&packages)
            .args(FUNCTIONS);
        run_quietly("Packing the functions", &mut pack).await?;
        Ok(FUNCTIONS.map(|name| (name, packages.join(format!("{name}.zip")))).into())
    }
}

/// Builds the functions.
pub(crate) async fn build() -> anyhow::Result<Functions> {
    // Chosen by their binaries, as `cargo lambda watch` does it, so that the SDKs are compiled once for both, and for the tests.
    let mut arguments = vec!["--workspace".to_owned()];
    arguments.extend(FUNCTIONS.map(|name| format!("--bin={name}")));
    build_as(&arguments, "debug", "about five minutes").await
}

/// Builds them as they are deployed to AWS, but for this machine.
pub(crate) async fn build_release() -> anyhow::Result<Functions> {
    // By their packages, as for AWS: nothing that others of the workspace ask for is in them.
    let mut arguments = vec!["--release".to_owned()];
    arguments.extend(FUNCTIONS.map(|name| format!("--package=bellhop-{name}")));
    build_as(&arguments, "release", "about a quarter of an hour").await
}

async fn build_as(arguments: &[String], folder: &str, first: &str) -> anyhow::Result<Functions> {
    println!("Building the functions (the first time {first}: the AWS SDKs are large)");
    run_openly("building the functions", cargo().arg("build").args(arguments)).await?;
    Ok(Functions {
        binaries: target().join(folder),
    })
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
