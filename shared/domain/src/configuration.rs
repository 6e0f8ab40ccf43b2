//! An invalid suite configuration: the version that Bellhop uses instead, and the messages to the administrators. The record is created when the
//! configuration is first found invalid; for a valid one nothing is stored.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::decision::Ignored;
use crate::message::{Message, Notice, Severity};
use crate::outbox::{ANNOUNCE_FOR, Effect, Outbox};
use crate::record::Decides;
use crate::time::later;

/// How often an invalid configuration is checked again.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The suite configuration: the record in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its problem; none if it is valid.
    pub broken: Option<Broken>,
    /// Its last problem, and when that ended.
    #[serde(default)]
    pub mended: Option<(Broken, Timestamp)>,
    /// The time of the next check.
    pub look: Option<Timestamp>,
    /// Pending effects.
    pub outbox: Outbox<ConfigurationEffect>,
}

/// A problem of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// One line with file, line, field, and what was expected.
    pub why: String,
    /// When the version in use was stored; none if there is no valid version.
    pub serves: Option<Timestamp>,
    /// When the problem was found.
    pub at: Timestamp,
}

/// An event for the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationEvent {
    /// It was read, and is invalid.
    FoundBroken {
        /// One line with file, line, field, and what was expected.
        why: String,
        /// When the version in use was stored.
        serves: Option<Timestamp>,
    },
    /// It was read, and is valid.
    FoundSound,
    /// It no longer exists.
    FoundMissing,
}

/// An effect of the configuration. It may be performed more than once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationEffect {
    /// Report that it is invalid.
    TellBroken(Broken),
    /// Report that it is valid again.
    TellMended {
        /// When that was found.
        at: Timestamp,
    },
}

impl Effect for ConfigurationEffect {
    fn abandoned_after(&self) -> Option<Duration> {
        Some(ANNOUNCE_FOR)
    }
}

impl Configuration {
    /// When the sweep should process this record next; `None` if nothing is pending.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.outbox.due().into_iter().chain(self.look).min()
    }
}

impl Decides for Configuration {
    type Event = ConfigurationEvent;
    type Effect = ConfigurationEffect;

    fn outbox(&self) -> &Outbox<ConfigurationEffect> {
        &self.outbox
    }

    fn outbox_mut(&mut self) -> &mut Outbox<ConfigurationEffect> {
        &mut self.outbox
    }

    /// A failed message cannot be reported by another message, so it is only counted.
    fn abandoned(&mut self, _: ConfigurationEffect, _: &str, _: Timestamp) {}

    fn apply(&mut self, event: &ConfigurationEvent, now: Timestamp) -> Result<(), Ignored> {
        match event {
            ConfigurationEvent::FoundBroken { why, serves } => {
                let known = self
                    .broken
                    .as_ref()
                    .is_some_and(|known| known.why == *why && known.serves == *serves);
                // A slow reader read it before it was fixed.
                let is_late = self.broken.is_none()
                    && self
                        .mended
                        .as_ref()
                        .is_some_and(|(mended, at)| mended.why == *why && now < later(*at, LOOK_AGAIN));
                if is_late {
                    return Err(Ignored::Stale);
                }
                if known && self.look.is_some_and(|look| look > now) {
                    return Err(Ignored::NothingNew);
                }
                self.look = Some(later(now, LOOK_AGAIN));
                if !known {
                    let broken = Broken {
                        why: why.clone(),
                        serves: *serves,
                        at: now,
                    };
                    self.broken = Some(broken.clone());
                    self.outbox.push(ConfigurationEffect::TellBroken(broken), now);
                }
                Ok(())
            }
            ConfigurationEvent::FoundSound => {
                let Some(broken) = self.broken.take() else {
                    return Err(Ignored::NothingNew);
                };
                self.mended = Some((broken, now));
                self.look = None;
                self.outbox.push(ConfigurationEffect::TellMended { at: now }, now);
                Ok(())
            }
            // Every run that it would start is rejected with its own message.
            ConfigurationEvent::FoundMissing => {
                if self.broken.take().is_none() {
                    return Err(Ignored::NothingNew);
                }
                self.look = None;
                Ok(())
            }
        }
    }
}

