//! The functions' roles, as the template deployed them, held against the calls that were recorded: nothing may be called that a role does not allow,
//! and nothing be allowed that is not called.
//!
//! The local AWS lets everybody do everything, so a permission that is missing would show on AWS alone. Which function made a call stands in its user
//! agent (`AWS_SDK_UA_APP_ID`, set by the template).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::Entry;
use serde_json::Value;

use crate::stack::Stack;
use xtask::functions::FUNCTIONS;

/// What is allowed and does not show in the functions' own calls: the functions, the action, and who uses it when. The functions share their policies,
/// because each of them may be the one in whose hands a build's next step comes.
const EXPLAINED: &[(&[&str], &str, &str)] = &[
    (&FUNCTIONS, "logs:CreateLogStream", "Lambda writes what the function prints"),
    (&FUNCTIONS, "logs:PutLogEvents", "Lambda writes what the function prints"),
    (
        &FUNCTIONS,
        "sqs:SendMessage",
        "Lambda hands over what the function could not finish",
    ),
    (&FUNCTIONS, "kms:Decrypt", "SNS uses the topic's key when the function publishes"),
    (
        &FUNCTIONS,
        "kms:GenerateDataKey",
        "SNS uses the topic's key when the function publishes",
    ),
    (
        &FUNCTIONS,
        "iam:PassRole",
        "part of the authorisation of RunTask, for the task definition's roles, and of the jobs of AWS Backup",
    ),
    (
        &FUNCTIONS,
        "ecs:DescribeTasks",
        "after ListTasks has found the agent of a launch whose reply was lost",
    ),
    (&FUNCTIONS, "ecs:ListTasks", "after such a launch, by whoever repeats it"),
    (
        &["push", "pipeline", "alarm", "spot-interruption"],
        "ecs:StopTask",
        "of an agent that came of a launch after its build was ended by others",
    ),
    (
        &["push", "pipeline", "control", "build-state", "spot-interruption", "alarm", "sweep"],
        "s3:GetObject",
        "of an agent's report, where its end was seen before its launch was noted; of the configuration, for an alarm that the sweep acts on",
    ),
    (
        &["push", "pipeline", "control", "spot-interruption", "alarm", "backup", "sweep"],
        "s3:ListBucketVersions",
        "of a suite configuration that is broken",
    ),
    (
        &["push", "pipeline", "control", "spot-interruption", "alarm", "backup", "sweep"],
        "s3:GetObjectVersion",
        "of a suite configuration that is broken, where there is an earlier version of it",
    ),
    (
        &["push", "pipeline", "control"],
        "codecommit:GetFolder",
        "what stands in place of a pipeline file that is not there",
    ),
    (
        &["sweep"],
        "ecs:ListContainerInstances",
        "whether an instance is still drained an hour after it was recommended to be replaced",
    ),
    (
        &["build-state", "pipeline", "control", "alarm", "spot-interruption", "sweep"],
        "s3:ListBucket",
        "the artifacts of a build, by whoever ends it; objects that are not there",
    ),
    (
        &["pipeline", "control", "alarm", "spot-interruption", "sweep"],
        "s3:PutObject",
        "a script that is too long for the overrides of a task; the report of a run, by whoever ends it",
    ),
    (
        &["alarm", "spot-interruption"],
        "dynamodb:Query",
        "the builds of a run, by whoever ends one",
    ),
    (
        &["sweep"],
        "codecommit:GetBranch",
        "when an alarm asks for a job that could not be run at once",
    ),
    (
        &["build-state", "spot-interruption"],
        "ecs:RunTask",
        "a job on ECS that needs one on CodeBuild; the replacement of an agent on an instance",
    ),
    (&["build-state"], "ecs:StopTask", "of such a job, when its place or its run is gone"),
    (&FUNCTIONS, "codebuild:StartBuild", "by whoever lets a build on CodeBuild go ahead"),
    (&FUNCTIONS, "codebuild:StopBuild", "by whoever ends such a build before its time"),
    (
        &FUNCTIONS,
        "codebuild:ListBuildsForProject",
        "before a launch is repeated, by whoever repeats it",
    ),
    (
        &FUNCTIONS,
        "codebuild:BatchGetBuilds",
        "after such a list, and after a stop that is refused",
    ),
    (
        &FUNCTIONS,
        "codepipeline:PutJobSuccessResult",
        "by whoever ends the run that an action waits for",
    ),
    (
        &FUNCTIONS,
        "codepipeline:PutJobFailureResult",
        "by whoever ends the run that an action waits for",
    ),
    (
        &["alarm", "backup", "sweep"],
        "dynamodb:DescribeTable",
        "Cloud Control, with the caller's permissions, before it removes a restored table",
    ),
    (
        &["alarm", "backup", "sweep"],
        "dynamodb:DeleteTable",
        "Cloud Control, with the caller's permissions, when it removes a restored table",
    ),
    (&["alarm"], "backup:StartBackupJob", "an alarm with back-up-now"),
    (&["backup"], "s3:ListBucket", "a suite that is not configured yet"),
    (
        &["alarm", "sweep"],
        "backup:ListRecoveryPointsByBackupVault",
        "of a check whose function died before it asked",
    ),
    (
        &["alarm", "sweep"],
        "backup:DescribeBackupJob",
        "of a job that was not heard of for a quarter of an hour",
    ),
    (
        &["alarm", "backup", "sweep"],
        "backup:DescribeCopyJob",
        "of a copy, likewise, or when backups are checked",
    ),
    (
        &["alarm", "backup", "sweep"],
        "backup:DescribeRestoreJob",
        "of a restore, likewise, or where its event does not say what it created",
    ),
    (
        &["alarm", "backup", "sweep"],
        "backup:StartCopyJob",
        "a backup with copy-to, by whoever sees it complete",
    ),
    (
        &["alarm", "backup", "sweep"],
        "backup:StartRestoreJob",
        "a backup with restore-test",
    ),
    (
        &["alarm", "backup", "sweep"],
        "backup:GetRecoveryPointRestoreMetadata",
        "a backup with restore-test",
    ),
    (
        &["alarm", "backup", "sweep"],
        "cloudformation:DeleteResource",
        "what a restore test created, by whoever sees it complete",
    ),
    (
        &["alarm", "backup", "sweep"],
        "cloudformation:GetResourceRequestStatus",
        "how that goes",
    ),
];

