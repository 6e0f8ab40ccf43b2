//! Counts the tests in a JUnit report.
//!
//! The format has no single definition. pytest, Maven Surefire, cargo-nextest, jest-junit and gotestsum have in common: `testcase` elements in
//! `testsuite` elements, which may be nested and inside a `testsuites`, and in a `testcase` one of `failure`, `error` and `skipped` unless the test
//! passed. Some tools use an attribute instead. The totals in a `testsuite`'s attributes are not added up: they are often wrong, and tools disagree
//! on whether they include nested suites. They only count as one failure if nothing else shows a failure.
//!
//! Everyone who may push can write reports, so size and nesting are bounded. The parser skips a document type and never expands its entities.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::config::shown;
use crate::found::{MOST_FAILED, Tests};

/// The largest part of a report that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;
/// The deepest nesting of elements.
const DEEPEST: usize = 64;
/// The longest name of a test, in characters.
const LONGEST_NAME: usize = 120;
/// The most characters of a file that an error quotes.
const ECHOED: usize = 60;
/// How many bytes are searched for a declaration of the encoding.
const DECLARATION: usize = 200;

/// The root elements of other tools' test reports, and the tools' names.
const OTHER_REPORTS: [(&str, &str); 8] = [
    ("TestRun", "Visual Studio (TRX)"),
    ("assemblies", "xUnit.net"),
    ("assembly", "xUnit.net"),
    ("robot", "Robot Framework"),
    ("test-results", "NUnit 2"),
    ("test-run", "NUnit 3"),
    ("testExecutions", "SonarQube"),
    ("testng-results", "TestNG"),
];
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
/// Catch2's tags for a test that may fail without failing the run
/// (<https://github.com/catchorg/Catch2/blob/devel/docs/test-cases-and-sections.md#special-tags>).
const MAY_FAIL: &str = "!mayfail";

/// Why a file, or the rest of it, cannot be counted. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitError {
    /// It is longer than [`LARGEST`].
    #[error("it is larger than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge,
    /// It has no elements at all.
    #[error("it is not XML: it has no element")]
    NoElement,
    /// It is another kind of XML, such as a coverage report. Holds the root element's name.
    #[error("it is not a JUnit report: it begins with <{0}>, expected <testsuites> or <testsuite>")]
    OtherKind(String),
    /// It is a test report of another kind. Holds the tool's name.
    #[error("it is a test report of {0}, expected one in JUnit's format")]
    OtherReport(&'static str),
    /// Elements are nested deeper than any test runner writes them.
    #[error("line {line}: elements are nested more than {DEEPEST} deep")]
    TooDeep {
        /// From 1.
        line: usize,
    },
    /// Its XML is invalid or incomplete.
    #[error("line {line}: it is not valid XML: {message}")]
    Broken {
        /// From 1.
        line: usize,
        /// The error.
        message: String,
    },
}

/// The content of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its tests.
    pub tests: Tests,
    /// Why there may be more tests: the report was counted only up to this error.
    pub incomplete: Option<JunitError>,
}

/// An open element.
enum Open<'a> {
    /// A `testsuites`, `testsuite`, or `testrun` (which Eclipse writes around its suites).
    Suite(Entry<'a>),
    /// A `testcase`.
    Case(Entry<'a>),
    /// Any other element, with everything in it.
    Other,
}

/// A test, or a suite, that is being read.
struct Entry<'a> {
    start: BytesStart<'a>,
    /// It contains a `failure`.
    failure: bool,
    /// It contains an `error`.
    error: bool,
    /// It contains a `skipped`, or another tool's name for that.
    skipped: bool,
    /// It was skipped because it may fail.
    may_fail: bool,
    /// It, or a test of this suite, contains a `flakyFailure` or `flakyError`: a try that does not count.
    flaky: bool,
    /// It contains another suite.
    has_suite: bool,
    /// A test of this suite has failed or was skipped.
    not_all_passed: bool,
}

impl Entry<'_> {
    /// Whether its content makes it a failed test. A skipped test with a `failure` was allowed to fail, such as a `todo` of Node.js. A skipped test
    /// with an `error` had an error outside the test, such as a teardown of pytest.
    fn failed(&self) -> bool {
        self.failure && !self.skipped || self.error && !self.may_fail
    }
}

