//! What holds for a build whatever happens to it.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Checks what holds for a build at any time.
pub(super) fn check(build: &Build) {
    let alive: Vec<&Attempt> = build.attempts.iter().filter(|attempt| attempt.is_live()).collect();
    assert!(alive.len() <= 2, "{} attempts are live", alive.len());
    let over = build.outcome().is_some() && live(build).is_empty();
    assert!(
        !(over && matches!(build.slot, Slot::Requested | Slot::Held)),
        "a slot is held for nothing"
    );
    let may_run = build.attempts.iter().any(Attempt::may_run_on) || build.strays.iter().any(Stray::may_run_on) || build.may_have_orphans();
    assert!(
        !(over && !may_run && matches!(build.lock, Slot::Requested | Slot::Held)),
        "a lock is held for nothing"
    );
    if let [older, _] = alive.as_slice() {
        assert!(
            matches!(older.phase, Phase::Interrupted { .. } | Phase::Stopping { .. }),
            "{older:?}"
        );
        assert_eq!(build.spec.relaunch, Relaunch::Warning, "two live attempts of a job that allows one");
    }
    if build.outcome().is_some() {
        for attempt in &build.attempts {
            assert!(matches!(attempt.phase, Phase::Stopping { .. } | Phase::Ended { .. }), "{attempt:?}");
        }
    }
    for (index, attempt) in build.attempts.iter().enumerate() {
        assert_eq!(attempt.number as usize, index + 1);
        let waits = attempt.phase == Phase::Waiting;
        let queued = matches!(build.state, BuildState::Waiting | BuildState::Queued { .. }) && index + 1 == build.attempts.len();
        assert_eq!(waits, queued, "{attempt:?} in {:?}", build.state);
    }
    for (rule, used) in build.spec.retry.rules.iter().zip(&build.retries) {
        assert!(*used <= rule.limit, "{used} retries under {rule:?}");
    }
    let ends = build.outcome().is_some() || build.state == BuildState::Blocked;
    let looks_back = build.attempts.iter().any(Attempt::must_search_for_orphan);
    let lost = build.attempts.iter().any(Attempt::may_run_on) || build.strays.iter().any(Stray::may_run_on);
    let watches = build.lock == Slot::Held && lost;
    let rests = ends && live(build).is_empty() && todo(build).is_empty() && !looks_back && !watches;
    assert_eq!(build.due().is_none(), rests, "due at {:?}", build.due());
    if build.is_due_for_paced_launch() {
        let BuildState::Queued { not_before } = build.state else {
            panic!("due for a launch in {:?}", build.state)
        };
        assert!(build.due().is_some_and(|due| due <= not_before), "due at {:?}", build.due());
    }
    let text = serde_json::to_string(build).unwrap();
    assert_eq!(serde_json::from_str::<Build>(&text).unwrap(), *build);
}