/// What a statement allows: one action on one kind of resource.
#[derive(Debug, Clone)]
struct Grant {
    action: String,
    resource: String,
    conditions: Value,
}

/// What a call needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    function: String,
    action: String,
    resource: String,
    /// What conditions see of it, by their keys.
    context: Context,
}

type Context = BTreeMap<&'static str, String>;

/// What each function's role allows.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    grants: BTreeMap<String, Vec<Grant>>,
    /// Region and account, as they stand in ARNs: `us-east-1:000000000000`.
    place: String,
}

impl Roles {
    /// Reads the roles that the template deployed.
    pub(crate) async fn of(stack: &Stack) -> anyhow::Result<Self> {
        let functions = stack
            .cli("Reading the functions", |cli| {
                cli.args(["lambda", "list-functions", "--output", "json"])
            })
            .await?;
        let all = stack
            .cli("Reading their roles", |cli| {
                cli.args(["iam", "get-account-authorization-details", "--filter", "Role", "LocalManagedPolicy"])
                    .args(["--output", "json"])
            })
            .await?;
        let topic = stack.output("TopicArn")?;
        let place: Vec<&str> = topic.split(':').skip(3).take(2).collect();
        Self::read(&serde_json::from_str(&functions)?, &serde_json::from_str(&all)?, &place.join(":"))
    }

