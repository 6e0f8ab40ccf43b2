//! What is to go wrong, and when.

mod form;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use form::duration;

use crate::calls::Call;
use crate::support::lock;

/// The rules by which requests fail. Clones are handles to the same rules.
#[derive(Clone)]
pub struct Faults {
    rules: Arc<Mutex<Rules>>,
}

#[derive(Default)]
struct Rules {
    active: Vec<Active>,
    next: u64,
}

struct Active {
    id: RuleId,
    rule: Rule,
    matched: u32,
    fired: u32,
}

/// One rule: which requests fail, how often and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The service's signing name, such as `ecs` or `dynamodb`.
    pub service: String,
    /// The operation, such as `RunTask`, or `*` for all of the service.
    pub operation: String,
    /// Only RunTask requests for this capacity: `FARGATE_SPOT` or `FARGATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
    /// Only RunTask requests that come while so many tasks of the rule's capacity, or of any, have not stopped: a capacity with an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond: Option<usize>,
    /// Only requests of the caller with this application id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// How many of the matching requests fail. In JSON the next one, unless it is said.
    #[serde(default)]
    pub times: Times,
    /// How they fail.
    pub fault: Fault,
}

impl Rule {
    /// A rule for the next matching request, of whatever capacity and caller.
    pub fn new(service: &str, operation: &str, fault: Fault) -> Self {
        Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            capacity: None,
            beyond: None,
            caller: None,
            times: Times::default(),
            fault,
        }
    }

    /// The same rule for so many requests.
    #[must_use]
    pub fn times(mut self, times: Times) -> Self {
        self.times = times;
        self
    }

    /// The same rule for RunTask requests of this capacity only: `FARGATE_SPOT` or `FARGATE`.
    #[must_use]
    pub fn capacity(mut self, capacity: &str) -> Self {
        self.capacity = Some(capacity.to_owned());
        self
    }

    /// The same rule for RunTask requests beyond so many tasks only.
    #[must_use]
    pub fn beyond(mut self, tasks: usize) -> Self {
        self.beyond = Some(tasks);
        self
    }

    /// The same rule for requests of this application id only.
    #[must_use]
    pub fn caller(mut self, caller: &str) -> Self {
        self.caller = Some(caller.to_owned());
        self
    }

    fn matches(&self, call: &Call, live: impl Fn(Option<&str>) -> usize) -> bool {
        let is = |service: &str, operation: &str| call.service == service && call.operation == operation;
        let has_such = match self.fault {
            Fault::NoCapacity => is("ecs", "RunTask"),
            Fault::AccountLimit => is("ecs", "RunTask") || is("codebuild", "StartBuild"),
            _ => true,
        };
        call.service == self.service
            && (self.operation == "*" || call.operation == self.operation)
            && has_such
            && (self.capacity.is_none() || self.capacity.as_deref() == call.capacity())
            && (self.caller.is_none() || self.caller == call.caller)
            && self.beyond.is_none_or(|tasks| live(self.capacity.as_deref()) >= tasks)
    }
}

/// How many of the matching requests fail. In JSON: `3`, `"always"` or `{"every": 3}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The next so many; then the rule is spent.
    Next(u32),
    /// All.
    Always,
    /// One in so many: with 3 the third, the sixth and so on.
    Every(u32),
}

impl Default for Times {
    fn default() -> Self {
        Self::Next(1)
    }
}

