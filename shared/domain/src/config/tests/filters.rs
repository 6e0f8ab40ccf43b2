use super::pipeline;
use crate::config::{PipelineFile, skips};
use crate::ids::Reference;

fn wanted(on: &str, reference: &str, changed: Option<&[&str]>) -> bool {
    let file = PipelineFile::parse(&pipeline(&format!("run: x\n{on}"), "")).unwrap();
    let changed: Option<Vec<String>> = changed.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    file.jobs()[0].wanted_by(&reference.parse().unwrap(), changed.as_deref())
}

#[test]
fn branches_and_tags() {
    for (push, reference, expected) in [
        // Every branch and no tag, unless the file says more.
        ("", "refs/heads/main", true),
        ("", "refs/heads/a/b/c", true),
        ("", "refs/tags/v1", false),
        ("on: {}", "refs/heads/main", true),
        ("on: { push: {} }", "refs/heads/main", true),
        ("on: { push: {} }", "refs/tags/v1", false),
        ("on: { push: { paths: [a] } }", "refs/tags/v1", false),
        // One of the two leaves nothing of the other.
        ("on: { push: { branches: [main] } }", "refs/heads/main", true),
        ("on: { push: { branches: [main] } }", "refs/heads/mains", false),
        ("on: { push: { branches: [main] } }", "refs/heads/Main", false),
        ("on: { push: { branches: [main] } }", "refs/tags/main", false),
        ("on: { push: { tags: ['v*'] } }", "refs/tags/v1.0", true),
        ("on: { push: { tags: ['v*'] } }", "refs/heads/v1.0", false),
        ("on: { push: { branches: ['**'], tags: ['v*'] } }", "refs/heads/a/b", true),
        ("on: { push: { branches: ['**'], tags: ['v*'] } }", "refs/tags/v1", true),
        ("on: { push: { branches: ['**'], tags: ['v*'] } }", "refs/tags/w1", false),
        // A star stops at a slash, two do not.
        ("on: { push: { branches: ['release/*'] } }", "refs/heads/release/1", true),
        ("on: { push: { branches: ['release/*'] } }", "refs/heads/release/1/2", false),
        ("on: { push: { branches: ['release/*'] } }", "refs/heads/release", false),
        ("on: { push: { branches: ['release/**'] } }", "refs/heads/release/1/2", true),
        ("on: { push: { branches: ['*'] } }", "refs/heads/a/b", false),
        ("on: { push: { branches: ['{main,next}'] } }", "refs/heads/next", true),
        ("on: { push: { branches: ['v[0-9]'] } }", "refs/heads/v7", true),
        // The last pattern that matches decides.
        ("on: { push: { branches: ['**', '!wip/**'] } }", "refs/heads/wip/x", false),
        ("on: { push: { branches: ['**', '!wip/**', wip/ci] } }", "refs/heads/wip/ci", true),
        ("on: { push: { branches: ['!wip/**', '**'] } }", "refs/heads/wip/x", true),
        ("on: { push: { branches: ['!main', next] } }", "refs/heads/other", false),
        // Exceptions alone are exceptions from everything.
        ("on: { push: { branches: ['!main'] } }", "refs/heads/main", false),
        ("on: { push: { branches: ['!main'] } }", "refs/heads/a/b", true),
        ("on: { push: { branches: ['!main'] } }", "refs/tags/v1", false),
        ("on: { push: { tags: ['!*-rc*'] } }", "refs/tags/v1", true),
        ("on: { push: { tags: ['!*-rc*'] } }", "refs/tags/v1-rc2", false),
        // An exclamation mark that is meant.
        ("on: { push: { branches: ['\\!main'] } }", "refs/heads/!main", true),
    ] {
        assert_eq!(wanted(push, reference, None), expected, "{push} {reference}");
    }
}

