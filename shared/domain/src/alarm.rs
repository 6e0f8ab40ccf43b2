//! CloudWatch alarms: which state changes Bellhop reports, and which remedies it applies.
//!
//! One transition of an alarm may arrive in three forms (EventBridge event, SNS message, direct invocation), late, repeated and out of order. The
//! alarm, the state and the time at which the state began identify it. An alarm that keeps changing is reported once as flapping, and again when it
//! has settled. The ledger limits how often a remedy is applied to one target ([`Claim`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Ignored};
use crate::ids::JobName;
use crate::outbox::{Deferral, Effect, EffectId, Outbox, PERFORM_WITHIN, TELL_FOR, TRY_FOR, later};

/// Two times of the same state that are no further apart than this are one transition, because the forms of an event round times differently.
pub const SAME_WITHIN: Duration = Duration::from_secs(2);
/// An alarm that changes [`FLAPS`] times within this is flapping.
pub const FLAP_WINDOW: Duration = Duration::from_secs(10 * 60);
/// See [`FLAP_WINDOW`].
pub const FLAPS: usize = 5;
/// How long a flapping alarm must keep its state before Bellhop reports it as settled.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// The longest that one alarm pauses launches, because its return to OK may never arrive.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// The most characters stored of the reason for a failure.
const MESSAGE_LIMIT: usize = 300;
/// How long the record of an alarm without events is kept.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

/// The identity of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlarmId {
    /// Its region, such as `us-east-1`, if the event has it.
    pub region: Option<String>,
    /// Its account, if the event has it.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// The id of one contributor, if the event is about one: an alarm over many time series has a state for each of them, besides its own state.
    pub contributor: Option<String>,
}

impl AlarmId {
    /// Its key in the ledger.
    #[must_use]
    pub fn key(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let of = self.contributor.as_ref().map(|id| format!("#{id}")).unwrap_or_default();
        format!("{}/{}/{}{of}", part(&self.region), part(&self.account), self.name)
    }
}

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// The alarm's condition is not met.
    Ok,
    /// The alarm's condition is met.
    Alarm,
    /// CloudWatch has insufficient data. This state neither opens nor closes an alert.
    InsufficientData,
}

impl AlarmState {
    /// CloudWatch's name for the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A state change of an alarm, as `bellhop-events` parses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmChange {
    /// The alarm.
    pub id: AlarmId,
    /// The new state.
    pub state: AlarmState,
    /// When the state began; `None` if the event does not say.
    pub at: Option<Timestamp>,
    /// The previous state, if the event has it.
    pub previous: Option<AlarmState>,
    /// Why the alarm's actions are disabled: a mute rule, or a suppressor of a composite alarm. Bellhop then sends no message and applies no remedy.
    pub quiet: Option<String>,
    /// Details for the message.
    pub facts: AlarmFacts,
}

/// Details of an alarm from an event. Each text is one line of bounded length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct AlarmFacts {
    /// The reason of the change, in CloudWatch's words.
    pub reason: Option<String>,
    /// The alarm's description.
    pub description: Option<String>,
    /// The metric or expression that it measures.
    pub measure: Option<String>,
    /// The rule of a composite alarm.
    pub rule: Option<String>,
    /// The metric's namespace.
    pub namespace: Option<String>,
    /// The metric's dimensions, or those of the contributor.
    pub dimensions: BTreeMap<String, String>,
    /// The newest value.
    pub value: Option<String>,
    /// The threshold, or the band of an anomaly alarm.
    pub threshold: Option<String>,
    /// How the value is compared with the threshold.
    pub comparison: Option<Comparison>,
    /// The alarms that caused a composite alarm to change.
    pub because: Vec<String>,
}

/// How a value is compared with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// In ALARM if the value is above the threshold.
    Above,
    /// In ALARM if the value is above the threshold or equal.
    AtLeast,
    /// In ALARM if the value is below the threshold.
    Below,
    /// In ALARM if the value is below the threshold or equal.
    AtMost,
    /// In ALARM if the value is outside the band.
    Outside,
}

