//! A build: its states, its events, and the effects that follow.
//!
//! [`Build::decide`] is total: every state handles every event, most often as "ignored". It does not rely on the order or number of events. An event
//! about an agent is matched to an attempt by number, and then to the attempt's agent by the agent's id. So an agent that should not exist (the reply
//! to its launch was lost, and another agent took its place) is recognized and stopped.

mod abandoned;
mod refused;
mod waiting;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Capacity;
use crate::decision::{Decision, Ignored};
use crate::found::{Found, Tests};
use crate::ids::{AgentId, AttemptId, JobName};
use crate::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use crate::outbox::{Abandoned, Effect, EffectId, Outbox, TELL_FOR, TRY_FOR, later};
use crate::outcome::Outcome;
use crate::spec::{BuildSpec, Executor, Relaunch, RetryOn};

/// How long an accepted agent may take to start. Fargate pulls large images in minutes; an agent that takes longer never starts. If a group of
/// instances finds no Spot capacity, its tasks stay PROVISIONING; the build then falls back to on-demand capacity.
pub const LAUNCH_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// The same for on-demand capacity of ECS, which has no fallback: a capacity provider with managed scaling starts an instance first, and keeps the
/// task PROVISIONING for up to half an hour (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html>).
pub const ON_DEMAND_LAUNCH_TIMEOUT: Duration = Duration::from_secs(35 * 60);
/// How long an agent may take to stop after Bellhop asked it to: after that it counts as lost. A task has two minutes. If it takes longer, its host
/// is disconnected and may never report the end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How long a launch is retried that is refused for a reason outside the table of refusals: for instance a missing permission, which takes effect
/// shortly after a stack was created.
pub const UNKNOWN_FOR: Duration = Duration::from_secs(15 * 60);
/// How long polls of a build's agents may fail before their timeouts apply anyway.
pub const UNSEEN_FOR: Duration = Duration::from_secs(30 * 60);
/// How often a running agent is polled, in case its events were lost.
pub const CHECK_RUNNING: Duration = Duration::from_secs(5 * 60);
/// How often an agent is polled that should change soon: starting, interrupted, stopping.
pub const CHECK_CHANGING: Duration = Duration::from_secs(60);
/// How long Bellhop looks for the agent of a launch without a reply before it concludes that there is none.
pub const FIND_FOR: Duration = Duration::from_secs(5 * 60);
/// The first wait after a launch was refused because of capacity or a limit of the account; doubles each time.
pub const REFUSED_BACKOFF: Duration = Duration::from_secs(15);
/// The wait after a launch was throttled. It does not grow: the service refills its tokens continuously, and the sweep, which slows down when it is
/// throttled, decides how often all builds together try.
pub const THROTTLED_WAIT: Duration = Duration::from_secs(2);
/// The longest wait between two launches of one attempt, and before any retry.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// How long a build waits for an agent before Bellhop reports it, once.
pub const WAITING_TOLD_AFTER: Duration = Duration::from_secs(10 * 60);

/// How long a build waits before it checks again whether launches are paused.
pub const PAUSED_WAIT: Duration = Duration::from_secs(30);

/// The most characters stored of a service's or an agent's message. It goes into messages, some of which contain many builds.
const LONGEST_WORDS: usize = 300;
/// The beginning of a container's reason if the kernel killed one of its processes because memory ran out
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>).
const OUT_OF_MEMORY: &str = "OutOfMemory";
/// The remark about such a process if the script succeeded nevertheless.
const SHORT_OF_MEMORY: &str = "one of its processes was killed because memory ran out; give its agent more memory";
/// The most characters stored of a failed command.
const LONGEST_COMMAND: usize = 60;

/// A build with all its data: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The frozen definition of the build.
    pub spec: BuildSpec,
    /// The state.
    pub state: BuildState,
    /// Its attempts; the last one is the current one.
    pub attempts: Vec<Attempt>,
    /// Agents with this build's name that are not, or no longer, an attempt's agent.
    pub strays: Vec<Stray>,
    /// Retries used under each rule of the retry policy, in its order.
    pub retries: Vec<u32>,
    /// Its slot in the pool of its agent template, if the template has a limit.
    #[serde(default)]
    pub place: Place,
    /// How often it has released a slot to acquire another one later.
    #[serde(default)]
    pub turn: u32,
    /// The results of the deciding attempt in the bucket, once they were collected.
    #[serde(default)]
    pub found: Option<Found>,
    /// Since when polls of its agents have failed.
    #[serde(default)]
    pub unseen: Option<Timestamp>,
    /// Whether that was reported.
    #[serde(default)]
    pub blind: bool,
    /// Whether the wait for an agent was reported.
    #[serde(default)]
    pub waiting_told: bool,
    /// When the run was created.
    pub created: Timestamp,
    /// Pending effects.
    pub outbox: Outbox<BuildEffect>,
}

/// The state of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    /// It waits for jobs that it needs.
    Blocked,
    /// It waits for a slot of its agent template.
    Waiting,
    /// Its current attempt waits for its launch.
    Queued {
        /// The earliest time of the launch.
        not_before: Timestamp,
    },
    /// Its current attempt is launching or running.
    Active,
    /// It has finished.
    Finished {
        /// How it ended; never changes.
        outcome: Outcome,
        /// When that was decided.
        at: Timestamp,
        /// The cause, for people; none for a success.
        cause: Option<String>,
    },
}

/// The slot of a build in the [`Pool`](crate::pool::Pool) of its agent template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Not requested: the template has no limit, or the build is not ready to launch.
    #[default]
    None,
    /// Requested.
    Wanted,
    /// The build holds it until it has finished and nothing runs for it any more.
    Held,
    /// Released, or no longer wanted.
    Left,
}

/// One try at a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// The capacity that it runs on, or will run on.
    pub capacity: Capacity,
    /// Its agent, once known.
    pub agent: Option<AgentId>,
    /// The highest version seen of its agent.
    pub seen: u64,
    /// A launch of it was refused before, on other capacity or for good. A refusal proves nothing: an earlier request of the same launch may still
    /// have succeeded, and then there is an orphan agent. Bellhop looks for it once this attempt has started or ended; after a refusal for good, a
    /// minute later.
    #[serde(default)]
    pub fell_back: bool,
    /// Since when the build has been waiting for an agent; `queue-timeout` starts here.
    pub queued: Timestamp,
    /// How often its launch was refused because of capacity or a limit of the account.
    pub refusals: u32,
    /// How often its launch was throttled.
    #[serde(default)]
    pub throttles: u32,
    /// How many of its launches were refused under a token that cannot be used again: the next launch uses another one.
    #[serde(default)]
    pub round: u32,
    /// The message of the last refusal.
    pub last_refusal: Option<String>,
    /// What a person can do about that refusal.
    #[serde(default)]
    pub advice: Option<String>,
    /// Since when its launch has been refused for an unknown reason.
    #[serde(default)]
    pub unknown: Option<Timestamp>,
    /// Its agent counts as lost: if it is seen again, it is stopped again.
    #[serde(default)]
    pub lost: bool,
    /// A remark about a successful attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// When its launch was last decided, or accepted.
    pub launched: Option<Timestamp>,
    /// When its agent started.
    pub started: Option<Timestamp>,
    /// When it was last polled.
    pub checked: Timestamp,
    /// The phase.
    pub phase: Phase,
}

