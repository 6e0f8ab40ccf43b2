//! ECS: container instances.

use async_trait::async_trait;
use bellhop_domain::ids::InstanceId;
use bellhop_domain::instance::Host;
use bellhop_engine::Fault;
use bellhop_engine::ports::{InstanceTask, Instances};
use futures::future::join_all;

use super::fate::Service;
use super::port::Port;
use crate::mutant::{self, Mutant};
use crate::world::{Subject, lock};
use crate::{checks, instances};

#[async_trait]
impl Instances for Port {
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault> {
        let asked = clusters.iter().map(|cluster| {
            let (instance, cluster) = (instance.clone(), cluster.clone());
            self.call(Service::Other, "ListContainerInstances", Subject::World, move |world| {
                instances::find(world, &instance, &cluster)
            })
        });
        let mut unanswered = None;
        for answer in join_all(asked).await {
            match answer {
                Ok(Some(host)) => return Ok(Some(host)),
                Ok(None) => {}
                Err(fault) => unanswered = Some(fault),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }

    async fn tasks(&self, host: &Host) -> Result<Vec<InstanceTask>, Fault> {
        let of = host.clone();
        let listed = self
            .call(Service::Other, "ListTasks", Subject::World, move |world| {
                instances::list(world, &of)
            })
            .await?;
        let described = self
            .call(Service::Other, "DescribeTasks", Subject::World, move |world| {
                instances::describe(world, &listed)
            })
            .await?;
        checks::instances::looked(&mut lock(&self.world), host, &described);
        Ok(mutant::seen_occupants(&lock(&self.world), described))
    }

    async fn drain(&self, host: &Host) -> Result<(), Fault> {
        if lock(&self.world).is(Mutant::DRAIN_FORGOTTEN) {
            return Ok(());
        }
        let of = host.clone();
        self.call(Service::Other, "UpdateContainerInstancesState", Subject::World, move |world| {
            instances::drain(world, &of);
        })
        .await?;
        checks::instances::drained(&mut lock(&self.world), host);
        Ok(())
    }

    async fn is_draining(&self, instance: &InstanceId, _: &Host) -> Result<bool, Fault> {
        let instance = instance.clone();
        self.call(Service::Other, "ListContainerInstances", Subject::World, move |world| {
            instances::is_draining(world, &instance)
        })
        .await
    }

    async fn activate(&self, host: &Host) -> Result<bool, Fault> {
        if lock(&self.world).is(Mutant::ADVICE_FOR_EVER) {
            return Ok(false);
        }
        let of = host.clone();
        self.call(Service::Other, "UpdateContainerInstancesState", Subject::World, move |world| {
            instances::activate(world, &of)
        })
        .await
    }
}
