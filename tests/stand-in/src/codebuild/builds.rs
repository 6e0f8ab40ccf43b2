//! One build: its phases, and how CodeBuild's answers and events tell of it.

use std::collections::BTreeMap;

use bellhop_model::codebuild::{self, BuildPhase, Outcome};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Value, json};

use super::projects::{ProjectArtifacts, ProjectEnvironment, ProjectSource};
use crate::support::{epoch, uuid};

/// Why a phase did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) code: String,
    pub(super) message: String,
}

impl Context {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// A command that ended with another exit code than 0.
    pub(super) fn of_command(command: &str, exit_code: i32) -> Self {
        let (code, message) = codebuild::failed_command(command, exit_code);
        Self::new(code, message)
    }

    fn text(&self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

/// What a phase was or is.
struct Stage {
    phase: BuildPhase,
    outcome: Option<Outcome>,
    context: Option<Context>,
    started: Timestamp,
    ended: Option<Timestamp>,
}

impl Stage {
    fn new(phase: BuildPhase, started: Timestamp) -> Self {
        Self {
            phase,
            outcome: None,
            context: None,
            started,
            ended: None,
        }
    }

    fn seconds(&self, until: Timestamp) -> i64 {
        until.as_second() - self.started.as_second()
    }

    /// The contexts in an event: none while the phase lasts and before there is a container, else one without a text
    /// where nothing went wrong.
    fn event_contexts(&self) -> Vec<String> {
        match &self.context {
            Some(context) => vec![context.text()],
            None if self.phase <= BuildPhase::Queued || self.ended.is_none() => Vec::new(),
            None => vec![": ".to_owned()],
        }
    }

    /// The same in an answer.
    fn answer_contexts(&self) -> Value {
        match &self.context {
            Some(context) => json!([{ "statusCode": context.code, "message": context.message }]),
            None if self.phase <= BuildPhase::Queued => json!([]),
            None => json!([{ "statusCode": "", "message": "" }]),
        }
    }

    fn in_event(&self) -> Value {
        let mut stage = json!({ "phase-type": self.phase.name(), "start-time": written(self.started) });
        if let (Some(outcome), Some(ended)) = (self.outcome, self.ended) {
            stage["phase-context"] = json!(self.event_contexts());
            stage["end-time"] = written(ended).into();
            // The real events carry all numbers with a decimal point.
            stage["duration-in-seconds"] = (self.seconds(ended) as f64).into();
            stage["phase-status"] = outcome.name().into();
        }
        stage
    }

    fn in_answer(&self) -> Value {
        let mut stage = json!({ "phaseType": self.phase.name(), "startTime": epoch(self.started) });
        if let (Some(outcome), Some(ended)) = (self.outcome, self.ended) {
            stage["phaseStatus"] = outcome.name_in_answers().into();
            stage["endTime"] = epoch(ended).into();
            stage["durationInSeconds"] = self.seconds(ended).into();
            stage["contexts"] = self.answer_contexts();
        }
        stage
    }
}

/// What StartBuild and the project say about a new build.
pub(super) struct Plan {
    pub(super) region: String,
    pub(super) account: String,
    pub(super) project: String,
    pub(super) number: u64,
    pub(super) source: ProjectSource,
    pub(super) source_version: Option<String>,
    pub(super) artifacts: ProjectArtifacts,
    /// With the request's variables over the project's.
    pub(super) environment: ProjectEnvironment,
    /// The request's own variables, by name.
    pub(super) variables_override: BTreeMap<String, String>,
    pub(super) timeout: u32,
    pub(super) queued_timeout: u32,
    pub(super) initiator: String,
}

/// A build as the stand-in knows it.
pub(super) struct Build {
    pub(super) id: String,
    pub(super) uuid: String,
    pub(super) arn: String,
    pub(super) plan: Plan,
    pub(super) resolved_version: Option<String>,
    /// The variables that the buildspec exports, with the values that they have had last.
    pub(super) exported: Vec<(String, String)>,
    /// Whether a phase has failed.
    pub(super) failing: bool,
    pub(super) outcome: Option<Outcome>,
    stages: Vec<Stage>,
    pub(super) started: Timestamp,
    ended: Option<Timestamp>,
}

/// A build as tests and people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildView {
    /// `PROJECT:UUID`.
    pub id: String,
    /// The build's ARN.
    pub arn: String,
    /// The project's name.
    pub project: String,
    /// The place among the project's builds, counted from 1.
    pub number: u64,
    /// `IN_PROGRESS`, `SUCCEEDED`, `FAILED`, `FAULT`, `STOPPED` or `TIMED_OUT`.
    pub status: String,
    /// The phase it is in.
    pub phase: BuildPhase,
    /// The phases so far.
    pub phases: Vec<PhaseView>,
    /// The source type, such as `CODECOMMIT`.
    pub source_type: String,
    /// The source's location.
    pub source_location: Option<String>,
    /// The branch, tag or commit that was asked for.
    pub source_version: Option<String>,
    /// The commit that is built, once it is known.
    pub resolved_source_version: Option<String>,
    /// The buildspec: YAML, or a path in the source.
    pub buildspec: Option<String>,
    /// All variables of project and request, by name.
    pub environment: BTreeMap<String, String>,
    /// The variables of the request alone.
    pub environment_override: BTreeMap<String, String>,
    /// Where the artifacts go, as an ARN.
    pub artifacts: Option<String>,
    /// When StartBuild created it.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A phase as tests and people see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseView {
    /// Which one.
    pub phase: BuildPhase,
    /// How it ended, as events tell it: `SUCCEEDED`, `FAILED`, `CLIENT_ERROR`, `FAULT`, `STOPPED` or `TIMED_OUT`; None
    /// for the phase that the build is in.
    pub status: Option<String>,
    /// Why it did not succeed: code, colon, text.
    pub context: Option<String>,
}

impl Build {
    /// A build in its first phase.
    pub(super) fn new(plan: Plan) -> Self {
        let now = Timestamp::now();
        let uuid = uuid();
        let id = format!("{}:{uuid}", plan.project);
        Self {
            arn: format!("arn:aws:codebuild:{}:{}:build/{id}", plan.region, plan.account),
            id,
            uuid,
            plan,
            resolved_version: None,
            exported: Vec::new(),
            failing: false,
            outcome: None,
            stages: vec![Stage::new(BuildPhase::Submitted, now)],
            started: now,
            ended: None,
        }
    }