/// The phase of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not launched yet, or refused.
    Waiting,
    /// Launched, but not running yet.
    Launching,
    /// Running.
    Running,
    /// AWS reclaims its capacity; it may have up to two minutes left.
    Interrupted {
        /// When Bellhop received the warning.
        at: Timestamp,
    },
    /// Bellhop has asked it to stop.
    Stopping {
        /// When.
        at: Timestamp,
        /// The reason.
        why: StopWhy,
    },
    /// It has ended.
    Ended {
        /// When Bellhop learned of it.
        at: Timestamp,
        /// How.
        end: End,
    },
}

/// Why Bellhop stops an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopWhy {
    /// The build has finished without it.
    BuildOver,
    /// It ran longer than the job's `timeout`.
    Timeout,
    /// Its agent did not start in time: [`LAUNCH_TIMEOUT`] or [`ON_DEMAND_LAUNCH_TIMEOUT`].
    NeverUp,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The script ended by itself with exit code 0.
    Succeeded,
    /// The script failed.
    Failed {
        /// Its exit code, if there is one.
        exit_code: Option<i32>,
        /// The cause, for people.
        cause: String,
    },
    /// The commit is no longer in the repository, so no other attempt would find it.
    CommitGone {
        /// The cause, for people.
        cause: String,
    },
    /// AWS reclaimed its capacity.
    Interrupted,
    /// Its agent never started, or was lost, through no fault of the job.
    Infrastructure {
        /// The cause, for people.
        cause: String,
    },
    /// Bellhop stopped it because it ran too long.
    TimedOut,
    /// It was stopped because the build finished without it, or it was never launched.
    Unneeded,
}

/// An agent with this build's name that is not, or no longer, an attempt's agent. Bellhop stops it and remembers it, so that its later events are not
/// mistaken for the attempt's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// The agent.
    pub agent: AgentId,
    /// The attempt whose name it carries.
    pub attempt: u32,
    /// Whether it is proven stopped, or counts as lost.
    pub stopped: bool,
    /// It counts as lost: if it is seen again, it is stopped again.
    #[serde(default)]
    pub lost: bool,
    /// When it was recognized as such.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// When it was last polled.
    pub checked: Timestamp,
}

/// An event for a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// All jobs that it needs have succeeded.
    Released,
    /// A job that it needs did not succeed.
    Skipped {
        /// That job.
        because: JobName,
    },
    /// The pool granted it a slot.
    Granted {
        /// The turn of the grant.
        turn: u32,
    },
    /// It is cancelled or superseded.
    Cancelled {
        /// [`Outcome::Cancelled`] or [`Outcome::Superseded`].
        outcome: Outcome,
        /// The cause, for people.
        cause: String,
    },
    /// The results of an attempt in the bucket were collected.
    Collected {
        /// The attempt.
        attempt: u32,
        /// The results.
        found: Found,
    },
    /// A launch was accepted.
    LaunchAccepted {
        /// The attempt.
        attempt: u32,
        /// The capacity of the launch.
        capacity: Capacity,
        /// The new agent.
        agent: AgentId,
    },
    /// A launch was refused and started no agent.
    LaunchRefused {
        /// The attempt.
        attempt: u32,
        /// The capacity of the launch.
        capacity: Capacity,
        /// Its round.
        round: u32,
        /// The refusal.
        refusal: Refusal,
        /// Whether the service answers the token with this refusal from now on.
        spent: bool,
    },
    /// An event or a poll shows an agent of this build.
    Agent {
        /// The attempt whose name it carries.
        attempt: u32,
        /// The observation.
        observation: Observation,
    },
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
    /// Time has passed.
    Tick {
        /// When the agents of [`Build::agents_to_check`] were polled; [`Timestamp::MIN`] if that failed. Timeouts that ended after this time do not
        /// apply yet, unless polls have failed for [`UNSEEN_FOR`].
        looked: Timestamp,
    },
}

/// Why a launch was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no capacity of this kind now.
    NoCapacity(String),
    /// The service throttled the call.
    Throttled(String),
    /// The account's limit on running agents is reached.
    AccountLimit(String),
    /// A fault of the service that certainly started no agent.
    Transient(String),
    /// An alarm pauses launches, so the service was not called.
    Paused(String),
    /// The launch can never succeed: an unknown cluster or task definition.
    Invalid(String),
    /// An unknown reason, such as a missing permission: it may be fixed within minutes.
    Unknown(String),
}

/// An effect of a build. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildEffect {
    /// Acquire a slot of the agent template.
    Ask,
    /// Release that slot.
    Leave {
        /// The turn that ends.
        turn: u32,
    },
    /// Collect the deciding attempt's results in the bucket, before the end of the build is reported.
    Collect {
        /// The attempt.
        attempt: u32,
        /// The message that follows.
        news: BuildNews,
    },
    /// Launch an agent, under the idempotency token of attempt, capacity and round.
    Launch {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// The round.
        #[serde(default)]
        round: u32,
    },
    /// Look for the agent of a launch without a reply.
    Find {
        /// The attempt.
        attempt: u32,
    },
    /// Stop an agent.
    Stop {
        /// The agent.
        agent: AgentId,
        /// The reason, for the service's record.
        reason: String,
    },
    /// Publish a message.
    Announce(BuildNews),
    /// Report to the run that this build has finished.
    TellRun {
        /// How it ended.
        outcome: Outcome,
        /// The cause, for people.
        cause: Option<String>,
        /// The counts of its test reports.
        #[serde(default)]
        tests: Option<Tests>,
    },
}

/// A message about a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildNews {
    /// A launch was refused for an unknown reason and is retried for a while.
    Refused {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// The service's message.
        cause: String,
        /// What a person can do.
        advice: String,
        /// The end of the retries.
        until: Timestamp,
        /// When it was refused.
        at: Timestamp,
    },
    /// An effect of the build was abandoned.
    Abandoned {
        /// The effect, by number.
        number: u64,
        /// The effect and its consequences.
        what: Abandoned,
    },
    /// The build has waited for an agent for a while.
    Waiting {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// What it waits for.
        cause: String,
        /// What a person can do, if known.
        advice: Option<String>,
        /// Since when.
        since: Timestamp,
        /// When it times out.
        until: Timestamp,
        /// When Bellhop detected it.
        at: Timestamp,
    },
    /// The last agent of a cancelled or timed-out build has stopped, a while after the build finished.
    Stopped {
        /// The attempt.
        attempt: u32,
        /// The capacity.
        capacity: Capacity,
        /// The build's outcome.
        outcome: Outcome,
        /// The time between the two.
        after: Duration,
        /// When the agent stopped.
        at: Timestamp,
    },
    /// An attempt has ended or is about to, and another one replaces it.
    Retrying {
        /// The new attempt.
        attempt: u32,
        /// Its capacity.
        capacity: Capacity,
        /// The end of the previous attempt.
        cause: String,
        /// When that was decided.
        at: Timestamp,
    },
    /// The build has finished.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// The attempt that decided the outcome, if there was one.
        attempt: Option<u32>,
        /// Its capacity.
        capacity: Option<Capacity>,
        /// The cause, for people.
        cause: Option<String>,
        /// When that was decided.
        at: Timestamp,
    },
}

impl Effect for BuildEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        match self {
            // A launch ends with the build's queue-timeout; notifications of records are retried without limit.
            Self::Launch { .. } | Self::Ask | Self::Leave { .. } | Self::TellRun { .. } => None,
            Self::Collect { .. } | Self::Find { .. } | Self::Stop { .. } => Some(TRY_FOR),
            Self::Announce(_) => Some(TELL_FOR),
        }
    }
}

impl BuildEffect {
    /// Whether the effect launches an agent for an attempt, or looks for one.
    fn seeks_agent_of(&self, number: u32) -> bool {
        matches!(self, Self::Launch { attempt, .. } | Self::Find { attempt } if *attempt == number)
    }
}

