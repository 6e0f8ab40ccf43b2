//! What a build waits for, and what people are told of it; and what they are told once an agent has stopped after its build was over.

use super::*;

const NONE: &str = "Capacity is unavailable at this time";

fn none() -> Refusal {
    Refusal::NoCapacity(NONE.to_owned())
}

/// Neither Spot nor on-demand has capacity.
fn without_capacity() -> Story {
    Story::new(spec()).refused(1, SPOT, none()).refused(1, ON_DEMAND, none())
}

impl Story {
    fn waits(&self) -> (Option<String>, Option<i64>) {
        let next = self.build.next_try();
        (self.build.waits_because(), next.map(|next| next.as_second() - t(0).as_second()))
    }

    /// Everything that is due is looked at up to a second, and every launch is refused.
    fn refused_until(mut self, second: i64) -> Self {
        while self.build.due().is_some_and(|due| due < t(second)) {
            self = self.tick_when_due().refused(1, ON_DEMAND, none());
        }
        self
    }

    fn announced(&self, kind: fn(&BuildNews) -> bool) -> Vec<BuildNews> {
        let news = self.build.outbox.pending().iter().filter_map(|pending| match &pending.effect {
            BuildEffect::Announce(news) => Some(news.clone()),
            _ => None,
        });
        news.filter(kind).collect()
    }
}

fn is_waiting(news: &BuildNews) -> bool {
    matches!(news, BuildNews::Waiting { .. })
}

fn is_stopped(news: &BuildNews) -> bool {
    matches!(news, BuildNews::Stopped { .. })
}

#[test]
fn everything_that_waits_says_what_for_and_until_when() {
    let mut needing = spec();
    needing.needs = vec!["lint".parse().unwrap()];
    assert_eq!(
        Story::of(Build::blocked(needing, t(0))).waits(),
        (Some("it needs lint".to_owned()), None)
    );

    let mut limited = spec();
    limited.limit = Some(2);
    let places = "all 2 slots of the agent `small` are in use";
    assert_eq!(Story::new(limited).waits(), (Some(places.to_owned()), None));

    let (because, next) = without_capacity().waits();
    assert_eq!(because.as_deref(), Some(NONE));
    assert!(matches!(next, Some(11..=15)), "{next:?}");

    let lost = stop(StopCause::Other, "lost", None);
    let (because, next) = Story::new(spec()).up().at(50).stopped("1a", lost).waits();
    assert_eq!(because.as_deref(), Some("attempt 2 starts after the backoff of its retry rule"));
    assert!(next.is_some_and(|next| next > 50));

    let patient = BuildSpec {
        relaunch: Relaunch::Stopped,
        ..spec()
    };
    let warned = Story::new(patient).up().at(60).warned("1a");
    let because = "Bellhop waits until attempt 1 has stopped";
    assert_eq!(warned.waits(), (Some(because.to_owned()), None));

    assert_eq!(Story::new(spec()).up().waits(), (None, None));
    assert_eq!(Story::new(spec()).up().stopped("1a", exited(0)).waits(), (None, None));
}

#[test]
fn a_build_that_waits_for_ten_minutes_says_so_once() {
    let story = without_capacity().refused_until(600);
    assert_eq!(story.announced(is_waiting), []);
    let story = story.tick(600);
    let told = story.announced(is_waiting);
    let [BuildNews::Waiting { cause, since, until, .. }] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((cause.as_str(), *since, *until), (NONE, t(0), t(7200)));
    assert_eq!(story.performed().refused_until(7000).announced(is_waiting), []);
}

#[test]
fn a_build_that_waits_for_a_place_says_so_as_well_and_one_that_is_given_up_before_does_not() {
    let mut limited = spec();
    limited.limit = Some(1);
    let story = Story::new(limited.clone()).performed();
    assert_eq!(story.build.due(), Some(t(600)));
    assert_eq!(story.tick(600).announced(is_waiting).len(), 1);
    limited.queue_timeout = Duration::from_secs(300);
    let story = Story::new(limited).performed().tick(300);
    assert_eq!(
        (story.announced(is_waiting).len(), story.build.outcome()),
        (0, Some(Outcome::TimedOut))
    );
}

