//! The engine's ports, over the virtual world: one file per port.
//!
//! Every call awaits virtual time twice: while its request is on the way, and while its reply is. Between the two it takes effect. Other
//! invocations continue meanwhile. A port only translates: what a service does is in the service's own module.

mod agents;
mod backups;
mod clock;
mod fate;
mod images;
mod instances;
mod ledger;
mod notifier;
mod pipelines;
mod port;
mod services;
mod source;
mod store;
mod timer;
mod wait;
mod waker;

use std::sync::Arc;

use bellhop_domain::executor::NAMES;
use bellhop_domain::record::Performer;
use bellhop_engine::ports::{Executor, Executors};
use bellhop_engine::{BackupService, BuildPorts, Engine, Performs, RemedyPorts, RunStarter};

use crate::world::lock;
pub(crate) use ledger::about;
pub(crate) use port::Port;

impl Port {
    /// The engine of a function that carries builds.
    pub(crate) fn engine(&self) -> Engine {
        self.performing(self.builds())
    }

    /// The engine of the function that is woken for this.
    pub(crate) fn engine_of(&self, performer: Performer) -> Engine {
        let port = || Arc::new(self.clone());
        self.performing(match performer {
            Performer::Any | Performer::Builds => self.builds(),
            Performer::Alarms => Performs {
                remedies: Some(RemedyPorts {
                    services: port(),
                    source: port(),
                }),
                ..self.builds()
            },
            Performer::Instances => Performs {
                instances: Some(port()),
                ..self.builds()
            },
            Performer::Backups => Performs {
                backups: Some(port()),
                ..Performs::default()
            },
        })
    }

    fn builds(&self) -> Performs {
        let executors = NAMES.map(|name| (name, Arc::new(self.clone()) as Arc<dyn Executor>));
        Performs {
            builds: Some(BuildPorts {
                executors: Executors::new(executors),
                pipelines: Arc::new(self.clone()),
                images: Arc::new(self.clone()),
            }),
            ..Performs::default()
        }
    }

    fn performing(&self, performs: Performs) -> Engine {
        let port = Arc::new(self.clone());
        Engine {
            suite: crate::SUITE.into(),
            ledger: port.clone(),
            store: port.clone(),
            notifier: port.clone(),
            waker: port.clone(),
            timer: port.clone(),
            meter: port.clone(),
            clock: port,
            performs,
            reading: Arc::default(),
            recent: self.recent.clone(),
            depth: 0,
            pace: None,
        }
    }

    pub(crate) fn starter(&self) -> RunStarter {
        RunStarter {
            engine: self.engine(),
            source: Arc::new(self.clone()),
        }
    }

    pub(crate) fn backup_service(&self) -> BackupService {
        BackupService {
            engine: self.engine_of(Performer::Backups),
            table: lock(&self.world).backups.table.clone(),
        }
    }
}
