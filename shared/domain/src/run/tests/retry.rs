//! Runs that repeat jobs of another one.

use super::*;

fn repeated(run: &Run, what: RetryScope<'_>) -> Result<(Vec<String>, Vec<String>), RetryRefused> {
    let again = run.plan_retry(what)?;
    let names = |jobs: Vec<JobName>| jobs.iter().map(ToString::to_string).collect();
    Ok((names(again.jobs), names(again.left_out)))
}

fn again(run: &Run, job: &str) -> Result<(Vec<String>, Vec<String>), RetryRefused> {
    repeated(run, RetryScope::Job(&job.parse().unwrap()))
}

fn names(jobs: &[&str], left_out: &[&str]) -> Result<(Vec<String>, Vec<String>), RetryRefused> {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Ok((names(jobs), names(left_out)))
}

#[test]
fn a_job_is_repeated_with_the_jobs_that_were_skipped_only_because_of_it() {
    let failed = finish(&diamond(), "build", Outcome::Failed);
    assert_eq!(again(&failed, "build"), names(&["build", "lint", "test", "image"], &[]));
    let built = finish(&diamond(), "build", Outcome::Succeeded);
    assert_eq!(again(&built, "build"), names(&["build"], &[]));
    let one = finish(&finish(&built, "lint", Outcome::Failed), "test", Outcome::Succeeded);
    assert_eq!(again(&one, "lint"), names(&["lint", "image"], &[]));
    assert_eq!(again(&one, "test"), names(&["test"], &["image"]));
    // After one of them, the image would still lack the other.
    let both = finish(&finish(&built, "lint", Outcome::Failed), "test", Outcome::Failed);
    assert_eq!(again(&both, "lint"), names(&["lint"], &["image"]));
    assert_eq!(again(&both, "test"), names(&["test"], &["image"]));
}

#[test]
fn a_skipped_job_is_repeated_without_its_dependents() {
    let failed = finish(&diamond(), "build", Outcome::Failed);
    // It runs without the jobs that it needs, because it was requested by name; its dependents were not.
    assert_eq!(again(&failed, "image"), names(&["image"], &[]));
    assert_eq!(again(&failed, "test"), names(&["test"], &["image"]));
}

#[test]
fn a_job_is_not_repeated_while_that_cannot_be_decided() {
    let built = finish(&diamond(), "build", Outcome::Succeeded);
    assert_eq!(again(&built, "deploy"), Err(RetryRefused::UnknownJob));
    assert_eq!(again(&built, "lint"), Err(RetryRefused::NotOver));
    assert_eq!(again(&built, "image"), Err(RetryRefused::NotOver));
    let failed = finish(&built, "lint", Outcome::Failed);
    let undecided = RetryRefused::Undecided {
        job: "image".parse().unwrap(),
        needs: "test".parse().unwrap(),
    };
    assert_eq!(again(&failed, "lint"), Err(undecided));
}

#[test]
fn a_whole_run_is_repeated_or_its_failed_jobs() {
    let built = finish(&diamond(), "build", Outcome::Succeeded);
    for what in [RetryScope::Failed, RetryScope::All] {
        assert_eq!(repeated(&built, what), Err(RetryRefused::NotOver));
    }
    let failed = finish(&finish(&built, "lint", Outcome::TimedOut), "test", Outcome::Succeeded);
    assert_eq!(repeated(&failed, RetryScope::Failed), names(&["lint", "image"], &[]));
    assert_eq!(repeated(&failed, RetryScope::All), names(&["build", "lint", "test", "image"], &[]));
    let both = finish(&finish(&built, "lint", Outcome::Failed), "test", Outcome::Interrupted);
    assert_eq!(repeated(&both, RetryScope::Failed), names(&["lint", "test", "image"], &[]));
    let first = finish(&diamond(), "build", Outcome::Failed);
    assert_eq!(
        repeated(&first, RetryScope::Failed),
        names(&["build", "lint", "test", "image"], &[])
    );
    let good = ["lint", "test", "image"]
        .iter()
        .fold(built, |run, job| finish(&run, job, Outcome::Succeeded));
    assert_eq!(repeated(&good, RetryScope::Failed), Err(RetryRefused::NothingFailed));
    assert_eq!(repeated(&good, RetryScope::All), names(&["build", "lint", "test", "image"], &[]));
}
