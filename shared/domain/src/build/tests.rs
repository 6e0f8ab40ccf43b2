//! What becomes of a build, told as stories: each begins with a new build, and every step is something that happens to it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod edges;
mod outside;
mod properties;
mod waiting;

use super::*;
use crate::measure::{self, Measure};
use crate::spec::{RetryPolicy, RetryRule};
use crate::testing::{spec, t};

const SPOT: Capacity = Capacity::Spot;
const ON_DEMAND: Capacity = Capacity::OnDemand;
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// A build, and the second of the tests' day that it is.
///
/// Agents have names such as `1a`: the number of the attempt whose name the agent carries, and a letter. A version may follow, as in `1a@3`.
#[derive(Clone)]
struct Story {
    build: Build,
    second: i64,
    ignored: Option<Ignored>,
    measured: Vec<Measure>,
}

impl Story {
    fn new(spec: BuildSpec) -> Self {
        Self::of(Build::ready(spec, t(0)))
    }

    fn of(build: Build) -> Self {
        properties::check(&build);
        Self {
            measured: measure::of_build(None, &build),
            build,
            second: 0,
            ignored: None,
        }
    }

    // What happens.

    fn happens(mut self, event: &BuildEvent) -> Self {
        match self.build.decide(event, t(self.second)) {
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

    fn at(mut self, second: i64) -> Self {
        assert!(second >= self.second, "time goes one way");
        self.second = second;
        self
    }

    /// The sweep looks at the build at this second.
    fn tick(self, second: i64) -> Self {
        self.at(second).happens(&BuildEvent::Tick { looked: t(second) })
    }

    /// The sweep looks at the build as soon as it is due.
    fn tick_when_due(self) -> Self {
        let due = self.build.due().unwrap();
        let second = (due.as_second() - t(0).as_second() + 1).max(self.second);
        self.tick(second)
    }

    fn accepted(self, capacity: Capacity, agent: &str) -> Self {
        let (attempt, agent, _) = parse(agent);
        self.happens(&BuildEvent::LaunchAccepted { attempt, capacity, agent })
    }

    fn refused(self, attempt: u32, capacity: Capacity, refusal: Refusal) -> Self {
        self.happens(&BuildEvent::LaunchRefused {
            attempt,
            capacity,
            round: 0,
            refusal,
            spent: false,
        })
    }

    fn seen(self, agent: &str, capacity: Option<Capacity>, status: AgentStatus) -> Self {
        let (attempt, agent, version) = parse(agent);
        let observation = Observation {
            agent,
            version,
            capacity,
            status,
        };
        self.happens(&BuildEvent::Agent { attempt, observation })
    }

    fn starting(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Starting)
    }

    fn running(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Running { since: None })
    }

    fn warned(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Interrupted)
    }

    fn stopping(self, agent: &str) -> Self {
        self.seen(agent, None, AgentStatus::Stopping)
    }

    fn stopped(self, agent: &str, stop: Stop) -> Self {
        self.seen(agent, None, AgentStatus::Stopped(stop))
    }

    /// Everything that is to be done has been done, except for launches, whose answers are told one by one.
    fn performed(mut self) -> Self {
        let pending: Vec<EffectId> = self
            .build
            .outbox
            .pending()
            .iter()
            .filter(|pending| !matches!(pending.effect, BuildEffect::Launch { .. } | BuildEffect::Collect { .. }))
            .map(|pending| pending.id)
            .collect();
        for id in pending {
            self = self.happens(&BuildEvent::Performed(id));
        }
        self
    }

    /// An attempt on Spot is up.
    fn up(self) -> Self {
        self.accepted(SPOT, "1a").running("1a").performed()
    }

    // What is expected.

    fn expect_ignored(self, reason: Ignored) -> Self {
        assert_eq!(self.ignored, Some(reason));
        self
    }

    fn expect_news(self) -> Self {
        assert_eq!(self.ignored, None);
        self
    }

    fn expect_status(self, status: &str) -> Self {
        assert_eq!(self.build.status(), status);
        self
    }

    /// The agents that are not known to have stopped; `2?` for the one that attempt 2 has or will have.
    fn expect_live(self, agents: &[&str]) -> Self {
        assert_eq!(live(&self.build), agents);
        self
    }

    fn expect_todo(self, effects: &[&str]) -> Self {
        assert_eq!(todo(&self.build), effects);
        self
    }

    fn expect_finished(self, outcome: Outcome, cause: &str) -> Self {
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

    /// Nothing is left to wait for.
    fn expect_rest(self) -> Self {
        let story = self.performed();
        assert_eq!(todo(&story.build), [""; 0]);
        assert_eq!(story.build.due(), None);
        story
    }

    /// The current attempt waits this many seconds at least and at most.
    fn expect_wait(self, range: std::ops::RangeInclusive<i64>) -> Self {
        let BuildState::Queued { not_before } = self.build.state else {
            panic!("not queued: {:?}", self.build.state);
        };
        let wait = not_before.as_second() - t(self.second).as_second();
        assert!(range.contains(&wait), "{wait} s");
        self
    }

    fn expect_attempts(self, capacities: &[Capacity]) -> Self {
        let actual: Vec<Capacity> = self.build.attempts.iter().map(|attempt| attempt.capacity).collect();
        assert_eq!(actual, capacities);
        self
    }

    fn expect_measured(mut self, expected: &[Measure]) -> Self {
        assert_eq!(std::mem::take(&mut self.measured), expected);
        self
    }

    fn expect_retries(self, retries: &[u32]) -> Self {
        assert_eq!(self.build.retries, retries);
        self
    }
}

fn parse(agent: &str) -> (u32, AgentId, Option<u64>) {
    let (name, version) = match agent.split_once('@') {
        Some((name, version)) => (name, Some(version.parse().unwrap())),
        None => (agent, None),
    };
    (name[..1].parse().unwrap(), arn(name), version)
}

fn arn(name: &str) -> AgentId {
    format!("arn:aws:ecs:us-east-1:123456789012:task/ci/{name}").parse().unwrap()
}

fn name(agent: &AgentId) -> &str {
    agent.as_str().rsplit_once('/').unwrap().1
}

fn live(build: &Build) -> Vec<String> {
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

fn todo(build: &Build) -> Vec<String> {
    let words = |effect: &BuildEffect| match effect {
        BuildEffect::Ask => "ask for a place".to_owned(),
        BuildEffect::Leave { .. } => "leave its place".to_owned(),
        BuildEffect::Collect { attempt, .. } => format!("collect {attempt}"),
        BuildEffect::Launch { attempt, capacity, .. } => format!("launch {attempt} on {capacity}"),
        BuildEffect::Find { attempt } => format!("find {attempt}"),
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
        BuildEffect::TellRun { outcome, .. } => format!("tell the run {outcome}"),
    };
    build.outbox.pending().iter().map(|pending| words(&pending.effect)).collect()
}

fn stop(cause: StopCause, reason: &str, exit_code: Option<i32>) -> Stop {
    Stop {
        cause,
        reason: Some(reason.to_owned()),
        containers: vec![crate::observation::ContainerEnd {
            name: "agent".to_owned(),
            exit_code,
            reason: None,
        }],
        report: None,
        at: None,
    }
}

fn cancelled(outcome: Outcome) -> BuildEvent {
    BuildEvent::Cancelled {
        outcome,
        cause: "not wanted".to_owned(),
    }
}

fn exited(code: i32) -> Stop {
    stop(StopCause::Exited, "Essential container in task exited", Some(code))
}

fn taken_back() -> Stop {
    stop(StopCause::Interrupted, "Your Spot Task was interrupted.", Some(143))
}

/// Taken back as well, after the script had ended by itself.
fn finished_in_time() -> Stop {
    stop(StopCause::Interrupted, "Your Spot Task was interrupted.", Some(0))
}

fn out_of_memory() -> Stop {
    let mut stop = exited(137);
    stop.containers[0].reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
    stop
}

fn failed_to_start() -> Stop {
    stop(StopCause::FailedToStart, "CannotPullContainerError: pull access denied", None)
}

fn without_capacity() -> Stop {
    stop(StopCause::NoCapacity, "Capacity is unavailable at this time", None)
}

fn stopped_by_a_person() -> Stop {
    stop(StopCause::Requested, "Task stopped by user", Some(143))
}

fn lost() -> Stop {
    stop(StopCause::Other, "the service no longer lists the agent", None)
}

fn reporting(mut stop: Stop, report: Report) -> Stop {
    stop.report = Some(report);
    stop
}

fn script_ended(exit_code: i32) -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: None,
        line: None,
        message: None,
    }
}

fn script_gave_up(exit_code: i32) -> Report {
    Report {
        signalled: true,
        ..script_ended(exit_code)
    }
}

fn no_capacity() -> Refusal {
    Refusal::NoCapacity("Capacity is unavailable at this time".to_owned())
}

fn throttled() -> Refusal {
    Refusal::Throttled("Rate exceeded".to_owned())
}

fn account_limit() -> Refusal {
    Refusal::AccountLimit("You've reached the limit on the number of vCPUs".to_owned())
}

fn rule(on: &[RetryOn], exit_codes: &[i32], limit: u32) -> RetryRule {
    RetryRule {
        on: on.to_vec(),
        exit_codes: exit_codes.to_vec(),
        limit,
        backoff: Duration::ZERO,
        capacity: None,
    }
}

fn with_rules(rules: Vec<RetryRule>) -> BuildSpec {
    BuildSpec {
        retry: RetryPolicy { rules },
        ..spec()
    }
}

fn never_retried() -> BuildSpec {
    with_rules(Vec::new())
}

