//! What the rows are tried with: pipeline files, samples of `events/`, and faults by their kind.

use anyhow::Context as _;
use bellhop_stand_in::{BuildView, ExecutionView, Fault};
use serde_json::Value;
use xtask::workspace::root;

use crate::secrets;

/// A job that passes.
pub(super) fn passes() -> String {
    job("'true'")
}

/// A job that prints the secret that its agent has fetched, and then fails with the command that is looked for in everything that is printed and sent.
pub(super) fn fails() -> String {
    let job = job(&format!("{}; {}", secrets::PRINTS, secrets::CANARY));
    format!("{job}    secrets: {{ KEY: registry-key }}\n")
}

/// The same on CodeBuild.
pub(super) fn on_codebuild() -> String {
    passes().replace("agent: small", "agent: docker")
}

/// Whether a build of CodeBuild's was started for a run.
pub(super) fn is_of(build: &BuildView, run: &str) -> bool {
    build.environment.get("BELLHOP_RUN").is_some_and(|of| of == run)
}

/// The same on Step Functions.
pub(super) fn on_step_functions() -> String {
    passes().replace("agent: small", "agent: release")
}

/// Whether an execution of Step Functions was started for a run.
pub(super) fn carries(execution: &ExecutionView, run: &str) -> bool {
    execution.variable("BELLHOP_RUN").is_some_and(|of| of == run)
}

/// A pipeline file with a job that has a variable which nobody but its agent is to see.
fn job(run: &str) -> String {
    format!(
        "version: 1\njobs:\n  test:\n    agent: small\n    run: {run}\n    environment: {{ TOKEN: {} }}\n",
        secrets::OF_THE_JOB
    )
}

/// Faults that pass.
pub(super) fn transient() -> [(&'static str, Fault); 3] {
    [
        ("a throttle", Fault::Throttle),
        ("a cut connection", Fault::Refuse),
        ("a 5xx", Fault::ServerError),
    ]
}

/// A fault that somebody has to mend.
pub(super) fn permanent(code: &str) -> Fault {
    Fault::Error {
        status: if code == "NoSuchBucket" { 404 } else { 403 },
        code: code.to_owned(),
        message: "not authorized, or not there".to_owned(),
    }
}

pub(super) fn run_of(answer: &Value) -> anyhow::Result<String> {
    let run = answer[0]["run"].as_str();
    Ok(run.with_context(|| format!("no run in {answer}"))?.to_owned())
}

pub(super) fn sample(name: &str) -> anyhow::Result<Value> {
    let file = root().join("events").join(name);
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not valid JSON", file.display()))
}