    /// `functions` is what ListFunctions gives, `all` what GetAccountAuthorizationDetails gives.
    fn read(functions: &Value, all: &Value, place: &str) -> anyhow::Result<Self> {
        let managed: BTreeMap<&str, &Value> = items(&all["Policies"])
            .filter_map(|policy| {
                let version = items(&policy["PolicyVersionList"]).find(|version| version["IsDefaultVersion"] == true)?;
                Some((policy["Arn"].as_str()?, &version["Document"]))
            })
            .collect();
        let mut grants = BTreeMap::new();
        for name in FUNCTIONS {
            let function = items(&functions["Functions"]).find(|function| function["FunctionName"] == format!("bellhop-{name}"));
            let arn = function.with_context(|| format!("there is no function bellhop-{name}"))?["Role"].clone();
            let role = items(&all["RoleDetailList"])
                .find(|role| role["Arn"] == arn)
                .with_context(|| format!("there is no role {arn}"))?;
            let own = items(&role["RolePolicyList"]).map(|policy| &policy["PolicyDocument"]);
            let attached = items(&role["AttachedManagedPolicies"]).filter_map(|policy| managed.get(policy["PolicyArn"].as_str()?).copied());
            let mut all = Vec::new();
            for document in own.chain(attached) {
                all.extend(grants_of(document)?);
            }
            ensure!(!all.is_empty(), "the role of {name} allows nothing: {role}");
            grants.insert(name.to_owned(), all);
        }
        Ok(Self {
            grants,
            place: place.to_owned(),
        })
    }

    /// Holds every call of a function against its role. Gives how many different ones there were.
    ///
    /// # Errors
    /// Calls that a role does not allow, all of them.
    pub(crate) fn allow(&self, journal: &[Entry]) -> anyhow::Result<usize> {
        let needs = self.needs(journal)?;
        let refused: Vec<String> = self.refused(&needs).map(|need| format!("{need:?}")).collect();
        ensure!(
            refused.is_empty(),
            "calls that the functions' roles in infra/template.yaml do not allow:\n{}",
            refused.join("\n")
        );
        Ok(needs.len())
    }

    /// Holds every permission against the calls: each was used, or is explained. And each that was used would be missed.
    ///
    /// # Errors
    /// Permissions that nothing used, all of them; explanations of what no role allows.
    pub(crate) fn are_used(&self, journal: &[Entry]) -> anyhow::Result<()> {
        let needs = self.needs(journal)?;
        let mut unused = Vec::new();
        let mut explains = BTreeSet::new();
        for (function, grants) in &self.grants {
            for grant in grants {
                if needs.iter().any(|need| &need.function == function && grant.covers(need)) {
                    let mut without = self.clone();
                    if let Some(grants) = without.grants.get_mut(function) {
                        grants.retain(|other| other.action != grant.action);
                    }
                    ensure!(
                        without.refused(&needs).next().is_some(),
                        "{function} without {} would not be noticed",
                        grant.action
                    );
                    continue;
                }
                let explanation = EXPLAINED
                    .iter()
                    .position(|(of, action, _)| of.contains(&function.as_str()) && *action == grant.action);
                match explanation {
                    Some(place) => {
                        explains.insert(place);
                    }
                    None => unused.push(format!("{function}: {} on {}", grant.action, grant.resource)),
                }
            }
        }
        ensure!(
            unused.is_empty(),
            "permissions of infra/template.yaml that nothing used and nothing explains:\n{}",
            unused.join("\n")
        );
        for (place, (functions, action, why)) in EXPLAINED.iter().enumerate() {
            ensure!(
                explains.contains(&place),
                "{action} of {functions:?} is explained ({why}), and no role allows it without its being used"
            );
        }
        Ok(())
    }

    fn refused<'a>(&'a self, needs: &'a BTreeSet<Need>) -> impl Iterator<Item = &'a Need> {
        needs.iter().filter(|need| {
            let grants = self.grants.get(&need.function);
            !grants.into_iter().flatten().any(|grant| grant.covers(need))
        })
    }

    fn needs(&self, journal: &[Entry]) -> anyhow::Result<BTreeSet<Need>> {
        let mut needs = BTreeSet::new();
        for entry in journal {
            if let Some(function) = entry.caller.as_deref().and_then(|caller| caller.strip_prefix("bellhop-")) {
                let what = || format!("{} {} of {function}", entry.service, entry.operation);
                for (action, resource, context) in self.needs_of(entry).with_context(what)? {
                    needs.insert(Need {
                        function: function.to_owned(),
                        action,
                        resource,
                        context,
                    });
                }
            }
        }
        Ok(needs)
    }

