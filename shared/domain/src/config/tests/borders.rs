//! What is just allowed, and what is just not: each border from both sides.

use std::time::Duration;

use super::{pipeline, refusal};
use crate::config::{PipelineFile, SuiteConfig};

/// A pipeline file whose job has these lines is read.
fn fits(job: &str) {
    let text = pipeline(&format!("run: x\n{job}"), "");
    if let Err(error) = PipelineFile::parse(&text) {
        unreachable!("{job}: {error}");
    }
}

/// A pipeline file whose job has these lines is refused in these words.
fn refused(job: &str, words: &str) {
    let refusal = refusal(&pipeline(&format!("run: x\n{job}"), ""));
    assert!(refusal.contains(words), "{job}: {refusal}");
}

#[test]
fn lengths_of_patterns() {
    let tag = |length: usize| format!("on: {{ push: {{ tags: [{}] }} }}", "a".repeat(length));
    fits(&tag(256));
    refused(&tag(257), "is longer than 256 characters");
}

#[test]
fn numbers_of_patterns() {
    let list = |count: usize| vec!["'*'"; count].join(", ");
    fits(&format!("on: {{ push: {{ tags: [{}] }} }}", list(50)));
    let jobs = |count: usize| -> String {
        (0..count)
            .map(|i| format!("job-{i}: {{ agent: small, run: x, on: {{ push: {{ tags: [{}] }} }} }}\n", list(50)))
            .collect()
    };
    assert!(PipelineFile::parse(&pipeline("run: x", &jobs(20))).is_ok());
}

#[test]
fn rules_of_a_retry_policy() {
    let rules = |count: usize| format!("retry: [{}]", vec!["{ on: failure, limit: 1 }"; count].join(", "));
    fits(&rules(20));
    refused(&rules(21), "21 rules: at most 20 are possible");
    refused(&rules(22), "22 rules: at most 20 are possible");
    fits("retry: [{ on: failure, limit: 10 }]");
    refused("retry: [{ on: failure, limit: 11 }]", "`11` is out of bounds: expected 0 to 10");
    fits("retry: [{ on: failure, limit: 1, backoff: 1h }]");
    refused(
        "retry: [{ on: failure, limit: 1, backoff: 1h 1s }]",
        "`1h 1s` is out of bounds: expected at most 1h",
    );
    fits("retry: [{ exit-codes: [1, 255], limit: 1 }]");
    refused(
        "retry: [{ exit-codes: [256], limit: 1 }]",
        "`256` is not the exit code of a failure",
    );
    fits("retry: [{ on: failure, limit: 1, capacity: spot }]");
    let once = PipelineFile::parse(&pipeline("run: x\nretry: [{ on: failure }]", "")).unwrap();
    assert_eq!(once.jobs()[0].retry.rules[0].limit, 1);
    fits("critical: true\nretry: [{ on: failure, limit: 1, capacity: on-demand }]");
}

#[test]
fn timeouts() {
    for key in ["timeout", "queue-timeout"] {
        fits(&format!("{key}: 1s"));
        fits(&format!("{key}: 24h"));
        refused(&format!("{key}: 0s"), "expected 1s to 24h");
        refused(&format!("{key}: 999ms"), "is not a valid duration");
        refused(&format!("{key}: 24h 1s"), "expected 1s to 24h");
    }
}

#[test]
fn members_of_a_cycle() {
    let told = |count: usize| {
        let jobs: String = (1..count)
            .map(|i| {
                format!(
                    "job-{i}: {{ agent: small, run: x, needs: [{}] }}\n",
                    if i + 1 == count {
                        "test".to_owned()
                    } else {
                        format!("job-{}", i + 1)
                    }
                )
            })
            .collect();
        refusal(&pipeline("run: x\nneeds: [job-1]", &jobs))
    };
    assert!(told(20).ends_with("→ job-18 → job-19 → test"), "{}", told(20));
    assert!(told(21).ends_with("→ job-18 → job-19 → … → test"), "{}", told(21));
}

#[test]
fn names_and_arns() {
    let suite = |name: &str, arn: &str| {
        let text = format!(
            "version: 1\nagents: {{}}\nbackups:\n  home: {{ resource: '{arn}', vault: '{name}', role: 'arn:aws:iam::1:role/b' }}\n"
        );
        SuiteConfig::parse(&text).map(|_| ()).map_err(|error| error.headline())
    };
    let arn = "arn:aws:s3:::b";
    assert_eq!(suite(&"n".repeat(512), arn), Ok(()));
    for name in ["", " n", "n ", &"n".repeat(513)] {
        assert!(suite(name, arn).unwrap_err().contains("is not a valid name"), "{name}");
    }
    for other in ["arn:aws:s3::b", "urn:aws:s3:::b"] {
        assert!(suite("n", other).unwrap_err().contains("is not a valid ARN"), "{other}");
    }
}

#[test]
fn times_of_a_backup() {
    let suite = |keys: &str| {
        let text = format!(
            "version: 1\nagents: {{}}\nbackups:\n  home: {{ resource: 'arn:aws:s3:::b', vault: v, role: 'arn:aws:iam::1:role/b', {keys} }}\n"
        );
        SuiteConfig::parse(&text).map(|_| ()).map_err(|error| error.headline())
    };
    for keys in [
        "start-within: 1h",
        "complete-within: 9h",
        "start-within: 1h, complete-within: 2h",
        "start-within: 10079m, complete-within: 10139m",
        "start-within: 167h",
        "cold-after: 1d, delete-after: 91d",
        "cold-after: 30d",
        "delete-after: 1d",
    ] {
        assert_eq!(suite(keys), Ok(()), "{keys}");
    }
    for (keys, words) in [
        ("start-within: 59m", "expected at least 1h"),
        ("start-within: 0s", "expected whole minutes"),
        ("newest-at-most: 90s", "expected whole minutes"),
        (
            "start-within: 1h, complete-within: 119m",
            "at least 60 minutes more than `start-within`",
        ),
        ("complete-within: 539m", "at least 60 minutes more than `start-within`"),
        ("start-within: 10021m", "at least 60 minutes less than `complete-within`"),
        ("cold-after: 1d, delete-after: 90d", "at least 90 days more"),
        ("cold-after: 100d, delete-after: 1d", "at least 90 days more"),
    ] {
        assert!(suite(keys).unwrap_err().contains(words), "{keys}");
    }
}

#[test]
fn a_service_is_restarted_every_half_hour_at_most_unless_the_file_says_otherwise() {
    let text = "version: 1\nagents: {}\nalarms: [{ name: a, restart-service: { cluster: c, service: s } }]\n";
    let config = SuiteConfig::parse(text).unwrap();
    assert_eq!(config.remedy("a").unwrap().at_most_every, Duration::from_secs(1800));
}
