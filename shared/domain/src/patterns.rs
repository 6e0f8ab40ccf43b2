//! Patterns of branches, tags and paths: those of the filters in pipeline files, and the `refs` of agent templates.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use serde::de::{Deserialize, Deserializer, Error};

use crate::ids::Reference;
use crate::text::shown;
use crate::yaml::{FieldPath, FileError, OneOrMany, Source, quoted};

/// The longest pattern, in characters.
const LONGEST: usize = 256;

/// One pattern of a list, not yet compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// As the file has it.
    pub(crate) text: String,
    /// With `!` in front.
    negated: bool,
    glob: globset::Glob,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (negated, body) = text.strip_prefix('!').map_or((false, text), |body| (true, body));
        if body.is_empty() {
            return Err("an empty pattern: expected one such as main or release/*".to_owned());
        }
        if text.chars().count() > LONGEST {
            return Err(format!("{} is longer than {LONGEST} characters", quoted(text)));
        }
        let glob = GlobBuilder::new(body)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| format!("{} is not a valid pattern: {}", quoted(text), shown(&error.kind().to_string(), 100)))?;
        Ok(Self {
            text: text.to_owned(),
            negated,
            glob,
        })
    }

    /// Without the `!` in front.
    fn body(&self) -> &str {
        self.text.strip_prefix('!').unwrap_or(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A list of patterns in the manner of a `.gitignore`: the last one that matches decides, and one with `!` in front decides against. A list in which
/// every pattern has a `!` starts from everything.
///
/// `*` and `?` stop at a `/`; `**` does not.
#[derive(Debug, Clone)]
pub(crate) struct Globs {
    set: GlobSet,
    negated: Vec<bool>,
}

impl Globs {
    /// Compiles a list.
    pub(crate) fn new(patterns: Vec<Pattern>) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        let mut negated = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            set.add(pattern.glob);
            negated.push(pattern.negated);
        }
        let set = set.build().map_err(|error| {
            format!(
                "the patterns of the list are too large in total: {}",
                shown(&error.kind().to_string(), 100)
            )
        })?;
        Ok(Self { set, negated })
    }

    /// Whether the list is for this name or path.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let last = self.set.matches(text).into_iter().max();
        match last.and_then(|index| self.negated.get(index)) {
            Some(negated) => !negated,
            None => self.negated.iter().all(|negated| *negated),
        }
    }
}

/// The most patterns of `refs`.
const MOST_REFS: usize = 50;

/// The beginnings of patterns for full names.
const FULL: [&str; 2] = ["refs/heads/", "refs/tags/"];

/// One pattern of branches and tags, not yet compiled. One that begins with `refs/heads/` or `refs/tags/` is for the full name. Every other one is for
/// the short name of a branch or a tag.
#[derive(Debug, Clone)]
pub(crate) struct RefPattern(Pattern);

impl<'de> Deserialize<'de> for RefPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = Pattern::deserialize(deserializer)?;
        let body = pattern.body();
        let names_something = |prefix| body.strip_prefix(prefix).is_some_and(|name| !name.is_empty());
        if body.starts_with("refs/") && !FULL.into_iter().any(names_something) {
            return Err(D::Error::custom(format!(
                "{} is not a branch or a tag: expected a name such as main, refs/heads/main or refs/tags/v*",
                quoted(&pattern.text)
            )));
        }
        Ok(Self(pattern))
    }
}

/// The branches and tags that an agent template serves. As in filters, the last pattern that matches decides, one with `!` in front decides against,
/// and a list in which every pattern has a `!` starts from everything.
#[derive(Debug, Clone)]
pub struct Refs(Vec<RefMatcher>);

/// One compiled pattern of [`Refs`].
#[derive(Debug, Clone)]
struct RefMatcher {
    pattern: Pattern,
    matcher: GlobMatcher,
}

impl Refs {
    /// Compiles a list.
    pub(crate) fn read(source: &Source, at: &FieldPath, OneOrMany(patterns): OneOrMany<RefPattern>) -> Result<Self, FileError> {
        if patterns.is_empty() {
            return Err(source.error(
                at,
                "an empty list: expected at least one pattern; to serve every branch and tag, remove the key",
            ));
        }
        if patterns.len() > MOST_REFS {
            return Err(source.error(at, format!("{} patterns: at most {MOST_REFS} are possible", patterns.len())));
        }
        let compiled = patterns.into_iter().map(|RefPattern(pattern)| RefMatcher {
            matcher: pattern.glob.compile_matcher(),
            pattern,
        });
        Ok(Self(compiled.collect()))
    }

