//! A build as a story: it begins with a new build, and every step is something that happens to it. With samples of what may happen.

use super::*;

pub(super) const SPOT: Capacity = Capacity::Spot;
pub(super) const ON_DEMAND: Capacity = Capacity::OnDemand;
pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 3600;

/// A build, and the second of the tests' day that it is.
///
/// Agents have names such as `1a`: the number of the attempt whose name the agent carries, and a letter. A version may follow, as in `1a@3`.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) build: Build,
    pub(super) second: i64,
    pub(super) ignored: Option<Ignored>,
    pub(super) measured: Vec<Measure>,
}

impl Story {
    pub(super) fn new(spec: BuildSpec) -> Self {
        Self::of(Build::ready(spec, t(0)))
    }

    pub(super) fn of(build: Build) -> Self {
        properties::check(&build);
        Self {
            measured: measure::of_build(None, &build),
            build,
            second: 0,
            ignored: None,
        }
    }

    // What happens.

    pub(super) fn happens(mut self, event: impl Into<Step<BuildEvent>>) -> Self {
        match self.build.take(&event.into(), t(self.second)) {
            Decision::Next(next) => {
                properties::check_step(&self.build, &next);
                self.measured.extend(measure::of_build(Some(&self.build), &next));
                self.build = *next;
                self.ignored = None;
            }
            Decision::Ignored(reason) => self.ignored = Some(reason),
        }
        self
    }

    pub(super) fn at(mut self, second: i64) -> Self {
        assert!(second >= self.second, "time goes one way");
        self.second = second;
        self
    }

    /// The sweep processes the build at this second.
    pub(super) fn tick(self, second: i64) -> Self {
        self.at(second).happens(&BuildEvent::Tick { polled_at: t(second) })
    }

    /// The sweep processes the build as soon as it is due.
    pub(super) fn tick_when_due(self) -> Self {
        let due = self.build.due().unwrap();
        let second = (due.as_second() - t(0).as_second() + 1).max(self.second);
        self.tick(second)
    }

    pub(super) fn accepted(self, capacity: Capacity, agent: &str) -> Self {
        let (attempt, agent, _) = self.parse(agent);
        self.happens(&BuildEvent::LaunchAccepted { attempt, capacity, agent })
    }

    pub(super) fn refused(self, attempt: u32, capacity: Capacity, refusal: Refusal) -> Self {
        self.happens(&BuildEvent::LaunchRefused {
            attempt,
            capacity,
            round: 0,
            refusal,
            spent: false,
        })
    }

    /// The number of the attempt, the agent of the build's executor, and the version.
    fn parse(&self, agent: &str) -> (u32, AgentId, Option<u64>) {
        let (name, version) = match agent.split_once('@') {
            Some((name, version)) => (name, Some(version.parse().unwrap())),
            None => (agent, None),
        };
        let service = format!(":{}:", self.build.spec.executor.kind().name());
        let agent = arn(name).as_str().replace(":ecs:", &service).parse().unwrap();
        (name[..1].parse().unwrap(), agent, version)
    }

    pub(super) fn seen(self, agent: &str, capacity: Option<Capacity>, status: AgentStatus) -> Self {
        let (attempt, agent, version) = self.parse(agent);
        let observation = Observation {
            agent,
            version,
            capacity,
            status,
        };
        self.happens(&BuildEvent::Agent { attempt, observation })
    }