fn critical() -> BuildSpec {
    BuildSpec { critical: true, ..spec() }
}

fn relaunched_when_stopped() -> BuildSpec {
    BuildSpec {
        relaunch: Relaunch::Stopped,
        ..spec()
    }
}

mod measured {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_build_counts_its_attempt_its_wait_its_agents_time_and_its_end() {
        Story::new(spec())
            .expect_measured(&[Measure::Attempt])
            .at(10)
            .refused(1, SPOT, throttled())
            .expect_measured(&[])
            .at(40)
            .accepted(SPOT, "1a")
            .expect_measured(&[Measure::Queued(seconds(40))])
            .at(70)
            .running("1a")
            .at(190)
            .stopped("1a", exited(0))
            .expect_measured(&[Measure::Agent(SPOT, seconds(120)), Measure::Build(Outcome::Succeeded)])
            .stopped("1a", exited(0))
            .performed()
            .expect_measured(&[]);
    }

    #[test]
    fn an_interruption_counts_once_and_its_replacement_from_the_warning_on() {
        Story::new(spec())
            .up()
            .expect_measured(&[Measure::Attempt, Measure::Queued(seconds(0))])
            .at(60)
            .warned("1a")
            .warned("1a")
            .expect_measured(&[Measure::Interruption, Measure::Attempt, Measure::Retry])
            .at(62)
            .accepted(ON_DEMAND, "2a")
            .expect_measured(&[Measure::Queued(seconds(2)), Measure::Relaunched(seconds(2))])
            .at(100)
            .running("2a")
            .at(170)
            .stopped("1a", taken_back())
            .expect_measured(&[Measure::Agent(SPOT, seconds(170))]);
    }

    #[test]
    fn a_replacement_that_waits_for_the_end_is_measured_from_there() {
        Story::new(relaunched_when_stopped())
            .up()
            .at(60)
            .warned("1a")
            .at(180)
            .stopped("1a", taken_back())
            .at(181)
            .accepted(ON_DEMAND, "2a")
            .expect_measured(&[
                Measure::Attempt,
                Measure::Queued(seconds(0)),
                Measure::Interruption,
                Measure::Agent(SPOT, seconds(180)),
                Measure::Attempt,
                Measure::Retry,
                Measure::Queued(seconds(1)),
                Measure::Relaunched(seconds(1)),
            ]);
    }

    #[test]
    fn an_interruption_without_a_warning_counts_as_well() {
        Story::new(never_retried())
            .up()
            .at(60)
            .stopped("1a", taken_back())
            .expect_measured(&[
                Measure::Attempt,
                Measure::Queued(seconds(0)),
                Measure::Interruption,
                Measure::Agent(SPOT, seconds(60)),
                Measure::Build(Outcome::Interrupted),
            ]);
    }

    #[test]
    fn what_never_ran_is_over_without_an_agents_time() {
        Story::of(Build::blocked(spec(), t(0)))
            .at(9)
            .happens(&cancelled(Outcome::Cancelled))
            .expect_measured(&[Measure::Build(Outcome::Cancelled)]);
    }
}

mod launching {
    use super::*;

    #[test]
    fn a_new_build_starts_on_spot() {
        Story::new(spec())
            .expect_status("launching")
            .expect_todo(&["launch 1 on spot"])
            .expect_live(&["1?"]);
    }

    #[test]
    fn a_critical_build_never_sees_spot() {
        let mut often = critical();
        often.retry.rules = vec![RetryRule {
            capacity: Some(SPOT),
            ..rule(&[RetryOn::Failure], &[], 1)
        }];
        Story::new(often)
            .expect_todo(&["launch 1 on on-demand"])
            .accepted(ON_DEMAND, "1a")
            .stopped("1a", exited(1))
            .expect_attempts(&[ON_DEMAND, ON_DEMAND]);
    }

    #[test]
    fn an_agent_without_spot_starts_on_demand() {
        let mut spec = spec();
        let Executor::Ecs(ecs) = &mut spec.executor else {
            panic!("the tests' builds run on ECS")
        };
        ecs.spot_cluster = None;
        Story::new(spec).expect_todo(&["launch 1 on on-demand"]);
    }

    #[test]
    fn a_blocked_build_starts_when_it_is_released_and_only_once() {
        Story::of(Build::blocked(spec(), t(0)))
            .expect_status("blocked")
            .expect_todo(&[])
            .at(HOUR)
            .happens(&BuildEvent::Released)
            .expect_todo(&["launch 1 on spot"])
            .happens(&BuildEvent::Released)
            .expect_ignored(Ignored::NothingNew)
            .expect_todo(&["launch 1 on spot"]);
    }

    #[test]
    fn a_skipped_build_is_over_without_a_word() {
        let skipped = BuildEvent::Skipped {
            because: "lint".parse().unwrap(),
        };
        Story::of(Build::blocked(spec(), t(0)))
            .happens(&skipped)
            .expect_finished(Outcome::Skipped, "needs lint, which did not succeed")
            .expect_todo(&[])
            .expect_rest()
            .happens(&BuildEvent::Released)
            .expect_ignored(Ignored::Over)
            .happens(&skipped)
            .expect_ignored(Ignored::Over);
    }

    #[test]
    fn a_build_under_way_cannot_be_skipped() {
        let because = "lint".parse().unwrap();
        Story::new(spec())
            .happens(&BuildEvent::Skipped { because })
            .expect_ignored(Ignored::NothingNew);
    }

    #[test]
    fn an_accepted_launch_is_done_with() {
        Story::new(spec())
            .accepted(SPOT, "1a")
            .expect_todo(&[])
            .expect_live(&["1a"])
            .expect_status("launching")
            .accepted(SPOT, "1a")
            .expect_ignored(Ignored::NothingNew)
            .running("1a")
            .expect_status("running");
    }

    #[test]
    fn without_spot_capacity_the_same_attempt_goes_on_demand_at_once() {
        Story::new(spec())
            .refused(1, SPOT, no_capacity())
            .expect_attempts(&[ON_DEMAND])
            .expect_todo(&["launch 1 on on-demand"])
            .expect_retries(&[0, 0]);
    }

    #[test]
    fn without_any_capacity_the_build_waits_longer_each_time() {
        let mut story = Story::new(spec()).refused(1, SPOT, no_capacity());
        // Or there would be another moment to look at it between two of these.
        story.build.waiting_told = true;
        for longest in [15, 30, 60, 120, 240, 300, 300] {
            story = story
                .refused(1, ON_DEMAND, no_capacity())
                .expect_status("queued")
                .expect_live(&[])
                .expect_todo(&[])
                .expect_wait(longest * 3 / 4 - 1..=longest)
                .tick_when_due()
                .expect_todo(&["launch 1 on on-demand"]);
        }
        story.expect_attempts(&[ON_DEMAND]).expect_retries(&[0, 0]);
    }

    #[test]
    fn a_throttle_or_an_account_limit_keeps_the_attempt_on_spot() {
        for (refusal, wait) in [(throttled(), 1..=2), (account_limit(), 11..=15)] {
            Story::new(spec())
                .refused(1, SPOT, refusal)
                .expect_status("queued")
                .expect_wait(wait)
                .tick(1)
                .expect_ignored(Ignored::NotDue)
                .tick_when_due()
                .expect_todo(&["launch 1 on spot"]);
        }
    }

    #[test]
    fn the_wait_after_a_throttle_does_not_grow_and_makes_no_other_wait_longer() {
        let mut story = Story::new(spec());
        for _ in 0..20 {
            story = story.refused(1, SPOT, throttled()).expect_wait(1..=2).tick_when_due();
        }
        story
            .expect_attempts(&[SPOT])
            .expect_retries(&[0, 0])
            .refused(1, SPOT, account_limit())
            .expect_wait(11..=15);
    }

    #[test]
    fn builds_that_were_throttled_together_do_not_come_back_together() {
        let waits: std::collections::BTreeSet<i64> = (0..20)
            .map(|number| {
                let story = Story::new(crate::testing::spec_needing(&format!("job-{number}"), &[])).refused(1, SPOT, throttled());
                story.build.due().unwrap().as_millisecond() - t(0).as_millisecond()
            })
            .collect();
        assert!(waits.len() > 10, "{waits:?}");
        assert!(waits.iter().all(|wait| (1500..=2000).contains(wait)), "{waits:?}");
    }

    #[test]
    fn throttles_do_not_outlast_the_queue_timeout() {
        let mut story = Story::new(spec());
        while story.build.outcome().is_none() {
            assert!(story.second <= 2 * HOUR, "still waiting");
            story = if todo(&story.build).is_empty() {
                story.tick_when_due()
            } else {
                story.refused(1, SPOT, throttled()).performed()
            };
        }
        assert!(story.second >= 2 * HOUR - 1, "given up after {} s", story.second);
        story.expect_finished(Outcome::TimedOut, "no agent within its queue-timeout of 2h: Rate exceeded");
    }

    #[test]
    fn a_build_is_due_for_a_launch_only_while_that_is_the_first_thing_it_waits_for() {
        let due_for_launch = |story: &Story| story.build.is_due_for_launch();
        let launching = Story::new(spec());
        assert!(!due_for_launch(&launching));
        let queued = launching.refused(1, SPOT, throttled());
        assert!(due_for_launch(&queued));
        let running = queued.tick_when_due().accepted(SPOT, "1a").running("1a").performed();
        assert!(!due_for_launch(&running));
        // The first attempt is asked for after a minute, the replacement is launched before that. An effect that somebody left has waited longer.
        let replaced = running.warned("1a").refused(2, ON_DEMAND, throttled());
        assert!(due_for_launch(&replaced));
        let waits_longer = replaced.tick_when_due().refused(2, ON_DEMAND, no_capacity());
        assert!(due_for_launch(&waits_longer));
        let long = (0..5).fold(waits_longer, |story, _| story.tick_when_due().refused(2, ON_DEMAND, no_capacity()));
        assert!(
            !due_for_launch(&long),
            "the message is overdue before the next try: {:?}",
            long.build
        );
        assert!(due_for_launch(&long.performed().stopped("1a", taken_back())));
    }

