//! The agent: how soon it starts a script, what it takes to pass on its output, and its memory. Beside it the same script by bash alone, in turns.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::statistics::Summary;

/// How often a script is started.
const STARTS: usize = 40;
/// How often a gigabyte is printed.
const TIMES: usize = 5;
/// What a script prints in all: this file so many times, which is 1 GiB.
const FILE: usize = 64 << 20;
const REPEATED: usize = 16;
/// The secret of a script whose output is searched for it.
const SECRET: &str = "TOKEN ssm /bellhop/shop/token";
/// How large the artifact is, in bytes.
const ARTIFACT: u64 = 256 << 20;
/// What a script prints first.
const STARTED: &[u8] = b"\nthe script has started\n";
/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Agent {
    /// From the start of the process to the first output of the script.
    pub(crate) start_ms: Beside,
    /// Of a gigabyte of lines, read from the process's output.
    pub(crate) mib_per_second: Beside,
    /// The same with a secret to look for, which is not in it.
    pub(crate) masking_mib_per_second: Summary,
    /// The agent's peak while a short script runs, without requests.
    pub(crate) peak_mib: f64,
    /// Its peak while a gigabyte is printed.
    pub(crate) peak_printing_mib: f64,
    /// Its peak with an artifact of 256 MiB and a report.
    pub(crate) peak_uploading_mib: f64,
    pub(crate) binary_mib: f64,
}

/// The agent, and bash alone.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Beside {
    pub(crate) agent: Summary,
    pub(crate) bash: Summary,
}

/// Measures the agent at this path. S3 is at this address.
pub(crate) fn agent(program: &Path, s3: &str) -> anyhow::Result<Agent> {
    let place = Place::make(program, s3)?;
    let line = "printf '\\nthe script has started\\n'";
    let (mut starts, mut bash_starts) = (Vec::new(), Vec::new());
    for turn in 0..=STARTS {
        let (agent, bash) = (place.run(line, &[])?, place.alone(line)?);
        // The first turn brings the files into memory.
        if turn > 0 {
            starts.push(agent.started_ms);
            bash_starts.push(bash.started_ms);
        }
    }
    let much = format!("{line}\ncat {}", vec![place.lines.to_string_lossy(); REPEATED].join(" "));
    let (mut speeds, mut masking_speeds, mut bash_speeds, mut peak_printing_mib) = (Vec::new(), Vec::new(), Vec::new(), 0_f64);
    for _ in 0..TIMES {
        let (agent, bash) = (place.run(&much, &[])?, place.alone(&much)?);
        masking_speeds.push(place.run(&much, &[("BELLHOP_SECRETS", SECRET)])?.mib_per_second());
        ensure!(agent.bytes > bash.bytes && bash.bytes >= FILE * REPEATED, "some output is missing");
        speeds.push(agent.mib_per_second());
        bash_speeds.push(bash.mib_per_second());
        peak_printing_mib = peak_printing_mib.max(agent.peak_mib);
    }
    let short = place.run(&format!("{line}; sleep 0.2"), &[])?;
    let artifact = format!("{line}; truncate --size={ARTIFACT} artifact");
    let uploading = [
        ("BELLHOP_ARTIFACTS", "artifact"),
        ("BELLHOP_ARTIFACTS_URI", "s3://bucket/artifacts/"),
        ("BELLHOP_RESULT_URI", "s3://bucket/result.json"),
    ];
    let uploaded = place.run(&artifact, &uploading)?;
    Ok(Agent {
        start_ms: Beside::of(starts, bash_starts)?,
        mib_per_second: Beside::of(speeds, bash_speeds)?,
        masking_mib_per_second: Summary::of(masking_speeds).context("nothing was measured")?,
        peak_mib: short.peak_mib,
        peak_printing_mib,
        peak_uploading_mib: uploaded.peak_mib,
        binary_mib: mib(fs::metadata(program)?.len()),
    })
}

impl Beside {
    fn of(agent: Vec<f64>, bash: Vec<f64>) -> anyhow::Result<Self> {
        let summary = |values| Summary::of(values).context("nothing was measured");
        Ok(Self {
            agent: summary(agent)?,
            bash: summary(bash)?,
        })
    }
}

