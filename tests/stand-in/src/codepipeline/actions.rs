//! One invoke action: its jobs, and what the function is told of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::uuid;

/// The credentials in every job's event: access key id, secret access key and session token. They open nothing, and
/// they occur nowhere else, so that a test can look for them where they must not be.
pub const ARTIFACT_CREDENTIALS: [&str; 3] = [
    "ASIASTANDINNOTAREALKEY",
    "stand-in/not+a/real+secret/access+key",
    "stand-in//not/a/real/session/token==",
];

/// An action of a pipeline that invokes a function: see
/// [the reference](https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-Lambda.html).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokeAction {
    /// The function's name.
    pub function: String,
    /// At most 1000 characters.
    #[serde(default)]
    pub user_parameters: Option<String>,
    /// The pipeline's name, which the function is not told.
    #[serde(default = "pipeline")]
    pub pipeline: String,
    /// What the action is given.
    #[serde(default)]
    pub input_artifacts: Vec<Artifact>,
    /// What the action is to make.
    #[serde(default)]
    pub output_artifacts: Vec<Artifact>,
    /// The key of the artifact bucket: an ARN.
    #[serde(default)]
    pub encryption_key: Option<String>,
}

fn pipeline() -> String {
    "pipeline".to_owned()
}

impl InvokeAction {
    /// An action without parameters and artifacts, in a pipeline named `pipeline`.
    pub fn new(function: &str) -> Self {
        Self {
            function: function.to_owned(),
            user_parameters: None,
            pipeline: pipeline(),
            input_artifacts: Vec::new(),
            output_artifacts: Vec::new(),
            encryption_key: None,
        }
    }

    /// The same action with these parameters.
    #[must_use]
    pub fn user_parameters(mut self, text: impl Into<String>) -> Self {
        self.user_parameters = Some(text.into());
        self
    }

    /// The same action with a further input artifact.
    #[must_use]
    pub fn input(mut self, artifact: Artifact) -> Self {
        self.input_artifacts.push(artifact);
        self
    }
}

/// An artifact in the pipeline's bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The artifact's name in the pipeline.
    pub name: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// The revision of the source that it was made of, such as a commit.
    #[serde(default)]
    pub revision: Option<String>,
}

impl Artifact {
    fn in_event(&self) -> Value {
        json!({
            "name": self.name,
            "revision": self.revision,
            "location": {
                "type": "S3",
                "s3Location": { "bucketName": self.bucket, "objectKey": self.key },
            },
        })
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub enum JobResult {
    /// A success without a continuation token: the action has succeeded.
    Succeeded,
    /// A success with a continuation token: another job follows.
    Continued {
        /// The token.
        token: String,
    },
    /// The function reported a failure, or it could not be invoked.
    Failed {
        /// The failure's type, such as `JobFailed`.
        kind: String,
        /// The failure's text.
        message: String,
    },
    /// There was no result in time.
    TimedOut,
    /// The pipeline does not want a result any more.
    Withdrawn,
}

/// A job of an action.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) event: Value,
    pub(super) token: Option<String>,
    created: Timestamp,
    pub(super) result: Option<JobResult>,
}

/// What an action waits for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// The newest job's result.
    Result { until: Instant },
    /// The time of its next job, which gets this token.
    NextJob { at: Instant, token: String },
    /// Nothing: it is over.
    Over,
}

/// How an action stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Succeeded,
    Failed,
    Abandoned,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Abandoned => "Abandoned",
        }
    }
}

/// What a result tells people of the action's work.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) summary: Option<String>,
    pub(super) external_execution_id: Option<String>,
    pub(super) percent_complete: Option<i64>,
}

/// An action as the stand-in knows it.
pub(super) struct Action {
    pub(super) id: String,
    account: String,
    pub(super) plan: InvokeAction,
    pub(super) jobs: Vec<Job>,
    pub(super) standing: Standing,
    pub(super) status: Status,
    result: Option<JobResult>,
    /// By when it must be over.
    pub(super) deadline: Instant,
    details: Details,
    output_variables: BTreeMap<String, String>,
    started: Timestamp,
    ended: Option<Timestamp>,
}

/// An action as tests and people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionView {
    /// The action execution's id, which the function is not told.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// The function's name.
    pub function: String,
    /// `InProgress`, `Succeeded`, `Failed` or `Abandoned`.
    pub status: String,
    /// How it ended, also where that was between two jobs; None while it is in progress.
    pub result: Option<JobResult>,
    /// The jobs, in the order in which the function was invoked for them.
    pub jobs: Vec<JobView>,
    /// The output variables of the last result.
    pub output_variables: BTreeMap<String, String>,
    /// The newest `executionDetails.summary`.
    pub summary: Option<String>,
    /// The newest external execution id.
    pub external_execution_id: Option<String>,
    /// The newest `executionDetails.percentComplete`.
    pub percent_complete: Option<i64>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl ActionView {
    /// The ids of the jobs, in their order.
    pub fn job_ids(&self) -> Vec<&str> {
        self.jobs.iter().map(|job| job.id.as_str()).collect()
    }
}

