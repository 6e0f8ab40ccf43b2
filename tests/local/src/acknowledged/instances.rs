//! Warnings of EC2 about container instances.

use bellhop_stand_in::{Fault, Times};

use super::inputs::sample;
use super::table::Table;

impl Table<'_> {
    /// An instance with somebody else's task on it. What it means for builds is told by the scenarios; here the calls and their faults count.
    pub(super) async fn instances(&self) -> anyhow::Result<()> {
        let ecs = self.stack.stand_in.ecs();
        let foreign = ecs.only_warn("i-0fedcba9876543210");
        self.row(
            "foreign-instance",
            "a warning",
            "spot-interruption",
            foreign,
            "in none of the suite's clusters",
        )
        .await?;
        let other = sample("ec2/state-change.json")?;
        self.row("foreign", "an instance's change of state", "spot-interruption", other, "skipped")
            .await?;

        let spare = ecs.add_instance("ci-main", "ci-ec2-spot");
        let advice = ecs.recommend_rebalance(&spare)?;
        self.row("instance", "a recommendation", "spot-interruption", advice, "done")
            .await?;

        let instance = ecs.add_instance("ci-main", "ci-ec2-spot");
        ecs.place_foreign_task(&instance, "jenkins-agent")?;
        let warning = ecs.only_warn(&instance);
        let rule = self.inject(
            "spot-interruption",
            "ecs",
            "ListContainerInstances",
            Fault::ServerError,
            Times::Always,
        );
        self.failing(
            "instance-unasked",
            "ecs: a 5xx",
            "spot-interruption",
            warning.clone(),
            "failed to look for",
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);
        let rule = self.inject(
            "spot-interruption",
            "ecs",
            "UpdateContainerInstancesState",
            Fault::ServerError,
            Times::Always,
        );
        self.failing(
            "instance-effect",
            "ecs: a 5xx",
            "spot-interruption",
            warning.clone(),
            "failed to drain",
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);
        self.state.borrow_mut().drained.push(instance);
        self.row("repeated", "the same warning again", "spot-interruption", warning, "ignored")
            .await?;
        Ok(())
    }
}
