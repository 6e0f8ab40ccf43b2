//! Errors as Lambda reports them.

use std::fmt;

use bellhop_engine::{Fault, FaultKind};
use lambda_runtime::Diagnostic;

/// Why an invocation failed. Lambda retries it, and its dead-letter queue keeps what fails finally.
#[derive(thiserror::Error)]
#[error("{0}")]
pub struct Failure(#[from] Fault);

/// As lambda_runtime logs it: the one line of a failed invocation at the level ERROR.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the invocation failed: {:?}", self.0)
    }
}

impl From<Failure> for Diagnostic {
    /// The error type shows whether a retry helps: `Transient` or `Permanent`.
    fn from(Failure(fault): Failure) -> Self {
        Self {
            error_type: match fault.kind {
                FaultKind::Transient => "Transient",
                FaultKind::Permanent => "Permanent",
            }
            .to_owned(),
            error_message: fault.what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_in_one_line_without_what_is_underneath() {
        let fault = Fault::transient("failed to read build x: ThrottlingException: Rate exceeded").caused_by("Response {\n  headers: …\n}");
        assert_eq!(
            format!("{:?}", Failure::from(fault)),
            "the invocation failed: Transient: failed to read build x: ThrottlingException: Rate exceeded"
        );
    }

    #[test]
    fn the_reference_has_every_type_of_error() {
        let page = include_str!("../../../docs/reference/metrics.md");
        for fault in [Fault::transient("x"), Fault::permanent("x")] {
            let kind = Diagnostic::from(Failure::from(fault)).error_type;
            assert!(page.contains(&format!("\n| `{kind}` |")), "metrics.md does not say what {kind} is");
        }
    }
}
