//! Injected faults, for each way in which services fail.

use std::time::{Duration, Instant};

use bellhop_stand_in::{Fault, Order, Rule, Times};
use serde_json::{Value, json};

use crate::support::{on_spot, start};

#[tokio::test]
async fn a_lost_reply_has_taken_effect() {
    let setup = start().await;
    setup.faults().inject(Rule::new("ecs", "RunTask", Fault::LoseReply));
    let target = "AmazonEC2ContainerServiceV20141113.RunTask";

    let lost = setup.request("ecs", target, &on_spot("token")).send().await;
    assert!(lost.is_err());
    let task = setup.launch(&on_spot("token")).await;

    let tasks = setup.ecs().tasks();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].arn, task);
    let entries = setup.journal().entries();
    assert_eq!((entries[0].status, entries[1].status), (None, Some(200)));
    assert_eq!(entries[0].fault.as_deref(), Some("lose-reply"));
}

#[tokio::test]
async fn a_refused_request_has_no_effect() {
    let setup = start().await;
    setup.faults().inject(Rule::new("ecs", "RunTask", Fault::Refuse));
    let target = "AmazonEC2ContainerServiceV20141113.RunTask";

    assert!(setup.request("ecs", target, &on_spot("token")).send().await.is_err());

    assert!(setup.ecs().tasks().is_empty());
}

#[tokio::test]
async fn spot_can_be_out_of_capacity() {
    let setup = start().await;
    let rule = Rule::new("ecs", "RunTask", Fault::NoCapacity)
        .times(Times::Always)
        .capacity("FARGATE_SPOT");
    let rule = setup.faults().inject(rule);

    let (status, body) = setup.ecs_call("RunTask", &on_spot("token")).await;
    assert_eq!((status, &body["tasks"]), (200, &json!([])));
    let reason = body["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("Capacity is unavailable at this time."));

    let mut on_demand = on_spot("token-of-on-demand");
    on_demand["capacityProviderStrategy"][0]["capacityProvider"] = "FARGATE".into();
    setup.launch(&on_demand).await;
    assert_eq!(setup.faults().fired(rule), 1);

    // There is some again. The token has its answer all the same.
    setup.faults().remove(rule);
    assert_eq!(setup.ecs_call("RunTask", &on_spot("token")).await, (200, body));
    setup.launch(&on_spot("another")).await;
}

#[tokio::test]
async fn errors_are_those_of_the_service() {
    let setup = start().await;
    let always = |service: &str, fault| {
        let rule = Rule::new(service, "*", fault).times(Times::Always);
        setup.faults().inject(rule);
    };
    let cases = [
        (Fault::Throttle, 400, "ThrottlingException", "Rate exceeded"),
        (Fault::DisguisedThrottle, 400, "ClientException", "Rate exceeded"),
        (Fault::ServerError, 500, "ServerException", "Service unavailable"),
        (Fault::AccountLimit, 400, "ClientException", "You've reached the limit"),
        (
            Fault::Error {
                status: 400,
                code: "AccessDeniedException".to_owned(),
                message: "User is not authorized".to_owned(),
            },
            400,
            "AccessDeniedException",
            "User is not authorized",
        ),
    ];
    for (fault, expected, code, text) in cases {
        setup.faults().clear();
        always("ecs", fault);
        let target = "AmazonEC2ContainerServiceV20141113.RunTask";
        let answer = setup.request("ecs", target, &on_spot("token")).send().await.unwrap();
        assert_eq!(answer.status(), expected);
        assert_eq!(answer.headers()["x-amzn-errortype"], code);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["__type"], code);
        assert!(body["message"].as_str().unwrap().starts_with(text));
    }
    assert!(setup.ecs().tasks().is_empty());

    always("dynamodb", Fault::Throttle);
    let (status, body) = setup.call("dynamodb", "DynamoDB_20120810.PutItem", &json!({})).await;
    assert_eq!(status, 400);
    let code = body["__type"].as_str().unwrap();
    assert_eq!(code, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException");

    always("sns", Fault::Throttle);
    let query = setup.client.post(setup.endpoint()).body("Action=Publish&Message=x");
    let query = query.header("authorization", "AWS4 Credential=a/b/us-east-1/sns/aws4_request");
    let answer = query.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("<Code>Throttling</Code>"));

    always("s3", Fault::Throttle);
    let object = setup.client.get(format!("{}/bucket/key", setup.endpoint()));
    let object = object.header("authorization", "AWS4 Credential=a/b/us-east-1/s3/aws4_request");
    let answer = object.send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("<Code>SlowDown</Code>"));
}

#[tokio::test]
async fn a_rule_says_how_often_and_for_whom() {
    let setup = start().await;
    let rule = Rule::new("ecs", "ListTasks", Fault::Throttle).times(Times::Every(3));
    setup.faults().inject(rule);
    let rule = Rule::new("ecs", "DescribeTasks", Fault::Throttle).times(Times::Next(2));
    setup.faults().inject(rule.caller("sweep"));

    let mut listed = Vec::new();
    for _ in 0..6 {
        listed.push(setup.ecs_call("ListTasks", &json!({})).await.0);
    }
    assert_eq!(listed, [200, 200, 400, 200, 200, 400]);

    let mut described = Vec::new();
    for caller in ["app/push", "app/sweep", "app/sweep", "app/sweep"] {
        let target = "AmazonEC2ContainerServiceV20141113.DescribeTasks";
        let request = setup.request("ecs", target, &json!({ "tasks": ["a"] }));
        let request = request.header("x-amz-user-agent", format!("aws-sdk-rust/1 {caller}"));
        described.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(described, [200, 400, 400, 200]);
}

#[tokio::test]
async fn a_delay_only_delays() {
    let setup = start().await;
    let delay = Duration::from_millis(100);
    setup.faults().inject(Rule::new("ecs", "RunTask", Fault::Delay(delay)));

    let start = Instant::now();
    setup.launch(&on_spot("token")).await;

    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn events_get_lost_repeated_and_reordered() {
    let setup = start().await;
    let mut deliveries = setup.events().subscribe();
    let mut delivered = || {
        let mut versions = Vec::new();
        while let Ok(event) = deliveries.try_recv() {
            versions.push(event["detail"]["version"].as_u64().unwrap());
        }
        versions
    };

    setup.events().drop_next(1);
    let task = setup.launch(&on_spot("token")).await;
    setup.ecs().run(&task).unwrap();
    assert_eq!(delivered(), [2, 3, 4]);

    setup.events().repeat(2);
    setup.ecs().warn(&task).unwrap();
    assert_eq!(delivered(), [5, 5]);

    setup.events().repeat(1);
    setup.events().hold();
    setup.ecs().interrupt(&task, 0).unwrap();
    assert_eq!(delivered(), [0_u64; 0]);
    setup.events().release(Order::Reversed);
    assert_eq!(delivered(), [9, 8, 7, 6]);
    assert_eq!(setup.ecs().events_of(&task).len(), 9);
}
