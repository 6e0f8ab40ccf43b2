//! The suite configuration in use: the stored one, or, if that is invalid, its newest valid version.

use bellhop_domain::config::{FileError, SuiteConfig};
use bellhop_domain::configuration::{Configuration, ConfigurationEvent};
use jiff::Timestamp;

use crate::advance::Overdue;
use crate::records::Versioned;
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
    pub fn into_message(self) -> String {
        match self {
            Self::Missing(message) | Self::Broken(message) => message,
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
        let error = match SuiteConfig::parse(text) {
            Ok(config) => return Ok(Ok(config)),
            Err(error) => error,
        };
        let (event, serves) = self.found_broken(&error).await?;
        // The request does not wait for this message: the next reader of the file retries it.
        if let Err(fault) = self.found(event).await {
            tracing::warn!(error = %fault, "the message about the invalid suite configuration could not be sent");
        }
        Ok(serves.ok_or_else(|| NoConfiguration::Broken(error.to_string())))
    }

    /// The event that the stored configuration has this error, and the version that is used instead.
    pub(crate) async fn found_broken(&self, error: &FileError) -> Result<(ConfigurationEvent, Option<SuiteConfig>), Fault> {
        let why = error.to_string();
        let (serves, config) = self.newest_sound().await?.unzip();
        tracing::error!(why, serves = ?serves, "the suite configuration is invalid");
        Ok((ConfigurationEvent::FoundBroken { why, serves }, config))
    }

    /// The newest valid earlier version, and when it was stored.
    async fn newest_sound(&self) -> Result<Option<(Timestamp, SuiteConfig)>, Fault> {
        let earlier = match self.store.earlier_configurations().await {
            Ok(earlier) => earlier,
            Err(fault) if fault.kind == FaultKind::Permanent => {
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
        let stored = self.ledger.load::<Configuration>(()).await?;
        let current = stored.unwrap_or_else(|| Versioned::new(Configuration::default()));
        self.advance(current, vec![event], Overdue::Perform).await
    }
}
