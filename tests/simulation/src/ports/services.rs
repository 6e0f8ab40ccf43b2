//! ECS: services that alarms restart.

use async_trait::async_trait;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Restarted, Services};
use jiff::Timestamp;

use super::fate::Service;
use super::port::Port;
use crate::alarms;
use crate::world::{Subject, moment};

#[async_trait]
impl Services for Port {
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault> {
        let (cluster, service) = (cluster.to_owned(), service.to_owned());
        self.call(Service::Other, "UpdateService", Subject::World, move |world| {
            alarms::restart(world, &cluster, &service, moment(since))
        })
        .await
    }
}
