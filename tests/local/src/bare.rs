//! The local AWS: ministack for what it does well, the stand-in for what it lacks and before everything else.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bellhop_stand_in::{Agents, BuildProcessOptions, Builds, Options, ProcessOptions, Project, StandIn, Timing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::aws::LocalAws;
use xtask::functions::agent;
use xtask::python::Venv;
use xtask::workspace::{root, run_quietly};

/// The region of everything.
const REGION: &str = "us-east-1";
/// The secret halves of the functions' and agents' credentials, which nothing may print or send.
pub(crate) const SECRET_KEY: &str = "local0secret0key0of0the0functions0and0agents";
pub(crate) const SESSION_TOKEN: &str = "local0session0token0of0the0functions0and0agents";
/// How long ministack may take to come up.
const START: Duration = Duration::from_secs(30);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);
/// The lowest port that a system gives away by itself: Linux's, the other systems' are higher.
const GIVEN_AWAY: u16 = 32_768;
/// Spot's two minutes, shortened. The agents are told by `BELLHOP_STOP_TIMEOUT`, as their task definition tells them on AWS.
pub(crate) const SPOT_WARNING: Duration = Duration::from_secs(4);
/// The project of CodeBuild that the template's parameter `AgentProjects` names by default.
pub(crate) const PROJECT: &str = "ci-docker";
/// CodePipeline's half minute until it invokes an action's function again, shortened.
const CONTINUATION: Duration = Duration::from_secs(1);

/// Where logs are.
pub(crate) struct Logs {
    /// What the functions and ministack print: a file.
    pub(crate) functions: PathBuf,
    /// What agents print: a folder with a file for each.
    pub(crate) agents: PathBuf,
    /// What builds of CodeBuild print, likewise.
    pub(crate) builds: PathBuf,
}

impl Logs {
    fn below(folder: &Path) -> Self {
        Self {
            functions: folder.join("ministack.log"),
            agents: folder.join("logs"),
            builds: folder.join("build-logs"),
        }
    }
}

fn repositories_below(folder: &Path) -> PathBuf {
    folder.join("repositories")
}

/// A running local AWS on which nothing is deployed. Ends, and leaves nothing, when it is dropped.
pub(crate) struct Bare {
    pub(crate) aws: LocalAws,
    pub(crate) stand_in: StandIn,
    venv: Venv,
    url: String,
    // In the order in which they end: what still writes, then where it writes.
    ministack: Ministack,
    folder: tempfile::TempDir,
}

impl Bare {
    /// Starts everything on free ports. Functions log from this level up.
    pub(crate) async fn start(log_level: &str) -> anyhow::Result<Self> {
        let venv = &Venv::local_aws().await?;
        let folder = tempfile::Builder::new().prefix("bellhop-local-").tempdir()?;
        let at = folder.path();
        let logs = Logs::below(at);
        let (port, own_port) = (free_port()?, free_port()?);
        let url = format!("http://127.0.0.1:{port}");
        let stand_in = StandIn::start(Options {
            port: own_port,
            upstream: Some(url.clone()),
            region: REGION.to_owned(),
            timing: Timing {
                provisioning: Duration::from_millis(300),
                spot_warning: SPOT_WARNING,
                stop_timeout: SPOT_WARNING,
                deprovisioning: Duration::from_millis(300),
                job_continuation: CONTINUATION,
                ..Timing::default()
            },
            builds: Builds::Processes(BuildProcessOptions {
                environment: client_variables(venv, own_port)?,
                work: at.join("build-work"),
                logs: logs.builds,
            }),
            agents: Agents::Processes(ProcessOptions {
                entry_point: agent(),
                environment: agent_environment(venv, &repositories_below(at), own_port)?,
                work: at.join("work"),
                logs: logs.agents,
            }),
            ..Options::new(repositories_below(at))
        })
        .await?;
        stand_in.events().set_publishing(true);
        stand_in.codepipeline().set_invoking(true);
        stand_in.codebuild().create_project(Project::new(PROJECT))?;
        let ministack = Ministack::start(venv, port, &stand_in.endpoint(), at, log_level)?;
        let mut bare = Self {
            aws: LocalAws::new(&url),
            stand_in,
            venv: venv.clone(),
            url,
            ministack,
            folder,
        };
        bare.wait_until_up().await?;
        Ok(bare)
    }

    /// ministack's own address, behind the stand-in's.
    pub(crate) fn ministack_url(&self) -> &str {
        &self.url
    }

    /// ministack's process, whose children the functions are.
    pub(crate) fn ministack_id(&self) -> u32 {
        self.ministack.0.id()
    }

    /// The Python side, with the AWS CLI.
    pub(crate) fn venv(&self) -> &Venv {
        &self.venv
    }

    /// What the AWS CLI has to find in its environment, with the CLI itself on the path: name and value.
    pub(crate) fn client_environment(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut all = credentials();
        all.extend([
            ("PATH", path_with(&[&self.venv])?),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_PAGER", String::new()),
        ]);
        Ok(all)
    }