#[test]
fn paths() {
    const SOURCES: &str = "on: { push: { paths: ['src/**', '!**/*.md'] } }";
    const NO_DOCS: &str = "on: { push: { paths: ['!docs/**', '!*.md'] } }";
    const TAGS_TOO: &str = "on: { push: { branches: [main], tags: ['v*'], paths: ['src/**'] } }";
    for (push, reference, changed, expected) in [
        (SOURCES, "refs/heads/main", Some(&["src/a.rs"][..]), true),
        (SOURCES, "refs/heads/main", Some(&["src/deep/er/a.rs"]), true),
        (SOURCES, "refs/heads/main", Some(&["src/README.md"]), false),
        (SOURCES, "refs/heads/main", Some(&["README.md", "Makefile"]), false),
        (SOURCES, "refs/heads/main", Some(&["README.md", "src/a.rs"]), true),
        // An empty commit asks for a build.
        (SOURCES, "refs/heads/main", Some(&[]), true),
        (NO_DOCS, "refs/heads/main", Some(&[]), true),
        // Not known: better one job too many.
        (SOURCES, "refs/heads/main", None, true),
        (NO_DOCS, "refs/heads/main", Some(&["docs/a.png"]), false),
        (NO_DOCS, "refs/heads/main", Some(&["README.md", "docs/x/y"]), false),
        (NO_DOCS, "refs/heads/main", Some(&["docs/a.png", "Cargo.toml"]), true),
        // A star stops at a slash here as well.
        (NO_DOCS, "refs/heads/main", Some(&["src/README.md"]), true),
        (TAGS_TOO, "refs/heads/main", Some(&["Makefile"]), false),
        (TAGS_TOO, "refs/tags/v1", Some(&["Makefile"]), true),
        (TAGS_TOO, "refs/heads/next", Some(&["src/a"]), false),
        // Names that a repository may hold.
        (SOURCES, "refs/heads/main", Some(&["src/ein Ordner/ü.txt"]), true),
        (SOURCES, "refs/heads/main", Some(&["src/.."]), true),
        (SOURCES, "refs/heads/main", Some(&[""]), false),
    ] {
        assert_eq!(wanted(push, reference, changed), expected, "{push} {reference} {changed:?}");
    }
}

#[test]
fn changes_are_only_asked_for_where_a_wanted_job_has_paths() {
    let file = PipelineFile::parse(&pipeline(
        "run: x\non: { push: { branches: [main], tags: ['v*'], paths: ['src/**'] } }",
        "other: { agent: small, run: x }",
    ))
    .unwrap();
    let asks = |reference: &str| file.needs_changes(&reference.parse::<Reference>().unwrap());
    assert!(asks("refs/heads/main"));
    assert!(!asks("refs/heads/next"));
    assert!(!asks("refs/tags/v1"));
}

#[test]
fn skip_tokens() {
    for (message, expected) in [
        ("Fix the roof [skip ci]", true),
        ("[CI SKIP] Fix the roof", true),
        ("Fix the roof\n\nIt leaked.\n[No CI]\n", true),
        ("Fix the roof", false),
        ("skip ci", false),
        ("[skip  ci]", false),
        ("[skip ci ]", false),
        ("[noci]", false),
        ("", false),
        ("Übung [skip ci]", true),
        ("A [skip-ci]", true),
        ("A [CI_SKIP]", true),
        ("Revert \"Fix the roof [skip ci]\"", false),
        ("Revert \"Fix the roof [skip ci]\"\n\nThis reverts commit 0123.", false),
        ("Revert \"Fix the roof\"\n\n[skip ci]", true),
    ] {
        assert_eq!(skips(message), expected, "{message}");
    }
}

#[test]
fn a_job_that_no_push_starts() {
    for word in ["manual", "never"] {
        let text =
            format!("version: 1\njobs:\n  nightly: {{ agent: small, run: make, on: {word} }}\n  test: {{ agent: small, run: make }}\n");
        let file = PipelineFile::parse(&text).unwrap();
        for reference in ["refs/heads/main", "refs/tags/v1"] {
            assert!(!file.jobs()[0].wanted_by(&reference.parse().unwrap(), None), "{reference}");
        }
        assert!(file.jobs()[1].wanted_by(&"refs/heads/main".parse().unwrap(), None));
    }
    for wrong in ["sometimes", "[push]", "5"] {
        let text = format!("version: 1\njobs:\n  nightly: {{ agent: small, run: make, on: {wrong} }}\n");
        let error = PipelineFile::parse(&text).unwrap_err().headline();
        assert!(error.contains("jobs.nightly.on") && error.contains("the word `manual`"), "{error}");
    }
}