/// What Bellhop does about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyAction {
    /// Restarts an ECS service: new tasks replace the running ones.
    RestartService {
        /// The service's cluster.
        cluster: String,
        /// The service.
        service: String,
    },
    /// Starts a job of the suite configuration.
    RunJob(JobName),
    /// Starts a backup of the suite configuration.
    BackUp(String),
    /// Pauses launches of agents until the alarm is OK again.
    PauseStarts,
}

impl RemedyAction {
    /// The target of the action. Alarms with the same target share its `at-most-every`.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::RestartService { cluster, service } => format!("restart-service/{cluster}/{service}"),
            Self::RunJob(job) => format!("run-job/{job}"),
            Self::BackUp(name) => format!("back-up-now/{name}"),
            Self::PauseStarts => "pause-starts".to_owned(),
        }
    }
}

/// A remedy of the suite configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remedy {
    /// The action.
    pub action: RemedyAction,
    /// The shortest time between two applications; zero for no limit.
    #[serde(with = "crate::serde_duration")]
    pub at_most_every: Duration,
    /// Only report what would be done.
    pub dry_run: bool,
}

/// The remedy for an alarm, according to the suite configuration at the time of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No rule matches: Bellhop only sends a message.
    Nothing,
    /// The remedy of the first rule that matches.
    Remedy(Remedy),
    /// The configuration cannot be read. The text has the reason.
    Unknown(String),
}

/// The result of a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedied {
    /// It was applied. The text has details, such as the id of the started run.
    Done(Option<String>),
    /// It was applied recently, for this alarm or another one, so it was not repeated.
    Held {
        /// When it was applied.
        since: Timestamp,
    },
    /// It failed for good. The text has the reason.
    Failed(String),
    /// It failed for now; Bellhop retries it.
    TriedAgain,
    /// Another alarm may be applying it now. Bellhop applies it for this alarm too, unless the other one succeeds.
    Waits {
        /// When the other alarm requested it.
        since: Timestamp,
    },
    /// The alarm ended before the remedy was applied.
    NotNeeded,
    /// It was not applied because of `dry-run`.
    DryRun,
}

/// The remedy in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemedyNews {
    /// The remedy.
    pub remedy: Remedy,
    /// Its result.
    pub outcome: Remedied,
}

/// A transition of an alarm to a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transition {
    /// The new state.
    pub state: AlarmState,
    /// When the state began.
    pub at: Timestamp,
    /// When Bellhop received the event.
    pub heard: Timestamp,
    /// The previous state, if known.
    pub previous: Option<AlarmState>,
    /// Why Bellhop sends no message and applies no remedy.
    pub quiet: Option<String>,
    /// Details for the message.
    pub facts: AlarmFacts,
}

/// An alarm and its history: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alarm {
    /// The alarm.
    pub id: AlarmId,
    /// The newest transition; `None` before the first event.
    pub current: Option<Transition>,
    /// When the alert began: it lasts from the first ALARM to the next OK, whatever state comes in between.
    pub open: Option<Timestamp>,
    /// A transition to ALARM whose message waits for the result of the remedy.
    pub untold: Option<Transition>,
    /// Why the configuration could not be read when the alarm went off.
    pub unconfigured: Option<String>,
    /// The times of the newest changes, oldest first: at most [`FLAPS`] of them.
    pub changes: Vec<Timestamp>,
    /// Since when it is flapping.
    pub flapping: Option<Timestamp>,
    /// Since when it pauses launches.
    pub paused: Option<Timestamp>,
    /// Pending effects.
    pub outbox: Outbox<AlarmEffect>,
}

