//! Step Functions: executions of state machines of the type STANDARD.

/// The ARN of a state machine's execution by its name
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html>).
#[must_use]
pub fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

/// The status of an execution (<https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html>). None here waits for a redrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its state machine is at work.
    Running,
    /// Its state machine came to a Succeed state, or to the end.
    Succeeded,
    /// Its state machine came to a Fail state, or caught no error.
    Failed,
    /// It took longer than its state machine's `TimeoutSeconds`.
    TimedOut,
    /// StopExecution.
    Aborted,
}

impl Status {
    /// In Step Functions' words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
        }
    }

    /// Why it cannot be redriven, if it cannot.
    #[must_use]
    pub fn not_redrivable(self) -> Option<String> {
        matches!(self, Self::Running | Self::Succeeded).then(|| format!("Execution is {} and cannot be redriven", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_named_after_its_state_machine() {
        let machine = "arn:aws:states:us-east-1:123456789012:stateMachine:release";
        assert_eq!(
            execution_arn(machine, "token"),
            "arn:aws:states:us-east-1:123456789012:execution:release:token"
        );
    }

    #[test]
    fn what_has_failed_can_be_redriven() {
        assert_eq!(Status::Failed.not_redrivable(), None);
        let running = Status::Running.not_redrivable();
        assert_eq!(running.as_deref(), Some("Execution is RUNNING and cannot be redriven"));
    }
}
