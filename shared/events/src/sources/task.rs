//! Evaluates an ECS task from its relevant facts. The facts come from an event or from the ECS API; only this module draws conclusions from them.
//!
//! See [task life cycle](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html), [stop codes and
//! reasons](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html) and [Fargate Spot termination
//! notices](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html#fargate-capacity-providers-termination).

use bellhop_domain::executor::Capacity;
use bellhop_domain::executor::observation::{AgentStatus, ContainerEnd, Observation, Stop, StopCause};
use bellhop_domain::ids::{AttemptId, InvalidId};
use jiff::Timestamp;

use crate::aws_errors::Class;

/// The variable with an agent's build id.
const BUILD: &str = "BELLHOP_BUILD";
/// The variable with an agent's attempt number.
const ATTEMPT: &str = "BELLHOP_ATTEMPT";
/// The variable with an agent's capacity.
pub(crate) const CAPACITY: &str = "BELLHOP_CAPACITY";

/// The stop codes of a task whose Spot capacity AWS reclaims: the documented one, and the one documented before.
const INTERRUPTION_CODES: [&str; 2] = ["SpotInterruption", "TerminationNotice"];
/// The beginnings of the reason of such a task, or of one whose instance was interrupted. Some warnings have no stop code, so the reason must be
/// enough.
const INTERRUPTION_REASONS: [&str; 3] = [
    "Your Spot Task was interrupted",
    "Host EC2 (instance ",
    // ECS Managed Instances stop tasks when they drain
    // (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-patching.html>).
    "Task stopped during instance draining",
];
/// The beginning of the reason if an essential container ended by itself.
const EXITED_REASON: &str = "Essential container in task exited";

/// A task from ECS, with field names as in its API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFacts {
    /// `taskArn`
    pub arn: String,
    /// `version`
    pub version: Option<u64>,
    /// `lastStatus`
    pub last_status: String,
    /// `desiredStatus`
    pub desired_status: Option<String>,
    /// `stopCode`
    pub stop_code: Option<String>,
    /// `stoppedReason`
    pub stopped_reason: Option<String>,
    /// `capacityProviderName`
    pub capacity_provider: Option<String>,
    /// `launchType`
    pub launch_type: Option<String>,
    /// The capacity in the task's overrides, see [`capacity_from_environment`].
    pub launched_on: Option<Capacity>,
    /// `startedAt`
    pub started_at: Option<Timestamp>,
    /// `executionStoppedAt`
    pub execution_stopped_at: Option<Timestamp>,
    /// `stoppingAt`
    pub stopping_at: Option<Timestamp>,
    /// `stoppedAt`
    pub stopped_at: Option<Timestamp>,
    /// `containers`
    pub containers: Vec<ContainerFacts>,
}

/// A container of a task from ECS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// `name`
    pub name: String,
    /// `lastStatus`
    pub last_status: Option<String>,
    /// `exitCode`
    pub exit_code: Option<i32>,
    /// `reason`
    pub reason: Option<String>,
}

/// Why a task cannot be evaluated. Its text names the field and the error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// The task's ARN is invalid.
    #[error("taskArn: {0}")]
    Arn(InvalidId),
    /// ECS does not document its status.
    #[error("lastStatus: {0:?} is not a task status: expected one of PROVISIONING to DELETED")]
    Status(String),
}

impl TaskFacts {
    /// The task's current state.
    ///
    /// # Errors
    /// If the ARN or the last status is invalid.
    pub fn observation(&self) -> Result<Observation, TaskError> {
        Ok(Observation {
            agent: self.arn.parse().map_err(TaskError::Arn)?,
            version: self.version,
            capacity: self.capacity(),
            status: self.status()?,
        })
    }

    fn status(&self) -> Result<AgentStatus, TaskError> {
        Ok(match self.last_status.as_str() {
            "PROVISIONING" | "PENDING" | "ACTIVATING" if self.told_to_stop() => AgentStatus::Stopping,
            "PROVISIONING" | "PENDING" | "ACTIVATING" => AgentStatus::Starting,
            "RUNNING" if !self.told_to_stop() => AgentStatus::Running { since: self.started_at },
            // RUNNING carries the warning; the two later states repeat it in case it was lost.
            "RUNNING" | "DEACTIVATING" | "STOPPING" if self.interrupted() => AgentStatus::Interrupted,
            "RUNNING" | "DEACTIVATING" | "STOPPING" => AgentStatus::Stopping,
            "DEPROVISIONING" if !self.every_end_is_known() && self.interrupted() => AgentStatus::Interrupted,
            "DEPROVISIONING" if !self.every_end_is_known() => AgentStatus::Stopping,
            "DEPROVISIONING" | "STOPPED" | "DELETED" => AgentStatus::Stopped(self.stop()),
            other => return Err(TaskError::Status(other.chars().take(50).collect())),
        })
    }

