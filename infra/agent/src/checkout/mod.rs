//! The checkout: acting.

mod config;
mod large_files;
pub mod lfs;
pub mod tries;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::sleep;

use crate::aws::partition;
use crate::errors::Errors;
use crate::log::say;
use crate::script::quote;
use crate::settings::Task;
use crate::supervise::{End, Limit, Limits, Supervisor};
use tries::{Fetch, Next, Outcome, Tries};

/// How much history of the pushed reference is fetched.
const FETCH_DEPTH: &str = "--depth=50";

/// Why there is no checkout. What went wrong is among the [`Errors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The agent was stopped.
    Stopped,
    /// Everything was fetched, and does not contain the commit.
    CommitGone,
    /// Something failed.
    Failed,
}

/// How Git gets credentials for CodeCommit: from this program.
#[must_use]
pub fn credential_helper(program: &Path) -> String {
    format!("!{} git-credential", quote(&program.to_string_lossy()))
}

/// The address of CodeCommit in a region, without a slash at its end.
#[must_use]
pub fn codecommit(region: &str) -> String {
    format!("https://git-codecommit.{region}.{}", partition::domain(region))
}

/// A checkout that is being made.
pub struct Checkout<'a> {
    /// Runs Git.
    pub supervisor: &'a mut Supervisor,
    /// Where its errors go.
    pub errors: &'a mut Errors,
    /// What to check out.
    pub task: &'a Task,
    /// The folder for it.
    pub folder: &'a Path,
    /// The agent's own folder.
    pub internal: &'a Path,
    /// How Git gets credentials.
    pub credential_helper: &'a str,
    /// How long a server may send nothing.
    pub fetch_silence: Duration,
    /// How long the fetch of the files of Git LFS may take.
    pub lfs_timeout: Duration,
}

