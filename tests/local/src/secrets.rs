//! Secrets that are given to the functions by every way there is, and looked for in everything that comes out of them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::{ARTIFACT_CREDENTIALS, Entry, StandIn};
use serde_json::{Value, json};

use crate::bare::{SECRET_KEY, SESSION_TOKEN};
use crate::stack::Stack;
use xtask::functions::FUNCTIONS;

/// The value of a variable of a job's. It goes to the job's agent, and nowhere else.
pub(crate) const OF_THE_JOB: &str = "correct-horse-battery-staple";
/// The value of a parameter that a job names in `secrets`, and the parameter's name. Its agent fetches the value; everything else has only the name.
pub(crate) const OF_THE_STORE: &str = "a-key-that-only-the-script-has";
pub(crate) const PARAMETER: &str = "/bellhop/shop/registry-key";
/// A command that prints that value in the job's log.
pub(crate) const PRINTS: &str = "echo \"the key is <$KEY>\"";
/// What the log has of it.
const MASKED: &str = "the key is <***>";
/// A value in an event of CodeBuild's.
pub(crate) const OF_CODEBUILD: &str = "a-plain-text-variable-of-a-project";
/// Values in an event of CodePipeline's.
const OF_THE_ARTIFACTS: [&str; 2] = ["the-secret-key-to-the-artifacts", "the-session-token-to-the-artifacts"];
/// What everything that may be printed and sent has to hold, or else nothing was looked into: the command that fails in a job.
pub(crate) const CANARY: &str = "sh -c 'exit 3' canary";

/// Where RunTask and StartBuild have the variables of an agent. StartExecution has them in its input ([`execution_input`]).
const VARIABLES: [&str; 2] = ["/overrides/containerOverrides/0/environment", "/environmentVariablesOverride"];

/// What FilterLogEvents gives at the most.
const LOG_LIMIT: usize = 10_000;

