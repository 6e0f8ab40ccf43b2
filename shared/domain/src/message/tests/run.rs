//! Runs.

use super::*;

#[test]
fn a_run_with_failed_and_skipped_jobs() {
    let open = run(&[("lint", &[]), ("test", &[]), ("docs", &[]), ("image", &["test"])]);
    assert_eq!(about_run(&open.0, &[], &[], &[]), None);
    let cause = Some("AWS reclaimed its Spot capacity");
    let half = finish(&open, "lint", Outcome::Interrupted, cause);
    let half = finish(&half, "docs", Outcome::Succeeded, None);
    let over = finish(&half, "test", Outcome::Failed, Some("`make test` (line 3) ended with exit code 2"));
    let message = notified_of_run(&over);
    assert_snapshot!(message.subject, @"shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)");
    assert_snapshot!(message.sms, @"shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)");
    assert_snapshot!(message.email, @r"
    shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Pushed by:  ada
    Run:        abcdefghij
    Took:       2m 5s

    Jobs:
      lint interrupted: AWS reclaimed its Spot capacity
      test failed: `make test` (line 3) ended with exit code 2
      docs succeeded
      image skipped: needs test, which did not succeed

    Report:     s3://suite/runs/abcdefghij/report.json
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "broken": [],
      "by": "ada",
      "cause": "test: `make test` (line 3) ended with exit code 2 (and 1 more)",
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/failed",
      "jobs": [
        {
          "cause": "AWS reclaimed its Spot capacity",
          "job": "lint",
          "status": "interrupted"
        },
        {
          "cause": "`make test` (line 3) ended with exit code 2",
          "job": "test",
          "status": "failed"
        },
        {
          "cause": null,
          "job": "docs",
          "status": "succeeded"
        },
        {
          "cause": "needs test, which did not succeed",
          "job": "image",
          "status": "skipped"
        }
      ],
      "kind": "run",
      "links": {
        "report": "s3://suite/runs/abcdefghij/report.json"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "retry-of": null,
      "run": "abcdefghij",
      "severity": "error",
      "started-by": null,
      "status": "failed",
      "time": "2026-09-21T14:15:25Z",
      "title": "shop main: run of 0123456 failed: test: `make test` (line 3) ended with exit code 2 (and 1 more)",
      "version": 1
    }
    "#);
    assert_snapshot!(format!("{:?}", message.attributes), @r#"[("kind", "run"), ("severity", "error"), ("status", "failed"), ("repository", "shop"), ("branch", "main")]"#);
}

#[test]
fn a_run_that_succeeded() {
    let message = notified_of_run(&finish(&run(&[("test", &[])]), "test", Outcome::Succeeded, None));
    assert_snapshot!(message.subject, @"shop main: run of 0123456 succeeded");
    assert_snapshot!(message.email, @r"
    shop main: run of 0123456 succeeded

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Pushed by:  ada
    Run:        abcdefghij
    Took:       2m 5s

    Jobs:
      test succeeded

    Report:     s3://suite/runs/abcdefghij/report.json
    ");
}

#[test]
fn a_retry_says_what_it_repeats_and_what_is_still_broken() {
    let specs = vec![spec_needing("lint", &[]), spec_needing("test", &[])];
    let (run, _) = Run::create("abcdefghij".parse().unwrap(), &push(), specs, true, t(0));
    let retry_of = Some(crate::run::RetryOf {
        run: "zyxwvutsrq".parse().unwrap(),
        since: t(-60),
    });
    let mut run = run.repeating(retry_of);
    for job in ["lint", "test"] {
        let event = RunEvent::BuildFinished {
            job: job.parse().unwrap(),
            outcome: Outcome::Succeeded,
        };
        let Decision::Next(next) = run.decide(&event, t(60)) else {
            panic!("{job}")
        };
        run = *next;
    }
    let broken: Vec<JobName> = ["docs", "image"].map(|job| job.parse().unwrap()).into();
    let message = check(about_run(&run, &[], &broken, &[]).unwrap());
    assert_eq!(
        message.sms,
        "shop main: retry of lint, test of 0123456 succeeded; still broken: docs, image"
    );
    assert!(
        message.email.contains("Retry of:   zyxwvutsrq\nBroken:     docs, image\n"),
        "{}",
        message.email
    );
    let many: Vec<JobName> = (0..4).map(|number| format!("job-{number}").parse().unwrap()).collect();
    assert!(about_run(&run, &[], &many, &[]).unwrap().sms.ends_with("; still broken: 4 jobs"));
}

#[test]
fn a_requested_run_says_who_started_it() {
    let (run, builds) = run(&[("test", &[])]);
    let message = |caller: Caller| {
        let run = run.clone().started_by(Some(caller));
        notified_of_run(&finish(&(run, builds.clone()), "test", Outcome::Succeeded, None))
    };
    let anna = message(Caller::Principal(
        "arn:aws:sts::123456789012:assumed-role/dev/anna".parse().unwrap(),
    ));
    assert!(
        anna.email
            .contains("Pushed by:  ada\nStarted by: anna (arn:aws:sts::123456789012:assumed-role/dev/anna)\nRun:"),
        "{}",
        anna.email
    );
    assert_eq!(
        anna.document["started-by"],
        serde_json::json!({ "kind": "principal", "name": "anna", "arn": "arn:aws:sts::123456789012:assumed-role/dev/anna" })
    );
    let nobody = message(Caller::Unverified);
    assert!(nobody.email.contains("Started by: an unverified caller\n"), "{}", nobody.email);
    assert_eq!(nobody.document["started-by"]["kind"], "unverified");
}

#[test]
fn a_rejected_run() {
    let wrong = ".bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)";
    let message = notified_of_run(&(
        Run::rejected("abcdefghij".parse().unwrap(), &push(), wrong.to_owned(), t(0)),
        Vec::new(),
    ));
    assert_snapshot!(message.subject, @"shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in con...");
    assert_snapshot!(message.sms, @"shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (...");
    assert_snapshot!(message.email, @r"
    shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)

    Repository: shop
    Ref:        refs/heads/main
    Commit:     0123456789abcdef0123456789abcdef01234567
    Pushed by:  ada
    Run:        abcdefghij

    Report:     s3://suite/runs/abcdefghij/report.json
    ");
    assert_snapshot!(document(&message), @r#"
    {
      "broken": [],
      "by": "ada",
      "cause": ".bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)",
      "commit": "0123456789abcdef0123456789abcdef01234567",
      "id": "abcdefghij/rejected",
      "jobs": [],
      "kind": "run",
      "links": {
        "report": "s3://suite/runs/abcdefghij/report.json"
      },
      "ref": "refs/heads/main",
      "repository": "shop",
      "retry-of": null,
      "run": "abcdefghij",
      "severity": "error",
      "started-by": null,
      "status": "rejected",
      "time": "2026-09-21T14:13:20Z",
      "title": "shop main: run rejected: .bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small, docker)",
      "version": 1
    }
    "#);
}

#[test]
fn many_jobs_tell_their_causes_in_short() {
    let long = "long ".repeat(40);
    let body = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("job-{number}")).collect();
        let jobs: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let run = names
            .iter()
            .fold(run(&jobs), |run, name| finish(&run, name, Outcome::Failed, Some(&long)));
        notified_of_run(&run).email
    };
    assert!(body(20).contains(&format!("  job-7 failed: {long}\n")));
    let many = body(21);
    assert!(many.contains("  job-7 failed: long long") && !many.contains(&format!("  job-7 failed: {long}")));
}
