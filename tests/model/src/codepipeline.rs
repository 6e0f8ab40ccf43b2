//! CodePipeline: how long an action that invokes a function waits, for what
//! (<https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-Lambda.html>).

use std::time::Duration;

/// How long a job may go without a result.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// How long an action may take with all its jobs.
pub const ACTION_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