/// The message about an effect. `place` is the location of the configuration, for people.
#[must_use]
pub fn about_configuration(effect: &ConfigurationEffect, place: &str) -> Message {
    let (severity, status, at, title, now) = match effect {
        ConfigurationEffect::TellBroken(Broken { why, serves, at }) => (
            Severity::Error,
            "configuration-broken",
            *at,
            format!("the suite configuration is invalid: {why}"),
            match serves {
                Some(since) => format!("the version of {} stays in use", since.strftime("%Y-%m-%d %H:%M UTC")),
                None => "every run is rejected, because no earlier version is valid".to_owned(),
            },
        ),
        ConfigurationEffect::TellMended { at } => (
            Severity::Info,
            "configuration-mended",
            *at,
            "the suite configuration is valid again".to_owned(),
            "it is in use".to_owned(),
        ),
    };
    Notice {
        id: format!("{status}/{}", at.as_second()),
        kind: "suite",
        severity,
        status,
        body: format!("{title}\n\nFile:       {place}\nBellhop:    {now}\n"),
        title,
        time: at,
        more: vec![("file", json!(place)), ("now", json!(now))],
    }
    .message()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;
    use crate::decision::Decision;
    use crate::record::Step;
    use crate::testing::t;

    fn take(record: &Configuration, event: impl Into<Step<ConfigurationEvent>>, second: i64) -> Configuration {
        let step = event.into();
        match record.take(&step, t(second)) {
            Decision::Next(next) => *next,
            Decision::Ignored(reason) => panic!("{step:?}: {reason}"),
        }
    }

    fn broken(why: &str) -> ConfigurationEvent {
        ConfigurationEvent::FoundBroken {
            why: why.to_owned(),
            serves: Some(t(-3600)),
        }
    }

    fn told(record: &Configuration) -> Vec<String> {
        let pending = record.outbox.pending().iter();
        pending
            .map(|pending| about_configuration(&pending.effect, "s3://suite/config/bellhop.yaml").sms)
            .collect()
    }

    #[test]
    fn each_mistake_is_told_once_and_so_is_its_end() {
        let first = take(&Configuration::default(), broken("line 3: no"), 0);
        assert_eq!(told(&first), ["the suite configuration is invalid: line 3: no"]);
        assert_eq!(first.decide(&broken("line 3: no"), t(60)), Decision::Ignored(Ignored::NothingNew));
        let looked = take(&first, broken("line 3: no"), 300);
        assert_eq!((told(&looked).len(), looked.look), (1, Some(t(600))));
        let second = take(&looked, broken("line 4: no"), 400);
        assert_eq!(told(&second).len(), 2);
        let mended = take(&second, &ConfigurationEvent::FoundSound, 500);
        assert_eq!(told(&mended)[2], "the suite configuration is valid again");
        assert_eq!(mended.look, None);
        assert_eq!(
            mended.decide(&ConfigurationEvent::FoundSound, t(501)),
            Decision::Ignored(Ignored::NothingNew)
        );
        assert_eq!(mended.decide(&broken("line 4: no"), t(510)), Decision::Ignored(Ignored::Stale));
        assert_eq!(told(&take(&mended, broken("line 3: no"), 600)).len(), 4);
        assert_eq!(told(&take(&mended, broken("line 4: no"), 800)).len(), 4);
        let gone = take(&second, &ConfigurationEvent::FoundMissing, 500);
        assert_eq!((told(&gone).len(), gone.look), (2, None), "nothing is valid again");
    }

    #[test]
    fn people_are_told_what_serves_meanwhile() {
        let record = take(&Configuration::default(), broken("line 3: no"), 0);
        let message = about_configuration(&record.outbox.pending()[0].effect, "s3://suite/config/bellhop.yaml");
        assert_eq!(
            message.email,
            "the suite configuration is invalid: line 3: no\n\n\
             File:       s3://suite/config/bellhop.yaml\n\
             Bellhop:    the version of 2026-09-21 13:13 UTC stays in use\n"
        );
        assert_eq!(message.document["severity"], "error");
        assert!(message.attributes.contains(&("status", "configuration-broken".to_owned())));
    }

    #[test]
    fn a_record_is_due_while_it_is_broken_or_something_is_to_be_told() {
        let record = take(&Configuration::default(), broken("no"), 0);
        let id = record.outbox.pending()[0].id;
        let told = take(&record, Step::Performed(id), 1);
        assert_eq!(told.due(), Some(t(300)));
        assert_eq!(told.take(&Step::Performed(id), t(2)), Decision::Ignored(Ignored::NothingNew));
        assert_eq!(Configuration::default().due(), None);
        let read: Configuration = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(read, record);
    }
}