    #[test]
    fn a_launch_that_can_never_succeed_ends_the_build() {
        Story::new(spec())
            .refused(1, SPOT, Refusal::Invalid("MISSING".to_owned()))
            .expect_finished(Outcome::InfrastructureFailed, "the agent cannot be launched: MISSING")
            .expect_todo(&["announce infrastructure-failed by 1", "tell the run infrastructure-failed"])
            .performed()
            .tick_when_due()
            .expect_todo(&["find 1"])
            .performed()
            .expect_rest();
    }

    /// Of the first request nothing was heard, and it was still under way when its repetition met a permission that had just been taken away. Had no
    /// event of that agent come through, nobody would have known of it.
    #[test]
    fn an_agent_that_comes_of_a_launch_refused_for_good_is_found_and_stopped() {
        Story::new(spec())
            .refused(1, SPOT, Refusal::Invalid("AccessDeniedException".to_owned()))
            .performed()
            .tick(MINUTE - 1)
            .expect_ignored(Ignored::NotDue)
            .tick(MINUTE)
            .expect_todo(&["find 1"])
            .seen("1a@2", Some(SPOT), AgentStatus::Running { since: None })
            .performed()
            .stopped("1a@3", stopped_by_a_person())
            .expect_status("infrastructure-failed")
            .expect_rest();
    }

    #[test]
    fn a_refusal_that_comes_twice_or_late_changes_nothing() {
        Story::new(spec())
            .refused(1, SPOT, throttled())
            .refused(1, SPOT, throttled())
            .expect_ignored(Ignored::Stale)
            .refused(7, SPOT, throttled())
            .expect_ignored(Ignored::Stale);
        Story::new(spec())
            .refused(1, SPOT, no_capacity())
            .refused(1, SPOT, no_capacity())
            .expect_ignored(Ignored::Stale)
            .accepted(ON_DEMAND, "1a")
            .refused(1, ON_DEMAND, throttled())
            .expect_ignored(Ignored::Stale)
            .expect_live(&["1a"]);
    }

    #[test]
    fn the_queue_timeout_ends_a_build_that_gets_no_agent() {
        let mut story = Story::new(spec());
        while story.build.outcome().is_none() {
            assert!(story.second <= 2 * HOUR + 5 * MINUTE, "still waiting");
            story = if todo(&story.build).is_empty() {
                story.tick_when_due()
            } else {
                story.refused(1, SPOT, account_limit()).performed()
            };
        }
        assert!(story.second >= 2 * HOUR);
        story
            .expect_finished(
                Outcome::TimedOut,
                "no agent within its queue-timeout of 2h: You've reached the limit on the number of vCPUs",
            )
            .expect_live(&["1?"])
            .performed()
            .tick(2 * HOUR + 15 * MINUTE)
            .performed()
            .tick(2 * HOUR + 16 * MINUTE)
            .expect_rest();
    }

    /// Found by the simulation. The launch took place and its reply was lost, its repetition met a rate limit, and the queue-timeout came before the
    /// next try: the agent went on after its build.
    #[test]
    fn a_refusal_that_was_not_true_leaves_no_agent_behind_a_build_that_is_given_up() {
        let mut impatient = spec();
        impatient.queue_timeout = Duration::from_secs(1);
        Story::new(impatient)
            .refused(1, SPOT, throttled())
            .tick_when_due()
            .expect_finished(Outcome::TimedOut, "no agent within its queue-timeout of 1s: Rate exceeded")
            .expect_todo(&["find 1", "announce timed-out by 1", "tell the run timed-out"])
            .performed()
            .tick(3 * MINUTE)
            .expect_todo(&["find 1"])
            .running("1a")
            .expect_todo(&["stop 1a: bellhop: the build is over"])
            .stopped("1a", exited(143))
            .expect_rest();
    }

    #[test]
    fn a_launch_without_an_answer_ends_with_the_queue_timeout_and_its_agent_is_looked_for() {
        Story::new(spec())
            .tick(HOUR)
            .expect_status("launching")
            .expect_todo(&["launch 1 on spot"])
            .tick(2 * HOUR)
            .expect_finished(
                Outcome::TimedOut,
                "no agent within its queue-timeout of 2h: the launch call got no answer",
            )
            .expect_live(&["1?"])
            .expect_todo(&["find 1", "announce timed-out by 1", "tell the run timed-out"]);
    }

    #[test]
    fn a_short_queue_timeout_does_not_swallow_a_retry_that_waits_for_its_backoff() {
        let mut impatient = spec();
        impatient.queue_timeout = Duration::from_secs(20);
        Story::new(impatient)
            .up()
            .at(HOUR / 2)
            .stopped("1a", lost())
            .expect_wait(22..=30)
            .tick_when_due()
            .expect_todo(&["announce attempt 2 on spot", "launch 2 on spot"]);
    }

    #[test]
    fn a_late_sweep_launches_what_was_never_tried_before_giving_up() {
        let mut impatient = spec();
        impatient.queue_timeout = Duration::from_secs(20);
        Story::new(impatient)
            .up()
            .stopped("1a", lost())
            .performed()
            .tick(HOUR)
            .expect_todo(&["launch 2 on spot"])
            .refused(2, SPOT, throttled())
            .tick_when_due()
            .expect_finished(Outcome::TimedOut, "no agent within its queue-timeout of 20s: Rate exceeded");
    }

    #[test]
    fn an_agent_that_never_comes_up_is_stopped_and_replaced_when_it_has_stopped() {
        let critical = BuildSpec { critical: true, ..spec() };
        Story::new(critical)
            .accepted(ON_DEMAND, "1a")
            .tick(34 * MINUTE)
            .expect_live(&["1a"])
            .expect_todo(&[])
            .tick(35 * MINUTE)
            .expect_todo(&["stop 1a: bellhop: the agent did not start in time"])
            .expect_live(&["1a"])
            .stopped("1a", stopped_by_a_person())
            .performed()
            .expect_wait(22..=30)
            .expect_live(&[]);
    }

    #[test]
    fn an_agent_gets_its_whole_time_to_come_up_however_late_its_launch_was_accepted() {
        Story::new(spec())
            .tick(19 * MINUTE)
            .accepted(SPOT, "1a")
            .tick(21 * MINUTE)
            .expect_live(&["1a"])
            .expect_todo(&[])
            .tick(39 * MINUTE)
            .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
    }
}

mod lost_replies {
    use super::*;

    #[test]
    fn an_event_brings_the_agent_whose_launch_was_never_answered() {
        Story::new(spec())
            .running("1a@2")
            .expect_live(&["1a"])
            .expect_todo(&[])
            .expect_status("running")
            .accepted(SPOT, "1a")
            .expect_ignored(Ignored::NothingNew);
    }

    #[test]
    fn a_whole_attempt_can_pass_before_its_launch_is_answered() {
        Story::new(spec())
            .stopped("1a@9", exited(0))
            .expect_finished(Outcome::Succeeded, "")
            .accepted(SPOT, "1a")
            .expect_ignored(Ignored::AttemptOver)
            .expect_rest();
    }

    #[test]
    fn a_warning_before_the_reply_launches_the_replacement() {
        Story::new(spec())
            .warned("1a@4")
            .expect_live(&["1a", "2?"])
            .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
    }

    #[test]
    fn an_agent_that_found_no_spot_capacity_before_the_reply_is_followed_on_demand() {
        Story::new(spec())
            .stopped("1a@3", without_capacity())
            .expect_todo(&["launch 1 on on-demand"])
            .expect_live(&["1?"])
            .accepted(SPOT, "1a")
            .expect_ignored(Ignored::OtherAgent)
            .accepted(ON_DEMAND, "1b")
            .running("1b@2")
            .expect_live(&["1b"]);
    }

    #[test]
    fn an_untrue_refusal_is_corrected_by_the_agent_itself() {
        Story::new(spec())
            .refused(1, SPOT, throttled())
            .running("1a@3")
            .expect_status("running")
            .expect_live(&["1a"])
            .tick(MINUTE)
            .expect_todo(&[]);
    }

    #[test]
    fn an_untrue_refusal_on_spot_leaves_no_second_agent_beside_the_one_on_demand() {
        Story::new(spec())
            .refused(1, SPOT, no_capacity())
            .seen("1a@3", Some(SPOT), AgentStatus::Running { since: None })
            .expect_todo(&["launch 1 on on-demand", "stop 1a: bellhop: a second agent for abcdefghij/test/1"])
            .accepted(ON_DEMAND, "1b")
            .performed()
            .expect_live(&["1b", "1a"])
            .stopped("1a@5", stopped_by_a_person())
            .expect_live(&["1b"]);
    }

    #[test]
    fn an_agent_that_turns_up_after_its_build_is_over_is_stopped() {
        Story::new(spec())
            .tick(2 * HOUR)
            .performed()
            .starting("1a@1")
            .expect_todo(&["stop 1a: bellhop: the build is over"])
            .expect_live(&["1a"])
            .stopped("1a@4", stopped_by_a_person())
            .expect_live(&[])
            .expect_rest();
    }