/// Checks what holds for each step and for its result.
pub(super) fn check_step(before: &Build, after: &Build) {
    check(after);
    assert_ne!(before, after, "a step that changes nothing is to be ignored");
    let decided = before.outcome().is_none() && before.state != BuildState::Blocked && after.outcome().is_some();
    let pushed = |fits: fn(&BuildEffect) -> bool| after.outbox.since(&before.outbox).filter(|pending| fits(&pending.effect)).count();
    let announced = pushed(|effect| matches!(effect, BuildEffect::Announce(BuildNews::Finished { .. })));
    // Results are collected before the end is announced.
    let collects = pushed(|effect| matches!(effect, BuildEffect::Collect { .. }));
    let collecting = |build: &Build| usize::from(build.outbox.any(|effect| matches!(effect, BuildEffect::Collect { .. })));
    let collected = collecting(before) - collecting(before).min(collecting(after));
    assert_eq!(announced + collects, usize::from(decided) + collected, "announcements of the end");
    let notified = pushed(|effect| matches!(effect, BuildEffect::NotifyRun { .. }));
    // A build that is cancelled before its release notifies only its run.
    let unreleased = before.state == BuildState::Blocked && matches!(after.outcome(), Some(Outcome::Cancelled | Outcome::Superseded));
    assert_eq!(notified, announced + usize::from(unreleased), "notifications of the run");
    let slots = |build: &Build| u8::from(matches!(build.slot, Slot::Requested | Slot::Held));
    let left = pushed(|effect| matches!(effect, BuildEffect::ReleaseSlot { .. }));
    assert!(left >= usize::from(slots(before) > slots(after)), "a slot that is not released");
    let locks = |build: &Build| u8::from(matches!(build.lock, Slot::Requested | Slot::Held));
    let left = pushed(|effect| matches!(effect, BuildEffect::ReleaseLock { .. }));
    assert!(left >= usize::from(locks(before) > locks(after)), "a lock that is not released");
    if locks(before) > locks(after) {
        let proven = live(after).is_empty() && !after.may_have_orphans();
        assert!(after.outcome().is_some() && proven, "a lock that is released too early");
    }
    if before.outcome().is_some() {
        assert_eq!(before.state, after.state, "an outcome was changed");
    }
    // Each refusal is counted once, under its kind.
    for (known, attempt) in before.attempts.iter().zip(&after.attempts) {
        let counted = (attempt.refusals + attempt.throttles).checked_sub(known.refusals + known.throttles);
        assert!(counted.is_some_and(|counted| counted <= 1), "{known:?} became {attempt:?}");
    }
}

/// Something that may happen, sensible or not.
#[derive(Debug, Clone)]
enum Happening {
    Event(BuildEvent),
    /// The oldest pending launch is accepted.
    Accept,
    /// The agent of the oldest pending launch is seen before the launch is answered.
    Overtake(AgentStatus),
    /// The oldest pending launch is refused.
    Refuse(Refusal, bool),
    /// An observation of the current attempt's agent, or of the previous one.
    OfAttempt {
        back: usize,
        newer: bool,
        status: AgentStatus,
    },
    /// One of the pending effects has been performed.
    Perform(usize),
    /// A try of one of the pending effects failed.
    Defer(usize),
    /// The sweep processes the build when it is due.
    TickWhenDue,
    /// The same, and polls of the agents fail.
    TickUnseen,
    Pass(i64),
}

fn policies() -> impl Strategy<Value = RetryPolicy> {
    let everything = [RetryOn::Interrupted, RetryOn::Infrastructure, RetryOn::Failure, RetryOn::Timeout];
    let rule = (
        proptest::sample::subsequence(everything.to_vec(), 0..=4),
        proptest::sample::subsequence(vec![1, 75, 137], 0..=2),
        0..3u32,
        select(vec![0u64, 30, 600]),
        select(vec![None, Some(SPOT), Some(ON_DEMAND)]),
    )
        .prop_map(|(on, exit_codes, limit, backoff, capacity)| RetryRule {
            on,
            exit_codes,
            limit,
            backoff: Duration::from_secs(backoff),
            capacity,
        });
    prop_oneof![
        Just(RetryPolicy::default()),
        Just(RetryPolicy::never()),
        prop::collection::vec(rule, 1..4).prop_map(|rules| RetryPolicy { rules }),
    ]
}