    /// The actions that a call is authorised as, each with its resource, and what conditions see.
    fn needs_of(&self, entry: &Entry) -> anyhow::Result<Vec<(String, String, Context)>> {
        let place = &self.place;
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
                vec![(action, format!("arn:aws:dynamodb:{place}:table/{table}{index}"), none())]
            }
            ("s3", "GetObject" | "PutObject") => {
                let (_, path) = entry.summary.split_once(" /").context("no path")?;
                let bucket = path.split('/').next().unwrap_or_default();
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
            ("codecommit", _) => vec![(action, format!("arn:aws:codecommit:{place}:{}", named("repositoryName")?), none())],
            ("ecs", operation @ ("DescribeServices" | "UpdateService")) => {
                let cluster = named("cluster")?;
                let service = |name: &str| (action.clone(), format!("arn:aws:ecs:{place}:service/{cluster}/{name}"), none());
                match operation {
                    "UpdateService" => vec![service(named("service")?)],
                    _ => items(&request["services"]).filter_map(Value::as_str).map(service).collect(),
                }
            }
            ("ecs", operation) => {
                let context = Context::from([("ecs:cluster", format!("arn:aws:ecs:{place}:cluster/{}", named("cluster")?))]);
                let resources = match operation {
                    // ECS takes the newest revision, and authorises that.
                    "RunTask" => vec![format!("arn:aws:ecs:{place}:task-definition/{}:1", named("taskDefinition")?)],
                    "StopTask" => vec![named("task")?.to_owned()],
                    "DescribeTasks" => items(&request["tasks"]).filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
                    "ListTasks" => vec!["*".to_owned()],
                    "ListContainerInstances" => vec![format!("arn:aws:ecs:{place}:cluster/{}", named("cluster")?)],
                    "UpdateContainerInstancesState" => items(&request["containerInstances"])
                        .filter_map(Value::as_str)
                        .map(ToOwned::to_owned)
                        .collect(),
                    _ => bail!("the check does not know how it is authorised"),
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
                    "BatchGetBuilds" => items(&request["ids"]).filter_map(Value::as_str).map(project_of).collect(),
                    _ => bail!("the check does not know how it is authorised"),
                };
                resources.into_iter().map(|resource| (action.clone(), resource, none())).collect()
            }
            ("backup", "StartBackupJob") => {
                let vault = format!("arn:aws:backup:{place}:backup-vault:{}", named("BackupVaultName")?);
                vec![(action, vault, none())]
            }
            ("backup", "ListRecoveryPointsByBackupVault") => {
                let vault = entry.summary.split('/').nth(2).context("no vault")?;
                vec![(action, format!("arn:aws:backup:{place}:backup-vault:{vault}"), none())]
            }
            // Authorised on recovery points, whose ARNs are of many services, or on nothing.
            ("backup", _) => vec![(action, "*".to_owned(), none())],
            ("cloudcontrolapi", operation) => vec![(format!("cloudformation:{operation}"), "*".to_owned(), none())],
            ("codepipeline", "PutJobSuccessResult" | "PutJobFailureResult") => vec![(action, "*".to_owned(), none())],
            _ => bail!("the check does not know how it is authorised"),
        })
    }
}

impl Grant {
    fn covers(&self, need: &Need) -> bool {
        matches(&self.action, &need.action)
            && matches(&self.resource, &need.resource)
            && self.conditions.as_object().into_iter().flatten().all(|(operator, wanted)| {
                wanted.as_object().into_iter().flatten().all(|(key, patterns)| {
                    let value = match key.as_str() {
                        // Every request goes to the region of what it is about.
                        "aws:RequestedRegion" => need.resource.split(':').nth(3),
                        key => need.context.get(key).map(String::as_str),
                    };
                    match value {
                        None => operator.ends_with("IfExists"),
                        Some(value) => one_or_more(patterns).any(|pattern| matches(pattern, value)),
                    }
                })
            })
    }
}