    #[test]
    fn an_agent_is_looked_for_every_minute_and_then_no_more() {
        let mut story = Story::new(spec()).tick(2 * HOUR).performed();
        for minute in 1..=5 {
            story = story
                .tick(2 * HOUR + minute * MINUTE)
                .expect_todo(&["find 1"])
                .performed()
                .expect_live(&["1?"]);
        }
        story
            .tick(2 * HOUR + 6 * MINUTE)
            .expect_live(&[])
            .expect_rest()
            // Even so it is not forgotten.
            .running("1a@2")
            .expect_todo(&["stop 1a: bellhop: a second agent for abcdefghij/test/1"])
            .stopped("1a@3", stopped_by_a_person())
            .expect_rest();
    }

    /// Found by the simulation: the time for looking passed while nobody could look, and the agent went on after its build.
    #[test]
    fn an_agent_is_not_given_up_while_looking_for_it_gets_no_answer() {
        Story::new(spec())
            .tick(2 * HOUR)
            .expect_todo(&["find 1", "announce timed-out by 1", "tell the run timed-out"])
            .tick(3 * HOUR)
            .expect_live(&["1?"])
            .performed()
            .tick(3 * HOUR + MINUTE)
            .expect_live(&[])
            .expect_rest();
        // No sweep came by in all that time: what was seen before it was up is no proof.
        Story::new(spec())
            .tick(2 * HOUR)
            .performed()
            .tick(3 * HOUR)
            .expect_live(&["1?"])
            .expect_todo(&["find 1"]);
    }

    /// Found by the simulation: a request for Spot capacity was delayed, its repetition refused, the build went to on-demand capacity, and then the
    /// request came through. Every event of that agent was lost.
    #[test]
    fn a_refused_launch_that_comes_through_after_all_is_found_and_stopped() {
        let twin = || {
            Story::new(spec())
                .refused(1, SPOT, no_capacity())
                .accepted(ON_DEMAND, "1a")
                .expect_todo(&[])
        };
        twin()
            .running("1a")
            .expect_todo(&["find 1"])
            .performed()
            .seen("1a@2", Some(ON_DEMAND), AgentStatus::Running { since: None })
            .seen("1b@2", Some(SPOT), AgentStatus::Running { since: None })
            .expect_todo(&["stop 1b: bellhop: a second agent for abcdefghij/test/1"]);
        twin()
            .stopped("1a", exited(1))
            .expect_todo(&["find 1", "announce failed by 1", "tell the run failed"])
            .seen("1b@2", Some(SPOT), AgentStatus::Running { since: None })
            .performed()
            .stopped("1b@3", stopped_by_a_person())
            .expect_rest();
    }

    /// Found by the simulation: requests of both launches came through late. The Spot agent was taken for the attempt's, the on-demand one for a
    /// stray and stopped; then there was no Spot capacity after all, and the on-demand launch was answered with the agent that had been stopped.
    #[test]
    fn a_launch_whose_token_is_spent_on_a_stray_gets_another_attempt() {
        let both = || {
            Story::new(spec())
                .refused(1, SPOT, no_capacity())
                .refused(1, ON_DEMAND, throttled())
                .seen("1a", Some(SPOT), AgentStatus::Starting)
                .seen("1b", Some(ON_DEMAND), AgentStatus::Starting)
                .performed()
                .stopped("1a", without_capacity())
                .expect_todo(&["launch 1 on on-demand"])
        };
        // Not beside the stray.
        both()
            .accepted(ON_DEMAND, "1b")
            .expect_ignored(Ignored::OtherAgent)
            .expect_todo(&["launch 1 on on-demand"])
            .stopped("1b", stopped_by_a_person())
            .accepted(ON_DEMAND, "1b")
            .expect_todo(&["find 1", "launch 2 on on-demand"])
            .expect_live(&["2?"])
            .accepted(ON_DEMAND, "2a")
            .running("2a")
            .stopped("2a", exited(0))
            .expect_finished(Outcome::Succeeded, "")
            .expect_rest();
    }

    #[test]
    fn every_agent_that_is_found_is_stopped() {
        Story::new(spec())
            .tick(2 * HOUR)
            .performed()
            .seen("1a@2", Some(SPOT), AgentStatus::Running { since: None })
            .seen("1b@2", Some(ON_DEMAND), AgentStatus::Starting)
            .expect_todo(&[
                "stop 1a: bellhop: the build is over",
                "stop 1b: bellhop: a second agent for abcdefghij/test/1",
            ])
            .stopped("1a@3", stopped_by_a_person())
            .stopped("1b@3", stopped_by_a_person())
            .expect_rest();
    }

    #[test]
    fn the_reply_that_comes_after_the_build_is_over_has_its_agent_stopped() {
        Story::new(spec())
            .up()
            .warned("1a")
            .stopped("1a", reporting(finished_in_time(), script_ended(0)))
            .performed()
            .expect_live(&["2?"])
            .accepted(ON_DEMAND, "2a")
            .expect_todo(&["stop 2a: bellhop: the build is over"])
            .stopped("2a", stopped_by_a_person())
            .expect_finished(Outcome::Succeeded, "")
            .expect_rest();
    }

    #[test]
    fn the_refusal_that_comes_after_the_build_is_over_is_no_news() {
        Story::new(spec())
            .up()
            .warned("1a")
            .stopped("1a", reporting(finished_in_time(), script_ended(0)))
            .refused(2, ON_DEMAND, throttled())
            .expect_ignored(Ignored::Stale)
            .expect_finished(Outcome::Succeeded, "");
    }
}

mod ends {
    use super::*;

    #[test]
    fn exit_code_0_succeeds() {
        Story::new(spec())
            .up()
            .stopped("1a", exited(0))
            .expect_finished(Outcome::Succeeded, "")
            .expect_todo(&["announce succeeded by 1", "tell the run succeeded"])
            .expect_live(&[])
            .expect_rest();
    }

    #[test]
    fn any_other_exit_code_fails_at_once() {
        Story::new(spec())
            .up()
            .stopped("1a", exited(2))
            .expect_finished(Outcome::Failed, "the script ended with exit code 2")
            .expect_rest();
    }

    #[test]
    fn the_report_names_the_command() {
        let mut report = script_ended(2);
        (report.command, report.line) = (Some("cargo test \\\n  --locked".to_owned()), Some(7));
        let failed = |report: &Report, cause: &str| {
            Story::new(spec())
                .up()
                .stopped("1a", reporting(exited(2), report.clone()))
                .expect_finished(Outcome::Failed, cause);
        };
        failed(&report, "`cargo test \\ --locked` (line 7) ended with exit code 2");
        report.line = None;
        failed(&report, "`cargo test \\ --locked` ended with exit code 2");
        (report.command, report.line) = (None, Some(7));
        failed(&report, "line 7 of the script ended with exit code 2");
        report.command = Some("x".repeat(5000));
        failed(
            &report,
            &format!("`{}...` (line 7) ended with exit code 2", "x".repeat(LONGEST_COMMAND - 3)),
        );
    }

    /// RunTask gives the refusal of a 200 again for its token, for hours.
    #[test]
    fn a_refusal_that_spends_the_token_is_followed_by_another_round() {
        let refused = |round, spent| BuildEvent::LaunchRefused {
            attempt: 1,
            capacity: Capacity::Spot,
            round,
            refusal: Refusal::AccountLimit("You've reached the limit on the number of tasks".to_owned()),
            spent,
        };
        let next = |build: &Build, event: &BuildEvent, second| match build.decide(event, t(second)) {
            Decision::Next(next) => *next,
            Decision::Ignored(reason) => panic!("ignored: {reason}"),
        };
        let tried = |build: &Build, second| next(build, &BuildEvent::Tick { looked: t(second) }, second);
        let rounds = |build: &Build| -> Vec<u32> {
            let launches = build.outbox.pending().iter().filter_map(|pending| match pending.effect {
                BuildEffect::Launch { round, .. } => Some(round),
                _ => None,
            });
            launches.collect()
        };
        let ready = Build::ready(spec(), t(0));
        assert_eq!(rounds(&ready), [0]);
        let again = tried(&next(&ready, &refused(0, false), 1), 60);
        assert_eq!(rounds(&again), [0], "an error may have been no answer to the launch itself");
        let other = tried(&next(&again, &refused(0, true), 61), 200);
        assert_eq!(rounds(&other), [1]);
        // A second function asked at the same moment, got the same answer, and reports it late.
        assert_eq!(other.decide(&refused(0, true), t(201)), Decision::Ignored(Ignored::Stale));
        assert_eq!(rounds(&tried(&next(&other, &refused(1, true), 202), 900)), [2]);
    }

    #[test]
    fn a_report_makes_no_success_of_another_exit_code() {
        Story::new(spec())
            .up()
            .stopped("1a", reporting(exited(3), script_ended(0)))
            .expect_finished(Outcome::Failed, "the script ended with exit code 3");
        let taken = Story::new(spec()).up().stopped("1a", reporting(taken_back(), script_ended(0)));
        assert_eq!(taken.build.attempts[0].end(), Some(&End::Interrupted));
    }

    #[test]
    fn exit_code_0_is_a_success_whatever_ran_out_of_memory_beside_the_script() {
        let mut stop = exited(0);
        stop.containers[0].reason = out_of_memory().containers[0].reason.clone();
        for stop in [stop.clone(), reporting(stop, script_ended(0))] {
            let story = Story::new(spec()).up().stopped("1a", stop);
            assert_eq!(story.build.attempts[0].end(), Some(&End::Succeeded));
        }
    }

