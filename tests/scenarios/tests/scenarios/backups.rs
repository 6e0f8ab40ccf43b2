//! Backups: schedules, jobs, the age of what there is, and restore tests.

use std::time::Duration;

use bellhop_scenarios::{SUITE_TABLE, World};
use bellhop_stand_in::{BackupJobView, Fault, Rule, Times};
use serde_json::{Value, json};

use crate::words::MINUTE;

const HOUR: Duration = Duration::from_secs(3600);
const FILES: &str = "arn:aws:elasticfilesystem:us-east-1:000000000000:file-system/fs-0a1b";
const ORDERS: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders";

const CONFIG: &str = r"
version: 1
agents: {}
backups:
  jenkins-home:
    resource: arn:aws:elasticfilesystem:us-east-1:000000000000:file-system/fs-0a1b
    vault: ci
    role: arn:aws:iam::000000000000:role/ci-backup
    start-within: 1h
    complete-within: 2h
    delete-after: 35d
    copy-to: arn:aws:backup:eu-west-1:000000000000:backup-vault:far
    newest-at-most: 26h
  orders:
    resource: arn:aws:dynamodb:us-east-1:000000000000:table/orders
    vault: ci
    role: arn:aws:iam::000000000000:role/ci-backup
    restore-test: { every: 7d }
";

async fn world() -> World {
    let world = World::new().await;
    world.configure(CONFIG).await;
    world
}

/// A schedule's event, of some minute.
fn schedule(source: &str, minute: u32) -> Value {
    let detail = if source == "aws.scheduler" { json!("{}") } else { json!({}) };
    json!({
        "version": "0", "id": "e7480b7f-3a1c-4965-970e-5bfc2d694a13", "detail-type": "Scheduled Event", "source": source,
        "time": format!("2026-03-02T03:{minute:02}:17Z"), "detail": detail,
    })
}

fn jobs(world: &World, kind: &str) -> Vec<BackupJobView> {
    world.backups().jobs().into_iter().filter(|job| job.kind == kind).collect()
}

/// The one backup job of `jenkins-home`.
async fn started(world: &World) -> BackupJobView {
    world.backup(&json!({ "backup": "jenkins-home" })).await.unwrap();
    jobs(world, "backup").pop().unwrap()
}

/// A job ends, and its event comes, twice.
async fn ends(world: &World, job: &BackupJobView, state: &str, message: Option<&str>) {
    let event = world.backups().ends(&job.id, state, message).unwrap();
    world.backup(&event).await.unwrap();
    world.backup(&event).await.unwrap();
}

/// The statuses of the messages since the last look.
async fn told(world: &World) -> Vec<String> {
    let mut statuses: Vec<String> = world
        .messages()
        .await
        .iter()
        .map(|message| message.document["status"].as_str().unwrap().to_owned())
        .collect();
    statuses.sort();
    statuses
}

#[tokio::test]
async fn a_schedule_that_is_delivered_twice_starts_one_job_each() {
    let world = world().await;
    let answer = world.backup(&schedule("aws.events", 0)).await.unwrap();
    assert_eq!(
        answer,
        json!({ "backups": { "jenkins-home": "started", "orders": "started", "suite-table": "started" } })
    );
    let again = world.backup(&schedule("aws.scheduler", 0)).await.unwrap();
    assert_eq!(again["backups"]["orders"], "ignored: already known");
    let mut resources: Vec<String> = jobs(&world, "backup").into_iter().map(|job| job.resource).collect();
    resources.sort();
    assert_eq!(resources, [ORDERS, SUITE_TABLE, FILES]);
    let job = jobs(&world, "backup").into_iter().find(|job| job.resource == FILES).unwrap();
    assert_eq!(
        [
            &job.request["StartWindowMinutes"],
            &job.request["CompleteWindowMinutes"],
            &job.request["Lifecycle"]
        ],
        [&json!(60), &json!(120), &json!({ "DeleteAfterDays": 35 })]
    );
    world.backup(&schedule("aws.events", 30)).await.unwrap();
    assert_eq!(jobs(&world, "backup").len(), 6, "another slot is another backup");
}

#[tokio::test]
async fn a_failed_an_expired_and_a_lost_job_are_each_told_once_and_so_is_the_recovery() {
    let world = world().await;
    let job = started(&world).await;
    ends(&world, &job, "FAILED", Some("\"Access denied.\"")).await;
    assert_eq!(told(&world).await, ["failed"]);

    world.clock.advance(HOUR);
    let job = started(&world).await;
    ends(&world, &job, "EXPIRED", None).await;
    assert_eq!(told(&world).await, ["expired"]);

    world.clock.advance(HOUR);
    let job = started(&world).await;
    world
        .backups()
        .ends_in_silence(&job.id, "ABORTED", Some("stopped by user"))
        .unwrap();
    world.sweep_after(14 * MINUTE).await.unwrap();
    assert_eq!(told(&world).await, [""; 0]);
    world.sweep_after(2 * MINUTE).await.unwrap();
    world.sweep_after(HOUR).await.unwrap();
    assert_eq!(told(&world).await, ["aborted"]);

    let job = started(&world).await;
    ends(&world, &job, "COMPLETED", None).await;
    assert_eq!(told(&world).await, ["recovered"]);
}