/// An event for an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmEvent {
    /// Its state changed, or a notification says so.
    Changed {
        /// The change.
        change: Box<AlarmChange>,
        /// The remedy to apply if the new state is ALARM.
        wanted: Wanted,
    },
    /// A remedy was applied, or will not be.
    Remedied {
        /// The effect.
        effect: EffectId,
        /// The result.
        outcome: Remedied,
    },
    /// A remedy waits for one that another alarm may be applying.
    Waits {
        /// The effect, which stays in the outbox.
        effect: EffectId,
        /// When the other alarm requested it.
        since: Timestamp,
    },
    /// An effect was performed.
    Performed(EffectId),
    /// An effect failed for this reason. It stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
    /// Time has passed.
    Tick,
}

/// An effect of an alarm. Each of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmEffect {
    /// Apply a remedy of the suite configuration.
    Remedy {
        /// When the state ALARM began; identifies the occasion.
        at: Timestamp,
        /// The remedy.
        remedy: Remedy,
    },
    /// Release the claim on the target of a remedy that failed.
    Release {
        /// The occasion, as for the remedy.
        at: Timestamp,
        /// The remedy that failed.
        remedy: Remedy,
    },
    /// Resume launches that the alarm pauses.
    Resume {
        /// All pauses that were requested up to this time end.
        until: Timestamp,
    },
    /// Publish a message.
    Tell(Box<AlarmNews>),
}

impl Effect for AlarmEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        match self {
            Self::Remedy { .. } => Some(TRY_FOR),
            Self::Resume { .. } | Self::Release { .. } => None,
            Self::Tell(_) => Some(TELL_FOR),
        }
    }
}

/// A message about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlarmNews {
    /// The kind of the message.
    pub what: AlarmNewsKind,
    /// The transition that it reports.
    pub transition: Transition,
    /// When the alert began.
    pub open: Option<Timestamp>,
    /// The remedy and its result.
    pub remedy: Option<RemedyNews>,
    /// Why no remedy could be chosen: the configuration cannot be read.
    pub unconfigured: Option<String>,
    /// When Bellhop decided to send it.
    pub told: Timestamp,
}

/// The kinds of messages about an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmNewsKind {
    /// The state changed.
    Changed,
    /// The state changes so often that Bellhop sends no more messages until it settles.
    Flapping,
    /// The alarm kept its state for a while after it was flapping.
    Settled,
    /// The result of a remedy, after the message about the alarm itself.
    Remedied,
    /// Launches resume after the longest pause, although the alarm is not OK.
    PauseEnded,
}

impl Alarm {
    /// An alarm without events.
    #[must_use]
    pub fn new(id: AlarmId) -> Self {
        Self {
            id,
            current: None,
            open: None,
            untold: None,
            unconfigured: None,
            changes: Vec::new(),
            flapping: None,
            paused: None,
            outbox: Outbox::default(),
        }
    }