fn grants_of(document: &Value) -> anyhow::Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for statement in items(&document["Statement"]) {
        ensure!(
            statement["Effect"] == "Allow",
            "the check does not know this kind of statement: {statement}"
        );
        for action in one_or_more(&statement["Action"]) {
            for resource in one_or_more(&statement["Resource"]) {
                grants.push(Grant {
                    action: action.to_owned(),
                    resource: resource.to_owned(),
                    conditions: statement["Condition"].clone(),
                });
            }
        }
    }
    Ok(grants)
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A text, or a list of texts.
fn one_or_more(value: &Value) -> impl Iterator<Item = &str> {
    value.as_str().into_iter().chain(items(value).filter_map(Value::as_str))
}

/// Whether a text fits a pattern of IAM's: `*` stands for any characters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.len() == text.len() && pattern.bytes().zip(text.bytes()).all(|(p, t)| p == b'?' || p == t),
        Some((head, rest)) => {
            let fits = text.get(..head.len()).is_some_and(|start| matches(head, start));
            fits && (head.len()..=text.len()).any(|from| text.get(from..).is_some_and(|end| matches(rest, end)))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    const PLACE: &str = "us-east-1:000000000000";

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

    /// Roles that all have this statement alone.
    fn roles(statement: &Value) -> Roles {
        let roles: Vec<Value> = FUNCTIONS
            .iter()
            .map(|name| {
                let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
                json!({ "Arn": format!("arn:{name}"), "RolePolicyList": [{ "PolicyDocument": document }] })
            })
            .collect();
        let functions: Vec<Value> = FUNCTIONS
            .iter()
            .map(|name| json!({ "FunctionName": format!("bellhop-{name}"), "Role": format!("arn:{name}") }))
            .collect();
        Roles::read(&json!({ "Functions": functions }), &json!({ "RoleDetailList": roles }), PLACE).unwrap()
    }

    fn run_task(cluster: &str) -> Entry {
        call(
            "ecs",
            "RunTask",
            "",
            json!({ "cluster": cluster, "taskDefinition": "bellhop-agent-small" }),
        )
    }

    #[test]
    fn a_call_is_allowed_by_action_resource_and_condition() {
        let statement = json!({
            "Effect": "Allow",
            "Action": ["ecs:RunTask", "ecs:StopTask"],
            "Resource": format!("arn:aws:ecs:{PLACE}:task-definition/bellhop-agent-*:*"),
            "Condition": { "ArnLike": { "ecs:cluster": ["arn:*:ecs:*:*:cluster/ci-spot", "arn:*:ecs:*:*:cluster/ci-main"] } },
        });
        assert_eq!(roles(&statement).allow(&[run_task("ci-main")]).unwrap(), 1);
        assert!(roles(&statement).allow(&[run_task("production")]).is_err());
        for (field, other) in [
            ("Action", json!("ecs:StopTask")),
            ("Resource", json!(format!("arn:aws:ecs:{PLACE}:task-definition/other-*:*"))),
        ] {
            let mut seeded = statement.clone();
            seeded[field] = other;
            assert!(roles(&seeded).allow(&[run_task("ci-main")]).is_err(), "{seeded}");
        }
    }

    #[test]
    fn a_listing_is_authorised_by_its_prefix() {
        let statement = json!({
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::suite",
            "Condition": { "StringLikeIfExists": { "s3:prefix": "runs/*" } },
        });
        let list = |place: &str| call("s3", "ListObjectsV2", &format!("GET /{place}"), Value::Null);
        assert!(roles(&statement).allow(&[list("suite/ runs/a/test/1/artifacts/")]).is_ok());
        for place in ["suite/ config/", "suite/ ", "other/ runs/a/"] {
            assert!(roles(&statement).allow(&[list(place)]).is_err(), "{place}");
        }
    }

    #[test]
    fn a_backup_is_authorised_on_its_vault_and_a_removal_as_cloudformation() {
        let statement = json!({
            "Effect": "Allow",
            "Action": ["backup:StartBackupJob", "backup:ListRecoveryPointsByBackupVault"],
            "Resource": format!("arn:aws:backup:{PLACE}:backup-vault:ci"),
        });
        let calls = |vault: &str| {
            [
                call("backup", "StartBackupJob", "", json!({ "BackupVaultName": vault })),
                call(
                    "backup",
                    "ListRecoveryPointsByBackupVault",
                    &format!("GET /backup-vaults/{vault}/recovery-points"),
                    Value::Null,
                ),
            ]
        };
        assert_eq!(roles(&statement).allow(&calls("ci")).unwrap(), 2);
        for other in calls("other") {
            assert!(roles(&statement).allow(&[other]).is_err());
        }
        let statement = json!({ "Effect": "Allow", "Action": ["backup:Describe*", "cloudformation:*"], "Resource": "*" });
        let removal = call("cloudcontrolapi", "DeleteResource", "", json!({ "Identifier": "x" }));
        let described = call("backup", "DescribeBackupJob", "GET /backup-jobs/x", Value::Null);
        assert_eq!(roles(&statement).allow(&[removal, described]).unwrap(), 2);
    }

    #[test]
    fn a_build_is_authorised_on_its_project_and_region() {
        let statement = json!({
            "Effect": "Allow",
            "Action": "codebuild:*",
            "Resource": ["arn:*:codebuild:*:*:project/ci-docker"],
            "Condition": { "StringEquals": { "aws:RequestedRegion": "us-east-1" } },
        });
        let build = |project: &str| format!("arn:aws:codebuild:{PLACE}:build/{project}:0f1e2d3c");
        let calls = |project: &str| {
            [
                ("StartBuild", json!({ "projectName": project })),
                ("ListBuildsForProject", json!({ "projectName": project })),
                ("StopBuild", json!({ "id": build(project) })),
                (
                    "BatchGetBuilds",
                    json!({ "ids": [build("ci-docker"), format!("{project}:4b5a6978")] }),
                ),
            ]
            .map(|(operation, request)| call("codebuild", operation, "", request))
        };
        assert_eq!(roles(&statement).allow(&calls("ci-docker")).unwrap(), 4);
        for other in calls("release") {
            assert!(roles(&statement).allow(&[other]).is_err());
        }
        let mut elsewhere = statement;
        elsewhere["Condition"]["StringEquals"]["aws:RequestedRegion"] = json!("eu-west-1");
        assert!(roles(&elsewhere).allow(&calls("ci-docker")).is_err());
    }

    #[test]
    fn an_object_that_is_not_there_needs_the_right_to_list() {
        let mut missing = call("s3", "GetObject", "GET /suite/runs/a/result.json", Value::Null);
        missing.status = Some(404);
        let read = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::suite/runs/*" });
        assert!(roles(&read).allow(std::slice::from_ref(&missing)).is_err());
        let both = json!({ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::suite", "arn:aws:s3:::suite/runs/*"] });
        roles(&both).allow(&[missing]).unwrap();
    }

    #[test]
    fn a_transaction_needs_what_it_is_made_of() {
        let request = json!({ "TransactItems": [{ "Put": { "TableName": "t" } }, { "ConditionCheck": { "TableName": "t" } }] });
        let needs = roles(&json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }))
            .needs(&[call("dynamodb", "TransactWriteItems", "", request)])
            .unwrap();
        let actions: Vec<_> = needs.iter().map(|need| need.action.as_str()).collect();
        assert_eq!(actions, ["dynamodb:ConditionCheckItem", "dynamodb:PutItem"]);
    }

    #[test]
    fn a_permission_that_nothing_uses_is_named() {
        let statement = json!({ "Effect": "Allow", "Action": ["ecs:RunTask", "ecs:DeleteCluster"], "Resource": "*" });
        let error = roles(&statement).are_used(&[run_task("ci-main")]).unwrap_err().to_string();
        assert!(error.contains("push: ecs:DeleteCluster on *"), "{error}");
        assert!(
            !error.contains("push: ecs:RunTask") && error.contains("sweep: ecs:RunTask"),
            "{error}"
        );
    }

    #[test]
    fn a_call_that_is_not_known_is_no_allowed_one() {
        let statement = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        assert!(
            roles(&statement)
                .allow(&[call("ecs", "CreateCluster", "", json!({ "cluster": "x" }))])
                .is_err()
        );
    }

    #[test]
    fn patterns_of_iam() {
        for (pattern, text, fits) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("runs/*", "runs/a/b", true),
            ("*/b", "a/b/b", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
