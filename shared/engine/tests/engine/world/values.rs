//! Values that tests and the ports of this world share: a push, a build's id, ends of agents, and counters of faults to come.

use std::sync::atomic::{AtomicUsize, Ordering};

use bellhop_domain::executor::observation::{AgentStatus, ContainerEnd, Report, ReportPhase, Stop, StopCause};
use bellhop_domain::ids::{BuildId, RunId};
use bellhop_domain::run::trigger::Push;

pub(crate) fn push(trigger: &str) -> Push {
    Push {
        trigger: trigger.to_owned(),
        repository: "shop".parse().unwrap(),
        reference: "refs/heads/main".parse().unwrap(),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        previous: None,
        by: None,
        at: None,
    }
}

pub(crate) fn job(run: &RunId, job: &str) -> BuildId {
    BuildId {
        run: run.clone(),
        job: job.parse().unwrap(),
    }
}

pub(crate) fn exited(code: i32) -> Stop {
    Stop {
        cause: StopCause::Exited,
        reason: Some("Essential container in task exited".to_owned()),
        containers: vec![ContainerEnd {
            name: "agent".to_owned(),
            exit_code: Some(code),
            reason: None,
        }],
        report: None,
        at: None,
    }
}

pub(crate) fn taken_back() -> Stop {
    Stop {
        cause: StopCause::Interrupted,
        reason: Some("Your Spot Task was interrupted.".to_owned()),
        ..exited(0)
    }
}

pub(crate) fn script_ended(exit_code: i32) -> Report {
    Report {
        phase: ReportPhase::Script,
        exit_code,
        signalled: false,
        command: None,
        line: None,
        message: None,
    }
}

/// Takes one from a counter, if there is one to take.
pub(super) fn take(counter: &AtomicUsize) -> bool {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// A running agent without a known start.
pub(crate) const RUNNING: AgentStatus = AgentStatus::Running { since: None };

pub(crate) fn stopped(code: i32) -> AgentStatus {
    AgentStatus::Stopped(exited(code))
}

/// No text at all, to compare lists of texts with.
pub(crate) fn nothing() -> [String; 0] {
    []
}