    pub(super) fn phase(&self) -> BuildPhase {
        self.stages.last().map_or(BuildPhase::Submitted, |stage| stage.phase)
    }

    pub(super) fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    /// Ends the phase that the build is in and begins another one.
    pub(super) fn step(&mut self, outcome: Outcome, context: Option<Context>, next: BuildPhase) {
        let now = Timestamp::now();
        if let Some(stage) = self.stages.last_mut() {
            stage.outcome = Some(outcome);
            stage.context = context;
            stage.ended = Some(now);
        }
        self.stages.push(Stage::new(next, now));
    }

    /// Ends the build.
    pub(super) fn close(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        self.ended = Some(Timestamp::now());
    }

    pub(super) fn status(&self) -> &'static str {
        self.outcome.map_or(codebuild::IN_PROGRESS, Outcome::name)
    }

    /// The variables of project and request.
    pub(super) fn variables(&self) -> BTreeMap<String, String> {
        let variables = &self.plan.environment.environment_variables;
        variables
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect()
    }

    pub(super) fn view(&self) -> BuildView {
        let plan = &self.plan;
        let phases = self.stages.iter().map(|stage| PhaseView {
            phase: stage.phase,
            status: stage.outcome.map(|outcome| outcome.name().to_owned()),
            context: stage.context.as_ref().map(Context::text),
        });
        BuildView {
            id: self.id.clone(),
            arn: self.arn.clone(),
            project: plan.project.clone(),
            number: plan.number,
            status: self.status().to_owned(),
            phase: self.phase(),
            phases: phases.collect(),
            source_type: plan.source.kind.clone(),
            source_location: plan.source.location.clone(),
            source_version: plan.source_version.clone(),
            resolved_source_version: self.resolved_version.clone(),
            buildspec: plan.source.buildspec.clone(),
            environment: self.variables(),
            environment_override: plan.variables_override.clone(),
            artifacts: plan.artifacts.arn(&plan.project, &self.uuid),
            started_at: self.started,
            ended_at: self.ended,
        }
    }

    /// The `detail` of the state change event.
    pub(super) fn state_detail(&self) -> Value {
        let context = if self.is_over() { "[: ]" } else { "[]" };
        json!({
            "build-status": self.status(),
            "project-name": self.plan.project,
            "build-id": self.arn,
            "additional-information": self.information(self.is_over()),
            "current-phase": self.phase().name(),
            "current-phase-context": context,
            "version": "1",
        })
    }

    /// The `detail` of the event about the newest phase that has ended; None before there is one.
    pub(super) fn phase_detail(&self) -> Option<Value> {
        let stage = self.stages.iter().rev().find(|stage| stage.ended.is_some())?;
        let (outcome, ended) = (stage.outcome?, stage.ended?);
        Some(json!({
            "completed-phase": stage.phase.name(),
            "completed-phase-status": outcome.name(),
            "completed-phase-context": format!("[{}]", stage.event_contexts().join(", ")),
            "completed-phase-duration-seconds": stage.seconds(ended) as f64,
            "completed-phase-start": written(stage.started),
            "completed-phase-end": written(ended),
            "project-name": self.plan.project,
            "build-id": self.arn,
            "additional-information": self.information(true),
            "version": "1",
        }))
    }

