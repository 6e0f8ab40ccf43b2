//! How a deployment goes on, from what was stored and what is seen now.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LambdaExecutor, LambdaTarget};
use crate::time::later;

/// How long the next look waits for an update of the code, or for a new version to become active. Both take seconds.
const SOON: Duration = Duration::from_secs(2);
/// How often the alarms are looked at while the alias moves in steps. A standard alarm is evaluated once a minute
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html>).
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// How far a deployment is: stored before the call that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Nothing was called.
    Begun,
    /// The function gets the code.
    Code {
        /// The version that the alias had.
        before: String,
    },
    /// A version of the code is published.
    Publish {
        /// The version that the alias had.
        before: String,
    },
    /// The alias sends a share of the invocations to the new version.
    Shift {
        /// The version that the alias had.
        before: String,
        /// The new version.
        version: String,
        /// Which step of the shift it is, from 0.
        step: usize,
        /// Since when the alias is seen there; `None` before that.
        since: Option<Timestamp>,
    },
    /// The alias sends all invocations to the new version.
    Whole {
        /// The version that the alias had.
        before: String,
        /// The new version.
        version: String,
    },
    /// The alias goes back.
    Back {
        /// The version that the alias had.
        before: String,
        /// The new version.
        version: String,
        /// The share of the new version in percent, as the alias may still have it; 100 if the alias may have moved wholly.
        percent: u8,
        /// Why; `None` if the deployment is stopped.
        why: Option<String>,
    },
}

/// What is seen of the function, its alias and the alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The newest code of the function.
    pub code: Code,
    /// Whether the new version, once there is one, can be invoked.
    pub is_active: bool,
    /// The alias.
    pub alias: Alias,
    /// The alarms, in the order in which the target names them.
    pub alarms: Vec<Alarm>,
}

/// The newest code of a function, `$LATEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The SHA-256 of its zip file, in hexadecimal digits.
    pub sha256: String,
    /// Its last update.
    pub update: Update,
}

/// The last update of a function (`LastUpdateStatus`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// It is over.
    Successful,
    /// It is under way.
    InProgress,
    /// It failed, for this reason.
    Failed(String),
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The version that gets most invocations, or all.
    pub version: String,
    /// Another version, and its share in percent.
    pub other: Option<(String, u8)>,
    /// The revision, for compare-and-set.
    pub revision: String,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
}

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// `OK`, or `INSUFFICIENT_DATA`.
    Quiet,
    /// `ALARM`
    Alarm,
    /// There is no such alarm.
    Missing,
}

/// A call that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `UpdateFunctionCode` with the artifact.
    UpdateCode,
    /// `PublishVersion` of the code with the artifact's hash. Its answer is the new version.
    Publish,
    /// `UpdateAlias`, if its revision is still this one. The routing is always sent: without it, an alias keeps its weights.
    MoveAlias {
        /// The version for most invocations, or all.
        version: String,
        /// Another version, and its share in percent.
        other: Option<(String, u8)>,
        /// The revision that was seen.
        revision: String,
    },
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Store this, and then call.
    Call(Progress, Call),
    /// Store this, and look again after this time.
    Wait(Progress, Duration),
    /// It is over.
    Done(Done),
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The alias has the new version.
    Succeeded {
        /// That version.
        version: String,
    },
    /// It failed before the alias was moved, or the alias was moved by somebody else.
    Failed(String),
    /// The alias has its version of before again.
    RolledBack(String),
    /// It was stopped, and the alias has its version of before.
    Stopped,
}

