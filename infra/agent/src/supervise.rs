//! Runs work: programs in process groups of their own, and requests. Meanwhile it listens for SIGTERM, and does what [`Stopping`] decides.

use std::future::pending;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal as Number, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::heartbeat::Heartbeat;
use crate::log;
use crate::processes;
use crate::settings::TAKEN;
use crate::stopping::{Action, Event, Plan, Stopping};

/// How long background processes of a script may take to end after SIGTERM.
const CLEANUP: Duration = Duration::from_secs(2);
/// How long the agent waits until processes that it has killed are gone.
const GONE: Duration = Duration::from_secs(1);
/// How long a program that was ended for a limit may take until it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked for background processes that have ended.
const LOOK: Duration = Duration::from_millis(20);

/// What a program is watched for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// How long its processes of git may neither read nor write nor compute anything: one of them reads each packet that arrives.
    pub silence: Option<Duration>,
    /// How long it may run.
    pub longest: Option<Duration>,
    /// A line of the log says that it still runs, each time that it has printed nothing for so long.
    pub heartbeat: Option<Duration>,
}

/// Why a program was ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::silence`]
    Silence,
    /// [`Limits::longest`]
    Longest,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Its exit code; 128 + n if signal n ended it.
    pub code: i32,
    /// The limit at which it was ended.
    pub limit: Option<Limit>,
}

/// Runs one piece of work at a time.
#[derive(Debug)]
pub struct Supervisor {
    stopping: Stopping,
    terminate: Signal,
    child: Signal,
    timer: Option<Instant>,
    /// When the agent has to end.
    end: Option<Instant>,
}

impl Supervisor {
    /// Begins to listen for signals. From here on, processes whose parent has ended become children of this process, so that none of them is lost.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn new(plan: Plan) -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        Ok(Self {
            stopping: Stopping::new(plan),
            terminate: signal(SignalKind::terminate())?,
            child: signal(SignalKind::child())?,
            timer: None,
            end: None,
        })
    }

    /// How far the stopping is.
    pub fn stopping(&self) -> &Stopping {
        &self.stopping
    }

    /// Runs a program until it has ended, and then ends what it left running.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn run(&mut self, command: &mut Command, limits: Limits) -> io::Result<End> {
        for name in TAKEN {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        self.act(Event::Began, Some(group));
        let mut watch = Watch::new(limits, group);
        let mut late = None;
        let (code, more) = loop {
            if let Reaped { code: Some(code), more } = reap(group) {
                break (code, more);
            }
            if let Some(event) = late.take() {
                self.act(event, Some(group));
            }
            tokio::select! {
                biased;
                _ = self.child.recv() => {}
                // Only after another look: a program that has just ended gets no signal.
                event = next(&mut self.terminate, self.timer) => late = Some(event),
                () = watch.tick() => watch.look(),
            }
        };
        self.act(Event::Ended, None);
        if let Some(event) = late {
            self.act(event, None);
        }
        // Reading all of /proc takes milliseconds.
        if more {
            self.end_what_is_left(group).await;
        }
        Ok(End {
            code,
            limit: watch.reached,
        })
    }

    /// Waits for work that is no program. Gives it up, and returns nothing, if the agent is stopped meanwhile.
    pub async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut stopped = self.act(Event::Began, None);
        let mut done = None;
        while !stopped && done.is_none() {
            tokio::select! {
                result = &mut work => done = Some(result),
                _ = self.child.recv() => { reap(Pid::from_raw(0)); }
                event = next(&mut self.terminate, self.timer) => stopped = self.act(event, None),
            }
        }
        self.act(Event::Ended, None);
        done
    }

    /// Waits for work, until SIGTERM has arrived.
    pub async fn unless_stopping<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            if self.stopping.is_stopping() {
                return None;
            }
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                event = next(&mut self.terminate, self.timer) => { self.act(event, None); }
            }
        }
    }

    /// Waits for work, until the agent has to end.
    pub async fn before_the_end<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = at(self.end) => return None,
                event = next(&mut self.terminate, self.timer) => { self.act(event, None); }
            }
        }
    }

    /// Does what is to be done about an event. Returns whether the work gets to know of it.
    fn act(&mut self, event: Event, group: Option<Pid>) -> bool {
        if event == Event::TimeOver {
            self.timer = None;
        }
        let mut reached = false;
        for action in self.stopping.on(event) {
            match action {
                Action::Say(text) => log::say(&text),
                Action::SetTimer(time) => self.timer = Some(Instant::now() + time),
                Action::EndAfter(time) => self.end = Some(Instant::now() + time),
                Action::Forward => {
                    reached = true;
                    send_to_group(group, Number::SIGTERM);
                }
                Action::Kill => {
                    reached = true;
                    send_to_group(group, Number::SIGKILL);
                    if group.is_some() {
                        send(&left(), Number::SIGKILL);
                    }
                }
            }
        }
        reached
    }

    /// Ends background processes, which would hold the log open and outlive the build: those of the program's group, and those that left it.
    async fn end_what_is_left(&mut self, group: Pid) {
        let mut processes = left();
        if processes.is_empty() {
            return;
        }
        send_to_group(Some(group), Number::SIGTERM);
        send(&processes, Number::SIGTERM);
        let end = Instant::now() + CLEANUP;
        while !processes.is_empty() && !self.stopping.is_stopping() && Instant::now() < end {
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = self.child.recv() => {}
                event = next(&mut self.terminate, self.timer) => { self.act(event, None); }
            }
            reap(Pid::from_raw(0));
            processes = left();
        }
        let end = Instant::now() + GONE;
        while !processes.is_empty() && Instant::now() < end {
            send_to_group(Some(group), Number::SIGKILL);
            send(&processes, Number::SIGKILL);
            sleep(Duration::from_millis(5)).await;
            reap(Pid::from_raw(0));
            processes = left();
        }
    }
}

