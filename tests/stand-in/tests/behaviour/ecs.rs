//! Scripted tasks.

use serde_json::{Value, json};

use crate::support::{on_spot, stages, start};

#[tokio::test]
async fn the_same_token_gives_the_same_task() {
    let setup = start().await;
    let first = setup.launch(&on_spot("token-1")).await;
    let second = setup.launch(&on_spot("token-1")).await;
    let third = setup.launch(&on_spot("token-2")).await;

    assert_eq!(first, second);
    assert_ne!(first, third);
    assert_eq!(setup.ecs().tasks().len(), 2);
    let summaries: Vec<_> = setup.journal().of("ecs", "RunTask");
    assert!(summaries[1].summary.ends_with("on FARGATE_SPOT (reused token)"));
    assert_eq!(summaries[1].request, Some(on_spot("token-1")));
}

#[tokio::test]
async fn the_same_token_for_another_request_is_a_conflict_that_names_the_task() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    let mut other = on_spot("token");
    other["startedBy"] = "bellhop/abcdefghij/test/2".into();

    let (status, body) = setup.ecs_call("RunTask", &other).await;

    assert_eq!(status, 400);
    assert_eq!(body["__type"], "ConflictException");
    assert_eq!(body["resourceIds"], json!([task]));
    assert_eq!(setup.ecs().tasks().len(), 1);
}

#[tokio::test]
async fn requests_that_ecs_refuses() {
    let setup = start().await;
    setup.ecs().set_clusters(["ci-spot"]);
    setup.ecs().deny_task_definition("gone");
    let with = |name: &str, value: Value| {
        let mut request = on_spot("token");
        request[name] = value;
        request
    };
    let long = json!({ "containerOverrides": [{ "name": "agent", "command": ["x".repeat(8192)] }] });
    let cases = [
        (with("clientToken", "x".repeat(65).into()), "InvalidParameterException"),
        (with("clientToken", "ä".into()), "InvalidParameterException"),
        (with("startedBy", "a b".into()), "InvalidParameterException"),
        (with("startedBy", "x".repeat(129).into()), "InvalidParameterException"),
        (with("launchType", "FARGATE".into()), "InvalidParameterException"),
        (with("capacityProviderStrategy", Value::Null), "InvalidParameterException"),
        (
            with("capacityProviderStrategy", json!([{ "capacityProvider": "FARGATE_SPOT" }])),
            "InvalidParameterException",
        ),
        (
            with("capacityProviderStrategy", json!([{ "capacityProvider": "mine", "weight": 1 }])),
            "InvalidParameterException",
        ),
        (with("overrides", long), "InvalidParameterException"),
        (with("networkConfiguration", Value::Null), "InvalidParameterException"),
        (with("cluster", "other".into()), "ClusterNotFoundException"),
        (with("taskDefinition", "gone:3".into()), "ClientException"),
        (with("count", 11.into()), "InvalidParameterException"),
    ];
    for (request, code) in cases {
        let (status, body) = setup.ecs_call("RunTask", &request).await;
        assert_eq!((status, body["__type"].as_str()), (400, Some(code)), "{request}");
    }
    assert!(setup.ecs().tasks().is_empty());
    assert!(setup.events().all().is_empty());
}

#[tokio::test]
async fn an_exit_is_told_from_provisioning_to_stopped() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    setup.ecs().run(&task).unwrap();
    setup.ecs().exit(&task, 3).unwrap();

    let events = setup.ecs().events_of(&task);
    let expected = [
        "PROVISIONING RUNNING",
        "PENDING RUNNING",
        "ACTIVATING RUNNING",
        "RUNNING RUNNING",
        "DEACTIVATING STOPPED EssentialContainerExited",
        "STOPPING STOPPED EssentialContainerExited",
        "DEPROVISIONING STOPPED EssentialContainerExited",
        "STOPPED STOPPED EssentialContainerExited",
    ];
    assert_eq!(stages(&events), expected);
    let versions: Vec<_> = events.iter().map(|event| event["detail"]["version"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);

    let last = &events[7];
    assert_eq!(last["source"], "aws.ecs");
    assert_eq!(last["detail-type"], "ECS Task State Change");
    assert_eq!(last["resources"], json!([task]));
    let detail = &last["detail"];
    assert_eq!(detail["containers"][0]["exitCode"], 3);
    assert_eq!(detail["containers"][0]["name"], "agent");
    assert_eq!(detail["capacityProviderName"], "FARGATE_SPOT");
    assert_eq!(detail["launchType"], "FARGATE");
    assert_eq!(detail["group"], "family:agent-small");
    assert_eq!(detail["startedBy"], "bellhop/abcdefghij/test/1");
    assert_eq!(detail["overrides"], on_spot("token")["overrides"]);
    assert_eq!(detail["stoppedReason"], "Essential container in task exited");
    assert_eq!(detail["attachments"][0]["status"], "DELETED");
    assert!(detail["stoppedAt"].as_str().unwrap().ends_with('Z'));
    assert!(detail["tags"].is_null());
    assert!(events[0]["detail"]["startedAt"].is_null());

    assert!(setup.ecs().exit(&task, 0).is_err());
}