    #[test]
    fn running_out_of_memory_is_the_jobs_own_failure() {
        let mut silent = out_of_memory();
        silent.containers[0].exit_code = None;
        let mut uncoded = silent.clone();
        uncoded.cause = StopCause::Other;
        for stop in [out_of_memory(), silent, uncoded] {
            Story::new(spec())
                .up()
                .stopped("1a", stop)
                .expect_finished(Outcome::Failed, "out of memory");
        }
        let mut report = script_ended(137);
        (report.command, report.line) = (Some("make".to_owned()), Some(1));
        Story::new(spec())
            .up()
            .stopped("1a", reporting(out_of_memory(), report))
            .expect_finished(Outcome::Failed, "out of memory: `make` (line 1) ended with exit code 137");
    }

    #[test]
    fn what_is_no_fault_of_the_job_is_tried_again_after_a_while() {
        let cases = [
            (
                failed_to_start(),
                "the agent did not start: CannotPullContainerError: pull access denied",
            ),
            (lost(), "the agent was lost: the service no longer lists the agent"),
            (
                stopped_by_a_person(),
                "the agent was stopped from outside Bellhop: Task stopped by user",
            ),
            (
                stop(StopCause::Exited, "Essential container in task exited", None),
                "the container ended without an exit code: Essential container in task exited",
            ),
        ];
        for (stop, cause) in cases {
            let mut story = Story::new(spec());
            for (attempt, longest) in [(1, 30), (2, 60)] {
                story = story
                    .accepted(SPOT, &format!("{attempt}a"))
                    .stopped(&format!("{attempt}a"), stop.clone())
                    .expect_todo(&[&format!("announce attempt {} on spot", attempt + 1)])
                    .performed()
                    .expect_wait(longest * 3 / 4 - 1..=longest)
                    .tick_when_due();
            }
            story
                .accepted(SPOT, "3a")
                .stopped("3a", stop)
                .expect_finished(Outcome::InfrastructureFailed, cause)
                .expect_retries(&[0, 2])
                .expect_rest();
        }
    }

    #[test]
    fn a_failed_checkout_is_no_fault_of_the_job() {
        let report = Report {
            phase: ReportPhase::Checkout,
            message: Some("fatal: could not read from remote repository\nPlease make sure".to_owned()),
            ..script_ended(90)
        };
        Story::new(never_retried())
            .up()
            .stopped("1a", reporting(exited(90), report))
            .expect_finished(
                Outcome::InfrastructureFailed,
                "the commit could not be checked out: fatal: could not read from remote repository Please make sure",
            );
    }

    #[test]
    fn a_checkout_cut_off_by_sigterm_on_spot_was_an_interruption() {
        let report = Report {
            phase: ReportPhase::Checkout,
            ..script_gave_up(143)
        };
        Story::new(spec())
            .up()
            .stopped("1a", reporting(exited(143), report))
            .expect_attempts(&[SPOT, ON_DEMAND])
            .expect_retries(&[1, 0]);
    }

    #[test]
    fn sigterm_without_a_warning_was_an_interruption_on_spot_and_somebodys_doing_on_demand() {
        Story::new(spec())
            .up()
            .stopped("1a", reporting(exited(0), script_gave_up(0)))
            .expect_retries(&[1, 0]);
        Story::new(critical())
            .accepted(ON_DEMAND, "1a")
            .stopped("1a", reporting(exited(0), script_gave_up(0)))
            .expect_retries(&[0, 1]);
        Story::new(spec())
            .up()
            .stopped("1a", reporting(stopped_by_a_person(), script_gave_up(143)))
            .expect_retries(&[0, 1]);
    }

    #[test]
    fn what_the_script_did_by_itself_counts_however_its_agent_ended() {
        for stop in [stopped_by_a_person(), lost(), taken_back()] {
            let mut unkilled = stop.clone();
            for container in &mut unkilled.containers {
                container.exit_code = Some(0);
            }
            Story::new(spec())
                .up()
                .stopped("1a", reporting(unkilled, script_ended(0)))
                .expect_finished(Outcome::Succeeded, "");
            Story::new(spec())
                .up()
                .stopped("1a", reporting(stop, script_ended(3)))
                .expect_finished(Outcome::Failed, "the script ended with exit code 3");
        }
    }

    #[test]
    fn an_agent_that_vanished_is_taken_for_lost() {
        Story::new(never_retried())
            .up()
            .stopped("1a", lost())
            .expect_finished(
                Outcome::InfrastructureFailed,
                "the agent was lost: the service no longer lists the agent",
            )
            .expect_rest();
    }

    #[test]
    fn no_capacity_after_the_launch_sends_the_same_attempt_on_demand() {
        Story::new(spec())
            .accepted(SPOT, "1a")
            .stopped("1a@2", without_capacity())
            .expect_attempts(&[ON_DEMAND])
            .expect_todo(&["launch 1 on on-demand"])
            .expect_retries(&[0, 0])
            .starting("1a@1")
            .expect_ignored(Ignored::OtherAgent)
            .accepted(ON_DEMAND, "1b")
            .running("1b@1")
            .stopped("1b@2", exited(0))
            .expect_finished(Outcome::Succeeded, "")
            .expect_rest();
    }

    #[test]
    fn no_capacity_after_the_launch_on_demand_queues_another_attempt_and_uses_no_retry() {
        let mut story = Story::new(critical());
        for (attempt, longest) in [(1, 15), (2, 30), (3, 60)] {
            story = story
                .accepted(ON_DEMAND, &format!("{attempt}a"))
                .stopped(&format!("{attempt}a"), without_capacity())
                .expect_todo(&[])
                .expect_live(&[])
                .expect_wait(longest * 3 / 4 - 1..=longest)
                .tick_when_due()
                .expect_todo(&[&format!("launch {} on on-demand", attempt + 1)]);
        }
        story.expect_retries(&[0, 0]).tick(2 * HOUR).expect_status("timed-out");
    }
}

mod interruptions {
    use super::*;

    #[test]
    fn a_warning_launches_the_replacement_at_once_on_demand() {
        Story::new(spec())
            .up()
            .warned("1a")
            .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"])
            .expect_live(&["1a", "2?"])
            .expect_attempts(&[SPOT, ON_DEMAND])
            .expect_retries(&[1, 0]);
    }

    #[test]
    fn five_warnings_launch_one_replacement() {
        let mut story = Story::new(spec()).up();
        for _ in 0..5 {
            story = story.warned("1a@4");
        }
        story
            .expect_ignored(Ignored::Stale)
            .expect_attempts(&[SPOT, ON_DEMAND])
            .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
        let mut story = Story::new(spec()).up();
        for _ in 0..5 {
            story = story.warned("1a");
        }
        story
            .expect_ignored(Ignored::NothingNew)
            .expect_attempts(&[SPOT, ON_DEMAND])
            .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
    }

    #[test]
    fn the_usual_course_of_an_interruption() {
        Story::new(spec())
            .up()
            .warned("1a@4")
            .accepted(ON_DEMAND, "2a")
            .stopping("1a@5")
            .running("2a@3")
            .expect_live(&["1a", "2a"])
            .stopped("1a@7", taken_back())
            .expect_live(&["2a"])
            .expect_status("running")
            .stopped("2a@5", exited(0))
            .expect_finished(Outcome::Succeeded, "")
            .expect_rest();
    }

    #[test]
    fn the_first_attempts_success_inside_its_window_counts_and_the_replacement_is_stopped() {
        Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .running("2a")
            .performed()
            .stopped("1a", reporting(finished_in_time(), script_ended(0)))
            .expect_finished(Outcome::Succeeded, "")
            .expect_todo(&[
                "stop 2a: bellhop: the build is over",
                "announce succeeded by 1",
                "tell the run succeeded",
            ])
            .expect_live(&["2a"])
            .stopped("2a", reporting(stopped_by_a_person(), script_gave_up(143)))
            .expect_live(&[])
            .expect_rest();
    }

    #[test]
    fn a_replacement_whose_launch_is_on_the_wire_is_looked_for_when_the_first_attempt_succeeds() {
        Story::new(spec())
            .up()
            .warned("1a")
            .stopped("1a", reporting(finished_in_time(), script_ended(0)))
            .expect_todo(&[
                "announce attempt 2 on on-demand",
                "find 2",
                "announce succeeded by 1",
                "tell the run succeeded",
            ])
            .expect_live(&["2?"]);
    }

    #[test]
    fn a_replacement_that_still_waits_for_capacity_is_given_up_when_the_first_attempt_succeeds() {
        Story::new(spec())
            .up()
            .warned("1a")
            .refused(2, ON_DEMAND, no_capacity())
            .performed()
            .stopped("1a", reporting(finished_in_time(), script_ended(0)))
            .expect_finished(Outcome::Succeeded, "")
            // The refusal may not have been true.
            .expect_todo(&["find 2", "announce succeeded by 1", "tell the run succeeded"])
            .performed()
            .tick(10 * MINUTE)
            .performed()
            .tick(11 * MINUTE)
            .expect_rest();
    }

    #[test]
    fn exit_code_0_proves_nothing_under_a_warning() {
        let zero = stop(StopCause::Interrupted, "Your Spot Task was interrupted.", Some(0));
        for stop in [zero.clone(), exited(0), reporting(zero, script_gave_up(0))] {
            Story::new(spec())
                .up()
                .warned("1a")
                .stopped("1a", stop)
                .expect_status("launching")
                .expect_live(&["2?"]);
        }
    }

    #[test]
    fn a_lost_warning_is_made_up_for_by_the_stop() {
        Story::new(spec())
            .up()
            .stopped("1a", taken_back())
            .expect_live(&["2?"])
            .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"])
            .warned("1a")
            .expect_ignored(Ignored::AttemptOver);
    }

