//! What the functions' calls are authorised as, written down for the step `policies`: there an evaluator of somebody else's holds every request against
//! the roles of `infra/template.yaml` (`tests/local/test_policies.py`).
//!
//! The local AWS lets everybody do everything, so a permission that is missing would show on AWS alone. Which function made a call stands in its user
//! agent (`AWS_SDK_UA_APP_ID`, set by the template).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use bellhop_stand_in::Entry;
use serde::Serialize;
use serde_json::Value;

use crate::stack::Stack;
use xtask::workspace::target;

/// What a function needed to be allowed.
#[derive(Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    function: String,
    action: String,
    resource: String,
    /// What conditions see of it, by their keys.
    context: Context,
}

type Context = BTreeMap<&'static str, String>;

/// What a story leaves for the step `policies`.
#[derive(Debug, Serialize)]
struct Recording {
    /// The ids of the stack's resources, by their names in the template.
    ids: BTreeMap<String, String>,
    requests: BTreeSet<Request>,
}

/// Writes down, under this name, what the functions called. Gives how many different requests there were.
///
/// # Errors
/// A call of which this file does not know how it is authorised.
pub(crate) async fn record(stack: &Stack, name: &str) -> anyhow::Result<usize> {
    let topic = stack.output("TopicArn")?;
    let place = Place(topic.split(':').skip(3).take(2).collect::<Vec<_>>().join(":"));
    let recording = Recording {
        ids: stack.resources().await?,
        requests: place.requests(&stack.stand_in.journal().entries())?,
    };
    let folder = target().join("policies");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::write(folder.join(name).with_extension("json"), serde_json::to_vec(&recording)?)?;
    Ok(recording.requests.len())
}

/// Region and account, as they stand in ARNs: `us-east-1:000000000000`.
struct Place(String);

impl Place {
    fn requests(&self, journal: &[Entry]) -> anyhow::Result<BTreeSet<Request>> {
        let mut requests = BTreeSet::new();
        for entry in journal {
            if let Some(function) = entry.caller.as_deref().and_then(|caller| caller.strip_prefix("bellhop-")) {
                let what = || format!("{} {} of {function}", entry.service, entry.operation);
                for (action, resource, context) in self.needs_of(entry).with_context(what)? {
                    requests.insert(Request {
                        function: function.to_owned(),
                        action,
                        resource,
                        context,
                    });
                }
            }
        }
        Ok(requests)
    }