/// How a request fails. In JSON the name alone, or the name with what it says: `{"delay": "5s"}`, `{"error": {"code": …, "message": …}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// The service's own throttling error. Nothing takes place.
    Throttle,
    /// A throttle in the guise of a bad request: 400 ClientException with "Rate exceeded" as its text. Nothing takes
    /// place.
    DisguisedThrottle,
    /// The service's own internal error. Nothing takes place.
    ServerError,
    /// The request takes effect, then the connection is cut instead of an answer.
    LoseReply,
    /// Nothing takes place and the connection is cut.
    Refuse,
    /// RunTask only: a success that carries a failure and no task.
    NoCapacity,
    /// RunTask and StartBuild only: the account's limit on concurrent tasks or queued builds is reached.
    AccountLimit,
    /// The request is worked on after so long.
    Delay(#[serde(with = "form::duration")] Duration),
    /// Any other error. Nothing takes place.
    Error {
        /// The HTTP status. In JSON 400, unless it is said.
        #[serde(default = "form::bad_request")]
        status: u16,
        /// The error's type, such as `AccessDeniedException`.
        code: String,
        /// The error's text.
        message: String,
    },
}

impl Fault {
    /// The name in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::DisguisedThrottle => "disguised-throttle",
            Self::ServerError => "server-error",
            Self::LoseReply => "lose-reply",
            Self::Refuse => "refuse",
            Self::NoCapacity => "no-capacity",
            Self::AccountLimit => "account-limit",
            Self::Delay(_) => "delay",
            Self::Error { .. } => "error",
        }
    }
}

/// The name of an injected rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(u64);

/// A rule that is switched on, and what has come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActiveRule {
    /// Its name.
    pub id: RuleId,
    /// What it says.
    #[serde(flatten)]
    pub rule: Rule,
    /// How many requests it has failed.
    pub fired: u32,
    /// How many it is still to fail; None for a rule without an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u32>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { rules: Arc::default() }
    }

    /// Adds a rule. Where several rules would fail a request, the one injected first does.
    pub fn inject(&self, rule: Rule) -> RuleId {
        let mut rules = lock(&self.rules);
        let id = RuleId(rules.next);
        rules.next += 1;
        rules.active.push(Active {
            id,
            rule,
            matched: 0,
            fired: 0,
        });
        id
    }

    /// Takes a rule back, and gives whether there was one.
    pub fn remove(&self, id: RuleId) -> bool {
        let active = &mut lock(&self.rules).active;
        let before = active.len();
        active.retain(|active| active.id != id);
        active.len() < before
    }

    /// Takes all rules back.
    pub fn clear(&self) {
        lock(&self.rules).active.clear();
    }

    /// The rules that may still fail a request, in the order in which they were injected.
    pub fn active(&self) -> Vec<ActiveRule> {
        let rules = lock(&self.rules);
        let all = rules.active.iter().map(Active::view);
        all.filter(|rule| rule.remaining != Some(0)).collect()
    }

    /// How many requests the rule has failed; 0 for a rule that was taken back.
    pub fn fired(&self, id: RuleId) -> u32 {
        let rules = lock(&self.rules);
        let active = rules.active.iter().find(|active| active.id == id);
        active.map_or(0, |active| active.fired)
    }

    /// The fault for this request, if any. `live` counts the tasks of a capacity, or of any, that have not stopped.
    pub(crate) fn pick(&self, call: &Call, live: impl Fn(Option<&str>) -> usize) -> Option<Fault> {
        let mut rules = lock(&self.rules);
        rules
            .active
            .iter_mut()
            .filter(|active| active.rule.matches(call, &live))
            .find_map(Active::fire)
    }
}

impl Active {
    fn view(&self) -> ActiveRule {
        ActiveRule {
            id: self.id,
            rule: self.rule.clone(),
            fired: self.fired,
            remaining: match self.rule.times {
                Times::Next(limit) => Some(limit.saturating_sub(self.fired)),
                Times::Always | Times::Every(_) => None,
            },
        }
    }

    fn fire(&mut self) -> Option<Fault> {
        self.matched = self.matched.saturating_add(1);
        let fires = match self.rule.times {
            Times::Next(limit) => self.fired < limit,
            Times::Always => true,
            Times::Every(0) => false,
            Times::Every(step) => self.matched.is_multiple_of(step),
        };
        if !fires {
            return None;
        }
        self.fired = self.fired.saturating_add(1);
        Some(self.rule.fault.clone())
    }
}