/// Counts the tests of a report, from its first part of at most [`LARGEST`] bytes: every `testcase` directly in a suite.
///
/// A test was skipped if it directly contains a `skipped` and no `error`. Otherwise it failed if it contains a `failure` or an `error`.
/// `flakyFailure` and `rerunFailure` are tries that do not count. If it contains none of these, its attribute `status` or `result` decides. A
/// `failure` or `error` directly in a suite, for instance after a failed set-up, is one more failed test, named after the suite. So are the totals of
/// a suite that show failures if none of its tests does. Several reports in the same file are counted together.
///
/// A failed test is named once, as `classname.name`, or `name` if that includes the class, in at most 120 characters, with spaces for control
/// characters. Namespaces of elements are ignored. The text is UTF-8, or has the encoding of its byte order mark or declaration; invalid bytes are
/// replaced.
///
/// # Errors
/// If the file is not a JUnit report. If an error occurs later, the tests before it are counted, and [`Counted::incomplete`] is set.
pub fn count(bytes: &[u8]) -> Result<Counted, JunitError> {
    let too_large = bytes.len() > LARGEST;
    let text = decoded(bytes.get(..LARGEST).unwrap_or(bytes));
    let mut counting = Counting {
        tests: Tests::default(),
        open: Vec::new(),
        any: false,
    };
    match counting.read(&text) {
        Ok(()) => Ok(Counted {
            tests: counting.tests,
            incomplete: None,
        }),
        Err(error) if counting.any => {
            counting.leave_what_failed();
            Ok(Counted {
                tests: counting.tests,
                incomplete: Some(if too_large { JunitError::TooLarge } else { error }),
            })
        }
        Err(error) => Err(error),
    }
}

/// The text of a file. Valid UTF-8 is read as UTF-8, whatever the file declares: a wrong declaration is more common than another encoding that looks
/// like UTF-8.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let encoding = match (Encoding::for_bom(bytes), bytes) {
        (Some((encoding, _)), _) => encoding,
        (None, [b'<', 0, ..]) => UTF_16LE,
        (None, [0, b'<', ..]) => UTF_16BE,
        _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
        _ => declared(bytes).filter(|encoding| encoding.is_ascii_compatible()).unwrap_or(UTF_8),
    };
    encoding.decode(bytes).0
}

/// The encoding in the XML declaration.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..DECLARATION).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head);
    let declaration = head.strip_prefix("<?xml")?.split("?>").next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Encoding::for_label(value.get(1..)?.split(quote).next()?.as_bytes())
}

struct Counting<'a> {
    tests: Tests,
    open: Vec<Open<'a>>,
    /// A suite begins.
    any: bool,
}

