//! Builds the functions, and the agent.

use std::path::PathBuf;

use tokio::process::Command;

use crate::python::Venv;
use crate::workspace::{cargo, root, run_openly, run_quietly, target};

/// All functions, by the names of their binaries.
pub const FUNCTIONS: [&str; 9] = [
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

/// The agent's binary.
pub const AGENT: &str = "bellhop-agent";

/// Where the agent's binary is, for tests and demos: `cargo xtask` builds it with the functions.
pub fn agent() -> PathBuf {
    target().join("debug").join(AGENT)
}

/// The functions' binaries, for this machine.
#[derive(Debug)]
pub struct Functions {
    /// The folder of the binaries, each under its function's name.
    pub binaries: PathBuf,
}

impl Functions {
    /// For tests and demos: `cargo xtask` builds them before it starts what needs them.
    pub fn debug() -> Self {
        Self {
            binaries: target().join("debug"),
        }
    }

    /// With the profile of a deployment, for this machine, as [`build_release`] builds them.
    pub fn release() -> Self {
        Self {
            binaries: target().join("release"),
        }
    }

    /// The folder of the packages of [`Functions::pack`].
    pub fn packages(&self) -> PathBuf {
        self.binaries.join("packages")
    }

    /// Packs them for the local AWS. Returns each package by its function's name. The packages are next to the binaries, not in `target/lambda`,
    /// which contains builds for AWS that may be deployed next.
    ///
    /// # Errors
    /// If a binary is missing, or the disk is full.
    pub async fn pack(&self, venv: &Venv) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
        let packages = self.packages();
        let mut pack = Command::new(venv.program("python"));
        pack.arg(root().join("tests/local/package.py"))
            .arg(&self.binaries)
            .arg(&packages)
            .args(FUNCTIONS);
        run_quietly("Packing the functions", &mut pack).await?;
        Ok(FUNCTIONS.map(|name| (name, packages.join(format!("{name}.zip")))).into())
    }
}

/// Builds them with the profile of a deployment, for this machine.
///
/// # Errors
/// If they do not compile; see cargo's output.
pub async fn build_release() -> anyhow::Result<Functions> {
    println!("Building the functions for release (the first time about 10 minutes on two cores; see docs/explanation/performance.md)");
    // By their packages, as for AWS: nothing that others of the workspace ask for is in them.
    let mut build = cargo();
    build.args(["build", "--release"]);
    build.args(FUNCTIONS.map(|name| format!("--package=bellhop-{name}")));
    run_openly("building the functions", &mut build).await?;
    Ok(Functions::release())
}

/// Builds the agent as its image does, except that it is not static. Returns its binary.
///
/// # Errors
/// If it cannot be built.
pub async fn build_release_of_agent() -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--package", AGENT]);
    run_openly("building the agent", &mut build).await?;
    Ok(target().join("release").join(AGENT))
}

/// The template's output with the URL of a function's dead-letter queue.
pub fn dead_letter_output(function: &str) -> String {
    let capitalised = function.split('-').map(|part| {
        let (first, rest) = part.split_at(part.len().min(1));
        format!("{}{rest}", first.to_uppercase())
    });
    format!("{}DeadLetterQueueUrl", capitalised.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_alias_of_cargo_builds_every_function() {
        let text = std::fs::read_to_string(root().join(".cargo/config.toml")).unwrap_or_default();
        let alias = text.lines().find_map(|line| line.strip_prefix("functions = "));
        let packages = alias.and_then(|alias| alias.trim_matches('"').strip_prefix("lambda build --release --package "));
        let packages: Vec<&str> = packages.unwrap_or_default().split(" --package ").collect();
        let every = FUNCTIONS.map(|name| format!("bellhop-{name}"));
        assert_eq!(packages.len(), every.len());
        assert_eq!(BTreeSet::from_iter(packages), every.iter().map(String::as_str).collect());
    }

    #[test]
    fn outputs_are_named_after_functions() {
        assert_eq!(dead_letter_output("push"), "PushDeadLetterQueueUrl");
        assert_eq!(dead_letter_output("task-state"), "TaskStateDeadLetterQueueUrl");
    }
}