    #[test]
    fn a_job_with_side_effects_is_relaunched_when_the_first_attempt_has_stopped() {
        Story::new(relaunched_when_stopped())
            .up()
            .warned("1a")
            .expect_news()
            .expect_live(&["1a"])
            .expect_todo(&[])
            .stopped("1a", taken_back())
            .expect_live(&["2?"])
            .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
    }

    #[test]
    fn a_job_with_side_effects_that_finishes_in_its_window_is_not_relaunched() {
        Story::new(relaunched_when_stopped())
            .up()
            .warned("1a")
            .stopped("1a", reporting(finished_in_time(), script_ended(0)))
            .expect_finished(Outcome::Succeeded, "")
            .expect_attempts(&[SPOT])
            .expect_rest();
    }

    #[test]
    fn three_agents_never_run_at_once() {
        Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .running("2a")
            .warned("2a")
            .expect_live(&["1a", "2a"])
            .performed()
            .expect_todo(&[])
            .stopped("1a", taken_back())
            .expect_todo(&["launch 3 on on-demand", "announce attempt 3 on on-demand"])
            .expect_live(&["2a", "3?"]);
    }

    #[test]
    fn a_second_interruption_that_is_over_first_is_replaced_beside_the_first() {
        Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .warned("2a")
            .stopped("2a", taken_back())
            .expect_live(&["1a", "3?"])
            .expect_retries(&[2, 0]);
    }

    #[test]
    fn without_a_retry_left_the_last_attempt_still_has_its_window() {
        let twice = Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .stopped("1a", taken_back())
            .warned("2a")
            .accepted(ON_DEMAND, "3a")
            .stopped("2a", taken_back())
            .performed()
            .warned("3a")
            .expect_news()
            .expect_live(&["3a"])
            .expect_todo(&[]);
        twice
            .clone()
            .stopped("3a", taken_back())
            .expect_finished(Outcome::Interrupted, "AWS reclaimed its agent")
            .expect_rest();
        twice
            .stopped("3a", reporting(finished_in_time(), script_ended(0)))
            .expect_finished(Outcome::Succeeded, "");
    }

    #[test]
    fn a_build_that_is_never_retried_is_interrupted() {
        Story::new(never_retried())
            .up()
            .warned("1a")
            .expect_live(&["1a"])
            .stopped("1a", taken_back())
            .expect_finished(Outcome::Interrupted, "AWS reclaimed its Spot capacity")
            .expect_todo(&["announce interrupted by 1", "tell the run interrupted"])
            .expect_rest();
    }

    /// Found by the simulation: it counted as having run since the warning, for which the build ended as timed out. Only on EC2 does anything take away
    /// an agent that is still to come up.
    #[test]
    fn an_agent_that_is_interrupted_before_it_is_up_is_not_held_to_the_timeout() {
        let brief = BuildSpec {
            timeout: Duration::from_secs(30),
            ..never_retried()
        };
        let warned = Story::new(brief).accepted(SPOT, "1a").starting("1a").warned("1a").performed();
        warned
            .clone()
            .tick(MINUTE)
            .stopped("1a", taken_back())
            .expect_finished(Outcome::Interrupted, "AWS reclaimed its Spot capacity");
        // It came up after all.
        warned
            .clone()
            .at(40)
            .running("1a")
            .tick(71)
            .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 30s");
        // Nothing came of it, neither its start nor its end.
        let minutes = i64::try_from(LAUNCH_TIMEOUT.as_secs()).unwrap() / MINUTE;
        (1..minutes)
            .fold(warned, |story, minute| story.tick(minute * MINUTE).expect_todo(&[]))
            .tick(minutes * MINUTE)
            .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
    }

    #[test]
    fn the_replacements_failure_decides_and_stops_the_first_attempt() {
        Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .performed()
            .stopped("2a", exited(1))
            .expect_finished(Outcome::Failed, "the script ended with exit code 1")
            .expect_todo(&["stop 1a: bellhop: the build is over", "announce failed by 2", "tell the run failed"])
            .stopped("1a", taken_back())
            .expect_rest();
    }

    #[test]
    fn the_first_attempts_failure_in_its_window_leaves_the_decision_to_the_replacement() {
        Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .stopped("1a", reporting(taken_back(), script_ended(1)))
            .expect_status("launching")
            .expect_live(&["2a"]);
    }

    #[test]
    fn a_rule_can_ask_for_spot_again_and_for_a_pause() {
        let patient = RetryRule {
            backoff: Duration::from_secs(60),
            capacity: Some(SPOT),
            ..rule(&[RetryOn::Interrupted], &[], 1)
        };
        Story::new(with_rules(vec![patient]))
            .up()
            .warned("1a")
            .expect_status("queued")
            .expect_live(&["1a"])
            .expect_wait(44..=60)
            .stopped("1a", taken_back())
            .performed()
            .tick(MINUTE)
            .expect_todo(&["launch 2 on spot"]);
    }

    #[test]
    fn late_events_of_a_finished_build_only_complete_its_record() {
        let story = Story::new(spec())
            .up()
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .stopped("2a", exited(0));
        story
            .performed()
            .running("2a")
            .expect_ignored(Ignored::AttemptOver)
            .warned("1a")
            .expect_ignored(Ignored::NothingNew)
            .stopped("1a", reporting(taken_back(), script_ended(1)))
            .expect_news()
            .expect_finished(Outcome::Succeeded, "")
            .expect_todo(&[])
            .stopped("1a", exited(1))
            .expect_ignored(Ignored::AttemptOver)
            .expect_rest();
    }
}

mod strays {
    use super::*;

    #[test]
    fn a_second_agent_of_an_attempt_is_stopped_and_then_over() {
        Story::new(spec())
            .up()
            .running("1b@2")
            .expect_todo(&["stop 1b: bellhop: a second agent for abcdefghij/test/1"])
            .expect_live(&["1a", "1b"])
            .running("1b@3")
            .expect_ignored(Ignored::OtherAgent)
            .performed()
            .stopped("1b@5", exited(0))
            .expect_live(&["1a"])
            .expect_status("running")
            .running("1b@3")
            .expect_ignored(Ignored::OtherAgent)
            .stopped("1b@5", exited(0))
            .expect_ignored(Ignored::OtherAgent)
            .expect_todo(&[]);
    }

    #[test]
    fn a_stray_that_does_not_stop_is_told_again() {
        Story::new(spec())
            .up()
            .starting("1b")
            .performed()
            .tick(MINUTE)
            .expect_todo(&["stop 1b: bellhop: the build is over"]);
    }

    #[test]
    fn agents_of_attempts_that_do_not_exist_are_stopped() {
        Story::new(spec())
            .up()
            .running("2a")
            .expect_todo(&["stop 2a: bellhop: a second agent for abcdefghij/test/2"])
            .running("0a")
            .performed()
            .expect_live(&["1a", "2a", "0a"]);
    }

    #[test]
    fn an_attempts_agent_is_no_stray_under_another_name() {
        let observation = Observation {
            agent: arn("1a"),
            version: None,
            capacity: None,
            status: AgentStatus::Running { since: None },
        };
        Story::new(spec())
            .up()
            .happens(&BuildEvent::Agent { attempt: 2, observation })
            .expect_ignored(Ignored::OtherAgent)
            .expect_live(&["1a"])
            .expect_todo(&[]);
    }

    #[test]
    fn a_second_agent_that_has_stopped_already_is_no_news() {
        Story::new(spec())
            .up()
            .stopped("1b", exited(1))
            .expect_ignored(Ignored::OtherAgent)
            .expect_live(&["1a"]);
    }

    #[test]
    fn a_stray_keeps_a_finished_build_due_until_it_has_stopped() {
        let story = Story::new(spec()).up().stopped("1a", exited(0)).running("1b").performed();
        assert!(story.build.due().is_some());
        story.stopped("1b", stopped_by_a_person()).expect_rest();
    }
}

mod retries {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides_even_if_it_is_used_up() {
        let rules = vec![rule(&[], &[75], 1), rule(&[RetryOn::Failure], &[], 2)];
        let story = Story::new(with_rules(rules)).up().stopped("1a", exited(75)).expect_retries(&[1, 0]);
        story
            .clone()
            .accepted(SPOT, "2a")
            .stopped("2a", exited(75))
            .expect_finished(Outcome::Failed, "the script ended with exit code 75");
        story
            .accepted(SPOT, "2a")
            .stopped("2a", exited(1))
            .expect_retries(&[1, 1])
            .accepted(SPOT, "3a")
            .stopped("3a", exited(2))
            .expect_retries(&[1, 2])
            .accepted(SPOT, "4a")
            .stopped("4a", exited(2))
            .expect_finished(Outcome::Failed, "the script ended with exit code 2");
    }

    #[test]
    fn exit_codes_match_the_scripts_own_end_only() {
        let coded = || with_rules(vec![rule(&[], &[75, 143], 1)]);
        Story::new(coded()).up().stopped("1a", exited(75)).expect_attempts(&[SPOT, SPOT]);
        Story::new(coded()).up().stopped("1a", exited(1)).expect_status("failed");
        Story::new(coded()).up().stopped("1a", taken_back()).expect_status("interrupted");
        Story::new(coded())
            .up()
            .stopped("1a", stopped_by_a_person())
            .expect_status("infrastructure-failed");
    }

    #[test]
    fn exit_codes_narrow_a_rule_for_failures() {
        let narrow = || with_rules(vec![rule(&[RetryOn::Failure, RetryOn::Interrupted], &[75], 1)]);
        Story::new(narrow()).up().stopped("1a", exited(1)).expect_status("failed");
        Story::new(narrow()).up().stopped("1a", exited(75)).expect_status("launching");
        Story::new(narrow()).up().warned("1a").expect_live(&["1a", "2?"]);
    }

