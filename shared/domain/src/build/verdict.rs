//! The verdict about an attempt whose agent has stopped: how the attempt ended, and why, for people.
//!
//! The exit code and the stop reason come from the service. The agent's report explains them, and distinguishes a script that finished from one that
//! SIGTERM cut short. It never turns a non-zero exit code into a success.

use super::attempt::Attempt;
use super::record::Build;
use super::state::{End, Phase, StopReason};
use super::text::{LONGEST_MESSAGE, truncate};
use crate::executor::Capacity;
use crate::executor::observation::{ContainerEnd, Report, ReportPhase, Stop, StopCause};

/// The beginning of a container's reason if the kernel killed one of its processes because memory ran out
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>).
const OUT_OF_MEMORY: &str = "OutOfMemory";

/// The remark about such a process if the script succeeded nevertheless.
const SHORT_OF_MEMORY: &str = "one of its processes was killed because memory ran out; give its agent more memory";

/// The most characters stored of a failed command.
pub(super) const LONGEST_COMMAND: usize = 60;

impl Build {
    /// The end of an attempt, from its stopped agent. Exit code 0 proves no success, because a script may end with it after SIGTERM; another exit
    /// code excludes success. If the service has no exit code, as for a lost agent, the report decides.
    pub(super) fn verdict(&self, attempt: &Attempt, stop: &Stop) -> End {
        // Without a container, the report contains everything about the script.
        let deciding = self.spec.executor.kind().deciding_container();
        let container = deciding.and_then(|name| stop.containers.iter().find(|container| container.name == name));
        let exit_code = container.and_then(|container| container.exit_code);
        let container_reason = container.and_then(|container| container.reason.as_deref());
        // A report explains a result but never improves it: any program in the agent can write one. The exit code comes from the service.
        let contradicted = |report: &Report| report.exit_code == 0 && exit_code.is_some_and(|code| code != 0);
        let by_itself = stop
            .report
            .as_ref()
            .filter(|report| !report.signalled && report.phase == ReportPhase::Script && !contradicted(report));
        let interrupted = stop.cause == StopCause::Interrupted || matches!(attempt.phase, Phase::Interrupted { .. });
        if let Phase::Stopping { why, .. } = attempt.phase {
            return match why {
                StopReason::Timeout => End::TimedOut,
                StopReason::BuildOver => End::Unneeded,
                StopReason::NeverStarted => End::Infrastructure {
                    cause: self.never_up(attempt.capacity),
                },
            };
        }
        let signalled = stop.report.as_ref().is_some_and(|report| report.signalled);
        if let Some(report) = &stop.report
            && report.phase == ReportPhase::CommitGone
        {
            return End::CommitGone {
                cause: format!(
                    "commit {} is no longer in the repository: its branch was deleted or force-pushed",
                    self.spec.commit.short()
                ),
            };
        }
        if let Some(report) = &stop.report
            && report.phase == ReportPhase::Checkout
            && !interrupted
            && !signalled
        {
            let message = truncate(report.message.as_deref().unwrap_or("no details given"), LONGEST_MESSAGE);
            return End::Infrastructure {
                cause: format!("the commit could not be checked out: {message}"),
            };
        }
        if let Some(report) = &stop.report
            && let Some(end) = before_the_script(report)
            && !interrupted
            && !signalled
        {
            return end;
        }
        // Exit code 0 comes from the script, even if another process of its container ran out of memory.
        let out_of_memory = exit_code != Some(0) && container_reason.is_some_and(|reason| reason.starts_with(OUT_OF_MEMORY));
        if let Some(report) = by_itself {
            return if report.exit_code == 0 {
                End::Succeeded
            } else {
                End::Failed {
                    exit_code: Some(report.exit_code),
                    cause: if out_of_memory {
                        format!("out of memory: {}", failure(report))
                    } else {
                        failure(report)
                    },
                }
            };
        }
        // SIGTERM without an interruption event: on Spot, the warning was lost.
        if interrupted || (signalled && stop.cause != StopCause::Requested && attempt.capacity == Capacity::Spot) {
            return End::Interrupted;
        }
        let message = || service_message(stop, container);
        match (stop.cause, exit_code) {
            (StopCause::TimedOut, _) => End::TimedOut,
            (StopCause::Definition, _) => End::Failed {
                exit_code: None,
                cause: message(),
            },
            (StopCause::Exited | StopCause::Other, _) if out_of_memory => End::Failed {
                exit_code,
                cause: "out of memory".to_owned(),
            },
            (StopCause::Exited, _) if signalled => End::Infrastructure {
                cause: format!("the agent was stopped from outside Bellhop: {}", message()),
            },
            (StopCause::Exited, Some(0)) => End::Succeeded,
            (StopCause::Exited, Some(code)) => End::Failed {
                exit_code,
                cause: format!("the script ended with exit code {code}"),
            },
            (StopCause::Exited, None) => End::Infrastructure {
                cause: format!("the container ended without an exit code: {}", message()),
            },
            (StopCause::FailedToStart | StopCause::NoCapacity | StopCause::NotNow, _) => End::Infrastructure {
                cause: format!("the agent did not start: {}", message()),
            },
            (StopCause::Requested, _) => End::Infrastructure {
                cause: format!("the agent was stopped from outside Bellhop: {}", message()),
            },
            (StopCause::Interrupted | StopCause::Other, _) => End::Infrastructure {
                cause: format!("the agent was lost: {}", message()),
            },
        }
    }
}