#[tokio::test]
async fn a_job_that_aws_backup_forgot_is_told() {
    let world = world().await;
    let job = started(&world).await;
    world.backups().forget(&job.id);
    world.sweep_after(16 * MINUTE).await.unwrap();
    world.sweep_after(HOUR).await.unwrap();
    assert_eq!(told(&world).await, ["failed"]);
}

#[tokio::test]
async fn a_backup_is_copied_once_it_is_complete() {
    let world = world().await;
    let job = started(&world).await;
    ends(&world, &job, "COMPLETED", None).await;
    let [copy]: [_; 1] = jobs(&world, "copy").try_into().unwrap();
    assert_eq!(
        copy.request["DestinationBackupVaultArn"],
        "arn:aws:backup:eu-west-1:000000000000:backup-vault:far"
    );
    ends(&world, &copy, "FAILED", Some("no such vault")).await;
    assert_eq!(told(&world).await, ["copy-failed"]);

    world.clock.advance(HOUR);
    let job = started(&world).await;
    // The event is lost: the sweep asks, and copies all the same.
    world.backups().ends_in_silence(&job.id, "COMPLETED", None).unwrap();
    world.sweep_after(16 * MINUTE).await.unwrap();
    let copy = jobs(&world, "copy").pop().unwrap();
    ends(&world, &copy, "COMPLETED", None).await;
    assert_eq!(told(&world).await, ["recovered"]);
}

#[tokio::test]
async fn the_newest_recovery_point_is_told_where_it_is_old_or_missing() {
    let world = world().await;
    world.backups().add_point(SUITE_TABLE, "bellhop", HOUR);
    world.backups().add_point(FILES, "elsewhere", HOUR);
    world.backup(&json!({ "check": "backups" })).await.unwrap();
    assert!(told(&world).await.is_empty(), "the first schedule is still to come");
    let job = started(&world).await;
    ends(&world, &job, "FAILED", None).await;
    for _ in 0..2 {
        world.backup(&json!({ "check": "backups" })).await.unwrap();
    }
    assert_eq!(told(&world).await, ["failed", "missing"]);
    world.backups().add_point(FILES, "ci", 30 * HOUR);
    for _ in 0..2 {
        world.backup(&json!({ "check": "backups" })).await.unwrap();
    }
    assert_eq!(told(&world).await, ["stale"]);
    world.backups().add_point(FILES, "ci", HOUR);
    world.backup(&json!({ "check": "backups" })).await.unwrap();
    assert_eq!(told(&world).await, ["recovered"]);
}

/// The restore test of `orders`, underway.
async fn testing(world: &World) -> BackupJobView {
    world.backups().add_point(ORDERS, "ci", 2 * HOUR);
    world.backups().add_point(SUITE_TABLE, "bellhop", HOUR);
    world.backups().add_point(FILES, "ci", HOUR);
    for _ in 0..2 {
        world.backup(&json!({ "check": "backups" })).await.unwrap();
    }
    let [test]: [_; 1] = jobs(world, "restore").try_into().unwrap();
    test
}

#[tokio::test]
async fn a_restore_test_goes_through_and_cleans_up() {
    let world = world().await;
    let test = testing(&world).await;
    let table = test.request["Metadata"]["targetTableName"].as_str().unwrap();
    assert!(table.starts_with("bellhop-restore-test-"), "{table}");
    ends(&world, &test, "COMPLETED", None).await;
    assert_eq!(told(&world).await, ["restore-tested"]);
    world.sweep_after(3 * MINUTE).await.unwrap();
    let [removal]: [_; 1] = world.backups().removals().try_into().unwrap();
    assert_eq!(
        (removal.type_name.as_str(), removal.identifier.as_str(), removal.status),
        ("AWS::DynamoDB::Table", table, "SUCCESS")
    );
    world.clock.advance(6 * 24 * HOUR);
    world.backup(&json!({ "check": "backups" })).await.unwrap();
    assert_eq!(jobs(&world, "restore").len(), 1);
    world.clock.advance(24 * HOUR);
    world.backup(&json!({ "check": "backups" })).await.unwrap();
    assert_eq!(jobs(&world, "restore").len(), 2);
}

