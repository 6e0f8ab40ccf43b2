//! CodeBuild: the phases of a build, how they end, and how long a token is known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The status of a build that is not over.
pub const IN_PROGRESS: &str = "IN_PROGRESS";
/// How long an idempotency token is known.
pub const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);

/// The context of a command that ended with another exit code than 0: code and message.
#[must_use]
pub fn failed_command(command: &str, exit_code: i32) -> (&'static str, String) {
    let message = format!("Error while executing command: {command}. Reason: exit status {exit_code}");
    ("COMMAND_EXECUTION_ERROR", message)
}

/// A phase of a build, in the order in which a build goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BuildPhase {
    /// The request was accepted.
    Submitted,
    /// The build waits for its turn.
    Queued,
    /// The environment is set up.
    Provisioning,
    /// The source is fetched and the buildspec is read.
    DownloadSource,
    /// The buildspec's `install` commands.
    Install,
    /// The buildspec's `pre_build` commands.
    PreBuild,
    /// The buildspec's `build` commands.
    Build,
    /// The buildspec's `post_build` commands.
    PostBuild,
    /// The artifacts are stored.
    UploadArtifacts,
    /// The environment is given back.
    Finalizing,
    /// All is over.
    Completed,
}

impl BuildPhase {
    /// All phases in their order.
    pub const ALL: [Self; 11] = [
        Self::Submitted,
        Self::Queued,
        Self::Provisioning,
        Self::DownloadSource,
        Self::Install,
        Self::PreBuild,
        Self::Build,
        Self::PostBuild,
        Self::UploadArtifacts,
        Self::Finalizing,
        Self::Completed,
    ];

    /// The name in answers and events, such as `PRE_BUILD`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Queued => "QUEUED",
            Self::Provisioning => "PROVISIONING",
            Self::DownloadSource => "DOWNLOAD_SOURCE",
            Self::Install => "INSTALL",
            Self::PreBuild => "PRE_BUILD",
            Self::Build => "BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::UploadArtifacts => "UPLOAD_ARTIFACTS",
            Self::Finalizing => "FINALIZING",
            Self::Completed => "COMPLETED",
        }
    }

    /// Whether the buildspec's commands run in it.
    #[must_use]
    pub fn has_commands(self) -> bool {
        (Self::Install..=Self::PostBuild).contains(&self)
    }

    /// The phase after this one succeeded.
    #[must_use]
    pub fn next(self) -> Self {
        let later = Self::ALL.into_iter().find(|phase| *phase > self);
        later.unwrap_or(Self::Completed)
    }

    /// The phase after this one failed: the
    /// [transitions](https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details.html#view-build-details-phases)
    /// that CodeBuild documents.
    #[must_use]
    pub fn next_after_failure(self) -> Self {
        match self {
            Self::Build => Self::PostBuild,
            Self::PostBuild => Self::UploadArtifacts,
            Self::DownloadSource | Self::Install | Self::PreBuild | Self::UploadArtifacts => Self::Finalizing,
            Self::Submitted | Self::Queued | Self::Provisioning | Self::Finalizing | Self::Completed => Self::Completed,
        }
    }
}

/// How a phase or a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All went well.
    Succeeded,
    /// One of the buildspec's commands failed.
    Failed,
    /// A phase failed, and not by one of the buildspec's commands. Only events tell it from `Failed`.
    ClientError,
    /// CodeBuild itself failed.
    Fault,
    /// Somebody stopped it.
    Stopped,
    /// It took, or waited, too long.
    TimedOut,
}

impl Outcome {
    /// The name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::ClientError => "CLIENT_ERROR",
            Self::Fault => "FAULT",
            Self::Stopped => "STOPPED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// The name in the API, whose model has no CLIENT_ERROR.
    #[must_use]
    pub fn name_in_answers(self) -> &'static str {
        match self {
            Self::ClientError => Self::Failed.name(),
            other => other.name(),
        }
    }
}
