//! [Jobs of
//! CodePipeline](https://docs.aws.amazon.com/codepipeline/latest/userguide/actions-invoke-lambda-function.html#actions-invoke-lambda-function-json-event-example):
//! the invocation by an action that waits for a result.
//!
//! The job contains credentials. Only its id, its continuation token and its `UserParameters` are read.

use bellhop_domain::ids::RunId;
use bellhop_domain::request::{PipelineAsks, PipelineJob, PipelineStart, PipelineWork};
use serde_json::Value;

use crate::decode::{self, expected};
use crate::fields::Fields;
use crate::{Event, Reason};

/// The only key of the input.
pub(crate) const JOB: &str = "CodePipeline.job";

const PARAMETERS: &str = "UserParameters";
const EXAMPLE: &str = r#"JSON such as {"repository":"shop","job":"test"}"#;

/// Parses a job. It is malformed only without an id, because then no result can be sent. All other errors are results for the action's owner; an
/// action without a result hangs.
pub(crate) fn job(job: &Value) -> Result<Event, Reason> {
    let id = job
        .get("id")
        .and_then(Value::as_str)
        .ok_or_else(|| expected("id", "the id of the job"))?;
    let data = job.get("data").unwrap_or(&Value::Null);
    let id = decode::id(id, "id")?;
    let token = data.get("continuationToken").filter(|token| !token.is_null() && *token != "");
    let asks = match token {
        None => match start(data.pointer("/actionConfiguration/configuration/UserParameters")) {
            Ok(start) => PipelineAsks::Start(start),
            Err(wrong) => PipelineAsks::Wrong(wrong),
        },
        Some(token) => match token.as_str().and_then(|token| token.parse::<RunId>().ok()) {
            Some(run) => PipelineAsks::Continue(run),
            None => PipelineAsks::Wrong("continuationToken: expected a run id, the only token that this function issues".to_owned()),
        },
    };
    Ok(Event::Pipeline(PipelineJob { id, asks }))
}

fn start(parameters: Option<&Value>) -> Result<PipelineStart, String> {
    let text = match parameters {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text.trim(),
        Some(_) => return Err(format!("{PARAMETERS}: expected a string that contains {EXAMPLE}")),
    };
    if text.is_empty() {
        return Err(format!("{PARAMETERS}: expected {EXAMPLE}, but the action has none"));
    }
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) if text.starts_with('{') => {
            return Err(format!(
                "{PARAMETERS}: expected {EXAMPLE}, but the JSON is invalid at line {}, column {}",
                error.line(),
                error.column()
            ));
        }
        Err(_) => return Err(format!("{PARAMETERS}: expected {EXAMPLE}, but found plain text")),
    };
    let fields = Fields::of(&value, PARAMETERS, &["repository", "job", "branch", "commit", "run", "agent"])?;
    Ok(PipelineStart {
        repository: fields.required("repository")?,
        branch: fields.branch("branch")?,
        commit: fields.id("commit")?,
        work: work(&fields)?,
    })
}