impl Progress {
    /// What comes next. `sha256` is that of the artifact; `published` is the version that the last [`Call::Publish`] gave; `stop` says that the deployment
    /// is to be stopped.
    #[must_use]
    pub fn next(&self, target: &LambdaExecutor, sha256: &str, seen: &Seen, published: Option<&str>, stop: bool, now: Timestamp) -> Next {
        let at_work = At {
            target,
            sha256,
            seen,
            published,
            stop,
            now,
        };
        match self {
            Self::Begun => at_work.begin(),
            Self::Code { before } => at_work.code(before),
            Self::Publish { before } => at_work.publish(before),
            Self::Shift {
                before,
                version,
                step,
                since,
            } => at_work.shift(before, version, *step, *since),
            Self::Whole { before, version } => at_work.whole(before, version),
            Self::Back {
                before,
                version,
                percent,
                why,
            } => at_work.back(before, version, *percent, why.as_deref()),
        }
    }
}

/// What a decision is made from.
struct At<'a> {
    target: &'a LambdaExecutor,
    sha256: &'a str,
    seen: &'a Seen,
    published: Option<&'a str>,
    stop: bool,
    now: Timestamp,
}

impl At<'_> {
    fn failed(why: impl Into<String>) -> Next {
        Next::Done(Done::Failed(why.into()))
    }

    /// Nothing was changed yet, so everything that speaks against the deployment is said now.
    fn begin(&self) -> Next {
        let LambdaTarget { function, alias, .. } = &self.target.target;
        if self.stop {
            return Next::Done(Done::Stopped);
        }
        for alarm in &self.seen.alarms {
            let name = &alarm.name;
            match alarm.state {
                AlarmState::Missing => return Self::failed(format!("there is no alarm `{name}` that could judge the deployment")),
                AlarmState::Alarm => return Self::failed(format!("the alarm `{name}` is in ALARM already: nothing was deployed")),
                AlarmState::Quiet => {}
            }
        }
        if let Some((other, percent)) = &self.seen.alias.other {
            return Self::failed(format!(
                "the alias `{alias}` of `{function}` already sends {percent} % of its invocations to version {other}: somebody else is moving it"
            ));
        }
        let before = self.seen.alias.version.clone();
        if before == "$LATEST" {
            return Self::failed(format!(
                "the alias `{alias}` of `{function}` points to $LATEST, and there would be no way back: point it to a version first"
            ));
        }
        self.code(&before)
    }

    fn code(&self, before: &str) -> Next {
        let before = before.to_owned();
        if self.stop {
            return Next::Done(Done::Stopped);
        }
        match &self.seen.code.update {
            Update::InProgress => Next::Wait(Progress::Code { before }, SOON),
            _ if self.seen.code.sha256 != self.sha256 => Next::Call(Progress::Code { before }, Call::UpdateCode),
            Update::Failed(why) => Self::failed(format!("Lambda could not take the code: {why}")),
            Update::Successful => Next::Call(Progress::Publish { before }, Call::Publish),
        }
    }

    /// The alias has not moved: stopping leaves nothing behind but code that no alias runs.
    fn publish(&self, before: &str) -> Next {
        if self.stop {
            return Next::Done(Done::Stopped);
        }
        let before = before.to_owned();
        let Some(version) = self.published else {
            return Next::Call(Progress::Publish { before }, Call::Publish);
        };
        let version = version.to_owned();
        if version == before {
            return Next::Done(Done::Succeeded { version });
        }
        if !self.seen.is_active {
            return Next::Wait(Progress::Publish { before }, SOON);
        }
        self.enter(&before, &version, 0)
    }

    /// Begins with a step of the shift, or with the whole move after the last one.
    fn enter(&self, before: &str, version: &str, step: usize) -> Next {
        let expected: Option<(String, u8)> = step
            .checked_sub(1)
            .and_then(|last| self.target.shift.get(last))
            .map(|last| (version.to_owned(), last.percent));
        if !self.is_at(before, expected.as_ref()) {
            return self.moved_by_others();
        }
        let (before, version) = (before.to_owned(), version.to_owned());
        match self.target.shift.get(step) {
            Some(shift) => {
                let call = self.move_alias(&before, Some((version.clone(), shift.percent)));
                let since = None;
                let progress = Progress::Shift {
                    before,
                    version,
                    step,
                    since,
                };
                Next::Call(progress, call)
            }
            None => {
                let call = self.move_alias(&version, None);
                Next::Call(Progress::Whole { before, version }, call)
            }
        }
    }

    fn shift(&self, before: &str, version: &str, step: usize, since: Option<Timestamp>) -> Next {
        let Some(shift) = self.target.shift.get(step) else {
            return self.enter(before, version, step);
        };
        let there = Some((version.to_owned(), shift.percent));
        if !self.is_at(before, there.as_ref()) {
            // The call of this step has not come through.
            return match since {
                None if self.stop => self.turn_back(before, version, shift.percent, None),
                None => self.enter(before, version, step),
                Some(_) => self.moved_by_others(),
            };
        }
        if self.stop {
            return self.turn_back(before, version, shift.percent, None);
        }
        if let Some(alarm) = self.seen.alarms.iter().find(|alarm| alarm.state != AlarmState::Quiet) {
            let state = if alarm.state == AlarmState::Alarm { "is in ALARM" } else { "is gone" };
            let why = format!("the alarm `{}` {state} at {} % on version {version}", alarm.name, shift.percent);
            return self.turn_back(before, version, shift.percent, Some(why));
        }
        let since = since.unwrap_or(self.now);
        if later(since, shift.lasts) <= self.now {
            return self.enter(before, version, step + 1);
        }
        let progress = Progress::Shift {
            before: before.to_owned(),
            version: version.to_owned(),
            step,
            since: Some(since),
        };
        let left = Duration::try_from(later(since, shift.lasts).duration_since(self.now)).unwrap_or(LOOK_EVERY);
        Next::Wait(progress, left.min(LOOK_EVERY))
    }

    fn whole(&self, before: &str, version: &str) -> Next {
        let last = self.target.shift.last().map(|last| (version.to_owned(), last.percent));
        if self.stop {
            return self.turn_back(before, version, 100, None);
        }
        if self.is_at(version, None) {
            let version = version.to_owned();
            return Next::Done(Done::Succeeded { version });
        }
        if !self.is_at(before, last.as_ref()) {
            return self.moved_by_others();
        }
        let progress = Progress::Whole {
            before: before.to_owned(),
            version: version.to_owned(),
        };
        Next::Call(progress, self.move_alias(version, None))
    }

    fn turn_back(&self, before: &str, version: &str, percent: u8, why: Option<String>) -> Next {
        self.back(before, version, percent, why.as_deref())
    }

    fn back(&self, before: &str, version: &str, percent: u8, why: Option<&str>) -> Next {
        if self.is_at(before, None) {
            return Next::Done(why.map_or(Done::Stopped, |why| Done::RolledBack(why.to_owned())));
        }
        let is_ours = match &self.seen.alias.other {
            None => percent == 100 && self.seen.alias.version == version,
            Some((other, _)) => self.seen.alias.version == before && other == version,
        };
        if !is_ours {
            return self.moved_by_others();
        }
        let progress = Progress::Back {
            before: before.to_owned(),
            version: version.to_owned(),
            percent,
            why: why.map(ToOwned::to_owned),
        };
        Next::Call(progress, self.move_alias(before, None))
    }

    fn is_at(&self, version: &str, other: Option<&(String, u8)>) -> bool {
        self.seen.alias.version == version && self.seen.alias.other.as_ref() == other
    }

    fn move_alias(&self, version: &str, other: Option<(String, u8)>) -> Call {
        Call::MoveAlias {
            version: version.to_owned(),
            other,
            revision: self.seen.alias.revision.clone(),
        }
    }

    fn moved_by_others(&self) -> Next {
        let LambdaTarget { function, alias, .. } = &self.target.target;
        let Alias { version, other, .. } = &self.seen.alias;
        let other = other
            .as_ref()
            .map_or_else(String::new, |(other, percent)| format!(" and sends {percent} % to version {other}"));
        Self::failed(format!(
            "the alias `{alias}` of `{function}` was moved by somebody else: it points to version {version}{other}; it is left there"
        ))
    }
}

#[cfg(test)]
mod tests;
