//! Evaluates a CodeBuild build from its relevant facts. The facts come from an event or from `BatchGetBuilds`; only this module draws conclusions
//! from them.
//!
//! See [build phases](https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html),
//! [`Build`](https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html) and
//! [troubleshooting](https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html).

pub(crate) mod event;

use bellhop_domain::executor::codebuild::CAPACITY;
use bellhop_domain::executor::codebuild::buildspec::{FAILED, FailedCommand};
use bellhop_domain::executor::observation::{AgentStatus, Observation, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::ids::{AttemptId, InvalidId};
use jiff::Timestamp;

use crate::aws_errors::Class;
use crate::decode::clean;
use crate::task;

/// The phases of a build, in order.
const PHASES: [&str; 11] = [
    "SUBMITTED",
    "QUEUED",
    PROVISIONING,
    "DOWNLOAD_SOURCE",
    "INSTALL",
    "PRE_BUILD",
    "BUILD",
    "POST_BUILD",
    "UPLOAD_ARTIFACTS",
    "FINALIZING",
    "COMPLETED",
];
/// The last phase before the build runs.
const PROVISIONING: &str = "PROVISIONING";
/// The status of a successful phase.
const SUCCEEDED: &str = "SUCCEEDED";

/// Status codes in a phase's context that identify the cause. A command of the buildspec failed:
const COMMAND_ERROR: &str = "COMMAND_EXECUTION_ERROR";
/// The buildspec is missing or invalid, or names a runtime that the image does not have:
const BUILDSPEC_ERROR: &str = "YAML_FILE_ERROR";
/// CodeBuild failed:
const SERVICE_ERROR: &str = "INTERNAL_SERVICE_ERROR";

/// CodeBuild could not fetch a variable from Parameter Store (<https://github.com/aws/aws-cdk/issues/11032>):
const PARAMETER_ERROR: &str = "Decrypted Variables Error";
/// CodeBuild could not fetch a variable from Secrets Manager (<https://github.com/aws/aws-codebuild-docker-images/issues/475>):
const SECRET_ERROR: &str = "Secrets Manager Error";

/// CodeBuild's message if Git does not find a commit in the repository
/// (<https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html>).
const NO_REFERENCE: &str = "reference not found";

/// CodeBuild's message if the container ended before the command; the image may also be incompatible.
const OUT_OF_MEMORY: &str = "out of memory";

/// The beginning of the message about a failed command; the command follows.
const COMMAND_WORDS: &str = "Error while executing command: ";
/// The text between the command and the reason.
const REASON_WORDS: &str = ". Reason: ";
/// The beginning of the reason if the command ended by itself; the exit code follows.
const EXIT_WORDS: &str = "exit status ";
/// Identifies the command that runs a job's script, which is of no interest to people.
const WRAPPER: &str = "bellhop-script";

/// The most characters stored of CodeBuild's messages, which contain whole commands.
const LONGEST_REASON: usize = 1000;

/// A build from CodeBuild, with field names as in its API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildFacts {
    /// `arn`; in events `build-id`
    pub arn: String,
    /// `buildStatus`
    pub status: String,
    /// `currentPhase`
    pub current_phase: Option<String>,
    /// `endTime`
    pub ended_at: Option<Timestamp>,
    /// `phases`
    pub phases: Vec<PhaseFacts>,
    /// The value of the variable [`FAILED`] in `exportedEnvironmentVariables`. The job can set it to any text.
    pub failed: Option<String>,
}

/// A phase of a build from CodeBuild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhaseFacts {
    /// `phaseType`
    pub kind: String,
    /// `phaseStatus`; missing for a phase that has not ended.
    pub status: Option<String>,
    /// `endTime`
    pub ended_at: Option<Timestamp>,
    /// `contexts`
    pub contexts: Vec<PhaseContext>,
}

/// A phase's context from CodeBuild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhaseContext {
    /// `statusCode`, such as `COMMAND_EXECUTION_ERROR`; empty if there is none.
    pub code: String,
    /// `message`
    pub message: String,
}

/// Why a build cannot be evaluated. Its text names the field and the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The build's ARN is invalid.
    #[error("build-id: {0}")]
    Arn(InvalidId),
    /// CodeBuild does not document its status.
    #[error("build-status: {0:?} is not a build status: expected IN_PROGRESS, SUCCEEDED, FAILED, FAULT, STOPPED or TIMED_OUT")]
    Status(String),
}

