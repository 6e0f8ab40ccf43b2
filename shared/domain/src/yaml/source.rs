//! A file's text: parses it into types within bounds, and finds the line of a field again.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Location, Spanned};

use super::error::{FieldPath, FileError, Segment, quoted, suggestion};
use super::values::is_own_key;
use crate::text::shown;

/// The largest file that is read, in bytes.
const LARGEST: usize = 256 * 1024;

/// The deepest nesting; the contracts themselves need eight levels.
const DEEPEST: usize = 32;

/// The most values, once aliases are expanded.
const MOST_VALUES: usize = 20_000;
/// The most aliases.
const MOST_ALIASES: usize = 1_000;
/// The most anchors.
const MOST_ANCHORS: usize = 100;
/// The most merge keys.
const MOST_MERGES: usize = 500;

/// Keys whose values errors may show: none of them is a place for a secret.
const SHOWN: [&str; 25] = [
    "agent",
    "agents",
    "artifacts",
    "at-most-every",
    "backoff",
    "branch",
    "branches",
    "capacity",
    "cluster",
    "critical",
    "exit-codes",
    "limit",
    "max-concurrent",
    "needs",
    "on",
    "paths",
    "push",
    "queue-timeout",
    "refs",
    "relaunch",
    "repository",
    "retry",
    "subnets",
    "tags",
    "timeout",
];
/// Keys below which nothing is shown: users name what is in them.
const PRIVATE: [&str; 3] = ["environment", "metadata", "secrets"];

/// How much of a line an error shows, in characters.
const LONGEST_EXCERPT: usize = 80;

/// A file as it came. It is kept beside what was read from it, so that an error found later can name the line, without every value carrying one.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    file: &'static str,
    text: String,
}

impl Source {
    /// Takes a text that is not too large.
    pub(crate) fn new(file: &'static str, text: &str) -> Result<Self, FileError> {
        if text.len() > LARGEST {
            return Err(FileError {
                file,
                line: None,
                column: None,
                field: None,
                message: format!(
                    "the file has {} KiB: at most {} KiB are read",
                    text.len().div_ceil(1024),
                    LARGEST / 1024
                ),
                excerpt: None,
            });
        }
        Ok(Self {
            file,
            text: text.to_owned(),
        })
    }

