//! Counts the tests of a JUnit report.
//!
//! There is no one definition of the format; what pytest, Maven Surefire, cargo-nextest, jest-junit and gotestsum write has this much in common:
//! `testcase` elements in `testsuite` elements, which may stand in each other and in a `testsuites`, and inside a `testcase` one of `failure`,
//! `error` and `skipped` unless the test passed. Some say that in an attribute instead. The totals that a `testsuite` carries as attributes are not
//! added up: they are wrong often enough, and whether they hold what nested suites hold depends on who wrote them. They only count as one failure where
//! nothing else tells of one.
//!
//! Reports come from everyone who may push, so size and nesting are bounded. A document type is passed over and its entities are never expanded.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::config::shown;
use crate::found::{MOST_FAILED, Tests};

/// The largest part of a report that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;
/// How deep elements may stand in each other.
const DEEPEST: usize = 64;
/// The longest name of a test, in characters.
const LONGEST_NAME: usize = 120;
/// The most characters that an error repeats of a file.
const ECHOED: usize = 60;
/// Where a declaration of the encoding is looked for, in bytes.
const DECLARATION: usize = 200;

/// The outermost elements of other tools' test reports, and whose they are.
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
/// What a test that failed is called in an attribute `status` or `result`.
const FAILED: [&str; 8] = ["broken", "error", "errored", "fail", "failed", "failure", "timed out", "timeout"];
/// What a test that was not run is called there.
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
/// What Catch2 says of a test that may fail, and passes for the run whatever becomes of it
/// (<https://github.com/catchorg/Catch2/blob/devel/docs/test-cases-and-sections.md#special-tags>).
const MAY_FAIL: &str = "!mayfail";

/// Why a file, or its rest, cannot be counted. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitError {
    /// It goes on behind [`LARGEST`].
    #[error("it is larger than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge,
    /// It has no elements at all.
    #[error("it is not XML: it has no element")]
    NoElement,
    /// It is XML of another kind, such as a coverage report. Holds the outermost element's name.
    #[error("it is not a JUnit report: it begins with <{0}>, expected <testsuites> or <testsuite>")]
    OtherKind(String),
    /// It is a test report of another kind. Holds whose.
    #[error("it is a test report of {0}, expected one in JUnit's format")]
    OtherReport(&'static str),
    /// Elements stand in each other deeper than any test runner writes them.
    #[error("line {line}: elements are nested more than {DEEPEST} deep")]
    TooDeep {
        /// From 1.
        line: usize,
    },
    /// It is broken, or cut off.
    #[error("line {line}: it is not valid XML: {message}")]
    Broken {
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its tests.
    pub tests: Tests,
    /// Why there may be more of them: the report was counted up to here.
    pub incomplete: Option<JunitError>,
}

/// An element that is open.
enum Open<'a> {
    /// A `testsuites`, `testsuite`, or `testrun` (which Eclipse writes around its suites).
    Suite(Entry<'a>),
    /// A `testcase`.
    Case(Entry<'a>),
    /// Anything else, with all that stands in it.
    Other,
}

/// A test, or a suite, that is being read.
struct Entry<'a> {
    start: BytesStart<'a>,
    /// A `failure` stands in it.
    failure: bool,
    /// An `error` stands in it.
    error: bool,
    /// A `skipped` stands in it, or what other tools call that.
    skipped: bool,
    /// It was skipped because it may fail.
    may_fail: bool,
    /// A `flakyFailure` or `flakyError` stands in it, or in a test of this suite: a try that does not count.
    flaky: bool,
    /// A suite stands in this one.
    has_suite: bool,
    /// A test of this suite has failed or was skipped.
    not_all_passed: bool,
}

impl Entry<'_> {
    /// Whether what stands in it makes it a failed test. What is skipped and has a `failure` was let fail: a `todo` of Node.js, for instance. What is
    /// skipped and has an `error` has broken around that: a teardown of pytest, for instance.
    fn failed(&self) -> bool {
        self.failure && !self.skipped || self.error && !self.may_fail
    }
}

/// Counts the tests of a report, of which this is the first part of at most [`LARGEST`] bytes: every `testcase` that stands directly in a suite.
///
/// It was skipped if a `skipped` stands directly in it, and no `error`; otherwise it failed if there is a `failure` or an `error`, however many;
/// `flakyFailure` and `rerunFailure`, which tell of tries that do not count, change nothing. Where there is none of these, an attribute `status` or
/// `result` of the test may say so. A `failure` or `error` that stands directly in a suite, as one whose set-up broke, is one more test that failed, named
/// after the suite; so are the totals of a suite that tell of failures where no test does. Several reports one after the other in the same file are
/// counted together.
///
/// A failed test is named once, `classname.name`, or `name` where that says it all, in at most 120 characters, with spaces for control characters. Names
/// of elements count without their namespace. The text is UTF-8, or what its byte order mark or its declaration says; bytes that mean nothing there
/// are replaced.
///
/// # Errors
/// What keeps the file from being a JUnit report. What breaks later leaves what was counted until then, and [`Counted::incomplete`].
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

/// The text of a file. What is valid UTF-8 is taken for that, whatever it says of itself: those who write it are mistaken about the name more often than
/// another encoding looks like UTF-8.
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

/// The encoding that the XML declaration names.
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
    /// A suite has begun.
    any: bool,
}

impl<'a> Counting<'a> {
    fn read(&mut self, xml: &'a str) -> Result<(), JunitError> {
        let mut reader = Reader::from_str(xml);
        // Written by many a runner that takes the text of a failure as it is.
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

    /// What an element is where it begins, and what it says about the test or suite that it stands in.
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

    /// Counts what has failed of that which is open where a report breaks: it may be what broke it.
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

/// Whether the totals of a suite tell of failures.
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

/// The name of a test, or of a suite that failed as a whole; `without` for one that has none.
fn name(start: &BytesStart<'_>, without: &str) -> String {
    let class = attribute(start, "classname");
    let name = attribute(start, "name");
    match (class.as_str(), name.as_str()) {
        ("", "") => without.to_owned(),
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
