//! Effects that fail until they are abandoned.

use super::*;

/// The matching effect fails at these seconds.
fn failing(run: &Run, fits: fn(&RunEffect) -> bool, seconds: &[i64]) -> Run {
    let id = run.outbox.pending().iter().find(|pending| fits(&pending.effect)).unwrap().id;
    seconds.iter().fold(run.clone(), |run, second| {
        decide(
            &run,
            Step::Deferred(id, "failed to ask: AccessDeniedException: no".to_owned()),
            *second,
        )
    })
}

#[test]
fn an_action_that_cannot_be_answered_is_abandoned_and_reported_once() {
    let news = "announce: could not report";
    let open = decide(&waited_for(), &RunEvent::Tick, 360);
    let is_continue = |effect: &RunEffect| matches!(effect, RunEffect::Continue { .. });
    let abandoned = failing(&open, is_continue, &[360, 960, 1560]);
    assert_eq!(
        effects(&abandoned),
        [format!("{news} to CodePipeline that the run is still in progress")]
    );
    assert_eq!((abandoned.status(), abandoned.action.as_ref().unwrap().due()), ("open", None));
    // No action waits for its end.
    assert_eq!(
        effects(&finish(&abandoned, "build", Outcome::Succeeded))[1..],
        ["announce", "report"]
    );
    let over = finish(&waited_for(), "build", Outcome::Succeeded);
    let abandoned = failing(
        &over,
        |effect| matches!(effect, RunEffect::ReportToPipeline { .. }),
        &[0, 1199, 1200],
    );
    assert_eq!(effects(&abandoned)[2..], [format!("{news} the run's outcome to CodePipeline")]);
}

#[test]
fn a_report_that_cannot_be_written_is_abandoned_and_a_notification_of_a_record_is_not() {
    let over = finish(&waited_for(), "build", Outcome::Succeeded);
    let abandoned = failing(&over, |effect| *effect == RunEffect::Report, &[0, 7199, 7200]);
    assert_eq!(effects(&abandoned).last().unwrap(), "announce: could not write the run's report");
    let silent = failing(&over, |effect| *effect == RunEffect::Announce, &[0, 7200]);
    assert_eq!(
        (effects(&silent), silent.outbox.abandoned()),
        (vec!["report".to_owned(), "answer a1".to_owned()], 1)
    );
    let failed = finish(&diamond(), "build", Outcome::Failed);
    let release = |effect: &RunEffect| matches!(effect, RunEffect::Skip { .. } | RunEffect::Release { .. });
    let unchanged = failing(&failed, release, &[0, 7200, 90 * 86_400]);
    assert_eq!(effects(&unchanged), effects(&failed));
}
