//! The end of a build: cancellation, skipping, results, reports.

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
        results: Results::default(),
    }
}

#[test]
fn a_skipped_build_ends_without_a_message() {
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
fn a_late_success_does_not_revive_a_cancelled_build() {
    Story::new(spec())
        .up()
        .happens(cancelled(Outcome::Superseded))
        .stopped("1a", exited(0))
        .expect_finished(Outcome::Superseded, "not wanted")
        .happens(cancelled(Outcome::Cancelled))
        .expect_ignored(Ignored::Over);
}

#[test]
fn a_blocked_build_that_is_cancelled_notifies_only_its_run() {
    Story::of(Build::blocked(spec(), t(0)))
        .happens(cancelled(Outcome::Cancelled))
        .expect_finished(Outcome::Cancelled, "not wanted")
        .expect_todo(&["notify the run cancelled"])
        .happens(&BuildEvent::Released)
        .expect_ignored(Ignored::Over)
        .performed()
        .expect_rest();
}

#[test]
fn results_are_collected_before_the_end_is_announced() {
    kept()
        .stopped("1a", exited(1))
        .expect_finished(Outcome::Failed, "the script ended with exit code 1")
        .expect_todo(&["collect 1"])
        .happens(collected())
        .expect_todo(&["announce failed by 1", "notify the run failed"])
        .happens(collected())
        .expect_ignored(Ignored::NothingNew);
}

#[test]
fn the_end_is_announced_without_results_that_cannot_be_read() {
    let mut story = kept().stopped("1a", exited(0));
    let id = story.build.outbox.pending()[0].id;
    for second in [0, 60, 180, 420, 899, 900] {
        story = story
            .expect_todo(&["collect 1"])
            .at(second)
            .happens(Step::Deferred(id, "no".to_owned()));
    }
    story.expect_todo(&[
        "announce succeeded by 1",
        "notify the run succeeded",
        "announce: could not read the artifacts of attempt 1",
    ]);
}

#[test]
fn results_of_a_cancelled_build_are_not_collected() {
    kept().happens(cancelled(Outcome::Cancelled)).expect_todo(&[
        "stop 1a: bellhop: the build is over",
        "announce cancelled by 1",
        "notify the run cancelled",
    ]);
}

#[test]
fn an_attempt_that_was_never_launched_leaves_no_orphan() {
    let patient = RetryRule {
        backoff: Duration::from_secs(600),
        ..rule(&[RetryOn::Interrupted], &[], 1)
    };
    Story::new(with_rules(vec![patient]))
        .up()
        .warned("1a")
        .expect_status("queued")
        .at(20)
        .stopped("1a", reporting(finished_in_time(), script_ended(0)))
        .expect_finished(Outcome::Succeeded, "")
        .expect_todo(&[
            "announce attempt 2 on on-demand",
            "announce succeeded by 1",
            "notify the run succeeded",
        ])
        .expect_live(&[])
        .expect_rest();
}

#[test]
fn an_attempt_has_an_end_once_it_is_over() {
    let up = Story::new(never_retried()).up();
    assert_eq!(up.build.attempts[0].end(), None);
    let over = up.stopped("1a", exited(2));
    assert_eq!(over.build.attempts[0].end().map(End::as_str), Some("failed"));
    let interrupted = Story::new(spec()).up().warned("1a");
    assert_eq!(interrupted.build.attempts[0].end(), None);
    let taken = interrupted.stopped("1a", taken_back());
    assert_eq!(taken.build.attempts[0].end().map(End::as_str), Some("interrupted"));
}