impl Checkout<'_> {
    /// Makes it.
    ///
    /// # Errors
    /// It failed, or was stopped.
    pub async fn make(&mut self) -> Result<(), Failure> {
        let mut init = self.program("git")?;
        init.current_dir(self.internal).args(["init", "--quiet", "--"]).arg(self.folder);
        self.succeed(init).await?;
        if let Err(error) = self.configure() {
            return Err(self.failed(&format!("the configuration of Git could not be written: {error}")));
        }
        self.fetch_commit().await?;
        // Without the filters of Git LFS, which an image may have for all repositories: they would fetch one file at a time, and fail where that fails.
        let mut checkout = self.git(&[
            "-c",
            "filter.lfs.smudge=",
            "-c",
            "filter.lfs.process=",
            "-c",
            "filter.lfs.required=false",
        ])?;
        checkout.args(["checkout", "--quiet", "--detach"]).arg(&self.task.commit);
        self.succeed(checkout).await?;
        self.fetch_large_files().await?;
        if self.folder.join(".gitmodules").is_file() {
            say("checkout: submodules are not checked out; the script can do it");
        }
        Ok(())
    }

    fn origin(&self) -> String {
        format!("{}/v1/repos/{}", codecommit(&self.task.region), self.task.repository)
    }

    /// Writes what is written once: in the checkout's configuration, so that the script can fetch and push as well.
    fn configure(&self) -> io::Result<()> {
        let sections = [
            config::section(
                "remote \"origin\"",
                &[("url", &self.origin()), ("fetch", "+refs/heads/*:refs/remotes/origin/*")],
            ),
            config::section("credential", &[("helper", self.credential_helper), ("useHttpPath", "true")]),
            // For the script's own fetches, and where the agent cannot watch: a connection that has stopped is not a build that hangs until its timeout.
            config::section("http", &[("lowSpeedLimit", "1"), ("lowSpeedTime", "1800")]),
            config::section("advice", &[("detachedHead", "false")]),
        ];
        let mut file = OpenOptions::new().append(true).create(true).open(self.folder.join(".git/config"))?;
        io::Write::write_all(&mut file, sections.concat().as_bytes())
    }

    async fn fetch_commit(&mut self) -> Result<(), Failure> {
        let (mut tries, mut next) = (Tries::default(), Tries::FIRST);
        loop {
            next = match next {
                Next::Fetch(fetch) => {
                    let outcome = self.fetch(fetch).await?;
                    tries.after(fetch, outcome)
                }
                Next::Retry(pause) => {
                    self.pause("the fetch failed", pause).await?;
                    Tries::FIRST
                }
                Next::Found => return Ok(()),
                Next::Gone => {
                    let Task { commit, repository, .. } = self.task;
                    self.failed(&format!(
                        "commit {commit} is not in the repository {repository}: no branch and no tag contains it"
                    ));
                    return Err(Failure::CommitGone);
                }
                Next::Failed => return Err(Failure::Failed),
            }
        }
    }

    /// A fetch without a time limit, as long as data arrives. While a server prepares a pack, it sends an empty packet of 5 bytes every 5 seconds
    /// (<https://git-scm.com/docs/git-config>, `uploadpack.keepAlive`), and at times nothing (<https://github.com/gitgitgadget/git/pull/2160>). libcurl
    /// cannot tell that from silence (<https://curl.se/libcurl/c/CURLOPT_LOW_SPEED_LIMIT.html>): it counts whole bytes a second over the last 5 seconds
    /// (<https://github.com/curl/curl/blob/master/lib/progress.c>), and 5 bytes in a little more than 5 seconds are none.
    async fn fetch(&mut self, fetch: Fetch) -> Result<Outcome, Failure> {
        let git = match fetch {
            Fetch::Reference => {
                let reference = &self.task.reference;
                let mut git = self.git(&["fetch", "--quiet", "--no-tags", FETCH_DEPTH, "origin"])?;
                git.arg(format!("+{reference}:refs/bellhop/pushed"));
                // A tag is also fetched under its name, because builds of tags ask Git for it.
                if reference.starts_with("refs/tags/") {
                    git.arg(format!("+{reference}:{reference}"));
                }
                git
            }
            Fetch::Everything => {
                say(&format!(
                    "checkout: {} does not contain the commit: fetching all branches and tags",
                    self.task.reference
                ));
                let shallow = self.output(&["rev-parse", "--is-shallow-repository"]).await?;
                let mut git = self.git(&["fetch", "--quiet", "--tags"])?;
                if shallow.trim_ascii() == b"true" {
                    git.arg("--unshallow");
                }
                git.args(["origin", "+refs/heads/*:refs/remotes/origin/*"]);
                git
            }
        };
        let limits = Limits {
            silence: Some(self.fetch_silence),
            ..Limits::default()
        };
        let end = self.run(git, limits).await?;
        if end.limit == Some(Limit::Silence) {
            self.failed(&format!("the server sent nothing for {} s", self.fetch_silence.as_secs()));
            return Ok(Outcome::Silent);
        }
        if end.code != 0 {
            return Ok(Outcome::Failed);
        }
        let mut there = self.git(&["cat-file", "-e"])?;
        there.arg(format!("{}^{{commit}}", self.task.commit)).stderr(Stdio::null());
        let has_commit = self.run(there, Limits::default()).await?.code == 0;
        Ok(Outcome::Fetched { has_commit })
    }

    // -- running programs

    /// A program in the checkout, of which all that it prints is collected.
    fn program(&mut self, program: &str) -> Result<Command, Failure> {
        let outputs = self.errors.writer().and_then(|stdout| Ok((stdout, self.errors.writer()?)));
        let (stdout, stderr) = match outputs {
            Ok(outputs) => outputs,
            Err(error) => return Err(self.failed(&format!("the file for errors: {error}"))),
        };
        let mut command = Command::new(program);
        command
            .current_dir(self.folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdout(stdout)
            .stderr(stderr);
        Ok(command)
    }

    fn git(&mut self, arguments: &[&str]) -> Result<Command, Failure> {
        let mut command = self.program("git")?;
        command.args(arguments);
        Ok(command)
    }

    async fn run(&mut self, mut command: Command, limits: Limits) -> Result<End, Failure> {
        if self.supervisor.stopping().is_due() {
            return Err(Failure::Stopped);
        }
        let ran = self.supervisor.run(&mut command, limits).await;
        if self.supervisor.stopping().is_due() {
            return Err(Failure::Stopped);
        }
        ran.map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
            self.failed(&format!("{program} could not be started: {error}"))
        })
    }

    /// Runs a program that has to succeed.
    async fn succeed(&mut self, command: Command) -> Result<(), Failure> {
        match self.run(command, Limits::default()).await?.code {
            0 => Ok(()),
            _ => Err(Failure::Failed),
        }
    }

    /// What a git command prints. One that fails prints nothing.
    async fn output(&mut self, arguments: &[&str]) -> Result<Vec<u8>, Failure> {
        let path = self.internal.join("output");
        let mut git = self.git(arguments)?;
        match File::create(&path) {
            Ok(file) => git.stdout(file).stderr(Stdio::null()),
            Err(error) => return Err(self.failed(&format!("{}: {error}", path.display()))),
        };
        let end = self.run(git, Limits::default()).await?;
        Ok(if end.code == 0 {
            fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        })
    }

    /// Waits before another try, after showing what went wrong.
    async fn pause(&mut self, what: &str, pause: Duration) -> Result<(), Failure> {
        self.errors.show();
        say(&format!("checkout: {what}, retrying in {} s", pause.as_secs()));
        self.supervisor.unless_stopped(sleep(pause)).await.ok_or(Failure::Stopped)
    }

    fn failed(&mut self, message: &str) -> Failure {
        self.errors.add(message);
        Failure::Failed
    }
}

/// A program of the `PATH`.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file() && nix::unistd::access(candidate, nix::unistd::AccessFlags::X_OK).is_ok())
}
