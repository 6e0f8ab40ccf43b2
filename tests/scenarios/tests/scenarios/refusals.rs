//! What AWS says no with, in its own words: as the error of a launch, and as the reason of a task that never came up; and what is never allowed.

use std::time::Duration;

use bellhop_scenarios::World;
use bellhop_stand_in::{Fault, Rule, Times};

use crate::words::{MINUTE, attempts, cause};

fn error(status: u16, code: &str, message: &str) -> Fault {
    Fault::Error {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

fn denied(operation: &str) -> Fault {
    let message = format!("User: arn:aws:sts::123456789012:assumed-role/ci-push is not authorized to perform: {operation}");
    error(400, "AccessDeniedException", &message)
}

/// Refuses the launches of a build in this way, and gives what is known of it then: its status, its attempts, and how many launches ECS was asked for.
async fn refused(fault: Fault) -> (World, String, Vec<String>, u32) {
    let world = World::new().await;
    let rule = world.faults().inject(Rule::new("ecs", "RunTask", fault).times(Times::Always));
    let _ = world.push(&world.push_event()).await;
    let build = world.build("test").await;
    let asked = world.faults().fired(rule);
    (world, build.status().to_owned(), attempts(&build), asked)
}

#[tokio::test]
async fn the_words_of_a_refusal_decide_and_not_its_code() {
    for (code, message, status, attempt) in [
        (
            "InvalidParameterException",
            "Error retrieving security group information for [sg-0a]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)",
            "queued",
            "1 spot waiting",
        ),
        (
            "InvalidParameterException",
            "Error retrieving subnet information for [subnet-0a]: An internal error has occurred (ErrorCode: InternalError)",
            "queued",
            "1 spot waiting",
        ),
        (
            "ClientException",
            "Tasks provisioning capacity limit exceeded.",
            "queued",
            "1 spot waiting",
        ),
        (
            "InvalidParameterException",
            "No Container Instances were found in your capacity provider.",
            "queued",
            "1 on-demand waiting",
        ),
        (
            "InvalidParameterException",
            "Unable to assume the service linked role. Please verify that the ECS service linked role exists.",
            "queued",
            "1 spot waiting",
        ),
        ("SomethingNewException", "Nobody has heard of this.", "queued", "1 spot waiting"),
        (
            "ClientException",
            "TaskDefinition not found.",
            "infrastructure-failed",
            "1 spot infrastructure-failed",
        ),
    ] {
        let (_, actual, attempts, _) = refused(error(400, code, message)).await;
        assert_eq!((actual.as_str(), attempts), (status, vec![attempt.to_owned()]), "{code}: {message}");
    }
}

#[tokio::test]
async fn the_words_of_a_task_that_never_came_up_count_like_those_of_a_refusal() {
    let provisioning = "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment disabled in subnet 'subnet-0a': \
                        InsufficientFreeAddressesInSubnet";
    for (reason, status, expected) in [
        ("RESOURCE:MEMORY", "launching", vec!["1 on-demand launching"]),
        ("EMPTY CAPACITY PROVIDER", "launching", vec!["1 on-demand launching"]),
        ("NO ACTIVE INSTANCES", "launching", vec!["1 on-demand launching"]),
        ("AGENT", "launching", vec!["1 on-demand launching"]),
        (provisioning, "queued", vec!["1 spot infrastructure-failed", "2 spot waiting"]),
        (
            "Request limit exceeded.",
            "queued",
            vec!["1 spot infrastructure-failed", "2 spot waiting"],
        ),
        (
            "InternalError: an internal error has occurred",
            "queued",
            vec!["1 spot infrastructure-failed", "2 spot waiting"],
        ),
    ] {
        let world = World::new().await;
        world.start().await;
        let events = world.ecs().fail_to_start(&world.task(0), reason).unwrap();
        world.task_events(&events).await;
        let build = world.build("test").await;
        assert_eq!(
            (build.status(), attempts(&build)),
            (status, expected.iter().map(ToString::to_string).collect()),
            "{reason}"
        );
        assert_eq!(build.retries, [0, 0], "{reason}");
        assert!(world.told().await.is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn a_permission_that_is_missing_is_told_at_once_and_waited_for() {
    let (world, status, attempt, asked) = refused(denied("ecs:RunTask")).await;
    assert_eq!((status.as_str(), attempt, asked), ("queued", vec!["1 spot waiting".to_owned()], 1));
    let messages = world.messages().await;
    let [message] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!(message.document["status"], "retrying");
    let text = message.document.to_string();
    for part in [
        "not authorized to perform: ecs:RunTask",
        "the launch is retried until",
        "check the functions' permissions",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }

    for _ in 0..3 {
        world.sweep_after(MINUTE).await.unwrap();
    }
    assert!(world.tasks().is_empty());
    world.faults().clear();
    world.sweep_after(5 * MINUTE).await.unwrap();
    world.runs(&world.task(0)).await;
    world.exits(&world.task(0), 0).await;
    assert_eq!(attempts(&world.build("test").await), ["1 spot succeeded"]);
    assert_eq!(world.told().await, ["build test succeeded", "run succeeded"]);
}

#[tokio::test]
async fn a_permission_that_never_comes_ends_the_build_in_the_words_of_aws() {
    let (world, ..) = refused(denied("ecs:RunTask")).await;
    for _ in 0..20 {
        world.sweep_after(MINUTE).await.unwrap();
    }
    let build = world.build("test").await;
    assert_eq!(build.status(), "infrastructure-failed");
    let cause = cause(&build).unwrap();
    assert!(cause.contains("not authorized to perform: ecs:RunTask"), "{cause}");
    assert_eq!(
        world.told().await,
        [
            "build test infrastructure-failed",
            "build test retrying",
            "run infrastructure-failed"
        ]
    );
    assert!(world.tasks().is_empty());
}

/// Sweeps so many times, as many minutes apart, and gives how many of the sweeps failed.
async fn sweeps(world: &World, count: u32, apart: u32) -> u32 {
    let mut failed = 0;
    for _ in 0..count {
        failed += u32::from(world.sweep_after(MINUTE * apart + Duration::from_secs(1)).await.is_err());
    }
    failed
}

#[tokio::test]
async fn an_agent_that_nobody_may_stop_is_given_up_and_told_once() {
    let world = World::new().await;
    let run = world.start().await;
    world.runs(&world.task(0)).await;
    world
        .faults()
        .inject(Rule::new("ecs", "StopTask", denied("ecs:StopTask")).times(Times::Always));
    let cancel = serde_json::json!({ "cancel": { "run": run } });
    let _ = world.control(&cancel).await;
    assert!(sweeps(&world, 10, 2).await > 0);
    assert_eq!(sweeps(&world, 4, 10).await, 0);
    let build = world.build("test").await;
    assert_eq!((build.due(), build.attempts[0].is_live()), (None, false));
    let messages = world.messages().await;
    let abandoned: Vec<_> = messages
        .iter()
        .filter(|message| message.document["status"] == "abandoned")
        .collect();
    let [given_up] = abandoned[..] else { panic!("{abandoned:?}") };
    assert!(
        given_up.document["cause"].as_str().unwrap().contains("ecs:StopTask"),
        "{}",
        given_up.document
    );
    assert!(
        given_up.document["advice"].as_str().unwrap().contains("by hand"),
        "{}",
        given_up.document
    );
}

#[tokio::test]
async fn an_agent_that_never_says_that_it_has_stopped_gives_its_place_to_the_next() {
    let world = World::with_pipeline("version: 1\njobs:\n  a: { agent: small, run: x }\n  b: { agent: small, run: x }\n").await;
    world.limit_agents(Some(1), None).await;
    let run = world.start().await;
    world.runs(&world.task(0)).await;
    let first = if world.build("a").await.attempts.is_empty() || world.build("a").await.status() == "queued" {
        "b"
    } else {
        "a"
    };
    let second = if first == "a" { "b" } else { "a" };
    // The instance's connection is gone: ECS takes the wish, and the task never stops.
    let _ = world
        .control(&serde_json::json!({ "cancel": { "build": format!("{run}/{first}") } }))
        .await;
    let _ = sweeps(&world, 6, 2).await;
    assert_eq!(world.build(second).await.status(), "queued");
    let failed = sweeps(&world, 3, 2).await;
    assert_eq!(failed, 0);
    assert_eq!(world.build(second).await.status(), "launching");
    assert!(
        world.told().await.contains(&format!("build {first} abandoned")),
        "{:?}",
        world.told().await
    );
}

#[tokio::test]
async fn a_cluster_that_is_not_there_leaves_no_look_behind() {
    let world = World::new().await;
    world.ecs().set_clusters(["another"]);
    world.start().await;
    assert_eq!(world.build("test").await.status(), "infrastructure-failed");
    assert_eq!(sweeps(&world, 3, 2).await, 0);
    assert_eq!(world.build("test").await.due(), None);
}

#[tokio::test]
async fn messages_that_nobody_may_send_are_given_up_after_two_hours() {
    let world = World::new().await;
    world
        .faults()
        .inject(Rule::new("sns", "Publish", error(403, "AuthorizationError", "no")).times(Times::Always));
    world.start().await;
    world.runs(&world.task(0)).await;
    let events = world.ecs().exit(&world.task(0), 0).unwrap();
    for event in &events {
        let _ = world.task_event(event).await;
    }
    assert_eq!(world.build("test").await.status(), "succeeded");
    assert!(sweeps(&world, 12, 15).await > 0);
    assert_eq!(sweeps(&world, 3, 20).await, 0);
    assert!(world.build("test").await.outbox.pending().is_empty());
    assert!(world.run().await.outbox.pending().is_empty());
}
