//! Container instances that EC2 interrupts.

use async_trait::async_trait;
use bellhop_domain::build::{Build, BuildEvent};
use bellhop_domain::executor::Placement;
use bellhop_domain::executor::observation::{AgentStatus, Observation};
use bellhop_domain::ids::{AttemptId, InstanceId};
use bellhop_domain::instance::{Ec2Notice, Instance, InstanceEffect, InstanceEvent, Notice, Reactivation};
use bellhop_domain::message;
use bellhop_domain::outbox::Pending;
use bellhop_domain::record::Performer;
use futures::stream::{self, StreamExt};
use jiff::Timestamp;

use super::{Outcome, Record, Stored, Versioned};
use crate::advance::{Overdue, SIDE_BY_SIDE};
use crate::ports::{InstanceTask, Key};
use crate::{Engine, Fault, Handled};

impl Engine {
    /// Passes EC2's notice about an instance to its record, if the instance belongs to one of these clusters. [`Handled::Unknown`] if it does not, or
    /// no longer.
    ///
    /// # Errors
    /// As [`Engine::build`], and if ECS cannot be polled for the instance.
    pub async fn instance(&self, id: &InstanceId, notice: Notice, clusters: &[String]) -> Result<Handled, Fault> {
        let Notice { what, at, account } = notice;
        let Some(host) = self.instances()?.find(id, clusters).await? else {
            return Ok(Handled::Unknown);
        };
        // ECS does not say who drains an instance: whether another program did can only be seen before Bellhop drains it.
        let draining = what == Ec2Notice::Rebalance && self.instances()?.is_draining(id, &host).await?;
        let stored = self.ledger.load::<Instance>(id).await?;
        let current = stored.unwrap_or_else(|| Versioned::new(Instance::new(id.clone(), host)));
        self.advance(
            current,
            vec![InstanceEvent::NoticeReceived {
                what,
                at,
                account,
                draining,
            }],
            Overdue::Perform,
        )
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
        // Whose name a task on the instance carries does not prove that it is the attempt's agent.
        let event = BuildEvent::Reported {
            attempt: number,
            observation,
            placement: Placement::default(),
        };
        let notified = self.notify::<Build>(&attempt.build, event).await?;
        tracing::info!(build = %attempt.build, attempt = number, ?notified, "agent interrupted with its instance");
        Ok(())
    }
}

impl Stored for Instance {
    type Id<'a> = &'a InstanceId;

    fn key_of(id: &InstanceId) -> Key {
        Key::new(format!("INSTANCE#{id}"), "INSTANCE")
    }

    fn id(&self) -> &InstanceId {
        &self.id
    }

    fn due(&self) -> Option<Timestamp> {
        Instance::due(self)
    }

    fn timer(&self) -> Option<Timestamp> {
        self.outbox.retry()
    }

    fn expires(&self) -> Option<Timestamp> {
        Instance::expires(self)
    }
}

#[async_trait]
impl Record for Instance {
    fn name(&self) -> String {
        format!("instance {}", self.id)
    }

    fn performer(&self, effect: &InstanceEffect) -> Performer {
        match effect {
            InstanceEffect::Interrupt | InstanceEffect::Drain | InstanceEffect::Reactivate => Performer::Instances,
            InstanceEffect::Notify { .. } | InstanceEffect::NotifyAfterAdvice { .. } | InstanceEffect::NotifyAbandoned { .. } => {
                Performer::Any
            }
        }
    }

    async fn when_due(&self, _: &Engine) -> Result<Vec<InstanceEvent>, Fault> {
        Ok(vec![InstanceEvent::Tick])
    }

    async fn perform(&self, engine: &Engine, pending: &Pending<InstanceEffect>) -> Result<Outcome<InstanceEvent>, Fault> {
        match &pending.effect {
            // It failed until its deadline. The tasks of that time are gone, and the current ones stay.
            InstanceEffect::Interrupt if self.is_past(engine.clock.now()) => Ok(Outcome::Event(InstanceEvent::Interrupted {
                effect: pending.id,
                builds: Vec::new(),
                foreign: Vec::new(),
            })),
            InstanceEffect::Interrupt => {
                let (mut agents, mut foreign) = (Vec::new(), Vec::new());
                for task in engine.instances()?.tasks(&self.host).await? {
                    match task {
                        InstanceTask::Agent(attempt, observation) => agents.push((attempt, observation)),
                        InstanceTask::Foreign(other) => foreign.push(other),
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
                    None => Ok(Outcome::Event(InstanceEvent::Interrupted {
                        effect: pending.id,
                        builds,
                        foreign,
                    })),
                }
            }
            InstanceEffect::Drain => {
                engine.instances()?.drain(&self.host).await?;
                tracing::info!(instance = %self.id, cluster = self.host.cluster, "instance drained");
                Ok(Outcome::done())
            }
            InstanceEffect::Reactivate => {
                let effect = pending.id;
                let what = if !engine.instances()?.is_draining(&self.id, &self.host).await? {
                    Reactivation::NotDraining
                } else if !engine.instances()?.tasks(&self.host).await?.is_empty() {
                    Reactivation::Busy
                } else if engine.instances()?.activate(&self.host).await? {
                    Reactivation::Yes
                } else {
                    Reactivation::NotDraining
                };
                tracing::info!(instance = %self.id, cluster = self.host.cluster, ?what, "no interruption followed the recommendation");
                Ok(Outcome::Event(InstanceEvent::Reactivated { effect, what }))
            }
            InstanceEffect::NotifyAfterAdvice { advised, what, at } => {
                let message = message::about_instance_after_advice(self, *advised, *what, *at);
                engine.notifier.publish(&message).await?;
                Ok(Outcome::done())
            }
            InstanceEffect::NotifyAbandoned { number, what } => {
                engine
                    .notifier
                    .publish(&message::about_abandoned_of_instance(self, *number, what))
                    .await?;
                Ok(Outcome::done())
            }
            InstanceEffect::Notify { warned, builds, foreign } => {
                let message = message::about_foreign(self, warned, builds, foreign);
                engine.notifier.publish(&message).await?;
                Ok(Outcome::done())
            }
        }
    }
}