impl<'a> Counting<'a> {
    fn read(&mut self, xml: &'a str) -> Result<(), JunitError> {
        let mut reader = Reader::from_str(xml);
        // Accepts a bare `&`, because many runners do not escape the text of a failure.
        reader.config_mut().allow_dangling_amp = true;
        let line = |offset: u64| {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            xml.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
        };
        loop {
            let event = reader.read_event().map_err(|error| JunitError::Broken {
                line: line(reader.error_position()),
                message: shown(&error.to_string(), 2 * ECHOED),
            })?;
            match event {
                Event::Start(start) => {
                    if self.open.len() == DEEPEST {
                        return Err(JunitError::TooDeep {
                            line: line(reader.buffer_position()),
                        });
                    }
                    let element = self.enter(start)?;
                    self.open.push(element);
                }
                Event::Empty(start) => {
                    let element = self.enter(start)?;
                    self.leave(element);
                }
                Event::End(_) => {
                    if let Some(element) = self.open.pop() {
                        self.leave(element);
                    }
                }
                Event::Eof if !self.open.is_empty() => {
                    return Err(JunitError::Broken {
                        line: line(reader.buffer_position()),
                        message: "it ends before its elements are closed".to_owned(),
                    });
                }
                Event::Eof if !self.any => return Err(JunitError::NoElement),
                Event::Eof => return Ok(()),
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

    /// Classifies an element at its start, and reads its statement about the enclosing test or suite.
    fn enter(&mut self, start: BytesStart<'a>) -> Result<Open<'a>, JunitError> {
        let local = start.local_name();
        let name: &str = local.as_ref();
        let is_suite = matches!(name, "testsuites" | "testsuite" | "testrun");
        let what: fn(Entry<'a>) -> Open<'a> = match self.open.last_mut() {
            None if is_suite => Open::Suite,
            None => return Err(other_kind(name)),
            Some(Open::Suite(around)) if is_suite => {
                around.has_suite = true;
                Open::Suite
            }
            Some(Open::Suite(_)) if name == "testcase" => Open::Case,
            Some(Open::Suite(entry) | Open::Case(entry)) => {
                match name {
                    "failure" => entry.failure = true,
                    "error" => entry.error = true,
                    "skipped" | "skip" | "disabled" | "ignored" => {
                        entry.skipped = true;
                        entry.may_fail |= attribute(&start, "message").contains(MAY_FAIL);
                    }
                    "flakyFailure" | "flakyError" => entry.flaky = true,
                    _ => {}
                }
                return Ok(Open::Other);
            }
            Some(Open::Other) => return Ok(Open::Other),
        };
        self.any = true;
        Ok(what(Entry {
            start,
            failure: false,
            error: false,
            skipped: false,
            may_fail: false,
            flaky: false,
            has_suite: false,
            not_all_passed: false,
        }))
    }

    fn leave(&mut self, element: Open<'_>) {
        match element {
            Open::Other => {}
            Open::Suite(suite) => {
                let untold = !(suite.has_suite || suite.not_all_passed || suite.flaky) && has_failures(&suite.start);
                if suite.failure || suite.error || untold {
                    self.record(true, false, || name(&suite.start, "a suite without a name"));
                }
            }
            Open::Case(case) => {
                let (failed, skipped) = match (case.failed(), case.skipped) {
                    (false, false) if !case.flaky => outcome_of(&case.start),
                    said => said,
                };
                if let Some(Open::Suite(suite)) = self.open.last_mut() {
                    suite.not_all_passed |= failed || skipped;
                    suite.flaky |= case.flaky;
                }
                self.record(failed, skipped, || name(&case.start, "a test without a name"));
            }
        }
    }

    /// Counts the failures in open elements if the report is cut off: a failure may have cut it off.
    fn leave_what_failed(&mut self) {
        while let Some(element) = self.open.pop() {
            if let Open::Suite(entry) | Open::Case(entry) = &element
                && entry.failed()
            {
                self.leave(element);
            }
        }
    }

    fn record(&mut self, failed: bool, skipped: bool, name: impl FnOnce() -> String) {
        self.tests.run += 1;
        if failed {
            self.tests.failed += 1;
            if self.tests.failures.len() < MOST_FAILED {
                let name = name();
                if !self.tests.failures.contains(&name) {
                    self.tests.failures.push(name);
                }
            }
        } else if skipped {
            self.tests.skipped += 1;
        }
    }
}

/// Whether the totals of a suite show failures.
fn has_failures(start: &BytesStart<'_>) -> bool {
    let total = |name| attribute(start, name).parse::<u64>().unwrap_or_default();
    total("errors") > 0 || total("failures") > 0
}

fn other_kind(name: &str) -> JunitError {
    let report = OTHER_REPORTS.iter().find(|(root, _)| *root == name);
    match report {
        Some((_, whose)) => JunitError::OtherReport(whose),
        None => JunitError::OtherKind(shown(name, ECHOED)),
    }
}

/// Whether a test failed or was skipped, by its attributes.
fn outcome_of(start: &BytesStart<'_>) -> (bool, bool) {
    let said = ["status", "result"].map(|name| attribute(start, name).to_ascii_lowercase());
    let is_one_of = |words: &[&str]| said.iter().any(|said| words.contains(&said.as_str()));
    (is_one_of(&FAILED), is_one_of(&NOT_RUN))
}

/// The name of a test, or of a suite that failed as a whole; `without` if it has no name.
fn name(start: &BytesStart<'_>, without: &str) -> String {
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
fn attribute(start: &BytesStart<'_>, wanted: &str) -> String {
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

#[cfg(test)]
mod tests;