fn specs() -> impl Strategy<Value = BuildSpec> {
    (
        policies(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        select(vec![1u64, 60, 3600]),
        select(vec![1u64, 60, 3600]),
        (prop::option::weighted(0.3, 1..4u32), prop::bool::weighted(0.2)),
        (prop::bool::weighted(0.3), prop::bool::weighted(0.2)),
    )
        .prop_map(
            |(retry, critical, patient, timeout, queue_timeout, (limit, artifacts), (locked, fetches))| BuildSpec {
                limit,
                lock: locked.then(|| "lock/shop/staging".parse().unwrap()),
                inputs: if fetches { fetching() } else { Inputs::default() },
                artifacts: if artifacts { vec!["target/*".to_owned()] } else { Vec::new() },
                retry,
                critical,
                relaunch: if patient || locked { Relaunch::Stopped } else { Relaunch::Warning },
                timeout: Duration::from_secs(timeout),
                queue_timeout: Duration::from_secs(queue_timeout),
                ..spec()
            },
        )
}

fn fetching() -> Inputs {
    Inputs {
        fetch: vec!["package".parse().unwrap()],
        ..Inputs::default()
    }
}

fn capacities() -> impl Strategy<Value = Capacity> {
    select(vec![SPOT, ON_DEMAND])
}

fn refusals() -> impl Strategy<Value = Refusal> {
    let invalid = Refusal::Invalid("MISSING".to_owned());
    prop_oneof![
        8 => select(vec![no_capacity(), throttled(), account_limit()]),
        3 => select(vec![
            Refusal::Transient("InternalError".to_owned()),
            Refusal::Unknown("AccessDeniedException: no".to_owned()),
            Refusal::Paused("an alarm".to_owned()),
        ]),
        1 => Just(invalid),
    ]
}

fn stops() -> impl Strategy<Value = Stop> {
    let report = prop_oneof![
        Just(None),
        (select(vec![0, 1, 75, 143]), any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(exit_code, signalled, checkout)| {
            Some(Report {
                phase: if checkout { ReportPhase::Checkout } else { ReportPhase::Script },
                signalled,
                ..script_ended(exit_code)
            })
        }),
    ];
    let stop = select(vec![
        exited(0),
        exited(1),
        exited(75),
        taken_back(),
        out_of_memory(),
        failed_to_start(),
        without_capacity(),
        stop(StopCause::NotNow, "InsufficientFreeAddressesInSubnet", None),
        stopped_by_a_person(),
        lost(),
    ]);
    (stop, report).prop_map(|(stop, report)| Stop { report, ..stop })
}

fn statuses() -> impl Strategy<Value = AgentStatus> {
    prop_oneof![
        1 => Just(AgentStatus::Starting),
        3 => select(vec![None, Some(t(-100)), Some(t(5000))]).prop_map(|since| AgentStatus::Running { since }),
        3 => Just(AgentStatus::Interrupted),
        1 => Just(AgentStatus::Stopping),
        3 => stops().prop_map(AgentStatus::Stopped),
    ]
}

/// An agent that need not fit the attempt whose name it carries.
fn agents() -> impl Strategy<Value = AgentId> {
    (1..4u32, select(vec!['a', 'b'])).prop_map(|(number, letter)| arn(&format!("{number}{letter}")))
}

fn events() -> impl Strategy<Value = BuildEvent> {
    let attempts = || prop_oneof![9 => 1..4u32, 1 => select(vec![0, 7, u32::MAX])];
    prop_oneof![
        1 => Just(BuildEvent::Released),
        1 => Just(BuildEvent::Skipped { because: "lint".parse().unwrap() }),
        1 => Just(cancelled(Outcome::Cancelled)),
        2 => (0..2u32).prop_map(|turn| BuildEvent::Granted { turn }),
        1 => Just(BuildEvent::LockGranted),
        1 => select(vec![Ok("scripts/shop/0a1b".to_owned()), Err("gone".to_owned())]).prop_map(BuildEvent::InputsFound),
        1 => attempts().prop_map(|attempt| BuildEvent::Collected { attempt, results: Results::default() }),
        2 => (attempts(), capacities(), agents())
            .prop_map(|(attempt, capacity, agent)| BuildEvent::LaunchAccepted { attempt, capacity, agent }),
        2 => (attempts(), capacities(), 0..3u32, refusals(), any::<bool>()).prop_map(|(attempt, capacity, round, refusal, spent)| {
            BuildEvent::LaunchRefused { attempt, capacity, round, refusal, spent }
        }),
        6 => (attempts(), agents(), prop::option::of(0..12u64), prop::option::of(capacities()), statuses()).prop_map(
            |(attempt, agent, version, capacity, status)| BuildEvent::Agent {
                attempt,
                observation: Observation { agent, version, capacity, status },
            }
        ),
        2 => (0..8000i64).prop_map(|second| BuildEvent::Tick { polled_at: t(second) }),
    ]
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => events().prop_map(Happening::Event),
        4 => Just(Happening::Accept),
        2 => statuses().prop_map(Happening::Overtake),
        2 => (refusals(), any::<bool>()).prop_map(|(refusal, spent)| Happening::Refuse(refusal, spent)),
        6 => (0..2usize, prop::bool::weighted(0.8), statuses())
            .prop_map(|(back, newer, status)| Happening::OfAttempt { back, newer, status }),
        3 => (0..8usize).prop_map(Happening::Perform),
        2 => (0..8usize).prop_map(Happening::Defer),
        3 => Just(Happening::TickWhenDue),
        1 => Just(Happening::TickUnseen),
        2 => prop_oneof![0..90i64, 0..4000i64].prop_map(Happening::Pass),
    ]
}

