//! Files that are written to do harm, or are no files at all.

use proptest::prelude::*;

use super::{pipeline, refusal};
use crate::config::{PipelineFile, Select, SuiteConfig};
use crate::ids::Reference;

#[test]
fn a_large_file_is_not_parsed() {
    let text = format!("version: 1\njobs: # {}\n", "x".repeat(300 * 1024));
    assert_eq!(refusal(&text), ".bellhop.yaml: the file has 301 KiB: at most 256 KiB are read");
}

#[test]
fn a_file_of_just_the_size_is_parsed() {
    let mut text = pipeline("run: x", "");
    text.push('#');
    text.push_str(&"x".repeat(256 * 1024 - text.len()));
    assert!(PipelineFile::parse(&text).is_ok());
}

#[test]
fn an_alias_bomb_does_not_go_off() {
    // Nine to the power of twelve values, in a place that skips what it does not know, and one that reads it.
    let mut bomb = "&a0 [x, x, x, x, x, x, x, x, x]".to_owned();
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
        bomb.push_str(&format!(", &a{i} [{aliases}]"));
    }
    for job in [format!("run: x\nunknown: [{bomb}]"), format!("run: x\nneeds: [{bomb}]")] {
        assert!(PipelineFile::parse(&pipeline(&job, "")).is_err());
    }
}

#[test]
fn aliases_of_a_large_value_are_bounded() {
    let mut job = format!("run: x\nenvironment:\n  A: &a {}\n", "x".repeat(100_000));
    for i in 0..100 {
        job.push_str(&format!("  A{i}: *a\n"));
    }
    assert_eq!(
        refusal(&pipeline(&job, "")),
        ".bellhop.yaml, line 6, jobs.test.environment: the file has more than 20000 values; an alias counts as all that it stands for"
    );
}

#[test]
fn one_anchor_for_every_job_is_no_bomb() {
    let jobs: String = (0..199)
        .map(|i| format!("job-{i}: {{ agent: small, run: x, environment: *env }}\n"))
        .collect();
    let file = PipelineFile::parse(&pipeline("run: x\nenvironment: &env { A: a, B: b, C: c }", &jobs)).unwrap();
    assert_eq!(file.jobs().len(), 200);
    assert_eq!(file.jobs()[199].environment.len(), 3);
}

#[test]
fn more_jobs_than_a_run_can_hold() {
    let jobs: String = (0..200).map(|i| format!("job-{i}: {{ agent: small, run: x }}\n")).collect();
    assert_eq!(
        refusal(&pipeline("run: x", &jobs)),
        ".bellhop.yaml, line 2, jobs: there are 201 jobs: at most 200 are possible"
    );
}

#[test]
fn more_patterns_than_anyone_needs() {
    let list = |count: usize| vec!["'*'"; count].join(", ");
    assert_eq!(
        refusal(&pipeline(&format!("run: x\non: {{ push: {{ tags: [{}] }} }}", list(51)), "")),
        ".bellhop.yaml, line 6, jobs.test.on.push.tags: 51 patterns: at most 50 are possible"
    );
    let jobs: String = (0..20)
        .map(|i| format!("job-{i}: {{ agent: small, run: x, on: {{ push: {{ tags: [{}] }} }} }}\n", list(50)))
        .collect();
    assert_eq!(
        refusal(&pipeline("run: x\non: { push: { tags: [a] } }", &jobs)),
        ".bellhop.yaml, line 2, jobs: the filters have 1001 patterns in all: at most 1000 are possible"
    );
    assert!(
        refusal(&pipeline(&format!("run: x\non: {{ push: {{ tags: [{}] }} }}", "a".repeat(300)), ""))
            .contains("is longer than 256 characters")
    );
}

