//! Mistakes with container instances that EC2 warns of.

use bellhop_domain::instance::{Action, Ec2Notice, Instance};
use bellhop_engine::ports::InstanceTask;

use super::kind::Mutant;
use crate::instances::Notice;
use crate::world::World;

mutants! {
    /// Nobody tells the builds on an instance that EC2 warns of.
    WARNINGS_UNHEARD: "warnings-unheard" within 200,
    /// Each notice of an interruption is another interruption.
    EVERY_NOTICE_INTERRUPTS: "every-notice-interrupts" within 200,
    /// An instance that is taken away is not drained.
    DRAIN_FORGOTTEN: "drain-forgotten" within 200,
    /// An instance that was drained on a recommendation never takes tasks again.
    ADVICE_FOR_EVER: "advice-for-ever" within 500,
    /// A rebalance recommendation counts as an interruption.
    REBALANCE_INTERRUPTS: "rebalance-interrupts" within 200,
}

/// What EC2 tells of an instance, as it is delivered.
pub(crate) fn delivered_notice(world: &World, notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    if world.is(Mutant::REBALANCE_INTERRUPTS) {
        notice.what = Ec2Notice::Interruption(Action::Terminate);
    }
    notice
}

/// Who is on an instance, as far as somebody looks.
pub(crate) fn seen_occupants(world: &World, mut occupants: Vec<InstanceTask>) -> Vec<InstanceTask> {
    if world.is(Mutant::WARNINGS_UNHEARD) {
        occupants.retain(|occupant| matches!(occupant, InstanceTask::Foreign(_)));
    }
    occupants
}

/// The text of an instance as it is read.
pub(super) fn read_instance(world: &World, text: &str) -> Option<String> {
    if !world.is(Mutant::EVERY_NOTICE_INTERRUPTS) {
        return None;
    }
    let mut instance = serde_json::from_str::<Instance>(text).ok()?;
    instance.warned.take()?;
    serde_json::to_string(&instance).ok()
}