/// What happens to a build in its state, if it can happen.
fn happens(build: &Build, happening: Happening, now: Timestamp) -> Option<Step<BuildEvent>> {
    let launch = build.outbox.pending().iter().find_map(|pending| match &pending.effect {
        BuildEffect::Launch { attempt, capacity, round } => Some((*attempt, *capacity, *round)),
        _ => None,
    });
    match happening {
        Happening::Event(event) => Some(event.into()),
        Happening::Accept => {
            let (attempt, capacity, _) = launch?;
            let agent = launched(attempt, capacity);
            Some(BuildEvent::LaunchAccepted { attempt, capacity, agent }.into())
        }
        Happening::Overtake(status) => {
            let (attempt, capacity, _) = launch?;
            let observation = Observation {
                agent: launched(attempt, capacity),
                version: None,
                capacity: Some(capacity),
                status,
            };
            Some(BuildEvent::Agent { attempt, observation }.into())
        }
        Happening::Refuse(refusal, spent) => {
            let (attempt, capacity, round) = launch?;
            let refused = BuildEvent::LaunchRefused {
                attempt,
                capacity,
                round,
                refusal,
                spent,
            };
            Some(refused.into())
        }
        Happening::OfAttempt { back, newer, status } => {
            let attempt = build.attempts.iter().rev().nth(back)?;
            let observation = Observation {
                agent: attempt.agent.clone()?,
                version: newer.then_some(attempt.seen_version + 1),
                capacity: None,
                status,
            };
            let attempt = attempt.number;
            Some(BuildEvent::Agent { attempt, observation }.into())
        }
        Happening::Perform(index) => {
            let pending = build.outbox.pending();
            let pending = pending.get(index % pending.len().max(1))?;
            match pending.effect {
                BuildEffect::Launch { .. } => None,
                BuildEffect::Collect { attempt, .. } => Some(collected(attempt)),
                BuildEffect::SearchOrphan { attempt } => {
                    let found = Vec::new();
                    Some(BuildEvent::Searched { attempt, found }.into())
                }
                BuildEffect::FindInputs => Some(BuildEvent::InputsFound(Ok("scripts/shop/0a1b".to_owned())).into()),
                BuildEffect::AcquireLock => Some(BuildEvent::LockGranted.into()),
                _ => Some(Step::Performed(pending.id)),
            }
        }
        Happening::Defer(index) => {
            let pending = build.outbox.pending();
            let pending = pending.get(index % pending.len().max(1))?;
            Some(Step::Deferred(pending.id, "no answer".to_owned()))
        }
        Happening::TickUnseen => Some(BuildEvent::Tick { polled_at: Timestamp::MIN }.into()),
        Happening::TickWhenDue | Happening::Pass(_) => Some(BuildEvent::Tick { polled_at: now }.into()),
    }
}

