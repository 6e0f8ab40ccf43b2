//! Drains instances that EC2 interrupts, and marks their builds as interrupted.
//!
//! EC2 sends notices about every Spot instance of the account. Most instances are foreign, and cost one call to each of the suite's clusters, once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellhop_domain::ids::InstanceId;
use bellhop_domain::instance::{Ec2Notice, Notice};
use bellhop_domain::measure::Measure;
use bellhop_engine::{Engine, Fault, Handled, NoConfiguration};
use bellhop_events::{Event, InstanceNotice};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long an instance counts as foreign after no cluster had it. It may join a cluster later, but not during an interruption.
const FOREIGN_FOR: Duration = Duration::from_secs(10 * 60);
/// How many foreign instances are remembered.
const MOST_FOREIGN: usize = 10_000;
/// How long the clusters of the suite configuration are cached.
const CLUSTERS_FOR: Duration = Duration::from_secs(60);

/// The handler, with its cache between two invocations of one environment.
#[derive(Clone)]
pub struct Watch {
    engine: Engine,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    clusters: Option<(Timestamp, Vec<String>)>,
    /// Instances that no cluster had, and when: separately for warnings and recommendations. An instance with a recommendation may not have joined
    /// its cluster yet, so its warning is looked up again.
    foreign: HashMap<(InstanceId, bool), Timestamp>,
}

impl Watch {
    /// A handler with an empty cache.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            memory: Arc::default(),
        }
    }

    /// Passes EC2's notices to the instances' records and to the builds on them, and returns the result of each part of the input.
    ///
    /// # Errors
    /// The first fault, after every event of the input was tried. Retrying the input changes nothing twice.
    pub async fn handle(&self, input: &Value) -> Result<Value, Fault> {
        bellhop_runtime::each_event(&*self.engine.meter, input, async |event| match event {
            Event::Instance(notice) => Some(self.notice(&notice).await),
            Event::WakeUp(records) => Some(bellhop_runtime::take_wake_up(&self.engine, records).await),
            _ => None,
        })
        .await
    }

    async fn notice(&self, notice: &InstanceNotice) -> Result<Value, Fault> {
        let InstanceNotice {
            instance,
            what,
            at,
            account,
        } = notice;
        let result = match self.take(instance, *what, *at, account.clone()).await? {
            Handled::Done => "done".to_owned(),
            Handled::Ignored(reason) => {
                if reason.is_suspicious() {
                    tracing::warn!(%instance, %reason, "an instance event was not believed");
                    self.engine.meter.count(None, &[Measure::Dropped]);
                }
                format!("ignored: {reason}")
            }
            Handled::Unknown => "ignored: in none of the suite's clusters".to_owned(),
        };
        let told = match what {
            Ec2Notice::Interruption(_) => "interruption",
            Ec2Notice::Rebalance => "rebalance",
        };
        tracing::info!(%instance, told, result, "instance event");
        Ok(json!({ "instance": instance, "told": told, "result": result }))
    }

    async fn take(&self, instance: &InstanceId, what: Ec2Notice, at: Option<Timestamp>, account: Option<String>) -> Result<Handled, Fault> {
        let now = self.engine.clock.now();
        let warned = matches!(what, Ec2Notice::Interruption(_));
        if self.is_foreign(instance, warned, now) {
            return Ok(Handled::Unknown);
        }
        let Some(clusters) = self.clusters(now).await? else {
            return Ok(Handled::Unknown);
        };
        let notice = Notice {
            what,
            at: at.unwrap_or(now),
            account,
        };
        let handled = self.engine.instance(instance, notice, &clusters).await?;
        if handled == Handled::Unknown {
            self.remember_foreign(instance, warned, now);
        }
        Ok(handled)
    }

    /// The clusters of the suite's agents; `None` without a configuration, because then there are no builds.
    async fn clusters(&self, now: Timestamp) -> Result<Option<Vec<String>>, Fault> {
        let known = self.memory(|memory| memory.clusters.clone());
        if let Some((read, clusters)) = &known
            && is_within(*read, CLUSTERS_FOR, now)
        {
            return Ok(Some(clusters.clone()));
        }
        let clusters: Vec<String> = match (self.engine.configuration().await, known) {
            (Ok(Ok(suite)), _) => suite.clusters().into_iter().collect(),
            (Ok(Err(NoConfiguration::Missing(_))), _) => return Ok(None),
            // Builds from before the error may still be running, and have two minutes.
            (Ok(Err(NoConfiguration::Broken(why))), Some((_, clusters))) => {
                tracing::warn!(
                    why,
                    "the suite configuration cannot be used: Bellhop keeps using the last known clusters"
                );
                clusters
            }
            (Err(fault), Some((_, clusters))) => {
                tracing::warn!(error = %fault, "the suite configuration cannot be read: Bellhop keeps using the last known clusters");
                return Ok(Some(clusters));
            }
            (Ok(Err(NoConfiguration::Broken(why))), None) => {
                let place = self.engine.store.configuration_place();
                return Err(Fault::permanent(format!(
                    "{place}, which names the clusters, cannot be used: {why}"
                )));
            }
            (Err(fault), None) => return Err(fault),
        };
        self.memory(|memory| memory.clusters = Some((now, clusters.clone())));
        Ok(Some(clusters))
    }

    fn is_foreign(&self, instance: &InstanceId, warned: bool, now: Timestamp) -> bool {
        let key = (instance.clone(), warned);
        let seen = self.memory(|memory| memory.foreign.get(&key).copied());
        seen.is_some_and(|seen| is_within(seen, FOREIGN_FOR, now))
    }

    fn remember_foreign(&self, instance: &InstanceId, warned: bool, now: Timestamp) {
        self.memory(|memory| {
            if memory.foreign.len() >= MOST_FOREIGN {
                memory.foreign.retain(|_, seen| is_within(*seen, FOREIGN_FOR, now));
            }
            // Beyond this number, instances are looked up again instead of remembered.
            if memory.foreign.len() < MOST_FOREIGN {
                memory.foreign.insert((instance.clone(), warned), now);
            }
        });
    }

    fn memory<T>(&self, access: impl FnOnce(&mut Memory) -> T) -> T {
        access(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_within(from: Timestamp, span: Duration, now: Timestamp) -> bool {
    from.checked_add(span).is_ok_and(|until| now < until)
}