    /// Reads the text into a type.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        let mut path = FieldPath::default();
        serde_saphyr::with_deserializer_from_str_with_options(&self.text, options(), |deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                path = field_path(error.path());
                error.into_inner()
            })
        })
        .map_err(|error| self.translate(&error, path))
        .and_then(|read| self.without_nulls().map(|()| read))
    }

    /// Refuses keys without a value. A reader of types would take them for keys that are not there: `branches:` with all its items commented out would
    /// let every branch through.
    fn without_nulls(&self) -> Result<(), FileError> {
        let found = RefCell::new(None);
        // The outcome does not matter: the pass ends with an error on purpose, at the first one.
        let _: Result<(), Error> = serde_saphyr::with_deserializer_from_str_with_options(&self.text, options(), |deserializer| {
            FindNull {
                path: &FieldPath::default(),
                found: &found,
            }
            .deserialize(deserializer)
        });
        match found.into_inner() {
            Some(path) => Err(self.error(&path, "the key has no value: add one, or remove the key")),
            None => Ok(()),
        }
    }

    /// An error at a field.
    pub(crate) fn error(&self, path: &FieldPath, message: impl Into<String>) -> FileError {
        self.placed(self.locate(path), path, message.into())
    }

    /// Line and column of a field's key or of a list's item. Falls back to the enclosing field, for example for fields from a merge key. This is a second
    /// pass over the text, made only for an error.
    fn locate(&self, path: &FieldPath) -> Option<(u64, u64)> {
        let found = Cell::new(None);
        // The outcome does not matter: the pass ends with an error on purpose, as soon as it has arrived.
        let _: Result<(), Error> = serde_saphyr::with_deserializer_from_str_with_options(&self.text, options(), |deserializer| {
            Locate {
                path: &path.0,
                found: &found,
            }
            .deserialize(deserializer)
        });
        found.get()
    }

    /// Translates an error of the YAML library. The library's own text can have several lines and name Rust types.
    fn translate(&self, error: &Error, mut path: FieldPath) -> FileError {
        let error = root(error);
        let message = match error {
            Error::SerdeUnknownField { field, expected, .. } => {
                // The path leads to the key that is unknown; the field to name is the mapping that does not know it.
                let at = self.locate(&path);
                if path.0.last() == Some(&Segment::Key(field.clone())) {
                    path.0.pop();
                }
                let message = format!("unknown key {}{}", quoted(field), suggestion(field, expected.iter().copied()));
                return self.placed(at.or_else(|| known(error)), &path, message);
            }
            Error::DuplicateMappingKey { key, .. } => {
                let key = key.as_deref().map_or_else(|| "a key".to_owned(), quoted);
                return self.placed(known(error), &path, format!("{key} appears twice"));
            }
            Error::ExternalMessage { msg, .. } => {
                if msg.contains("recursion limit") {
                    return self.placed(known(error), &FieldPath::default(), too_deep());
                }
                // The syntax is wrong from here on, so there is no field to name, and no second pass would come this far.
                let mut message = format!("the file is not valid YAML: {}", shown(first_line(msg), 160));
                if msg.contains("anchor or alias") {
                    message.push_str("; a text that starts with * or & has to be quoted");
                }
                return self.placed(known(error), &FieldPath::default(), message);
            }
            Error::SerdeUnknownVariant { variant, expected, .. } => {
                format!("unknown value {}{}", quoted(variant), suggestion(variant, expected.iter().copied()))
            }
            Error::SerdeMissingField { field, .. } => format!("missing key `{field}`"),
            Error::Unexpected {
                expected: "mapping start", ..
            } => "expected a mapping, that is `key: value`".to_owned(),
            Error::Unexpected {
                expected: "sequence start",
                ..
            } => "expected a list, such as [a, b]".to_owned(),
            Error::Unexpected { .. } | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
                "expected a single value, such as a text or a number".to_owned()
            }
            Error::NullIntoString { .. } => "the value is missing".to_owned(),
            Error::InvalidBooleanStrict { .. } | Error::InvalidScalar { ty: "boolean", .. } => "expected true or false".to_owned(),
            Error::InvalidScalar { .. } => "expected a whole number that is not negative".to_owned(),
            Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
                format!("expected {}", shown(first_line(expected), 400))
            }
            Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } | Error::UnexpectedValueForUnitEnumVariant { .. } => {
                "expected a single word".to_owned()
            }
            Error::UnknownAnchor { .. } => {
                let message = "an alias without an anchor; a text that starts with * has to be quoted";
                return self.placed(known(error), &path, message.to_owned());
            }
            Error::UnsupportedTag { .. } => {
                let message = "an unknown tag; a text that starts with ! has to be quoted";
                return self.placed(known(error), &path, message.to_owned());
            }
            Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias inside its own anchor".to_owned(),
            Error::MultipleDocuments { .. } => "a second YAML document begins here: expected one".to_owned(),
            Error::Budget {
                breach: BudgetBreach::Depth { .. },
                ..
            } => too_deep(),
            Error::Budget {
                breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } | BudgetBreach::MergeKeys { .. },
                ..
            } => format!("the file has more than {MOST_ANCHORS} anchors, {MOST_ALIASES} aliases or {MOST_MERGES} merge keys"),
            Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => {
                format!("the file has more than {MOST_VALUES} values; an alias counts as all that it stands for")
            }
            // Mostly one of this module's own, from where a value was read; those have cut what they repeat of the file.
            Error::Message { msg, .. } => shown(first_line(msg), 400),
            Error::Eof { .. } => return self.placed(None, &path, "the file is empty".to_owned()),
            other => {
                let text = other.to_string();
                shown(first_line(&text).split(" at line ").next().unwrap_or_default(), 100)
            }
        };
        let at = self.locate(&path).or_else(|| known(error));
        self.placed(at, &path, message)
    }

    fn placed(&self, at: Option<(u64, u64)>, path: &FieldPath, message: String) -> FileError {
        FileError {
            file: self.file,
            line: at.map(|(line, _)| line),
            column: at.map(|(_, column)| column),
            field: path.text(),
            message,
            excerpt: at.and_then(|(line, _)| self.excerpt(line, path)),
        }
    }

    /// What an error may show of a line. Everyone who subscribes gets errors, so only the line's key is shown, unless the error is about that key and its
    /// value cannot be a secret. `None` for a line without a key, such as one of a script.
    fn excerpt(&self, number: u64, path: &FieldPath) -> Option<String> {
        let before = usize::try_from(number.checked_sub(1)?).ok()?;
        let text = self.text.replace("\r\n", "\n");
        let line = text.split(['\n', '\r']).nth(before)?.trim();
        // The first two keys on the way are a section and a name that a user gave, which may be any word. A mapping on one line may hold other keys.
        let keys: Vec<&str> = path.keys().skip(2).collect();
        let is_shown =
            !line.contains('{') && keys.last().is_some_and(|key| SHOWN.contains(key)) && !keys.iter().any(|key| PRIVATE.contains(key));
        let item = line.strip_prefix("- ").unwrap_or(line);
        match item.split_once(':') {
            Some((key, _)) if is_shown && SHOWN.contains(&key) && keys.contains(&key) => Some(shown(line, LONGEST_EXCERPT)),
            Some((key, value)) if is_key(key) && (value.is_empty() || value.starts_with(' ')) => {
                Some(format!("{}: …", shown(key, LONGEST_EXCERPT)))
            }
            None if is_shown && item != line => Some(shown(line, LONGEST_EXCERPT)),
            _ => None,
        }
    }
}