/// The results of an attempt that leaves none.
fn collected(attempt: u32) -> Step<BuildEvent> {
    let results = Results::default();
    BuildEvent::Collected { attempt, results }.into()
}

/// One agent for each attempt and capacity, as of a service that honours tokens.
fn launched(attempt: u32, capacity: Capacity) -> AgentId {
    arn(&format!("{attempt}-{capacity}"))
}

fn moment(build: &Build, now: Timestamp, happening: &Happening) -> Timestamp {
    match happening {
        Happening::TickWhenDue | Happening::TickUnseen => build.due().map_or(now, |due| due.max(now)),
        Happening::Pass(seconds) => later(now, Duration::from_secs(seconds.unsigned_abs())),
        _ => now,
    }
}

/// That the agents of a build's attempts have stopped.
fn ends_of_agents(build: &Build) -> impl Iterator<Item = BuildEvent> {
    build.attempts.iter().filter_map(|attempt| {
        let observation = Observation {
            agent: attempt.agent.clone()?,
            version: None,
            capacity: None,
            status: AgentStatus::Stopped(exited(0)),
        };
        Some(BuildEvent::Agent {
            attempt: attempt.number,
            observation,
        })
    })
}

/// Applies a step to a build, and checks the result.
fn step(build: &Build, step: impl Into<Step<BuildEvent>>, now: Timestamp) -> Build {
    let step = step.into();
    let past = matches!(&step, Step::Event(event) if build.is_past(event));
    let next = match build.take(&step, now) {
        Decision::Next(next) => {
            assert!(!past, "what is past changes nothing: {step:?}");
            check_step(build, &next);
            *next
        }
        Decision::Ignored(why) => {
            assert!(!past || why == Ignored::AttemptOver, "{why:?}");
            build.clone()
        }
    };
    for event in ends_of_agents(build).filter(|event| build.is_past(event)) {
        assert!(next.is_past(&event), "what is past stays past: {event:?}");
    }
    if step == Step::Event(BuildEvent::Tick { polled_at: now }) {
        let rest = Build {
            outbox: Outbox::default(),
            ..next.clone()
        };
        assert!(
            rest.due().is_none_or(|due| due > now),
            "a processed build is still due at {:?}: {rest:?}",
            rest.due()
        );
    }
    next
}

/// From here on every launch is refused, and every poll shows that the agent is gone. The build must end by itself.
fn wind_down(mut build: Build, mut now: Timestamp) {
    build = step(&build, &BuildEvent::Released, now);
    for _ in 0..2000 {
        let pending: Vec<_> = build.outbox.pending().to_vec();
        for pending in pending {
            let answer = match pending.effect {
                BuildEffect::Launch { attempt, capacity, round } => Step::Event(BuildEvent::LaunchRefused {
                    attempt,
                    capacity,
                    round,
                    refusal: account_limit(),
                    spent: true,
                }),
                BuildEffect::Collect { attempt, .. } => collected(attempt),
                _ => Step::Performed(pending.id),
            };
            build = step(&build, answer, now);
        }
        for (attempt, agent) in build.agents_to_check(now) {
            let observation = Observation {
                agent,
                version: None,
                capacity: None,
                status: AgentStatus::Stopped(lost()),
            };
            build = step(&build, &BuildEvent::Agent { attempt, observation }, now);
        }
        if !build.outbox.pending().is_empty() {
            continue;
        }
        let Some(due) = build.due() else {
            assert!(build.outcome().is_some(), "nothing is due, and there is no outcome: {build:?}");
            assert_eq!(live(&build), [""; 0]);
            return;
        };
        now = now.max(due);
        // As in the sweep, agents are polled before timeouts apply.
        if build.agents_to_check(now).is_empty() {
            build = step(&build, &BuildEvent::Tick { polled_at: now }, now);
        }
    }
    panic!("the build does not come to an end: {build:?}");
}