    fn told_to_stop(&self) -> bool {
        match &self.desired_status {
            Some(desired) => desired == "STOPPED",
            None => self.stop_code.is_some() || self.stopped_reason.is_some(),
        }
    }

    fn interrupted(&self) -> bool {
        self.stop_code.as_deref().is_some_and(|code| INTERRUPTION_CODES.contains(&code))
            || INTERRUPTION_REASONS.iter().any(|words| self.reason_begins(words))
    }

    fn reason_begins(&self, words: &str) -> bool {
        self.stopped_reason.as_deref().is_some_and(|reason| reason.starts_with(words))
    }

    fn failed_to_start(&self) -> bool {
        self.stop_code.as_deref() == Some("TaskFailedToStart")
    }

    /// Whether a stopping task already shows how each of its containers ended. Detaching its network takes about half a minute longer, which then
    /// need not be awaited. A container that never ran has neither an exit code nor a reason, and neither has one whose end is not reported yet.
    /// Unless the whole task never started, the two can only be distinguished when the task has stopped.
    fn every_end_is_known(&self) -> bool {
        !self.containers.is_empty()
            && self.containers.iter().all(|container| {
                container.last_status.as_deref() == Some("STOPPED")
                    && (self.failed_to_start() || container.exit_code.is_some() || container.reason.is_some())
            })
    }

    fn stop(&self) -> Stop {
        Stop {
            cause: self.cause(),
            reason: self.stopped_reason.clone(),
            containers: self
                .containers
                .iter()
                .map(|container| ContainerEnd {
                    name: container.name.clone(),
                    exit_code: container.exit_code,
                    reason: container.reason.clone(),
                })
                .collect(),
            report: None,
            // A stopping task has no `stoppedAt` yet, and began to stop before its containers.
            at: self.stopped_at.or(self.stopping_at.max(self.execution_stopped_at)),
        }
    }

    fn cause(&self) -> StopCause {
        // First, and not by exit code: a script that ends cleanly on SIGTERM has exit code 0.
        if self.interrupted() {
            return StopCause::Interrupted;
        }
        match self.stop_code.as_deref() {
            Some("EssentialContainerExited") => StopCause::Exited,
            Some("TaskFailedToStart") => match self.class_of_start() {
                Class::NoCapacity => StopCause::NoCapacity,
                Class::AccountLimit | Class::Throttled | Class::Transient => StopCause::NotNow,
                Class::Permanent | Class::Unknown => StopCause::FailedToStart,
            },
            Some("UserInitiated" | "ServiceSchedulerInitiated") => StopCause::Requested,
            None if self.reason_begins(EXITED_REASON) && self.containers.iter().any(|c| c.exit_code.is_some()) => StopCause::Exited,
            _ => StopCause::Other,
        }
    }

    /// Why the task did not start. On EC2, the container has the reason, and the task only says that it failed to start.
    fn class_of_start(&self) -> Class {
        let of_task = self.stopped_reason.as_deref().map_or(Class::Unknown, Class::of_reason);
        match of_task {
            Class::Unknown => Class::of_reasons(self.containers.iter().filter_map(|container| container.reason.as_deref())),
            known => known,
        }
    }

    /// The task's overrides are the best source, because providers other than Fargate's two may have either capacity.
    fn capacity(&self) -> Option<Capacity> {
        self.launched_on.or(match (self.capacity_provider.as_deref(), &self.launch_type) {
            (Some("FARGATE_SPOT"), _) => Some(Capacity::Spot),
            (Some("FARGATE"), _) | (None, Some(_)) => Some(Capacity::OnDemand),
            (Some(_), _) | (None, None) => None,
        })
    }
}

