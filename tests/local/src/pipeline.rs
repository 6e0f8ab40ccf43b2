//! A second story: tests on Fargate Spot and then an image on CodeBuild, once for a push, and once for an action of CodePipeline that waits for both.

use anyhow::{Context as _, ensure};
use bellhop_domain::run::pipeline::CONTINUE_AFTER;
use bellhop_stand_in::{InvokeAction, JobResult};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::demo::Demo;
use crate::story::Story;

/// Tells the story.
///
/// # Errors
/// Something could not be set up, or the story did not go as it should.
pub(crate) async fn run(keep: bool) -> anyhow::Result<()> {
    let demo = Demo::begin().await?;
    demo.shop.add("shop-with-image")?;
    demo.shop.commit("Build an image").await?;

    println!("A push. Its tests run on Spot, and CodeBuild builds its image:\n");
    let run = demo.push_and("Build an image", async |_| Ok(true)).await?;
    demo.show(&run).await?;
    show_what_is_left(&demo, &run).await?;

    println!("\nA CodePipeline action that starts the build of the image and waits for it:\n");
    let action = wait_as_pipeline(&demo).await?;
    show_what_is_left(&demo, &action.run).await?;
    println!("\nThe action in CodePipeline:\n\n{}", action.text);
    demo.end("pipeline", keep).await
}

/// An action that is over.
struct Waited {
    /// The message of its run.
    run: Value,
    /// What became of it, for people.
    text: String,
}

/// Lets a pipeline come to an action that asks for the image, and tells what happens until the action is over. Half-way, its job becomes too old.
async fn wait_as_pipeline(demo: &Demo) -> anyhow::Result<Waited> {
    let codepipeline = demo.stack.stand_in.codepipeline();
    let parameters = json!({ "repository": "shop", "job": "image" }).to_string();
    let mut story = Story::begin(&demo.stack);
    story.tell("a pipeline", &format!("reaches its action, with UserParameters {parameters}"));
    let action = codepipeline.start(InvokeAction::new("bellhop-pipeline").user_parameters(parameters))?;
    let mut old = false;
    let run = demo
        .follow(story, async |story| {
            if !old && tests_run(demo)? && six_minutes_pass(demo).await? {
                old = true;
                story.tell("clock", "six minutes pass (in the run's record), and the sweep runs");
                demo.stack.aws.invoke_later("bellhop-sweep", &json!({})).await?;
            }
            Ok(codepipeline.action(&action.id)?.status != "InProgress")
        })
        .await?;
    demo.show(&run).await?;

    let action = codepipeline.action(&action.id)?;
    ensure!(action.status == "Succeeded", "the action should have succeeded: {action:?}");
    let build = format!("{}/image", run["run"].as_str().context("the run's message does not name the run")?);
    for (name, expected) in [("BuildId", build.as_str()), ("Outcome", "succeeded"), ("Attempts", "1")] {
        ensure!(
            action.output_variables.get(name).is_some_and(|value| value == expected),
            "the action's {name} should be {expected}: {action:?}"
        );
    }
    let results: Vec<_> = action.jobs.iter().map(|job| &job.result).collect();
    ensure!(
        matches!(results.as_slice(), [Some(JobResult::Continued { .. }), Some(JobResult::Succeeded)]),
        "the action should have been continued once: {action:?}"
    );
    let variables = action.output_variables.iter().map(|(name, value)| format!("{name}={value}"));
    let text = format!(
        "    {}: {}\n    output variables: {}\n    jobs: {}, the second with the first one's continuation token",
        action.status,
        action.summary.as_deref().unwrap_or("-"),
        variables.collect::<Vec<_>>().join(", "),
        action.jobs.len()
    );
    Ok(Waited { run, text })
}

/// Whether a job's tests are being run.
fn tests_run(demo: &Demo) -> anyhow::Result<bool> {
    let ecs = demo.stack.stand_in.ecs();
    match ecs.tasks().into_iter().find(|task| task.last_status == "RUNNING") {
        Some(task) => Ok(ecs.stdout(&task.arn)?.contains("test_")),
        None => Ok(false),
    }
}

/// Sets the time since which the job of an action has been open back by what the suite lets pass before it continues the action. Gives whether that could
/// be done now.
async fn six_minutes_pass(demo: &Demo) -> anyhow::Result<bool> {
    let table = demo.stack.output("TableName")?;
    for mut item in demo.stack.aws.scan(table).await? {
        let document = item["doc"]["S"].as_str().unwrap_or_default();
        let mut document: Value = serde_json::from_str(document).context("a record of the ledger is not valid JSON")?;
        let Some(since) = document.pointer_mut("/action/state/open/since") else {
            continue;
        };
        let opened: Timestamp = since.as_str().context("no time since which the job is open")?.parse()?;
        *since = json!(opened.checked_sub(CONTINUE_AFTER)?.to_string());
        item["doc"]["S"] = json!(document.to_string());
        item["due_at"]["N"] = json!(opened.as_millisecond().to_string());
        let version = item["version"].clone();
        let number: u64 = version["N"].as_str().context("a record without a version")?.parse()?;
        item["version"]["N"] = json!((number + 1).to_string());
        return demo.stack.aws.replace_item(table, &item, &version).await;
    }
    Ok(false)
}

/// The tests and artifacts of a run's builds, and holds them against what they should be.
async fn show_what_is_left(demo: &Demo, run: &Value) -> anyhow::Result<()> {
    let report = demo.report(run).await?;
    ensure!(report["status"] == "succeeded", "the run should have succeeded: {report}");
    let [test, image] = report["builds"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        anyhow::bail!("the run should have two builds: {report}");
    };
    ensure!(
        test["tests"]["run"] == 5 && test["tests"]["failed"] == 0,
        "the report of five tests should have been counted: {test}"
    );
    for (build, capacity, path) in [(test, "spot", "report.xml"), (image, "codebuild", "dist/shop.tar.gz")] {
        ensure!(
            build["attempts"][0]["capacity"] == capacity && build["attempts"][1].is_null(),
            "one attempt on {capacity} should have done: {build}"
        );
        ensure!(
            build["artifacts"]["files"][0]["path"] == path,
            "{path} should have been kept: {build}"
        );
        let file = &build["artifacts"]["files"][0];
        let key = file["key"].as_str().unwrap_or_default();
        ensure!(
            ["version", "sha256"].iter().all(|what| file[what].is_string()),
            "version and hash of {path} should have been noted: {file}"
        );
        let stored = demo.stack.aws.has_object(demo.stack.output("BucketName")?, key).await?;
        ensure!(stored, "{key} should be in the bucket");
    }
    ensure!(
        moment(&image["attempts"][0]["launched"])? >= moment(&test["attempts"][0]["ended"])?,
        "the image should have waited for the tests: {report}"
    );
    println!("\nFiles in the bucket:\n");
    for build in [test, image] {
        let tests = match &build["tests"] {
            Value::Null => String::new(),
            tests => format!("   ({} tests, {} failed)", tests["run"], tests["failed"]),
        };
        for file in build["artifacts"]["files"].as_array().into_iter().flatten() {
            println!("    {}   {} bytes{tests}", file["key"].as_str().unwrap_or_default(), file["size"]);
        }
    }
    Ok(())
}

fn moment(value: &Value) -> anyhow::Result<Timestamp> {
    Ok(value.as_str().context("no time")?.parse()?)
}
