//! Counts the tests in a JUnit report.
//!
//! The format has no single definition. pytest, Maven Surefire, cargo-nextest, jest-junit and gotestsum have in common: `testcase` elements in
//! `testsuite` elements, which may be nested and inside a `testsuites`, and in a `testcase` one of `failure`, `error` and `skipped` unless the test
//! passed. Some tools use an attribute instead. The totals in a `testsuite`'s attributes are not added up: they are often wrong, and tools disagree
//! on whether they include nested suites. They only count as one failure if nothing else shows a failure.
//!
//! Everyone who may push can write reports, so size and nesting are bounded. The parser skips a document type and never expands its entities.
//!
//! `error` says why a file cannot be counted, `encoding` makes a text of its bytes, `attributes` reads one element, and `count` the whole file.

mod attributes;
mod count;
mod encoding;
mod error;
#[cfg(test)]
mod tests;

pub use count::{Counted, count};
pub use error::{JunitError, LARGEST};