#[test]
fn more_artifacts_than_fit() {
    let list = |count: usize| (0..count).map(|i| format!("a{i}")).collect::<Vec<_>>().join(", ");
    let file = |artifacts: &str| pipeline(&format!("run: x\nartifacts: [{artifacts}]"), "");
    assert!(PipelineFile::parse(&file(&list(20))).is_ok());
    assert_eq!(
        refusal(&file(&list(21))),
        ".bellhop.yaml, line 6, jobs.test.artifacts: 21 patterns: at most 20 are possible"
    );
    assert!(PipelineFile::parse(&file(&"ü".repeat(200))).is_ok());
    assert!(refusal(&file(&"ü".repeat(201))).ends_with("ü…` is longer than 200 characters"));
}

#[test]
fn the_most_expensive_patterns_are_cheap_enough() {
    let pattern = format!("'{}'", "*a".repeat(128));
    let list = vec![pattern; 10].join(", ");
    let jobs: String = (0..10)
        .map(|i| format!("job-{i}: {{ agent: small, run: x, on: {{ push: {{ paths: [{list}] }} }} }}\n"))
        .collect();
    let file = PipelineFile::parse(&pipeline("run: x", &jobs)).unwrap();
    let reference: Reference = "refs/heads/main".parse().unwrap();
    let changed = vec!["a".repeat(200); 20];
    assert!(!file.wanted(&reference, Select::ByFilters(Some(&changed))).unwrap().is_empty());
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        format!("version: 1\njobs: {}", "[".repeat(100_000)),
        format!("version: 1\njobs: {}", "{a: ".repeat(50_000)),
        format!("version: 1\njobs: {{ ? {}", "[".repeat(100_000)),
        format!("version: 1\njobs: {}", "- ".repeat(100_000)),
        format!("version: 1\nx: {}", "- ".repeat(100_000)),
        format!(
            "version: 1\njobs:\n{}",
            (1..700).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>()
        ),
        pipeline(&format!("run: x\non: {{ push: {{ branches: ['{}'] }} }}", "{".repeat(250)), ""),
        "? ".repeat(100_000),
        "&a ".repeat(50_000),
    ] {
        assert!(PipelineFile::parse(&text).is_err(), "{}", text.chars().take(60).collect::<String>());
        assert!(SuiteConfig::parse(&text).is_err());
    }
}

#[test]
fn a_long_duration_does_no_harm() {
    // As a sum, these pass the end of what a Duration holds.
    for text in [
        "18446744073709551615s 1000ms",
        "584542046090y 18446744073709551615s",
        "99999999999999999999s",
        "999999999999y",
    ] {
        assert!(
            refusal(&pipeline(&format!("run: x\ntimeout: {text}"), "")).contains("line 6, jobs.test.timeout: "),
            "{text}"
        );
    }
}

#[test]
fn a_cycle_of_all_jobs_is_found_and_named_in_short() {
    let jobs: String = (0..199)
        .map(|i| {
            format!(
                "job-{i}: {{ agent: small, run: x, needs: [{}] }}\n",
                if i == 198 { "test".to_owned() } else { format!("job-{}", i + 1) }
            )
        })
        .collect();
    let message = refusal(&pipeline("run: x\nneeds: [job-0]", &jobs));
    assert!(message.contains("test → job-0 → job-1 → "), "{message}");
    assert!(message.ends_with("→ job-18 → … → test"), "{message}");
}

