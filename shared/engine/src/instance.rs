//! The processing of container instances that EC2 interrupts.

use async_trait::async_trait;
use bellhop_domain::build::BuildEvent;
use bellhop_domain::decision::Decision;
use bellhop_domain::ids::{AttemptId, InstanceId};
use bellhop_domain::instance::{Instance, InstanceEffect, InstanceEvent, Reopened, What};
use bellhop_domain::message;
use bellhop_domain::observation::{AgentStatus, Observation};
use bellhop_domain::outbox::{EffectId, Outbox, Pending};
use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use crate::document::Kept;
use crate::engine::{Overdue, Record, SIDE_BY_SIDE};
use crate::ports::{DocumentKey, DocumentKind, Occupant, Versioned, Written};
use crate::{Engine, Fault, Handled};

impl Engine {
    /// Passes EC2's notice about an instance to its record, if the instance belongs to one of these clusters. [`Handled::Unknown`] if it does not, or
    /// no longer.
    ///
    /// # Errors
    /// As [`Engine::build`], and if ECS cannot be polled for the instance.
    pub async fn instance(&self, id: &InstanceId, what: What, at: Timestamp, clusters: &[String]) -> Result<Handled, Fault> {
        let Some(host) = self.hosts.find(id, clusters).await? else {
            return Ok(Handled::Unknown);
        };
        // ECS does not say who drains an instance: whether another program did can only be seen before Bellhop drains it.
        let draining = what == What::Rebalance && self.hosts.is_draining(id, &host).await?;
        let stored = self.load_kept::<Instance>(&key_of(id)).await?;
        let current = stored.unwrap_or_else(|| Versioned {
            version: 0,
            record: Instance::new(id.clone(), host),
        });
        self.advance(current, vec![InstanceEvent::Told { what, at, draining }], Overdue::Perform)
            .await
    }

    /// Marks a build as interrupted with the instance of its agent, like a Fargate Spot warning.
    async fn interrupt(&self, attempt: &AttemptId, observation: Observation) -> Result<(), Fault> {
        let observation = Observation {
            // The instance's notice has no version in the sequence of the task's versions.
            version: None,
            status: AgentStatus::Interrupted,
            ..observation
        };
        let number = attempt.number;
        let event = BuildEvent::Agent {
            attempt: number,
            observation,
        };
        let told = self.tell_build(&attempt.build, event).await?;
        tracing::info!(build = %attempt.build, attempt = number, ?told, "agent interrupted with its instance");
        Ok(())
    }
}

fn key_of(id: &InstanceId) -> DocumentKey {
    DocumentKey {
        kind: DocumentKind::Instance,
        name: id.to_string(),
    }
}

impl Kept for Instance {
    fn key(&self) -> DocumentKey {
        key_of(&self.id)
    }

    fn due(&self) -> Option<Timestamp> {
        Instance::due(self)
    }

    fn expires(&self) -> Option<Timestamp> {
        Instance::expires(self)
    }
}

#[async_trait]
impl Record for Instance {
    type Event = InstanceEvent;
    type Effect = InstanceEffect;

    fn name(&self) -> String {
        format!("instance {}", self.id)
    }

    fn decide(&self, event: &InstanceEvent, now: Timestamp) -> Decision<Self> {
        Instance::decide(self, event, now)
    }

    fn deferred(effect: EffectId, why: String) -> InstanceEvent {
        InstanceEvent::Deferred(effect, why)
    }

    fn outbox(&self) -> &Outbox<InstanceEffect> {
        &self.outbox
    }

    async fn reload(&self, engine: &Engine) -> Result<Option<Versioned<Self>>, Fault> {
        engine.load_kept(&self.key()).await
    }

    async fn store(&self, engine: &Engine, expected: u64) -> Result<Written, Fault> {
        engine.store_kept(expected, self).await
    }

    async fn complete(&self, _: &Engine, _: &mut InstanceEvent) -> Result<(), Fault> {
        Ok(())
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<InstanceEffect>) -> Result<Vec<InstanceEvent>, Fault> {
        let performed = InstanceEvent::Performed(pending.id);
        match &pending.effect {
            // It failed until its deadline. The tasks of that time are gone, and the current ones stay.
            InstanceEffect::Interrupt if self.is_past(engine.clock.now()) => Ok(vec![InstanceEvent::Interrupted {
                effect: pending.id,
                builds: Vec::new(),
                foreign: Vec::new(),
            }]),
            InstanceEffect::Interrupt => {
                let (mut agents, mut foreign) = (Vec::new(), Vec::new());
                for occupant in engine.hosts.occupants(&self.host).await? {
                    match occupant {
                        Occupant::Agent(attempt, observation) => agents.push((attempt, observation)),
                        Occupant::Foreign(task) => foreign.push(task),
                    }
                }
                let builds = agents.iter().map(|(attempt, _)| attempt.build.clone()).collect();
                let mut telling = stream::iter(agents)
                    .map(|(attempt, observation)| async move { engine.interrupt(&attempt, observation).await })
                    .buffer_unordered(SIDE_BY_SIDE);
                let mut fault = None;
                while let Some(told) = telling.next().await {
                    if let Err(other) = told {
                        tracing::error!(instance = %self.id, error = %other, "a build could not be marked as interrupted");
                        fault.get_or_insert(other);
                    }
                }
                match fault {
                    // The sweep sends all of them again: builds that already know it ignore it.
                    Some(fault) => Err(fault),
                    None => Ok(vec![InstanceEvent::Interrupted {
                        effect: pending.id,
                        builds,
                        foreign,
                    }]),
                }
            }
            InstanceEffect::Drain => {
                engine.hosts.drain(&self.host).await?;
                tracing::info!(instance = %self.id, cluster = self.host.cluster, "instance drained");
                Ok(vec![performed])
            }
            InstanceEffect::Reopen => {
                let effect = pending.id;
                let what = if !engine.hosts.is_draining(&self.id, &self.host).await? {
                    Reopened::NotDraining
                } else if !engine.hosts.occupants(&self.host).await?.is_empty() {
                    Reopened::Busy
                } else if engine.hosts.activate(&self.host).await? {
                    Reopened::Yes
                } else {
                    Reopened::NotDraining
                };
                tracing::info!(instance = %self.id, cluster = self.host.cluster, ?what, "no interruption followed the recommendation");
                Ok(vec![InstanceEvent::Reopened { effect, what }])
            }
            InstanceEffect::TellAfterAdvice { advised, what, at } => {
                let message = message::about_instance_after_advice(self, *advised, *what, *at);
                engine.notifier.publish(&message).await?;
                Ok(vec![performed])
            }
            InstanceEffect::TellAbandoned { number, what } => {
                engine
                    .notifier
                    .publish(&message::about_abandoned_of_instance(self, *number, what))
                    .await?;
                Ok(vec![performed])
            }
            InstanceEffect::Tell { warned, builds, foreign } => {
                let message = message::about_foreign(self, warned, builds, foreign);
                engine.notifier.publish(&message).await?;
                Ok(vec![performed])
            }
        }
    }
}
