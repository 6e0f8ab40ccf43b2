//! Paths, and running commands.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// How long a program may take to end after it was asked to.
const END: Duration = Duration::from_secs(10);
/// How long the last lines of an ended program may take.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo builds and these commands install and write files: always here, ignoring `CARGO_TARGET_DIR`.
pub fn target() -> PathBuf {
    root().join("target")
}

/// The cargo that runs this program.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    without_package(&mut command)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target())
        .env_remove("CARGO_BUILD_TARGET");
    command
}

/// Removes the variables about this package that `cargo run` has set for this program from a command that builds. Build scripts that read such
/// variables (ring's does) would run again, and everything that depends on them would be compiled again, whenever somebody builds here without this
/// program in between.
pub fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A spinner with a clock.
pub fn spinner(what: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    if bar.is_hidden() {
        // No terminal: one plain line instead.
        eprintln!("{what} ...");
    }
    bar
}

/// Runs a command to its end. Shows its output as the last line of a spinner, and in full if it fails. Returns its standard output.
///
/// # Errors
/// If it cannot be started, or failed.
pub async fn run_quietly(what: &str, command: &mut Command) -> anyhow::Result<String> {
    let bar = spinner(what);
    let result = run_silently(what, command, |line| bar.set_message(line.trim().to_owned())).await;
    bar.finish_and_clear();
    result
}

/// Runs a command to its end. Shows its output only if it fails. Returns its standard output; `each` gets every line as it arrives.
///
/// # Errors
/// If it cannot be started, or failed; the error contains its output.
pub async fn run_silently(what: &str, command: &mut Command, each: impl Fn(&str)) -> anyhow::Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{what}: cannot start {}", name_of(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (out, err) = tokio::join!(collect(stdout, &each), collect(stderr, &each));
    let status = child.wait().await?;
    if status.success() {
        Ok(out)
    } else {
        bail!("{what}: {} ended with {status}:\n{out}{err}", name_of(command))
    }
}

/// Runs a command to its end; `each` gets every output line as it arrives.
///
/// # Errors
/// If it cannot be started.
pub async fn run_with_lines(command: &mut Command, each: impl Fn(&str)) -> anyhow::Result<ExitStatus> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = Group(child.with_context(|| format!("cannot start {}", name_of(command)))?);
    let (stdout, stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let lines = async { tokio::join!(for_each_line(stdout, &each), for_each_line(stderr, &each)) };
    tokio::pin!(lines);
    let status = tokio::select! {
        _ = &mut lines => return Ok(child.0.wait().await?),
        status = child.0.wait() => status?,
    };
    // What it left running may hold its output open for ever.
    let _ = tokio::time::timeout(LAST_LINES, lines).await;
    Ok(status)
}

/// A program and all its child processes, in a separate process group. When it is dropped, the group is asked to end, and killed if it does not.
pub struct Group(pub Child);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        let group = Pid::from_raw(id);
        // Each error says that all of it has ended already.
        let _ = killpg(group, Signal::SIGTERM);
        let begun = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begun.elapsed() < END {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = killpg(group, Signal::SIGKILL);
    }
}

/// Runs a command to its end with unchanged output.
///
/// # Errors
/// If it cannot be started, or failed.
pub async fn run_openly(what: &str, command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("{what}: cannot start {}", name_of(command)))?;
    if status.success() {
        Ok(())
    } else {
        bail!("{what}: {} ended with {status}", name_of(command))
    }
}

/// The program of a command.
pub fn name_of(command: &Command) -> String {
    command.as_std().get_program().to_string_lossy().into_owned()
}

async fn collect(pipe: Option<impl AsyncRead + Unpin>, show: &impl Fn(&str)) -> String {
    let all = RefCell::new(String::new());
    for_each_line(pipe, &|line: &str| {
        show(line);
        let mut all = all.borrow_mut();
        all.push_str(line);
        all.push('\n');
    })
    .await;
    all.into_inner()
}

async fn for_each_line(pipe: Option<impl AsyncRead + Unpin>, each: &impl Fn(&str)) {
    if let Some(pipe) = pipe {
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            each(&String::from_utf8_lossy(&line));
        }
    }
}

/// A git command that ignores the settings of the machine and of a calling git.
pub fn git(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments);
    command
}
