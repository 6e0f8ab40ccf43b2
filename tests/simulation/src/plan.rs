//! Faults at chosen calls: the first, the second, … request that the functions make goes wrong in a chosen way, and all the others are served.

use std::collections::BTreeMap;
use std::fmt;

use bellhop_domain::build::Refusal;
use bellhop_domain::ids::AttemptId;

use crate::backups::Input;
use crate::world::{Job, Millis, Subject, World};

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The function dies before it has made the request.
    DiesBefore,
    /// The function dies after the request took effect, before it learns of it.
    DiesAfter,
    /// The request took effect, and the reply is lost.
    ReplyLost,
    /// The request takes effect after the function has given up on it.
    Late,
    /// The service throttles the request, or does not answer.
    Throttled,
    /// The service does not allow it.
    Denied,
    /// There is no capacity.
    NoCapacity,
    /// Somebody else has written the record meanwhile.
    Conflict,
    /// The event is lost.
    EventLost,
    /// The event comes twice.
    EventTwice,
    /// The event comes minutes later.
    EventLate,
}

/// What may go wrong with a request that changes nothing. That the function dies, or has no answer, is the same before and after it.
const OF_READS: &[Kind] = &[Kind::DiesBefore, Kind::Throttled, Kind::Denied];
/// What may go wrong with a request that changes something.
const OF_CHANGES: &[Kind] = &[
    Kind::DiesBefore,
    Kind::DiesAfter,
    Kind::ReplyLost,
    Kind::Late,
    Kind::Throttled,
    Kind::Denied,
];
/// What may go wrong with an event on its way to a function.
const OF_EVENTS: &[Kind] = &[Kind::EventLost, Kind::EventTwice, Kind::EventLate];

/// The name of an event among the calls.
const EVENT: &str = "event";
/// How long an event is on its way that comes [later](Kind::EventLate), and how far the second one is behind the first.
const EVENT_LATE: Millis = 4 * 60_000;
const EVENT_AGAIN: Millis = 5_000;

/// How long a [late](Kind::Late) request is on the way: longer than the SDK waits for an answer.
pub(crate) const LATE: Millis = 20_000;
/// How long the two halves of a request take.
pub(crate) const HALF: Millis = 10;

/// A fault at a request or an event, counted from 0 in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    /// Which of them.
    pub call: usize,
    /// What goes wrong with it.
    pub kind: Kind,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at call {}", self.kind, self.call)
    }
}

/// A request as it arrived, or an event on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The service's operation, as the API reference writes it; `event` for an event.
    pub operation: &'static str,
    /// The function that makes the request, or that the event is for.
    pub function: &'static str,
}

impl Call {
    /// What may go wrong with it.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        let reads = ["Get", "Query", "List", "Describe", "BatchGet"];
        let (kinds, one_more) = match self.operation {
            EVENT => (OF_EVENTS, None),
            "RunTask" => (OF_CHANGES, Some(Kind::NoCapacity)),
            // Each expects a version.
            "PutItem" => (OF_CHANGES, Some(Kind::Conflict)),
            operation if reads.iter().any(|read| operation.starts_with(read)) => (OF_READS, None),
            _ => (OF_CHANGES, None),
        };
        kinds.iter().copied().chain(one_more)
    }
}

/// What is laid down for a world whose only faults are chosen ones.
#[derive(Debug, Default)]
pub(crate) struct Script {
    faults: BTreeMap<usize, Kind>,
    /// Every request until the world calmed down.
    pub(crate) calls: Vec<Call>,
    /// A launch that is at its service is answered with this.
    pub(crate) refusal: Option<Refusal>,
    /// Somebody else writes before the write that is at the ledger.
    overtaken: bool,
    /// The exit codes of a job's scripts, by the number of the attempt; 0 beyond their end.
    pub(crate) exit_codes: BTreeMap<&'static str, Vec<i32>>,
    /// After how long the Spot capacity of a job's first agent is taken back.
    pub(crate) reclaimed: BTreeMap<&'static str, Millis>,
}

impl Script {
    pub(crate) fn new(faults: &[Planned]) -> Self {
        Self {
            faults: faults.iter().map(|planned| (planned.call, planned.kind)).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn exit_code(&self, attempt: &AttemptId) -> i32 {
        let codes = self.exit_codes.get(attempt.build.job.as_str());
        let number = usize::try_from(attempt.number).unwrap_or(usize::MAX).saturating_sub(1);
        codes.and_then(|codes| codes.get(number)).copied().unwrap_or(0)
    }

    pub(crate) fn reclaimed_after(&self, attempt: &AttemptId) -> Option<Millis> {
        let first = attempt.number == 1;
        self.reclaimed.get(attempt.build.job.as_str()).copied().filter(|_| first)
    }
}

impl World {
    /// A request arrives: what is to go wrong with it.
    pub(crate) fn strike(&mut self, operation: &'static str) -> Option<Kind> {
        let function = self.who.function();
        self.strike_at(operation, function)
    }

    /// An event sets out that may be lost: after how long each copy of it arrives.
    pub(crate) fn strike_event(&mut self, wait: Millis, job: &Job) -> Vec<Millis> {
        let may_be_lost = match job {
            Job::Agent(..) | Job::Unnamed(..) | Job::Instance(_) | Job::Alarm(_) | Job::WakeUp(..) | Job::Timed(_) => true,
            Job::Backup(input) => matches!(**input, Input::Job(_)),
            Job::Push(_) | Job::Forged(_) | Job::Cancel(..) | Job::Request(_) | Job::Pipeline(_) | Job::Sweep => false,
        };
        match may_be_lost.then(|| self.strike_at(EVENT, job.function())).flatten() {
            Some(Kind::EventLost) => Vec::new(),
            Some(Kind::EventTwice) => vec![wait, wait + EVENT_AGAIN],
            Some(Kind::EventLate) => vec![wait + EVENT_LATE],
            _ => vec![wait],
        }
    }

    fn strike_at(&mut self, operation: &'static str, function: &'static str) -> Option<Kind> {
        if self.calm() {
            return None;
        }
        let script = self.script.as_mut()?;
        let number = script.calls.len();
        script.calls.push(Call { operation, function });
        let kind = script.faults.get(&number).copied()?;
        self.note("fault", Subject::World, || format!("{kind:?} at call {number}, {operation}"));
        Some(kind)
    }

    /// The launch that is at its service is to be refused.
    pub(crate) fn refuse_launch(&mut self, refusal: Refusal) {
        if let Some(script) = &mut self.script {
            script.refusal = Some(refusal);
        }
    }

    /// Somebody else is to write first.
    pub(crate) fn overtake(&mut self) {
        if let Some(script) = &mut self.script {
            script.overtaken = true;
        }
    }

    /// Whether somebody else writes before the write that is at the ledger.
    pub(crate) fn is_overtaken(&mut self) -> bool {
        self.script.as_mut().is_some_and(|script| std::mem::take(&mut script.overtaken))
    }
}