impl End {
    /// Its name in reports and messages.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } | Self::CommitGone { .. } => "failed",
            Self::Interrupted => "interrupted",
            Self::Infrastructure { .. } => "infrastructure-failed",
            Self::TimedOut => "timed-out",
            Self::Unneeded => "stopped",
        }
    }
}

impl Attempt {
    fn new(number: u32, capacity: Capacity, now: Timestamp) -> Self {
        Self {
            number,
            capacity,
            agent: None,
            seen: 0,
            fell_back: false,
            queued: now,
            refusals: 0,
            throttles: 0,
            round: 0,
            last_refusal: None,
            advice: None,
            unknown: None,
            lost: false,
            remark: None,
            launched: None,
            started: None,
            checked: now,
            phase: Phase::Waiting,
        }
    }

    /// Whether it has, or may have, an agent that is not proven stopped.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Ended { .. })
    }

    /// Whether a launch of it was refused before, which does not prove that no agent was started.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        self.refusals > 0 || self.throttles > 0
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// When it ended, if it did.
    pub(crate) fn ended_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Ended { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Whether it has ended, and Bellhop must still look for the agent of its refused launch.
    fn is_to_look_back(&self) -> bool {
        self.fell_back && self.end().is_some()
    }

    fn check_after(&self) -> Duration {
        match self.phase {
            Phase::Running => CHECK_RUNNING,
            _ => CHECK_CHANGING,
        }
    }
}

impl Build {
    /// A build that waits for the jobs that it needs.
    #[must_use]
    pub fn blocked(spec: BuildSpec, now: Timestamp) -> Self {
        Self {
            retries: vec![0; spec.retry.rules.len()],
            spec,
            state: BuildState::Blocked,
            attempts: Vec::new(),
            strays: Vec::new(),
            place: Place::None,
            turn: 0,
            found: None,
            unseen: None,
            blind: false,
            waiting_told: false,
            created: now,
            outbox: Outbox::default(),
        }
    }

    /// A build without needs: the launch of its first attempt is in its outbox.
    #[must_use]
    pub fn ready(spec: BuildSpec, now: Timestamp) -> Self {
        let mut build = Self::blocked(spec, now);
        build.release(now);
        build
    }

