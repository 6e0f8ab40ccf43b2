//! A story of EC2 instances: Spot takes one away, with two builds and somebody else's task on it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::demo::{Demo, ends_of};

/// How long after the tests began the instance is taken. They take seven seconds, and the instance is gone four seconds later.
const HALF_WAY: Duration = Duration::from_millis(1500);

/// Tells the story.
///
/// # Errors
/// Something could not be set up, or the story did not go as it should.
pub(crate) async fn run(keep: bool) -> anyhow::Result<()> {
    let demo = Demo::begin().await?;
    demo.stack.configure("bellhop-on-instances.yaml").await?;
    demo.shop.add("shop-on-instances")?;
    demo.shop.commit("Test twice").await?;
    let ecs = demo.stack.stand_in.ecs();
    let spot = ecs.add_instance("ci-main", "ci-ec2-spot");
    ecs.add_instance("ci-main", "ci-ec2");
    ecs.place_foreign_task(&spot, "jenkins-agent")?;

    println!("A push. Two of its jobs run on an EC2 Spot instance, next to a Jenkins agent:\n");
    let mut begun = None;
    let mut taken = false;
    let run = demo
        .push_and("Test twice", async |story| {
            if !taken && half_way(&demo, &mut begun)? {
                taken = true;
                story.tell("EC2", &format!("reclaims {spot}"));
                ecs.warn_instance(&spot, "terminate")?;
            }
            Ok(true)
        })
        .await?;
    demo.show(&run).await?;
    ensure!(run["status"] == "succeeded", "the run should have succeeded: {run}");
    let report = demo.report(&run).await?;
    for build in report["builds"].as_array().into_iter().flatten() {
        let ends = ends_of(build);
        ensure!(
            ends == [("spot", "interrupted"), ("on-demand", "succeeded")],
            "each build should have been interrupted and have succeeded on demand: {ends:?}"
        );
    }
    let drained = ecs.instances().into_iter().find(|instance| instance.id == spot);
    ensure!(
        drained.is_some_and(|instance| instance.tasks.is_empty()),
        "nothing should be left on {spot}"
    );

    println!("\nThe message about the instance:\n");
    let email = told_of_instance(&demo).context("no message named the other task on the instance")?;
    for line in email.lines() {
        println!("    {line}");
    }
    demo.end("spot", keep).await
}

/// Whether the tests of both builds have begun a while ago.
fn half_way(demo: &Demo, begun: &mut Option<Instant>) -> anyhow::Result<bool> {
    let ecs = demo.stack.stand_in.ecs();
    let mut testing = 0;
    for task in ecs
        .tasks()
        .iter()
        .filter(|task| task.last_status == "RUNNING" && task.started_by.as_deref() != Some("somebody"))
    {
        testing += usize::from(ecs.stdout(&task.arn)?.contains("test_"));
    }
    if testing == 2 {
        begun.get_or_insert_with(Instant::now);
    }
    Ok(begun.is_some_and(|begun| begun.elapsed() >= HALF_WAY))
}

/// The text for e-mail of the message about the instance.
fn told_of_instance(demo: &Demo) -> Option<String> {
    let published = demo.stack.stand_in.journal().of("sns", "Publish");
    published.iter().find_map(|entry| {
        let texts: Value = serde_json::from_str(entry.request.as_ref()?["Message"].as_str()?).ok()?;
        let document: Value = serde_json::from_str(texts["default"].as_str()?).ok()?;
        (document["status"] == "instance-interrupted").then(|| texts["email"].as_str().map(ToOwned::to_owned))?
    })
}