fn work(fields: &Fields<'_>) -> Result<PipelineWork, String> {
    match (fields.id("job")?, fields.text("run")?, fields.id("agent")?) {
        (Some(job), None, None) => Ok(PipelineWork::Job(job)),
        (None, Some(run), Some(agent)) => Ok(PipelineWork::Script {
            run: run.to_owned(),
            agent,
        }),
        (Some(_), Some(_), _) => Err(format!("{}: expected either job or run, but found both", fields.place("run"))),
        (Some(_), None, Some(_)) => Err(format!(
            "{}: allowed only with run; the pipeline file defines a job's agent",
            fields.place("agent")
        )),
        (None, Some(_), None) => Err(format!("{}: required with run, but missing", fields.place("agent"))),
        (None, None, _) => Err(format!("{}: required, unless run and agent are given", fields.place("job"))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "11111111-abcd-1111-abcd-111111abcdef";

    fn input(parameters: Value, token: Value) -> Value {
        json!({ "id": ID, "accountId": "123456789012", "data": {
            "actionConfiguration": { "configuration": { "FunctionName": "pipeline", "UserParameters": parameters } },
            "artifactCredentials": { "accessKeyId": "s3cret", "secretAccessKey": "s3cret", "sessionToken": "s3cret" },
            "continuationToken": token,
        } })
    }

    fn asks(input: &Value) -> PipelineAsks {
        match job(input) {
            Ok(Event::Pipeline(job)) => {
                assert_eq!(job.id.as_str(), ID);
                job.asks
            }
            other => panic!("no job: {other:?}"),
        }
    }

    fn wrong(parameters: Value) -> String {
        match asks(&input(parameters, json!(null))) {
            PipelineAsks::Wrong(text) => {
                assert!(!text.contains("s3cret") && !text.contains('\n'), "{text}");
                text
            }
            other => panic!("not wrong: {other:?}"),
        }
    }

    #[test]
    fn an_action_asks_for_a_job_or_a_script() {
        let asked = |parameters: Value| asks(&input(json!(parameters.to_string()), json!(null)));
        let plain = PipelineStart {
            repository: "shop".parse().unwrap(),
            branch: None,
            commit: None,
            work: PipelineWork::Job("test".parse().unwrap()),
        };
        assert_eq!(
            asked(json!({ "repository": "shop", "job": "test" })),
            PipelineAsks::Start(plain.clone())
        );
        let commit = "ab".repeat(20);
        assert_eq!(
            asked(json!({ "repository": "shop", "branch": "main", "commit": commit, "run": "make", "agent": "small", "job": null })),
            PipelineAsks::Start(PipelineStart {
                branch: Some("main".into()),
                commit: Some(commit.parse().unwrap()),
                work: PipelineWork::Script {
                    run: "make".into(),
                    agent: "small".parse().unwrap()
                },
                ..plain
            })
        );
    }

    #[test]
    fn a_continuation_is_known_by_its_token_alone() {
        for parameters in [json!(null), json!("{"), json!({ "a": 1 }), json!("{\"job\":\"x\"}")] {
            assert_eq!(
                asks(&input(parameters, json!("abcdefghij"))),
                PipelineAsks::Continue("abcdefghij".parse().unwrap())
            );
        }
        let good = json!(json!({ "repository": "shop", "job": "test" }).to_string());
        for none in [json!(null), json!("")] {
            assert!(matches!(asks(&input(good.clone(), none)), PipelineAsks::Start(_)));
        }
        for foreign in [json!("s3cret"), json!(5)] {
            assert_eq!(
                asks(&input(good.clone(), foreign)),
                PipelineAsks::Wrong("continuationToken: expected a run id, the only token that this function issues".into())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_for_the_actions_owner_to_read() {
        let example = r#"JSON such as {"repository":"shop","job":"test"}"#;
        for none in [json!(null), json!(""), json!(" ")] {
            assert_eq!(wrong(none), format!("UserParameters: expected {example}, but the action has none"));
        }
        assert_eq!(
            wrong(json!("s3cret words")),
            format!("UserParameters: expected {example}, but found plain text")
        );
        assert_eq!(
            wrong(json!("{\"s3cret\": ")),
            format!("UserParameters: expected {example}, but the JSON is invalid at line 1, column 10")
        );
        assert_eq!(
            wrong(json!({ "s3cret": 1 })),
            format!("UserParameters: expected a string that contains {example}")
        );
        let keys = "repository, job, branch, commit, run, agent";
        assert_eq!(
            wrong(json!("[\"s3cret\"]")),
            format!("UserParameters: expected an object with the keys {keys}")
        );
        for (parameters, words) in [
            (
                json!({ "repo": "s3cret", "job": "test" }),
                format!("UserParameters.repo: unknown key (known: {keys})"),
            ),
            (
                json!({ "repository": "shop", "jop": "test" }),
                format!("UserParameters.jop: unknown key; did you mean job? (known: {keys})"),
            ),
            (json!({ "job": "test" }), "UserParameters.repository: required, but missing".into()),
            (json!({ "repository": ["s3cret"] }), "UserParameters.repository: expected a non-empty string".into()),
            (
                json!({ "repository": "a/b", "job": "test" }),
                "UserParameters.repository: \"a/b\" is not a valid repository name: expected up to 100 letters, digits, '.', '_' and '-', not ending in .git"
                    .into(),
            ),
            (
                json!({ "repository": "shop" }),
                "UserParameters.job: required, unless run and agent are given".into(),
            ),
            (
                json!({ "repository": "shop", "agent": "small" }),
                "UserParameters.job: required, unless run and agent are given".into(),
            ),
            (
                json!({ "repository": "shop", "job": "test", "run": "make", "agent": "small" }),
                "UserParameters.run: expected either job or run, but found both".into(),
            ),
            (
                json!({ "repository": "shop", "job": "test", "agent": "small" }),
                "UserParameters.agent: allowed only with run; the pipeline file defines a job's agent".into(),
            ),
            (
                json!({ "repository": "shop", "run": "make" }),
                "UserParameters.agent: required with run, but missing".into(),
            ),
            (
                json!({ "repository": "shop", "job": "test", "commit": "#{SourceVariables.CommitId}" }),
                "UserParameters.commit: \"#{SourceVariables.CommitId}\" is not a valid commit id: expected 40 or 64 lower-case hexadecimal digits".into(),
            ),
            (
                json!({ "repository": "shop", "job": "test", "branch": "refs/heads/main" }),
                "UserParameters.branch: expected the name of a branch as Git allows it, without refs/heads/".into(),
            ),
        ] {
            assert_eq!(wrong(json!(parameters.to_string())), words);
        }
    }

    #[test]
    fn a_job_that_cannot_be_answered_is_malformed() {
        let refused = |value: Value| job(&value).unwrap_err().to_string();
        for nameless in [json!({}), json!("text"), json!({ "id": 5 }), json!(null)] {
            assert_eq!(refused(nameless), "malformed: id: expected the id of the job");
        }
        assert_eq!(
            refused(json!({ "id": "job-1" })),
            "malformed: id: \"job-1\" is not a valid pipeline job id: expected 36 letters, digits and -"
        );
        assert!(matches!(asks(&json!({ "id": ID })), PipelineAsks::Wrong(_)));
    }
}
