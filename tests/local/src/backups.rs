//! A third story: a backup that fails and recovers, its copy, and a restore test that cleans up after itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bellhop_stand_in::BackupJobView;
use serde_json::{Value, json};

use crate::demo::Demo;
use crate::stack::CONFIG_KEY;
use crate::story::Story;

/// How long a part of the story may take.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = r"
version: 1
agents: {}
backups:
  orders:
    resource: arn:aws:dynamodb:us-east-1:000000000000:table/orders
    vault: bellhop
    role: arn:aws:iam::000000000000:role/bellhop-backup/orders
    delete-after: 35d
    copy-to: arn:aws:backup:eu-west-1:000000000000:backup-vault:far
    restore-test: { every: 7d }
";

/// Tells the story.
///
/// # Errors
/// Something could not be set up, or the story did not go as it should.
pub(crate) async fn run(keep: bool) -> anyhow::Result<()> {
    let demo = Demo::begin().await?;
    let bucket = demo.stack.output("BucketName")?;
    demo.stack.aws.put_object(bucket, CONFIG_KEY, CONFIG.to_owned()).await?;

    println!("A schedule that is delivered twice, a backup that fails, and the next backup:\n");
    let mut story = Story::begin(&demo.stack);
    for _ in 0..2 {
        story.tell("clock", "03:00: the schedule is delivered");
        demo.stack
            .aws
            .invoke_later("bellhop-backup", &schedule("2026-03-02T03:00:00Z"))
            .await?;
    }
    let job = job(&demo, &mut story, "backup", 1).await?;
    demo.stack.stand_in.backup().ends(&job.id, "FAILED", Some("Access denied"))?;
    told(&demo, &mut story, &["failed"]).await?;
    story.tell("clock", "a night passes");
    demo.stack
        .aws
        .invoke_later("bellhop-backup", &schedule("2026-03-03T03:00:00Z"))
        .await?;
    let job = self::job(&demo, &mut story, "backup", 2).await?;
    demo.stack.stand_in.backup().ends(&job.id, "COMPLETED", None)?;
    told(&demo, &mut story, &["recovered"]).await?;
    let copy = self::job(&demo, &mut story, "copy", 1).await?;
    demo.stack.stand_in.backup().ends(&copy.id, "COMPLETED", None)?;
    story.end().await?;
    let jobs = demo.stack.stand_in.backup().jobs();
    let of_orders = |kind: &str| {
        jobs.iter()
            .filter(|job| job.kind == kind && job.resource.ends_with("/orders"))
            .count()
    };
    ensure!(of_orders("backup") == 2, "two nights should have started two jobs: {jobs:?}");

    println!("\nA check. It finds that a restore test is due:\n");
    let mut story = Story::begin(&demo.stack);
    story.tell("clock", "six hours have passed; the check is delivered");
    demo.stack
        .aws
        .invoke_later("bellhop-backup", &json!({ "check": "backups" }))
        .await?;
    let test = self::job(&demo, &mut story, "restore", 1).await?;
    demo.stack.stand_in.backup().ends(&test.id, "COMPLETED", None)?;
    told(&demo, &mut story, &["restore-tested"]).await?;
    let begun = Instant::now();
    let removal = loop {
        story.go_on().await?;
        if let Some(removal) = demo.stack.stand_in.backup().removals().pop() {
            break removal;
        }
        ensure!(begun.elapsed() < PATIENCE, "nothing was removed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    ensure!(
        removal.identifier.starts_with("bellhop-restore-test-"),
        "only what the test created may be removed: {removal:?}"
    );
    story.end().await?;
    demo.end("backup", keep).await
}

fn schedule(time: &str) -> Value {
    json!({
        "version": "0", "id": "e7480b7f-3a1c-4965-970e-5bfc2d694a13", "detail-type": "Scheduled Event", "source": "aws.events",
        "account": "000000000000", "region": "us-east-1", "resources": [], "time": time, "detail": {},
    })
}

/// Waits for the so-manieth job of a kind for the orders.
async fn job(demo: &Demo, story: &mut Story, kind: &str, count: usize) -> anyhow::Result<BackupJobView> {
    let begun = Instant::now();
    loop {
        story.go_on().await?;
        let jobs = demo.stack.stand_in.backup().jobs();
        let mut mine = jobs.into_iter().filter(|job| job.kind == kind && job.resource.ends_with("/orders"));
        if let Some(job) = mine.nth(count.saturating_sub(1)) {
            // Its id has to be in the ledger before its event comes.
            tokio::time::sleep(Duration::from_secs(1)).await;
            story.go_on().await?;
            return Ok(job);
        }
        ensure!(begun.elapsed() < PATIENCE, "{kind} job {count} was not started");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until people were told this about the orders, and nothing else.
async fn told(demo: &Demo, story: &mut Story, expected: &[&str]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut statuses = Vec::new();
    while statuses.len() < expected.len() {
        story.go_on().await?;
        for document in demo.told().await? {
            if document["kind"] == "backup" && document["backup"] == "orders" {
                statuses.push(document["status"].as_str().context("a message without a status")?.to_owned());
            }
        }
        if begun.elapsed() > PATIENCE {
            bail!("expected messages {expected:?}, got {statuses:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(statuses == expected, "expected messages {expected:?}, got {statuses:?}");
    Ok(())
}
