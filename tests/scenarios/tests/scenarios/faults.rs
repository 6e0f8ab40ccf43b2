//! What is acknowledged, and what comes again.

use std::fs;
use std::path::Path;

use bellhop_engine::FaultKind;
use bellhop_scenarios::{World, script_report};
use bellhop_stand_in::{Fault, Rule, Times};
use serde_json::{Value, json};

use crate::words::MINUTE;

fn always(service: &str, fault: Fault) -> Rule {
    Rule::new(service, "*", fault).times(Times::Always)
}

#[tokio::test]
async fn a_throttled_table_is_an_error_until_it_is_none_any_more() {
    let world = World::new().await;
    let push = world.push_event();

    world.faults().inject(always("dynamodb", Fault::Throttle));
    let fault = world.push(&push).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
    assert!(
        fault.what.contains("ProvisionedThroughputExceededException") && !fault.what.contains('\n'),
        "{fault}"
    );
    assert_eq!(world.sweep().await.unwrap_err().kind, FaultKind::Transient);
    world.faults().clear();
    world.start().await;

    let events = world.ecs().run(&world.task(0)).unwrap();
    world.faults().inject(always("dynamodb", Fault::Throttle));
    let fault = world.task_event(events.last().unwrap()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
    world.faults().clear();
    world.task_events(&events).await;
    assert_eq!(world.build("test").await.status(), "running");
}

#[tokio::test]
async fn faults_of_the_services_that_a_push_needs_are_errors_and_start_nothing() {
    for service in ["s3", "codecommit"] {
        let world = World::new().await;
        world.faults().inject(always(service, Fault::ServerError));
        let fault = world.push(&world.push_event()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Transient, "{service}: {fault}");
        assert!(world.run_ids().await.is_empty());
        assert!(world.tasks().is_empty());

        world.faults().clear();
        world.start().await;
        assert_eq!(world.tasks().len(), 1);
    }
}

#[tokio::test]
async fn a_missing_permission_is_an_error_that_somebody_has_to_mend() {
    let world = World::new().await;
    let denied = Fault::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "User is not authorized to perform: dynamodb:GetItem".to_owned(),
    };
    world.faults().inject(always("dynamodb", denied));
    let fault = world.push(&world.push_event()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.what.contains("not authorized"), "{fault}");
}

#[tokio::test]
async fn a_report_that_cannot_be_read_now_is_an_error_and_decides_nothing() {
    let world = World::new().await;
    world.start().await;
    world.runs(&world.task(0)).await;
    world.reports(&world.task(0), &script_report(1)).await;
    let events = world.ecs().exit(&world.task(0), 1).unwrap();
    let stopped = events.last().unwrap();

    world.faults().inject(always("s3", Fault::ServerError));
    world.task_event(stopped).await.unwrap_err();
    assert_eq!(world.build("test").await.status(), "running");
    world.faults().clear();
    world.task_event(stopped).await.unwrap();
    assert_eq!(world.build("test").await.status(), "failed");
}

/// Every sample of these folders.
fn samples(folders: &[&str]) -> Vec<(String, Value)> {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let mut samples = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(events.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            samples.push((path.display().to_string(), serde_json::from_str(&text).unwrap()));
        }
    }
    assert!(!samples.is_empty());
    samples
}

#[tokio::test]
async fn what_is_foreign_or_broken_is_acknowledged_and_touches_nothing() {
    let world = World::new().await;
    let broken = [
        json!(null),
        json!(""),
        json!(7),
        json!([]),
        json!({}),
        json!({ "source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": {} }),
        json!({ "source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": "{}" }),
        json!({ "source": "aws.codecommit", "detail-type": "CodeCommit Repository State Change", "id": "x", "detail": { "event": "referenceUpdated" } }),
        json!({ "source": "aws.health", "detail-type": "AWS Health Event", "detail": {} }),
        json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": "words" } }] }),
        json!({ "Records": [{ "eventSource": "aws:sqs", "body": "{" }] }),
        json!({ "Records": [{ "eventSource": "aws:codecommit", "eventName": "ReferenceChanges" }] }),
    ];
    let broken = broken.into_iter().map(|input| (input.to_string(), input));
    for (name, input) in samples(&["ecs", "schedule"]).into_iter().chain(broken.clone()) {
        let answer = world.push(&input).await.unwrap();
        assert!(answer[0]["skipped"].is_string() || answer == json!([]), "{name}: {answer}");
    }
    for (name, input) in samples(&["codecommit", "schedule"]).into_iter().chain(broken) {
        let answer = world.task_event(&input).await.unwrap();
        assert!(answer[0]["skipped"].is_string() || answer == json!([]), "{name}: {answer}");
    }
    let requests = World::requests(&world.journal().entries());
    assert!(requests.is_empty(), "{requests:?}");
}

#[tokio::test]
async fn the_task_of_an_unknown_build_is_acknowledged() {
    let world = World::new().await;
    for (name, input) in samples(&["ecs"]) {
        let answer = world.task_event(&input).await.unwrap();
        let acknowledged = answer[0]["skipped"].is_string() || answer[0]["result"] == "ignored: no such build";
        assert!(acknowledged, "{name}: {answer}");
    }
    assert!(world.tasks().is_empty());
    assert!(world.items().await.is_empty());
}

#[tokio::test]
async fn a_bad_record_does_not_sink_its_batch() {
    let world = World::new().await;
    let push = world.push_event();
    let batch = json!({ "Records": [
        { "eventSource": "aws:sqs", "body": "{" },
        { "eventSource": "aws:sqs", "body": push.to_string() },
        { "eventSource": "aws:codecommit", "eventName": "TriggerEventTest" },
    ] });
    let answer = world.push(&batch).await.unwrap();
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 3, "{answer}");
    assert_eq!(answers.iter().filter(|answer| answer["builds"] == 1).count(), 1);
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_jobs_variables_go_to_its_agent_and_nowhere_else() {
    const SECRET: &str = "correct-horse-battery-staple";
    let pipeline = format!("version: 1\njobs:\n  test:\n    agent: small\n    run: make test\n    environment: {{ TOKEN: {SECRET} }}\n");
    let world = World::with_pipeline(&pipeline).await;
    let mut answers = vec![world.push(&world.push_event()).await.unwrap()];
    let first = world.task(0);
    assert_eq!(world.tasks()[0].environment["TOKEN"], SECRET);
    let mut events = world.ecs().run(&first).unwrap();
    events.extend(world.ecs().warn(&first).unwrap());
    events.extend(world.ecs().interrupt(&first, 143).unwrap());
    for event in &events {
        assert!(event.to_string().contains(SECRET));
        answers.push(world.task_event(event).await.unwrap());
    }
    let mut unlike = events[0].clone();
    unlike["detail"]["lastStatus"] = "RESTING".into();
    answers.push(world.task_event(&unlike).await.unwrap());
    answers.push(world.sweep_after(10 * MINUTE).await.unwrap());
    let second = world.task(1);
    world.runs(&second).await;
    world.exits(&second, 1).await;
    answers.push(world.report().await);
    answers.extend(world.messages().await.into_iter().map(|message| message.document));
    for published in world.journal().of("sns", "Publish") {
        answers.push(published.request.unwrap());
    }
    assert!(answers.iter().all(|answer| !answer.to_string().contains(SECRET)), "{answers:#?}");

    world.faults().inject(always("dynamodb", Fault::ServerError));
    let fault = world.task_event(&events[0]).await.unwrap_err();
    assert!(!format!("{fault:?}").contains(SECRET));
}