    /// The actions that a call is authorised as, each with its resource, and what conditions see.
    fn needs_of(&self, entry: &Entry) -> anyhow::Result<Vec<(String, String, Context)>> {
        let place = &self.0;
        let request = entry.request.as_ref().unwrap_or(&Value::Null);
        let named = |field: &str| request[field].as_str().with_context(|| format!("no {field} in {request}"));
        let action = format!("{}:{}", entry.service, entry.operation);
        let none = Context::new;
        Ok(match (entry.service.as_str(), entry.operation.as_str()) {
            ("dynamodb", "TransactWriteItems") => items(&request["TransactItems"])
                .flat_map(|item| item.as_object().into_iter().flatten())
                .map(|(kind, item)| {
                    let action = match kind.as_str() {
                        "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
                        kind => format!("dynamodb:{kind}Item"),
                    };
                    let table = item["TableName"].as_str().with_context(|| format!("no table in {item}"))?;
                    Ok((action, format!("arn:aws:dynamodb:{place}:table/{table}"), none()))
                })
                .collect::<anyhow::Result<_>>()?,
            ("dynamodb", _) => {
                let index = request["IndexName"]
                    .as_str()
                    .map(|index| format!("/index/{index}"))
                    .unwrap_or_default();
                let table = named("TableName")?;
                // Only the permission to remove items is one for some partitions.
                let context = match request["Key"]["pk"]["S"].as_str().filter(|_| entry.operation == "DeleteItem") {
                    Some(partition) => Context::from([("dynamodb:LeadingKeys", partition.to_owned())]),
                    None => none(),
                };
                vec![(action, format!("arn:aws:dynamodb:{place}:table/{table}{index}"), context)]
            }
            ("s3", "GetObject" | "HeadObject" | "PutObject") => {
                let (_, path) = entry.summary.split_once(" /").context("no path")?;
                let bucket = path.split('/').next().unwrap_or_default();
                // HeadObject has no action of its own (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html).
                let action = action.replace("Head", "Get");
                let mut all = vec![(action, format!("arn:aws:s3:::{path}"), none())];
                if entry.status == Some(404) {
                    // Without it the answer would have been 403.
                    all.push(("s3:ListBucket".to_owned(), format!("arn:aws:s3:::{bucket}"), none()));
                }
                all
            }
            ("s3", operation @ ("ListObjectsV2" | "ListObjectVersions")) => {
                let (bucket, prefix) = entry
                    .summary
                    .split_once(" /")
                    .and_then(|(_, path)| path.split_once('/'))
                    .context("no bucket")?;
                let action = match operation {
                    "ListObjectVersions" => "s3:ListBucketVersions",
                    _ => "s3:ListBucket",
                };
                vec![(
                    action.to_owned(),
                    format!("arn:aws:s3:::{bucket}"),
                    Context::from([("s3:prefix", prefix.trim_start().to_owned())]),
                )]
            }
            ("sns", "Publish") => vec![(action, named("TopicArn")?.to_owned(), none())],
            // IAM authorizes a batch as its messages, and a queue's URL ends with its name.
            ("sqs", "SendMessageBatch") => {
                let queue = named("QueueUrl")?.rsplit('/').next().unwrap_or_default();
                vec![("sqs:SendMessage".to_owned(), format!("arn:aws:sqs:{place}:{queue}"), none())]
            }
            ("codecommit", _) => vec![(action, format!("arn:aws:codecommit:{place}:{}", named("repositoryName")?), none())],
            ("ecs", operation @ ("DescribeServices" | "UpdateService")) => {
                let cluster = named("cluster")?;
                let service = |name: &str| (action.clone(), format!("arn:aws:ecs:{place}:service/{cluster}/{name}"), none());
                match operation {
                    "UpdateService" => vec![service(named("service")?)],
                    _ => items(&request["services"]).filter_map(Value::as_str).map(service).collect(),
                }
            }
            // What conditions see of the cluster comes with the others alone.
            ("ecs", "ListContainerInstances") => vec![(action, format!("arn:aws:ecs:{place}:cluster/{}", named("cluster")?), none())],
            ("ecs", operation) => {
                let context = Context::from([("ecs:cluster", format!("arn:aws:ecs:{place}:cluster/{}", named("cluster")?))]);
                let resources = match operation {
                    // ECS takes the newest revision, and authorises that.
                    "RunTask" => vec![format!("arn:aws:ecs:{place}:task-definition/{}:1", named("taskDefinition")?)],
                    "StopTask" => vec![named("task")?.to_owned()],
                    "DescribeTasks" => items(&request["tasks"]).filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
                    "ListTasks" => vec!["*".to_owned()],
                    "UpdateContainerInstancesState" => items(&request["containerInstances"])
                        .filter_map(Value::as_str)
                        .map(ToOwned::to_owned)
                        .collect(),
                    _ => bail!("the check does not know how IAM authorizes it"),
                };
                let needs = resources.into_iter().map(|resource| (action.clone(), resource, context.clone()));
                needs.collect()
            }
            ("codebuild", operation) => {
                let project = |name: &str| format!("arn:aws:codebuild:{place}:project/{name}");
                // What is done to a build, named by its ARN or by PROJECT:ID, is authorised on its project.
                let project_of = |build: &str| {
                    let build = build.rsplit_once('/').map_or(build, |(_, build)| build);
                    project(build.split(':').next().unwrap_or_default())
                };
                let resources = match operation {
                    "StartBuild" | "ListBuildsForProject" => vec![project(named("projectName")?)],
                    "StopBuild" => vec![project_of(named("id")?)],
                    "BatchGetProjects" => items(&request["names"]).filter_map(Value::as_str).map(project).collect(),
                    "BatchGetBuilds" => items(&request["ids"]).filter_map(Value::as_str).map(project_of).collect(),
                    _ => bail!("the check does not know how IAM authorizes it"),
                };
                resources.into_iter().map(|resource| (action.clone(), resource, none())).collect()
            }
            ("states", "StartExecution") => vec![(action, named("stateMachineArn")?.to_owned(), none())],
            ("states", "StopExecution" | "DescribeExecution") => vec![(action, named("executionArn")?.to_owned(), none())],
            // Copies and restores are authorised on recovery points, whose ARNs are of many services.
            ("backup", "StartBackupJob" | "StartCopyJob" | "StartRestoreJob") => {
                let vault = request["BackupVaultName"].as_str();
                let resource = vault.map_or("*".to_owned(), |vault| format!("arn:aws:backup:{place}:backup-vault:{vault}"));
                let service = Context::from([("iam:PassedToService", "backup.amazonaws.com".to_owned())]);
                let pass = ("iam:PassRole".to_owned(), named("IamRoleArn")?.to_owned(), service);
                vec![(action, resource, none()), pass]
            }
            ("backup", "ListRecoveryPointsByBackupVault") => {
                let vault = entry.summary.split('/').nth(2).context("no vault")?;
                vec![(action, format!("arn:aws:backup:{place}:backup-vault:{vault}"), none())]
            }
            // Authorised on recovery points, or on nothing.
            ("backup", _) => vec![(action, "*".to_owned(), none())],
            ("cloudcontrolapi", operation) => vec![(format!("cloudformation:{operation}"), "*".to_owned(), none())],
            ("codepipeline", "PutJobSuccessResult" | "PutJobFailureResult") => vec![(action, "*".to_owned(), none())],
            _ => bail!("the check does not know how IAM authorizes it"),
        })
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn call(service: &str, operation: &str, summary: &str, request: Value) -> Entry {
        Entry {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            service: service.to_owned(),
            operation: operation.to_owned(),
            caller: Some("bellhop-push".to_owned()),
            status: Some(200),
            fault: None,
            summary: summary.to_owned(),
            request: Some(request),
        }
    }

    /// What a call is authorised as, one line each: action, resource, and what conditions see.
    fn lines(call: &Entry) -> Vec<String> {
        let requests = Place("us-east-1:000000000000".to_owned())
            .requests(std::slice::from_ref(call))
            .unwrap();
        let line = |request: &Request| {
            let context = request.context.iter().map(|(key, value)| format!(" {key}={value}"));
            let line = format!("{} {}{}", request.action, request.resource, context.collect::<String>());
            line.replace("us-east-1:000000000000", "HERE")
        };
        requests.iter().map(line).collect()
    }

    #[test]
    fn a_task_is_started_from_its_definition_in_its_cluster() {
        let request = json!({ "cluster": "ci-spot", "taskDefinition": "bellhop-agent-small" });
        assert_eq!(
            lines(&call("ecs", "RunTask", "", request)),
            ["ecs:RunTask arn:aws:ecs:HERE:task-definition/bellhop-agent-small:1 ecs:cluster=arn:aws:ecs:HERE:cluster/ci-spot"]
        );
    }

    #[test]
    fn a_batch_of_messages_is_authorised_on_its_queue() {
        let request = json!({ "QueueUrl": "http://127.0.0.1:4566/000000000000/bellhop-timers", "Entries": [] });
        assert_eq!(
            lines(&call("sqs", "SendMessageBatch", "", request)),
            ["sqs:SendMessage arn:aws:sqs:HERE:bellhop-timers"]
        );
    }

    #[test]
    fn instances_are_listed_by_their_cluster() {
        assert_eq!(
            lines(&call("ecs", "ListContainerInstances", "", json!({ "cluster": "ci-spot" }))),
            ["ecs:ListContainerInstances arn:aws:ecs:HERE:cluster/ci-spot"]
        );
    }

    #[test]
    fn a_listing_is_authorised_by_its_prefix() {
        assert_eq!(
            lines(&call("s3", "ListObjectsV2", "GET /suite/ runs/a/test/1/artifacts/", Value::Null)),
            ["s3:ListBucket arn:aws:s3:::suite s3:prefix=runs/a/test/1/artifacts/"]
        );
        assert_eq!(
            lines(&call("s3", "ListObjectVersions", "GET /suite/ config/bellhop.yaml", Value::Null)),
            ["s3:ListBucketVersions arn:aws:s3:::suite s3:prefix=config/bellhop.yaml"]
        );
    }

    #[test]
    fn a_backup_is_authorised_on_its_vault_and_role_and_a_removal_as_cloudformation() {
        let role = "arn:aws:iam::000000000000:role/ci-backup";
        let pass = format!("iam:PassRole {role} iam:PassedToService=backup.amazonaws.com");
        for (operation, request, own) in [
            (
                "StartBackupJob",
                json!({ "BackupVaultName": "ci", "IamRoleArn": role }),
                "backup:StartBackupJob arn:aws:backup:HERE:backup-vault:ci",
            ),
            ("StartRestoreJob", json!({ "IamRoleArn": role }), "backup:StartRestoreJob *"),
        ] {
            assert_eq!(lines(&call("backup", operation, "", request)), [own, &pass]);
        }
        assert_eq!(
            lines(&call(
                "backup",
                "ListRecoveryPointsByBackupVault",
                "GET /backup-vaults/ci/recovery-points",
                Value::Null
            )),
            ["backup:ListRecoveryPointsByBackupVault arn:aws:backup:HERE:backup-vault:ci"]
        );
        assert_eq!(
            lines(&call("backup", "DescribeBackupJob", "GET /backup-jobs/x", Value::Null)),
            ["backup:DescribeBackupJob *"]
        );
        assert_eq!(
            lines(&call("cloudcontrolapi", "DeleteResource", "", json!({ "Identifier": "x" }))),
            ["cloudformation:DeleteResource *"]
        );
    }

    #[test]
    fn a_build_is_authorised_on_its_project() {
        let build = |project: &str| format!("arn:aws:codebuild:us-east-1:000000000000:build/{project}:0f1e2d3c");
        for (operation, request) in [
            ("StartBuild", json!({ "projectName": "ci-docker" })),
            ("ListBuildsForProject", json!({ "projectName": "ci-docker" })),
            ("StopBuild", json!({ "id": build("ci-docker") })),
            ("BatchGetBuilds", json!({ "ids": [build("ci-docker"), "ci-docker:4b5a6978"] })),
            ("BatchGetProjects", json!({ "names": ["ci-docker"] })),
        ] {
            assert_eq!(
                lines(&call("codebuild", operation, "", request)),
                [format!("codebuild:{operation} arn:aws:codebuild:HERE:project/ci-docker")]
            );
        }
    }

    #[test]
    fn an_execution_is_authorised_by_its_own_name_and_started_by_its_state_machines() {
        let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:release";
        assert_eq!(
            lines(&call("states", "StartExecution", "", json!({ "stateMachineArn": machine }))),
            ["states:StartExecution arn:aws:states:HERE:stateMachine:release"]
        );
        let execution = "arn:aws:states:us-east-1:000000000000:execution:release:0f1e2d3c";
        for operation in ["StopExecution", "DescribeExecution"] {
            assert_eq!(
                lines(&call("states", operation, "", json!({ "executionArn": execution }))),
                [format!("states:{operation} arn:aws:states:HERE:execution:release:0f1e2d3c")]
            );
        }
    }

    #[test]
    fn an_object_that_is_not_there_needs_the_right_to_list() {
        let mut missing = call("s3", "GetObject", "GET /suite/runs/a/result.json", Value::Null);
        assert_eq!(lines(&missing), ["s3:GetObject arn:aws:s3:::suite/runs/a/result.json"]);
        missing.status = Some(404);
        assert_eq!(
            lines(&missing),
            [
                "s3:GetObject arn:aws:s3:::suite/runs/a/result.json",
                "s3:ListBucket arn:aws:s3:::suite"
            ]
        );
    }

    #[test]
    fn a_transaction_needs_what_it_is_made_of() {
        let request = json!({ "TransactItems": [{ "Put": { "TableName": "t" } }, { "ConditionCheck": { "TableName": "t" } }] });
        assert_eq!(
            lines(&call("dynamodb", "TransactWriteItems", "", request)),
            [
                "dynamodb:ConditionCheckItem arn:aws:dynamodb:HERE:table/t",
                "dynamodb:PutItem arn:aws:dynamodb:HERE:table/t"
            ]
        );
    }

    #[test]
    fn a_call_that_is_not_known_stops_the_record() {
        let place = Place("us-east-1:000000000000".to_owned());
        assert!(
            place
                .requests(&[call("ecs", "CreateCluster", "", json!({ "cluster": "x" }))])
                .is_err()
        );
    }
}
