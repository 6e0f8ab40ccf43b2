//! What users and administrators get wrong, and what they are told.

use bellhop_domain::run::RunState;
use bellhop_scenarios::World;
use serde_json::{Value, json};

const GOOD: &str = "version: 1\njobs:\n  test: { agent: small, run: make test }\n";

/// Handles a push that has to be rejected with this text, twice, and looks at everything that says so.
async fn is_rejected(world: &World, push: &Value, text: &str) {
    let answer = world.push(push).await.unwrap();
    let run = world.newest_run();
    assert_eq!(answer, json!([{ "run": run, "rejected": text }]));
    let again = world.push(push).await.unwrap();
    assert_eq!(again, json!([{ "run": run, "again": true }]));

    let record = world.run().await;
    assert_eq!(record.status(), "rejected");
    assert!(matches!(&record.state, RunState::Rejected { message, .. } if message == text));
    assert!(record.outbox.pending().is_empty());
    let report = world.report().await;
    assert_eq!((&report["status"], &report["rejected"]), (&json!("rejected"), &json!(text)));
    // The administrators have one of their own where it is their file.
    let messages: Vec<_> = world
        .messages()
        .await
        .into_iter()
        .filter(|message| message.document["kind"] == "run")
        .collect();
    let [message] = messages.as_slice() else {
        panic!("one message: {messages:?}");
    };
    assert_eq!(message.line(), "run rejected");
    assert_eq!(message.document["cause"], text);
    assert_eq!(message.document["severity"], "error");
    assert_eq!(message.attributes["status"], "rejected");
    assert!(!text.contains('\n'));
}

/// Handles an input that has to lead to nothing, and gives the answer.
async fn leads_to_nothing(world: &World, input: &Value) -> Value {
    let runs = world.run_ids().await;
    let answer = world.push(input).await.unwrap();
    assert_eq!(world.run_ids().await, runs);
    assert!(world.messages().await.is_empty());
    answer
}