/// The attempt of a task, from its `startedBy` or from the environment in its overrides; `None` for foreign tasks.
pub fn attempt<'a>(started_by: Option<&str>, environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<AttemptId> {
    started_by
        .and_then(AttemptId::from_started_by)
        .or_else(|| from_environment(environment))
}

/// The attempt in an agent's environment. Values of other variables are not read.
pub fn from_environment<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<AttemptId> {
    let (mut build, mut number) = (None, None);
    for (name, value) in environment {
        match name {
            BUILD => build = Some(value),
            ATTEMPT => number = Some(value),
            _ => {}
        }
    }
    // Parsed like a `startedBy`, so that one rule decides what belongs to an attempt.
    AttemptId::from_started_by(&format!("bellhop/{}/{}", build?, number?))
}

/// The capacity in an agent's environment.
pub fn capacity_from_environment<'a>(environment: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Capacity> {
    environment
        .into_iter()
        .filter(|(name, _)| *name == CAPACITY)
        .find_map(|(_, value)| [Capacity::Spot, Capacity::OnDemand].into_iter().find(|c| c.as_str() == value))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    const SPOT: &str = "Your Spot Task was interrupted.";

    /// A task by its last status, desired status, stop code and reason, where an empty text stands for none.
    fn task(last: &str, desired: &str, code: &str, reason: &str) -> TaskFacts {
        let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TaskFacts {
            arn: "arn:aws:ecs:us-east-1:123456789012:task/ci/0f1e2d3c".into(),
            last_status: last.into(),
            desired_status: told(desired),
            stop_code: told(code),
            stopped_reason: told(reason),
            ..TaskFacts::default()
        }
    }

    fn container(status: &str, exit_code: Option<i32>, reason: Option<&str>) -> ContainerFacts {
        ContainerFacts {
            name: "agent".into(),
            last_status: Some(status.into()),
            exit_code,
            reason: reason.map(Into::into),
        }
    }

    fn status(task: &TaskFacts) -> AgentStatus {
        task.observation().unwrap().status
    }

    fn cause(task: &TaskFacts) -> StopCause {
        match status(task) {
            AgentStatus::Stopped(stop) => stop.cause,
            other => panic!("not stopped: {other:?}"),
        }
    }

    #[test]
    fn a_task_that_is_up_or_coming_up() {
        for last in ["PROVISIONING", "PENDING", "ACTIVATING"] {
            assert_eq!(status(&task(last, "RUNNING", "", "")), AgentStatus::Starting, "{last}");
            assert_eq!(status(&task(last, "", "", "")), AgentStatus::Starting, "{last}");
            assert_eq!(status(&task(last, "STOPPED", "UserInitiated", "")), AgentStatus::Stopping, "{last}");
            assert_eq!(
                status(&task(last, "STOPPED", "SpotInterruption", SPOT)),
                AgentStatus::Stopping,
                "{last}"
            );
        }
        let since = Some("2026-03-02T09:14:41Z".parse().unwrap());
        let running = TaskFacts {
            started_at: since,
            ..task("RUNNING", "RUNNING", "", "")
        };
        assert_eq!(status(&running), AgentStatus::Running { since });
    }

    #[test]
    fn an_interruption_is_known_by_either_code_or_by_its_words() {
        for last in ["RUNNING", "DEACTIVATING", "STOPPING"] {
            for (code, reason) in [
                ("SpotInterruption", ""),
                ("TerminationNotice", "x"),
                ("", SPOT),
                ("SpotInterruption", SPOT),
            ] {
                let task = task(last, "STOPPED", code, reason);
                assert_eq!(status(&task), AgentStatus::Interrupted, "{last} {code} {reason}");
            }
            for (code, reason) in [
                ("UserInitiated", "no longer needed"),
                ("ServiceSchedulerInitiated", "Scaling activity"),
                ("", ""),
            ] {
                let task = task(last, "STOPPED", code, reason);
                assert_eq!(status(&task), AgentStatus::Stopping, "{last} {code} {reason}");
            }
        }
        assert_eq!(status(&task("RUNNING", "", "SpotInterruption", "")), AgentStatus::Interrupted);
    }

    #[test]
    fn a_task_being_taken_down_has_stopped_once_every_end_is_known() {
        let ended = |code: &str, containers: &[ContainerFacts]| {
            let task = TaskFacts {
                containers: containers.to_vec(),
                ..task("DEPROVISIONING", "STOPPED", code, "")
            };
            matches!(status(&task), AgentStatus::Stopped(_))
        };
        let exited = container("STOPPED", Some(0), None);
        let killed = container("STOPPED", None, Some("OutOfMemoryError: Container killed due to memory usage"));
        let silent = container("STOPPED", None, None);
        let running = container("RUNNING", None, None);
        assert!(ended("EssentialContainerExited", &[exited.clone(), killed]));
        assert!(!ended("EssentialContainerExited", &[exited.clone(), silent.clone()]));
        assert!(!ended("EssentialContainerExited", &[exited.clone(), running.clone()]));
        assert!(!ended("SpotInterruption", &[]));
        assert!(ended("TaskFailedToStart", &[exited, silent]));
        assert!(!ended("TaskFailedToStart", &[running]));
    }

    /// On EC2 the task only says that it failed to start.
    #[test]
    fn the_words_of_a_container_count_where_the_task_has_none() {
        for (of_task, of_container, expected) in [
            (
                "Task failed to start",
                "CannotPullECRContainerError: ThrottlingException: Rate exceeded",
                StopCause::NotNow,
            ),
            (
                "Task failed to start",
                "CannotPullContainerError: no such image",
                StopCause::FailedToStart,
            ),
            ("RESOURCE:MEMORY", "Rate exceeded", StopCause::NoCapacity),
        ] {
            let mut task = task("STOPPED", "STOPPED", "TaskFailedToStart", of_task);
            task.containers = vec![container("STOPPED", None, Some(of_container))];
            assert_eq!(cause(&task), expected, "{of_task}: {of_container}");
        }
    }

    #[test]
    fn every_stop_code_has_its_cause() {
        for (code, reason, expected) in [
            ("EssentialContainerExited", EXITED_REASON, StopCause::Exited),
            (
                "TaskFailedToStart",
                "ResourceInitializationError: unable to pull secrets",
                StopCause::FailedToStart,
            ),
            (
                "TaskFailedToStart",
                "CannotPullContainerError: dial tcp 10.0.0.7:443: i/o timeout",
                StopCause::FailedToStart,
            ),
            (
                "TaskFailedToStart",
                "Timeout waiting for network interface provisioning to complete.",
                StopCause::NotNow,
            ),
            (
                "TaskFailedToStart",
                "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit.",
                StopCause::NotNow,
            ),
            ("TaskFailedToStart", "TaskFailedToStart: RESOURCE:GPU", StopCause::NoCapacity),
            (
                "TaskFailedToStart",
                "MemberOf placement constraint unsatisfied.",
                StopCause::NoCapacity,
            ),
            (
                "TaskFailedToStart",
                "Capacity is unavailable at this time. Please try again later",
                StopCause::NoCapacity,
            ),
            ("TaskFailedToStart", "RESOURCE:MEMORY", StopCause::NoCapacity),
            ("TaskFailedToStart", "EMPTY CAPACITY PROVIDER", StopCause::NoCapacity),
            ("TaskFailedToStart", "NO ACTIVE INSTANCES", StopCause::NoCapacity),
            ("TaskFailedToStart", "AGENT", StopCause::NoCapacity),
            (
                "TaskFailedToStart",
                "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment disabled in subnet 'subnet-0a': \
                 InsufficientFreeAddressesInSubnet",
                StopCause::NotNow,
            ),
            ("TaskFailedToStart", "Request limit exceeded.", StopCause::NotNow),
            ("TaskFailedToStart", "InternalError: internal error", StopCause::NotNow),
            ("SpotInterruption", SPOT, StopCause::Interrupted),
            ("TerminationNotice", "", StopCause::Interrupted),
            ("", SPOT, StopCause::Interrupted),
            ("", "Host EC2 (instance i-0123456789abcdef0) terminated.", StopCause::Interrupted),
            ("", "Host EC2 (instance i-0123456789abcdef0) stopped.", StopCause::Interrupted),
            ("", "Task stopped during instance draining", StopCause::Interrupted),
            ("UserInitiated", "Task stopped by user", StopCause::Requested),
            ("ServiceSchedulerInitiated", "Scaling activity", StopCause::Requested),
            ("InfrastructureHealth", "", StopCause::Other),
            ("SomethingNew", "", StopCause::Other),
            ("", "", StopCause::Other),
            ("", EXITED_REASON, StopCause::Other),
        ] {
            for last in ["STOPPED", "DELETED"] {
                assert_eq!(cause(&task(last, "STOPPED", code, reason)), expected, "{code} {reason}");
            }
        }
        let mut uncoded = task("STOPPED", "STOPPED", "", EXITED_REASON);
        uncoded.containers = vec![container("STOPPED", Some(3), None)];
        assert_eq!(cause(&uncoded), StopCause::Exited);
    }

    #[test]
    fn a_stop_is_dated_by_the_latest_time_that_is_told() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let mut stopped = task("STOPPED", "STOPPED", "UserInitiated", "");
        let mut expect = |change: fn(&mut TaskFacts, Option<Timestamp>), time: &str| {
            change(&mut stopped, at(time));
            match status(&stopped) {
                AgentStatus::Stopped(stop) => assert_eq!(stop.at, at(time)),
                other => panic!("not stopped: {other:?}"),
            }
        };
        expect(|task, at| task.stopping_at = at, "2026-03-02T09:00:01Z");
        expect(|task, at| task.execution_stopped_at = at, "2026-03-02T09:00:02Z");
        expect(|task, at| task.stopped_at = at, "2026-03-02T09:00:03Z");
    }

    #[test]
    fn capacity_is_told_by_the_launch_or_by_the_provider() {
        let capacity = |launched_on, provider: Option<&str>, launch_type: Option<&str>| {
            let task = TaskFacts {
                launched_on,
                capacity_provider: provider.map(Into::into),
                launch_type: launch_type.map(Into::into),
                ..task("RUNNING", "RUNNING", "", "")
            };
            task.observation().unwrap().capacity
        };
        assert_eq!(capacity(None, Some("FARGATE_SPOT"), Some("FARGATE")), Some(Capacity::Spot));
        assert_eq!(capacity(None, Some("FARGATE"), Some("FARGATE")), Some(Capacity::OnDemand));
        assert_eq!(capacity(None, None, Some("FARGATE")), Some(Capacity::OnDemand));
        assert_eq!(capacity(None, Some("our-instances"), Some("EC2")), None);
        assert_eq!(
            capacity(Some(Capacity::Spot), Some("our-instances"), Some("EC2")),
            Some(Capacity::Spot)
        );
        assert_eq!(capacity(None, None, None), None);
    }

    #[test]
    fn the_environment_names_attempt_and_capacity() {
        let ours = [
            ("PATH", "/bin"),
            ("BELLHOP_ATTEMPT", "2"),
            ("BELLHOP_BUILD", "abcdefghij/test"),
            ("BELLHOP_CAPACITY", "on-demand"),
        ];
        assert_eq!(from_environment(ours).unwrap().started_by(), "bellhop/abcdefghij/test/2");
        assert_eq!(
            attempt(Some("bellhop/abcdefghij/lint/1"), ours).unwrap().to_string(),
            "abcdefghij/lint/1"
        );
        assert_eq!(attempt(Some("someone"), ours).unwrap().to_string(), "abcdefghij/test/2");
        assert_eq!(attempt(Some("someone"), []), None);
        assert_eq!(capacity_from_environment(ours), Some(Capacity::OnDemand));
        assert_eq!(capacity_from_environment([("BELLHOP_CAPACITY", "codebuild")]), None);
        for [build, number] in [
            ["abcdefghij/test", "0"],
            ["abcdefghij", "1"],
            ["abcdefghij/test", "1/2"],
            ["abcdefghij/test/1", "1"],
        ] {
            assert_eq!(
                from_environment([("BELLHOP_BUILD", build), ("BELLHOP_ATTEMPT", number)]),
                None,
                "{build} {number}"
            );
        }
        assert_eq!(from_environment([("BELLHOP_BUILD", "abcdefghij/test")]), None);
    }

    #[test]
    fn a_task_that_cannot_be_told_is_an_error() {
        assert_eq!(task("RESTING", "", "", "").observation(), Err(TaskError::Status("RESTING".into())));
        let mut nameless = task("RUNNING", "", "", "");
        nameless.arn = String::new();
        assert!(matches!(nameless.observation(), Err(TaskError::Arn(_))));
    }
}