    /// When the sweep should process this alarm next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due().into_iter().chain(self.settles()).chain(self.pause_ends()).min()
    }

    /// When DynamoDB may delete the record; `None` while something is pending.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        let heard = self.current.as_ref()?.heard;
        self.due().is_none().then(|| later(heard, KEEP))
    }

    /// Identifies the occasion of a transition to ALARM, for actions that happen once per occasion.
    #[must_use]
    pub fn occasion(&self, at: Timestamp) -> String {
        format!("{}@{at}", self.id.key())
    }

    /// Decides the next state of this alarm after an event at a moment.
    #[must_use]
    pub fn decide(&self, event: &AlarmEvent, now: Timestamp) -> Decision<Self> {
        let mut next = self.clone();
        match next.apply(event, now) {
            Ok(()) if next == *self => Decision::Ignored(Ignored::NothingNew),
            Ok(()) => Decision::Next(Box::new(next)),
            Err(reason) => Decision::Ignored(reason),
        }
    }

    fn apply(&mut self, event: &AlarmEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            AlarmEvent::Changed { change, wanted } => return self.changed(change, wanted, now),
            AlarmEvent::Remedied { effect, outcome } => self.remedied(*effect, outcome, now),
            AlarmEvent::Waits { effect, since } => self.waits(*effect, *since, now),
            AlarmEvent::Performed(id) => {
                self.outbox.remove(*id);
            }
            AlarmEvent::Deferred(id, why) => self.deferred(*id, why, now),
            AlarmEvent::Tick => {
                if self.settles().is_some_and(|at| at <= now) {
                    self.flapping = None;
                    self.changes.clear();
                    self.tell_current(AlarmNewsKind::Settled, now);
                }
                if self.pause_ends().is_some_and(|at| at <= now) {
                    self.resume(now);
                    self.tell_current(AlarmNewsKind::PauseEnded, now);
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, change: &AlarmChange, wanted: &Wanted, now: Timestamp) -> Result<(), Ignored> {
        if let Some(current) = &self.current {
            let again = change.state == current.state && change.at.is_none_or(|at| at <= later(current.at, SAME_WITHIN));
            let unmuted = again && current.quiet.is_some() && change.quiet.is_none();
            if again && !unmuted {
                return Err(Ignored::Stale);
            }
            // Another form of the current state may have a slightly different time; for another state, older times are ignored.
            if !again && change.at.is_some_and(|at| at < current.at) {
                return Err(Ignored::Stale);
            }
        }
        let known = self.current.as_ref().map(|current| current.state);
        let transition = Transition {
            state: change.state,
            at: change.at.unwrap_or(now),
            heard: now,
            previous: change.previous.or(known),
            quiet: change.quiet.clone(),
            facts: change.facts.clone(),
        };
        self.current = Some(transition.clone());
        match transition.state {
            // A muted alarm opens no alert: when it is unmuted, CloudWatch sends it again.
            _ if transition.quiet.is_some() && transition.state != AlarmState::Ok => {}
            AlarmState::Alarm => {
                self.counts(&transition, now);
                self.open.get_or_insert(transition.at);
                self.went_off(transition, wanted, now);
            }
            AlarmState::Ok => {
                // The event in between may have been lost.
                let closes = self.open.is_some() || (known != Some(AlarmState::Alarm) && transition.previous == Some(AlarmState::Alarm));
                self.over(transition, closes, now);
            }
            AlarmState::InsufficientData => {
                if self.open.is_some() && !self.counts(&transition, now) {
                    self.tell(AlarmNewsKind::Changed, transition, None, now);
                }
            }
        }
        Ok(())
    }

    fn went_off(&mut self, transition: Transition, wanted: &Wanted, now: Timestamp) {
        self.tell_untold(now);
        self.unconfigured = None;
        match wanted {
            Wanted::Remedy(remedy) if !remedy.dry_run && self.id.contributor.is_none() => {
                // Effects of an occasion that the next one has replaced are no longer needed.
                self.outbox
                    .remove_where(|pending| matches!(pending.effect, AlarmEffect::Remedy { .. }));
                if remedy.action == RemedyAction::PauseStarts {
                    self.paused = Some(now);
                }
                let effect = AlarmEffect::Remedy {
                    at: transition.at,
                    remedy: remedy.clone(),
                };
                self.outbox.push(effect, now);
                self.untold = Some(transition);
            }
            Wanted::Remedy(remedy) if self.id.contributor.is_none() => {
                let news = RemedyNews {
                    remedy: remedy.clone(),
                    outcome: Remedied::DryRun,
                };
                self.tell_unless_flapping(transition, Some(news), now);
            }
            Wanted::Unknown(why) if self.id.contributor.is_none() => {
                self.unconfigured = Some(why.clone());
                self.tell_unless_flapping(transition, None, now);
            }
            // A contributor's state is a part of its alarm's state; remedies are applied for the alarm.
            Wanted::Nothing | Wanted::Remedy(_) | Wanted::Unknown(_) => self.tell_unless_flapping(transition, None, now),
        }
    }

    fn over(&mut self, transition: Transition, closes: bool, now: Timestamp) {
        self.tell_untold(now);
        self.outbox
            .remove_where(|pending| matches!(pending.effect, AlarmEffect::Remedy { .. }));
        if self.paused.is_some() {
            self.resume(now);
        }
        if closes && transition.quiet.is_none() && !self.counts(&transition, now) {
            self.tell(AlarmNewsKind::Changed, transition, None, now);
        }
        self.open = None;
        self.unconfigured = None;
    }

    /// The remedy and the occasion of the effect with this id.
    fn wanted(&self, effect: EffectId) -> Option<(Timestamp, Remedy)> {
        let pending = self.outbox.pending().iter().find(|pending| pending.id == effect)?;
        match &pending.effect {
            AlarmEffect::Remedy { at, remedy } => Some((*at, remedy.clone())),
            _ => None,
        }
    }

    fn remedied(&mut self, effect: EffectId, outcome: &Remedied, now: Timestamp) {
        let Some((at, remedy)) = self.wanted(effect) else { return };
        self.outbox.remove(effect);
        self.remedy_is_over(at, remedy, outcome, now);
    }

    fn remedy_is_over(&mut self, at: Timestamp, remedy: Remedy, outcome: &Remedied, now: Timestamp) {
        if remedy.action != RemedyAction::PauseStarts && matches!(outcome, Remedied::Failed(_)) {
            let remedy = remedy.clone();
            self.outbox.push(AlarmEffect::Release { at, remedy }, now);
        }
        if remedy.action == RemedyAction::PauseStarts && !matches!(outcome, Remedied::Done(_)) && self.paused.is_some() {
            // The pause may have been written nevertheless, or exist from an earlier ALARM.
            self.resume(now);
        }
        let news = RemedyNews {
            remedy,
            outcome: outcome.clone(),
        };
        match self.untold.take() {
            Some(transition) if self.flapping.is_none() => self.tell(AlarmNewsKind::Changed, transition, Some(news), now),
            // If the alarm was already reported, the result of the remedy is reported too, unless the remedy was not repeated.
            untold => {
                let about = untold.or_else(|| self.current.clone()).filter(|transition| transition.at == at);
                if let (Some(transition), Remedied::Done(_) | Remedied::Failed(_)) = (about, outcome) {
                    self.tell(AlarmNewsKind::Remedied, transition, Some(news), now);
                }
            }
        }
    }

    /// A remedy that is still wanted is retried like a new one. The claim ends this: as done or failed, and at the latest after `at-most-every`.
    fn waits(&mut self, effect: EffectId, since: Timestamp, now: Timestamp) {
        let Some((_, remedy)) = self.wanted(effect) else { return };
        self.outbox.postpone(effect, now);
        if let Some(transition) = self.untold.take() {
            let outcome = Remedied::Waits { since };
            self.tell_unless_flapping(transition, Some(RemedyNews { remedy, outcome }), now);
        }
    }

    fn deferred(&mut self, id: EffectId, why: &str, now: Timestamp) {
        match self.outbox.defer(id, now) {
            Deferral::Abandoned(AlarmEffect::Remedy { at, remedy }) => {
                let outcome = Remedied::Failed(crate::config::shown(why, MESSAGE_LIMIT));
                self.remedy_is_over(at, remedy, &outcome, now);
            }
            // A failed message cannot be reported by another message, so it is only counted.
            Deferral::Abandoned(_) | Deferral::Unknown => {}
            Deferral::Again => {
                if let Some((_, remedy)) = self.wanted(id)
                    && let Some(transition) = self.untold.take()
                {
                    let news = RemedyNews {
                        remedy,
                        outcome: Remedied::TriedAgain,
                    };
                    self.tell_unless_flapping(transition, Some(news), now);
                }
            }
        }
    }

    /// Sends the message of an alarm that waits for the result of its remedy, because the result no longer matters.
    fn tell_untold(&mut self, now: Timestamp) {
        let Some(transition) = self.untold.take() else { return };
        let remedy = self.outbox.pending().iter().find_map(|pending| match &pending.effect {
            AlarmEffect::Remedy { remedy, .. } => Some(remedy.clone()),
            _ => None,
        });
        let news = remedy.map(|remedy| RemedyNews {
            remedy,
            outcome: Remedied::NotNeeded,
        });
        self.tell_unless_flapping(transition, news, now);
    }

    /// Counts a change. Returns whether the alarm is flapping, so that no message is sent; reports the flapping the first time.
    fn counts(&mut self, transition: &Transition, now: Timestamp) -> bool {
        self.changes.push(transition.at);
        let forgotten = self.changes.len().saturating_sub(FLAPS);
        self.changes.drain(..forgotten);
        let within = |first: &Timestamp| transition.at <= later(*first, FLAP_WINDOW);
        if self.flapping.is_none() && self.changes.len() == FLAPS && self.changes.first().is_some_and(within) {
            self.flapping = Some(now);
            self.tell(AlarmNewsKind::Flapping, transition.clone(), None, now);
        }
        self.flapping.is_some()
    }

    fn resume(&mut self, now: Timestamp) {
        // The clock of the function that decided the pause may be ahead of this one.
        let until = self.paused.take().map_or(now, |since| since.max(now));
        self.outbox.push(AlarmEffect::Resume { until }, now);
    }

    fn tell_unless_flapping(&mut self, transition: Transition, remedy: Option<RemedyNews>, now: Timestamp) {
        if self.flapping.is_none() {
            self.tell(AlarmNewsKind::Changed, transition, remedy, now);
        }
    }

    fn tell_current(&mut self, what: AlarmNewsKind, now: Timestamp) {
        if let Some(transition) = self.current.clone() {
            self.tell(what, transition, None, now);
        }
    }

    fn tell(&mut self, what: AlarmNewsKind, transition: Transition, remedy: Option<RemedyNews>, now: Timestamp) {
        let news = AlarmNews {
            what,
            transition,
            open: self.open,
            remedy,
            unconfigured: self.unconfigured.clone(),
            told: now,
        };
        self.outbox.push(AlarmEffect::Tell(Box::new(news)), now);
    }

    fn settles(&self) -> Option<Timestamp> {
        self.flapping?;
        Some(later(self.current.as_ref()?.heard, SETTLED_AFTER))
    }

    fn pause_ends(&self) -> Option<Timestamp> {
        self.paused.map(|since| later(since, LONGEST_PAUSE))
    }
}

/// The newest remedy of a target, so that it is not repeated too soon: a record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The target ([`RemedyAction::target`]).
    pub target: String,
    /// The occasion ([`Alarm::occasion`]).
    pub by: String,
    /// When it was claimed. A remedy that was started on the target after this time counts as done for this claim.
    pub at: Timestamp,
    /// How long the record is relevant.
    pub until: Timestamp,
    /// Whether the remedy was applied. Until then the claim excludes others only for as long as a function may be applying it.
    pub done: bool,
    /// When it was last tried.
    #[serde(default)]
    pub tried: Option<Timestamp>,
    /// When it was applied, or failed for good.
    #[serde(default)]
    pub over: Option<Timestamp>,
}

