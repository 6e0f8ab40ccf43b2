//! From a push to its result.

use std::collections::BTreeMap;

use bellhop_scenarios::{World, script_report};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::words::attempts;

#[tokio::test]
async fn a_push_becomes_a_run_with_a_task_on_spot() {
    let world = World::new().await;
    let push = world.push_event();

    let answer = world.push(&push).await.unwrap();

    let run = world.newest_run();
    assert_eq!(answer, json!([{ "run": run, "builds": 1 }]));
    let launches = world.journal().of("ecs", "RunTask");
    let [launch] = launches.as_slice() else {
        panic!("one launch: {launches:?}");
    };
    let request = launch.request.as_ref().unwrap();
    let token = request["clientToken"].as_str().unwrap();
    assert!(
        token.len() <= 64 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{token}"
    );
    let expected = json!({
        "cluster": "ci-spot",
        "taskDefinition": "bellhop-agent-small",
        "count": 1,
        "clientToken": token,
        "startedBy": format!("bellhop/{run}/test/1"),
        "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0 }],
        "networkConfiguration": { "awsvpcConfiguration": {
            "subnets": ["subnet-0a", "subnet-0b"],
            "securityGroups": ["sg-0a"],
            "assignPublicIp": "DISABLED",
        } },
        "overrides": request["overrides"],
    });
    assert_eq!(*request, expected);
    assert_eq!(request["overrides"]["containerOverrides"][0]["name"], "agent");

    let environment: BTreeMap<&str, String> = BTreeMap::from([
        ("CI", "true".to_owned()),
        ("BELLHOP_RUN", run.to_string()),
        ("BELLHOP_JOB", "test".to_owned()),
        ("BELLHOP_ATTEMPT", "1".to_owned()),
        ("BELLHOP_BUILD", format!("{run}/test")),
        ("BELLHOP_REPOSITORY", "shop".to_owned()),
        ("BELLHOP_COMMIT", push["detail"]["commitId"].as_str().unwrap().to_owned()),
        ("BELLHOP_REF", "refs/heads/main".to_owned()),
        ("BELLHOP_CAPACITY", "spot".to_owned()),
        (
            "BELLHOP_RESULT_URI",
            format!("s3://{}/runs/{run}/{{identity}}/test/1/result.json", world.bucket()),
        ),
        ("BELLHOP_SCRIPT", "make test".to_owned()),
    ]);
    let tasks = world.tasks();
    let given: BTreeMap<&str, String> = tasks[0]
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    assert_eq!(given, environment);
    assert_eq!(world.build("test").await.status(), "launching");
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_job_that_succeeds_is_reported_and_told() {
    let world = World::new().await;
    let push = world.push_event();
    let run = world.start().await;
    let task = world.task(0);

    world.runs(&task).await;
    assert_eq!(world.build("test").await.status(), "running");
    world.exits(&task, 0).await;

    let build = world.build("test").await;
    assert_eq!(build.status(), "succeeded");
    assert_eq!(attempts(&build), ["1 spot succeeded"]);
    assert!(build.outbox.pending().is_empty() && build.due().is_none());
    let record = world.run().await;
    assert_eq!(record.status(), "succeeded");
    assert!(record.outbox.pending().is_empty() && record.due().is_none());

    let report = world.report().await;
    assert_eq!(report["version"], 1);
    assert_eq!(report["run"], json!(run));
    assert_eq!(report["status"], "succeeded");
    assert_eq!(report["repository"], "shop");
    assert_eq!(report["ref"], "refs/heads/main");
    assert_eq!(report["commit"], push["detail"]["commitId"]);
    assert_eq!(report["by"], "developer");
    assert_eq!(report["builds"][0]["build"], format!("{run}/test"));
    assert_eq!(report["builds"][0]["attempts"][0]["agent"], json!(task));
    assert_eq!(report["builds"][0]["attempts"][0]["end"], "succeeded");

    let messages = world.messages().await;
    let of_build = messages.iter().find(|message| message.document["kind"] == "build").unwrap();
    let of_run = messages.iter().find(|message| message.document["kind"] == "run").unwrap();
    assert_eq!(messages.len(), 2);
    let expected = json!({
        "version": 1,
        "id": format!("{run}/test/succeeded"),
        "kind": "build",
        "severity": "info",
        "status": "succeeded",
        "title": "shop main: test succeeded",
        "repository": "shop",
        "ref": "refs/heads/main",
        "commit": push["detail"]["commitId"],
        "run": run,
        "job": "test",
        "attempt": 1,
        "capacity": "spot",
        "cause": null,
        "links": of_build.document["links"],
        "time": of_build.document["time"],
    });
    assert_eq!(of_build.document, expected);
    let id = task.rsplit('/').next().unwrap();
    for (link, place) in [
        ("agent", format!("/tasks/{id}/")),
        ("logs", format!("/log-events/small$252Fagent$252F{id}")),
    ] {
        let link = of_build.document["links"][link].as_str().unwrap();
        assert!(link.contains(&place), "{link}");
    }
    let shown = world.control(&json!({ "show": { "run": run } })).await.unwrap();
    assert_eq!(
        shown["builds"][0]["attempts"][0]["log"],
        json!({ "group": "/bellhop/agents", "stream": format!("small/agent/{id}") })
    );
    let attributes = [
        ("kind", "build"),
        ("severity", "info"),
        ("status", "succeeded"),
        ("repository", "shop"),
        ("branch", "main"),
        ("job", "test"),
    ];
    let attributes: BTreeMap<String, String> = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(of_build.attributes, attributes);

    assert_eq!(of_run.line(), "run succeeded");
    assert_eq!(of_run.document["id"], format!("{run}/succeeded"));
    assert_eq!(
        of_run.document["jobs"],
        json!([{ "job": "test", "status": "succeeded", "cause": null }])
    );
    assert_eq!(of_run.document["job"], Value::Null);
    assert!(
        messages
            .iter()
            .all(|message| message.document["time"].as_str().unwrap().parse::<Timestamp>().is_ok())
    );
    assert!(!of_run.attributes.contains_key("job"));
}

#[tokio::test]
async fn people_get_texts_that_fit_their_ways() {
    let pipeline = "version: 1\njobs:\n  test: { agent: small, run: make test, on: { push: { tags: ['*'] } } }\n";
    let world = World::with_pipeline(pipeline).await;
    world.start_by(&world.push_to("refs/tags/größer").await).await;
    let task = world.task(0);
    world.runs(&task).await;
    let mut report = script_report(1);
    report["command"] = json!(format!("printf 'ü\n' {}", "x".repeat(300)));
    world.reports(&task, &report).await;
    world.exits(&task, 1).await;

    let published = world.journal().of("sns", "Publish");
    assert_eq!(published.len(), 2);
    for published in published {
        let request = published.request.unwrap();
        assert_eq!(request["MessageStructure"], "json");
        let subject = request["Subject"].as_str().unwrap();
        assert!(
            subject.len() <= 100 && subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{subject}"
        );
        assert!(subject.starts_with("shop "), "{subject}");
        let texts: Value = serde_json::from_str(request["Message"].as_str().unwrap()).unwrap();
        let sms = texts["sms"].as_str().unwrap();
        assert!(sms.chars().count() <= 140 && sms.starts_with("shop größer"), "{sms}");
        assert!(texts["email"].as_str().unwrap().contains("refs/tags/größer"));
        let document: Value = serde_json::from_str(texts["default"].as_str().unwrap()).unwrap();
        assert_eq!(document["ref"], "refs/tags/größer");
    }
    for message in world.messages().await {
        assert!(!message.attributes.contains_key("branch"), "a tag is no branch");
    }
}

#[tokio::test]
async fn a_warm_function_reads_the_configuration_only_when_it_has_changed() {
    let world = World::new().await;
    let starter = world.run_starter();
    let mut answers = Vec::new();
    world.push_warm(&starter, &world.push_event()).await.unwrap();
    let push = world.commit(&[("a", "1")], "Same").await;
    answers.push(world.push_warm(&starter, &push).await.unwrap());
    world.configure("version: 1\nagents: {}\n").await;
    let push = world.commit(&[("a", "2")], "Changed").await;
    answers.push(world.push_warm(&starter, &push).await.unwrap());

    let reads: Vec<_> = world.journal().of("s3", "GetObject").iter().map(|read| read.status).collect();
    assert_eq!(reads, [Some(200), Some(304), Some(200)]);
    assert_eq!(answers[0][0]["builds"], 1);
    assert!(answers[1][0]["rejected"].is_string(), "{answers:?}");
}

#[tokio::test]
async fn a_critical_job_is_never_on_spot() {
    let world = World::with_pipeline("version: 1\njobs:\n  test: { agent: small, run: make test, critical: true }\n").await;
    world.start().await;

    let tasks = world.tasks();
    assert_eq!((tasks[0].capacity.as_str(), tasks[0].cluster.as_str()), ("FARGATE", "ci-main"));
    assert_eq!(tasks[0].environment["BELLHOP_CAPACITY"], "on-demand");
    let request = world.journal().of("ecs", "RunTask").remove(0).request.unwrap();
    assert_eq!(request["launchType"], "FARGATE");
    assert_eq!(request["capacityProviderStrategy"], Value::Null);
}

#[tokio::test]
async fn of_successes_only_the_first_after_a_failure_is_told_by_default() {
    let world = World::new().await;
    world
        .configure("version: 1\nagents:\n  small:\n    ecs: { cluster: ci, task-definition: bellhop-agent-small, subnets: [subnet-0a] }\n")
        .await;
    let mut pushes = vec![world.push_event()];
    for number in 2..=4 {
        pushes.push(world.commit(&[("number", &number.to_string())], "More").await);
    }
    let mut told = Vec::new();
    for (place, (push, exit_code)) in pushes.iter().zip([0, 1, 0, 0]).enumerate() {
        world.start_by(push).await;
        let task = world.task(place);
        world.runs(&task).await;
        world.exits(&task, exit_code).await;
        told.push(world.told().await);
    }
    let nothing: [&str; 0] = [];
    assert_eq!(told[0], nothing);
    assert_eq!(told[1], ["build test failed", "run failed"]);
    assert_eq!(told[2], ["build test succeeded", "run succeeded"]);
    assert_eq!(told[3], nothing);
}
