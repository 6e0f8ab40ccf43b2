//! A task as ECS shows it, and as only this stand-in knows it: how its script ends, and whether its end is to be seen. Its words are those of ECS and, of a build,
//! those of CodeBuild.

use bellhop_domain::executor::observation::Observation;
use bellhop_domain::executor::{Capacity, Placement};
use bellhop_domain::executor::{Executor, codebuild as on_codebuild, ecs as on_ecs, step_functions as on_step_functions};
use bellhop_domain::ids::{AgentId, AttemptId};
use bellhop_events::codebuild::{BuildFacts, PhaseContext, PhaseFacts};
use bellhop_events::step_functions::ExecutionFacts;
use bellhop_events::task::{ContainerFacts, TaskFacts};
use bellhop_model::codebuild::{self, BuildPhase, Outcome};
use bellhop_model::ecs::{Life, Status};
use bellhop_model::step_functions::Status as ExecutionStatus;

use super::executions::MACHINE;
use crate::world::{Millis, timestamp};

/// The account of everything that is the suite's.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The stop code of a task whose host was lost.
pub(super) const HOST_LOST: &str = "InfrastructureHealth";
/// Of a build that took too long, in the place of a stop code.
pub(super) const TIMED_OUT: &str = "TimedOut";

/// A step in a task's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Pending,
    Activating,
    Up,
    /// It never comes up.
    Fails(Failure),
    CheckedOut,
    /// The script ends by itself.
    ScriptEnds,
    /// The agent's program passes SIGTERM on.
    TermPassedOn,
    /// The script answers SIGTERM.
    ScriptAnswers(i32),
    /// The container ends, after the report is written.
    ContainerEnds(i32),
    /// SIGKILL.
    Killed,
    /// An essential container beside the agent's ends.
    SidecarEnds,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
    Reclaimed,
    StoppedByOutsider,
    HostLost,
    /// ECS hears no more of it.
    Disconnected,
    /// CodeBuild ends a build that takes too long.
    TimesOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    NoCapacity,
    /// For want of something that comes back.
    NotNow,
    NoImage,
    /// It waited in CodeBuild's queue for too long.
    LeftQueue,
}

/// The service that a task is one of. Only ECS has versions, SIGTERM and reports in the bucket; the others tell by their API how a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Ecs,
    CodeBuild,
    StepFunctions,
}

impl Of {
    pub(crate) fn executor(executor: &Executor) -> Self {
        match executor {
            Executor::Ecs(_) => Self::Ecs,
            Executor::CodeBuild(_) => Self::CodeBuild,
            Executor::StepFunctions(_) => Self::StepFunctions,
        }
    }

    /// The name of its executor.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ecs => on_ecs::NAME,
            Self::CodeBuild => on_codebuild::NAME,
            Self::StepFunctions => on_step_functions::NAME,
        }
    }
}

/// How a task's script ended in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It has not ended, or never ran.
    Open,
    /// By itself, with exit code 0.
    Succeeded,
    /// By itself, with another exit code, or for want of memory.
    Failed,
    /// The commit could not be checked out.
    NotCheckedOut,
    /// By a signal: its end proves nothing.
    Signalled,
}

/// How a script ends if nobody stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Exits(i32),
    /// The container is killed for want of memory, and with it the agent's program.
    OutOfMemory,
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) agent: AgentId,
    pub(crate) attempt: AttemptId,
    pub(crate) capacity: Capacity,
    /// The service that it runs on.
    pub(crate) of: Of,
    /// The family of its task definition; none on other services.
    pub(super) family: Option<String>,
    /// The instance that it runs on; none on Fargate.
    pub(crate) host: Option<usize>,
    /// After how long CodeBuild ends it.
    pub(super) longest: Option<Millis>,
    pub(crate) failure: Option<Failure>,
    pub(super) container: String,
    /// Its life as far as ECS shows it, with when its containers began to run.
    pub(super) life: Life<Millis>,
    pub(crate) exit_code: Option<i32>,
    pub(super) container_reason: Option<&'static str>,
    /// It has a second container.
    pub(super) sidecar: bool,
    /// The second container ended first, and took the agent's with it.
    pub(crate) sidecar_ended_first: bool,
    /// Its end, as far as its containers are concerned. A task that is to stop before it is up has ended at once.
    pub(crate) ended: Option<Millis>,
    /// Its Spot capacity was taken back.
    pub(crate) reclaimed: Option<Millis>,
    /// Somebody outside stopped it, or its host was lost, or it did not come up.
    pub(crate) disturbed: bool,
    pub(crate) told_to_stop: bool,
    /// Its instance has no connection any more: ECS knows what it is told to do, and not what it does.
    pub(crate) deaf: bool,
    pub(crate) truth: Truth,
    /// The agent's own report is in the bucket.
    pub(crate) reported: bool,
    pub(super) ending: Ending,
    pub(super) takes: Millis,
    pub(super) checkout_fails: bool,
    pub(super) script_began: bool,
    pub(super) script_over: bool,
    pub(super) signalled: bool,
    /// Its image has the agent's program.
    pub(super) entry_point: bool,
    pub(super) upload_fails: bool,
    /// What the script makes of SIGTERM: an exit code soon, or nothing.
    pub(super) on_term: Option<i32>,
    /// Since when it lives without being the agent of a live attempt of an open build.
    pub(crate) unwanted_since: Option<Millis>,
    /// Since when its build's record names it.
    pub(crate) known_since: Option<Millis>,
    pub(super) visible_at: Millis,
    /// What it was, and since when, as far back as an answer may be behind.
    pub(super) past: Vec<(Millis, Observation)>,
}

