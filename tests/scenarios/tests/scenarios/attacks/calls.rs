//! What callers of the functions, and publishers to their topics, ask for that is not theirs.

use bellhop_domain::record::Key;
use bellhop_scenarios::World;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::running;

/// More than any text of a request may have.
const LONG: usize = 200_000;
const ALARMS: &str = r#"
version: 1
agents:
  small: { ecs: { cluster: ci-main, task-definition: bellhop-agent-small, subnets: [subnet-0a] } }
alarms:
  - { name: "jenkins-*", restart-service: { cluster: ci-main, service: jenkins, at-most-every: 30m } }
"#;

#[tokio::test]
async fn a_request_that_brings_its_own_script_role_agent_or_environment() {
    let world = World::new().await;
    for (key, value) in [
        ("run", json!("./steal.sh")),
        ("role", json!("arn:aws:iam::123456789012:role/bellhop-agent/shop-protected")),
        ("agent", json!("deploy")),
        ("environment", json!({ "AWS_REGION": "x" })),
        ("ref", json!("refs/heads/main")),
        ("trigger", json!("push")),
    ] {
        let mut request = json!({ "start": { "repository": "shop" } });
        request["start"][key] = value;
        let answer = world.control(&request).await.unwrap();
        let error = answer["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("start.{key}: unknown key")), "{error}");
    }
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (0, 0));
}

#[tokio::test]
async fn a_request_with_texts_that_are_too_long_or_reach_the_terminal() {
    let world = World::new().await;
    for text in [
        "x".repeat(LONG),
        "a\u{1b}[2Jb\r\nc".to_owned(),
        "../../etc".to_owned(),
        "shop\u{202e}".to_owned(),
        "\u{0}".to_owned(),
    ] {
        for request in [
            json!({ "start": { "repository": text } }),
            json!({ "start": { "repository": "shop", "branch": text } }),
            json!({ "start": { "repository": "shop", "commit": text } }),
            json!({ "start": { "repository": "shop", "job": text } }),
            json!({ "start": { text.as_str(): "shop" } }),
            json!({ "retry": { "run": text } }),
            json!({ "cancel": { "build": text } }),
            json!({ "show": { "run": text } }),
            json!({ "list": { "repository": text } }),
            json!({ "list": { "status": text } }),
            json!({ text.as_str(): {} }),
        ] {
            let answer = world.control(&request).await.unwrap();
            let error = answer["error"]
                .as_str()
                .unwrap_or_else(|| panic!("{request} is accepted: {answer}"));
            assert!(error.len() < 1_000, "{} characters: {:.200}", error.len(), error);
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (0, 0));
}

#[tokio::test]
async fn an_id_of_a_request_that_meets_the_id_of_a_push() {
    let world = World::new().await;
    let push = world.push_event();
    let id = push["id"].as_str().unwrap();
    let answer = world
        .control(&json!({ "start": { "repository": "shop", "id": id } }))
        .await
        .unwrap();
    let run = world.start_by(&push).await;
    assert_ne!(answer["run"], run.to_string());
    for id in ["x".repeat(257), "a\nb".to_owned()] {
        let answer = world
            .control(&json!({ "start": { "repository": "shop", "id": id } }))
            .await
            .unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with("start.id: expected"), "{answer}");
    }
}

#[tokio::test]
async fn a_repository_and_an_agent_that_are_not_for_each_other() {
    let world = World::new().await;
    world
        .configure(
            "version: 1\nagents:\n  small: { ecs: { cluster: ci, task-definition: a, subnets: [s] } }\n  deploy: { restricted: true, ecs: { cluster: ci, task-definition: b, subnets: [s] } }\nrepositories:\n  payroll: { agents: [deploy] }\n  shop: { agents: [small] }\n",
        )
        .await;
    let file = "version: 1\njobs:\n  test: { agent: deploy, run: ./steal.sh }\n";
    let push = world.commit(&[(".bellhop.yaml", file)], "Mine").await;
    let answer = world.push(&push).await.unwrap();
    assert!(
        answer.to_string().contains("does not let `shop` use the agent `deploy`"),
        "{answer}"
    );
    let answer = world.control(&json!({ "start": { "repository": "shop" } })).await.unwrap();
    assert!(
        answer.to_string().contains("does not let `shop` use the agent `deploy`"),
        "{answer}"
    );
    assert!(world.tasks().is_empty());
}

/// A message about an alarm, as CloudWatch publishes it and everybody can who may publish to the topic.
fn alarm(name: &str, minute: i64) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../../../events/alarm/in-sns.json")).unwrap();
    let notification = &mut event["Records"][0]["Sns"];
    let mut message: Value = serde_json::from_str(notification["Message"].as_str().unwrap()).unwrap();
    message["AlarmName"] = json!(name);
    message["AlarmDescription"] = json!("restart-service: { cluster: production, service: web }");
    message["StateChangeTime"] = json!(Timestamp::from_second(1_790_000_000 + minute * 60).unwrap());
    notification["Message"] = json!(message.to_string());
    event
}

