//! The patterns of artifacts: globs of bash with `globstar`.
//!
//! `*`, `?` and `[a-z]` stop at a slash, a whole part `**` is any number of folders, and a name that begins with a dot is matched only where the pattern has
//! the dot. A backslash takes the meaning from the next character. Nothing else is special: no braces, no variables, no commands.

use glob::{MatchOptions, Pattern as Glob};

/// How names are matched: as bash does without options.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What character classes stand for.
const CLASSES: [(&str, &str); 6] = [
    ("[:digit:]", "0-9"),
    ("[:lower:]", "a-z"),
    ("[:upper:]", "A-Z"),
    ("[:alpha:]", "a-zA-Z"),
    ("[:alnum:]", "a-zA-Z0-9"),
    ("[:xdigit:]", "0-9a-fA-F"),
];

/// A part of a pattern, between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A name, as it is.
    Name(String),
    /// Names that match.
    Names(Box<Glob>),
    /// Any number of folders, also none.
    Folders,
}

impl Part {
    fn parse(text: &str) -> Self {
        if text == "**" {
            return Self::Folders;
        }
        if !text.contains(['*', '?', '[', '\\']) {
            return Self::Name(text.to_owned());
        }
        // A bracket that is never closed is a bracket.
        Glob::new(&in_glob_s_words(text)).map_or_else(|_| Self::Name(text.to_owned()), |glob| Self::Names(Box::new(glob)))
    }

    /// Whether a name matches. [`Part::Folders`] is for the caller.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Names(glob) => glob.matches_with(name, OPTIONS),
            Self::Folders => !name.starts_with('.'),
        }
    }
}

/// The parts of a pattern. None if it is not a path from the top of the checkout.
#[must_use]
pub fn parts(pattern: &str) -> Option<Vec<Part>> {
    if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    let mut parts: Vec<Part> = pattern.split('/').map(Part::parse).collect();
    // Twice any number of folders is any number of folders.
    parts.dedup_by(|one, other| *one == Part::Folders && *other == Part::Folders);
    Some(parts)
}

/// A part in the words of the crate `glob`, which has no backslash, `[!a]` alone for what bash also writes `[^a]`, and no `**` beside others.
fn in_glob_s_words(text: &str) -> String {
    let mut text = text.to_owned();
    for (class, characters) in CLASSES {
        text = text.replace(class, characters);
    }
    let mut words = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.push_str(&Glob::escape(&characters.next().unwrap_or('\\').to_string())),
            '*' if words.ends_with('*') => {}
            '[' if characters.peek() == Some(&'^') => {
                characters.next();
                words.push_str("[!");
            }
            other => words.push(other),
        }
    }
    words
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let parts = parts(pattern).unwrap();
        assert_eq!(parts.len(), 1);
        parts[0].matches(name)
    }

    #[test]
    fn names() {
        for (pattern, name) in [
            ("*.log", "a.log"),
            ("a**b", "axxb"),
            ("?", "ü"),
            ("[ab]?", "b2"),
            ("[^a]", "b"),
            ("[!a]", "b"),
            ("[[:digit:]]", "7"),
            ("*'*", "it's"),
            ("a\\*b", "a*b"),
            (".*", ".dot"),
            ("a[b", "a[b"),
            ("$HOME", "$HOME"),
            ("{a,b}", "{a,b}"),
            ("-n", "-n"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*", ".dot"),
            ("?dot", ".dot"),
            ("[.]dot", ".dot"),
            ("a\\*b", "axb"),
            ("*.LOG", "a.log"),
            ("{a,b}", "a"),
            ("a[b", "ab"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_are_no_paths() {
        for pattern in ["/etc/passwd", "../secret", "a/../../b", "./a", "a//b", "a/", ".", ""] {
            assert_eq!(parts(pattern), None, "{pattern}");
        }
        assert_eq!(parts("**/**/a/**").unwrap().len(), 3);
    }

    proptest! {
        #[test]
        fn any_pattern_is_read(pattern in "[\\]\\[a*?!^\\\\:/.-]{0,12}", name in "[\\]\\[a*.-]{1,4}") {
            for part in parts(&pattern).unwrap_or_default() {
                let _ = part.matches(&name);
            }
        }

        #[test]
        fn a_name_is_a_pattern_of_itself(name in "[a-zäß0-9_.,;$(){}' -]{1,12}") {
            prop_assume!(!matches!(name.as_str(), "." | ".."));
            prop_assert!(matches(&name, &name));
        }
    }
}
