//! What the tests say often.

use std::time::Duration;

use bellhop_domain::build::{Build, BuildState, Phase};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// What ECS says of a task that it accepted and then found no capacity for.
pub(crate) const NO_CAPACITY: &str = "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// Each attempt in a few words: `1 spot interrupted`, `2 on-demand running`.
pub(crate) fn attempts(build: &Build) -> Vec<String> {
    build
        .attempts
        .iter()
        .map(|attempt| {
            let phase = match &attempt.phase {
                Phase::Waiting => "waiting",
                Phase::Launching => "launching",
                Phase::Running => "running",
                Phase::Interrupted { .. } => "being interrupted",
                Phase::Stopping { .. } => "stopping",
                Phase::Ended { end, .. } => end.as_str(),
            };
            format!("{} {} {phase}", attempt.number, attempt.capacity)
        })
        .collect()
}

/// Why a finished build ended as it did.
pub(crate) fn cause(build: &Build) -> Option<&str> {
    match &build.state {
        BuildState::Finished { cause, .. } => cause.as_deref(),
        other => panic!("the build is not over: {other:?}"),
    }
}