    /// The environment of a person at a terminal: the AWS CLI, the SAM CLI of this environment, and Git, for which CodeCommit is the stand-in.
    pub(crate) fn person_environment(&self, sam: &Venv) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut all = credentials();
        all.extend(git_settings(&self.repositories()));
        all.extend([
            ("PATH", path_with(&[&self.venv, sam])?),
            ("AWS_ENDPOINT_URL", self.stand_in.endpoint()),
            ("AWS_PAGER", String::new()),
            ("SAM_CLI_TELEMETRY", "0".to_owned()),
        ]);
        Ok(all)
    }

    /// The folder of the stand-in's repositories.
    pub(crate) fn repositories(&self) -> PathBuf {
        repositories_below(self.folder())
    }

    /// The last lines that ministack and the functions printed.
    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let log = std::fs::read_to_string(self.logs().functions).unwrap_or_default();
        let all: Vec<&str> = log.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// Where logs are.
    pub(crate) fn logs(&self) -> Logs {
        Logs::below(self.folder())
    }

    /// A folder for the user of the local AWS; it is removed with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn wait_until_up(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        // An answer alone is no proof. Where its port was taken meanwhile, ministack ends, and what answers is another stack's: functions would be deployed to
        // that, and read repositories in which the commits of this one are not.
        let listens = format!("Running on {}", self.url);
        while !(self.log_tail(usize::MAX).contains(&listens) && self.aws.is_up().await) {
            ensure!(
                begun.elapsed() < START && self.ministack.is_at_work()?,
                "ministack did not come up:\n{}",
                self.log_tail(60)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Runs the AWS CLI with these arguments, and gives what it printed.
    pub(crate) async fn cli(&self, what: &str, arguments: impl FnOnce(&mut Command) -> &mut Command) -> anyhow::Result<String> {
        let mut cli = Command::new(self.venv.program("aws"));
        cli.current_dir(root())
            .envs(credentials())
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_PAGER", "");
        arguments(&mut cli);
        run_quietly(what, &mut cli).await
    }
}

/// ministack as a child process.
struct Ministack(Child);

impl Ministack {
    fn start(venv: &Venv, port: u16, endpoint: &str, folder: &Path, log_level: &str) -> anyhow::Result<Self> {
        let scratch = folder.join("ministack");
        std::fs::create_dir(&scratch)?;
        let log = File::create(Logs::below(folder).functions)?;
        let child = StdCommand::new(venv.program("python"))
            .arg(root().join("tests/local/ministack.py"))
            .envs(credentials())
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", scratch)
            // The functions inherit the rest.
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_LAMBDA_LOG_LEVEL", log_level)
            // Lambda waits a minute, and then two.
            .env("LAMBDA_ASYNC_RETRY_BASE_SECONDS", "0.2")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start ministack")?;
        Ok(Self(child))
    }

    fn is_at_work(&mut self) -> anyhow::Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Ministack {
    /// SIGTERM, because it has functions of its own to end; SIGKILL if that does not do.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            // An error says that it has ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if begun.elapsed() > END {
                // An error says that it has just ended.
                let _ = self.0.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What every client of the local AWS needs; it takes any credentials.
pub(crate) fn credentials() -> Vec<(&'static str, String)> {
    vec![
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_SESSION_TOKEN", SESSION_TOKEN.to_owned()),
    ]
}

/// What the image and ECS give an agent on AWS: programs, region, credentials, endpoints, the stop timeout; and the settings of Git that lead to the stand-in,
/// so that the agent is the one of the image.
fn agent_environment(venv: &Venv, repositories: &Path, port: u16) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = client_variables(venv, port)?;
    all.insert("BELLHOP_STOP_TIMEOUT".to_owned(), SPOT_WARNING.as_secs().to_string());
    all.extend(git_settings(repositories).map(|(name, value)| (name.to_owned(), value)));
    Ok(all)
}

/// The environment with which Git takes CodeCommit's address for the folder of the stand-in's repositories.
fn git_settings(repositories: &Path) -> [(&'static str, String); 3] {
    let codecommit = format!("https://git-codecommit.{REGION}.amazonaws.com/v1/repos/");
    [
        ("GIT_CONFIG_COUNT", "1".to_owned()),
        ("GIT_CONFIG_KEY_0", format!("url.{}/.insteadOf", repositories.display())),
        ("GIT_CONFIG_VALUE_0", codecommit),
    ]
}

/// What an image gives every agent: programs, region, credentials, endpoint.
fn client_variables(venv: &Venv, port: u16) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all: BTreeMap<String, String> = credentials().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    all.extend([
        ("PATH".to_owned(), path_with(&[venv])?),
        ("AWS_ENDPOINT_URL".to_owned(), format!("http://127.0.0.1:{port}")),
    ]);
    Ok(all)
}

/// The path, with the environments' programs first.
fn path_with(venvs: &[&Venv]) -> anyhow::Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = venvs.iter().map(|venv| venv.programs());
    let path = std::env::join_paths(programs.chain(std::env::split_paths(&path)))?;
    Ok(path.to_string_lossy().into_owned())
}

/// A port of 127.0.0.1 on which no program listens at this moment. Operating systems hand out ports from [`GIVEN_AWAY`] on, so that a lower one is still free
/// when its user binds it.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let candidates = std::iter::repeat_with(|| fastrand::u16(10_000..GIVEN_AWAY)).take(1000);
    let mut free = candidates.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().context("no free port on 127.0.0.1")
}
