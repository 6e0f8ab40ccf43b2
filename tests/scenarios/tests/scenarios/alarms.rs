//! Alarms: told once and acted on once, in whatever forms, and however often, they arrive.

use std::time::Duration;

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::words::MINUTE;

const RULES: &str = r#"
version: 1
agents:
  small: { ecs: { cluster: ci-main, task-definition: bellhop-agent-small, subnets: [subnet-0a] } }
jobs:
  clean-workspaces: { agent: small, repository: shop, branch: main, run: ./clean.sh }
alarms:
  - { name: "jenkins-*", restart-service: { cluster: ci-main, service: jenkins, at-most-every: 30m } }
  - { name: "workspace-disk-*", run-job: clean-workspaces }
  - { name: "ci-down", pause-starts: true }
  - { name: "drill", restart-service: { cluster: ci-main, service: jenkins }, dry-run: true }
  - { name: "gone", restart-service: { cluster: ci-main, service: gone } }
"#;

async fn world() -> World {
    let world = World::new().await;
    world.configure(RULES).await;
    world.ecs().add_service("ci-main", "jenkins", Timestamp::UNIX_EPOCH);
    world
}

fn sample(name: &str) -> Value {
    let path = format!("{}/../../events/alarm/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// EventBridge's event of an alarm's change, some seconds into the day.
fn event(name: &str, state: &str, second: i64) -> Value {
    let at = Timestamp::from_second(1_790_000_000 + second).unwrap();
    let mut event = sample("alarm");
    event["time"] = json!(at);
    event["detail"]["alarmName"] = name.into();
    event["detail"]["state"] = json!({ "value": state, "reason": "so it is", "timestamp": at });
    event
}

/// The titles of the messages about alarms, in the order of their sending.
async fn titles(world: &World) -> Vec<String> {
    let messages = world.messages().await;
    let alarms = messages.iter().filter(|message| message.document["kind"] == "alarm");
    alarms
        .map(|message| message.document["title"].as_str().unwrap().to_owned())
        .collect()
}

fn restarts(world: &World) -> usize {
    world.journal().of("ecs", "UpdateService").len()
}

#[tokio::test]
async fn an_alarm_in_its_three_forms_is_one_message_and_one_restart() {
    let world = world().await;
    let (alarm, action, message) = (sample("alarm"), sample("action"), sample("in-sns"));
    let (one, two, three) = tokio::join!(world.alarm(&alarm), world.alarm(&action), world.alarm(&message));
    let answers = [one, two, three].map(|answer| answer.unwrap()[0]["result"].as_str().unwrap().to_owned());
    assert!(answers.contains(&"done".to_owned()), "{answers:?}");
    let messages = world.messages().await;
    let [told] = &messages[..] else {
        panic!("one message: {messages:?}")
    };
    assert_eq!(
        told.document["remedy"]["text"],
        "service jenkins of cluster ci-main is being restarted"
    );
    assert_eq!(told.document["status"], "alarm");
    assert_eq!(told.attributes["kind"], "alarm");
    assert_eq!(restarts(&world), 1);
    assert_eq!(world.ecs().deployments("ci-main", "jenkins"), 2);

    world.alarm(&sample("ok")).await.unwrap();
    world.alarm(&message).await.unwrap();
    let titles = titles(&world).await;
    assert_eq!(titles, ["jenkins-unhealthy is OK again: UnHealthyHostCount 0 <= 1 (after 7m)"]);
    assert_eq!(restarts(&world), 1);
}

#[tokio::test]
async fn ten_flaps_in_a_minute_are_one_restart() {
    let world = world().await;
    for flap in 0..10 {
        world.alarm(&event("jenkins-slow", "ALARM", flap * 6)).await.unwrap();
        world.alarm(&event("jenkins-slow", "OK", flap * 6 + 3)).await.unwrap();
    }
    assert_eq!((restarts(&world), world.ecs().deployments("ci-main", "jenkins")), (1, 2));
    let told = titles(&world).await;
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told[4].starts_with("jenkins-slow is flapping"), "{told:?}");
    world.sweep_after(10 * MINUTE).await.unwrap();
    let told = titles(&world).await;
    assert!(
        told.len() == 1 && told[0].starts_with("jenkins-slow has settled and is OK"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_restart_whose_reply_was_lost_is_not_repeated() {
    let world = world().await;
    world.faults().inject(Rule::new("ecs", "UpdateService", Fault::LoseReply));
    let _ = world.alarm(&sample("alarm")).await;
    world.sweep_after(2 * MINUTE).await.unwrap();
    assert_eq!(world.ecs().deployments("ci-main", "jenkins"), 2);
    assert_eq!(world.items().await.iter().filter(|item| item.get("due_shard").is_some()).count(), 0);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told() {
    let world = world().await;
    world.alarm(&event("gone", "ALARM", 0)).await.unwrap();
    let messages = world.messages().await;
    assert_eq!(
        messages[0].document["remedy"]["text"],
        "service gone of cluster ci-main could not be restarted: there is no active service gone in cluster ci-main"
    );
}

#[tokio::test]
async fn a_dry_run_restarts_nothing() {
    let world = world().await;
    world.alarm(&event("drill", "ALARM", 0)).await.unwrap();
    let messages = world.messages().await;
    assert_eq!(messages[0].document["remedy"]["outcome"], "dry-run");
    assert_eq!(restarts(&world), 0);
}

#[tokio::test]
async fn an_alarm_runs_a_job_of_the_suites_own() {
    let world = world().await;
    let (direct, again) = (sample("action-set-by-hand"), sample("action-set-by-hand"));
    world.alarm(&direct).await.unwrap();
    world.alarm(&again).await.unwrap();
    assert_eq!(world.tasks().len(), 1);
    let told = world.messages().await;
    let alarms: Vec<_> = told.iter().filter(|message| message.document["kind"] == "alarm").collect();
    assert_eq!(alarms.len(), 1);
    let text = alarms[0].document["remedy"]["text"].as_str().unwrap();
    assert!(text.starts_with("job clean-workspaces was started (run "), "{text}");
    let listed = world.control(&json!({ "list": { "repository": "shop" } })).await.unwrap();
    assert_eq!(
        listed["runs"][0]["started-by"],
        json!({ "kind": "service", "name": direct["alarmData"]["alarmName"], "arn": direct["alarmArn"] })
    );
}

#[tokio::test]
async fn no_agent_is_launched_until_the_alarm_is_ok_again() {
    let world = world().await;
    // Its actions are suppressed at first, and then they are not.
    world.alarm(&sample("composite-suppressed")).await.unwrap();
    assert_eq!(world.messages().await.len(), 0);
    world.alarm(&sample("composite")).await.unwrap();
    world.start().await;
    world.sweep_after(MINUTE).await.unwrap();
    assert_eq!(world.tasks().len(), 0);
    let run = world.newest_run();
    let shown = world.control(&json!({ "show": { "run": run } })).await.unwrap();
    assert_eq!(
        shown["builds"][0]["waits-because"],
        "launches are paused until this alarm returns to OK: ci-down"
    );
    let mut over = sample("composite");
    over["detail"]["state"]["value"] = "OK".into();
    over["detail"]["state"]["timestamp"] = "2026-03-02T15:00:00.000+0000".into();
    world.alarm(&over).await.unwrap();
    world.sweep_after(MINUTE).await.unwrap();
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn every_sample_is_told_or_acknowledged() {
    let world = world().await;
    let folder = format!("{}/../../events/alarm", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let event: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let answer = world.alarm(&event).await.unwrap();
        assert!(answer[0]["result"].is_string(), "{}: {answer}", path.display());
        world.clock.advance(Duration::from_secs(1));
    }
    assert!(titles(&world).await.len() > 5);
}
