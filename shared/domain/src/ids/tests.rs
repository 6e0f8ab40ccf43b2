//! Names and identifiers: which texts are valid, and how ids are derived.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use super::*;

#[test]
fn a_run_id_depends_on_suite_trigger_and_reference_alone() {
    let main: Reference = "refs/heads/main".parse().unwrap();
    let next: Reference = "refs/heads/next".parse().unwrap();
    let id = RunId::derive("ci", "4f5c1a2e", &main);
    assert_eq!(id, RunId::derive("ci", "4f5c1a2e", &main));
    assert_ne!(id, RunId::derive("ci", "4f5c1a2e", &next));
    assert_ne!(id, RunId::derive("ci", "4f5c1a2f", &main));
    assert_ne!(id, RunId::derive("ci4f", "5c1a2e", &main));
    assert_eq!(id, id.as_str().parse().unwrap());
}

/// A trigger that is repeated after an update of the suite must find the run that it started before.
#[test]
fn a_run_id_never_changes() {
    let main: Reference = "refs/heads/main".parse().unwrap();
    assert_eq!(RunId::derive("ci", "4f5c1a2e", &main).as_str(), "zr2gqdrpuu");
}

/// Two suites may watch one repository and start agents on one cluster: each would take the other's agents for its own.
#[test]
fn suites_share_no_started_by() {
    let main: Reference = "refs/heads/main".parse().unwrap();
    let attempt = |suite| AttemptId {
        build: BuildId {
            run: RunId::derive(suite, "4f5c1a2e", &main),
            job: "test".parse().unwrap(),
        },
        number: 1,
    };
    assert_ne!(attempt("ci").started_by(), attempt("ci-next").started_by());
}

#[test]
fn an_arn_is_one_line_and_has_a_name() {
    for (arn, service, name) in [
        (
            "arn:aws:sts::123456789012:assumed-role/dev/anna@example.com",
            "sts",
            "anna@example.com",
        ),
        ("arn:aws-cn:iam::123456789012:user/staff/ada", "iam", "ada"),
        ("arn:aws:iam::123456789012:root", "iam", "root"),
        (
            "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly",
            "scheduler",
            "nightly",
        ),
        (
            "arn:aws:cloudwatch:us-east-1:123456789012:alarm:disk: /var 90 %",
            "cloudwatch",
            "disk: /var 90 %",
        ),
        ("arn:aws:s3:::bucket/", "s3", "bucket/"),
    ] {
        let arn: Arn = arn.parse().unwrap();
        assert_eq!((arn.service(), arn.name()), (service, name));
    }
    let long = format!("arn:aws:iam::123456789012:user/{}", "a".repeat(2048));
    for text in [
        "",
        "anna",
        "arn:aws:iam::123456789012",
        "arn:aws:iam::123456789012:",
        "arn:::::x",
        "arn:aws:iam::123456789012:user/a\nb",
        "arn:aws:iam::123456789012:user/a\u{202e}b",
        &long,
    ] {
        assert!(text.parse::<Arn>().is_err(), "{text:?}");
    }
}

#[test]
fn started_by_reads_back() {
    let id = AttemptId {
        build: "abcdefghij/unit-tests".parse().unwrap(),
        number: 12,
    };
    assert_eq!(id.started_by(), "bellhop/abcdefghij/unit-tests/12");
    assert_eq!(AttemptId::from_started_by(&id.started_by()), Some(id));
}

#[test]
fn a_foreign_started_by_is_none() {
    for text in [
        "ecs-svc/1234567890123456789",
        "bellhop/abcdefghij/test",
        "bellhop/abcdefghij/test/0",
        "bellhop/abcdefghij/test/+1",
        "bellhop/ABCDEFGHIJ/test/1",
        "bellhop/abcdefghij/Test/1",
        "bellhop/abcdefghij/a/b/1",
        "",
    ] {
        assert_eq!(AttemptId::from_started_by(text), None, "{text}");
    }
}

#[test]
fn the_longest_job_name_fits_into_started_by() {
    let id = AttemptId {
        build: format!("abcdefghij/{}", "x".repeat(63)).parse().unwrap(),
        number: 4_000_000_000,
    };
    assert!(id.started_by().len() <= 128);
}

#[test]
fn a_reference_is_named_as_git_allows_it() {
    for text in [
        "main",
        "refs/heads/",
        "refs/heads/a b",
        "refs/heads/../x",
        "refs/heads/a\nb",
        "refs/heads/a\u{7f}b",
        "refs/heads/.x",
        "refs/heads/a/.x",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/a//b",
        "refs/heads/a/",
        "refs/heads/a.",
        "refs/heads/a@{1}",
        "refs/heads/a\\b",
        "refs/notes/x",
        &format!("refs/heads/{}", "a".repeat(257)),
        &format!("refs/heads/{}", "\u{1f388}".repeat(226)),
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
    for name in [
        "-x",
        "@",
        "a@b",
        "full\u{3000}width",
        "no\u{a0}break",
        "next\u{85}line",
        "{a}",
        "#1",
        "a'b\"$(c)",
        &"a".repeat(256),
        &"ü".repeat(129),
        &"ü".repeat(256),
    ] {
        let text = format!("refs/heads/{name}");
        assert_eq!(text.parse::<Reference>().unwrap().branch(), Some(name), "{text}");
    }
    let branch: Reference = "refs/heads/release/1.0".parse().unwrap();
    assert_eq!(branch.branch(), Some("release/1.0"));
}

#[test]
fn a_reference_is_shown_in_full() {
    for text in ["refs/heads/release/1.0", "refs/tags/v1"] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
    }
}
