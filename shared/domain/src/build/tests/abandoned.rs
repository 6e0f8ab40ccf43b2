//! Services that refuse, or never answer: abandoned effects and lost agents.

use super::*;

#[test]
fn an_effect_is_performed_once() {
    let story = Story::new(spec()).up().stopped("1a", exited(0));
    let id = story.build.outbox.pending()[0].id;
    story
        .happens(Step::Performed(id))
        .expect_news()
        .happens(Step::Performed(id))
        .expect_ignored(Ignored::NothingNew);
}

#[test]
fn an_agent_that_counted_as_lost_is_stopped_again_when_it_is_seen() {
    let story = Story::new(spec())
        .accepted(SPOT, "1a")
        .tick(20 * MINUTE)
        .performed()
        .tick(35 * MINUTE)
        .expect_attempts(&[SPOT, ON_DEMAND])
        .expect_retries(&[0, 0])
        .performed();
    story
        .running("1a@9")
        .expect_todo(&["launch 2 on on-demand", "stop 1a: bellhop: the build is over"])
        .running("1a@9")
        .expect_ignored(Ignored::NothingNew)
        .performed()
        .stopped("1a@10", stopped_by_a_person())
        .expect_ignored(Ignored::AttemptOver);
}

#[test]
fn an_agent_that_never_says_that_it_has_stopped_counts_as_lost() {
    let mut story = Story::new(BuildSpec { limit: Some(1), ..spec() })
        .happens(&BuildEvent::Granted { turn: 0 })
        .up()
        .happens(cancelled(Outcome::Cancelled))
        .performed();
    while story.build.outcome().is_none() || story.build.attempts[0].is_live() {
        story = story.tick_when_due();
        assert!(story.second < HOUR, "it holds its slot");
        if !story.build.outbox.any(|effect| matches!(effect, BuildEffect::ReleaseSlot { .. })) {
            story = story.expect_todo(&["stop 1a: bellhop: the build is over"]).performed();
        }
    }
    assert!((15 * MINUTE..17 * MINUTE).contains(&story.second), "{}", story.second);
    assert_eq!(story.abandoned()[0].why, "AWS has not confirmed that it stopped");
    story
        .expect_todo(&["announce: could not stop the agent of attempt 1", "release its slot"])
        .performed()
        .expect_rest();
}

#[test]
fn a_denied_stop_is_abandoned_and_reported_once() {
    let story = Story::new(spec())
        .up()
        .happens(cancelled(Outcome::Cancelled))
        .fails_with("failed to stop 1a: AccessDeniedException: no", is_stop);
    assert_eq!(story.abandoned().len(), 1, "{:?}", story.abandoned());
    assert_eq!(story.abandoned()[0].why, "failed to stop 1a: AccessDeniedException: no");
    story.performed().expect_live(&[]).expect_rest();
}

#[test]
fn a_lost_agent_is_replaced_only_if_two_may_run() {
    let lost = |spec: BuildSpec| {
        let retried = BuildSpec {
            retry: RetryPolicy {
                rules: vec![RetryRule {
                    on: vec![RetryOn::Timeout],
                    exit_codes: Vec::new(),
                    limit: 1,
                    backoff: Duration::ZERO,
                    capacity: None,
                }],
            },
            timeout: Duration::from_secs(60),
            ..spec
        };
        let mut story = Story::new(retried)
            .up()
            .tick(61)
            .expect_todo(&["stop 1a: bellhop: the build ran longer than its timeout"]);
        while story.build.attempts[0].is_live() {
            story = story.performed().tick_when_due();
        }
        story
    };
    lost(spec()).expect_attempts(&[SPOT, SPOT]);
    lost(relaunched_when_stopped()).expect_attempts(&[SPOT]).expect_finished(
        Outcome::TimedOut,
        "it ran longer than its timeout of 1m; the build is not retried, because its agent may still be running (`relaunch: stopped`)",
    );
}

#[test]
fn a_stray_that_never_stops_does_not_keep_the_build_due() {
    let mut story = Story::new(spec()).up().running("1b").stopped("1a", exited(0)).performed();
    for _ in 0..40 {
        if story.build.due().is_none() {
            break;
        }
        story = story.tick_when_due().performed();
    }
    story.expect_rest();
}

#[test]
fn a_launch_without_an_answer_ends_with_the_last_error_of_the_service() {
    let impatient = BuildSpec {
        queue_timeout: Duration::from_secs(60),
        ..spec()
    };
    let story = Story::new(impatient);
    let id = story.effect(|effect| matches!(effect, BuildEffect::Launch { .. }));
    story
        .happens(Step::Deferred(
            id,
            "failed to launch it: ServerException: Service Unavailable".to_owned(),
        ))
        .tick(60)
        .expect_finished(
            Outcome::TimedOut,
            "no agent within its queue-timeout of 1m: failed to launch it: ServerException: Service Unavailable",
        );
}
