//! Small differences that no story told apart: each of these was found by changing the code and seeing every other test pass.

use super::*;

#[test]
fn an_answered_launch_is_done_with_even_if_its_agent_is_known_already() {
    let mut build = Build::ready(spec(), t(0));
    build.attempts[0].agent = Some(arn("1a"));
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 1,
        capacity: SPOT,
        agent: arn("1a"),
    };
    let Decision::Next(next) = build.decide(&accepted, t(1)) else {
        panic!("the launch stays in the outbox");
    };
    assert_eq!(todo(&next), [""; 0]);
    assert_eq!(next.decide(&accepted, t(2)), Decision::Ignored(Ignored::NothingNew));
}

#[test]
fn the_last_hope_of_a_build_whose_replacement_cannot_be_launched_takes_it_along() {
    Story::new(spec())
        .up()
        .warned("1a")
        .refused(2, ON_DEMAND, Refusal::Invalid("TaskDefinition not found.".to_owned()))
        .expect_status("running")
        .stopped("1a", taken_back())
        .expect_finished(
            Outcome::InfrastructureFailed,
            "the agent cannot be launched: TaskDefinition not found.",
        )
        .performed()
        .tick(MINUTE)
        .performed()
        .expect_rest();
}

#[test]
fn a_container_s_words_are_told_beside_the_service_s_unless_they_are_the_same() {
    let lost_with = |reason: &str| {
        let mut stop = lost();
        stop.containers[0].reason = Some(reason.to_owned());
        Story::new(never_retried()).up().stopped("1a", stop)
    };
    let service = "the service no longer lists the agent";
    lost_with(service).expect_finished(Outcome::InfrastructureFailed, &format!("the agent was lost: {service}"));
    lost_with("DockerTimeoutError").expect_finished(
        Outcome::InfrastructureFailed,
        &format!("the agent was lost: {service}; container agent: DockerTimeoutError"),
    );
}

#[test]
fn an_attempt_that_was_never_launched_leaves_nothing_to_look_for() {
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
            "tell the run succeeded",
        ])
        .expect_live(&[])
        .expect_rest();
}

#[test]
fn an_attempt_has_an_end_once_it_is_over() {
    let up = Story::new(never_retried()).up();
    assert_eq!(up.build.attempts[0].end(), None);
    let over = up.stopped("1a", exited(2));
    assert_eq!(over.build.attempts[0].end().map(End::word), Some("failed"));
    let interrupted = Story::new(spec()).up().warned("1a");
    assert_eq!(interrupted.build.attempts[0].end(), None);
    let taken = interrupted.stopped("1a", taken_back());
    assert_eq!(taken.build.attempts[0].end().map(End::word), Some("interrupted"));
}

#[test]
fn one_look_at_a_time_is_enough_for_an_agent_that_may_not_exist() {
    let mut hasty = never_retried();
    hasty.queue_timeout = Duration::from_secs(60);
    let story = Story::new(hasty).tick(60).expect_status("timed-out").performed().expect_todo(&[]);
    // The look was in vain, and the next one is not due; something else is.
    let looking = story.clone().tick(60 + MINUTE).expect_todo(&["find 1"]);
    // It waits in the outbox while time goes on: no second one beside it.
    looking.tick(60 + 3 * MINUTE).expect_todo(&["find 1"]);
}

/// What the fuzzing of records starts from is what this version reads: a record that it could not read would be a build lost at an update.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test may read what it is about")]
fn the_seeds_of_the_fuzzing_are_records() {
    let mut builds = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/record")).unwrap() {
        let path = file.unwrap().path();
        let (text, name) = (std::fs::read_to_string(&path).unwrap(), path.file_name().unwrap().to_string_lossy());
        match name.split(['-', '.']).next().unwrap() {
            "build" => {
                let build: Build = serde_json::from_str(&text).unwrap();
                properties::check(&build);
                builds += 1;
            }
            "run" => assert!(serde_json::from_str::<crate::run::Run>(&text).is_ok(), "{name}"),
            "report" => assert!(serde_json::from_str::<Report>(&text).is_ok(), "{name}"),
            _ => panic!("{name} is of no kind"),
        }
    }
    assert_eq!(builds, 5);
}