#[tokio::test]
async fn a_restore_test_that_fails_says_so_and_one_that_leaves_something_too() {
    let world = world().await;
    let test = testing(&world).await;
    ends(&world, &test, "FAILED", Some("The key does not exist.")).await;
    assert_eq!(told(&world).await, ["restore-failed"]);
    assert_eq!(world.backups().removals().len(), 0);

    world.clock.advance(8 * 24 * HOUR);
    world.backups().fail_removals(true);
    world.backups().add_point(FILES, "ci", Duration::ZERO);
    world.backup(&json!({ "check": "backups" })).await.unwrap();
    told(&world).await;
    let test = jobs(&world, "restore").pop().unwrap();
    // Its event is lost.
    world.backups().ends_in_silence(&test.id, "COMPLETED", None).unwrap();
    world.sweep_after(16 * MINUTE).await.unwrap();
    assert_eq!(told(&world).await, ["restore-tested"]);
    world.sweep_after(3 * MINUTE).await.unwrap();
    assert_eq!(told(&world).await, ["restore-left-over"]);
}

#[tokio::test]
async fn a_start_whose_reply_is_lost_is_one_job() {
    let world = world().await;
    let rule = Rule::new("backup", "StartBackupJob", Fault::LoseReply).times(Times::Next(3));
    world.faults().inject(rule);
    assert!(world.backup(&json!({ "backup": "orders" })).await.is_err());
    world.sweep_after(2 * MINUTE).await.unwrap();
    let [job]: [_; 1] = jobs(&world, "backup").try_into().unwrap();
    ends(&world, &job, "FAILED", None).await;
    assert_eq!(told(&world).await, ["failed"]);
}

#[tokio::test]
async fn an_alarm_that_arrives_twice_has_one_backup_started() {
    let world = world().await;
    let rule = "alarms: [{ name: jenkins-disk-full, back-up-now: orders }]";
    world.configure(&format!("{CONFIG}{rule}\n")).await;
    let sample = format!("{}/../../events/alarm/alarm.json", env!("CARGO_MANIFEST_DIR"));
    let mut event: Value = serde_json::from_str(&std::fs::read_to_string(sample).unwrap()).unwrap();
    event["detail"]["alarmName"] = "jenkins-disk-full".into();
    for _ in 0..2 {
        world.alarm(&event).await.unwrap();
    }
    let [job]: [_; 1] = jobs(&world, "backup").try_into().unwrap();
    assert_eq!(job.request["ResourceArn"], ORDERS);
}

#[tokio::test]
async fn what_the_service_refuses_is_told_at_once() {
    let world = world().await;
    let fault = Fault::Error {
        status: 400,
        code: "AccessDeniedException".to_owned(),
        message: "not allowed to pass the role".to_owned(),
    };
    world.faults().inject(Rule::new("backup", "StartBackupJob", fault));
    world.backup(&json!({ "backup": "orders" })).await.unwrap();
    let [message]: [_; 1] = world.messages().await.try_into().unwrap();
    assert_eq!(
        message.document["title"],
        "backup orders could not be started: AccessDeniedException: not allowed to pass the role"
    );
}

#[tokio::test]
async fn jobs_of_others_are_acknowledged() {
    let world = world().await;
    let event = json!({
        "detail-type": "Backup Job State Change", "source": "aws.backup", "resources": [],
        "detail": { "backupJobId": "of-a-plan", "state": "FAILED", "resourceArn": ORDERS },
    });
    let answer = world.backup(&event).await.unwrap();
    assert_eq!(answer["result"], "ignored: this suite did not start the job");
    assert_eq!(told(&world).await, [""; 0]);
}

#[tokio::test]
async fn a_mistake_is_answered_and_a_schedules_owner_is_told() {
    let world = world().await;
    for (request, words) in [
        (json!({ "backup": "jenkins" }), "there is no backup with that name"),
        (json!({ "backups": "all" }), "backups: unknown key; did you mean backup?"),
        (json!({ "check": "all" }), "check: expected backups, but found all"),
        (json!(5), "the input: expected an object"),
    ] {
        let answer = world.backup(&request).await.unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with(words), "{answer}");
    }
    assert_eq!(told(&world).await, [""; 0]);
    world.configure("version: 1\nagents: {}\nbackup: {}\n").await;
    let answer = world.backup(&schedule("aws.events", 0)).await.unwrap();
    assert_eq!(answer["backups"], json!({ "suite-table": "started" }));
    assert!(answer["error"].as_str().unwrap().contains("did you mean `backups`?"), "{answer}");
    assert_eq!(told(&world).await, ["configuration-broken", "rejected"]);
    world.unconfigure().await;
    let answer = world.backup(&json!({})).await.unwrap();
    assert!(answer["error"].as_str().unwrap().contains("{\"backup\":\"*\"} for all"), "{answer}");
    let answer = world.backup(&json!({ "backup": "*" })).await.unwrap();
    assert_eq!(answer["backups"]["suite-table"], "started", "{answer}");
    let answer = world.backup(&json!({ "check": "backups" })).await.unwrap();
    assert!(answer["backups"]["suite-table"]["newest-job"]["status"].is_string(), "{answer}");
}