    /// What events add. The first event, which comes before there is a log, knows neither phases nor number.
    fn information(&self, with_phases: bool) -> Value {
        let plan = &self.plan;
        let artifacts = plan.artifacts.arn(&plan.project, &self.uuid);
        let mut source = json!({ "type": plan.source.kind });
        let optional = [("location", &plan.source.location), ("buildspec", &plan.source.buildspec)];
        for (name, value) in optional {
            if let Some(value) = value {
                source[name] = value.as_str().into();
            }
        }
        let mut information = json!({
            "cache": { "type": "NO_CACHE" },
            "timeout-in-minutes": f64::from(plan.timeout),
            "queued-timeout-in-minutes": f64::from(plan.queued_timeout),
            "build-complete": self.is_over(),
            "initiator": plan.initiator,
            "build-start-time": written(self.started),
            "source": source,
            "artifact": { "location": artifacts.unwrap_or_default() },
            "environment": {
                "image": plan.environment.image,
                "privileged-mode": plan.environment.privileged_mode,
                "image-pull-credentials-type": "CODEBUILD",
                "compute-type": plan.environment.compute_type,
                "type": plan.environment.kind,
                "environment-variables": plan.environment.environment_variables,
            },
            "logs": { "deep-link": self.log_link() },
        });
        if let Some(version) = &plan.source_version {
            information["source-version"] = version.as_str().into();
        }
        if !self.exported.is_empty() {
            information["exported-environment-variables"] = self.exported_variables();
        }
        if self.has_log() {
            information["logs"]["group-name"] = self.log_group().into();
            information["logs"]["stream-name"] = self.uuid.as_str().into();
        }
        if with_phases {
            information["build-number"] = (plan.number as f64).into();
            let phases: Vec<_> = self.stages.iter().map(Stage::in_event).collect();
            information["phases"] = phases.into();
        }
        information
    }

    /// The build in answers.
    pub(super) fn description(&self) -> Value {
        let plan = &self.plan;
        let phases: Vec<_> = self.stages.iter().map(Stage::in_answer).collect();
        let artifacts = plan.artifacts.arn(&plan.project, &self.uuid);
        let mut logs = json!({
            "deepLink": self.log_link(),
            "cloudWatchLogs": { "status": "ENABLED" },
            "s3Logs": { "status": "DISABLED", "encryptionDisabled": false },
        });
        if self.has_log() {
            logs["groupName"] = self.log_group().into();
            logs["streamName"] = self.uuid.as_str().into();
        }
        let mut build = json!({
            "id": self.id,
            "arn": self.arn,
            "buildNumber": plan.number,
            "startTime": epoch(self.started),
            "currentPhase": self.phase().name(),
            "buildStatus": self.status(),
            "projectName": plan.project,
            "phases": phases,
            "source": plan.source,
            "artifacts": { "location": artifacts.unwrap_or_default() },
            "cache": { "type": "NO_CACHE" },
            "environment": plan.environment,
            "serviceRole": service_role(&plan.account, &plan.project),
            "logs": logs,
            "timeoutInMinutes": plan.timeout,
            "queuedTimeoutInMinutes": plan.queued_timeout,
            "buildComplete": self.is_over(),
            "initiator": plan.initiator,
            "encryptionKey": self.encryption_key(),
        });
        let exported = (!self.exported.is_empty()).then(|| self.exported_variables());
        let optional = [
            ("exportedEnvironmentVariables", exported),
            ("sourceVersion", plan.source_version.clone().map(Value::from)),
            ("resolvedSourceVersion", self.resolved_version.clone().map(Value::from)),
            ("endTime", self.ended.map(|ended| epoch(ended).into())),
        ];
        for (name, member) in optional {
            if let Some(member) = member {
                build[name] = member;
            }
        }
        build
    }

    fn exported_variables(&self) -> Value {
        let variables = self.exported.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        variables.collect()
    }

    pub(super) fn encryption_key(&self) -> String {
        format!("arn:aws:kms:{}:{}:alias/aws/s3", self.plan.region, self.plan.account)
    }

    /// Whether there is a log stream: from the moment at which there is a container.
    fn has_log(&self) -> bool {
        let provisioned = |stage: &Stage| stage.phase == BuildPhase::Provisioning && stage.outcome == Some(Outcome::Succeeded);
        self.stages.iter().any(provisioned)
    }

    fn log_group(&self) -> String {
        format!("/aws/codebuild/{}", self.plan.project)
    }

    fn log_link(&self) -> String {
        let (group, stream) = if self.has_log() {
            (self.log_group(), self.uuid.as_str())
        } else {
            ("null".to_owned(), "null")
        };
        let region = &self.plan.region;
        format!("https://console.aws.amazon.com/cloudwatch/home?region={region}#logEvent:group={group};stream={stream}")
    }
}

/// A time as the events have it: English, UTC, twelve hours, without a zone.
fn written(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%b %-d, %Y %-I:%M:%S %p").to_string()
}

/// The role of a project's builds.
pub(super) fn service_role(account: &str, project: &str) -> String {
    format!("arn:aws:iam::{account}:role/service-role/codebuild-{project}")
}
