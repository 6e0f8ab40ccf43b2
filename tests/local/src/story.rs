//! What happens in the local AWS, told as it happens: events, functions, effects.

use std::collections::HashSet;
use std::time::Duration;

use bellhop_stand_in::Entry;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::aws::LocalAws;
use crate::stack::Stack;
use xtask::functions::FUNCTIONS;

/// How long a line is held back, so that one from the logs, which come a little later, still gets before it.
const HOLD_MS: i64 = 400;

/// The story since a moment.
pub(crate) struct Story {
    begun: Timestamp,
    events: UnboundedReceiver<(Timestamp, Value)>,
    effects: Receiver<Entry>,
    aws: LocalAws,
    seen: HashSet<String>,
    held: Vec<(Timestamp, String)>,
}

impl Story {
    /// Begins now.
    pub(crate) fn begin(stack: &Stack) -> Self {
        Self {
            begun: Timestamp::now(),
            events: with_times([stack.stand_in.events().subscribe(), stack.stand_in.codepipeline().subscribe()]),
            effects: stack.stand_in.journal().subscribe(),
            aws: stack.aws.clone(),
            seen: HashSet::new(),
            held: Vec::new(),
        }
    }

    /// A line of the teller's own.
    pub(crate) fn tell(&mut self, who: &str, what: &str) {
        self.add(Timestamp::now(), who, what);
    }

    /// Takes in what is new and prints what is old enough to be in order.
    pub(crate) async fn go_on(&mut self) -> anyhow::Result<()> {
        self.take_in().await?;
        self.print(Timestamp::now().as_millisecond() - HOLD_MS);
        Ok(())
    }

