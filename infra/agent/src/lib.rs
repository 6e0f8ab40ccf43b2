//! The agent: checks out the commit, runs the job's script, uploads artifacts and a report, and ends with the script's exit code.
//!
//! Its environment says what to do. Bellhop sets these variables when it starts the task:
//!
//! | Variable | Meaning |
//! |---|---|
//! | `BELLHOP_RUN`, `BELLHOP_JOB`, `BELLHOP_ATTEMPT`, `BELLHOP_BUILD` | which attempt of which build this is |
//! | `BELLHOP_REPOSITORY`, `BELLHOP_REF`, `BELLHOP_COMMIT` | what to check out |
//! | `BELLHOP_CAPACITY` | `spot` or `on-demand` |
//! | `BELLHOP_SCRIPT`, or `BELLHOP_SCRIPT_URI` (`s3://…`) | the job's script; a long one does not fit into a task's overrides |
//! | `BELLHOP_RESULT_URI` (`s3://…`) | where the report goes |
//! | `BELLHOP_SECRETS` | which secrets the script gets as variables, one a line ([`secrets::parse`]) |
//! | `BELLHOP_FETCH_URI` (`s3://…`) | which artifacts of other jobs to download before the script ([`fetch::list`]) |
//! | `BELLHOP_ARTIFACTS`, `BELLHOP_ARTIFACTS_URI` (`s3://…/`) | which files of the checkout to upload, one pattern a line, and below which prefix |
//!
//! The task definition may set `BELLHOP_STOP_TIMEOUT`, `BELLHOP_FETCH_SILENCE`, `BELLHOP_LFS_TIMEOUT` and `BELLHOP_HEARTBEAT`. The script sees the variables that describe the
//! build, and none of [`settings::TAKEN`].
//!
//! Decisions are apart from acting: [`settings`], [`stopping`], [`heartbeat`], [`report`], [`secrets`], [`mask`], [`checkout::tries`], [`checkout::lfs`],
//! [`fetch::list`], [`artifacts::pattern`] and [`artifacts::key`] know neither processes nor requests.

pub mod address;
pub mod artifacts;
pub mod attempt;
pub mod aws;
pub mod checkout;
pub mod errors;
pub mod fetch;
pub mod git_credential;
pub mod heartbeat;
pub mod log;
pub mod mask;
pub mod processes;
pub mod report;
pub mod script;
pub mod secrets;
pub mod settings;
pub mod stopping;
pub mod supervise;