/// The result of claiming a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// This occasion has the claim: it is new, or the same occasion had it before.
    Yes(Claim),
    /// The remedy was applied for another occasion at this moment, which is too recent.
    Done(Timestamp),
    /// Another occasion requested it at this moment and may be applying it now.
    Busy(Timestamp),
}

impl Claim {
    /// Claims a target for an occasion. An earlier claim may exist.
    #[must_use]
    pub fn take(present: Option<&Self>, target: &str, by: &str, every: Duration, now: Timestamp) -> Claimed {
        // A retry for this occasion must find its claim.
        let until = later(now, every.max(Duration::from_secs(24 * 3600)));
        let own = Self {
            target: target.to_owned(),
            by: by.to_owned(),
            at: now,
            until,
            done: false,
            tried: Some(now),
            over: None,
        };
        match present {
            Some(claim) if claim.by == by && claim.done => Claimed::Yes(claim.clone()),
            Some(claim) if claim.by == by => Claimed::Yes(Self { at: claim.at, ..own }),
            Some(claim) if claim.done && later(claim.ended(), every) > now => Claimed::Done(claim.ended()),
            Some(claim) if claim.may_be_tried(every, now) => Claimed::Busy(claim.at),
            // The remedy may have been applied without a confirmation: what was started since then counts.
            Some(claim) if !claim.done && later(claim.at, every) > now => Claimed::Yes(Self { at: claim.at, ..own }),
            _ => Claimed::Yes(own),
        }
    }