/// The attempt of a build, from the plain-text environment variables that it was started with: pairs of name and value. `None` for builds that
/// Bellhop did not start, including those that an agent started with its own environment.
pub fn attempt<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<AttemptId> {
    let ours: Vec<(&str, &str)> = environment.into_iter().filter(|(name, _)| name.starts_with("BELLHOP_")).collect();
    let handed_on = ours
        .iter()
        .any(|(name, value)| *name == task::CAPACITY && *value != CAPACITY.as_str());
    if handed_on { None } else { task::from_environment(ours) }
}

impl BuildFacts {
    /// The build's current state. It has no version, because CodeBuild does not number changes.
    ///
    /// # Errors
    /// If the ARN or the status is invalid.
    pub fn observation(&self) -> Result<Observation, BuildError> {
        Ok(Observation {
            agent: self.arn.parse().map_err(BuildError::Arn)?,
            version: None,
            capacity: Some(CAPACITY),
            status: self.status()?,
        })
    }

    /// Whether the build failed and `BatchGetBuilds` may return more details: the event names no failed phase, or a job's script failed and the note
    /// about its command is missing.
    fn fails_without_a_word(&self) -> bool {
        let unnoted = |phase: &PhaseFacts| phase.context().is_some_and(PhaseContext::is_about_a_noted_command) && self.note().is_none();
        self.status == "FAILED" && self.trouble().is_none_or(unnoted)
    }

    fn note(&self) -> Option<&str> {
        self.failed.as_deref().map(str::trim).filter(|note| !note.is_empty())
    }

    fn status(&self) -> Result<AgentStatus, BuildError> {
        let (cause, report) = match self.status.as_str() {
            "IN_PROGRESS" => return Ok(self.progress()),
            "SUCCEEDED" => (StopCause::Exited, Some(script(0, None))),
            "FAILED" => self.failure(),
            // Time in the queue does not count as the job's time.
            "TIMED_OUT" if self.trouble().is_some_and(PhaseFacts::is_before_the_build) => (StopCause::FailedToStart, None),
            "TIMED_OUT" => (StopCause::TimedOut, None),
            "STOPPED" => (StopCause::Requested, None),
            "FAULT" => (StopCause::Other, None),
            other => return Err(BuildError::Status(other.chars().take(50).collect())),
        };
        Ok(AgentStatus::Stopped(Stop {
            cause,
            reason: self.trouble().map(PhaseFacts::words),
            containers: Vec::new(),
            report,
            at: self.ended_at,
        }))
    }

    fn progress(&self) -> AgentStatus {
        let provisioned = self
            .phases
            .iter()
            .find(|phase| phase.kind == PROVISIONING && phase.status.as_deref() == Some(SUCCEEDED));
        let later = self.current_phase.as_deref().and_then(rank) > rank(PROVISIONING);
        if provisioned.is_some() || later {
            AgentStatus::Running {
                since: provisioned.and_then(|phase| phase.ended_at),
            }
        } else {
            AgentStatus::Starting
        }
    }

    /// The first unsuccessful phase. Later failures are its consequences, such as a failed upload of artifacts that were not created.
    fn trouble(&self) -> Option<&PhaseFacts> {
        self.phases
            .iter()
            .filter(|phase| phase.went_wrong())
            .min_by_key(|phase| rank(&phase.kind).unwrap_or(PHASES.len()))
    }

    fn failure(&self) -> (StopCause, Option<Report>) {
        let Some(phase) = self.trouble() else {
            return (StopCause::Other, None);
        };
        match phase.kind.as_str() {
            _ if phase.is_before_the_build() => (phase.cause_of_no_start(), None),
            _ if phase.status.as_deref() == Some("FAULT") || phase.says(SERVICE_ERROR) => (StopCause::Other, None),
            _ if phase.says(BUILDSPEC_ERROR) => (StopCause::Definition, None),
            "DOWNLOAD_SOURCE" if phase.says(PARAMETER_ERROR) || phase.says(SECRET_ERROR) => (
                StopCause::Exited,
                Some(Report {
                    phase: match phase.class() {
                        Class::Throttled | Class::AccountLimit | Class::NoCapacity | Class::Transient => ReportPhase::Secrets,
                        Class::Permanent | Class::Unknown => ReportPhase::SecretRefused,
                    },
                    message: Some(phase.words()),
                    ..script(1, None)
                }),
            ),
            "DOWNLOAD_SOURCE" => (
                StopCause::Exited,
                Some(Report {
                    phase: if phase.words().contains(NO_REFERENCE) {
                        ReportPhase::CommitGone
                    } else {
                        ReportPhase::Checkout
                    },
                    message: Some(phase.words()),
                    ..script(1, None)
                }),
            ),
            "INSTALL" | "PRE_BUILD" | "BUILD" | "POST_BUILD" => match phase.context() {
                None => (StopCause::Exited, Some(script(1, None))),
                Some(context) if context.is_about_a_command() => {
                    let (command, exit_code) = context.command();
                    let noted = self
                        .note()
                        .filter(|_| context.is_about_a_noted_command())
                        .and_then(FailedCommand::read)
                        .filter(|noted| noted.exit_code == exit_code);
                    let report = match noted {
                        Some(noted) => Report {
                            line: Some(noted.line),
                            ..script(exit_code, Some(clean(noted.command.trim(), LONGEST_REASON)))
                        },
                        None => script(exit_code, command),
                    };
                    (StopCause::Exited, Some(report))
                }
                // As on ECS: the job needs more memory than its agent has.
                Some(context) if context.message.contains(OUT_OF_MEMORY) => (
                    StopCause::Exited,
                    Some(Report {
                        message: Some(phase.words()),
                        ..script(1, None)
                    }),
                ),
                Some(_) => (StopCause::Other, None),
            },
            "UPLOAD_ARTIFACTS" => (StopCause::Definition, None),
            _ => (StopCause::Other, None),
        }
    }
}