fn too_deep() -> String {
    format!("nested too deeply: at most {DEEPEST} levels are read")
}

/// Whether a text looks like a key that somebody wrote without quotes.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// The bounds, and strictness wherever lenient parsing would hide a mistake.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        // These count what aliases expand to as well, which is what makes an alias bomb harmless.
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_events: 60_000,
            max_nodes: MOST_VALUES,
            max_total_scalar_bytes: 4 * LARGEST,
            max_aliases: MOST_ALIASES,
            max_anchors: MOST_ANCHORS,
            max_merge_keys: MOST_MERGES,
            // The limits on what aliases expand to hold better than this guess, which one anchor used by every job would run into.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_VALUES,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        emit_comments: false,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The error itself, without what the library wraps around it.
fn root(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => root(error),
        error => error,
    }
}

/// Where the library saw the error.
fn known(error: &Error) -> Option<(u64, u64)> {
    error
        .location()
        .filter(|location| *location != Location::UNKNOWN)
        .map(|location| (location.line(), location.column()))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn field_path(path: &serde_path_to_error::Path) -> FieldPath {
    FieldPath(
        path.iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Map { key } => Some(Segment::Key(key.clone())),
                serde_path_to_error::Segment::Seq { index } => Some(Segment::Index(*index)),
                // A word out of a list of words is a value to people, and no field.
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
            })
            .collect(),
    )
}

/// Looks for a key without a value, outside of the user's own keys.
#[derive(Clone, Copy)]
struct FindNull<'a> {
    path: &'a FieldPath,
    found: &'a RefCell<Option<FieldPath>>,
}

impl<'de> DeserializeSeed<'de> for FindNull<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FindNull<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.found.replace(Some(self.path.clone()));
        Err(E::custom("found"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.path.0.is_empty() && is_own_key(&key) {
                map.next_value::<IgnoredAny>()?;
            } else {
                let path = self.path.clone().key(key);
                map.next_value_seed(FindNull { path: &path, ..self })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0.. {
            let path = self.path.clone().index(index);
            if list.next_element_seed(FindNull { path: &path, ..self })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Follows a path through the text and notes the last step that has a place.
#[derive(Clone, Copy)]
struct Locate<'a> {
    path: &'a [Segment],
    found: &'a Cell<Option<(u64, u64)>>,
}

impl Locate<'_> {
    fn note(&self, location: Location) {
        if location != Location::UNKNOWN {
            self.found.set(Some((location.line(), location.column())));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path.first() {
            Some(Segment::Key(_)) => deserializer.deserialize_map(self),
            Some(Segment::Index(_)) => deserializer.deserialize_seq(self),
            None => Err(serde::de::Error::custom("arrived")),
        }
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Segment::Key(wanted), rest)) = self.path.split_first() else {
            return Ok(());
        };
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            if key.value == *wanted {
                self.note(key.referenced);
                return map.next_value_seed(Locate { path: rest, ..self });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Segment::Index(wanted), rest)) = self.path.split_first() else {
            return Ok(());
        };
        for _ in 0..*wanted {
            list.next_element::<IgnoredAny>()?;
        }
        if rest.is_empty() {
            if let Some(item) = list.next_element::<Spanned<IgnoredAny>>()? {
                self.note(item.referenced);
            }
            return Ok(());
        }
        list.next_element_seed(Locate { path: rest, ..self }).map(|_| ())
    }
}
