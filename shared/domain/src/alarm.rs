//! Alarms of CloudWatch: which of their state changes are news, who is told of them, and what is done about them.
//!
//! One transition of an alarm may arrive in three forms (an event of EventBridge, a message of SNS, a direct invocation), late, repeated and out of
//! order. It is known by the alarm, the state and the moment that the state began at. An alarm that keeps changing is told as flapping once, and again
//! when it has settled; what the suite does about it is held back by the ledger, at most once in a while per target ([`Claim`]).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, Ignored};
use crate::ids::JobName;
use crate::outbox::{Deferral, Effect, EffectId, Outbox, PERFORM_WITHIN, TELL_FOR, TRY_FOR, later};

/// Two times of one state that are no further apart than this are one transition: the forms of an event round them differently.
pub const SAME_WITHIN: Duration = Duration::from_secs(2);
/// An alarm that changes [`FLAPS`] times within this is flapping.
pub const FLAP_WINDOW: Duration = Duration::from_secs(10 * 60);
/// See [`FLAP_WINDOW`].
pub const FLAPS: usize = 5;
/// How long a flapping alarm has to keep its state until people are told which one it is.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// The longest that one alarm keeps starts paused: nobody may ever hear of its end.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// The most characters that are kept of why something could not be done.
const MESSAGE_LIMIT: usize = 300;
/// How long an alarm that nothing is heard of is remembered.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

/// Which alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlarmId {
    /// Its region, such as `us-east-1`, where the event tells.
    pub region: Option<String>,
    /// Its account, where the event tells.
    pub account: Option<String>,
    /// Its name.
    pub name: String,
    /// The id of one contributor to it, where the event is about one: an alarm over many series has a state for each, beside its own.
    pub contributor: Option<String>,
}

impl AlarmId {
    /// Its name in the ledger.
    #[must_use]
    pub fn key(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let of = self.contributor.as_ref().map(|id| format!("#{id}")).unwrap_or_default();
        format!("{}/{}/{}{of}", part(&self.region), part(&self.account), self.name)
    }
}

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// Something is not.
    Alarm,
    /// It cannot tell. Neither opens nor closes anything.
    InsufficientData,
}

impl AlarmState {
    /// The word that CloudWatch has for it.
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

/// A state change of an alarm, as the parsers of `bellhop-events` hand it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlarmChange {
    /// The alarm.
    pub id: AlarmId,
    /// Its state now.
    pub state: AlarmState,
    /// Since when; `None` where the event does not tell.
    pub at: Option<Timestamp>,
    /// Its state before, where the event tells.
    pub previous: Option<AlarmState>,
    /// Why its owners want no action now: a mute rule or a suppressor of a composite alarm. Nobody is told then, and nothing is done.
    pub quiet: Option<String>,
    /// What there is to tell about it.
    pub facts: AlarmFacts,
}

/// What an event tells about an alarm. Every text is one line of bounded length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct AlarmFacts {
    /// Why it changed, in CloudWatch's words.
    pub reason: Option<String>,
    /// What its owners say about it.
    pub description: Option<String>,
    /// What it measures: a metric or an expression.
    pub measure: Option<String>,
    /// The rule of a composite alarm.
    pub rule: Option<String>,
    /// The metric's namespace.
    pub namespace: Option<String>,
    /// What the metric is of, or who the contributor is.
    pub dimensions: BTreeMap<String, String>,
    /// The newest value.
    pub value: Option<String>,
    /// The threshold, or the band of an anomaly alarm.
    pub threshold: Option<String>,
    /// How value and threshold are compared for ALARM.
    pub comparison: Option<Comparison>,
    /// The alarms that made a composite alarm change.
    pub because: Vec<String>,
}

/// How a value is compared with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// The value is above it.
    Above,
    /// The value is above it or equal.
    AtLeast,
    /// The value is below it.
    Below,
    /// The value is below it or equal.
    AtMost,
    /// The value is outside of the band.
    Outside,
}

