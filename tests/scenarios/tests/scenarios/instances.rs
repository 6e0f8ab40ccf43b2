//! EC2 takes instances away, with everything that runs on them.

use bellhop_domain::outcome::Outcome;
use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::{Value, json};

use crate::words::{MINUTE, attempts};

/// An agent on instances, of Spot and on demand, beside one on Fargate in clusters of its own.
const CONFIGURATION: &str = "
version: 1
agents:
  large:
    ecs:
      cluster: ci
      capacity-providers: { spot: ci-ec2-spot, on-demand: ci-ec2 }
      task-definition: bellhop-agent-large
      subnets: [subnet-0a]
  small:
    ecs:
      clusters: { spot: ci-spot, on-demand: ci-main }
      task-definition: bellhop-agent-small
      subnets: [subnet-0a]
notify: { successes: all }
";

const PIPELINE: &str = "
version: 1
jobs:
  a: { agent: large, run: make a }
  b: { agent: large, run: make b }
  c: { agent: large, run: make c, relaunch: stopped }
";

/// Three builds on one Spot instance, all up; and the instance's id. There is an on-demand one as well.
async fn three_builds() -> (World, String) {
    let world = World::with_pipeline(PIPELINE).await;
    world.configure(CONFIGURATION).await;
    let spot = world.ecs().add_instance("ci", "ci-ec2-spot");
    world.ecs().add_instance("ci", "ci-ec2");
    world.start().await;
    assert_eq!(on(&world, &spot), 3);
    for place in 0..3 {
        world.runs(&world.task(place)).await;
    }
    (world, spot)
}

fn on(world: &World, instance: &str) -> usize {
    let instances = world.ecs().instances();
    instances.iter().find(|view| view.id == instance).unwrap().tasks.len()
}

/// The requests since a mark that are not the ledger's, in the alphabet's order.
fn asked(world: &World, mark: bellhop_stand_in::Mark) -> Vec<String> {
    let mut requests = World::requests(&world.journal().since(mark));
    requests.retain(|request| !request.starts_with("dynamodb"));
    requests.sort();
    requests
}

#[tokio::test]
async fn a_warning_is_one_for_every_build_on_the_instance_and_names_what_is_others() {
    let (world, spot) = three_builds().await;
    for family in ["jenkins-agent", "web"] {
        world.ecs().place_foreign_task(&spot, family).unwrap();
    }
    let warning = world.ecs().warn_instance(&spot, "terminate").unwrap();
    let mark = world.journal().mark();

    let answer = world.instance_event(&warning).await.unwrap();

    assert_eq!(answer[0]["result"], "done");
    // One that may not overlap waits for the proof that the first attempt has stopped.
    assert_eq!(
        asked(&world, mark),
        [
            "ecs DescribeTasks",
            "ecs ListContainerInstances",
            "ecs ListContainerInstances",
            "ecs ListContainerInstances",
            "ecs ListTasks",
            "ecs RunTask",
            "ecs RunTask",
            "ecs UpdateContainerInstancesState",
            "s3 GetObject",
            "sns Publish",
            "sns Publish",
            "sns Publish",
        ]
    );
    assert_eq!(world.ecs().instances()[0].status, "DRAINING");
    let messages = world.messages().await;
    let mut lines: Vec<String> = messages.iter().map(bellhop_scenarios::Message::line).collect();
    lines.sort();
    assert_eq!(lines, ["build a retrying", "build b retrying", "suite instance-interrupted"]);
    let foreign = messages.iter().find(|message| message.document["kind"] == "suite").unwrap();
    assert_eq!(foreign.document["tasks"]["count"], 2);
    assert_eq!(foreign.document["tasks"]["named"][0]["belongs_to"], "family:jenkins-agent");
    assert_eq!(foreign.attributes["severity"], "warning");

    let mark = world.journal().mark();
    let watch = world.spot_watch();
    for _ in 0..5 {
        let answer = watch.handle(&warning).await.unwrap();
        assert_eq!(answer[0]["result"], "ignored: already known");
    }
    let again = asked(&world, mark);
    assert!(
        again
            .iter()
            .all(|request| request == "ecs ListContainerInstances" || request == "s3 GetObject"),
        "{again:?}"
    );
    assert!(world.messages().await.is_empty());

    // The instance goes, and with it the first attempts. What ECS tells of them is no second interruption.
    world.task_events(&world.ecs().end_instance(&spot).unwrap()).await;
    for task in world
        .tasks()
        .iter()
        .filter(|task| task.capacity == "ci-ec2")
        .map(|task| task.arn.clone())
    {
        world.runs(&task).await;
        world.exits(&task, 0).await;
    }
    for job in ["a", "b", "c"] {
        let build = world.build(job).await;
        assert_eq!(attempts(&build), ["1 spot interrupted", "2 on-demand succeeded"], "{job}");
        assert_eq!(build.outcome(), Some(Outcome::Succeeded), "{job}");
    }
}