    /// Whether a branch or tag is among them.
    #[must_use]
    pub fn include(&self, reference: &Reference) -> bool {
        let full = reference.full();
        let matches = |candidate: &&RefMatcher| {
            let is_full = FULL.into_iter().any(|prefix| candidate.pattern.body().starts_with(prefix));
            candidate.matcher.is_match(if is_full { &full } else { reference.name() })
        };
        match self.0.iter().rev().find(matches) {
            Some(decides) => !decides.pattern.negated,
            None => self.0.iter().all(|candidate| candidate.pattern.negated),
        }
    }
}

/// The patterns, as the file has them.
impl fmt::Display for Refs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns: Vec<String> = self.0.iter().map(|candidate| quoted(&candidate.pattern.text)).collect();
        f.write_str(&patterns.join(", "))
    }
}

impl PartialEq for Refs {
    fn eq(&self, other: &Self) -> bool {
        self.0
            .iter()
            .map(|one| &one.pattern.text)
            .eq(other.0.iter().map(|one| &one.pattern.text))
    }
}

impl Eq for Refs {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use crate::config::SuiteConfig;
    use crate::ids::Reference;

    fn refs(list: &str) -> Result<super::Refs, String> {
        let text = format!("version: 1\nagents:\n  deploy:\n    codebuild: {{ project: p }}\n    refs: {list}\n");
        let config = SuiteConfig::parse(&text).map_err(|error| error.headline())?;
        Ok(config.agents.into_values().next().unwrap().refs.unwrap())
    }

    fn included(list: &str) -> String {
        let refs = refs(list).unwrap();
        let all = [
            "refs/heads/main",
            "refs/heads/main/x",
            "refs/heads/next",
            "refs/heads/v1",
            "refs/heads/refs/heads/main",
            "refs/tags/main",
            "refs/tags/v1",
        ];
        let included = all.into_iter().filter(|name| refs.include(&name.parse::<Reference>().unwrap()));
        included.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_plain_pattern_is_for_the_short_name_of_a_branch_or_a_tag() {
        assert_eq!(included("main"), "refs/heads/main refs/tags/main");
        assert_eq!(
            included("[main, 'v*']"),
            "refs/heads/main refs/heads/v1 refs/tags/main refs/tags/v1"
        );
        assert_eq!(
            included("'*'"),
            "refs/heads/main refs/heads/next refs/heads/v1 refs/tags/main refs/tags/v1"
        );
        assert_eq!(
            included("'*/**'"),
            "refs/heads/main/x refs/heads/refs/heads/main",
            "a short name has no refs/heads/ in front"
        );
    }

    #[test]
    fn a_pattern_with_refs_in_front_is_for_the_full_name() {
        assert_eq!(included("refs/heads/main"), "refs/heads/main");
        assert_eq!(included("[refs/heads/main, 'refs/tags/v*']"), "refs/heads/main refs/tags/v1");
        assert_eq!(included("'refs/heads/**/main'"), "refs/heads/main refs/heads/refs/heads/main");
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        assert_eq!(included("['*', '!refs/tags/*', '!next']"), "refs/heads/main refs/heads/v1");
        assert_eq!(included("['!*', main]"), "refs/heads/main refs/tags/main");
        assert_eq!(
            included("['!main', '!v*']"),
            "refs/heads/main/x refs/heads/next refs/heads/refs/heads/main"
        );
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (list, expected) in [
            (
                "[main, refs/remotes/x]",
                "line 5, agents.deploy.refs[1]: `refs/remotes/x` is not a branch or a tag: expected a name such as main, refs/heads/main or refs/tags/v*",
            ),
            (
                "'!refs/heads/'",
                "line 5, agents.deploy.refs: `!refs/heads/` is not a branch or a tag: expected",
            ),
            (
                "[]",
                "line 5, agents.deploy.refs: an empty list: expected at least one pattern; to serve every",
            ),
            (
                "'v[1'",
                "line 5, agents.deploy.refs: `v[1` is not a valid pattern: unclosed character class",
            ),
            (
                "''",
                "line 5, agents.deploy.refs: an empty pattern: expected one such as main or release/*",
            ),
            ("{ branches: main }", "line 5, agents.deploy.refs: "),
        ] {
            let error = refs(list).unwrap_err();
            let error = error.strip_prefix("config/bellhop.yaml, ").unwrap();
            assert!(error.starts_with(expected), "{list}: {error}");
        }
        let many = format!("[{}]", ["x"; 51].join(", "));
        assert!(
            refs(&many)
                .unwrap_err()
                .ends_with("agents.deploy.refs: 51 patterns: at most 50 are possible")
        );
    }

    #[test]
    fn they_are_shown_as_they_stand_in_the_file_and_equal_if_they_stand_there_alike() {
        assert_eq!(refs("[main, '!v*']").unwrap().to_string(), "`main`, `!v*`");
        assert_eq!(refs("[main]").unwrap(), refs("main").unwrap());
        assert_ne!(refs("[main]").unwrap(), refs("next").unwrap());
    }
}
