//! The suite configuration, while it is invalid.

use async_trait::async_trait;
use bellhop_domain::config::SuiteConfig;
use bellhop_domain::configuration::{Configuration, ConfigurationEffect, ConfigurationEvent, about_configuration};
use bellhop_domain::outbox::Pending;
use bellhop_domain::record::Performer;
use jiff::Timestamp;

use super::{Outcome, Record, Stored};
use crate::ports::Key;
use crate::{Engine, Fault};

impl Stored for Configuration {
    type Id<'a> = ();

    fn key_of((): ()) -> Key {
        Key::new("CONFIGURATION#suite", "CONFIGURATION")
    }

    fn id(&self) {}

    fn due(&self) -> Option<Timestamp> {
        Configuration::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }
}

#[async_trait]
impl Record for Configuration {
    fn name(&self) -> String {
        "the suite configuration".to_owned()
    }

    fn performer(&self, _: &ConfigurationEffect) -> Performer {
        Performer::Any
    }

    /// The configuration is checked again.
    async fn when_due(&self, engine: &Engine) -> Result<Vec<ConfigurationEvent>, Fault> {
        let Some(text) = engine.store.configuration().await? else {
            return Ok(vec![ConfigurationEvent::FoundMissing]);
        };
        Ok(vec![match SuiteConfig::parse(&text) {
            Ok(_) => ConfigurationEvent::FoundSound,
            Err(error) => engine.found_broken(&error).await?.0,
        }])
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<ConfigurationEffect>) -> Result<Outcome<ConfigurationEvent>, Fault> {
        let message = about_configuration(&pending.effect, &engine.store.configuration_place());
        engine.notifier.publish(&message).await?;
        Ok(Outcome::done())
    }
}
