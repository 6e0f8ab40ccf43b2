//! Container instances that EC2 interrupts: the effects for one, performed once, however often EC2 reports it.
//!
//! The builds on it decide for themselves what their interruption means; see [Spot Instance interruption
//! notices](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html) and [container instance
//! draining](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-draining.html).
//!
//! From the bottom up: `notice` (what EC2 says), `effect`, `record`, `event`, `decide`. Texts for people are in `message::instance`, the parsing of
//! EC2's events is in the events crate, and calls to ECS are the engine's. Nothing here knows a build: the effect `Interrupt` reaches the builds.
//! Look first at `decide.rs`.

mod decide;
mod effect;
mod event;
mod notice;
mod record;
#[cfg(test)]
mod tests;

pub use decide::ADVICE_FOR;
pub use effect::{AfterAdvice, InstanceEffect};
pub use event::{InstanceEvent, Reactivation};
pub use notice::{Action, Ec2Notice, ForeignTask, Host, InterruptionNotice, Notice};
pub use record::Instance;