    /// Prints all that is left, once nothing more comes: lines of the logs come later than what they are about.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        loop {
            let before = self.held.len();
            tokio::time::sleep(Duration::from_millis(HOLD_MS.unsigned_abs())).await;
            self.take_in().await?;
            if self.held.len() == before {
                break;
            }
        }
        self.print(i64::MAX);
        Ok(())
    }

    async fn take_in(&mut self) -> anyhow::Result<()> {
        while let Ok((at, event)) = self.events.try_recv() {
            if let Some(text) = of_event(&event) {
                self.add(at, "event", &text);
            }
        }
        while let Ok(entry) = self.effects.try_recv() {
            if let Some((who, text)) = of_effect(&entry) {
                self.add(entry.at, &who, &text);
            }
        }
        for name in FUNCTIONS {
            let group = format!("/aws/lambda/bellhop-{name}");
            for (at, line) in self.aws.log_lines(&group, self.begun.as_millisecond()).await? {
                // Every line carries its request's id, so none of them comes twice by itself.
                if self.seen.insert(format!("{name} {line}"))
                    && let Some(text) = of_log_line(&line)
                {
                    self.add(Timestamp::from_millisecond(at).unwrap_or(self.begun), name, &text);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, at: Timestamp, who: &str, what: &str) {
        let seconds = at.duration_since(self.begun).as_secs_f64();
        self.held.push((at, format!("{seconds:>7.2} s  {who:<11} {what}")));
    }

    fn print(&mut self, until_ms: i64) {
        self.held.sort_by_key(|(at, _)| *at);
        let later = self.held.partition_point(|(at, _)| at.as_millisecond() <= until_ms);
        for (_, line) in self.held.drain(..later) {
            println!("{line}");
        }
    }
}

/// Events with the moments at which they came; their own times are whole seconds, or none.
fn with_times(sources: [Receiver<Value>; 2]) -> UnboundedReceiver<(Timestamp, Value)> {
    let (sender, receiver) = unbounded_channel();
    for mut events in sources {
        let sender = sender.clone();
        tokio::spawn(async move {
            // Ends when the stand-in or the story does.
            while let Ok(event) = events.recv().await {
                if sender.send((Timestamp::now(), event)).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// An event on its way to the rules, or a job of CodePipeline on its way to its function.
fn of_event(event: &Value) -> Option<String> {
    if let Some(job) = event.get("CodePipeline.job") {
        let again = job["data"]
            .get("continuationToken")
            .map(|token| format!(", with the token {token}"));
        return Some(format!(
            "CodePipeline invokes the action's function for job {}{}",
            short(&job["id"])?,
            again.unwrap_or_default()
        ));
    }
    let detail = &event["detail"];
    match event["detail-type"].as_str()? {
        "CodeCommit Repository State Change" => Some(format!(
            "{} of {}: {}",
            detail["event"].as_str()?,
            detail["repositoryName"].as_str()?,
            detail["referenceFullName"].as_str()?
        )),
        "ECS Task State Change" => {
            let (_, attempt) = detail["startedBy"].as_str()?.rsplit_once('/')?;
            let capacity = detail["capacityProviderName"].as_str().unwrap_or("FARGATE");
            let last = detail["lastStatus"].as_str()?;
            let status = match (last, detail["desiredStatus"].as_str()?) {
                ("RUNNING", "RUNNING") => "is running".to_owned(),
                ("RUNNING", _) => format!(
                    "will be stopped within {} s: {}",
                    crate::bare::SPOT_WARNING.as_secs(),
                    detail["stoppedReason"].as_str()?
                ),
                ("DEPROVISIONING", _) => {
                    let code = &detail["containers"][0]["exitCode"];
                    let why = detail["stopCode"].as_str().or(detail["stoppedReason"].as_str())?;
                    format!("has ended: {why}, exit code {code}")
                }
                _ => return None,
            };
            Some(format!("the task of attempt {attempt} on {capacity} {status}"))
        }
        "CloudWatch Alarm State Change" => Some(format!(
            "alarm {} is in state {}",
            detail["alarmName"].as_str()?,
            detail["state"]["value"].as_str()?
        )),
        "EC2 Spot Instance Interruption Warning" => Some(format!(
            "EC2 will {} {} within {} s",
            detail["instance-action"].as_str()?,
            detail["instance-id"].as_str()?,
            crate::bare::SPOT_WARNING.as_secs()
        )),
        "CodeBuild Build Phase Change" if detail["completed-phase"] == "PROVISIONING" => Some(format!("{} is running", build_of(detail)?)),
        "CodeBuild Build State Change" if detail["build-status"] != "IN_PROGRESS" => {
            Some(format!("{} has ended: {}", build_of(detail)?, detail["build-status"].as_str()?))
        }
        kind @ ("Backup Job State Change" | "Copy Job State Change" | "Restore Job State Change") => {
            let kind = kind.split(' ').next()?.to_lowercase();
            let state = detail["status"].as_str().or(detail["state"].as_str())?;
            let message = detail["statusMessage"].as_str();
            let message = message.map(|message| format!(": {message}")).unwrap_or_default();
            Some(format!("the {kind} job has ended: {state}{message}"))
        }
        _ => None,
    }
}

/// The build of an event of CodeBuild's.
fn build_of(detail: &Value) -> Option<String> {
    let variables = &detail["additional-information"]["environment"]["environment-variables"];
    Some(format!(
        "the build of attempt {} in {}",
        variable(variables, "BELLHOP_ATTEMPT")?,
        detail["project-name"].as_str()?
    ))
}

fn variable<'a>(variables: &'a Value, name: &str) -> Option<&'a str> {
    let mut variables = variables.as_array()?.iter();
    variables.find(|variable| variable["name"] == name)?["value"].as_str()
}

/// The beginning of an id, which is enough to know it again.
fn short(id: &Value) -> Option<&str> {
    id.as_str()?.split('-').next()
}

/// The name at the end of an ARN.
fn name_of(arn: &Value) -> Option<&str> {
    arn.as_str()?.rsplit(['/', ':']).next()
}

/// A request of a function's that does something.
fn of_effect(entry: &Entry) -> Option<(String, String)> {
    let caller = entry.caller.as_deref()?.strip_prefix("bellhop-")?.to_owned();
    let what = match (entry.service.as_str(), entry.operation.as_str()) {
        ("codecommit", "GetRepository") => "reads the default branch (CodeCommit GetRepository)".to_owned(),
        ("codecommit", "GetMergeOptions") => "looks whether the commit is on the branch (CodeCommit GetMergeOptions)".to_owned(),
        ("codecommit", "GetBranch") => "reads the branch's commit (CodeCommit GetBranch)".to_owned(),
        ("codecommit", "GetFolder") => "looks for a misnamed pipeline file (CodeCommit GetFolder)".to_owned(),
        ("codecommit", "GetFile") => "reads .bellhop.yaml (CodeCommit GetFile)".to_owned(),
        ("dynamodb", "TransactWriteItems") => "stores the run and its builds (DynamoDB)".to_owned(),
        ("ecs", "RunTask") => {
            let (launch, _task) = entry.summary.split_once(" -> ").unwrap_or((&entry.summary, ""));
            format!("launches {launch} (ECS RunTask)")
        }
        ("codebuild", "StartBuild") => {
            let request = entry.request.as_ref()?;
            let variables = &request["environmentVariablesOverride"];
            format!(
                "launches bellhop/{}/{} in {} (CodeBuild StartBuild)",
                variable(variables, "BELLHOP_BUILD")?,
                variable(variables, "BELLHOP_ATTEMPT")?,
                request["projectName"].as_str()?
            )
        }
        ("codebuild", "StopBuild") => "stops a build (CodeBuild StopBuild)".to_owned(),
        ("codepipeline", operation) => {
            let request = entry.request.as_ref()?;
            let job = short(&request["jobId"])?;
            let details = match &request["continuationToken"] {
                Value::Null => request["executionDetails"]["summary"]
                    .as_str()
                    .or(request["failureDetails"]["message"].as_str())?,
                _ => "to be continued",
            };
            format!("reports on job {job}: {details} (CodePipeline {operation})")
        }
        ("ecs", "ListContainerInstances") => format!(
            "looks up the instance in {} (ECS ListContainerInstances)",
            entry.request.as_ref()?["cluster"].as_str()?
        ),
        ("ecs", "UpdateContainerInstancesState") => "drains the instance (ECS UpdateContainerInstancesState)".to_owned(),
        ("ecs", "ListTasks") if entry.request.as_ref()?["containerInstance"].is_string() => {
            "lists the tasks on it (ECS ListTasks)".to_owned()
        }
        ("ecs", "UpdateService") => "restarts the service (ECS UpdateService)".to_owned(),
        ("ecs", "StopTask") => "stops a task (ECS StopTask)".to_owned(),
        ("backup", operation @ ("StartBackupJob" | "StartCopyJob" | "StartRestoreJob")) => {
            let request = entry.request.as_ref()?;
            let what = match operation {
                "StartBackupJob" => format!("starts a backup of {}", name_of(&request["ResourceArn"])?),
                "StartCopyJob" => format!("starts its copy to {}", request["DestinationBackupVaultArn"].as_str()?),
                _ => format!("starts a restore to {}", request["Metadata"]["targetTableName"].as_str()?),
            };
            format!("{what} (AWS Backup {operation})")
        }
        ("backup", "ListRecoveryPointsByBackupVault") => "looks for the newest recovery point (AWS Backup)".to_owned(),
        ("cloudcontrolapi", "DeleteResource") => {
            let name = entry.request.as_ref()?["Identifier"].as_str()?.to_owned();
            format!("removes {name} (Cloud Control DeleteResource)")
        }
        ("sns", "Publish") => format!("publishes: {} (SNS Publish)", entry.summary),
        ("s3", "ListObjectsV2") => "lists the attempt's artifacts (S3 ListObjectsV2)".to_owned(),
        ("s3", "PutObject") => "writes the run's report (S3 PutObject)".to_owned(),
        _ => return None,
    };
    Some((caller, what))
}

/// A line of a function's log.
fn of_log_line(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line["fields"].as_object()?;
    let message = fields.get("message")?.as_str()?;
    if message == "agent launched" {
        // The request itself is in the story.
        return None;
    }
    let told = ["result", "seen", "status", "outcome", "cause", "error", "builds", "why"];
    let details: Vec<String> = told
        .iter()
        .filter_map(|name| {
            let value = fields.get(*name)?;
            Some(format!(
                "{name}: {}",
                value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
            ))
        })
        .collect();
    Some(if details.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", details.join(", "))
    })
}