/// The next event of the agent itself.
async fn next(terminate: &mut Signal, timer: Option<Instant>) -> Event {
    tokio::select! {
        _ = terminate.recv() => Event::Terminate,
        () = at(timer) => Event::TimeOver,
    }
}

/// Waits until then, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// What was collected.
struct Reaped {
    /// The exit code of the process that was asked for, if it has ended.
    code: Option<i32>,
    /// Whether there are other processes. What lives below the agent has a parent there, and that is the agent where another one has ended.
    more: bool,
}

/// Collects all processes that have ended, among them maybe this one.
fn reap(wanted: Pid) -> Reaped {
    let mut code = None;
    loop {
        let (ended, its_code) = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(process, code)) => (process, code),
            Ok(WaitStatus::Signaled(process, number, _)) => (process, 128 + number as i32),
            // One that was stopped or continued.
            Ok(other) if other != WaitStatus::StillAlive => continue,
            Err(Errno::EINTR) => continue,
            Ok(_) => return Reaped { code, more: true },
            // There is no process below the agent.
            Err(_) => return Reaped { code, more: false },
        };
        if ended == wanted {
            code = Some(its_code);
        }
    }
}

/// The processes that the agent's programs have left.
fn left() -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    processes::descendants(own, &processes::all())
}

fn send(processes: &[i32], number: Number) {
    for process in processes {
        // An error says that it has ended, or belongs to another user.
        let _ = kill(Pid::from_raw(*process), number);
    }
}

fn send_to_group(group: Option<Pid>, number: Number) {
    if let Some(group) = group {
        // An error says that all of it has ended.
        let _ = killpg(group, number);
    }
}

/// Watches a program.
struct Watch {
    limits: Limits,
    group: Pid,
    reached: Option<Limit>,
    begun: Instant,
    did: Vec<u8>,
    since: Instant,
    next: Instant,
    killing: Option<Instant>,
    heartbeat: Option<Heartbeat>,
}

impl Watch {
    fn new(limits: Limits, group: Pid) -> Self {
        let now = Instant::now();
        Self {
            limits,
            group,
            reached: None,
            begun: now,
            did: Vec::new(),
            since: now,
            next: now + Duration::from_secs(1),
            killing: None,
            heartbeat: limits.heartbeat.map(Heartbeat::new),
        }
    }

    async fn tick(&self) {
        if self.limits == Limits::default() {
            pending::<()>().await;
        }
        sleep_until(self.next).await;
    }

    /// Says that it still runs, and ends it where a limit is reached.
    fn look(&mut self) {
        let now = Instant::now();
        self.next = now + Duration::from_secs(1);
        if let Some(heartbeat) = &mut self.heartbeat
            && let Some(text) = heartbeat.at(now - self.begun, log::printed())
        {
            log::say(&format!("script: {text}"));
        }
        if self.killing.is_some_and(|at| now >= at) {
            send_to_group(Some(self.group), Number::SIGKILL);
            return;
        }
        if self.reached.is_some() {
            return;
        }
        if self.limits.longest.is_some_and(|longest| now - self.begun >= longest) {
            self.reached = Some(Limit::Longest);
            self.killing = Some(now + GRACE);
            send_to_group(Some(self.group), Number::SIGTERM);
        } else if let Some(silence) = self.limits.silence {
            let git = processes::of_git(self.group.as_raw(), &processes::all());
            let did = processes::what_they_did(&git);
            if did.is_empty() || did != self.did {
                (self.did, self.since) = (did, now);
            } else if now - self.since >= silence {
                self.reached = Some(Limit::Silence);
                self.killing = Some(now + GRACE);
                send(&git, Number::SIGTERM);
            }
        }
    }
}
