//! Jobs that start, are skipped, cancelled or superseded.

use super::*;

#[test]
fn a_diamond_is_released_in_order() {
    let run = finish(&diamond(), "build", Outcome::Succeeded);
    assert_eq!(effects(&run), ["release lint", "release test"]);
    let run = finish(&run, "test", Outcome::Succeeded);
    assert_eq!(effects(&run), ["release lint", "release test"]);
    let run = finish(&run, "lint", Outcome::Succeeded);
    assert_eq!(effects(&run).last().unwrap(), "release image");
    let run = finish(&run, "image", Outcome::Succeeded);
    assert_eq!(run.status(), "succeeded");
    assert_eq!(effects(&run)[3..], ["announce", "report"]);
}

#[test]
fn a_failure_skips_only_the_jobs_that_need_it() {
    let run = finish(&diamond(), "build", Outcome::Succeeded);
    let run = finish(&run, "lint", Outcome::Failed);
    assert_eq!(effects(&run), ["release lint", "release test", "skip image because of lint"]);
    assert_eq!(run.status(), "open");
    let run = finish(&run, "test", Outcome::Succeeded);
    assert_eq!(run.status(), "failed");
}

#[test]
fn a_skip_spreads_to_all_dependents() {
    let run = finish(&diamond(), "build", Outcome::InfrastructureFailed);
    assert_eq!(run.status(), "infrastructure-failed");
    assert_eq!(
        effects(&run),
        [
            "skip lint because of build",
            "skip test because of build",
            "skip image because of lint",
            "announce",
            "report"
        ]
    );
}

#[test]
fn a_build_that_reports_its_end_twice_changes_nothing() {
    let run = finish(&diamond(), "build", Outcome::Succeeded);
    let again = RunEvent::BuildFinished {
        job: "build".parse().unwrap(),
        outcome: Outcome::Failed,
    };
    assert_eq!(run.decide(&again, t(61)), Decision::Ignored(Ignored::NothingNew));
}

#[test]
fn a_cancelled_run_ends_when_its_running_builds_have() {
    let run = decide(&finish(&diamond(), "build", Outcome::Succeeded), cancel(None), 61);
    assert_eq!(
        effects(&run),
        [
            "release lint",
            "release test",
            "cancel lint as cancelled",
            "cancel test as cancelled",
            "cancel image as cancelled"
        ]
    );
    assert_eq!(run.status(), "open");
    assert_eq!(run.decide(&cancel(None), t(62)), Decision::Ignored(Ignored::NothingNew));
    // One of them was faster than its cancellation.
    let run = finish(&finish(&run, "lint", Outcome::Succeeded), "test", Outcome::Cancelled);
    assert_eq!(run.status(), "cancelled");
    assert_eq!(run.decide(&cancel(None), t(63)), Decision::Ignored(Ignored::Over));
}

#[test]
fn a_newer_run_supersedes_only_the_jobs_that_it_has() {
    let superseded = |jobs: Option<&[&str]>| {
        let run = finish(&diamond(), "build", Outcome::Succeeded);
        let jobs = jobs.map(|jobs| jobs.iter().map(|job| job.parse().unwrap()).collect());
        let by = "bbbbbbbbbb".parse().unwrap();
        let run = match run.decide(&RunEvent::Superseded { by, jobs }, t(90)) {
            Decision::Next(next) => *next,
            Decision::Ignored(_) => run,
        };
        let is_superseded = |job: &RunJob<'_>| matches!(job.state, JobState::Cancelling | JobState::Finished(Outcome::Superseded));
        run.jobs().filter(is_superseded).map(|job| job.name.to_string()).collect::<Vec<_>>()
    };
    let all = ["lint", "test", "image"];
    assert_eq!(superseded(None), all);
    assert_eq!(superseded(Some(&["build", "lint", "test", "image"])), all);
    // A job that the newer run does not have continues, and so do the jobs that it needs.
    assert_eq!(superseded(Some(&["build", "lint", "image"])), ["lint", "image"]);
    assert_eq!(superseded(Some(&["build", "lint", "test"])), [""; 0]);
    assert_eq!(superseded(Some(&["docs"])), [""; 0]);
}

#[test]
fn a_cancelled_job_skips_only_the_jobs_that_need_it() {
    let run = decide(&finish(&diamond(), "build", Outcome::Succeeded), cancel(Some("lint")), 61);
    assert_eq!(effects(&run)[2..], ["cancel lint as cancelled"]);
    let run = finish(&finish(&run, "lint", Outcome::Cancelled), "test", Outcome::Succeeded);
    assert_eq!(run.status(), "cancelled");
    assert_eq!(effects(&run)[3..], ["skip image because of lint", "announce", "report"]);
    let unknown = diamond().decide(&cancel(Some("deploy")), t(1));
    assert_eq!(unknown, Decision::Ignored(Ignored::UnknownJob));
    // A blocked one ends at once.
    let run = decide(&diamond(), cancel(Some("lint")), 1);
    assert_eq!(effects(&run), ["cancel lint as cancelled", "skip image because of lint"]);
}

#[test]
fn a_run_is_due_while_an_effect_is_pending() {
    assert_eq!(diamond().due(), None);
    let run = finish(&diamond(), "build", Outcome::Succeeded);
    assert_eq!(run.due(), Some(t(120)));
    let id = run.outbox.pending()[0].id;
    let Decision::Next(deferred) = run.take(&Step::Deferred(id, String::new()), t(90)) else {
        panic!("it was pending")
    };
    assert_eq!((deferred.outbox.pending()[0].since, deferred.due()), (t(90), Some(t(92))));
    let Decision::Next(done) = run.take(&Step::Performed(id), t(90)) else {
        panic!("it was pending")
    };
    for gone in [Step::Performed(id), Step::Deferred(id, String::new())] {
        assert_eq!(done.take(&gone, t(91)), Decision::Ignored(Ignored::NothingNew));
    }
}
