//! New runs.

use super::*;

#[test]
fn a_run_created_in_parts_releases_its_first_builds_itself() {
    let specs = vec![spec_needing("build", &[]), spec_needing("test", &["build"])];
    let (run, builds) = Run::create("abcdefghij".parse().unwrap(), &push(), specs, false, t(0));
    assert_eq!(effects(&run), ["release build"]);
    assert!(builds.iter().all(|build| build.status() == "blocked" && build.due().is_none()));
}

#[test]
fn a_rejected_run_is_announced_and_reported() {
    let run = Run::rejected("abcdefghij".parse().unwrap(), &push(), "no".to_owned(), t(0));
    assert_eq!(effects(&run), ["announce", "report"]);
    assert_eq!(run.status(), "rejected");
}
