//! Files of other jobs.

use super::*;

fn fetching() -> BuildSpec {
    let fetch = vec!["package".parse().unwrap()];
    BuildSpec {
        inputs: Inputs {
            fetch,
            ..Inputs::default()
        },
        ..spec()
    }
}

#[test]
fn what_a_build_fetches_is_listed_before_its_launch_and_once() {
    let found = BuildEvent::InputsFound(Ok("scripts/shop/0a1b".to_owned()));
    let story = Story::new(fetching())
        .expect_todo(&["find its inputs"])
        .expect_status("queued")
        .happens(&found)
        .expect_todo(&["launch 1 on spot"])
        .happens(&found)
        .expect_ignored(Ignored::NothingNew);
    assert_eq!(story.build.spec.inputs.manifest.as_deref(), Some("scripts/shop/0a1b"));
    story
        .up()
        .warned("1a")
        .expect_todo(&["launch 2 on on-demand", "announce attempt 2 on on-demand"]);
}

#[test]
fn a_build_whose_files_cannot_be_had_fails_without_an_agent() {
    Story::new(fetching())
        .happens(BuildEvent::InputsFound(Err(
            "job `package` of run abcdefghij kept no files".to_owned()
        )))
        .expect_finished(
            Outcome::Failed,
            "its files of other jobs cannot be had: job `package` of run abcdefghij kept no files",
        )
        .expect_live(&[]);
}

#[test]
fn files_that_are_never_listed_end_with_the_queue_timeout() {
    Story::new(fetching())
        .fails_with("the ledger did not answer", |effect| *effect == BuildEffect::FindInputs)
        .tick(2 * HOUR)
        .expect_finished(
            Outcome::TimedOut,
            "no agent within its queue-timeout of 2h: the files that it fetches have not been listed",
        );
}