/// What the suite does about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyAction {
    /// Starts new tasks of an ECS service in place of the ones that run.
    RestartService {
        /// The service's cluster.
        cluster: String,
        /// The service.
        service: String,
    },
    /// Starts a job of the suite's own.
    RunJob(JobName),
    /// Starts a backup of the configuration.
    BackUp(String),
    /// Launches no agents until the alarm is OK again.
    PauseStarts,
}

impl RemedyAction {
    /// What it is done to: alarms with the same target share its `at-most-every`.
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

/// What the suite configuration says about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Remedy {
    /// What to do.
    pub action: RemedyAction,
    /// The shortest time between two times; zero for any.
    #[serde(with = "crate::serde_duration")]
    pub at_most_every: Duration,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What is to be done about an alarm, as the suite configuration had it when the alarm was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No rule matches: people are told, and that is all.
    Nothing,
    /// The first rule that matches.
    Remedy(Remedy),
    /// The configuration cannot be read. The text says why.
    Unknown(String),
}

/// What became of what was to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedied {
    /// It was done. The text says more, such as the run that was started.
    Done(Option<String>),
    /// It was done not long ago, for this alarm or another.
    Held {
        /// When it was done.
        since: Timestamp,
    },
    /// It cannot be done. The text says why.
    Failed(String),
    /// It could not be done yet, and is tried again.
    TriedAgain,
    /// Another alarm's try to do it may be under way. It is done for this one, unless that try is known to have done it.
    Waits {
        /// Since when the other alarm wants it.
        since: Timestamp,
    },
    /// The alarm was over before it was done.
    NotNeeded,
    /// It would be done, were it not for `dry-run`.
    DryRun,
}

/// What people are told about what was to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RemedyNews {
    /// What was to be done.
    pub remedy: Remedy,
    /// What became of it.
    pub outcome: Remedied,
}

/// A state that an alarm has gone to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transition {
    /// The state.
    pub state: AlarmState,
    /// Since when.
    pub at: Timestamp,
    /// When it was learnt.
    pub heard: Timestamp,
    /// The state before, where that is known.
    pub previous: Option<AlarmState>,
    /// Why nobody is told and nothing done.
    pub quiet: Option<String>,
    /// What there is to tell.
    pub facts: AlarmFacts,
}

/// An alarm and what became of it: the record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alarm {
    /// The alarm.
    pub id: AlarmId,
    /// Where it stands; `None` before its first event.
    pub current: Option<Transition>,
    /// Since when something is not well: from the first ALARM to the next OK, whatever is between.
    pub open: Option<Timestamp>,
    /// The transition to ALARM that people are to be told of once it is known what was done about it.
    pub untold: Option<Transition>,
    /// The configuration could not be read when the alarm went off. Says why.
    pub unconfigured: Option<String>,
    /// When it changed last, oldest first: at most [`FLAPS`] of them.
    pub changes: Vec<Timestamp>,
    /// Since when it is flapping.
    pub flapping: Option<Timestamp>,
    /// Since when it keeps starts paused.
    pub paused: Option<Timestamp>,
    /// What is still to be done.
    pub outbox: Outbox<AlarmEffect>,
}

/// What can happen to an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlarmEvent {
    /// It changed its state, or is said to.
    Changed {
        /// To what.
        change: Box<AlarmChange>,
        /// What is to be done if that is ALARM.
        wanted: Wanted,
    },
    /// What was to be done has been, or will not be.
    Remedied {
        /// The effect.
        effect: EffectId,
        /// What became of it.
        outcome: Remedied,
    },
    /// What was to be done waits for what another alarm may have under way.
    Waits {
        /// The effect, which stays in the outbox.
        effect: EffectId,
        /// Since when the other alarm wants it.
        since: Timestamp,
    },
    /// An effect has taken place.
    Performed(EffectId),
    /// An effect was tried in vain, for this reason; it stays in the outbox, unless it is abandoned.
    Deferred(EffectId, String),
    /// Time has passed.
    Tick,
}

