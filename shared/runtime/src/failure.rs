//! Errors as Lambda reports them.

use bellhop_engine::{Fault, FaultKind};
use lambda_runtime::Diagnostic;

/// Why an invocation failed. Lambda tries it again, and its dead-letter queue keeps what stays unsolved.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(#[from] Fault);

impl From<Failure> for Diagnostic {
    /// The error type tells at a glance whether waiting helps: `Passing` or `Lasting`.
    fn from(Failure(fault): Failure) -> Self {
        Self {
            error_type: match fault.kind {
                FaultKind::Passing => "Passing",
                FaultKind::Lasting => "Lasting",
            }
            .to_owned(),
            error_message: fault.what,
        }
    }
}
