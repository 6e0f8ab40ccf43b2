//! Errors in users' files, in one line each.

use std::fmt;

use crate::ids::InvalidId;
use crate::text::shown;

/// The pipeline file's name in messages, and its path in a repository.
pub const PIPELINE_FILE: &str = ".bellhop.yaml";

/// Whether a file at the root of a repository was meant to be the pipeline file: its name has another case, or the shorter extension.
#[must_use]
pub fn is_misnamed(name: &str) -> bool {
    name != PIPELINE_FILE && matches!(name.to_ascii_lowercase().as_str(), PIPELINE_FILE | ".bellhop.yml")
}

/// The suite configuration's name in messages.
pub const SUITE_FILE: &str = "config/bellhop.yaml";

/// How much of a value of the file a message repeats.
const ECHOED: usize = 100;

/// How many names a message lists.
const LISTED: usize = 20;

/// How other CI systems call what a key of ours says.
const ELSEWHERE: [(&str, &str); 14] = [
    ("after", "needs"),
    ("commands", "run"),
    ("dependencies", "needs"),
    ("depends-on", "needs"),
    ("depends_on", "needs"),
    ("env", "environment"),
    ("image", "agent"),
    ("only", "on"),
    ("rules", "on"),
    ("runs-on", "agent"),
    ("script", "run"),
    ("steps", "run"),
    ("variables", "environment"),
    ("when", "on"),
];

/// What is wrong with a file, and where. Its text is one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    /// [`PIPELINE_FILE`] or [`SUITE_FILE`].
    pub file: &'static str,
    /// The line, from 1, where it is known.
    pub line: Option<u64>,
    /// The column, from 1, where it is known.
    pub column: Option<u64>,
    /// The field, such as `jobs.test.on.push`, where there is one.
    pub field: Option<String>,
    /// What is wrong and what was expected.
    pub message: String,
    /// What may be shown of the line: its key, and its value if that cannot be a secret.
    pub excerpt: Option<String>,
}

impl FileError {
    /// File, line, field and message, without the text of the line.
    #[must_use]
    pub fn headline(&self) -> String {
        let line = self.line.map_or_else(String::new, |line| format!(", line {line}"));
        let field = self.field.as_ref().map_or_else(String::new, |field| format!(", {field}"));
        format!("{}{line}{field}: {}", self.file, self.message)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "; the line is {}", quoted(excerpt)),
            None => Ok(()),
        }
    }
}

/// The way to a field, from the top of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldPath(pub(crate) Vec<Segment>);

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl FieldPath {
    /// A key at the top of the file.
    pub(crate) fn top(key: &str) -> Self {
        Self::default().key(key)
    }

    /// The keys on the way.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
    }

    /// One key deeper.
    pub(crate) fn key(mut self, key: impl fmt::Display) -> Self {
        self.0.push(Segment::Key(key.to_string()));
        self
    }

    /// One index deeper.
    pub(crate) fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// The way as people write it; `None` for the top itself.
    pub(crate) fn text(&self) -> Option<String> {
        let mut text = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&shown(key, ECHOED));
                }
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// A value of the file as messages repeat it.
pub(crate) fn quoted(value: &str) -> String {
    format!("`{}`", shown(value, ECHOED - 1))
}

/// A name that does not fit, in the words that every message here uses.
pub(crate) fn invalid_id(error: &InvalidId) -> String {
    format!(
        "{} is not a valid {}: expected {}",
        quoted(&error.value),
        error.kind,
        error.expected
    )
}

/// The known name that the user probably meant: the one that another CI system calls by the unknown name, or the nearest one.
#[must_use]
pub fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    let meant = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == unknown);
    if let Some(name) = meant.and_then(|(_, ours)| known.iter().find(|name| *name == ours)) {
        return Some(name);
    }
    // Beyond the longest name that there can be, nothing is near; cutting keeps the comparison cheap.
    let unknown: String = unknown.chars().take(64).collect();
    known
        .iter()
        .map(|name| (strsim::osa_distance(&unknown, name), *name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= (unknown.len().max(name.len()) / 3).max(1))
        .map(|(_, name)| name)
}

/// The end of a message about an unknown name: the nearest known name, if one is near, and the known names.
pub(crate) fn suggestion<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let hint = nearest(unknown, &known).map_or_else(String::new, |name| format!("; did you mean {}?", quoted(name)));
    if known.is_empty() {
        return hint;
    }
    let mut names: Vec<String> = known.iter().take(LISTED).map(|name| shown(name, ECHOED)).collect();
    if known.len() > LISTED {
        names.push("…".to_owned());
    }
    format!("{hint} (known: {})", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_while_a_third_of_it_differs() {
        assert_eq!(suggestion("largxx", ["larger"]), "; did you mean `larger`? (known: larger)");
        assert_eq!(suggestion("larxxx", ["larger"]), " (known: larger)");
        assert_eq!(suggestion("large", []), "");
    }

    #[test]
    fn only_so_many_known_names_are_listed() {
        let names: Vec<String> = (0..=LISTED).map(|number| format!("name{number}")).collect();
        let listed = |count: usize| suggestion("other", names.iter().take(count).map(String::as_str));
        assert!(listed(LISTED).ends_with(&format!(", name{})", LISTED - 1)), "{}", listed(LISTED));
        assert!(listed(LISTED + 1).ends_with(&format!(", name{}, …)", LISTED - 1)));
    }
}