/// What is to be done for an alarm. Every one of them may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmEffect {
    /// Do what the suite configuration says.
    Remedy {
        /// Since when the alarm is in ALARM: names the occasion.
        at: Timestamp,
        /// What to do.
        remedy: Remedy,
    },
    /// Let others have the target of what could not be done.
    Release {
        /// The occasion, as for the remedy.
        at: Timestamp,
        /// What could not be done.
        remedy: Remedy,
    },
    /// Let starts go on that the alarm keeps paused.
    Resume {
        /// Every pause that was asked for up to here is over.
        until: Timestamp,
    },
    /// Tell people.
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

/// Something about an alarm that is told to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlarmNews {
    /// What it is.
    pub what: AlarmNewsKind,
    /// The state that it is about.
    pub transition: Transition,
    /// Since when something was not well.
    pub open: Option<Timestamp>,
    /// What was to be done, and became of it.
    pub remedy: Option<RemedyNews>,
    /// Why nothing could be done: the configuration cannot be read.
    pub unconfigured: Option<String>,
    /// When it was decided to tell.
    pub told: Timestamp,
}

/// What is told about an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmNewsKind {
    /// It changed its state.
    Changed,
    /// It changes its state so often that nothing more is told until it settles.
    Flapping,
    /// It has kept its state for a while after it was flapping.
    Settled,
    /// What was to be done has been, or cannot be, after people were told of the alarm itself.
    Remedied,
    /// Starts were paused for so long that they go on, although the alarm is not OK.
    PauseEnded,
}

impl Alarm {
    /// An alarm that nothing was heard of yet.
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

    /// When the sweep should look at this alarm next; `None` while nothing is to be done and nothing waited for.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due().into_iter().chain(self.settles()).chain(self.pause_ends()).min()
    }

    /// When the record may be forgotten; `None` while something is due.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        let heard = self.current.as_ref()?.heard;
        self.due().is_none().then(|| later(heard, KEEP))
    }

    /// Names the occasion of a transition to ALARM, for whatever has to be done once for it.
    #[must_use]
    pub fn occasion(&self, at: Timestamp) -> String {
        format!("{}@{at}", self.id.key())
    }

    /// What an event makes of this alarm at a moment.
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
            // A form of the present state may come with a time of its own; of another state nothing older counts.
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
            // What nobody wants to hear of opens nothing: once it is wanted, it comes again.
            _ if transition.quiet.is_some() && transition.state != AlarmState::Ok => {}
            AlarmState::Alarm => {
                self.counts(&transition, now);
                self.open.get_or_insert(transition.at);
                self.went_off(transition, wanted, now);
            }
            AlarmState::Ok => {
                // The event between may have been lost.
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
                // An occasion that is overtaken by the next needs nothing of its own any more.
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
            // A contributor's state is a part of its alarm's; what there is to do is done for the alarm.
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

    /// What is to be done under this name, and the occasion.
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
            // It may have been written all the same, or stand since the alarm went off before.
            self.resume(now);
        }
        let news = RemedyNews {
            remedy,
            outcome: outcome.clone(),
        };
        match self.untold.take() {
            Some(transition) if self.flapping.is_none() => self.tell(AlarmNewsKind::Changed, transition, Some(news), now),
            // Who was told of the alarm already wants to hear of what was done; what was not done again is no news.
            untold => {
                let about = untold.or_else(|| self.current.clone()).filter(|transition| transition.at == at);
                if let (Some(transition), Remedied::Done(_) | Remedied::Failed(_)) = (about, outcome) {
                    self.tell(AlarmNewsKind::Remedied, transition, Some(news), now);
                }
            }
        }
    }

    /// What is wanted stays wanted, and is tried again like what was decided now. It ends with the claim: done or failed, and after `at-most-every` for sure.
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
            // Nobody can be told that nobody can be told: it is counted.
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

    /// Tells of an alarm that waits for what is done about it, because that does not matter any more.
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

    /// Counts a change. Gives whether people are not to be told of it, as the alarm is flapping; who was not told that yet, is now.
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
        // The clock that decided upon the pause may be ahead of this one.
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