    #[test]
    fn never_means_never() {
        for stop in [exited(1), lost(), failed_to_start(), taken_back(), out_of_memory()] {
            let story = Story::new(never_retried()).up().stopped("1a", stop).expect_attempts(&[SPOT]);
            assert!(story.build.outcome().is_some());
        }
    }

    #[test]
    fn the_backoff_doubles_and_the_capacity_is_the_rules() {
        let patient = RetryRule {
            backoff: Duration::from_secs(60),
            capacity: Some(ON_DEMAND),
            ..rule(&[RetryOn::Failure], &[], 3)
        };
        Story::new(with_rules(vec![patient]))
            .up()
            .stopped("1a", exited(1))
            .expect_wait(44..=60)
            .tick_when_due()
            .accepted(ON_DEMAND, "2a")
            .stopped("2a", exited(1))
            .expect_wait(89..=120)
            .tick_when_due()
            .accepted(ON_DEMAND, "3a")
            .stopped("3a", exited(1))
            .expect_wait(179..=240)
            .expect_attempts(&[SPOT, ON_DEMAND, ON_DEMAND, ON_DEMAND]);
    }

    #[test]
    fn a_refused_launch_in_a_retry_starts_with_the_first_wait_again() {
        Story::new(spec())
            .refused(1, SPOT, account_limit())
            .tick_when_due()
            .refused(1, SPOT, account_limit())
            .tick_when_due()
            .accepted(SPOT, "1a")
            .warned("1a")
            .refused(2, ON_DEMAND, account_limit())
            .expect_wait(11..=15);
    }
}

mod time {
    use super::*;

    /// Found by the simulation: the sweep had looked at the agents a moment before the time was up, and decided a moment after. The agent had ended in
    /// time, and only its events were late.
    #[test]
    fn time_that_runs_out_after_the_look_is_not_held_against_an_agent() {
        Story::new(spec())
            .up()
            .tick(HOUR - 1)
            .at(HOUR)
            .happens(&BuildEvent::Tick { looked: t(HOUR - 1) })
            .expect_ignored(Ignored::NotDue)
            .stopped("1a", exited(0))
            .expect_status("succeeded");
    }

    #[test]
    fn an_attempt_that_runs_too_long_ends_the_build_and_is_stopped() {
        Story::new(spec())
            .at(MINUTE)
            .up()
            .tick(HOUR)
            .expect_status("running")
            .tick(HOUR + MINUTE)
            .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
            .expect_todo(&[
                "stop 1a: bellhop: the build ran longer than its timeout",
                "announce timed-out by 1",
                "tell the run timed-out",
            ])
            .performed()
            .expect_live(&["1a"])
            .stopped("1a", reporting(exited(0), script_ended(0)))
            .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
            .expect_rest();
    }

    #[test]
    fn an_attempt_that_may_be_retried_for_time_is_proven_stopped_first() {
        Story::new(with_rules(vec![rule(&[RetryOn::Timeout], &[], 1)]))
            .up()
            .tick(HOUR)
            .expect_status("running")
            .expect_live(&["1a"])
            .expect_todo(&["stop 1a: bellhop: the build ran longer than its timeout"])
            .performed()
            .stopped("1a", exited(0))
            .expect_live(&["2?"])
            .accepted(SPOT, "2a")
            .running("2a")
            .performed()
            .tick(2 * HOUR)
            .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
            .stopped("2a", stopped_by_a_person())
            .expect_rest();
    }

    #[test]
    fn the_timeout_counts_from_when_the_agent_was_up() {
        let since = Some(t(-10 * MINUTE));
        Story::new(spec())
            .accepted(SPOT, "1a")
            .seen("1a", None, AgentStatus::Running { since })
            .tick(50 * MINUTE - 1)
            .expect_status("running")
            .tick(50 * MINUTE)
            .expect_status("timed-out");
    }

    #[test]
    fn a_clock_that_is_ahead_gives_no_extra_time() {
        let since = Some(t(HOUR));
        Story::new(spec())
            .accepted(SPOT, "1a")
            .seen("1a", None, AgentStatus::Running { since })
            .tick(HOUR)
            .expect_status("timed-out");
    }

    #[test]
    fn a_warning_that_nothing_follows_does_not_lift_the_timeout() {
        Story::new(relaunched_when_stopped())
            .up()
            .warned("1a")
            .tick(HOUR)
            .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h")
            .stopped("1a", taken_back())
            .expect_rest();
        Story::new(spec())
            .up()
            .at(59 * MINUTE)
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .running("2a")
            .performed()
            .tick(HOUR)
            .expect_todo(&["stop 1a: bellhop: the build ran longer than its timeout"])
            .expect_status("running")
            .stopped("1a", taken_back())
            .expect_live(&["2a"]);
    }

    #[test]
    fn an_agent_that_does_not_stop_is_told_every_minute() {
        let told = "stop 1a: bellhop: the build ran longer than its timeout";
        let mut story = Story::new(spec()).up().tick(HOUR).performed();
        for minute in 1..4 {
            story = story.tick(HOUR + minute * MINUTE).expect_todo(&[told]).performed();
        }
        story.expect_live(&["1a"]);
    }

    #[test]
    fn nothing_happens_before_something_is_due() {
        Story::new(spec())
            .tick(MINUTE - 1)
            .expect_ignored(Ignored::NotDue)
            .accepted(SPOT, "1a")
            .running("1a")
            .tick(2 * MINUTE)
            .expect_ignored(Ignored::NotDue)
            .stopped("1a", exited(0))
            .performed()
            .tick(24 * HOUR)
            .expect_ignored(Ignored::NotDue);
    }

    #[test]
    fn agents_not_heard_of_are_asked_for() {
        let asked = |story: &Story, second: i64| -> Vec<String> {
            let agents = story.build.agents_to_check(t(second));
            agents.iter().map(|(attempt, agent)| format!("{attempt}:{}", name(agent))).collect()
        };
        let launching = Story::new(spec()).accepted(SPOT, "1a");
        assert_eq!(asked(&launching, MINUTE - 1), [""; 0]);
        assert_eq!(asked(&launching, MINUTE), ["1:1a"]);
        let running = launching.running("1a");
        assert_eq!(asked(&running, 5 * MINUTE - 1), [""; 0]);
        assert_eq!(asked(&running, 5 * MINUTE), ["1:1a"]);
        let crowded = running.at(MINUTE).warned("1a").accepted(ON_DEMAND, "2a").running("2b");
        assert_eq!(asked(&crowded, 2 * MINUTE), ["1:1a", "2:2a", "2:2b"]);
    }

    #[test]
    fn what_was_not_performed_is_due_after_a_minute() {
        let story = Story::new(spec()).up().stopped("1a", exited(0));
        assert_eq!(story.build.due(), Some(t(MINUTE)));
        let story = story.performed();
        assert_eq!(story.build.due(), None);
    }

    #[test]
    fn an_effect_is_performed_once() {
        let story = Story::new(spec()).up().stopped("1a", exited(0));
        let id = story.build.outbox.pending()[0].id;
        story
            .happens(&BuildEvent::Performed(id))
            .expect_news()
            .happens(&BuildEvent::Performed(id))
            .expect_ignored(Ignored::NothingNew);
    }
}

mod any_order {
    use super::*;

    /// Tells the events of one agent in every order, and gives how each of the stories goes on: with the replacement's agent up, if there is one.
    fn in_every_order(spec: &BuildSpec, events: &[(&str, AgentStatus)]) -> Vec<Story> {
        orders(events.len())
            .into_iter()
            .map(|order| {
                let mut story = Story::new(spec.clone()).accepted(SPOT, "1a");
                for index in order {
                    let (agent, status) = events[index].clone();
                    story = story.seen(agent, None, status);
                }
                if story.build.attempts.len() > 1 {
                    story = story.accepted(ON_DEMAND, "2a");
                }
                story
            })
            .collect()
    }

    fn orders(count: usize) -> Vec<Vec<usize>> {
        if count == 0 {
            return vec![Vec::new()];
        }
        orders(count - 1)
            .into_iter()
            .flat_map(|order| {
                (0..count).map(move |place| {
                    let mut order = order.clone();
                    order.insert(place, count - 1);
                    order
                })
            })
            .collect()
    }

    fn course(last: Stop) -> Vec<(&'static str, AgentStatus)> {
        vec![
            ("1a@1", AgentStatus::Starting),
            ("1a@2", AgentStatus::Running { since: Some(t(0)) }),
            ("1a@3", AgentStatus::Interrupted),
            ("1a@4", AgentStatus::Stopping),
            ("1a@5", AgentStatus::Stopped(last)),
        ]
    }

    #[test]
    fn an_interruption_ends_the_same() {
        for spec in [spec(), relaunched_when_stopped()] {
            let stories = in_every_order(&spec, &course(taken_back()));
            assert_eq!(stories.len(), 120);
            for story in stories {
                story
                    .expect_live(&["2a"])
                    .expect_attempts(&[SPOT, ON_DEMAND])
                    .expect_retries(&[1, 0])
                    .expect_status("launching");
            }
        }
    }

    #[test]
    fn a_success_in_the_window_ends_the_same() {
        for story in in_every_order(&spec(), &course(reporting(finished_in_time(), script_ended(0)))) {
            // Whether a replacement was launched depends on what was heard first. It is stopped in any case.
            let story = story.expect_finished(Outcome::Succeeded, "").performed();
            let replaced = story.build.attempts.len() > 1;
            let story = story.stopped("2a", stopped_by_a_person());
            assert_eq!(story.ignored.is_none(), replaced);
            story.expect_live(&[]).expect_rest();
        }
    }

