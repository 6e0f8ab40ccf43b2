//! The engine on AWS.

use std::sync::Arc;

use bellhop_aws::{Aws, SystemClock};
use bellhop_engine::ports::Source;
use bellhop_engine::{BackupService, BuildPorts, Engine, Performs, RemedyPorts, RunStarter};

use crate::metrics::Metrics;
use crate::{Callers, MissingSettings, Settings};

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

    /// The engine of a function that carries builds.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.performing(Performs {
            builds: Some(self.build_ports()),
            ..Performs::default()
        })
    }

    /// The engine of the function that applies remedies. A remedy may start a run, so it carries builds as well.
    #[must_use]
    pub fn alarm_engine(&self) -> Engine {
        let remedies = RemedyPorts {
            services: Arc::new(self.aws.services()),
            source: self.source(),
        };
        self.performing(Performs {
            builds: Some(self.build_ports()),
            remedies: Some(remedies),
            ..Performs::default()
        })
    }

    /// The engine of the function for container instances. It notifies the builds on them, so it carries builds as well.
    #[must_use]
    pub fn instance_engine(&self) -> Engine {
        self.performing(Performs {
            builds: Some(self.build_ports()),
            instances: Some(Arc::new(self.aws.instances())),
            ..Performs::default()
        })
    }

    /// Starts runs.
    #[must_use]
    pub fn run_starter(&self) -> RunStarter {
        RunStarter {
            engine: self.engine(),
            source: self.source(),
        }
    }

    /// Whether the events of this function name their callers.
    #[must_use]
    pub fn callers(&self) -> Callers {
        self.settings.callers
    }

    /// Starts and checks backups.
    #[must_use]
    pub fn backup_service(&self) -> BackupService {
        let performs = Performs {
            backups: Some(Arc::new(self.aws.backups())),
            ..Performs::default()
        };
        BackupService {
            engine: self.performing(performs),
            table: self.settings.table_backup.clone(),
        }
    }

    /// Only the services that a function asks for here are linked into it.
    fn performing(&self, performs: Performs) -> Engine {
        let Settings {
            table,
            bucket,
            topic_arn,
            wake_topic_arn,
            timer_queue_url,
            config_key,
            suite,
            ..
        } = &self.settings;
        Engine {
            suite: suite.as_str().into(),
            ledger: Arc::new(self.aws.ledger(table)),
            store: Arc::new(self.aws.bucket(bucket, config_key)),
            notifier: Arc::new(self.aws.topic(topic_arn)),
            waker: Arc::new(self.aws.wake_topic(wake_topic_arn.as_deref())),
            timer: Arc::new(self.aws.timer_queue(timer_queue_url.as_deref())),
            meter: Arc::new(Metrics::new(suite)),
            clock: Arc::new(SystemClock),
            performs,
            reading: Arc::default(),
            recent: Arc::default(),
            depth: 0,
            pace: None,
        }
    }

    fn build_ports(&self) -> BuildPorts {
        BuildPorts {
            executors: self.aws.executors(&self.settings.bucket),
            pipelines: Arc::new(self.aws.pipelines()),
            images: Arc::new(self.aws.images()),
        }
    }

    fn source(&self) -> Arc<dyn Source> {
        Arc::new(self.aws.codecommit())
    }
}