    pub(super) fn starting(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Starting)
    }

    pub(super) fn running(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Running { since: None })
    }

    pub(super) fn warned(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Interrupted)
    }

    pub(super) fn stopping(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Stopping)
    }

    pub(super) fn stopped(self, agent: &str, stop: Stop) -> Self {
        self.seen(agent, None, AgentStatus::Stopped(stop))
    }

    /// Every pending effect was performed, except for launches and collections, which have results.
    pub(super) fn performed(mut self) -> Self {
        let pending: Vec<EffectId> = self
            .build
            .outbox
            .pending()
            .iter()
            .filter(|pending| !matches!(pending.effect, BuildEffect::Launch { .. } | BuildEffect::Collect { .. }))
            .map(|pending| pending.id)
            .collect();
        for id in pending {
            self = self.happens(Step::Performed(id));
        }
        self
    }

    /// An attempt on Spot is up.
    pub(super) fn up(self) -> Self {
        self.accepted(SPOT, "1a").running("1a").performed()
    }

    // What is expected.

    pub(super) fn expect_ignored(self, reason: Ignored) -> Self {
        assert_eq!(self.ignored, Some(reason));
        self
    }

    pub(super) fn expect_news(self) -> Self {
        assert_eq!(self.ignored, None);
        self
    }

    pub(super) fn expect_status(self, status: &str) -> Self {
        assert_eq!(self.build.status(), status);
        self
    }

    /// The agents that are not known to have stopped; `2?` for the one that attempt 2 has or will have.
    pub(super) fn expect_live(self, agents: &[&str]) -> Self {
        assert_eq!(live(&self.build), agents);
        self
    }

    pub(super) fn expect_todo(self, effects: &[&str]) -> Self {
        assert_eq!(todo(&self.build), effects);
        self
    }

    pub(super) fn expect_finished(self, outcome: Outcome, cause: &str) -> Self {
        let BuildState::Finished {
            outcome: actual,
            cause: why,
            ..
        } = &self.build.state
        else {
            panic!("not finished: {:?}", self.build.state);
        };
        assert_eq!((*actual, why.as_deref().unwrap_or_default()), (outcome, cause));
        self
    }

    /// Nothing is pending or due.
    pub(super) fn expect_rest(self) -> Self {
        let story = self.performed();
        assert_eq!(todo(&story.build), [""; 0]);
        assert_eq!(story.build.due(), None);
        story
    }

    /// The current attempt waits this many seconds at least and at most.
    pub(super) fn expect_wait(self, range: std::ops::RangeInclusive<i64>) -> Self {
        let BuildState::Queued { not_before } = self.build.state else {
            panic!("not queued: {:?}", self.build.state);
        };
        let wait = not_before.as_second() - t(self.second).as_second();
        assert!(range.contains(&wait), "{wait} s");
        self
    }

    pub(super) fn expect_attempts(self, capacities: &[Capacity]) -> Self {
        let actual: Vec<Capacity> = self.build.attempts.iter().map(|attempt| attempt.capacity).collect();
        assert_eq!(actual, capacities);
        self
    }

    pub(super) fn expect_measured(mut self, expected: &[Measure]) -> Self {
        assert_eq!(std::mem::take(&mut self.measured), expected);
        self
    }

    pub(super) fn expect_retries(self, retries: &[u32]) -> Self {
        assert_eq!(self.build.retries, retries);
        self
    }
}

pub(super) fn arn(name: &str) -> AgentId {
    format!("arn:aws:ecs:us-east-1:123456789012:task/ci/{name}").parse().unwrap()
}

pub(super) fn name(agent: &AgentId) -> &str {
    agent.as_str().rsplit_once('/').unwrap().1
}

pub(super) fn live(build: &Build) -> Vec<String> {
    let attempts = build.attempts.iter().filter(|attempt| attempt.is_live()).map(|attempt| {
        attempt
            .agent
            .as_ref()
            .map_or_else(|| format!("{}?", attempt.number), |agent| name(agent).to_owned())
    });
    let strays = build
        .strays
        .iter()
        .filter(|stray| !stray.stopped)
        .map(|stray| name(&stray.agent).to_owned());
    attempts.chain(strays).collect()
}

pub(super) fn todo(build: &Build) -> Vec<String> {
    let text = |effect: &BuildEffect| match effect {
        BuildEffect::FindInputs => "find its inputs".to_owned(),
        BuildEffect::AcquireLock => "acquire its lock".to_owned(),
        BuildEffect::ReleaseLock { .. } => "release its lock".to_owned(),
        BuildEffect::AcquireSlot => "acquire a slot".to_owned(),
        BuildEffect::ReleaseSlot { .. } => "release its slot".to_owned(),
        BuildEffect::Collect { attempt, .. } => format!("collect {attempt}"),
        BuildEffect::Launch { attempt, capacity, .. } => format!("launch {attempt} on {capacity}"),
        BuildEffect::SearchOrphan { attempt } => format!("find {attempt}"),
        BuildEffect::Stop { agent, reason } => format!("stop {}: {reason}", name(agent)),
        BuildEffect::Announce(BuildNews::Retrying { attempt, capacity, .. }) => format!("announce attempt {attempt} on {capacity}"),
        BuildEffect::Announce(BuildNews::Refused { attempt, .. }) => format!("announce that {attempt} is refused"),
        BuildEffect::Announce(BuildNews::Waiting { attempt, .. }) => format!("announce that {attempt} waits"),
        BuildEffect::Announce(BuildNews::Stopped { attempt, .. }) => format!("announce that {attempt} has stopped"),
        BuildEffect::Announce(BuildNews::Abandoned { what, .. }) => format!("announce: could not {}", what.what),
        BuildEffect::Announce(BuildNews::Finished { outcome, attempt, .. }) => {
            format!(
                "announce {outcome} by {}",
                attempt.map_or_else(|| "none".to_owned(), |number| number.to_string())
            )
        }
        BuildEffect::NotifyRun { outcome, .. } => format!("notify the run {outcome}"),
    };
    build.outbox.pending().iter().map(|pending| text(&pending.effect)).collect()
}