#[test]
fn an_agent_that_stops_long_after_its_build_was_cancelled_is_told_of() {
    let ended = |at: i64| {
        let mut stop = exited(143);
        stop.at = Some(t(at));
        Story::new(spec())
            .up()
            .at(100)
            .happens(&cancelled(Outcome::Cancelled))
            .at(300)
            .stopped("1a", stop)
    };
    let told = ended(190).announced(is_stopped);
    let [BuildNews::Stopped { outcome, after, at, .. }] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((*outcome, *after, *at), (Outcome::Cancelled, Duration::from_secs(90), t(190)));
    assert_eq!(ended(105).announced(is_stopped).len(), 1, "people were told to wait for it");
    let superseded = Story::new(spec()).up().at(100).happens(&cancelled(Outcome::Superseded));
    assert_eq!(superseded.at(200).stopped("1a", exited(143)).announced(is_stopped), []);
}

/// Found by the simulation: the look for the agent of a second launch ended last, and nothing was told.
#[test]
fn the_end_of_an_agent_is_told_after_the_look_for_another_one_that_never_was() {
    let mut stop = exited(143);
    stop.at = Some(t(40));
    let mut story = Story::new(spec())
        .up()
        .warned("1a")
        .performed()
        .at(20)
        .happens(&cancelled(Outcome::Cancelled))
        .at(50)
        .stopped("1a", stop)
        .performed();
    assert_eq!(story.announced(is_stopped), [], "another agent may still run");
    for minute in 1..=6 {
        story = story.performed().tick(50 + minute * MINUTE);
    }
    let told = story.announced(is_stopped);
    let [BuildNews::Stopped { attempt, after, .. }] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((*attempt, *after), (1, Duration::from_secs(20)));
}

#[test]
fn an_attempt_has_ended_when_the_service_says_so_and_not_when_it_was_heard() {
    let ended = |at: Option<i64>| {
        let mut stop = exited(0);
        stop.at = at.map(t);
        let story = Story::new(spec())
            .accepted(SPOT, "1a")
            .at(30)
            .running("1a")
            .performed()
            .at(900)
            .stopped("1a", stop);
        match &story.build.attempts[0].phase {
            Phase::Ended { at, .. } => at.as_second() - t(0).as_second(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended(Some(600)), 600);
    assert_eq!(ended(None), 900);
    // Clocks differ; nothing ends before it began, or later than now.
    assert_eq!((ended(Some(0)), ended(Some(2000))), (30, 900));
}

#[test]
fn a_commit_that_is_gone_fails_the_build_at_once_whatever_the_retry_policy_says() {
    let mut stop = exited(90);
    stop.report = Some(Report {
        phase: ReportPhase::CommitGone,
        exit_code: 90,
        signalled: false,
        command: None,
        line: None,
        message: Some("commit 0123456 is not in the repository shop".to_owned()),
    });
    let eager = with_rules(vec![rule(
        &[RetryOn::Failure, RetryOn::Infrastructure, RetryOn::Interrupted, RetryOn::Timeout],
        &[],
        3,
    )]);
    let story = Story::new(eager).up().stopped("1a", stop).expect_finished(
        Outcome::Failed,
        "commit 0123456 is no longer in the repository: its branch was deleted or force-pushed",
    );
    let collects = story.build.outbox.any(|effect| matches!(effect, BuildEffect::Collect { .. }));
    assert!(!collects, "nothing was left by a script that never began: {:?}", story.build.outbox);
}

#[test]
fn a_script_that_survives_a_lack_of_memory_succeeds_with_a_remark() {
    for sidecar in [false, true] {
        let mut stop = exited(0);
        stop.containers[0].reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        if sidecar {
            let mut proxy = stop.containers[0].clone();
            (proxy.name, proxy.reason) = ("proxy".to_owned(), None);
            stop.containers.push(proxy);
        }
        let story = Story::new(spec()).up().stopped("1a", stop);
        assert_eq!(story.build.outcome(), Some(Outcome::Succeeded));
        assert!(story.build.attempts[0].remark.as_ref().unwrap().contains("memory"));
    }
    assert_eq!(Story::new(spec()).up().stopped("1a", exited(0)).build.attempts[0].remark, None);
}
