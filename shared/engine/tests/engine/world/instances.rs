//! Container instances and what runs on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use bellhop_domain::ids::InstanceId;
use bellhop_domain::instance::Host;
use bellhop_engine::Fault;
use bellhop_engine::ports::{InstanceTask, Instances};

use super::values::take;

/// Instances, each in cluster `ci`, and what runs on them.
#[derive(Default)]
pub(crate) struct FakeInstances {
    pub(crate) tasks: Mutex<BTreeMap<InstanceId, Vec<InstanceTask>>>,
    /// Those that nothing is placed on.
    pub(crate) draining: Mutex<BTreeSet<String>>,
    /// What was asked, one line each.
    pub(crate) asked: Mutex<Vec<String>>,
    /// So many questions to come get no answer.
    pub(crate) silent: AtomicUsize,
}

impl FakeInstances {
    async fn ask(&self, what: String) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if take(&self.silent) {
            return Err(Fault::transient(format!("{what} got no answer")));
        }
        self.asked.lock().unwrap().push(what);
        Ok(())
    }

    /// What was asked so far, and not given yet.
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Instances for FakeInstances {
    async fn find(&self, instance: &InstanceId, clusters: &[String]) -> Result<Option<Host>, Fault> {
        self.ask(format!("find in {clusters:?}")).await?;
        let here = clusters.iter().any(|cluster| cluster == "ci") && self.tasks.lock().unwrap().contains_key(instance);
        Ok(here.then(|| Host {
            cluster: "ci".to_owned(),
            container_instance: instance.to_string(),
        }))
    }

    async fn tasks(&self, host: &Host) -> Result<Vec<InstanceTask>, Fault> {
        self.ask("tasks".to_owned()).await?;
        let instance: InstanceId = host.container_instance.parse().unwrap();
        Ok(self.tasks.lock().unwrap().get(&instance).cloned().unwrap_or_default())
    }

    async fn drain(&self, host: &Host) -> Result<(), Fault> {
        self.ask(format!("drain {}", host.container_instance)).await?;
        self.draining.lock().unwrap().insert(host.container_instance.clone());
        Ok(())
    }

    async fn is_draining(&self, instance: &InstanceId, _: &Host) -> Result<bool, Fault> {
        self.ask(format!("is {instance} drained")).await?;
        Ok(self.draining.lock().unwrap().contains(instance.as_str()))
    }

    async fn activate(&self, host: &Host) -> Result<bool, Fault> {
        self.ask(format!("activate {}", host.container_instance)).await?;
        Ok(self.draining.lock().unwrap().remove(&host.container_instance))
    }
}
