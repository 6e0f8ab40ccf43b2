//! Why a file, or the rest of it, cannot be counted.

use crate::text::shown;

/// The largest part of a report that is read, in bytes.
pub const LARGEST: usize = 16 * 1024 * 1024;
/// The deepest nesting of elements.
pub(super) const DEEPEST: usize = 64;

/// The most characters of a file that an error quotes.
pub(super) const ECHOED: usize = 60;

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

pub(super) fn other_kind(name: &str) -> JunitError {
    let report = OTHER_REPORTS.iter().find(|(root, _)| *root == name);
    match report {
        Some((_, whose)) => JunitError::OtherReport(whose),
        None => JunitError::OtherKind(shown(name, ECHOED)),
    }
}
