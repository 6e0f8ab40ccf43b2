//! The engine on AWS.

use std::sync::Arc;

use bellhop_aws::{Aws, SystemClock};
use bellhop_engine::{Engine, Keeper, Starter};

use crate::metrics::Metrics;
use crate::{MissingSettings, Settings};

/// The clients of a function, created once at its start.
#[derive(Clone)]
pub struct Suite {
    aws: Aws,
    settings: Settings,
}

impl Suite {
    /// Reads the environment. Calls no service.
    ///
    /// # Errors
    /// If variables are missing: all of them at once.
    pub fn from_environment() -> Result<Self, MissingSettings> {
        let settings = Settings::from_environment()?;
        Ok(Self::new(Aws::from_environment(), settings))
    }

    /// A suite with these settings. Calls no service.
    #[must_use]
    pub fn new(aws: Aws, settings: Settings) -> Self {
        Self { aws, settings }
    }

    /// The engine, which decides about builds and runs.
    #[must_use]
    pub fn engine(&self) -> Engine {
        let Settings {
            table,
            bucket,
            topic_arn,
            config_key,
            suite,
            ..
        } = &self.settings;
        Engine {
            suite: suite.as_str().into(),
            ledger: Arc::new(self.aws.ledger(table)),
            agents: Arc::new(self.aws.agents(bucket)),
            hosts: Arc::new(self.aws.hosts()),
            store: Arc::new(self.aws.bucket(bucket, config_key)),
            notifier: Arc::new(self.aws.topic(topic_arn)),
            pipelines: Arc::new(self.aws.pipelines()),
            source: Arc::new(self.aws.codecommit()),
            services: Arc::new(self.aws.services()),
            backups: Arc::new(self.aws.backups()),
            meter: Arc::new(Metrics::new(suite)),
            clock: Arc::new(SystemClock),
            reading: Arc::default(),
            depth: 0,
        }
    }

    /// Starts runs.
    #[must_use]
    pub fn starter(&self) -> Starter {
        Starter { engine: self.engine() }
    }

    /// Starts and checks backups.
    #[must_use]
    pub fn keeper(&self) -> Keeper {
        Keeper {
            engine: self.engine(),
            table: self.settings.table_backup.clone(),
        }
    }
}
