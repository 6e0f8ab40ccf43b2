//! Events and tasks that look like those of an agent.

use bellhop_scenarios::World;
use serde_json::{Value, json};

use super::running;
use crate::words::attempts;

/// A task that is none of Bellhop's.
const OTHER_TASK: &str = "arn:aws:ecs:us-east-1:000000000000:task/ci-spot/ffffffffffffffffffffffffffffffff";

/// The event that a task ended well.
fn ended_well(world: &World, task: &str) -> Value {
    world.ecs().exit(task, 0).unwrap().pop().unwrap()
}

#[tokio::test]
async fn a_task_that_bears_the_name_of_an_attempt_which_has_its_agent() {
    let (world, task) = running().await;
    let mut event = ended_well(&world, &task);
    event["detail"]["taskArn"] = json!(OTHER_TASK);
    world.task_event(&event).await.unwrap();
    assert_eq!(attempts(&world.build("test").await), ["1 spot running"]);
}

#[tokio::test]
async fn an_event_about_a_task_that_no_build_has() {
    let (world, task) = running().await;
    let items = world.items().await;
    let event = ended_well(&world, &task);
    for started_by in ["bellhop/zzzzzzzzzz/test/1", "bellhop/../../x", "ecs-svc/123", "bellhop/", ""] {
        let mut other = event.clone();
        other["detail"]["startedBy"] = json!(started_by);
        other["detail"]["overrides"] = json!({ "containerOverrides": [] });
        other["detail"]["taskArn"] = json!(OTHER_TASK);
        world.task_event(&other).await.unwrap();
        assert_eq!(world.items().await, items, "{started_by}");
    }
    assert_eq!(world.journal().of("ecs", "StopTask").len(), 0);
}

#[tokio::test]
async fn an_event_of_a_service_that_is_sent_to_another_function() {
    let (world, task) = running().await;
    let items = world.items().await;
    let event = ended_well(&world, &task);
    let _ = world.push(&event).await;
    let _ = world.alarm(&event).await;
    let _ = world.pipeline(&event).await;
    assert!(world.control(&event).await.unwrap()["error"].is_string());
    assert_eq!(world.items().await, items);
}