pub(super) fn stop(cause: StopCause, reason: &str, exit_code: Option<i32>) -> Stop {
    Stop {
        cause,
        reason: Some(reason.to_owned()),
        containers: vec![crate::executor::observation::ContainerEnd {
            name: "agent".to_owned(),
            exit_code,
            reason: None,
        }],
        report: None,
        at: None,
    }
}

pub(super) fn cancelled(outcome: Outcome) -> BuildEvent {
    BuildEvent::Cancelled {
        outcome,
        cause: "not wanted".to_owned(),
    }
}

pub(super) fn exited(code: i32) -> Stop {
    stop(StopCause::Exited, "Essential container in task exited", Some(code))
}

pub(super) fn taken_back() -> Stop {
    stop(StopCause::Interrupted, "Your Spot Task was interrupted.", Some(143))
}

/// The same, after the script had ended by itself.
pub(super) fn finished_in_time() -> Stop {
    stop(StopCause::Interrupted, "Your Spot Task was interrupted.", Some(0))
}

pub(super) fn out_of_memory() -> Stop {
    let mut stop = exited(137);
    stop.containers[0].reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
    stop
}

pub(super) fn failed_to_start() -> Stop {
    stop(StopCause::FailedToStart, "CannotPullContainerError: pull access denied", None)
}

pub(super) fn without_capacity() -> Stop {
    stop(StopCause::NoCapacity, "Capacity is unavailable at this time", None)
}

pub(super) fn stopped_by_a_person() -> Stop {
    stop(StopCause::Requested, "Task stopped by user", Some(143))
}

pub(super) fn lost() -> Stop {
    stop(StopCause::Other, "the service no longer lists the agent", None)
}

pub(super) fn reporting(mut stop: Stop, report: Report) -> Stop {
    stop.report = Some(report);
    stop
}

pub(super) fn script_ended(exit_code: i32) -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: None,
        line: None,
        message: None,
    }
}

pub(super) fn script_gave_up(exit_code: i32) -> Report {
    Report {
        signalled: true,
        ..script_ended(exit_code)
    }
}

pub(super) fn no_capacity() -> Refusal {
    Refusal::NoCapacity("Capacity is unavailable at this time".to_owned())
}

pub(super) fn throttled() -> Refusal {
    Refusal::Throttled("Rate exceeded".to_owned())
}

pub(super) fn account_limit() -> Refusal {
    Refusal::AccountLimit("You've reached the limit on the number of vCPUs".to_owned())
}

pub(super) fn rule(on: &[RetryOn], exit_codes: &[i32], limit: u32) -> RetryRule {
    RetryRule {
        on: on.to_vec(),
        exit_codes: exit_codes.to_vec(),
        limit,
        backoff: Duration::ZERO,
        capacity: None,
    }
}

pub(super) fn with_rules(rules: Vec<RetryRule>) -> BuildSpec {
    BuildSpec {
        retry: RetryPolicy { rules },
        ..spec()
    }
}

pub(super) fn never_retried() -> BuildSpec {
    with_rules(Vec::new())
}

pub(super) fn critical() -> BuildSpec {
    BuildSpec { critical: true, ..spec() }
}

pub(super) fn relaunched_when_stopped() -> BuildSpec {
    BuildSpec {
        relaunch: Relaunch::Stopped,
        ..spec()
    }
}

pub(super) const DENIED: &str = "AccessDeniedException: not authorized to perform: ecs:RunTask";

pub(super) fn unknown() -> Refusal {
    Refusal::Unknown(DENIED.to_owned())
}

pub(super) fn not_now() -> Stop {
    stop(
        StopCause::NotNow,
        "Unexpected EC2 error while attempting to Create Network Interface: InsufficientFreeAddressesInSubnet",
        None,
    )
}

impl Story {
    pub(super) fn effect(&self, fits: fn(&BuildEffect) -> bool) -> EffectId {
        self.build.outbox.pending().iter().find(|pending| fits(&pending.effect)).unwrap().id
    }

    /// The matching effect fails from now on for a quarter of an hour.
    pub(super) fn fails_with(mut self, why: &str, fits: fn(&BuildEffect) -> bool) -> Self {
        let (id, begun) = (self.effect(fits), self.second);
        for second in [0, 60, 180, 420, 900] {
            self = self.at(begun + second).happens(Step::Deferred(id, why.to_owned()));
        }
        self
    }

    pub(super) fn abandoned(&self) -> Vec<Abandoned> {
        let news = self.build.outbox.pending().iter().filter_map(|pending| match &pending.effect {
            BuildEffect::Announce(BuildNews::Abandoned { what, .. }) => Some(what.clone()),
            _ => None,
        });
        news.collect()
    }
}

pub(super) fn is_stop(effect: &BuildEffect) -> bool {
    matches!(effect, BuildEffect::Stop { .. })
}

pub(super) fn is_find(effect: &BuildEffect) -> bool {
    matches!(effect, BuildEffect::SearchOrphan { .. })
}