    /// Its outcome, if it has finished.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state {
            BuildState::Finished { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// When its outcome was decided.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        match self.state {
            BuildState::Finished { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Its status, in one word for records and people: `blocked`, `queued`, `launching`, `running`, or the outcome.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match &self.state {
            BuildState::Blocked => "blocked",
            BuildState::Waiting | BuildState::Queued { .. } => "queued",
            BuildState::Active => match self.attempts.last().map(|attempt| &attempt.phase) {
                Some(Phase::Waiting | Phase::Launching) => "launching",
                _ => "running",
            },
            BuildState::Finished { outcome, .. } => outcome.as_str(),
        }
    }

    /// The full id of one of its attempts.
    #[must_use]
    pub fn attempt_id(&self, number: u32) -> AttemptId {
        AttemptId {
            build: self.spec.id.clone(),
            number,
        }
    }

    /// The agents to poll, each with its attempt's number: those without recent events, and those whose timeout has passed. The poll before the
    /// timeout avoids stopping a build that has ended in time, but whose events were lost.
    #[must_use]
    pub fn agents_to_check(&self, now: Timestamp) -> Vec<(u32, AgentId)> {
        let attempts = self
            .attempts
            .iter()
            .filter(|attempt| attempt.is_live() && (later(attempt.checked, attempt.check_after()) <= now || self.is_overtime(attempt, now)))
            .filter_map(|attempt| Some((attempt.number, attempt.agent.clone()?)));
        let strays = self
            .strays
            .iter()
            .filter(|stray| !stray.stopped && later(stray.checked, CHECK_CHANGING) <= now)
            .map(|stray| (stray.attempt, stray.agent.clone()));
        attempts.chain(strays).collect()
    }

    /// Whether an attempt has run longer than its timeout.
    fn is_overtime(&self, attempt: &Attempt, now: Timestamp) -> bool {
        matches!(attempt.phase, Phase::Running | Phase::Interrupted { .. })
            && attempt.started.is_some_and(|started| later(started, self.spec.timeout) <= now)
    }

    /// When the sweep should process this build next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let queue = match (&self.state, self.attempts.last()) {
            (BuildState::Waiting, Some(attempt)) => Some(self.waiting_deadline(attempt)),
            _ => self.launch_due(),
        };
        let watched = self
            .attempts
            .iter()
            .filter(|attempt| attempt.is_live() || attempt.is_to_look_back());
        let attempts = watched.map(|attempt| {
            let check = later(attempt.checked, attempt.check_after());
            match (&attempt.phase, attempt.started) {
                (Phase::Running, Some(started)) => check.min(later(started, self.spec.timeout)),
                _ => check,
            }
        });
        let strays = self
            .strays
            .iter()
            .filter(|stray| !stray.stopped)
            .map(|stray| later(stray.checked, CHECK_CHANGING));
        let queue = queue.into_iter().chain(self.waiting_told_at());
        self.outbox.due().into_iter().chain(queue).chain(attempts).chain(strays).min()
    }

    /// If its current attempt waits for a launch: the earliest time of the launch, or the deadline.
    fn launch_due(&self) -> Option<Timestamp> {
        match (&self.state, self.attempts.last()) {
            (BuildState::Queued { not_before }, Some(attempt)) => Some((*not_before).min(self.queue_deadline(attempt))),
            _ => None,
        }
    }

    /// Whether a launch is the first thing that is due. A service's rate limits launches, and other work must not wait behind them.
    #[must_use]
    pub fn is_due_for_launch(&self) -> bool {
        let launch = self.launch_due();
        launch.is_some() && launch == self.due()
    }

    /// Decides the next state of this build after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &BuildEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) => {
                if self.something_runs() {
                    next.tell_stopped(now);
                }
                next.leave_when_nothing_runs(now);
                Decision::Next(Box::new(next))
            }
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &BuildEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            BuildEvent::Released => match self.state {
                BuildState::Blocked => {
                    self.release(now);
                    Ok(())
                }
                BuildState::Finished { .. } => Err(Ignored::Over),
                BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => Err(Ignored::NothingNew),
            },
            BuildEvent::Granted { turn } => self.granted(*turn, now),
            BuildEvent::Cancelled { outcome, cause } => match self.state {
                BuildState::Finished { .. } => Err(Ignored::Over),
                BuildState::Blocked => {
                    self.state = BuildState::Finished {
                        outcome: *outcome,
                        at: now,
                        cause: Some(cause.clone()),
                    };
                    // The message about its run lists every job. But the run may not know this end: it may have released the build, and then
                    // cancelled it before the build got the release.
                    self.tell_run(now);
                    Ok(())
                }
                BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => {
                    self.finish(*outcome, Some(cause.clone()), now);
                    Ok(())
                }
            },
            BuildEvent::Collected { attempt, found } => self.collected(*attempt, Some(found.clone()), now),
            BuildEvent::Skipped { because } => match self.state {
                BuildState::Blocked => {
                    // The run itself has decided this; its message lists every job.
                    self.state = BuildState::Finished {
                        outcome: Outcome::Skipped,
                        at: now,
                        cause: Some(format!("needs {because}, which did not succeed")),
                    };
                    Ok(())
                }
                BuildState::Finished { .. } => Err(Ignored::Over),
                BuildState::Waiting | BuildState::Queued { .. } | BuildState::Active => Err(Ignored::NothingNew),
            },
            BuildEvent::LaunchAccepted { attempt, capacity, agent } => self.launch_accepted(*attempt, *capacity, agent, now),
            BuildEvent::LaunchRefused {
                attempt,
                capacity,
                round,
                refusal,
                spent,
            } => self.launch_refused(*attempt, (*capacity, *round), refusal, *spent, now),
            BuildEvent::Agent { attempt, observation } => self.observed(*attempt, observation, now),
            BuildEvent::Deferred(id, why) => self.deferred(*id, why, now),
            BuildEvent::Performed(id) => {
                if self.outbox.remove(*id) {
                    Ok(())
                } else {
                    Err(Ignored::NothingNew)
                }
            }
            BuildEvent::Tick { looked } => self.tick((*looked).min(now), now),
        }
    }

    fn release(&mut self, now: Timestamp) {
        let wanted = if self.spec.critical { Capacity::OnDemand } else { Capacity::Spot };
        let capacity = self.spec.executor.nearest(wanted);
        self.attempts.push(Attempt::new(1, capacity, now));
        self.launch_in_a_place(now);
    }

    /// Launches the current attempt, or acquires the slot that it needs first.
    fn launch_in_a_place(&mut self, now: Timestamp) {
        if self.spec.limit.is_none() || self.place == Place::Held {
            return self.launch(now);
        }
        self.state = BuildState::Waiting;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.phase = Phase::Waiting;
            // Its time in the queue begins when it first requests a slot, even if the sweep processes it late.
            if attempt.launched.is_none() {
                attempt.queued = now;
            }
        }
        self.ask(now);
    }

    fn ask(&mut self, now: Timestamp) {
        if self.place == Place::Left {
            self.turn = self.turn.saturating_add(1);
        }
        self.place = Place::Wanted;
        self.outbox.remove_where(|pending| pending.effect == BuildEffect::Ask);
        self.outbox.push(BuildEffect::Ask, now);
    }

    fn granted(&mut self, turn: u32, now: Timestamp) -> Result<(), Ignored> {
        match self.place {
            // The grant is for an earlier turn; the current request has no answer yet.
            Place::Wanted | Place::Held if turn < self.turn => Err(Ignored::Stale),
            Place::Wanted => {
                self.place = Place::Held;
                self.outbox.remove_where(|pending| pending.effect == BuildEffect::Ask);
                if self.state == BuildState::Waiting {
                    self.launch(now);
                }
                Ok(())
            }
            Place::Held => Err(Ignored::NothingNew),
            // It requested a slot twice, and the second request arrived after its release. A pending release may have arrived before that, so it
            // proves nothing: another release replaces it.
            Place::None | Place::Left => {
                self.leave_place(now);
                Ok(())
            }
        }
    }

    /// Releases the build's slot once it has finished and nothing runs for it any more.
    fn leave_when_nothing_runs(&mut self, now: Timestamp) {
        let has_one = matches!(self.place, Place::Wanted | Place::Held);
        let something_runs = self.attempts.iter().any(Attempt::is_live) || self.strays.iter().any(|stray| !stray.stopped);
        if has_one && self.outcome().is_some() && !something_runs {
            self.leave_place(now);
        }
    }

    fn leave_place(&mut self, now: Timestamp) {
        self.place = Place::Left;
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::Ask | BuildEffect::Leave { .. }));
        self.outbox.push(BuildEffect::Leave { turn: self.turn }, now);
    }

    /// Reports the end of the build, after its results were collected or could not be collected.
    fn collected(&mut self, attempt: u32, found: Option<Found>, now: Timestamp) -> Result<(), Ignored> {
        let news = self.outbox.pending().iter().find_map(|pending| match &pending.effect {
            BuildEffect::Collect { attempt: of, news } if *of == attempt => Some(news.clone()),
            _ => None,
        });
        let Some(news) = news else {
            return Err(Ignored::NothingNew);
        };
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::Collect { .. }));
        self.found = found;
        self.tell(news, now);
        Ok(())
    }

    fn tell(&mut self, news: BuildNews, now: Timestamp) {
        self.outbox.push(BuildEffect::Announce(news), now);
        self.tell_run(now);
    }

    fn tell_run(&mut self, now: Timestamp) {
        let BuildState::Finished { outcome, cause, .. } = &self.state else {
            return;
        };
        let tell_run = BuildEffect::TellRun {
            outcome: *outcome,
            cause: cause.clone(),
            tests: self.found.as_ref().and_then(|found| found.tests.clone()),
        };
        self.outbox.push(tell_run, now);
    }

    /// Launches the current attempt.
    fn launch(&mut self, now: Timestamp) {
        self.state = BuildState::Active;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.phase = Phase::Launching;
            attempt.launched = Some(now);
            attempt.checked = now;
            self.outbox.push(
                BuildEffect::Launch {
                    attempt: attempt.number,
                    capacity: attempt.capacity,
                    round: attempt.round,
                },
                now,
            );
        }
    }

    fn launch_accepted(&mut self, number: u32, capacity: Capacity, agent: &AgentId, now: Timestamp) -> Result<(), Ignored> {
        if let Some(stray) = self.strays.iter().find(|stray| stray.agent == *agent) {
            let stopped = stray.stopped;
            return self.launch_spent(number, capacity, stopped, now);
        }
        let cleared = self.clear_launch(number, capacity);
        let observation = Observation {
            agent: agent.clone(),
            version: None,
            capacity: Some(capacity),
            status: AgentStatus::Starting,
        };
        match self.observed(number, &observation, now) {
            Err(_) if cleared => Ok(()),
            result => result,
        }
    }

    /// The service answered a launch with an agent that was recognized as a stray before, so the token cannot be used again.
    fn launch_spent(&mut self, number: u32, capacity: Capacity, stopped: bool, now: Timestamp) -> Result<(), Ignored> {
        if !self.awaits_launch(number, capacity) {
            return if self.clear_launch(number, capacity) {
                Ok(())
            } else {
                Err(Ignored::OtherAgent)
            };
        }
        if !stopped {
            // No other agent is launched in parallel: the launch stays in the outbox, and is retried.
            return Err(Ignored::OtherAgent);
        }
        let cause = "the launch returned an agent that had already been stopped".to_owned();
        self.renumber(number, cause, now);
        self.launch(now);
        Ok(())
    }

    /// Whether a launch of the current attempt is in progress and has no result yet.
    fn awaits_launch(&self, number: u32, capacity: Capacity) -> bool {
        self.outcome().is_none()
            && self.attempts.last().is_some_and(|attempt| {
                attempt.number == number && attempt.capacity == capacity && attempt.phase == Phase::Launching && attempt.agent.is_none()
            })
    }

    /// Replaces the current attempt by another one, because its token belongs to an agent that does nothing for it. The place in the queue stays the
    /// same, and no retry is used up.
    fn renumber(&mut self, number: u32, cause: String, now: Timestamp) {
        let Some(attempt) = self.attempts.last() else { return };
        let before = attempt.clone();
        self.end_attempt(number, End::Infrastructure { cause }, now);
        let mut next = Attempt::new(number + 1, before.capacity, now);
        (next.queued, next.refusals, next.throttles, next.unknown) = (before.queued, before.refusals, before.throttles, before.unknown);
        self.attempts.push(next);
    }

    fn clear_launch(&mut self, number: u32, on: Capacity) -> bool {
        self.outbox.remove_where(
            |pending| matches!(&pending.effect, BuildEffect::Launch { attempt, capacity, .. } if *attempt == number && *capacity == on),
        )
    }

    /// How long an accepted agent may take to start. A CodeBuild build may first wait in CodeBuild's queue.
    fn launch_timeout(&self, capacity: Capacity) -> Duration {
        match self.spec.executor {
            Executor::Ecs(_) if capacity == Capacity::OnDemand => ON_DEMAND_LAUNCH_TIMEOUT,
            Executor::Ecs(_) => LAUNCH_TIMEOUT,
            Executor::CodeBuild(_) => LAUNCH_TIMEOUT.saturating_add(self.spec.queue_timeout),
        }
    }

    fn never_up(&self, capacity: Capacity) -> String {
        format!(
            "the agent did not start within {}",
            humantime::format_duration(self.launch_timeout(capacity))
        )
    }

    fn queue_deadline(&self, attempt: &Attempt) -> Timestamp {
        later(attempt.queued, self.spec.queue_timeout)
    }

    /// The end of a build's wait for a slot. A build whose launch was denied before waits no longer than for the permission.
    fn waiting_deadline(&self, attempt: &Attempt) -> Timestamp {
        let queue = self.queue_deadline(attempt);
        attempt.unknown.map_or(queue, |since| queue.min(later(since, UNKNOWN_FOR)))
    }

    /// Between three quarters of a wait and all of it, so that builds that were refused together do not retry together. The share depends only on the
    /// build and the round, because `decide` has no random numbers.
    fn jittered(&self, wait: Duration, round: u32) -> Duration {
        let mut hash = Sha256::new();
        hash.update(self.spec.id.to_string().as_bytes());
        hash.update(round.to_be_bytes());
        let share = f64::from(hash.finalize()[0]) / 255.0;
        wait.mul_f64(0.25f64.mul_add(share, 0.75))
    }

    fn observed(&mut self, number: u32, seen: &Observation, now: Timestamp) -> Result<(), Ignored> {
        if let Some(stray) = self.strays.iter_mut().find(|stray| stray.agent == seen.agent) {
            return match &seen.status {
                AgentStatus::Stopped(_) if !stray.stopped => {
                    stray.stopped = true;
                    self.drop_stop(&seen.agent);
                    Ok(())
                }
                AgentStatus::Stopped(_) | AgentStatus::Stopping => Err(Ignored::OtherAgent),
                _ if stray.lost => self.stop_again(&seen.agent, now),
                _ => Err(Ignored::OtherAgent),
            };
        }
        let finished = self.outcome().is_some();
        let Some(index) = self.attempts.iter().position(|attempt| attempt.number == number) else {
            return self.stray(number, seen, now);
        };
        let is_current = index + 1 == self.attempts.len();
        let Some(attempt) = self.attempts.get_mut(index) else {
            return Err(Ignored::Stale);
        };
        let newly_known = attempt.agent.is_none();
        let its_own = match &attempt.agent {
            Some(agent) => *agent == seen.agent,
            // A waiting attempt adopts an agent with its name, because the refusal of its launch was wrong.
            None => match attempt.phase {
                Phase::Waiting => !finished,
                Phase::Ended { .. } => false,
                _ => seen.capacity.is_none_or(|capacity| capacity == attempt.capacity),
            },
        };
        if !its_own {
            return self.stray(number, seen, now);
        }
        if matches!(attempt.phase, Phase::Ended { .. }) {
            let is_back = attempt.lost && !matches!(seen.status, AgentStatus::Stopped(_) | AgentStatus::Stopping);
            return if is_back {
                self.stop_again(&seen.agent, now)
            } else {
                Err(Ignored::AttemptOver)
            };
        }
        if let Some(version) = seen.version {
            if version <= attempt.seen {
                return Err(Ignored::Stale);
            }
            attempt.seen = version;
        }
        if newly_known {
            attempt.agent = Some(seen.agent.clone());
            if let Some(capacity) = seen.capacity {
                attempt.capacity = capacity;
            }
            if matches!(attempt.phase, Phase::Waiting | Phase::Launching) {
                attempt.phase = Phase::Launching;
                attempt.launched = Some(now);
                attempt.checked = now;
                self.state = BuildState::Active;
            }
            // Before decisions about the agent, which may request the next launch of the same attempt.
            self.outbox.remove_where(|pending| pending.effect.seeks_agent_of(number));
        }
        let news = match &seen.status {
            AgentStatus::Stopped(stop) => {
                self.stopped(index, stop, now);
                true
            }
            AgentStatus::Running { since } => {
                let first = attempt.started.is_none();
                if first {
                    attempt.started = Some(since.unwrap_or(now).min(now));
                }
                if attempt.phase == Phase::Launching {
                    attempt.phase = Phase::Running;
                    attempt.checked = now;
                    self.look_for_another_of(index, now);
                }
                first
            }
            AgentStatus::Interrupted => match attempt.phase {
                Phase::Launching | Phase::Running => {
                    // This does not prove that it has started: an interrupted instance also takes agents that are still starting.
                    attempt.phase = Phase::Interrupted { at: now };
                    attempt.checked = now;
                    if is_current {
                        self.replace_interrupted(now);
                    }
                    true
                }
                _ => false,
            },
            AgentStatus::Starting | AgentStatus::Stopping => false,
        };
        if newly_known
            && let Some(attempt) = self.attempts.get(index)
            && let Phase::Stopping { why, .. } = attempt.phase
        {
            self.stop(&seen.agent, why, now);
        }
        if newly_known && self.place == Place::Left && self.outcome().is_none() {
            // Its launch was denied, but an earlier request of it succeeded.
            self.ask(now);
        }
        if news || newly_known { Ok(()) } else { Err(Ignored::NothingNew) }
    }

    /// An agent that counted as lost is still running: Bellhop stops it again, in case the service accepts the stop now.
    fn stop_again(&mut self, agent: &AgentId, now: Timestamp) -> Result<(), Ignored> {
        if self.is_to_stop(agent) {
            return Err(Ignored::NothingNew);
        }
        self.stop(agent, StopWhy::BuildOver, now);
        Ok(())
    }

    /// Looks, once, for the agent of a launch that was refused on other capacity and may have succeeded nevertheless.
    fn look_for_another_of(&mut self, index: usize, now: Timestamp) {
        if let Some(attempt) = self.attempts.get_mut(index).filter(|attempt| attempt.fell_back) {
            attempt.fell_back = false;
            self.outbox.push(BuildEffect::Find { attempt: attempt.number }, now);
        }
    }

    fn clear_launches_of(&mut self, number: u32) {
        self.outbox.remove_where(|pending| pending.effect.seeks_agent_of(number));
    }

    /// Stops an agent that is not the attempt's, because it must not run next to the attempt's agent.
    fn stray(&mut self, number: u32, seen: &Observation, now: Timestamp) -> Result<(), Ignored> {
        let known = self.attempts.iter().any(|attempt| attempt.agent.as_ref() == Some(&seen.agent));
        if known || matches!(seen.status, AgentStatus::Stopped(_)) {
            return Err(Ignored::OtherAgent);
        }
        self.strays.push(Stray {
            agent: seen.agent.clone(),
            attempt: number,
            stopped: false,
            lost: false,
            since: Some(now),
            checked: now,
        });
        self.outbox.push(
            BuildEffect::Stop {
                agent: seen.agent.clone(),
                reason: format!("bellhop: a second agent for {}", self.attempt_id(number)),
            },
            now,
        );
        Ok(())
    }

    fn is_to_stop(&self, agent: &AgentId) -> bool {
        self.outbox
            .any(|effect| matches!(effect, BuildEffect::Stop { agent: other, .. } if other == agent))
    }

    fn stop(&mut self, agent: &AgentId, why: StopWhy, now: Timestamp) {
        if self.is_to_stop(agent) {
            return;
        }
        let reason = match why {
            StopWhy::BuildOver => "bellhop: the build is over",
            StopWhy::Timeout => "bellhop: the build ran longer than its timeout",
            StopWhy::NeverUp => "bellhop: the agent did not start in time",
        };
        self.outbox.push(
            BuildEffect::Stop {
                agent: agent.clone(),
                reason: reason.to_owned(),
            },
            now,
        );
    }

    /// An attempt's agent has stopped.
    fn stopped(&mut self, index: usize, stop: &Stop, now: Timestamp) {
        let Some(attempt) = self.attempts.get(index) else { return };
        let number = attempt.number;
        let is_current = index + 1 == self.attempts.len();
        let finished = self.outcome().is_some();
        if is_current && !finished && self.never_ran(index, stop, now) {
            return;
        }
        let Some(attempt) = self.attempts.get(index) else { return };
        let end = self.verdict(attempt, stop);
        // The service's time is exact: the event may have been lost, and this observation may come from the sweep.
        let earliest = attempt.started.or(attempt.launched).unwrap_or(self.created);
        let at = stop.at.map_or(now, |at| at.max(earliest).min(now));
        // The script succeeded although one of its processes was killed.
        let is_short = stop.containers.iter().any(|container| {
            let reason = container.reason.as_deref();
            reason.is_some_and(|reason| reason.starts_with(OUT_OF_MEMORY))
        });
        self.end_attempt(number, end.clone(), now);
        if let Some(attempt) = self.attempts.get_mut(index) {
            attempt.remark = (is_short && end == End::Succeeded).then(|| SHORT_OF_MEMORY.to_owned());
            if let Phase::Ended { at: ended, .. } = &mut attempt.phase {
                *ended = at;
            }
        }
        self.ended(index, &end, now);
    }

    /// Decides what happens to the build after one of its attempts has ended.
    fn ended(&mut self, index: usize, end: &End, now: Timestamp) {
        let Some(attempt) = self.attempts.get(index) else { return };
        let number = attempt.number;
        if self.outcome().is_some() {
            return;
        }
        if *end == End::Succeeded {
            self.finish_by(number, Outcome::Succeeded, None, now);
        } else if index + 1 == self.attempts.len() {
            self.retry_or_finish(number, end, now);
        } else {
            match self.attempts.last().map(|attempt| attempt.phase.clone()) {
                // The current attempt is also interrupted, and its replacement had to wait for the end of this one.
                Some(Phase::Interrupted { .. }) => self.replace_interrupted(now),
                // The current attempt could never be launched, so this one was the last that could succeed.
                Some(Phase::Ended {
                    end: End::Infrastructure { cause },
                    ..
                }) => self.finish(Outcome::InfrastructureFailed, Some(cause), now),
                _ => {}
            }
        }
    }

    fn end_attempt(&mut self, number: u32, end: End, now: Timestamp) {
        let Some(index) = self.attempts.iter().position(|attempt| attempt.number == number) else {
            return;
        };
        if let Some(attempt) = self.attempts.get_mut(index) {
            attempt.phase = Phase::Ended { at: now, end };
            if let Some(agent) = attempt.agent.clone() {
                self.drop_stop(&agent);
            }
        }
        // Not a pending poll: it may be for another agent than this attempt's.
        self.outbox
            .remove_where(|pending| matches!(pending.effect, BuildEffect::Launch { attempt, .. } if attempt == number));
        self.look_for_another_of(index, now);
    }

    /// The end of an attempt, from its stopped agent. Exit code 0 alone proves no success, because a script may end with it after SIGTERM; another
    /// exit code excludes success. If the service has no exit code, as for a lost agent, the report decides.
    fn verdict(&self, attempt: &Attempt, stop: &Stop) -> End {
        // A CodeBuild build has no containers: its report contains everything about its script.
        let container = match &self.spec.executor {
            Executor::Ecs(ecs) => stop.containers.iter().find(|container| container.name == ecs.container),
            Executor::CodeBuild(_) => None,
        };
        let exit_code = container.and_then(|container| container.exit_code);
        let container_reason = container.and_then(|container| container.reason.as_deref());
        // A report explains a result but never improves it: any program in the agent can write one. The exit code comes from the service.
        let contradicted = |report: &Report| report.exit_code == 0 && exit_code.is_some_and(|code| code != 0);
        let by_itself = stop
            .report
            .as_ref()
            .filter(|report| !report.signalled && report.phase == ReportPhase::Script && !contradicted(report));
        let interrupted = stop.cause == StopCause::Interrupted || matches!(attempt.phase, Phase::Interrupted { .. });
        if let Phase::Stopping { why, .. } = attempt.phase {
            return match why {
                StopWhy::Timeout => End::TimedOut,
                StopWhy::BuildOver => End::Unneeded,
                StopWhy::NeverUp => End::Infrastructure {
                    cause: self.never_up(attempt.capacity),
                },
            };
        }
        let signalled = stop.report.as_ref().is_some_and(|report| report.signalled);
        if let Some(report) = &stop.report
            && report.phase == ReportPhase::CommitGone
        {
            return End::CommitGone {
                cause: format!(
                    "commit {} is no longer in the repository: its branch was deleted or force-pushed",
                    self.spec.commit.short()
                ),
            };
        }
        if let Some(report) = &stop.report
            && report.phase == ReportPhase::Checkout
            && !interrupted
            && !signalled
        {
            let words = brief(report.message.as_deref().unwrap_or("no details given"), LONGEST_WORDS);
            return End::Infrastructure {
                cause: format!("the commit could not be checked out: {words}"),
            };
        }
        // Exit code 0 comes from the script, whatever else in its container ran out of memory.
        let out_of_memory = exit_code != Some(0) && container_reason.is_some_and(|reason| reason.starts_with(OUT_OF_MEMORY));
        if let Some(report) = by_itself {
            return if report.exit_code == 0 {
                End::Succeeded
            } else {
                End::Failed {
                    exit_code: Some(report.exit_code),
                    cause: if out_of_memory {
                        format!("out of memory: {}", failure(report))
                    } else {
                        failure(report)
                    },
                }
            };
        }
        // SIGTERM without an interruption event: on Spot, the warning was lost.
        if interrupted || (signalled && stop.cause != StopCause::Requested && attempt.capacity == Capacity::Spot) {
            return End::Interrupted;
        }
        let words = || {
            let service = stop.reason.as_deref().unwrap_or("no reason given");
            let words = match container.zip(container_reason).map(|(container, reason)| (&container.name, reason)) {
                Some((name, reason)) if reason != service => format!("{service}; container {name}: {reason}"),
                _ => service.to_owned(),
            };
            brief(&words, LONGEST_WORDS)
        };
        match (stop.cause, exit_code) {
            (StopCause::TimedOut, _) => End::TimedOut,
            (StopCause::Definition, _) => End::Failed {
                exit_code: None,
                cause: words(),
            },
            (StopCause::Exited | StopCause::Other, _) if out_of_memory => End::Failed {
                exit_code,
                cause: "out of memory".to_owned(),
            },
            (StopCause::Exited, _) if signalled => End::Infrastructure {
                cause: format!("the agent was stopped from outside Bellhop: {}", words()),
            },
            (StopCause::Exited, Some(0)) => End::Succeeded,
            (StopCause::Exited, Some(code)) => End::Failed {
                exit_code,
                cause: format!("the script ended with exit code {code}"),
            },
            (StopCause::Exited, None) => End::Infrastructure {
                cause: format!("the container ended without an exit code: {}", words()),
            },
            (StopCause::FailedToStart | StopCause::NoCapacity | StopCause::NotNow, _) => End::Infrastructure {
                cause: format!("the agent did not start: {}", words()),
            },
            (StopCause::Requested, _) => End::Infrastructure {
                cause: format!("the agent was stopped from outside Bellhop: {}", words()),
            },
            (StopCause::Interrupted | StopCause::Other, _) => End::Infrastructure {
                cause: format!("the agent was lost: {}", words()),
            },
        }
    }

    /// Starts the replacement of an attempt that is being interrupted, if the job allows two attempts at the same time.
    fn replace_interrupted(&mut self, now: Timestamp) {
        let Some((current, others)) = self.attempts.split_last() else {
            return;
        };
        let at_once = self.spec.relaunch == Relaunch::Warning;
        // At most two attempts are live: the interrupted one and its replacement.
        if !at_once || others.iter().any(Attempt::is_live) || self.outcome().is_some() {
            return;
        }
        let (number, capacity) = (current.number, current.capacity);
        if let Some(retry) = self.take_retry(RetryOn::Interrupted, None) {
            self.next_attempt(number, capacity, RetryOn::Interrupted, &retry, interruption(capacity), now);
        }
    }

    fn retry_or_finish(&mut self, number: u32, end: &End, now: Timestamp) {
        let Some(attempt) = self.attempts.iter().find(|attempt| attempt.number == number) else {
            return;
        };
        let capacity = attempt.capacity;
        let (on, exit_code, outcome, cause) = match end {
            End::Succeeded | End::Unneeded => return,
            // The retry policy does not apply: the commit is missing for the next attempt too.
            End::CommitGone { cause } => return self.finish_by(number, Outcome::Failed, Some(cause.clone()), now),
            End::Failed { exit_code, cause } => (RetryOn::Failure, *exit_code, Outcome::Failed, cause.clone()),
            End::Interrupted => (RetryOn::Interrupted, None, Outcome::Interrupted, interruption(capacity)),
            End::Infrastructure { cause } => (RetryOn::Infrastructure, None, Outcome::InfrastructureFailed, cause.clone()),
            End::TimedOut => (RetryOn::Timeout, None, Outcome::TimedOut, self.timeout_cause()),
        };
        match self.take_retry(on, exit_code) {
            Some(retry) => self.next_attempt(number, capacity, on, &retry, cause, now),
            None => self.finish_by(number, outcome, Some(cause), now),
        }
    }

    fn timeout_cause(&self) -> String {
        format!(
            "it ran longer than its timeout of {}",
            humantime::format_duration(self.spec.timeout)
        )
    }

    /// The retry rule for an end, if a rule allows another attempt.
    fn matching_rule(&self, on: RetryOn, exit_code: Option<i32>) -> Option<usize> {
        let index = self.spec.retry.rules.iter().position(|rule| {
            if on == RetryOn::Failure && !rule.exit_codes.is_empty() {
                exit_code.is_some_and(|code| rule.exit_codes.contains(&code))
            } else {
                rule.on.contains(&on)
            }
        })?;
        (self.retries.get(index)? < &self.spec.retry.rules.get(index)?.limit).then_some(index)
    }

    fn take_retry(&mut self, on: RetryOn, exit_code: Option<i32>) -> Option<Retry> {
        let index = self.matching_rule(on, exit_code)?;
        let rule = self.spec.retry.rules.get(index)?;
        let used = self.retries.get_mut(index)?;
        let retry = Retry {
            wait: doubled(rule.backoff, *used),
            capacity: rule.capacity,
        };
        *used += 1;
        Some(retry)
    }

    fn next_attempt(&mut self, last: u32, last_capacity: Capacity, on: RetryOn, retry: &Retry, cause: String, now: Timestamp) {
        let wanted = match (retry.capacity, on) {
            (Some(capacity), _) => capacity,
            (None, RetryOn::Interrupted) => Capacity::OnDemand,
            (None, _) => last_capacity,
        };
        let wanted = if self.spec.critical && wanted == Capacity::Spot {
            Capacity::OnDemand
        } else {
            wanted
        };
        let capacity = self.spec.executor.nearest(wanted);
        let number = last + 1;
        if retry.wait.is_zero() {
            self.attempts.push(Attempt::new(number, capacity, now));
            self.launch_in_a_place(now);
        } else {
            let not_before = later(now, self.jittered(retry.wait, number));
            // The backoff does not count as time in the queue; otherwise a short `queue-timeout` could prevent every retry.
            let mut attempt = Attempt::new(number, capacity, now);
            attempt.queued = not_before;
            self.attempts.push(attempt);
            self.state = BuildState::Queued { not_before };
        }
        self.outbox.push(
            BuildEffect::Announce(BuildNews::Retrying {
                attempt: number,
                capacity,
                cause,
                at: now,
            }),
            now,
        );
    }

    fn finish(&mut self, outcome: Outcome, cause: Option<String>, now: Timestamp) {
        let last = self.attempts.last().map_or(0, |attempt| attempt.number);
        self.finish_by(last, outcome, cause, now);
    }

    /// Decides the build's one outcome from the end of an attempt, and stops everything that still runs for it.
    fn finish_by(&mut self, decided_by: u32, outcome: Outcome, cause: Option<String>, now: Timestamp) {
        let decisive = self.attempts.iter().find(|attempt| attempt.number == decided_by);
        let news = BuildNews::Finished {
            outcome,
            attempt: decisive.map(|attempt| attempt.number),
            capacity: decisive.map(|attempt| attempt.capacity),
            cause: cause.clone(),
            at: now,
        };
        // A script that was stopped from outside may still be running, and nothing waits for its artifacts.
        let by_itself = matches!(outcome, Outcome::Succeeded | Outcome::Failed);
        let worked = decisive
            .filter(|attempt| by_itself && attempt.agent.is_some() && !matches!(attempt.end(), Some(End::CommitGone { .. })))
            .map(|attempt| attempt.number);
        self.state = BuildState::Finished { outcome, at: now, cause };
        for index in 0..self.attempts.len() {
            self.stop_attempt(index, StopWhy::BuildOver, now);
        }
        match worked.filter(|_| !self.spec.artifacts.is_empty()) {
            Some(attempt) => self.outbox.push(BuildEffect::Collect { attempt, news }, now),
            None => self.tell(news, now),
        }
    }

    fn stop_attempt(&mut self, index: usize, why: StopWhy, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(index) else { return };
        let number = attempt.number;
        match attempt.phase {
            // The stop was already requested; its first reason stays.
            Phase::Ended { .. } | Phase::Stopping { .. } => {}
            Phase::Waiting if attempt.launched.is_none() => {
                attempt.phase = Phase::Ended {
                    at: now,
                    end: End::Unneeded,
                };
            }
            // A refusal does not prove that there is no agent: throttling may have answered the repetition of a request whose reply was lost.
            Phase::Waiting | Phase::Launching | Phase::Running | Phase::Interrupted { .. } => {
                attempt.phase = Phase::Stopping { at: now, why };
                attempt.checked = now;
                if let Some(agent) = attempt.agent.clone() {
                    self.stop(&agent, why, now);
                } else {
                    // The launch call may be in progress: an agent that it starts must be found and stopped.
                    self.clear_launches_of(number);
                    self.outbox.push(BuildEffect::Find { attempt: number }, now);
                }
            }
        }
    }

    fn tick(&mut self, looked: Timestamp, now: Timestamp) -> Result<(), Ignored> {
        if self.due().is_none_or(|due| due > now) {
            return Err(Ignored::NotDue);
        }
        let before = self.clone();
        let held = self.held(looked, now);
        for index in 0..self.attempts.len() {
            self.tick_attempt(index, looked, held, now);
        }
        for index in 0..self.strays.len() {
            self.tick_stray(index, held, now);
        }
        self.tell_waiting(now);
        if let (BuildState::Queued { not_before }, Some(attempt)) = (&self.state, self.attempts.last()) {
            // A launch that was never tried is not abandoned, even if the sweep processes it late.
            let ready = *not_before <= now;
            if ready && attempt.launched.is_none() {
                self.launch_in_a_place(now);
            } else if self.queue_deadline(attempt) <= now {
                self.give_up_waiting(now);
            } else if ready {
                self.launch_in_a_place(now);
            }
        }
        // Also for a build that has just begun to wait: its time for a missing permission may be over.
        if self.state == BuildState::Waiting && self.attempts.last().is_some_and(|attempt| self.waiting_deadline(attempt) <= now) {
            self.give_up_waiting(now);
        }
        if *self == before { Err(Ignored::NotDue) } else { Ok(()) }
    }

    fn taken_places(&self) -> String {
        format!(
            "all {} slots of the agent `{}` were in use",
            self.spec.limit.unwrap_or_default(),
            self.spec.agent
        )
    }

    fn give_up_waiting(&mut self, now: Timestamp) {
        let last = self.attempts.last().and_then(|attempt| attempt.last_refusal.clone());
        let unknown = self.attempts.last().is_some_and(|attempt| attempt.unknown.is_some());
        if let (true, Some(attempt), Some(refusal)) = (unknown, self.attempts.last(), &last) {
            let (number, refusal) = (attempt.number, refusal.clone());
            return self.cannot_launch(number, &refusal, now);
        }
        let why = match (&self.state, last) {
            (BuildState::Waiting, _) => self.taken_places(),
            (_, Some(refusal)) => refusal,
            (_, None) => "the launch call got no answer".to_owned(),
        };
        let cause = format!(
            "no agent within its queue-timeout of {}: {why}",
            humantime::format_duration(self.spec.queue_timeout),
        );
        self.finish(Outcome::TimedOut, Some(cause), now);
    }

    fn tick_stray(&mut self, index: usize, held: Timestamp, now: Timestamp) {
        let Some(stray) = self.strays.get_mut(index).filter(|stray| !stray.stopped) else {
            return;
        };
        let agent = stray.agent.clone();
        let is_late = stray.since.is_some_and(|since| later(since, STOP_TIMEOUT) <= held);
        let is_due = later(stray.checked, CHECK_CHANGING) <= now;
        if is_due {
            stray.checked = now;
        }
        if is_late && !self.is_to_stop(&agent) {
            self.lose_stray(index, now);
        } else if is_due {
            self.stop(&agent, StopWhy::BuildOver, now);
        }
    }

    /// The time up to which timeouts apply: when the agents were polled, or now if polls have failed for [`UNSEEN_FOR`].
    fn held(&mut self, looked: Timestamp, now: Timestamp) -> Timestamp {
        if looked > Timestamp::MIN {
            self.unseen = None;
            return looked;
        }
        let since = *self.unseen.get_or_insert(now);
        if later(since, UNSEEN_FOR) > now {
            return looked;
        }
        if !self.blind {
            self.blind = true;
            self.tell_blind(now);
        }
        now
    }

    fn tick_attempt(&mut self, index: usize, looked: Timestamp, held: Timestamp, now: Timestamp) {
        let over = self.outcome().is_some();
        let Some(attempt) = self.attempts.get(index) else { return };
        let number = attempt.number;
        match (&attempt.phase, &attempt.agent) {
            (Phase::Waiting | Phase::Ended { .. }, _) => {
                if attempt.is_to_look_back() && later(attempt.checked, CHECK_CHANGING) <= now {
                    self.look_for_another_of(index, now);
                }
                return;
            }
            (Phase::Launching, None) => {
                if !over && self.queue_deadline(attempt) <= now {
                    self.give_up_waiting(now);
                    return;
                }
            }
            (Phase::Launching, Some(_)) => {
                if later(attempt.launched.unwrap_or(now), self.launch_timeout(attempt.capacity)) <= held {
                    self.stop_attempt(index, StopWhy::NeverUp, now);
                    return;
                }
            }
            (Phase::Interrupted { at }, Some(_)) if attempt.started.is_none() => {
                // The interruption did not happen, and the agent did not start either.
                if later(*at, self.launch_timeout(attempt.capacity)) <= held {
                    self.stop_attempt(index, StopWhy::NeverUp, now);
                    return;
                }
            }
            (Phase::Running | Phase::Interrupted { .. }, _) => {
                if self.is_overtime(attempt, held) {
                    let is_current = index + 1 == self.attempts.len();
                    self.stop_attempt(index, StopWhy::Timeout, now);
                    // The next attempt must not run in parallel with this one, so it waits until this one is proven stopped.
                    if is_current && !over && self.matching_rule(RetryOn::Timeout, None).is_none() {
                        self.finish_by(number, Outcome::TimedOut, Some(self.timeout_cause()), now);
                    }
                    return;
                }
            }
            // A cancellation that could not be sent yet ends with the service's reason.
            (Phase::Stopping { at, .. }, Some(agent)) if later(*at, STOP_TIMEOUT) <= held && !self.is_to_stop(agent) => {
                self.lose(index, abandoned::NOT_STOPPED, now);
                return;
            }
            (Phase::Stopping { why, .. }, Some(agent)) => {
                if later(attempt.checked, CHECK_CHANGING) <= now {
                    let (agent, why) = (agent.clone(), *why);
                    self.stop(&agent, why, now);
                }
            }
            (Phase::Stopping { at, .. }, None) => {
                let looking = self
                    .outbox
                    .any(|effect| matches!(effect, BuildEffect::Find { attempt } if *attempt == number));
                // Time alone proves nothing: the last poll must have been requested after the timeout, and answered.
                if !looking && attempt.checked >= later(*at, FIND_FOR) {
                    self.end_attempt(number, End::Unneeded, now);
                    return;
                }
                if !looking && later(attempt.checked, CHECK_CHANGING) <= now {
                    self.outbox.push(BuildEffect::Find { attempt: number }, now);
                }
            }
        }
        if let Some(attempt) = self.attempts.get_mut(index)
            && later(attempt.checked, attempt.check_after()) <= looked
        {
            attempt.checked = now;
        }
    }
}