/// Who had something done to a target last, so that it is not done again too soon: a record in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The target ([`RemedyAction::target`]).
    pub target: String,
    /// The occasion ([`Alarm::occasion`]).
    pub by: String,
    /// When. What was begun at the target since then counts as done for this claim.
    pub at: Timestamp,
    /// How long the record matters.
    pub until: Timestamp,
    /// Whether it was done. Until then the claim only keeps others away for as long as somebody may be at it.
    pub done: bool,
    /// When it was tried last.
    #[serde(default)]
    pub tried: Option<Timestamp>,
    /// When it was done, or failed for good.
    #[serde(default)]
    pub over: Option<Timestamp>,
}

/// What came of claiming a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// It is this occasion's: the claim is new, or the same occasion's as before.
    Yes(Claim),
    /// It was done for another occasion at this moment, which is not long ago.
    Done(Timestamp),
    /// Another occasion wants it since this moment, and may be at it now.
    Busy(Timestamp),
}

impl Claim {
    /// What an occasion gets of a target, whose claim may be there already.
    #[must_use]
    pub fn take(present: Option<&Self>, target: &str, by: &str, every: Duration, now: Timestamp) -> Claimed {
        // Whoever repeats a try of this occasion has to meet its claim.
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
            // It is not known to be done, and may be: what was begun since then counts.
            Some(claim) if !claim.done && later(claim.at, every) > now => Claimed::Yes(Self { at: claim.at, ..own }),
            _ => Claimed::Yes(own),
        }
    }

    /// This claim once its occasion's remedy was done, or has failed for good; `None` where that changes nothing.
    #[must_use]
    pub fn end(&self, by: &str, done: bool, now: Timestamp) -> Option<Self> {
        let is_news = self.by == by && !self.done && (done || self.over.is_none());
        is_news.then(|| Self {
            done,
            over: Some(now),
            ..self.clone()
        })
    }

    /// Whether somebody may be at it: as long as a function may work that has begun.
    fn may_be_tried(&self, every: Duration, now: Timestamp) -> bool {
        let tried = self.tried.unwrap_or(self.at);
        !self.done && self.over.is_none() && later(tried, every.min(PERFORM_WITHIN)) > now
    }

    fn ended(&self) -> Timestamp {
        self.over.unwrap_or(self.at)
    }
}

/// Which alarms keep agents from being launched: the one record of it in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// By the alarm's key.
    pub by: BTreeMap<String, Pause>,
}

/// An alarm that keeps agents from being launched, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The alarm's name.
    pub alarm: String,
    /// Since when; `None` if it does not, any more.
    pub since: Option<Timestamp>,
    /// What it asked for up to here is over: a request that is performed late changes nothing.
    pub over: Option<Timestamp>,
}

impl Pauses {
    /// Pauses starts for an alarm. Gives whether that changed anything.
    pub fn pause(&mut self, alarm: &AlarmId, at: Timestamp) -> bool {
        let pause = self.of(alarm);
        if pause.since == Some(at) || pause.over.is_some_and(|over| at <= over) {
            return false;
        }
        pause.since = Some(at);
        true
    }

    /// Lets starts go on as far as an alarm is concerned. Gives whether that changed anything.
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

    /// The names of the alarms that keep agents from being launched now.
    #[must_use]
    pub fn now(&self, now: Timestamp) -> Vec<&str> {
        let holds = |pause: &&Pause| pause.since.is_some_and(|since| now < later(since, LONGEST_PAUSE));
        self.by.values().filter(holds).map(|pause| pause.alarm.as_str()).collect()
    }

    /// Forgets what cannot matter any more.
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