impl Task {
    /// The name of its folder in the bucket.
    pub(crate) fn folder(&self) -> String {
        match self.of {
            Of::Ecs => format!("AROASIMULATION:{}", self.agent.last()),
            _ => self.agent.last().to_owned(),
        }
    }

    /// Its containers run, or are about to.
    pub(crate) fn lives(&self) -> bool {
        self.ended.is_none()
    }

    /// Nobody and nothing has told it to stop.
    pub(crate) fn goes_on(&self) -> bool {
        self.lives() && !self.is_stopping()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.life.is_stopping()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.life.status == Status::Stopped
    }

    pub(crate) fn up_since(&self) -> Option<Millis> {
        self.life.started_at
    }

    /// Lists of tasks show it already.
    pub(crate) fn is_visible(&self, now: Millis) -> bool {
        self.visible_at <= now
    }

    pub(crate) fn never_ran(&self) -> bool {
        self.life.started_at.is_none()
    }

    /// Where it runs, as its events say it.
    pub(crate) fn placement(&self) -> Placement {
        let place = match self.of {
            Of::Ecs => format!("arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/{}", cluster(&self.agent)),
            Of::CodeBuild => project(&self.agent).to_owned(),
            Of::StepFunctions => MACHINE.to_owned(),
        };
        let definition = |family: &String| format!("arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/{family}:3");
        Placement {
            account: Some(ACCOUNT.to_owned()),
            place: Some(place),
            definition: self.family.as_ref().map(definition),
        }
    }

    fn facts(&self) -> TaskFacts {
        let ends_known = self.ended.is_some() && self.life.status != Status::Running && !self.deaf;
        let mut containers = vec![ContainerFacts {
            name: self.container.clone(),
            last_status: Some(if ends_known { "STOPPED" } else { "RUNNING" }.to_owned()),
            exit_code: self.exit_code.filter(|_| ends_known),
            reason: self.container_reason.filter(|_| ends_known).map(str::to_owned),
        }];
        if self.sidecar {
            containers.push(ContainerFacts {
                name: "log-router".to_owned(),
                last_status: Some(if ends_known { "STOPPED" } else { "RUNNING" }.to_owned()),
                exit_code: ends_known.then_some(if self.life.started_at.is_some() { 1 } else { 0 }),
                reason: None,
            });
        }
        TaskFacts {
            arn: self.agent.to_string(),
            version: Some(self.life.version),
            last_status: self.life.status.name().to_owned(),
            desired_status: Some(self.life.desired_status().to_owned()),
            stop_code: self.life.stop_code().map(str::to_owned),
            stopped_reason: self.life.stopped_reason().map(str::to_owned),
            capacity_provider: None,
            launch_type: None,
            launched_on: Some(self.capacity),
            started_at: self.life.started_at.map(timestamp),
            execution_stopped_at: self.ended.filter(|_| ends_known).map(timestamp),
            stopping_at: self.life.stopping_at.map(timestamp),
            stopped_at: self.life.stopped_at.map(timestamp),
            containers,
        }
    }

    /// What was to be seen of it at a moment that is not long past, or first.
    pub(crate) fn as_of(&self, then: Millis) -> Observation {
        let seen = self.past.iter().rev().find(|(since, _)| *since <= then).or(self.past.first());
        seen.map_or_else(|| self.observation(), |(_, observation)| observation.clone())
    }

