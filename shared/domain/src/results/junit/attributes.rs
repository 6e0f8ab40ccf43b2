//! What the attributes of an element say: a name, an outcome, totals.

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;

use crate::text::shown;

/// The longest name of a test, in characters.
pub(super) const LONGEST_NAME: usize = 120;

/// Values of an attribute `status` or `result` for a failed test.
const FAILED: [&str; 8] = ["broken", "error", "errored", "fail", "failed", "failure", "timed out", "timeout"];

/// Values of that attribute for a skipped test.
const NOT_RUN: [&str; 12] = [
    "blocked",
    "disabled",
    "ignored",
    "inconclusive",
    "not run",
    "not_run",
    "notexecuted",
    "notrun",
    "pending",
    "skipped",
    "suppressed",
    "untested",
];

/// Whether the totals of a suite show failures.
pub(super) fn has_failures(start: &BytesStart<'_>) -> bool {
    let total = |name| attribute(start, name).parse::<u64>().unwrap_or_default();
    total("errors") > 0 || total("failures") > 0
}

/// Whether a test failed or was skipped, by its attributes.
pub(super) fn outcome_of(start: &BytesStart<'_>) -> (bool, bool) {
    let said = ["status", "result"].map(|name| attribute(start, name).to_ascii_lowercase());
    let is_one_of = |words: &[&str]| said.iter().any(|said| words.contains(&said.as_str()));
    (is_one_of(&FAILED), is_one_of(&NOT_RUN))
}

/// The name of a test, or of a suite that failed as a whole; `without` if it has no name.
pub(super) fn name(start: &BytesStart<'_>, without: &str) -> String {
    let class = attribute(start, "classname");
    let name = attribute(start, "name");
    match (class.as_str(), name.as_str()) {
        ("", "") => without.to_owned(),
        ("", name) => name.to_owned(),
        (class, "") => class.to_owned(),
        // The default format of jest-junit.
        (class, name) if class == name => name.to_owned(),
        (class, name) => cut(&format!("{class}.{name}")),
    }
}

/// The value of an attribute, or an empty text.
pub(super) fn attribute(start: &BytesStart<'_>, wanted: &str) -> String {
    // Checking for duplicate attributes would compare each with all others.
    let found = start
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.as_ref() == wanted);
    let Some(found) = found else {
        return String::new();
    };
    // A custom entity, or an invalid character reference: the value stays as it is written.
    match found.normalized_value(XmlVersion::Implicit1_0) {
        Ok(value) => cut(value.trim()),
        Err(_) => cut(found.value.trim()),
    }
}

fn cut(text: &str) -> String {
    if text.chars().nth(LONGEST_NAME).is_some() {
        // Cut to the limit, including the ellipsis.
        shown(text, LONGEST_NAME - 1)
    } else {
        shown(text, LONGEST_NAME)
    }
}
