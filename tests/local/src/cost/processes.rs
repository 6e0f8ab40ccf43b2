//! The processor time of the functions' processes, as Linux counts it.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::task::JoinHandle;

use crate::stack::Stack;

/// How often is looked. What a process does in the last such time of its life is not seen; the local Lambda keeps processes for minutes.
const LOOK: Duration = Duration::from_millis(50);
/// How often a start is measured.
const STARTS: u32 = 10;
/// How long a start may take.
const START: Duration = Duration::from_secs(10);

/// Processes and their processor time in nanoseconds, by function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) processes: u64,
    pub(super) nanoseconds: u64,
}

/// Looks at the processes of a stack's functions, until it is dropped.
pub(super) struct Watch {
    /// The latest of each process, by its id.
    seen: Arc<Mutex<BTreeMap<u32, (String, u64)>>>,
    looking: JoinHandle<()>,
}

impl Watch {
    pub(super) fn begin(stack: &Stack) -> Self {
        let seen = Arc::new(Mutex::default());
        let (ministack, kept) = (stack.ministack_id(), Arc::clone(&seen));
        let looking = tokio::spawn(async move {
            loop {
                look(ministack, &kept);
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { seen, looking }
    }

    /// What each function has used until now.
    pub(super) fn used(&self) -> BTreeMap<String, Used> {
        let mut all: BTreeMap<String, Used> = BTreeMap::new();
        for (function, nanoseconds) in self.seen.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let used = all.entry(function.clone()).or_default();
            used.processes += 1;
            used.nanoseconds += nanoseconds;
        }
        all
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn look(ministack: u32, kept: &Mutex<BTreeMap<u32, (String, u64)>>) {
    let Ok(folders) = std::fs::read_dir("/proc") else { return };
    for folder in folders.flatten() {
        let Some(id) = folder.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = folder.path();
        let known = kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .map(|(name, _)| name.clone());
        let Some(function) = known.or_else(|| function_of(&path, ministack)) else {
            continue;
        };
        // A process that has just ended keeps what was seen last.
        if let Some(nanoseconds) = processor_time(&path) {
            kept.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(id, (function, nanoseconds));
        }
    }
}

/// Which function a process is of, if it is one of ministack's.
fn function_of(folder: &Path, ministack: u32) -> Option<String> {
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    if parent.trim() != ministack.to_string() {
        return None;
    }
    let environment = std::fs::read(folder.join("environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    let name = environment
        .split('\0')
        .find_map(|variable| variable.strip_prefix("AWS_LAMBDA_FUNCTION_NAME=bellhop-"))?;
    Some(name.to_owned())
}

/// What all threads of a process have used, in nanoseconds.
fn processor_time(folder: &Path) -> Option<u64> {
    let mut all = 0;
    for thread in std::fs::read_dir(folder.join("task")).ok()?.flatten() {
        // A thread may have just ended.
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        all += text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse::<u64>().ok())
            .unwrap_or_default();
    }
    (all > 0).then_some(all)
}

/// The processor time, in milliseconds, that a function takes from its process's start until it asks for its first event: a mean of several starts.
///
/// # Errors
/// It does not start.
pub(super) fn start_ms(stack: &Stack, binary: &Path, function: &str) -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for _ in 0..STARTS {
        let runtime = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
        let mut child = Command::new(binary)
            .env_clear()
            .envs(stack.environment()?)
            .env("AWS_LAMBDA_RUNTIME_API", runtime.local_addr()?.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", format!("bellhop-{function}"))
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let asked = first_request(&runtime);
        let used = processor_time(&Path::new("/proc").join(child.id().to_string()));
        child.kill()?;
        child.wait()?;
        let asked = asked?;
        ensure!(asked.starts_with("GET "), "{function} did not poll for an event: {asked}");
        nanoseconds += used.with_context(|| format!("the processor time of {function} cannot be read"))?;
    }
    Ok(nanoseconds as f64 / 1e6 / f64::from(STARTS))
}

/// The beginning of the first request.
fn first_request(runtime: &TcpListener) -> anyhow::Result<String> {
    runtime.set_nonblocking(true)?;
    let begun = Instant::now();
    let mut connection = loop {
        match runtime.accept() {
            Ok((connection, _)) => break connection,
            Err(error) if error.kind() == ErrorKind::WouldBlock && begun.elapsed() < START => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error).context("no function polled for an event"),
        }
    };
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(START))?;
    let mut first = [0; 256];
    let count = connection.read(&mut first)?;
    Ok(String::from_utf8_lossy(first.get(..count).unwrap_or_default()).into_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_processor_time() {
        let me = Path::new("/proc/self");
        let before = processor_time(me).unwrap();
        let mut sum = 0_u64;
        for number in 0..30_000_000_u64 {
            sum = sum.wrapping_mul(31).wrapping_add(std::hint::black_box(number));
        }
        std::hint::black_box(sum);
        assert!(processor_time(me).unwrap() > before);
    }
}