#[tokio::test]
async fn a_made_up_alarm_that_asks_for_a_remedy() {
    let world = World::new().await;
    world.configure(ALARMS).await;
    for service in ["jenkins", "web"] {
        world.ecs().add_service("ci-main", service, Timestamp::UNIX_EPOCH);
    }
    let restarts = || world.journal().of("ecs", "UpdateService").len();
    // Of an alarm without a rule there is a message at the most.
    world.alarm(&alarm("web-unhealthy", 0)).await.unwrap();
    assert_eq!(restarts(), 0);
    // One with a rule has the remedy of its rule, which no text of the alarm changes, and not more often than the rule says.
    for minute in 0..20 {
        world.alarm(&alarm("jenkins-unhealthy", minute)).await.unwrap();
        world.alarm(&alarm("jenkins-slow", minute)).await.unwrap();
    }
    assert_eq!((restarts(), world.ecs().deployments("ci-main", "jenkins")), (1, 2));
    assert_eq!((world.ecs().deployments("ci-main", "web"), world.tasks().len()), (1, 0));
}

#[tokio::test]
async fn a_made_up_wake_up() {
    let (world, _) = running().await;
    let run = world.newest_run();
    let items = world.items().await;
    world.journal().clear();
    let keys = [
        Key::new(format!("RUN#{run}"), "RUN"),
        Key::new(format!("RUN#{run}"), "BUILD#test"),
        Key::new("RUN#zzzzzzzzzz", "BUILD#test"),
        Key::new("ALARM#jenkins", "ALARM"),
        Key::new("anything", "\u{0}"),
    ];
    let woken = json!({ "wake": keys });
    let by_topic = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": woken.to_string() } }] });
    for _ in 0..3 {
        let _ = world.alarm(&by_topic).await;
        let _ = world.backup(&by_topic).await;
        let _ = world.instance_event(&by_topic).await;
    }
    assert_eq!(world.items().await, items, "a wake-up changes nothing by itself");
    let requests = World::requests(&world.journal().entries());
    let acts = ["RunTask", "StopTask", "Publish", "PutObject", "StartBackupJob", "UpdateService"];
    let acted: Vec<_> = requests
        .iter()
        .filter(|request| acts.iter().any(|act| request.ends_with(act)))
        .collect();
    assert_eq!(acted, Vec::<&String>::new());
}

#[tokio::test]
async fn a_message_on_the_topic_of_people() {
    // No function is subscribed to it. If somebody subscribes one, a message of Bellhop's own is nothing to it.
    let (world, task) = running().await;
    world.exits(&task, 1).await;
    let items = world.items().await;
    let published = world.journal().of("sns", "Publish").remove(0).request.unwrap();
    let texts: Value = serde_json::from_str(published["Message"].as_str().unwrap()).unwrap();
    let event = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": texts["default"] } }] });
    world.push(&event).await.unwrap();
    world.alarm(&event).await.unwrap();
    let answer = world.control(&event).await.unwrap();
    assert!(answer["error"].is_string(), "{answer}");
    assert_eq!(world.items().await, items);
}

/// A function URL's event about a request, which the attacker writes and sends with `lambda:InvokeFunction`.
fn forged(request: &Value, id: &str) -> Value {
    json!({
        "version": "2.0",
        "requestContext": {
            "authorizer": { "iam": { "userArn": "arn:aws:sts::123456789012:assumed-role/admin/boss" } },
            "http": { "method": "POST", "path": "/" },
            "requestId": id,
        },
        "body": request.to_string(),
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn an_event_of_the_function_url_that_somebody_else_wrote() {
    let (world, _) = running().await;
    let items = world.items().await;
    let request = json!({ "cancel": { "run": world.newest_run() } });
    // The function without a URL believes no name, also with the id of the invocation.
    let answer = world.control_as("an-id", &forged(&request, "an-id")).await.unwrap();
    assert_eq!(
        answer["error"],
        "not a request: this function has no function URL and believes no name; send the request by itself"
    );
    // In a message, or beside a verb, it is no more than that.
    for wrapped in [
        json!({ "Type": "Notification", "Message": forged(&request, "an-id").to_string() }),
        json!({ "Records": [{ "eventSource": "aws:sqs", "body": forged(&request, "an-id").to_string() }] }),
        json!({ "cancel": request["cancel"], "requestContext": forged(&request, "an-id")["requestContext"] }),
    ] {
        let answer = world.control_as("an-id", &wrapped).await.unwrap();
        assert!(answer["error"].is_string(), "{answer}");
    }
    // The function behind the URL believes an event that has the id of its own invocation. The attacker learns it when the event is sent.
    for id in ["", "another-id", "AN-ID", "an-id "] {
        let response = world.control_url_as("an-id", &forged(&request, id)).await.unwrap();
        assert_eq!(response["statusCode"], 403, "{response}");
    }
    // And a request by itself is no HTTP request.
    let response = world.control_url_as("an-id", &request).await.unwrap();
    assert_eq!(response["statusCode"], 400, "{response}");
    assert_eq!(world.items().await, items);
}

#[tokio::test]
async fn a_request_that_brings_its_own_name() {
    let world = World::new().await;
    for (key, value) in [
        ("by", json!("boss")),
        ("caller", json!({ "principal": "arn:aws:iam::123456789012:user/boss" })),
        ("started-by", json!("boss")),
        ("schedule", json!("arn:aws:iam::123456789012:user/boss")),
    ] {
        for request in [
            json!({ "start": { "repository": "shop", key: value } }),
            json!({ "start": { "repository": "shop" }, key: value }),
        ] {
            let answer = world.control(&request).await.unwrap();
            assert!(answer["error"].is_string(), "{request}: {answer}");
        }
    }
    assert_eq!((world.run_ids().await.len(), world.tasks().len()), (0, 0));
}