struct Retry {
    wait: Duration,
    capacity: Option<Capacity>,
}

fn interruption(capacity: Capacity) -> String {
    match capacity {
        Capacity::Spot => "AWS reclaimed its Spot capacity".to_owned(),
        Capacity::OnDemand | Capacity::CodeBuild => "AWS reclaimed its agent".to_owned(),
    }
}

/// The cause of a failure, from the agent's report.
fn failure(report: &Report) -> String {
    let code = report.exit_code;
    match (&report.command, report.line) {
        (Some(command), Some(line)) => format!("`{}` (line {line}) ended with exit code {code}", brief(command, LONGEST_COMMAND)),
        (Some(command), None) => format!("`{}` ended with exit code {code}", brief(command, LONGEST_COMMAND)),
        (None, Some(line)) => format!("line {line} of the script ended with exit code {code}"),
        (None, None) => match &report.message {
            Some(message) => format!("{} (exit code {code})", brief(message, LONGEST_WORDS)),
            None => format!("the script ended with exit code {code}"),
        },
    }
}

/// Shortens a text to one line of at most this many characters.
fn brief(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        line
    } else {
        line.chars().take(limit.saturating_sub(3)).chain("...".chars()).collect()
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first
        .saturating_mul(2u32.saturating_pow(times.min(16)))
        .min(LONGEST_BACKOFF.max(first))
}

#[cfg(test)]
mod tests;
