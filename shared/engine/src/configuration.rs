//! The suite configuration in use: the stored one, or, if that is invalid, its newest valid version.

use async_trait::async_trait;
use bellhop_domain::config::SuiteConfig;
use bellhop_domain::configuration::{Configuration, ConfigurationEffect, ConfigurationEvent, about_configuration};
use bellhop_domain::decision::Decision;
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use jiff::Timestamp;

use crate::document::Kept;
use crate::engine::{Overdue, Record};
use crate::ports::{DocumentKey, DocumentKind, Versioned, Written};
use crate::{Engine, Fault, FaultKind, Handled};

/// Why no configuration can be used. Its text is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoConfiguration {
    /// It does not exist.
    Missing(String),
    /// It is invalid, and has no valid version.
    Broken(String),
}

impl NoConfiguration {
    /// The error.
    #[must_use]
    pub fn into_words(self) -> String {
        match self {
            Self::Missing(words) | Self::Broken(words) => words,
        }
    }
}

impl Engine {
    /// The suite configuration in use. If the stored one is invalid, that is reported once.
    ///
    /// # Errors
    /// If the bucket or the ledger cannot be read.
    pub async fn configuration(&self) -> Result<Result<SuiteConfig, NoConfiguration>, Fault> {
        let text = self.store.configuration().await?;
        self.serving(text.as_deref()).await
    }

    /// The same for a text that was already read.
    pub(crate) async fn serving(&self, text: Option<&str>) -> Result<Result<SuiteConfig, NoConfiguration>, Fault> {
        let Some(text) = text else {
            let place = self.store.configuration_place();
            return Ok(Err(NoConfiguration::Missing(format!(
                "the suite configuration {place} does not exist: an administrator must upload it"
            ))));
        };
        let why = match SuiteConfig::parse(text) {
            Ok(config) => return Ok(Ok(config)),
            Err(error) => error.to_string(),
        };
        let sound = self.newest_sound().await?;
        let serves = sound.as_ref().map(|(since, _)| *since);
        tracing::error!(why, serves = ?serves, "the suite configuration is invalid");
        let event = ConfigurationEvent::FoundBroken { why: why.clone(), serves };
        // The request does not wait for this message: the next reader of the file retries it.
        if let Err(fault) = self.found(event).await {
            tracing::warn!(error = %fault, "the message about the invalid suite configuration could not be sent");
        }
        Ok(match sound {
            Some((_, config)) => Ok(config),
            None => Err(NoConfiguration::Broken(why)),
        })
    }

    /// The newest valid earlier version, and when it was stored.
    async fn newest_sound(&self) -> Result<Option<(Timestamp, SuiteConfig)>, Fault> {
        let earlier = match self.store.earlier_configurations().await {
            Ok(earlier) => earlier,
            Err(fault) if fault.kind == FaultKind::Lasting => {
                tracing::warn!(error = %fault, "earlier versions of the suite configuration cannot be read");
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        for (since, version) in earlier {
            let text = self.store.earlier_configuration(&version).await?;
            if let Some(config) = text.and_then(|text| SuiteConfig::parse(&text).ok()) {
                return Ok(Some((since, config)));
            }
        }
        Ok(None)
    }

    async fn found(&self, event: ConfigurationEvent) -> Result<Handled, Fault> {
        let stored = self.load_kept::<Configuration>(&key()).await?;
        let current = stored.unwrap_or_else(|| Versioned {
            version: 0,
            record: Configuration::default(),
        });
        self.advance(current, vec![event], Overdue::Perform).await
    }

    /// Checks an invalid configuration again.
    pub(crate) async fn sweep_configuration(&self) -> Result<Handled, Fault> {
        match self.store.configuration().await?.map(|text| SuiteConfig::parse(&text).is_ok()) {
            Some(true) => self.found(ConfigurationEvent::FoundSound).await,
            Some(false) => self.configuration().await.map(|_| Handled::Done),
            None => self.found(ConfigurationEvent::FoundMissing).await,
        }
    }
}

fn key() -> DocumentKey {
    DocumentKey {
        kind: DocumentKind::Configuration,
        name: "suite".to_owned(),
    }
}

impl Kept for Configuration {
    fn key(&self) -> DocumentKey {
        key()
    }

    fn due(&self) -> Option<Timestamp> {
        Configuration::due(self)
    }

    fn expires(&self) -> Option<Timestamp> {
        None
    }
}

#[async_trait]
impl Record for Configuration {
    type Event = ConfigurationEvent;
    type Effect = ConfigurationEffect;

    fn name(&self) -> String {
        "the suite configuration".to_owned()
    }

    fn decide(&self, event: &ConfigurationEvent, now: Timestamp) -> Decision<Self> {
        Configuration::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> ConfigurationEvent {
        ConfigurationEvent::Deferred(effect, why)
    }

    fn outbox(&self) -> &Outbox<ConfigurationEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.load_kept(&key()).await
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.store_kept(expected, self).await
    }

    async fn complete(&self, _: &Engine, _: &mut ConfigurationEvent) -> Result<(), Fault> {
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<ConfigurationEffect>) -> Result<Vec<ConfigurationEvent>, Fault> {
        let message = about_configuration(&pending.effect, &engine.store.configuration_place());
        engine.notifier.publish(&message).await?;
        Ok(vec![ConfigurationEvent::Performed(pending.id)])
    }
}
