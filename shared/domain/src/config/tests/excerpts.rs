//! What an error shows beside its words: the place, the line, the name that was meant.

use super::{pipeline, refusal};
use crate::config::{FileError, PipelineFile, SuiteConfig};

#[test]
fn what_other_systems_call_it_is_answered_with_the_name_here() {
    for (unknown, known) in [
        ("env", "environment"),
        ("script", "run"),
        ("depends-on", "needs"),
        ("image", "agent"),
        ("when", "on"),
    ] {
        let refused = refusal(&pipeline(&format!("run: x\n{unknown}: x"), ""));
        let expected = format!("jobs.test: unknown key `{unknown}`; did you mean `{known}`?");
        assert!(refused.contains(&expected), "{refused}");
    }
    // A name that is near wins where no key here means the same.
    assert!(refusal("version: 1\nenv: x\njobs: {}\n").contains("unknown key `env` (known: version, jobs, concurrency)"));
}

#[test]
fn an_error_shows_its_line() {
    let error = |text: &str| PipelineFile::parse(text).unwrap_err();
    let misspelt = error(&pipeline("run: x\ntimout: 3m", ""));
    assert!(misspelt.to_string().ends_with("images); the line is `timout: …`"), "{misspelt}");
    assert_eq!(misspelt.to_string(), format!("{}; the line is `timout: …`", misspelt.headline()));
    for (text, shown) in [
        (pipeline("run: x\ntimeout: 3 potatoes", ""), "timeout: 3 potatoes"),
        (pipeline("run: x\nneeds: [test, build]", ""), "needs: [test, build]"),
        (
            pipeline("run: x\nneeds:\n  - build\n  - tset", "build: { agent: small, run: x }"),
            "- tset",
        ),
        (pipeline("run: x\nretry:\n  - limit: 3", ""), "limit: …"),
        ("version: 1\njobs:\n  a:\n    agent: b\n   run: c\n".to_owned(), "run: …"),
        ("version: 1\r\njobs:\r\n  a: { agent: B, run: c }\r\n".to_owned(), "a: …"),
    ] {
        assert_eq!(error(&text).excerpt.as_deref(), Some(shown), "{text}");
    }
    assert_eq!(error("").excerpt, None);
}

#[test]
fn an_error_does_not_show_what_may_be_a_secret() {
    let in_a_job = |lines: &str| pipeline(&format!("run: z\n{lines}"), "");
    for text in [
        in_a_job("environment:\n  A:\n    - sesame"),
        "version: 1\njobs:\n  push: { agent: Small, run: x, environment: { A: sesame } }\n".to_owned(),
        "version: 1\njobs:\n  agent: { agent: Small, run: x, environment: { A: sesame } }\n".to_owned(),
        in_a_job("environment:\n  agent:\n    - sesame"),
        in_a_job("secrets:\n  A:\n    - sesame"),
        in_a_job("secrets: { A: '=sesame' }"),
        in_a_job("secrets: { A: { secrets-manager: '=sesame' } }"),
        in_a_job("secrets: { A: { secrets-manager: a, key: '=sesame' } }"),
        in_a_job("secrets:\n  agent: =sesame"),
        in_a_job("env: { A: sesame }"),
        in_a_job("env:\n- name: A\n  value: @sesame"),
        in_a_job("variables: { A: sesame }"),
        in_a_job("environment:\n  A: \"sesame"),
        in_a_job("environment:\n  A: sesame\n B: sesame"),
        in_a_job("environment:\n  A: b\nPASS: sesame"),
        in_a_job("environment: {\n  A: [sesame],\n}"),
        in_a_job("environment:\n  A: |\n    x\nsesame: y"),
        pipeline("run: |\n  curl -H Authorization: sesame\n curl -H Authorization: sesame", ""),
        "version: 1\n.vars: &vars\n  A: sesame\n  A: sesame\njobs: {}\n".to_owned(),
        "version: 1\n.vars: &vars\n  A: %sesame\njobs: {}\n".to_owned(),
        "version: 1\n.vars: &vars\n  A: a: sesame\njobs: {}\n".to_owned(),
    ] {
        let refused = PipelineFile::parse(&text).unwrap_err().to_string();
        assert!(
            !refused.contains("sesame") || refused.contains("the line is `sesame: …`"),
            "{text}: {refused}"
        );
    }
    let suite = "version: 1\nagents: {}\nbackups:\n  a:\n    resource: arn:aws:ec2:::volume/vol-1\n    vault: v\n    role: arn:aws:iam::1:role/r\n    restore-test:\n      every: 7d\n      metadata:\n        branch: [sesame]\n";
    let refused = SuiteConfig::parse(suite).unwrap_err().to_string();
    assert!(!refused.contains("sesame"), "{refused}");
}

#[test]
fn an_error_tells_the_place() {
    let error = PipelineFile::parse(&pipeline("run: x\non: { push: { branches: [main, '[b'] } }", "")).unwrap_err();
    assert_eq!(
        error,
        FileError {
            file: ".bellhop.yaml",
            line: Some(6),
            column: Some(36),
            field: Some("jobs.test.on.push.branches[1]".to_owned()),
            message: "`[b` is not a valid pattern: unclosed character class; missing ']'".to_owned(),
            excerpt: Some("on: …".to_owned()),
        }
    );
}