    /// This claim after its occasion's remedy was applied or failed for good; `None` if that changes nothing.
    #[must_use]
    pub fn end(&self, by: &str, done: bool, now: Timestamp) -> Option<Self> {
        let is_news = self.by == by && !self.done && (done || self.over.is_none());
        is_news.then(|| Self {
            done,
            over: Some(now),
            ..self.clone()
        })
    }

    /// Whether a function may be applying the remedy: for as long as an invocation can last.
    fn may_be_tried(&self, every: Duration, now: Timestamp) -> bool {
        let tried = self.tried.unwrap_or(self.at);
        !self.done && self.over.is_none() && later(tried, every.min(PERFORM_WITHIN)) > now
    }

    fn ended(&self) -> Timestamp {
        self.over.unwrap_or(self.at)
    }
}

/// The alarms that pause launches of agents: one record in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// By the alarm's key.
    pub by: BTreeMap<String, Pause>,
}

/// An alarm that pauses launches of agents, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The alarm's name.
    pub alarm: String,
    /// Since when; `None` if it no longer does.
    pub since: Option<Timestamp>,
    /// Pauses requested up to this time have ended: a request that is performed late changes nothing.
    pub over: Option<Timestamp>,
}

impl Pauses {
    /// Pauses launches for an alarm. Returns whether that changed anything.
    pub fn pause(&mut self, alarm: &AlarmId, at: Timestamp) -> bool {
        let pause = self.of(alarm);
        if pause.since == Some(at) || pause.over.is_some_and(|over| at <= over) {
            return false;
        }
        pause.since = Some(at);
        true
    }