#[tokio::test]
async fn spot_warns_and_then_interrupts() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    setup.ecs().run(&task).unwrap();

    let warning = setup.ecs().warn(&task).unwrap();
    assert_eq!(stages(&warning), ["RUNNING STOPPED SpotInterruption"]);
    let reason = &warning[0]["detail"]["stoppedReason"];
    assert_eq!(reason, "Your Spot Task was interrupted.");
    assert!(setup.ecs().warn(&task).is_err());

    let end = setup.ecs().interrupt(&task, 0).unwrap();
    let expected = [
        "DEACTIVATING STOPPED SpotInterruption",
        "STOPPING STOPPED SpotInterruption",
        "DEPROVISIONING STOPPED SpotInterruption",
        "STOPPED STOPPED SpotInterruption",
    ];
    assert_eq!(stages(&end), expected);
    let exit_codes: Vec<_> = end
        .iter()
        .map(|event| event["detail"]["containers"][0]["exitCode"].as_i64())
        .collect();
    assert_eq!(exit_codes, [None, None, Some(0), Some(0)]);
}

#[tokio::test]
async fn spot_takes_only_spot_tasks_back() {
    let setup = start().await;
    let mut request = on_spot("token");
    request["capacityProviderStrategy"] = Value::Null;
    request["launchType"] = "FARGATE".into();
    let task = setup.launch(&request).await;
    setup.ecs().run(&task).unwrap();

    assert!(setup.ecs().warn(&task).is_err());
    assert_eq!(setup.ecs().task(&task).unwrap().capacity, "FARGATE");
    let events = setup.ecs().events_of(&task);
    assert!(events[0]["detail"]["capacityProviderName"].is_null());
}

#[tokio::test]
async fn stopping_twice_stops_once() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    setup.ecs().run(&task).unwrap();
    let request = json!({ "cluster": "ci-spot", "task": task, "reason": "Superseded" });

    let (_, first) = setup.ecs_call("StopTask", &request).await;
    let (status, second) = setup.ecs_call("StopTask", &request).await;

    assert_eq!(status, 200);
    assert_eq!(first["task"], second["task"]);
    assert_eq!(first["task"]["stopCode"], "UserInitiated");
    assert_eq!(first["task"]["stoppedReason"], "Superseded");
    let end = setup.ecs().settle_stop(&task, 137).unwrap();
    assert_eq!(end.len(), 4);
    assert_eq!(setup.ecs().events_of(&task).len(), 9);
    let view = setup.ecs().task(&task).unwrap();
    assert_eq!(view.exit_code, Some(137));
    assert_eq!(view.stop_code.as_deref(), Some("UserInitiated"));

    let unknown = json!({ "cluster": "ci-spot", "task": "0123" });
    let (status, body) = setup.ecs_call("StopTask", &unknown).await;
    assert_eq!((status, &body["__type"]), (400, &json!("InvalidParameterException")));
}

#[tokio::test]
async fn a_stop_can_settle_by_itself() {
    let setup = start().await;
    setup.ecs().set_run_at_once(true);
    setup.ecs().set_stop_at_once(143);
    let task = setup.launch(&on_spot("token")).await;
    assert_eq!(setup.ecs().task(&task).unwrap().last_status, "RUNNING");

    setup.ecs_call("StopTask", &json!({ "cluster": "ci-spot", "task": task })).await;

    let view = setup.ecs().task(&task).unwrap();
    assert_eq!((view.last_status.as_str(), view.exit_code), ("STOPPED", Some(143)));
}

