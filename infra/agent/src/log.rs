//! The log of a build: what the script prints, and the agent's own lines.
//!
//! An own line begins with [`MARK`] and the phase that it is about, by which people and programs tell it from the script's. It is one line: what comes from
//! outside cannot begin another one. It stays far below the 256 KB that CloudWatch Logs takes as one event
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>).
//!
//! The script prints into a pipe, of which a thread passes on what is there as it comes. So an own line never begins in the middle of one of the script's, and
//! the agent knows when the script has last printed anything. Where the log is read slowly, the script waits. The agent does not: its lines are written by
//! another thread.
//!
//! Secrets are masked in both ([`hide`]).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::mask::{Masking, Needles};

/// What the agent's own lines begin with.
pub const MARK: &str = "bellhop: ";
/// The longest own line, in bytes.
pub const LONGEST: usize = 16 * 1024;
/// How much of the script's output is passed on at a time, in bytes: what a pipe holds.
const PIECE: usize = 64 * 1024;
/// How long nothing may move at the end of a script's output, where the log is not read.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the end of a script's output may be held back that looks like the beginning of a secret, in milliseconds. What a program prints in two pieces
/// follows sooner, and the log is not late for its readers.
const HELD: u16 = 1000;

/// A line: marked, without control characters, cut where it is too long.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(MARK.len() + text.len() + 1);
    line.push_str(MARK);
    for character in text.chars() {
        if line.len() > LONGEST - 8 {
            line.push('…');
            break;
        }
        line.push(match character {
            '\n' | '\r' => ' ',
            '\t' => '\t',
            other if other.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        });
    }
    line.push('\n');
    line
}

/// Writes a line of the agent's.
pub fn say(text: &str) {
    let text = masked(text.as_bytes());
    queue(line(&String::from_utf8_lossy(&text)).into_bytes());
}

/// Writes what a program of the agent's has said.
pub fn pass_on(lines: &[u8]) {
    queue(masked(lines));
}

/// From here on, these are masked in the log. The first call counts.
pub fn hide(needles: Needles) {
    let _ = NEEDLES.set(Arc::new(needles));
}

/// A text as the log shows it.
#[must_use]
pub fn masked(text: &[u8]) -> Vec<u8> {
    NEEDLES.get().map_or_else(|| text.to_vec(), |needles| needles.mask(text))
}

fn queue(lines: Vec<u8>) {
    locked(&WAITING).push_back(lines);
    // Without its thread, the script's output takes the lines along.
    let _ = WRITER.send(None);
}

/// From here on, the log is standard error: standard output is for answers.
pub fn to_standard_error() {
    ELSEWHERE.store(true, Ordering::Relaxed);
}

/// Waits until all own lines are written.
pub async fn finish() {
    let (done, written) = oneshot::channel();
    let _ = WRITER.send(Some(done));
    let _ = written.await;
}

/// How much the script has printed so far, in bytes.
#[must_use]
pub fn printed() -> u64 {
    PRINTED.load(Ordering::Relaxed)
}

static ELSEWHERE: AtomicBool = AtomicBool::new(false);
static PRINTED: AtomicU64 = AtomicU64::new(0);
/// What is masked, if there is anything.
static NEEDLES: OnceLock<Arc<Needles>> = OnceLock::new();
/// Own lines that are not written yet.
static WAITING: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());
static LOG: LazyLock<Mutex<Log>> = LazyLock::new(|| Mutex::new(Log::open()));
/// Wakes the thread that writes own lines, which answers where it is asked to.
static WRITER: LazyLock<Sender<Option<oneshot::Sender<()>>>> = LazyLock::new(|| {
    let (sender, calls) = channel::<Option<oneshot::Sender<()>>>();
    let write = move || {
        for call in calls {
            locked(&LOG).write(b"");
            if let Some(done) = call {
                let _ = done.send(());
            }
        }
    };
    let _ = thread::Builder::new().name("log".to_owned()).spawn(write);
    sender
});

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Log {
    /// None if it is gone, which is no reason to stop.
    file: Option<File>,
    /// Whether the last line has no end yet.
    in_line: bool,
}

impl Log {
    fn open() -> Self {
        let file = if ELSEWHERE.load(Ordering::Relaxed) {
            io::stderr().as_fd().try_clone_to_owned()
        } else {
            io::stdout().as_fd().try_clone_to_owned()
        };
        Self {
            file: file.ok().map(File::from),
            in_line: false,
        }
    }