    /// Ends an alarm's pause of launches. Returns whether that changed anything.
    pub fn resume(&mut self, alarm: &AlarmId, until: Timestamp) -> bool {
        let pause = self.of(alarm);
        if pause.over.is_some_and(|over| until <= over) {
            return false;
        }
        pause.over = Some(until);
        if pause.since.is_some_and(|since| since <= until) {
            pause.since = None;
        }
        true
    }

    /// The names of the alarms that pause launches now.
    #[must_use]
    pub fn now(&self, now: Timestamp) -> Vec<&str> {
        let holds = |pause: &&Pause| pause.since.is_some_and(|since| now < later(since, LONGEST_PAUSE));
        self.by.values().filter(holds).map(|pause| pause.alarm.as_str()).collect()
    }

    /// Removes entries that no longer matter.
    pub fn forget(&mut self, now: Timestamp) {
        let recent = |moment: Option<Timestamp>| moment.is_some_and(|moment| now < later(moment, LONGEST_PAUSE.saturating_mul(2)));
        self.by.retain(|_, pause| recent(pause.since) || recent(pause.over));
    }

    fn of(&mut self, alarm: &AlarmId) -> &mut Pause {
        self.by.entry(alarm.key()).or_insert_with(|| Pause {
            alarm: alarm.name.clone(),
            since: None,
            over: None,
        })
    }
}

#[cfg(test)]
mod tests;