#[tokio::test]
async fn a_task_that_fails_to_start_never_runs() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;

    let reason = "CannotPullContainerError: pull image manifest has been retried 5 time(s)";
    let events = setup.ecs().fail_to_start(&task, reason).unwrap();

    let expected = ["DEPROVISIONING STOPPED TaskFailedToStart", "STOPPED STOPPED TaskFailedToStart"];
    assert_eq!(stages(&events), expected);
    assert!(events[1]["detail"]["containers"][0]["exitCode"].is_null());
    assert_eq!(events[1]["detail"]["stoppedReason"], reason);
}

#[tokio::test]
async fn memory_runs_out() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    setup.ecs().run(&task).unwrap();

    let events = setup.ecs().out_of_memory(&task).unwrap();

    let container = &events[3]["detail"]["containers"][0];
    assert_eq!(container["exitCode"], 137);
    assert!(container["reason"].as_str().unwrap().starts_with("OutOfMemoryError"));
}

#[tokio::test]
async fn tasks_are_described_and_listed_until_they_are_forgotten() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    let id = task.rsplit('/').next().unwrap();
    let describe = json!({ "cluster": "ci-spot", "tasks": [id, "f00"] });

    let (_, body) = setup.ecs_call("DescribeTasks", &describe).await;
    assert_eq!(body["tasks"][0]["taskArn"], task.as_str());
    assert!(body["tasks"][0]["createdAt"].is_number());
    assert_eq!(body["failures"][0]["reason"], "MISSING");
    assert!(body["failures"][0]["arn"].as_str().unwrap().ends_with("task/ci-spot/f00"));

    let list = json!({ "cluster": "ci-spot", "startedBy": "bellhop/abcdefghij/test/1" });
    let (_, body) = setup.ecs_call("ListTasks", &list).await;
    assert_eq!(body["taskArns"], json!([task]));
    let (_, body) = setup
        .ecs_call("ListTasks", &json!({ "cluster": "ci-spot", "startedBy": "x" }))
        .await;
    assert_eq!(body["taskArns"], json!([]));
    let mut both = list.clone();
    both["family"] = "agent-small".into();
    assert_eq!(setup.ecs_call("ListTasks", &both).await.0, 400);

    // What is to stop is listed only when it is asked for.
    setup.ecs_call("StopTask", &json!({ "cluster": "ci-spot", "task": id })).await;
    let (_, body) = setup.ecs_call("ListTasks", &list).await;
    assert_eq!(body["taskArns"], json!([]));
    let stopped = json!({ "cluster": "ci-spot", "desiredStatus": "STOPPED" });
    let (_, body) = setup.ecs_call("ListTasks", &stopped).await;
    assert_eq!(body["taskArns"], json!([task]));

    setup.ecs().forget(&task).unwrap();
    let (_, body) = setup.ecs_call("DescribeTasks", &describe).await;
    assert_eq!(body["tasks"], json!([]));
    assert_eq!(body["failures"].as_array().unwrap().len(), 2);
    assert_eq!(setup.launch(&on_spot("token")).await, task);

    let many: Vec<_> = (0..101).map(|number| number.to_string()).collect();
    let (status, _) = setup.ecs_call("DescribeTasks", &json!({ "tasks": many })).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_registered_task_definition_says_what_containers_there_are() {
    let setup = start().await;
    let definition = json!({
        "family": "agent-small",
        "cpu": "1024",
        "memory": "2048",
        "containerDefinitions": [
            { "name": "sidecar", "image": "proxy:1" },
            { "name": "agent", "image": "agent:1" },
        ],
    });
    let (_, body) = setup.ecs_call("RegisterTaskDefinition", &definition).await;
    let arn = body["taskDefinition"]["taskDefinitionArn"].as_str().unwrap();
    assert!(arn.ends_with("task-definition/agent-small:1"));

    let mut request = on_spot("token");
    request["taskDefinition"] = arn.into();
    let (_, body) = setup.ecs_call("RunTask", &request).await;
    let task = &body["tasks"][0];
    assert_eq!(task["cpu"], "1024");
    assert_eq!(task["containers"][0]["name"], "agent");
    assert_eq!(task["containers"][1]["name"], "sidecar");

    request["overrides"]["containerOverrides"][0]["name"] = "other".into();
    assert_eq!(setup.ecs_call("RunTask", &request).await.0, 400);
    request["taskDefinition"] = "agent-small:2".into();
    let (_, body) = setup.ecs_call("RunTask", &request).await;
    assert_eq!(body["message"], "TaskDefinition not found.");
}