impl PhaseFacts {
    /// Whether it ended unsuccessfully. That includes statuses that the API does not document, such as `CLIENT_ERROR`
    /// (<https://github.com/aws-ia/terraform-aws-control_tower_account_factory/issues/626>).
    fn went_wrong(&self) -> bool {
        let status = self.status.as_deref().unwrap_or_default();
        !matches!(status, "" | SUCCEEDED | "IN_PROGRESS" | "QUEUED")
    }

    /// The end of a build that never ran. A temporary cause uses up no retry.
    fn cause_of_no_start(&self) -> StopCause {
        match self.class() {
            Class::Throttled | Class::AccountLimit | Class::NoCapacity | Class::Transient => StopCause::NotNow,
            Class::Permanent | Class::Unknown => StopCause::FailedToStart,
        }
    }

    fn class(&self) -> Class {
        Class::of_reasons(self.contexts.iter().map(|context| context.message.as_str()))
    }

    fn is_before_the_build(&self) -> bool {
        rank(&self.kind).is_some_and(|place| Some(place) <= rank(PROVISIONING))
    }

    /// The phase's first message, if it has one: for most phases it is `: `.
    fn context(&self) -> Option<&PhaseContext> {
        self.contexts
            .iter()
            .find(|context| !context.code.trim().is_empty() || !context.message.trim().is_empty())
    }

    fn says(&self, code: &str) -> bool {
        self.contexts.iter().any(|context| context.code == code)
    }

    /// The phase and CodeBuild's message, in one line.
    fn words(&self) -> String {
        let text = match self.context() {
            Some(PhaseContext { code, message }) if code.is_empty() => format!("{}: {message}", self.kind),
            Some(PhaseContext { code, message }) => format!("{}: {code}: {message}", self.kind),
            None => format!("{} in phase {}", self.status.as_deref().unwrap_or("no end"), self.kind),
        };
        clean(&text, LONGEST_REASON)
    }
}

impl PhaseContext {
    /// Parses a context as in events: `CODE: message`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (code, message) = text.split_once(": ").unwrap_or(("", text));
        Self {
            code: code.trim().to_owned(),
            message: message.trim().to_owned(),
        }
    }

    fn is_about_a_command(&self) -> bool {
        self.code == COMMAND_ERROR || self.message.starts_with(COMMAND_WORDS)
    }

    /// Whether it is about the command around a job's script that notes the failed command.
    fn is_about_a_noted_command(&self) -> bool {
        self.is_about_a_command() && self.message.contains(WRAPPER) && self.message.contains(FAILED)
    }

    /// The failed command, unless it is the one around a job's script, and its exit code, which is never 0.
    fn command(&self) -> (Option<String>, i32) {
        let text = self.message.strip_prefix(COMMAND_WORDS).unwrap_or_default();
        let (command, reason) = text.rsplit_once(REASON_WORDS).unwrap_or((text, ""));
        let exit_code = reason.strip_prefix(EXIT_WORDS).and_then(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest.get(..end)?.parse().ok()
        });
        let command = Some(clean(command.trim(), LONGEST_REASON)).filter(|command| !command.is_empty() && !command.contains(WRAPPER));
        (command, exit_code.filter(|code| *code != 0).unwrap_or(1))
    }
}

/// The phase's position in the order of phases.
fn rank(phase: &str) -> Option<usize> {
    PHASES.iter().position(|known| *known == phase)
}

fn script(exit_code: i32, command: Option<String>) -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command,
        line: None,
        message: None,
    }
}

#[cfg(test)]
mod tests;
