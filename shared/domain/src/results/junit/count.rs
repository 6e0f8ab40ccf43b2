//! Counts the tests of a report, element by element.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::attributes::{attribute, has_failures, name, outcome_of};
use super::encoding::decoded;
use super::error::{DEEPEST, ECHOED, JunitError, LARGEST, other_kind};
use crate::results::found::{MOST_FAILED, Tests};
use crate::text::shown;

/// Catch2's tags for a test that may fail without failing the run
/// (<https://github.com/catchorg/Catch2/blob/devel/docs/test-cases-and-sections.md#special-tags>).
const MAY_FAIL: &str = "!mayfail";

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
                let unexplained = !(suite.has_suite || suite.not_all_passed || suite.flaky) && has_failures(&suite.start);
                if suite.failure || suite.error || unexplained {
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