/// Why the service stopped an agent, with the reason of its container if that is another one.
fn service_message(stop: &Stop, container: Option<&ContainerEnd>) -> String {
    let service = stop.reason.as_deref().unwrap_or("no reason given");
    let message = match container.and_then(|container| Some((&container.name, container.reason.as_deref()?))) {
        Some((name, reason)) if reason != service => format!("{service}; container {name}: {reason}"),
        _ => service.to_owned(),
    };
    truncate(&message, LONGEST_MESSAGE)
}

/// The end of an attempt whose script never ran because the agent did not get the job's secrets, or the artifacts of other jobs. What is missing, denied or
/// another one than expected is the job's own failure: another try finds it no more than this one. If a service does not answer, the job did not cause it.
fn before_the_script(report: &Report) -> Option<End> {
    let cause = || truncate(report.message.as_deref().unwrap_or("no details given"), LONGEST_MESSAGE);
    match report.phase {
        ReportPhase::Secrets => Some(End::Infrastructure {
            cause: format!("the secrets could not be fetched: {}", cause()),
        }),
        ReportPhase::Fetch => Some(End::Infrastructure {
            cause: format!("the artifacts of other jobs could not be fetched: {}", cause()),
        }),
        ReportPhase::SecretRefused | ReportPhase::FetchRefused => Some(End::Failed {
            exit_code: Some(report.exit_code),
            cause: cause(),
        }),
        ReportPhase::Checkout | ReportPhase::CommitGone | ReportPhase::Script | ReportPhase::Unknown => None,
    }
}

/// The cause of a failure, from the agent's report.
fn failure(report: &Report) -> String {
    let code = report.exit_code;
    match (&report.command, report.line) {
        (Some(command), Some(line)) => format!("`{}` (line {line}) ended with exit code {code}", truncate(command, LONGEST_COMMAND)),
        (Some(command), None) => format!("`{}` ended with exit code {code}", truncate(command, LONGEST_COMMAND)),
        (None, Some(line)) => format!("line {line} of the script ended with exit code {code}"),
        (None, None) => match &report.message {
            Some(message) => format!("{} (exit code {code})", truncate(message, LONGEST_MESSAGE)),
            None => format!("the script ended with exit code {code}"),
        },
    }
}

/// The remark about an attempt whose script succeeded although one of its processes was killed.
pub(super) fn remark(stop: &Stop, end: &End) -> Option<String> {
    let is_short = stop.containers.iter().any(|container| {
        let reason = container.reason.as_deref();
        reason.is_some_and(|reason| reason.starts_with(OUT_OF_MEMORY))
    });
    (is_short && *end == End::Succeeded).then(|| SHORT_OF_MEMORY.to_owned())
}
