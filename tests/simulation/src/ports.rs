//! The engine's ports, over the virtual world: one file per port.
//!
//! Every call awaits virtual time twice: while its request is on the way, and while its reply is. Between the two it takes effect. Whatever else is
//! going on in the world goes on meanwhile. A port only translates: what a service does is in the service's own module.

mod agents;
mod backups;
mod clock;
mod fate;
mod hosts;
mod ledger;
mod notifier;
mod pipelines;
mod port;
mod services;
mod source;
mod store;
mod wait;

use std::sync::Arc;

use bellhop_engine::{Engine, Keeper, Starter};

use crate::world::lock;
pub(crate) use port::Port;

impl Port {
    pub(crate) fn engine(&self) -> Engine {
        let port = Arc::new(self.clone());
        Engine {
            suite: crate::SUITE.into(),
            ledger: port.clone(),
            agents: port.clone(),
            store: port.clone(),
            notifier: port.clone(),
            pipelines: port.clone(),
            hosts: port.clone(),
            source: port.clone(),
            services: port.clone(),
            backups: port.clone(),
            meter: port.clone(),
            clock: port,
            reading: Arc::default(),
            depth: 0,
        }
    }

    pub(crate) fn starter(&self) -> Starter {
        Starter { engine: self.engine() }
    }

    pub(crate) fn keeper(&self) -> Keeper {
        Keeper {
            engine: self.engine(),
            table: lock(&self.world).backups.table.clone(),
        }
    }
}