    /// A build of CodeBuild, in its words.
    fn build_facts(&self) -> BuildFacts {
        let phase = |kind: BuildPhase, outcome: Outcome, ended_at: Option<Millis>, message: &str| PhaseFacts {
            kind: kind.name().to_owned(),
            status: Some(outcome.name().to_owned()),
            ended_at: ended_at.map(timestamp),
            contexts: vec![PhaseContext::read(message)],
        };
        let mut phases = Vec::new();
        if self.life.started_at.is_some() {
            phases.push(phase(BuildPhase::Provisioning, Outcome::Succeeded, self.life.started_at, ": "));
        }
        let (code, message) = codebuild::failed_command("make", self.exit_code.unwrap_or(1));
        let trouble = |kind, outcome, message: &str| (outcome, Some(phase(kind, outcome, self.ended, message)));
        let (outcome, trouble) = match (self.truth, self.life.stop_code(), self.failure) {
            (Truth::Succeeded, ..) => (Outcome::Succeeded, None),
            (Truth::Failed, ..) => trouble(BuildPhase::Build, Outcome::Failed, &format!("{code}: {message}")),
            (Truth::NotCheckedOut, ..) => trouble(BuildPhase::DownloadSource, Outcome::Failed, "CLIENT_ERROR: reference not found"),
            (_, _, Some(Failure::LeftQueue)) => trouble(BuildPhase::Queued, Outcome::TimedOut, "BUILD_TIMED_OUT: "),
            (_, _, Some(_)) => trouble(BuildPhase::Provisioning, Outcome::Failed, "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: "),
            (_, Some(HOST_LOST), _) => (Outcome::Fault, None),
            (_, Some(TIMED_OUT), _) => trouble(BuildPhase::Build, Outcome::TimedOut, "BUILD_TIMED_OUT: "),
            _ => (Outcome::Stopped, None),
        };
        let status = if self.is_gone() { outcome.name() } else { codebuild::IN_PROGRESS };
        let trouble = trouble.filter(|_| self.is_gone());
        phases.extend(trouble);
        BuildFacts {
            arn: self.agent.to_string(),
            status: status.to_owned(),
            current_phase: None,
            ended_at: self.life.stopped_at.map(timestamp),
            phases,
            failed: None,
        }
    }

    /// An execution of Step Functions, in its words.
    fn execution_facts(&self) -> ExecutionFacts {
        let status = match self.truth {
            _ if !self.is_gone() => ExecutionStatus::Running,
            Truth::Succeeded => ExecutionStatus::Succeeded,
            Truth::Failed => ExecutionStatus::Failed,
            _ if self.timed_out() => ExecutionStatus::TimedOut,
            Truth::Open | Truth::NotCheckedOut | Truth::Signalled => ExecutionStatus::Aborted,
        };
        let text = |text: &str| (status == ExecutionStatus::Failed).then(|| text.to_owned());
        ExecutionFacts {
            arn: self.agent.to_string(),
            status: status.name().to_owned(),
            started_at: self.life.started_at.map(timestamp),
            stopped_at: self.life.stopped_at.map(timestamp),
            error: text("Failed"),
            cause: text("the worker's script failed"),
        }
    }

    /// Whether its service ended it at a time limit.
    pub(crate) fn timed_out(&self) -> bool {
        self.life.stop_code() == Some(TIMED_OUT)
    }

    /// When everything about its end could be known.
    pub(crate) fn known_end(&self) -> Option<Millis> {
        // Without an exit code, an end shows only when the task is gone. The other services report nothing before.
        if self.exit_code.is_some() && self.of == Of::Ecs {
            self.ended
        } else {
            self.life.stopped_at
        }
    }

    pub(crate) fn observation(&self) -> Observation {
        match self.of {
            Of::Ecs => self.facts().observation().expect("the stand-in knows ECS's words"),
            Of::CodeBuild => self.build_facts().observation().expect("the stand-in knows CodeBuild's words"),
            Of::StepFunctions => self
                .execution_facts()
                .observation()
                .expect("the stand-in knows Step Functions' words"),
        }
    }
}

/// The last digits of a task's name.
pub(crate) fn short(agent: &AgentId) -> &str {
    let text = agent.as_str();
    text.get(text.len().saturating_sub(4)..).unwrap_or(text)
}

/// The project that a build's ARN names.
fn project(agent: &AgentId) -> &str {
    let build = agent.as_str().rsplit('/').next().unwrap_or_default();
    build.split(':').next().unwrap_or_default()
}

/// The cluster that a task's ARN names.
pub(crate) fn cluster(agent: &AgentId) -> &str {
    agent.as_str().rsplit('/').nth(1).unwrap_or_default()
}