#[tokio::test]
async fn two_round_trips_of_each_build_lie_between_the_look_at_the_instance_and_its_replacement() {
    let (world, spot) = three_builds().await;
    let warning = world.ecs().warn_instance(&spot, "stop").unwrap();
    let mark = world.journal().mark();
    world.instance_event(&warning).await.unwrap();
    let requests = World::requests(&world.journal().since(mark));
    let launch = requests.iter().position(|request| request == "ecs RunTask").unwrap();
    let before = |name: &str| requests[..launch].iter().filter(|request| *request == name).count();
    assert_eq!(before("ecs DescribeTasks"), 1);
    // The instance's record and each build's, read and written.
    assert!(before("dynamodb GetItem") <= 4 && before("dynamodb PutItem") <= 4, "{requests:?}");
}

#[tokio::test]
async fn a_recommendation_drains_and_kills_nothing() {
    let (world, spot) = three_builds().await;
    let advice = world.ecs().recommend_rebalance(&spot).unwrap();
    let watch = world.spot_watch();
    assert_eq!(watch.handle(&advice).await.unwrap()[0]["result"], "done");
    assert_eq!(watch.handle(&advice).await.unwrap()[0]["result"], "ignored: already known");
    assert_eq!(world.ecs().instances()[0].status, "DRAINING");
    assert_eq!(world.journal().of("ecs", "UpdateContainerInstancesState").len(), 1);
    assert_eq!((world.tasks().len(), world.messages().await.len()), (3, 0));

    // The warning that follows it is another matter.
    let warning = world.ecs().warn_instance(&spot, "hibernate").unwrap();
    watch.handle(&warning).await.unwrap();
    assert_eq!(world.tasks().len(), 5);
    assert_eq!(world.journal().of("ecs", "UpdateContainerInstancesState").len(), 1);
}

#[tokio::test]
async fn a_foreign_instance_costs_a_question_to_each_cluster_once() {
    let (world, _) = three_builds().await;
    let watch = world.spot_watch();
    let first = world.ecs().only_warn("i-00000000000000001");
    let mark = world.journal().mark();
    let answer = watch.handle(&first).await.unwrap();
    assert_eq!(answer[0]["result"], "ignored: in none of the suite's clusters");
    let questions = ["ecs ListContainerInstances"; 3];
    assert_eq!(asked(&world, mark), [&questions[..], &["s3 GetObject"]].concat());
    assert_eq!(World::requests(&world.journal().since(mark)).len(), 4);

    // The configuration is known for a minute.
    let mark = world.journal().mark();
    let second = world.ecs().only_warn("i-00000000000000002");
    watch.handle(&second).await.unwrap();
    assert_eq!(World::requests(&world.journal().since(mark)), questions);

    let mark = world.journal().mark();
    for event in [&first, &second, &first] {
        watch.handle(event).await.unwrap();
    }
    assert_eq!(World::requests(&world.journal().since(mark)), Vec::<String>::new());
}

#[tokio::test]
async fn an_instance_that_is_gone_already_is_acknowledged() {
    let (world, spot) = three_builds().await;
    let warning = world.ecs().warn_instance(&spot, "terminate").unwrap();
    world.ecs().end_instance(&spot).unwrap();
    let answer = world.instance_event(&warning).await.unwrap();
    assert_eq!(answer[0]["result"], "ignored: in none of the suite's clusters");
}

#[tokio::test]
async fn what_a_fault_left_is_done_by_the_sweep() {
    let (world, spot) = three_builds().await;
    let warning = world.ecs().warn_instance(&spot, "terminate").unwrap();
    let rules = ["ListTasks", "UpdateContainerInstancesState"].map(|operation| {
        world
            .faults()
            .inject(Rule::new("ecs", operation, Fault::ServerError).times(Times::Always))
    });
    assert!(world.instance_event(&warning).await.is_err());
    assert_eq!(world.tasks().len(), 3);
    for rule in rules {
        world.faults().remove(rule);
    }
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!((world.tasks().len(), world.ecs().instances()[0].status.as_str()), (5, "DRAINING"));
    let due = world
        .items()
        .await
        .iter()
        .filter(|item| item["sk"]["S"] == "INSTANCE" && item["due_at"] != Value::Null)
        .count();
    assert_eq!(due, 0);
}

#[tokio::test]
async fn without_a_configuration_there_is_no_instance_of_ours_and_with_a_broken_one_nobody_can_tell() {
    let world = World::new().await;
    let event = json!({ "source": "aws.ec2", "detail-type": "EC2 Spot Instance Interruption Warning",
        "detail": { "instance-id": "i-00000000000000001", "instance-action": "terminate" } });
    world.configure("version: 1\nagents: 5\n").await;
    let fault = world.instance_event(&event).await.unwrap_err();
    assert!(fault.to_string().contains("cannot be used: config/bellhop.yaml"), "{fault}");
    world.unconfigure().await;
    let answer = world.instance_event(&event).await.unwrap();
    assert_eq!(answer[0]["result"], "ignored: in none of the suite's clusters");
    assert!(world.journal().of("ecs", "ListContainerInstances").is_empty());
}