/// A folder in which there is nothing to clone: Git's work is not the agent's.
struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
    lines: PathBuf,
    s3: String,
}

impl Place {
    fn make(program: &Path, s3: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir_all(folder.path().join("bin"))?;
        symlink("/bin/true", folder.path().join("bin/git"))?;
        fs::create_dir_all(folder.path().join("checkout/.git"))?;
        let lines = folder.path().join("lines");
        let line = format!("{}\n", "x".repeat(99));
        File::create(&lines)?.write_all(line.repeat(FILE.div_ceil(line.len())).as_bytes())?;
        Ok(Self {
            program: std::path::absolute(program)?,
            lines,
            folder,
            s3: s3.to_owned(),
        })
    }

    /// A script by the agent.
    fn run(&self, script: &str, more: &[(&str, &str)]) -> anyhow::Result<Run> {
        let path = format!("{}/bin:{}", self.folder.path().display(), std::env::var("PATH")?);
        let mut command = Command::new(&self.program);
        command.env_clear().envs([
            ("PATH", path.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "key"),
            ("AWS_ENDPOINT_URL", &self.s3),
            ("BELLHOP_REPOSITORY", "shop"),
            ("BELLHOP_REF", "refs/heads/main"),
            ("BELLHOP_COMMIT", "0123456789abcdef0123456789abcdef01234567"),
            ("BELLHOP_SCRIPT", script),
        ]);
        self.measured(command.envs(more.iter().copied()))
    }

    /// A script by bash.
    fn alone(&self, script: &str) -> anyhow::Result<Run> {
        self.measured(Command::new("bash").arg("-c").arg(script))
    }

    fn measured(&self, command: &mut Command) -> anyhow::Result<Run> {
        let begun = Instant::now();
        let mut child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
        let output = child.stdout.take().context("no output")?;
        let peak = std::thread::spawn({
            let id = child.id();
            move || peak_of(id)
        });
        let (started_ms, bytes) = read(output, begun)?;
        let seconds = begun.elapsed().as_secs_f64() - started_ms / 1000.0;
        ended_well(child)?;
        let peak_mib = peak.join().map_err(|_| anyhow::anyhow!("the look at its memory failed"))?;
        Ok(Run {
            started_ms,
            bytes,
            seconds,
            peak_mib,
        })
    }
}

/// A script that ran.
struct Run {
    started_ms: f64,
    bytes: usize,
    /// From its first output to the end of its last.
    seconds: f64,
    peak_mib: f64,
}

impl Run {
    fn mib_per_second(&self) -> f64 {
        mib(self.bytes as u64) / self.seconds
    }
}

/// Reads all output. Returns when the script's began, and how many bytes there were.
fn read(mut output: impl io::Read, begun: Instant) -> anyhow::Result<(f64, usize)> {
    let (mut piece, mut first, mut started, mut bytes) = (vec![0; 64 * 1024], Vec::new(), None, 0);
    loop {
        let count = output.read(&mut piece)?;
        if count == 0 {
            break;
        }
        bytes += count;
        if started.is_none() {
            first.extend_from_slice(piece.get(..count).unwrap_or_default());
            if first.windows(STARTED.len()).any(|window| window == STARTED) {
                started = Some(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    let started = started.with_context(|| format!("the script did not start: {}", String::from_utf8_lossy(&first)))?;
    Ok((started, bytes))
}

fn ended_well(mut child: Child) -> anyhow::Result<()> {
    let status = child.wait()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// The most memory that a process had, in MiB: looked at until it is gone.
fn peak_of(id: u32) -> f64 {
    let mut peak = 0;
    let status = || fs::read_to_string(format!("/proc/{id}/status")).ok();
    while let Some(line) = status()
        .as_deref()
        .and_then(|text| text.lines().find(|line| line.starts_with("VmHWM")))
    {
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default());
        std::thread::sleep(LOOK);
    }
    mib(peak * 1024)
}

#[expect(clippy::cast_precision_loss, reason = "some gigabytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
