//! ECS: the life of a task, and the words for its stops.
//!
//! A task goes through [`Status`] in one direction and may leave stages out. Within any stage it may be wanted stopped; who wants that first gives stop code
//! and reason, and nothing changes them. Each change that events tell of counts the version up by one
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>).

use std::time::Duration;

/// The stop code of a task whose Spot capacity is taken back.
pub const SPOT_INTERRUPTION: &str = "SpotInterruption";
/// The stop code of a task whose essential container ended by itself.
pub const CONTAINER_EXITED: &str = "EssentialContainerExited";
/// The stop code of `StopTask`.
pub const USER_INITIATED: &str = "UserInitiated";
/// The stop code of a task that never came up.
pub const FAILED_TO_START: &str = "TaskFailedToStart";

/// The reason that goes with [`SPOT_INTERRUPTION`].
pub const SPOT_REASON: &str = "Your Spot Task was interrupted.";
/// The reason that goes with [`CONTAINER_EXITED`].
pub const EXITED: &str = "Essential container in task exited";
/// The reason of a `StopTask` without one.
pub const STOPPED_BY_USER: &str = "Task stopped by user";
/// A container's own reason when it was killed for its use of memory.
pub const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
/// What is said where there is no capacity: in a refusal of `RunTask`, and by a task that was accepted and never came up.
pub const NO_CAPACITY: &str = "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// How long a stopped task can still be described: "at least one hour" (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>).
pub const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The stages of a task's life, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It is accepted.
    Provisioning,
    /// It waits for its host.
    Pending,
    /// Its image is pulled.
    Activating,
    /// Its containers run.
    Running,
    /// It leaves what it was registered with.
    Deactivating,
    /// ECS stops its containers.
    Stopping,
    /// Its network interface is given back.
    Deprovisioning,
    /// All is over.
    Stopped,
}

impl Status {
    /// The name in answers and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Why a task is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The stop code; ECS gives none where the task's instance has gone.
    pub code: Option<&'static str>,
    /// The reason.
    pub reason: String,
}

/// A task's life as far as ECS shows it.
#[derive(Debug, Clone)]
pub struct Life<Time> {
    /// The stage that it is in.
    pub status: Status,
    /// The version of the newest change.
    pub version: u64,
    /// Why it is to stop, if it is.
    pub stop: Option<Stop>,
    /// When its host was found.
    pub connected_at: Option<Time>,
    /// When its containers began to run.
    pub started_at: Option<Time>,
    /// When it was first to stop.
    pub stopping_at: Option<Time>,
    /// When its containers had ended.
    pub execution_stopped_at: Option<Time>,
    /// When all was over.
    pub stopped_at: Option<Time>,
}

impl<Time> Default for Life<Time> {
    /// A task in its first stage.
    fn default() -> Self {
        Self {
            status: Status::Provisioning,
            version: 1,
            stop: None,
            connected_at: None,
            started_at: None,
            stopping_at: None,
            execution_stopped_at: None,
            stopped_at: None,
        }
    }
}

impl<Time> Life<Time> {
    /// Enters a later stage, and says whether it is one.
    pub fn enter(&mut self, status: Status, now: Time) -> bool {
        if status <= self.status {
            return false;
        }
        self.status = status;
        self.version += 1;
        let time = match status {
            Status::Provisioning | Status::Pending | Status::Deactivating => return true,
            Status::Activating => &mut self.connected_at,
            Status::Running => &mut self.started_at,
            Status::Stopping => &mut self.stopping_at,
            Status::Deprovisioning => &mut self.execution_stopped_at,
            Status::Stopped => &mut self.stopped_at,
        };
        time.get_or_insert(now);
        true
    }

    /// Wants the task stopped, within the stage that it is in.
    pub fn want_stop(&mut self, code: &'static str, reason: &str, now: Time) {
        self.version += 1;
        self.mark_stop(code, reason);
        self.stopping_at.get_or_insert(now);
    }

    /// The same without a change that events tell of. Says whether it is wanted for the first time.
    pub fn mark_stop(&mut self, code: impl Into<Option<&'static str>>, reason: &str) -> bool {
        let is_first = self.stop.is_none();
        self.stop.get_or_insert_with(|| Stop {
            code: code.into(),
            reason: reason.to_owned(),
        });
        is_first
    }

    /// Whether its desired status is STOPPED.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// The status that is desired.
    #[must_use]
    pub fn desired_status(&self) -> &'static str {
        if self.is_stopping() { "STOPPED" } else { "RUNNING" }
    }

    /// Its stop code.
    #[must_use]
    pub fn stop_code(&self) -> Option<&'static str> {
        self.stop.as_ref()?.code
    }

    /// The reason that goes with it.
    #[must_use]
    pub fn stopped_reason(&self) -> Option<&str> {
        Some(&self.stop.as_ref()?.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_goes_in_one_direction_and_each_change_is_a_version() {
        let mut life = Life::default();
        assert!(life.enter(Status::Running, 3));
        assert!(!life.enter(Status::Pending, 4) && !life.enter(Status::Running, 4));
        assert!(life.enter(Status::Stopped, 5));
        assert_eq!((life.version, life.started_at, life.stopped_at), (3, Some(3), Some(5)));
        assert_eq!(life.connected_at, None);
    }

    #[test]
    fn who_stops_a_task_first_gives_the_reason() {
        let mut life = Life::default();
        life.want_stop(USER_INITIATED, "superseded", 1);
        assert!(!life.mark_stop(CONTAINER_EXITED, EXITED));
        assert_eq!(
            (life.stop_code(), life.stopped_reason()),
            (Some(USER_INITIATED), Some("superseded"))
        );
        life.enter(Status::Stopping, 2);
        assert_eq!((life.stopping_at, life.version, life.desired_status()), (Some(1), 3, "STOPPED"));
    }
}
