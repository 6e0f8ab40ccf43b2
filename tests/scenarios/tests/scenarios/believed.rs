//! Which events and tasks are believed to be an agent's.

use std::time::Duration;

use bellhop_scenarios::World;
use serde_json::{Value, json};

/// What an event says that is none about the agent, by the place of what is changed.
const MADE_UP: [(&str, &str, &str); 3] = [
    ("/account", "210987654321", "from another account"),
    (
        "/detail/clusterArn",
        "arn:aws:ecs:us-east-1:000000000000:cluster/others",
        "in no cluster",
    ),
    (
        "/detail/taskDefinitionArn",
        "arn:aws:ecs:us-east-1:000000000000:task-definition/others:1",
        "with another task definition",
    ),
];

#[tokio::test]
async fn an_event_that_does_not_fit_changes_nothing_and_is_acknowledged() {
    let world = World::new().await;
    world.start().await;
    let task = world.task(0);
    world.runs(&task).await;
    let items = world.items().await;
    let mut ended: Vec<Value> = world.ecs().exit(&task, 0).unwrap();
    let event = ended.pop().unwrap();
    for (pointer, value, why) in MADE_UP {
        let mut made_up = event.clone();
        *made_up.pointer_mut(pointer).unwrap() = json!(value);
        let answer = world.task_event(&made_up).await.unwrap();
        assert!(answer.to_string().contains(why), "{answer}");
        assert_eq!(world.items().await, items, "{pointer}");
    }
    world.task_event(&event).await.unwrap();
    assert_eq!(world.build("test").await.status(), "succeeded");
}

#[tokio::test]
async fn an_event_about_a_task_that_does_not_exist_changes_nothing() {
    let world = World::new().await;
    world.start().await;
    let task = world.task(0);
    let mut events = world.ecs().run(&task).unwrap();
    events.extend(world.ecs().exit(&task, 0).unwrap());
    let items = world.items().await;
    for mut event in events {
        event["detail"]["taskArn"] = json!(format!("{task}0"));
        let answer = world.task_event(&event).await.unwrap();
        assert!(answer.to_string().contains("not proven"), "{answer}");
        assert_eq!(world.items().await, items);
    }
    assert!(world.journal().of("ecs", "StopTask").is_empty());
    world.sweep_after(Duration::from_secs(120)).await.unwrap();
    assert_eq!(world.build("test").await.status(), "succeeded", "the sweep asks for the true one");
}