/// From here on every service fails, and no event of an agent arrives; only notifications between records succeed. The build must end by itself, and
/// every effect with it.
fn fall_silent(mut build: Build, mut now: Timestamp) {
    build = step(&build, &BuildEvent::Released, now);
    let begun = now;
    for _ in 0..4000 {
        for pending in build.outbox.pending().to_vec() {
            if pending.tries > 0 && pending.due() > now {
                continue;
            }
            let answer = match pending.effect {
                BuildEffect::AcquireSlot
                | BuildEffect::ReleaseSlot { .. }
                | BuildEffect::AcquireLock
                | BuildEffect::ReleaseLock { .. }
                | BuildEffect::NotifyRun { .. } => Step::Performed(pending.id),
                _ => Step::Deferred(pending.id, "AccessDeniedException: no".to_owned()),
            };
            build = step(&build, answer, now);
        }
        // A lock is kept as long as an agent may run, and polled for.
        let Some(due) = build.due().filter(|_| !build.only_keeps_lock()) else {
            assert!(build.outcome().is_some(), "nothing is due, and there is no outcome: {build:?}");
            assert_eq!((live(&build).len(), build.outbox.pending().len()), (0, 0));
            let took = now.duration_since(begun);
            assert!(took.as_hours() < 30, "it took {took}");
            return;
        };
        now = now.max(due).max(later(now, Duration::from_secs(60)));
        build = step(&build, &BuildEvent::Tick { polled_at: Timestamp::MIN }, now);
    }
    panic!("the build does not come to an end: {build:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_build_stays_sound_and_ends_after_any_events(
        spec in specs(),
        blocked in prop::bool::weighted(0.1),
        happenings in prop::collection::vec(happenings(), 0..60),
    ) {
        let mut now = t(0);
        let mut build = if blocked { Build::blocked(spec, now) } else { Build::ready(spec, now) };
        check(&build);
        for next in happenings {
            now = moment(&build, now, &next);
            if let Some(next) = happens(&build, next, now) {
                build = step(&build, next, now);
            }
        }
        wind_down(build, now);
    }

    #[test]
    fn a_build_ends_although_no_service_ever_answers_again(
        spec in specs(),
        happenings in prop::collection::vec(happenings(), 0..40),
    ) {
        let mut now = t(0);
        let mut build = Build::ready(spec, now);
        for next in happenings {
            now = moment(&build, now, &next);
            if let Some(next) = happens(&build, next, now) {
                build = step(&build, next, now);
            }
        }
        fall_silent(build, now);
    }

    /// As long as events are true, a launching attempt has an agent or a pending launch.
    #[test]
    fn no_launch_is_ever_forgotten(spec in specs(), happenings in prop::collection::vec(happenings(), 0..60)) {
        let mut now = t(0);
        let mut build = Build::ready(spec, now);
        for next in happenings {
            if matches!(next, Happening::Event(_)) && !matches!(next, Happening::Event(BuildEvent::Granted { .. })) {
                continue;
            }
            now = moment(&build, now, &next);
            let Some(next) = happens(&build, next, now) else { continue };
            build = step(&build, next, now);
            let launches = build.outbox.any(|effect| matches!(effect, BuildEffect::Launch { .. }));
            prop_assert!(!launches || build.spec.lock.is_none() || build.lock == Slot::Held, "a launch without its lock");
            prop_assert!(!launches || !build.spec.inputs.are_open(), "a launch without its inputs");
            prop_assert!(!launches || build.spec.limit.is_none() || build.slot == Slot::Held, "a launch without a slot");
            for attempt in &build.attempts {
                let wants_one = attempt.phase == Phase::Launching && attempt.agent.is_none();
                let asked = |effect: &BuildEffect| {
                    matches!(effect, BuildEffect::Launch { attempt: number, capacity, round }
                        if *number == attempt.number && *capacity == attempt.capacity && *round == attempt.round)
                };
                prop_assert_eq!(wants_one, build.outbox.any(asked), "{:?}", attempt);
            }
        }
    }
}