#[tokio::test]
async fn a_bad_pipeline_file_is_told_with_file_line_field_and_what_was_expected() {
    let world = World::new().await;
    let cases = [
        (
            "version: 1\njobs:\n  test: { agent: small\n",
            ".bellhop.yaml, line 3: the file is not valid YAML: unclosed bracket '{'; the line is `test: …`",
        ),
        (
            "version: 1\njobs:\n  test:\n    agent: small\n    run: make test\n    timout: 3m\n",
            ".bellhop.yaml, line 6, jobs.test: unknown key `timout`; did you mean `timeout`? (known: on, agent, run, buildspec, environment, secrets, critical, timeout, queue-timeout, relaunch, lock, retry, needs, fetch, artifacts, images); the line is `timout: …`",
        ),
        (
            "version: 1\njobs:\n  test:\n    agent: smal\n    run: make test\n",
            ".bellhop.yaml, line 4, jobs.test.agent: there is no agent `smal` in config/bellhop.yaml; did you mean `small`? (known: small); the line is `agent: smal`",
        ),
        (
            "version: 1\njobs:\n  test:\n    agent: small\n    run: make test\n    on: { push: { branches: ['[b'] } }\n",
            ".bellhop.yaml, line 6, jobs.test.on.push.branches[0]: `[b` is not a valid pattern: unclosed character class; missing ']'; the line is `on: …`",
        ),
        (
            "version: 1\njobs:\n  test:\n    agent: small\n    run: make test\n    timeout: soon\n",
            ".bellhop.yaml, line 6, jobs.test.timeout: `soon` is not a valid duration: expected whole numbers with units, such as 30m or 1h 30m; the line is `timeout: soon`",
        ),
        (
            "version: 1\njobs:\n  a: { agent: small, run: x, needs: [b] }\n  b: { agent: small, run: x, needs: [a] }\n",
            ".bellhop.yaml, line 3, jobs.a.needs: the jobs wait for each other: a → b → a; the line is `a: …`",
        ),
    ];
    for (file, text) in cases {
        let push = world.commit(&[(".bellhop.yaml", file)], "Worse").await;
        is_rejected(&world, &push, text).await;
    }
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_pipeline_file_that_is_no_text_is_told_too() {
    let world = World::new().await;
    world.repository.write(".bellhop.yaml", b"version: \xff\xfe");
    let push = world.commit(&[], "Binary").await;
    is_rejected(&world, &push, ".bellhop.yaml: it is not UTF-8 text").await;
}

#[tokio::test]
async fn a_bad_suite_configuration_is_told_to_whoever_pushes() {
    let world = World::new().await;

    world.unconfigure().await;
    let push = world.push_event();
    let text = format!(
        "the suite configuration s3://{}/config/bellhop.yaml does not exist: an administrator must upload it",
        world.bucket()
    );
    is_rejected(&world, &push, &text).await;

    world.configure("version: 1\nagents: {}\nrepos: {}\n").await;
    let push = world.commit(&[("a", "1")], "Again").await;
    let text = "config/bellhop.yaml, line 3: unknown key `repos` (known: version, agents, repositories, jobs, alarms, backups, notify); the line is `repos: …`";
    is_rejected(&world, &push, text).await;

    let agents = "version: 1\nagents:\n  small: { ecs: { cluster: ci, task-definition: a, subnets: [s] } }\n";
    world
        .configure(&format!("{agents}repositories:\n  other: {{ agents: [small] }}\n"))
        .await;
    let push = world.commit(&[("a", "2")], "And again").await;
    let text = "config/bellhop.yaml, line 4, repositories: the repository `shop` is not listed in `repositories` of config/bellhop.yaml; the line is `repositories: …`";
    is_rejected(&world, &push, text).await;

    world.configure(&format!("{agents}repositories:\n  shop: {{ agents: [] }}\n")).await;
    let push = world.commit(&[("a", "3")], "And again").await;
    let text = ".bellhop.yaml, line 4, jobs.test.agent: `repositories` of config/bellhop.yaml does not let `shop` use the agent `small`; the line is `test: …`";
    is_rejected(&world, &push, text).await;
    assert!(world.tasks().is_empty());
}

#[tokio::test]
async fn a_configuration_that_is_mended_counts_from_the_next_push_on() {
    let world = World::new().await;
    world.unconfigure().await;
    let answer = world.push(&world.push_event()).await.unwrap();
    assert!(answer[0]["rejected"].is_string());

    world
        .configure("version: 1\nagents:\n  small: { ecs: { cluster: ci, task-definition: a, subnets: [s] } }\n")
        .await;
    world.start_by(&world.commit(&[("a", "1")], "Now").await).await;
    assert_eq!(world.tasks().len(), 1);
}

#[tokio::test]
async fn a_repository_without_a_pipeline_file_is_left_in_peace() {
    let world = World::with_files(&[("README.md", "Shop")], "First").await;
    let answer = leads_to_nothing(&world, &world.push_event()).await;
    assert_eq!(answer, json!([{ "nothing": "no .bellhop.yaml at the commit" }]));
}

#[tokio::test]
async fn a_pipeline_file_of_nearly_the_right_name_is_told() {
    let world = World::with_files(&[(".bellhop.yml", GOOD)], "First").await;
    let answer = world.push(&world.push_event()).await.unwrap();
    assert_eq!(
        answer[0]["rejected"],
        ".bellhop.yml: expected .bellhop.yaml as the name of the pipeline file"
    );
    assert_eq!(world.messages().await.len(), 1);
}

#[tokio::test]
async fn a_branch_of_any_name_that_git_allows_is_built() {
    let world = World::with_pipeline(GOOD).await;
    let long = "ü".repeat(129);
    let names = ["-leading-dash", "full\u{3000}width", "no\u{a0}break", &long, "--upload-pack=x"];
    for (number, name) in names.into_iter().enumerate() {
        let mut push = world.push_event();
        push["id"] = json!(format!("push-{number}"));
        push["detail"]["referenceName"] = json!(name);
        push["detail"]["referenceFullName"] = json!(format!("refs/heads/{name}"));
        let answer = world.push(&push).await.unwrap();
        assert!(answer[0]["run"].is_string(), "{name}: {answer}");
    }
    let launched = world.tasks();
    assert_eq!(launched.len(), 5);
}

#[tokio::test]
async fn a_commit_may_ask_for_no_run() {
    let world = World::new().await;
    for message in ["Words [skip ci]", "[CI SKIP] Words", "Words\n\nMore words [no ci]"] {
        let push = world.commit(&[("words", message)], message).await;
        let answer = leads_to_nothing(&world, &push).await;
        assert_eq!(answer, json!([{ "nothing": "the commit message asks to skip it" }]), "{message}");
    }
}

#[tokio::test]
async fn what_is_no_push_starts_nothing() {
    let world = World::with_pipeline(GOOD).await;
    world.push_to("refs/heads/feature").await;
    let deleted = world.delete("refs/heads/feature").await;
    assert_eq!(deleted["detail"]["event"], "referenceDeleted");
    let answer = leads_to_nothing(&world, &deleted).await;
    assert_eq!(
        answer[0]["skipped"],
        "aws.codecommit CodeCommit Repository State Change: foreign: refs/heads/feature was deleted"
    );

    let test = include_str!("../../../../events/codecommit/trigger-test.json");
    let answer = leads_to_nothing(&world, &serde_json::from_str(test).unwrap()).await;
    assert_eq!(
        answer[0]["skipped"],
        "aws:codecommit TriggerEventTest: foreign: the trigger was tested, nothing was pushed"
    );
}

#[tokio::test]
async fn a_push_that_was_overtaken_by_the_deletion_of_its_repository_starts_nothing() {
    let world = World::new().await;
    let mut push = world.push_event();
    push["detail"]["repositoryName"] = "gone".into();
    let answer = leads_to_nothing(&world, &push).await;
    assert_eq!(answer, json!([{ "nothing": "the repository has no such commit in this region" }]));
}
