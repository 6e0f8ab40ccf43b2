//! Counts the tests of a JUnit report.
//!
//! There is no one definition of the format; what pytest, Maven Surefire, cargo-nextest, jest-junit and gotestsum write has this much in common:
//! `testcase` elements in `testsuite` elements, which may stand in each other and in a `testsuites`, and inside a `testcase` one of `failure`,
//! `error` and `skipped` unless the test passed. The totals that a `testsuite` carries as attributes are not read: they are wrong often enough, and
//! whether they hold what nested suites hold depends on who wrote them.
//!
//! Reports come from whoever may push, so size and nesting are bounded. A document type is passed over and its entities are never expanded.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::config::shown;
use crate::found::{MOST_FAILED, Tests};

/// The largest report that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;
/// How deep elements may stand in each other.
const DEEPEST: usize = 64;
/// The longest name of a test, in characters.
const LONGEST_NAME: usize = 120;
/// The most characters that an error repeats of a file.
const ECHOED: usize = 60;

/// Why a file is no JUnit report that can be counted. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitError {
    /// It is larger than [`LARGEST`].
    #[error("the file has {0} bytes: at most {LARGEST} are read")]
    TooLarge(usize),
    /// It has no elements at all.
    #[error("the file is no XML: there is no element")]
    NoElement,
    /// It is XML of another kind, such as a coverage report. Holds the outermost element's name.
    #[error("the file is no JUnit report: it begins with <{0}>, expected <testsuites> or <testsuite>")]
    OtherKind(String),
    /// Elements stand in each other deeper than any test runner writes them.
    #[error("line {line}: more than {DEEPEST} elements stand in each other")]
    TooDeep {
        /// From 1.
        line: usize,
    },
    /// It is broken, or cut off.
    #[error("line {line}: the file is no valid XML: {message}")]
    Broken {
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// An element that is open.
enum Open<'a> {
    /// A `testsuites` or `testsuite`.
    Suite,
    /// A `testcase`.
    Case(Case<'a>),
    /// Anything else, with all that stands in it.
    Other,
}

/// A test that is being read.
struct Case<'a> {
    start: BytesStart<'a>,
    failed: bool,
    skipped: bool,
}

/// Counts the tests of a report: every `testcase` that stands directly in a suite. It failed if a `failure` or an `error` stands directly in it,
/// however many; `flakyFailure` and `rerunFailure`, which tell of tries that do not count, change nothing. Otherwise it was skipped if there is a
/// `skipped`. Several reports one after the other in the same text are counted together.
///
/// A failed test is named `classname.name`, or `name` where that says it all, in at most 120 characters, with spaces for control characters. Names
/// of elements count without their namespace.
///
/// # Errors
/// What keeps the text from being a JUnit report. Then nothing of it counts: half of a report would pass for all of it.
pub fn count(xml: &str) -> Result<Tests, JunitError> {
    if xml.len() > LARGEST {
        return Err(JunitError::TooLarge(xml.len()));
    }
    let mut reader = Reader::from_str(xml.strip_prefix('\u{feff}').unwrap_or(xml));
    // Written by many a runner that takes the text of a failure as it is.
    reader.config_mut().allow_dangling_amp = true;
    let line = |offset: u64| {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        xml.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    };
    let mut tests = Tests::default();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut any = false;
    loop {
        let event = reader.read_event().map_err(|error| JunitError::Broken {
            line: line(reader.error_position()),
            message: shown(&error.to_string(), 2 * ECHOED),
        })?;
        match event {
            Event::Start(start) => {
                if open.len() == DEEPEST {
                    return Err(JunitError::TooDeep {
                        line: line(reader.buffer_position()),
                    });
                }
                any = true;
                let element = enter(start, &mut open)?;
                open.push(element);
            }
            Event::Empty(start) => {
                any = true;
                if let Open::Case(case) = enter(start, &mut open)? {
                    record(&mut tests, &case);
                }
            }
            Event::End(_) => {
                if let Some(Open::Case(case)) = open.pop() {
                    record(&mut tests, &case);
                }
            }
            Event::Eof if !open.is_empty() => {
                return Err(JunitError::Broken {
                    line: line(reader.buffer_position()),
                    message: "it ends before its elements do".to_owned(),
                });
            }
            Event::Eof if !any => return Err(JunitError::NoElement),
            Event::Eof => return Ok(tests),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
}

/// What an element is where it begins, and what it says about the test that it stands in.
fn enter<'a>(start: BytesStart<'a>, open: &mut [Open<'a>]) -> Result<Open<'a>, JunitError> {
    let local = start.local_name();
    let name: &str = local.as_ref();
    let suite = matches!(name, "testsuites" | "testsuite");
    Ok(match open.last_mut() {
        None if suite => Open::Suite,
        None => return Err(JunitError::OtherKind(shown(name, ECHOED))),
        Some(Open::Suite) if suite => Open::Suite,
        Some(Open::Suite) if name == "testcase" => Open::Case(Case {
            start,
            failed: false,
            skipped: false,
        }),
        Some(Open::Case(case)) => {
            case.failed |= matches!(name, "failure" | "error");
            case.skipped |= name == "skipped";
            Open::Other
        }
        Some(Open::Suite | Open::Other) => Open::Other,
    })
}

fn record(tests: &mut Tests, case: &Case<'_>) {
    tests.run += 1;
    if case.failed {
        tests.failed += 1;
        if tests.failures.len() < MOST_FAILED {
            tests.failures.push(name(&case.start));
        }
    } else if case.skipped {
        tests.skipped += 1;
    }
}

/// The name of a test.
fn name(start: &BytesStart<'_>) -> String {
    let class = attribute(start, "classname");
    let name = attribute(start, "name");
    match (class.as_str(), name.as_str()) {
        ("", "") => "a test without a name".to_owned(),
        ("", name) => name.to_owned(),
        (class, "") => class.to_owned(),
        // As jest-junit writes them unless told otherwise.
        (class, name) if class == name => name.to_owned(),
        (class, name) => cut(&format!("{class}.{name}")),
    }
}

/// The value of an attribute, or an empty text.
fn attribute(start: &BytesStart<'_>, wanted: &str) -> String {
    // Looking for attributes that stand there twice would compare each with all others.
    let found = start
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| attribute.key.as_ref() == wanted);
    let Some(found) = found else {
        return String::new();
    };
    // An entity of the document's own, or a reference to no character, leaves the value as it is written.
    match found.normalized_value(XmlVersion::Implicit1_0) {
        Ok(value) => cut(value.trim()),
        Err(_) => cut(found.value.trim()),
    }
}

fn cut(text: &str) -> String {
    if text.chars().nth(LONGEST_NAME).is_some() {
        // With the ellipsis that follows, as long as it may be.
        shown(text, LONGEST_NAME - 1)
    } else {
        shown(text, LONGEST_NAME)
    }
}

#[cfg(test)]
mod tests;