/// Texts by where they were found.
#[derive(Default)]
struct Found(BTreeMap<&'static str, Vec<String>>);

impl Found {
    /// Adds a text.
    fn add(&mut self, place: &'static str, text: impl Into<String>) {
        self.0.entry(place).or_default().push(text.into());
    }

    /// Looks for every secret in every text.
    ///
    /// # Errors
    /// A secret is somewhere; or there is a place in which not even the canary is, so that nothing can be said of it.
    fn hold_no_secrets(&self, places: &[&'static str]) -> anyhow::Result<()> {
        let secrets = [OF_THE_JOB, OF_THE_STORE, OF_CODEBUILD, SECRET_KEY, SESSION_TOKEN]
            .into_iter()
            .chain(OF_THE_ARTIFACTS)
            .chain(ARTIFACT_CREDENTIALS);
        for secret in secrets {
            for (place, texts) in &self.0 {
                if let Some(text) = texts.iter().find(|text| text.contains(secret)) {
                    bail!("the secret {secret:?} appears in {place}: {text}");
                }
            }
        }
        for place in places {
            let texts = self.0.get(place).map_or(&[][..], Vec::as_slice);
            ensure!(
                texts.iter().any(|text| text.contains(CANARY)),
                "none of {} texts in {place} contains the expected {CANARY:?}",
                texts.len()
            );
        }
        Ok(())
    }
}

/// Inputs with secrets in them, none of which is anything that a function acts on: events of services that are not ours to handle here, and events of
/// ECS whose secrets stand where a text is not expected, so that an error about the place is near.
pub(crate) fn inputs(task: &Value) -> Vec<(&'static str, Value)> {
    let [key, token] = OF_THE_ARTIFACTS;
    let codebuild = json!({
        "version": "0",
        "id": "bfdc1220-60ff-44ad-bfa7-3b6e6ba3b2d0",
        "detail-type": "CodeBuild Build State Change",
        "source": "aws.codebuild",
        "account": "123456789012",
        "time": "2026-03-02T09:14:28Z",
        "region": "us-east-1",
        "resources": ["arn:aws:codebuild:us-east-1:123456789012:build/shop:4bfdc122"],
        "detail": {
            "build-status": "IN_PROGRESS",
            "project-name": "shop",
            "additional-information": {
                "environment": { "environment-variables": [{ "name": "TOKEN", "value": OF_CODEBUILD, "type": "PLAINTEXT" }] },
            },
        },
    });
    let codepipeline = json!({
        "CodePipeline.job": {
            "id": "11111111-abcd-1111-abcd-111111abcdef",
            "accountId": "123456789012",
            "data": {
                "actionConfiguration": { "configuration": { "FunctionName": "bellhop-push", "UserParameters": OF_CODEBUILD } },
                "inputArtifacts": [],
                "outputArtifacts": [],
                "artifactCredentials": { "accessKeyId": "ASIAIOSFODNN7EXAMPLE", "secretAccessKey": key, "sessionToken": token },
            },
        },
    });
    let mut inputs = vec![("an event of CodeBuild's", codebuild), ("a job of CodePipeline's", codepipeline)];
    let overridden = "/detail/overrides/containerOverrides";
    for value in [
        json!(OF_THE_JOB),
        json!([OF_THE_JOB]),
        json!([{ "name": "agent", "environment": OF_THE_JOB }]),
        json!([{ "name": "agent", "environment": [{ "name": { "TOKEN": OF_THE_JOB }, "value": [OF_THE_JOB] }] }]),
    ] {
        let mut event = task.clone();
        if let Some(place) = event.pointer_mut(overridden) {
            *place = value;
        }
        inputs.push(("an event of ECS's with variables of another shape", event));
    }
    inputs
}

/// Looks for secrets in everything that the functions and agents of a stack printed, sent and stored. `answers` are what the functions answered.
///
/// # Errors
/// One is there, or nothing was looked into.
pub(crate) async fn are_nowhere(stack: &Stack, answers: &[String]) -> anyhow::Result<()> {
    let mut found = Found::default();
    for answer in answers {
        found.add("answers", answer);
    }
    for name in FUNCTIONS {
        let lines = stack.aws.log_lines(&format!("/aws/lambda/bellhop-{name}"), 0).await?;
        ensure!(lines.len() < LOG_LIMIT, "{name} printed more lines than can be read");
        for (_, line) in lines {
            found.add("logs", line);
        }
    }
    for item in stack.aws.scan(stack.output("TableName")?).await? {
        let document = item["doc"]["S"].as_str().unwrap_or_default();
        // One of them is broken on purpose.
        let document = serde_json::from_str(document).unwrap_or_else(|_| json!(document));
        texts(&document, &mut |text| found.add("ledger", text));
        let run = item["pk"]["S"].as_str().and_then(|key| key.strip_prefix("RUN#"));
        if let (Some(run), "RUN") = (run, item["sk"]["S"].as_str().unwrap_or_default())
            && let Some(report) = stack
                .aws
                .get_object(stack.output("BucketName")?, &format!("runs/{run}/report.json"))
                .await?
        {
            found.add("reports", report);
        }
    }
    let said = agents_said(stack);
    ensure!(
        said.iter().any(|text| text.contains(MASKED)),
        "no agent has fetched the secret that its job names: {MASKED:?} is in none of {} logs",
        said.len()
    );
    for line in said {
        found.add("agents", line);
    }
    let calls = stack.stand_in.journal().entries();
    let reference = format!("KEY ssm {PARAMETER}");
    ensure!(
        calls
            .iter()
            .any(|entry| entry.operation == "RunTask" && is_given(entry, &reference)),
        "no task was given the reference {reference:?}"
    );
    for operation in ["RunTask", "StartBuild", "StartExecution"] {
        let mut launches = calls.iter().filter(|entry| entry.operation == operation);
        ensure!(
            launches.any(|entry| is_given(entry, OF_THE_JOB)),
            "no agent was given the job's variable by {operation}"
        );
    }
    for mut entry in calls {
        let place = if entry.service == "sns" { "messages" } else { "calls" };
        if let Some(request) = &mut entry.request {
            if entry.service == "dynamodb" {
                // The ledger was looked into.
                continue;
            }
            if let Some(input) = execution_input(request) {
                texts(&input, &mut |text| found.add(place, text));
                request["input"].take();
            }
            for place in VARIABLES {
                if let Some(given) = request.pointer_mut(place) {
                    *given = given
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter(|pair| pair["value"] != OF_THE_JOB)
                        .cloned()
                        .collect();
                }
            }
            found.add(place, request.to_string());
        }
        found.add(place, entry.summary);
    }
    if let Some(folder) = std::env::var_os("BELLHOP_RECORD") {
        let file = StandIn::record_in(folder.as_ref());
        let record = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for line in record.lines() {
            found.add("the record", line);
        }
        ensure!(found.0.contains_key("the record"), "nothing is in {}", file.display());
    }
    found.hold_no_secrets(&["logs", "messages", "ledger", "reports", "agents", "calls"])?;
    let count: usize = found.0.values().map(Vec::len).sum();
    println!(
        "  {count} texts contain no secret: {}",
        found.0.keys().copied().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// Whether a function's processes have the secrets in their environment at all.
pub(crate) fn are_given(stack: &Stack) -> anyhow::Result<()> {
    if !cfg!(target_os = "linux") {
        // Elsewhere there is no such folder to look into.
        return Ok(());
    }
    let ministack = stack.ministack_id().to_string();
    for entry in std::fs::read_dir("/proc").context("no /proc to look into")? {
        let folder = entry?.path();
        // A process that has just ended is none to look into.
        let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
        let is_function = status
            .lines()
            .any(|line| line.strip_prefix("PPid:").is_some_and(|parent| parent.trim() == ministack));
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        if is_function && environment.contains("AWS_SDK_UA_APP_ID=bellhop-") {
            ensure!(
                environment.contains(SECRET_KEY) && environment.contains(SESSION_TOKEN),
                "a function did not get the secrets that it must not print"
            );
            return Ok(());
        }
    }
    bail!("no function's process is there to look into")
}

/// What every agent printed.
fn agents_said(stack: &Stack) -> Vec<String> {
    let (ecs, codebuild) = (stack.stand_in.ecs(), stack.stand_in.codebuild());
    let (tasks, builds) = (ecs.tasks(), codebuild.builds());
    // One that was stopped before it started has said nothing.
    let said = tasks.iter().filter_map(|task| ecs.stdout(&task.arn).ok());
    said.chain(builds.iter().filter_map(|build| codebuild.stdout(&build.id).ok()))
        .collect()
}

/// Whether a launch gives its agent a variable of this value.
fn is_given(launch: &Entry, value: &str) -> bool {
    let Some(request) = &launch.request else { return false };
    let mut given = VARIABLES.iter().filter_map(|place| request.pointer(place)?.as_array()).flatten();
    let input = execution_input(request);
    let mut of_input = input.iter().filter_map(|input| input["environment"].as_object()).flatten();
    given.any(|pair| pair["value"] == value) || of_input.any(|(_, variable)| variable == value)
}

/// The input of a StartExecution.
fn execution_input(request: &Value) -> Option<Value> {
    serde_json::from_str(request["input"].as_str()?).ok()
}

/// Every text of a record, but for the variables that its agents are to be given.
fn texts(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, each)),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "environment")
            .for_each(|(_, field)| texts(field, each)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Found {
        let mut found = Found::default();
        found.add("logs", format!("build failed: `{CANARY}`"));
        found
    }

    #[test]
    fn every_secret_is_found_wherever_it_is() {
        assert!(clean().hold_no_secrets(&["logs"]).is_ok());
        for secret in [
            OF_THE_JOB,
            OF_THE_STORE,
            OF_CODEBUILD,
            SECRET_KEY,
            SESSION_TOKEN,
            OF_THE_ARTIFACTS[0],
            OF_THE_ARTIFACTS[1],
        ] {
            for place in ["logs", "messages"] {
                let mut found = clean();
                found.add(place, format!("x {secret}, y"));
                assert!(found.hold_no_secrets(&["logs"]).is_err(), "{secret} in {place}");
            }
        }
    }

    #[test]
    fn a_place_that_was_not_looked_into_is_an_error() {
        assert!(clean().hold_no_secrets(&["logs", "messages"]).is_err());
    }

    #[test]
    fn a_records_texts_are_all_but_its_variables() {
        let record = json!({ "cause": "a", "spec": { "environment": { "TOKEN": "b" }, "needs": ["c"] } });
        let mut all = Vec::new();
        texts(&record, &mut |text| all.push(text.to_owned()));
        assert_eq!(all, ["a", "c"]);
    }
}
