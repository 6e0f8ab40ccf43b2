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
        let since = moment(since);
        let of = (cluster.clone(), service.clone());
        let described = self.call(Service::Other, "DescribeServices", Subject::World, move |world| {
            alarms::was_restarted(world, &of.0, &of.1, since)
        });
        match described.await? {
            None => Ok(Restarted::No("there is no such service".to_owned())),
            Some(true) => Ok(Restarted::Yes),
            Some(false) => {
                let updated = self.call_once(Service::Other, "UpdateService", Subject::World, move |world| {
                    alarms::restart(world, &service, since);
                });
                updated.await.map(|()| Restarted::Yes)
            }
        }
    }
}