/// A job as tests and people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The job's id.
    pub id: String,
    /// The continuation token that it came with.
    pub continuation_token: Option<String>,
    /// When the function was invoked for it.
    pub created_at: Timestamp,
    /// How it ended; None while it is open.
    pub result: Option<JobResult>,
}

impl Action {
    /// An action without a job.
    pub(super) fn new(plan: InvokeAction, account: &str, limit: Duration) -> Self {
        Self {
            id: uuid(),
            account: account.to_owned(),
            plan,
            jobs: Vec::new(),
            standing: Standing::Over,
            status: Status::InProgress,
            result: None,
            deadline: Instant::now() + limit,
            details: Details::default(),
            output_variables: BTreeMap::new(),
            started: Timestamp::now(),
            ended: None,
        }
    }

    /// Opens the next job, and returns its event.
    pub(super) fn open(&mut self, token: Option<String>, timeout: Duration) -> Value {
        let id = uuid();
        let event = self.event(&id, token.as_deref());
        self.jobs.push(Job {
            id,
            event: event.clone(),
            token,
            created: Timestamp::now(),
            result: None,
        });
        self.standing = Standing::Result {
            until: Instant::now() + timeout,
        };
        event
    }

    /// Ends the open job, if there is one.
    fn settle(&mut self, result: JobResult) {
        if let Some(job) = self.jobs.last_mut()
            && job.result.is_none()
        {
            job.result = Some(result);
        }
    }

    /// Ends the open job with a token for the next one.
    pub(super) fn go_on(&mut self, token: String, after: Duration) {
        self.settle(JobResult::Continued { token: token.clone() });
        self.standing = Standing::NextJob {
            at: Instant::now() + after,
            token,
        };
    }

    /// Ends the action, and its open job where it has one.
    pub(super) fn end(&mut self, status: Status, result: JobResult) {
        self.settle(result.clone());
        self.result = Some(result);
        self.standing = Standing::Over;
        self.status = status;
        self.ended = Some(Timestamp::now());
    }

    /// Enters what a result tells; what it does not tell stays.
    pub(super) fn note(&mut self, details: Details, output_variables: BTreeMap<String, String>) {
        let old = std::mem::take(&mut self.details);
        self.details = Details {
            summary: details.summary.or(old.summary),
            external_execution_id: details.external_execution_id.or(old.external_execution_id),
            percent_complete: details.percent_complete.or(old.percent_complete),
        };
        self.output_variables = output_variables;
    }

    pub(super) fn is_over(&self) -> bool {
        self.result.is_some()
    }

    /// Whether this is the job whose result is waited for.
    pub(super) fn waits_for(&self, job: &str) -> bool {
        self.jobs.last().is_some_and(|last| last.id == job && last.result.is_none())
    }

    /// The event with which the function is invoked.
    fn event(&self, job: &str, token: Option<&str>) -> Value {
        let plan = &self.plan;
        let mut configuration = json!({ "FunctionName": plan.function });
        if let Some(parameters) = &plan.user_parameters {
            configuration["UserParameters"] = parameters.as_str().into();
        }
        let artifacts = |artifacts: &[Artifact]| artifacts.iter().map(Artifact::in_event).collect::<Vec<_>>();
        let [key, secret, session] = ARTIFACT_CREDENTIALS;
        let mut data = json!({
            "actionConfiguration": { "configuration": configuration },
            "inputArtifacts": artifacts(&plan.input_artifacts),
            "outputArtifacts": artifacts(&plan.output_artifacts),
            "artifactCredentials": {
                "accessKeyId": key,
                "secretAccessKey": secret,
                "sessionToken": session,
            },
        });
        if let Some(token) = token {
            data["continuationToken"] = token.into();
        }
        if let Some(key) = &plan.encryption_key {
            data["encryptionKey"] = json!({ "id": key, "type": "KMS" });
        }
        json!({ "CodePipeline.job": { "id": job, "accountId": self.account, "data": data } })
    }

    pub(super) fn view(&self) -> ActionView {
        let jobs = self.jobs.iter().map(|job| JobView {
            id: job.id.clone(),
            continuation_token: job.token.clone(),
            created_at: job.created,
            result: job.result.clone(),
        });
        ActionView {
            id: self.id.clone(),
            pipeline: self.plan.pipeline.clone(),
            function: self.plan.function.clone(),
            status: self.status.name().to_owned(),
            result: self.result.clone(),
            jobs: jobs.collect(),
            output_variables: self.output_variables.clone(),
            summary: self.details.summary.clone(),
            external_execution_id: self.details.external_execution_id.clone(),
            percent_complete: self.details.percent_complete,
            started_at: self.started,
            ended_at: self.ended,
        }
    }
}