    #[test]
    fn an_ordinary_end_is_the_same() {
        for (last, outcome) in [(exited(0), Outcome::Succeeded), (exited(1), Outcome::Failed)] {
            let mut events = course(last);
            events.remove(2);
            for story in in_every_order(&spec(), &events) {
                assert_eq!(story.build.outcome(), Some(outcome));
                story.expect_attempts(&[SPOT]).expect_live(&[]).expect_rest();
            }
        }
    }

    #[test]
    fn an_agent_without_capacity_is_followed_by_the_same() {
        let events = [
            ("1a@1", AgentStatus::Starting),
            ("1a@2", AgentStatus::Stopping),
            ("1a@3", AgentStatus::Stopped(without_capacity())),
        ];
        for story in in_every_order(&spec(), &events) {
            story
                .expect_attempts(&[ON_DEMAND])
                .expect_todo(&["launch 1 on on-demand"])
                .expect_live(&["1?"]);
        }
    }
}

mod places {
    use super::*;

    fn limited() -> BuildSpec {
        BuildSpec { limit: Some(2), ..spec() }
    }

    #[test]
    fn a_build_asks_for_its_place_before_anything_is_launched_and_gives_it_back_when_nothing_runs() {
        Story::new(limited())
            .expect_todo(&["ask for a place"])
            .expect_status("queued")
            .performed()
            .happens(&BuildEvent::Granted { turn: 0 })
            .expect_todo(&["launch 1 on spot"])
            .happens(&BuildEvent::Granted { turn: 0 })
            .expect_ignored(Ignored::NothingNew)
            .accepted(SPOT, "1a")
            .running("1a")
            .stopped("1a", exited(0))
            .expect_todo(&["announce succeeded by 1", "tell the run succeeded", "leave its place"])
            .performed()
            .expect_rest()
            // The build had asked twice, and the second time was heard late.
            .happens(&BuildEvent::Granted { turn: 0 })
            .expect_todo(&["leave its place"]);
    }

    #[test]
    fn the_place_is_kept_while_the_interrupted_attempt_and_its_replacement_run() {
        Story::new(limited())
            .happens(&BuildEvent::Granted { turn: 0 })
            .accepted(SPOT, "1a")
            .running("1a")
            .warned("1a")
            .accepted(ON_DEMAND, "2a")
            .running("2a")
            .performed()
            .stopped("1a", exited(0))
            .expect_live(&["2a"])
            .stopped("2a", exited(0))
            .expect_live(&[]);
        let story = Story::new(limited())
            .happens(&BuildEvent::Granted { turn: 0 })
            .accepted(SPOT, "1a")
            .running("1a")
            .happens(&cancelled(Outcome::Cancelled))
            .expect_todo(&[
                "stop 1a: bellhop: the build is over",
                "announce cancelled by 1",
                "tell the run cancelled",
            ]);
        assert_eq!(story.build.place, Place::Held);
        let story = story.stopped("1a", stopped_by_a_person());
        assert_eq!(story.build.place, Place::Left);
    }

    #[test]
    fn whoever_waits_can_be_cancelled_and_leaves() {
        Story::new(limited())
            .happens(&cancelled(Outcome::Superseded))
            .expect_finished(Outcome::Superseded, "not wanted")
            .expect_todo(&["announce superseded by 1", "tell the run superseded", "leave its place"])
            .performed()
            .expect_rest();
    }

    /// It asked twice, was given up while the second time was on its way, and left. The leave was heard, then the second question, and the build learnt
    /// of its place before it had noted that its leave was heard.
    #[test]
    fn a_place_that_comes_between_a_leave_and_its_record_is_given_back_too() {
        let mut build = Build::ready(limited(), t(0));
        let Decision::Next(left) = build.decide(&cancelled(Outcome::Cancelled), t(1)) else {
            panic!("it was not cancelled");
        };
        build = *left;
        let heard: Vec<EffectId> = build.outbox.pending().iter().map(|pending| pending.id).collect();
        let Decision::Next(granted) = build.decide(&BuildEvent::Granted { turn: 0 }, t(2)) else {
            panic!("the place was ignored");
        };
        build = *granted;
        for id in heard {
            if let Decision::Next(next) = build.decide(&BuildEvent::Performed(id), t(3)) {
                build = *next;
            }
        }
        let todo: Vec<&BuildEffect> = build.outbox.pending().iter().map(|pending| &pending.effect).collect();
        assert_eq!(todo, [&BuildEffect::Leave { turn: 0 }]);
    }
}

mod cancelling {
    use super::*;

    #[test]
    fn a_late_success_does_not_revive_a_cancelled_build() {
        Story::new(spec())
            .up()
            .happens(&cancelled(Outcome::Superseded))
            .stopped("1a", exited(0))
            .expect_finished(Outcome::Superseded, "not wanted")
            .happens(&cancelled(Outcome::Cancelled))
            .expect_ignored(Ignored::Over);
    }

    #[test]
    fn a_build_that_was_never_released_is_over_and_its_run_alone_is_told() {
        Story::of(Build::blocked(spec(), t(0)))
            .happens(&cancelled(Outcome::Cancelled))
            .expect_finished(Outcome::Cancelled, "not wanted")
            .expect_todo(&["tell the run cancelled"])
            .happens(&BuildEvent::Released)
            .expect_ignored(Ignored::Over)
            .performed()
            .expect_rest();
    }
}

mod artifacts {
    use super::*;

    fn kept() -> Story {
        Story::new(BuildSpec {
            artifacts: vec!["target/*".to_owned()],
            ..spec()
        })
        .up()
        .performed()
    }

    fn collected() -> BuildEvent {
        BuildEvent::Collected {
            attempt: 1,
            found: Found::default(),
        }
    }

    #[test]
    fn what_was_left_is_looked_at_before_anybody_is_told() {
        kept()
            .stopped("1a", exited(1))
            .expect_finished(Outcome::Failed, "the script ended with exit code 1")
            .expect_todo(&["collect 1"])
            .happens(&collected())
            .expect_todo(&["announce failed by 1", "tell the run failed"])
            .happens(&collected())
            .expect_ignored(Ignored::NothingNew);
    }

    #[test]
    fn people_are_told_without_it_after_some_tries() {
        let mut story = kept().stopped("1a", exited(0));
        let id = story.build.outbox.pending()[0].id;
        for second in [0, 60, 180, 420, 899, 900] {
            story = story
                .expect_todo(&["collect 1"])
                .at(second)
                .happens(&BuildEvent::Deferred(id, "no".to_owned()));
        }
        story.expect_todo(&[
            "announce succeeded by 1",
            "tell the run succeeded",
            "announce: could not read the artifacts of attempt 1",
        ]);
    }

    #[test]
    fn nothing_is_looked_for_where_the_work_was_cut_short() {
        kept().happens(&cancelled(Outcome::Cancelled)).expect_todo(&[
            "stop 1a: bellhop: the build is over",
            "announce cancelled by 1",
            "tell the run cancelled",
        ]);
    }
}

mod codebuild {
    use super::*;
    use crate::spec::CodeBuildExecutor;

    const CODEBUILD: Capacity = Capacity::CodeBuild;

    fn started() -> Story {
        Story::new(BuildSpec {
            executor: Executor::CodeBuild(CodeBuildExecutor {
                project: "ci-docker".to_owned(),
                logs: None,
            }),
            ..spec()
        })
        .expect_todo(&["launch 1 on codebuild"])
        .accepted(CODEBUILD, "1a")
    }

    fn ended(cause: StopCause, reason: &str, report: Option<Report>) -> Stop {
        Stop {
            cause,
            reason: Some(reason.to_owned()),
            containers: Vec::new(),
            report,
            at: None,
        }
    }

    #[test]
    fn what_the_script_did_stands_in_the_report() {
        started()
            .stopped("1a", ended(StopCause::Exited, "", Some(script_ended(0))))
            .expect_finished(Outcome::Succeeded, "");
        let failed = Report {
            command: Some("make test".to_owned()),
            ..script_ended(3)
        };
        started()
            .stopped("1a", ended(StopCause::Exited, "BUILD: COMMAND_EXECUTION_ERROR", Some(failed)))
            .expect_finished(Outcome::Failed, "`make test` ended with exit code 3");
    }

    #[test]
    fn a_definition_that_cannot_succeed_is_the_jobs_own_failure() {
        started()
            .stopped(
                "1a",
                ended(StopCause::Definition, "DOWNLOAD_SOURCE: YAML_FILE_ERROR: no buildspec", None),
            )
            .expect_finished(Outcome::Failed, "DOWNLOAD_SOURCE: YAML_FILE_ERROR: no buildspec");
    }

    #[test]
    fn the_service_ends_it_at_its_timeout() {
        started()
            .stopped("1a", ended(StopCause::TimedOut, "BUILD_TIMED_OUT", None))
            .expect_finished(Outcome::TimedOut, "it ran longer than its timeout of 1h");
    }

    #[test]
    fn a_build_that_cannot_be_provisioned_is_tried_again_on_codebuild() {
        started()
            .stopped("1a", ended(StopCause::FailedToStart, "PROVISIONING: VPC_CLIENT_ERROR", None))
            .expect_attempts(&[CODEBUILD, CODEBUILD]);
    }

    #[test]
    fn waiting_in_the_services_own_queue_counts_against_the_queue_timeout() {
        let hours = 2 * HOUR;
        started()
            .tick(hours)
            .expect_live(&["1a"])
            .tick(hours + 21 * MINUTE)
            .expect_todo(&["stop 1a: bellhop: the agent did not start in time"]);
    }
}
