//! Reads PDFs in a child process with limits.
//!
//! The parser meets files that anybody may have written, and every file needs an answer. A panic ends the process in a release build; a stack overflow and
//! a failed allocation end it in every build; and an endless loop ends nothing. So the function starts its own program again. The child limits itself, reads
//! the file from its standard input, and writes the result to its standard output as JSON. It has no credentials in its environment. A child that ends in
//! another way makes the file unreadable, and does nothing else.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::pdf::{self, Reading};

/// The first argument of a child. The second and third are its limits.
pub const ARGUMENT: &str = "read-pdf";
/// The largest file that is read, in bytes. The function has it in memory once, and the child once more.
pub const LARGEST_FILE: usize = 64 * 1024 * 1024;
/// The stack of the parser. A file that needs more is unreadable.
const STACK: usize = 64 * 1024 * 1024;
/// The most bytes of an answer that are read. The largest answer has about 30 KiB.
const LONGEST_ANSWER: u64 = 256 * 1024;
/// The most bytes of an error output that are read.
const LONGEST_ERROR: u64 = 4 * 1024;

/// The exit code of a child that cannot even begin, whatever the file is.
const CANNOT_BEGIN: u8 = 70;

/// What a child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space: the program, the file, the stack of 64 MiB, and what the parser allocates.
    pub memory: u64,
    /// Seconds of computing.
    pub seconds: u64,
    /// How long the function waits. A child may have less than one CPU.
    pub patience: Duration,
}

impl Default for Limits {
    /// The limits of a function with 1 GiB of memory, which has half of a CPU.
    fn default() -> Self {
        Self {
            memory: 512 * 1024 * 1024,
            seconds: 10,
            patience: Duration::from_secs(30),
        }
    }
}

/// Starts children.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// This package's binary.
    pub program: PathBuf,
    /// The limits of each child.
    pub limits: Limits,
}

impl Sandbox {
    /// Reads a PDF. Every file gives a result.
    ///
    /// # Errors
    /// If no child can be started, or a child cannot limit itself.
    pub async fn read(&self, bytes: Vec<u8>) -> Result<Reading, Failure> {
        let Limits { memory, seconds, patience } = self.limits;
        let mut child = Command::new(&self.program)
            .args([ARGUMENT, &memory.to_string(), &seconds.to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::transient(format!("failed to start {}: {error}", self.program.display())))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A child that ended early does not read. How it ended is the result.
                let _ = stdin.write_all(&bytes).await;
            }
        };
        let ended = async {
            let (_, answer, error) = tokio::join!(feed, up_to(LONGEST_ANSWER, stdout), up_to(LONGEST_ERROR, stderr));
            (child.wait().await, answer, error)
        };
        let Ok((status, answer, error)) = timeout(patience, ended).await else {
            // Dropping the child kills it.
            return Ok(Reading::unreadable(format!("the parser took more than {} s", patience.as_secs())));
        };
        let failed = |error: io::Error| Failure::transient(format!("failed to wait for the parser: {error}"));
        let (status, answer, error) = (status.map_err(failed)?, answer.map_err(failed)?, error.map_err(failed)?);
        let error = String::from_utf8_lossy(&error);
        if status.code() == Some(i32::from(CANNOT_BEGIN)) {
            return Err(Failure::transient(format!("the parser cannot begin: {}", error.trim_end())));
        }
        Ok(match serde_json::from_slice(&answer) {
            Ok(reading) if status.success() => reading,
            _ => Reading::unreadable(fate(status, &error, seconds)),
        })
    }
}

/// The beginning of an output.
async fn up_to(limit: u64, output: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(output) = output {
        output.take(limit).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// How a child ended that gave no answer.
fn fate(status: ExitStatus, error: &str, seconds: u64) -> String {
    if status.signal() == Some(Signal::SIGXCPU as i32) {
        return format!("the parser computed for more than {seconds} s");
    }
    // What Rust's runtime prints before it ends a process.
    let known = [
        ("overflowed its stack", "the file is nested too deeply for the parser"),
        ("memory allocation of", "the parser needs more memory than it may have"),
        ("panicked at", "the parser failed"),
    ];
    match known.iter().find(|(printed, _)| error.contains(printed)) {
        Some((_, why)) => (*why).to_owned(),
        None => format!("the parser ended without an answer ({status})"),
    }
}

/// The child: takes its limits from the arguments after the first, reads standard input to its end, and writes the result.
#[must_use]
pub fn run_child(arguments: impl Iterator<Item = String>) -> ExitCode {
    let parser = match begin(arguments) {
        Ok(parser) => parser,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            return ExitCode::from(CANNOT_BEGIN);
        }
    };
    // A panic has printed its message. It ends here where panics unwind.
    let answer = parser.join().ok().and_then(|reading| serde_json::to_vec(&reading).ok());
    match answer.map(|answer| std::io::stdout().write_all(&answer)) {
        Some(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn begin(arguments: impl Iterator<Item = String>) -> std::io::Result<JoinHandle<Reading>> {
    let limits: Vec<u64> = arguments.filter_map(|argument| argument.parse().ok()).collect();
    let &[memory, seconds] = limits.as_slice() else {
        return Err(std::io::Error::other(format!("expected {ARGUMENT} BYTES SECONDS")));
    };
    for (resource, soft, hard) in [
        (Resource::RLIMIT_AS, memory, memory),
        // The signal of the soft limit says what happened; the hard one only kills.
        (Resource::RLIMIT_CPU, seconds, seconds + 1),
        // No dump of a process that was ended; no file and no connection beside the three that are there.
        (Resource::RLIMIT_CORE, 0, 0),
        (Resource::RLIMIT_NOFILE, 3, 3),
    ] {
        setrlimit(resource, soft, hard)?;
    }
    let most = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    std::io::stdin().take(most).read_to_end(&mut bytes)?;
    std::thread::Builder::new().stack_size(STACK).spawn(move || pdf::read(bytes))
}
