//! Scripts of every length reach their agents.

use std::fmt::Write as _;

use bellhop_domain::agent::script_key;
use bellhop_scenarios::World;

/// What ECS takes as the overrides of a task.
const OVERRIDES: usize = 8192;

#[tokio::test]
async fn a_script_that_is_too_long_for_the_overrides_goes_through_the_bucket() {
    let script: String = (0..400).fold(String::new(), |mut script, number| {
        writeln!(script, "echo \"line {number} — ü\"").unwrap();
        script
    });
    let indented = script.replace('\n', "\n      ");
    let pipeline = format!(
        "version: 1\njobs:\n  test:\n    agent: small\n    run: |\n      {}\n",
        indented.trim_end()
    );
    let world = World::with_pipeline(&pipeline).await;

    world.start().await;

    let environment = world.tasks().remove(0).environment;
    assert_eq!(environment.get("BELLHOP_SCRIPT"), None);
    let key = script_key(&"shop".parse().unwrap(), &script);
    assert_eq!(environment["BELLHOP_SCRIPT_URI"], format!("s3://{}/{key}", world.bucket()));
    assert_eq!(world.object(&key).await.unwrap(), script);
    let request = world.journal().of("ecs", "RunTask").remove(0).request.unwrap();
    assert!(request["overrides"].to_string().chars().count() <= OVERRIDES);

    let first = world.task(0);
    world.runs(&first).await;
    world.is_warned(&first).await;
    assert_eq!(
        world.tasks()[1].environment["BELLHOP_SCRIPT_URI"],
        environment["BELLHOP_SCRIPT_URI"]
    );
}

#[tokio::test]
async fn around_the_limit_every_script_is_accepted() {
    let mut pipeline = "version: 1\njobs:\n".to_owned();
    let lengths: Vec<usize> = (6400..8400).step_by(100).collect();
    for length in &lengths {
        writeln!(pipeline, "  job-{length}: {{ agent: small, run: {} }}", "x".repeat(*length)).unwrap();
    }
    let world = World::with_pipeline(&pipeline).await;

    world.start().await;

    let tasks = world.tasks();
    assert_eq!(tasks.len(), lengths.len());
    let stored = tasks
        .iter()
        .filter(|task| task.environment.contains_key("BELLHOP_SCRIPT_URI"))
        .count();
    let inline = tasks.iter().filter(|task| task.environment.contains_key("BELLHOP_SCRIPT")).count();
    assert_eq!(stored + inline, lengths.len());
    assert!(stored > 0 && inline > 0, "{stored} {inline}");
}