    /// Writes what waits, and then this.
    fn write(&mut self, bytes: &[u8]) {
        loop {
            // The queue is not locked while its lines are written.
            let Some(line) = locked(&WAITING).pop_front() else { break };
            if self.in_line {
                self.put(b"\n");
            }
            self.put(&line);
        }
        self.put(bytes);
    }

    fn put(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.in_line = *last != b'\n';
            if self.file.as_mut().is_some_and(|file| file.write_all(bytes).is_err()) {
                self.file = None;
            }
        }
    }
}

/// The output of a script on its way to the log.
#[derive(Debug)]
pub struct Forwarding(oneshot::Receiver<()>);

impl Forwarding {
    /// Has a program print into the log. Both of its outputs are one pipe, so that what it prints keeps its order.
    ///
    /// # Errors
    /// The system has no pipe or no thread left.
    pub fn of(command: &mut Command) -> io::Result<Self> {
        let (mut output, input) = io::pipe()?;
        command.stdout(input.try_clone()?).stderr(input);
        let (done, end) = oneshot::channel();
        let forward = move || {
            let mut masking = NEEDLES.get().map(|needles| Masking::new(Arc::clone(needles)));
            let (mut piece, mut masked) = (vec![0; PIECE], Vec::new());
            // An error is an end, too.
            while let Some(read) = output.read(&mut piece).ok().and_then(|count| piece.get(..count)) {
                if read.is_empty() {
                    break;
                }
                PRINTED.fetch_add(u64::try_from(read.len()).unwrap_or_default(), Ordering::Relaxed);
                let Some(masking) = &mut masking else {
                    locked(&LOG).write(read);
                    continue;
                };
                masking.pass(read, &mut masked);
                if masking.holds() && !follows(&output) {
                    masking.release(&mut masked);
                }
                locked(&LOG).write(&masked);
                masked.clear();
            }
            if let Some(masking) = &mut masking {
                masking.release(&mut masked);
                locked(&LOG).write(&masked);
            }
            let _ = done.send(());
        };
        thread::Builder::new().name("output".to_owned()).spawn(forward)?;
        Ok(Self(end))
    }

    /// Waits until everything is in the log that the program has printed, as long as something moves: a process that could not be killed may hold the pipe
    /// open, or nothing may read the log.
    pub async fn end(mut self, command: &mut Command) {
        // The command itself holds it, too.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        loop {
            let before = printed();
            if timeout(PATIENCE, &mut self.0).await.is_ok() || printed() == before {
                return;
            }
        }
    }
}

/// Whether more comes soon, or the end.
fn follows(output: &impl AsFd) -> bool {
    let mut waiting = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut waiting, PollTimeout::from(HELD)) {
            Err(Errno::EINTR) => {}
            // After another error, the next read says what it is.
            ended => return ended != Ok(0),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::io::Seek as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("exit code 1"), "bellhop: exit code 1\n");
        assert_eq!(line("a\nbellhop: b\x1b[31m"), "bellhop: a bellhop: b\u{fffd}[31m\n");
    }

    #[test]
    fn own_lines_begin_no_lines_in_the_middle() {
        let mut file = tempfile::tempfile().unwrap();
        let mut log = Log {
            file: Some(file.try_clone().unwrap()),
            in_line: false,
        };
        let own = |log: &mut Log, text: &str| {
            locked(&WAITING).push_back(line(text).into_bytes());
            log.write(b"");
        };
        own(&mut log, "begin");
        log.write(b"12 % ");
        log.write(b"13 % ");
        own(&mut log, "stop");
        log.write(b"14 %\n");
        own(&mut log, "end");
        file.rewind().unwrap();
        let written = io::read_to_string(&file).unwrap();
        assert_eq!(written, "bellhop: begin\n12 % 13 % \nbellhop: stop\n14 %\nbellhop: end\n");
    }

    proptest! {
        #[test]
        fn any_text_is_one_short_line(text in "\\PC*[\n\r\u{1b}]?.{0,80}", times in 1_usize..400) {
            let line = line(&text.repeat(times));
            prop_assert!(line.len() <= LONGEST);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        }
    }
}
