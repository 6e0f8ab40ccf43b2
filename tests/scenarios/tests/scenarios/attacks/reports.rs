//! What a hostile job leaves in the bucket, where its role lets it or as if S3 had let it: the functions believe what is in the agent's own folder, and of
//! that, nothing that makes a failure a success.

use bellhop_scenarios::{World, script_report};
use serde_json::{Value, json};

use super::running;
use crate::words::{attempts, cause};

/// The `aws:userid` of another agent, whose job is hostile.
const STRANGER: &str = "AROA0000000000000000:ffffffffffffffffffffffffffffffff";
const JUNIT: &str = r#"<testsuite><testcase name="forged"/></testsuite>"#;

/// What a forged report says of a build that fails.
fn success() -> String {
    script_report(0).to_string()
}

async fn put(world: &World, key: &str, text: &str) {
    let run = world.newest_run();
    world.local_aws.put(world.bucket(), &format!("runs/{run}/{key}"), text).await;
}

/// The `aws:userid` of the task.
fn own(world: &World) -> String {
    world.tasks()[0].user_id.clone()
}

/// The build has failed as its exit code says, without artifacts and tests.
async fn has_failed(world: &World) {
    let build = world.build("test").await;
    assert_eq!(
        (build.status(), cause(&build)),
        ("failed", Some("the script ended with exit code 2"))
    );
    let report = world.report().await;
    assert_eq!(report["status"], "failed");
    let build = &report["builds"][0];
    assert_eq!(
        (&build["artifacts"], &build["tests"]),
        (&json!({ "count": 0, "files": [] }), &Value::Null)
    );
    assert_eq!(world.told().await, ["build test failed", "run failed"]);
}

#[tokio::test]
async fn a_report_and_artifacts_in_the_folder_of_another_agent() {
    let (world, task) = running().await;
    let victim = own(&world);
    for folder in [
        STRANGER.to_owned(),
        // In the hostile agent's own folder, with the victim's name.
        format!("{STRANGER}/{victim}"),
        // Beside the folders of agents, and with names like the victim's.
        "test".to_owned(),
        format!("{victim}0"),
        victim.replace(':', "-"),
    ] {
        put(&world, &format!("{folder}/test/1/result.json"), &success()).await;
        put(&world, &format!("{folder}/test/1/artifacts/tests.xml"), JUNIT).await;
    }
    put(&world, "test/1/result.json", &success()).await;
    world.exits(&task, 2).await;
    has_failed(&world).await;
}

#[tokio::test]
async fn a_folder_with_the_agents_id_and_another_role() {
    // No role can do that today, because no role can choose the name of its session. Then neither of the two folders is believed.
    let (world, task) = running().await;
    let victim = own(&world);
    let (_, id) = victim.split_once(':').unwrap();
    for folder in [victim.clone(), format!("AROA0000000000000000:{id}")] {
        put(&world, &format!("{folder}/test/1/result.json"), &success()).await;
        put(&world, &format!("{folder}/test/1/artifacts/tests.xml"), JUNIT).await;
    }
    world.exits(&task, 2).await;
    has_failed(&world).await;
}

#[tokio::test]
async fn a_report_for_an_agent_that_was_interrupted_or_lost() {
    // Here a report of the agent's own would decide.
    let (world, task) = running().await;
    put(&world, &format!("{STRANGER}/test/1/result.json"), &success()).await;
    world.is_interrupted(&task, None).await;
    assert_eq!(attempts(&world.build("test").await)[0], "1 spot interrupted");
}

#[tokio::test]
async fn a_job_that_fails_and_reports_its_own_success() {
    let (world, task) = running().await;
    world.reports(&task, &script_report(0)).await;
    world.exits(&task, 2).await;
    has_failed(&world).await;
}

#[tokio::test]
async fn a_job_that_fails_and_reports_that_the_infrastructure_did() {
    // It may have itself run again, as often as a job with a failed checkout is, and cannot become green by it.
    let (world, task) = running().await;
    let report = json!({ "phase": "checkout", "exit-code": 0, "message": "fatal: no" });
    world.reports(&task, &report).await;
    world.exits(&task, 2).await;
    assert_eq!(attempts(&world.build("test").await)[0], "1 spot infrastructure-failed");
}

#[tokio::test]
async fn a_report_that_is_too_large_or_is_none() {
    let large = json!({ "phase": "script", "exit-code": 3, "signalled": false, "message": "x".repeat(64 * 1024) });
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    for text in [
        large.to_string(),
        deep,
        "\u{0}".to_owned(),
        "{\"phase\": \"script\"".to_owned(),
        "null".to_owned(),
    ] {
        let (world, task) = running().await;
        put(&world, &format!("{}/test/1/result.json", own(&world)), &text).await;
        world.exits(&task, 2).await;
        has_failed(&world).await;
    }
}

#[tokio::test]
async fn a_report_of_the_run_written_before_its_end() {
    let (world, task) = running().await;
    put(&world, "report.json", r#"{ "status": "succeeded" }"#).await;
    world.exits(&task, 2).await;
    has_failed(&world).await;
}

#[tokio::test]
async fn an_artifact_among_those_of_another_attempt() {
    let (world, task) = running().await;
    world.leaves("test", 1, "tests.xml", JUNIT).await;
    let victim = own(&world);
    for key in [
        format!("{victim}/other/1/artifacts/evil.xml"),
        format!("{victim}/test/2/artifacts/evil.xml"),
        format!("{STRANGER}/test/1/artifacts/{victim}/test/1/artifacts/evil.xml"),
    ] {
        put(&world, &key, JUNIT).await;
    }
    world.exits(&task, 0).await;
    let report = world.report().await;
    let artifacts = &report["builds"][0]["artifacts"];
    assert_eq!(artifacts["count"], 1, "{artifacts}");
    assert_eq!(artifacts["files"][0]["path"], "tests.xml");
    assert_eq!(report["builds"][0]["tests"]["run"], 1);
}