#[test]
fn messages_repeat_little_of_the_file_and_stay_on_one_line() {
    let long = "y".repeat(5_000);
    let breaking = "\"a\\nb\\u2028c\\e[31m\"";
    for text in [
        pipeline(&format!("run: x\ntimeout: {long}"), ""),
        pipeline(&format!("run: x\ntimeout: {breaking}"), ""),
        pipeline(&format!("run: x\nrelaunch: {long}"), ""),
        pipeline(&format!("run: x\nrelaunch: {breaking}"), ""),
        pipeline(&format!("run: x\nretry: {long}"), ""),
        pipeline(&format!("run: x\nretry: [{{ on: {long} }}]"), ""),
        pipeline(&format!("run: x\n{}: y", "y".repeat(900)), ""),
        pipeline(&format!("run: x\n{breaking}: y"), ""),
        pipeline(&format!("run: x\nenvironment: {{ {breaking}: y }}"), ""),
        pipeline(&format!("run: x\nneeds: [{long}]"), ""),
        pipeline(&format!("run: x\non: {{ push: {{ branches: ['[{long}'] }} }}"), ""),
        pipeline(&format!("run: x\non: {{ push: {{ branches: [!{long} x] }} }}"), ""),
        pipeline(&format!("run: x\ncritical: {long}"), ""),
        pipeline(&format!("run: x\nartifacts: [{long}]"), ""),
        pipeline(&format!("run: x\nartifacts: [{breaking}]"), ""),
        pipeline(&format!("run: x\ncritical: !!int {long}"), ""),
        pipeline("run: x", &format!("{}: {{ agent: a, run: x }}", "Y".repeat(900))),
        pipeline("run: x", &format!("{breaking}: {{ agent: a, run: x }}")),
        format!("version: {long}\n"),
        format!("%TAG {long}\n---\nversion: 1\n"),
        format!("%YAML {long}\n---\nversion: 1\n"),
    ] {
        let message = refusal(&text);
        let echo = message.split(|c: char| !c.eq_ignore_ascii_case(&'y')).map(str::len).max();
        assert!(echo <= Some(100), "{message}");
        assert!(!message.chars().any(|c| c.is_control() || c == '\u{2028}'), "{message:?}");
        assert!(message.len() < 700, "{message}");
    }
}

/// Texts that look enough like the files to come past the first line.
fn like_a_file() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "version: 1",
        "jobs:",
        "agents:",
        "  a:",
        "  b: ",
        "    agent: a",
        "    run: x",
        "    run: |",
        "      x",
        "    needs: [a, b]",
        "    on: { push: { ",
        "branches: [",
        "'!x*'",
        "**",
        "{",
        "}",
        "]",
        ",",
        "\n",
        "\n",
        "\n",
        ": ",
        "- ",
        "&x ",
        "*x",
        "<<: ",
        "!t ",
        "'",
        "\"",
        "#",
        "\t",
        "    timeout: ",
        "1h",
        "99999999999y",
        "retry: [{ on: ",
        "failure",
        "~",
        "? ",
        "---\n",
        "...",
        "é",
        "\0",
        "\u{feff}",
        "ecs: {",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_answer(text in prop_oneof![any::<String>(), like_a_file()]) {
        for error in [PipelineFile::parse(&text).err(), SuiteConfig::parse(&text).err()].into_iter().flatten() {
            let line = error.to_string();
            prop_assert!(!line.contains('\n') && line.chars().count() < 900, "{line:?}");
        }
    }

    #[test]
    fn any_duration_has_an_answer(text in "[0-9]{1,20}(s|ms|y|d|h|\\.[0-9]s)( ?[0-9]{1,20}(s|ms|ns|y|d|us)){0,2}") {
        let _ = PipelineFile::parse(&pipeline(&format!("run: x\ntimeout: {text}"), ""));
    }

    #[test]
    fn any_filter_has_an_answer(patterns in prop::collection::vec("[!*?ab/{},\\[\\]\\\\-]{1,12}", 1..6), name in "[a-c/!*.]{1,12}", paths in prop::collection::vec(any::<String>(), 0..4)) {
        let list = serde_json::to_string(&patterns).unwrap();
        let on = format!("run: x\non: {{ push: {{ branches: {list}, tags: {list}, paths: {list} }} }}");
        if let Ok(file) = PipelineFile::parse(&pipeline(&on, "")) {
            for reference in [Reference::Branch(name.clone()), Reference::Tag(name)] {
                let _ = file.wanted(&reference, Select::ByFilters(Some(&paths)));
                prop_assert!(!file.needs_changes(&reference) || reference.branch().is_some());
            }
        }
    }
}
