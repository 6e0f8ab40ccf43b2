//! The CodePipeline action that waits for a run.

use super::*;

#[test]
fn an_action_is_continued_and_answered_under_its_newest_job() {
    let run = waited_for();
    assert_eq!(run.due(), Some(t(360)));
    assert_eq!(run.decide(&RunEvent::Tick, t(359)), Decision::Ignored(Ignored::NotDue));
    let run = decide(&run, &RunEvent::Tick, 360);
    assert_eq!(effects(&run), ["continue a1"]);
    // The run ends before the next job arrives: CodePipeline would refuse a result for the last one.
    let over = finish(&run, "build", Outcome::Succeeded);
    assert_eq!(effects(&over), ["continue a1", "announce", "report"]);
    let answered = decide(&over, RunEvent::ActionJob(id("b2")), 400);
    assert_eq!(effects(&answered), ["announce", "report", "answer b2"]);
    for repeated in ["a1", "b2"] {
        assert!(matches!(
            answered.decide(&RunEvent::ActionJob(id(repeated)), t(401)),
            Decision::Ignored(_)
        ));
    }
    // Or the next job arrives first.
    let open = decide(&run, RunEvent::ActionJob(id("b2")), 390);
    assert_eq!(
        effects(&finish(&open, "build", Outcome::Failed)),
        ["announce", "report", "answer b2"]
    );
    assert_eq!(open.due(), Some(t(750)));
}

#[test]
fn a_continuation_that_could_not_be_sent_does_not_end_the_action() {
    let run = decide(&waited_for(), &RunEvent::Tick, 360);
    let again = decide(&run, &RunEvent::Tick, 360 + 900);
    assert_eq!((effects(&again), again.status()), (vec!["continue a1".to_owned()], "open"));
}

#[test]
fn a_run_whose_action_does_not_return_is_cancelled() {
    let run = decide(&waited_for(), &RunEvent::Tick, 360);
    let sent = run.outbox.pending()[0].id;
    let run = decide(&run, Step::Performed(sent), 361);
    let run = decide(&run, RunEvent::ActionContinued(id("a1")), 361);
    assert_eq!(run.decide(&RunEvent::Tick, t(361 + 899)), Decision::Ignored(Ignored::NotDue));
    let run = decide(&run, &RunEvent::Tick, 361 + 900);
    assert_eq!(effects(&run), ["cancel build as cancelled"]);
    // It returns nevertheless, and gets the result.
    let run = finish(&run, "build", Outcome::Cancelled);
    let run = decide(&run, RunEvent::ActionJob(id("b2")), 2000);
    assert_eq!(effects(&run).last().unwrap(), "answer b2");
}

#[test]
fn a_rejected_run_is_answered_at_once() {
    let run = Run::rejected("abcdefghij".parse().unwrap(), &push(), "no".to_owned(), t(0));
    let run = run.for_action(id("a1"), "test".parse().unwrap(), t(0));
    assert_eq!(effects(&run), ["announce", "report", "answer a1"]);
}
