#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

mod bad_files;
mod between_jobs;
mod borders;
mod bounds;
mod excerpts;
mod filters;
mod good_files;
mod plans;
mod roles;
mod secrets;

use super::PipelineFile;

/// A pipeline file with a job `test` that has these further lines, and with further jobs below.
fn pipeline(job: &str, jobs: &str) -> String {
    let mut text = "version: 1\njobs:\n  test:\n    agent: small\n".to_owned();
    for line in job.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    for line in jobs.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// What is wrong with a bad pipeline file, without the text of the line.
fn refusal(text: &str) -> String {
    PipelineFile::parse(text).unwrap_err().headline()
}
