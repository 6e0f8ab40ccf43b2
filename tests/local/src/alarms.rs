//! A story of alarms: one that comes in three forms and has a service restarted, its end, and its flapping.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::demo::Demo;
use crate::stack::CONFIG_KEY;
use crate::story::Story;

/// How long a part of the story may take.
const PATIENCE: Duration = Duration::from_secs(30);
const NAME: &str = "jenkins-unhealthy";
const ARN: &str = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:jenkins-unhealthy";

const CONFIG: &str = r#"
version: 1
agents: {}
alarms:
  - name: "jenkins-unhealthy*"
    restart-service: { cluster: ci-main, service: jenkins, at-most-every: 30m }
"#;

/// Tells the story.
///
/// # Errors
/// Something could not be set up, or the story did not go as it should.
pub(crate) async fn run(keep: bool) -> anyhow::Result<()> {
    let demo = Demo::begin().await?;
    let bucket = demo.stack.output("BucketName")?;
    demo.stack.aws.put_object(bucket, CONFIG_KEY, CONFIG.to_owned()).await?;
    let ecs = demo.stack.stand_in.ecs();
    ecs.add_service("ci-main", "jenkins", Timestamp::UNIX_EPOCH);
    let begun = Timestamp::now() - Duration::from_secs(240);

    println!("An alarm of a Jenkins controller, sent by EventBridge, by SNS and by the alarm's action:\n");
    let mut story = Story::begin(&demo.stack);
    let alarm = Change { state: "ALARM", at: begun };
    demo.stack
        .stand_in
        .events()
        .publish("aws.cloudwatch", "CloudWatch Alarm State Change", &[ARN], alarm.detail());
    for form in [alarm.in_sns(), alarm.action()] {
        demo.stack.aws.invoke_later("bellhop-alarm", &form).await?;
    }
    told(&demo, &mut story, &["alarm"]).await?;
    let well = Change {
        state: "OK",
        at: begun + Duration::from_secs(60),
    };
    story.tell("CloudWatch", "the controller answers again");
    demo.stack.aws.invoke_later("bellhop-alarm", &well.action()).await?;
    told(&demo, &mut story, &["ok"]).await?;
    story.end().await?;
    ensure!(
        ecs.deployments("ci-main", "jenkins") == 2,
        "three forms of one alarm should have restarted the service once"
    );

    println!("\nThe same alarm, now changing ten times within a minute:\n");
    let mut story = Story::begin(&demo.stack);
    for change in 0..10 {
        let change = Change {
            state: if change % 2 == 0 { "ALARM" } else { "OK" },
            at: begun + Duration::from_secs(120 + 6 * change),
        };
        let (error, answer) = demo.stack.aws.invoke("bellhop-alarm", &change.action()).await?;
        ensure!(!error, "the alarm event should have been processed: {answer}");
        story.go_on().await?;
    }
    let statuses = told_within(&demo, &mut story, Duration::from_secs(3)).await?;
    story.end().await?;
    let flapping = statuses.iter().filter(|status| *status == "flapping").count();
    ensure!(flapping == 1, "expected one message that the alarm flaps: {statuses:?}");
    ensure!(
        ecs.deployments("ci-main", "jenkins") == 2,
        "a flapping alarm should not have restarted the service again"
    );
    println!("\nThe service was restarted once. Messages: alarm, ok, {}.", statuses.join(", "));
    demo.end("alarm", keep).await
}

/// A change of the alarm.
struct Change {
    state: &'static str,
    at: Timestamp,
}

impl Change {
    fn moment(&self) -> String {
        self.at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
    }

    fn reason(&self) -> String {
        let (value, how) = match self.state {
            "ALARM" => ("2.0", "was greater than"),
            _ => ("0.0", "was not greater than"),
        };
        format!(
            "Threshold Crossed: 1 datapoint [{value} ({})] {how} the threshold (1.0).",
            self.at.strftime("%d/%m/%y %H:%M:%S")
        )
    }

    fn previous(&self) -> &'static str {
        if self.state == "ALARM" { "OK" } else { "ALARM" }
    }

    fn detail(&self) -> Value {
        json!({
            "alarmName": NAME,
            "state": { "value": self.state, "reason": self.reason(), "timestamp": self.moment() },
            "previousState": { "value": self.previous(), "reason": "Threshold Crossed", "timestamp": self.moment() },
            "configuration": { "metrics": [{ "id": "m", "returnData": true, "metricStat": {
                "metric": { "namespace": "AWS/ApplicationELB", "name": "UnHealthyHostCount", "dimensions": { "TargetGroup": "jenkins" } },
                "period": 60, "stat": "Maximum",
            } }] },
        })
    }

    /// The alarm's own invocation of the function.
    fn action(&self) -> Value {
        json!({
            "source": "aws.cloudwatch", "alarmArn": ARN, "accountId": "000000000000", "region": "us-east-1", "time": self.moment(),
            "alarmData": self.detail(),
        })
    }

    /// A message of a topic that the function is subscribed to.
    fn in_sns(&self) -> Value {
        let message = json!({
            "AlarmName": NAME, "AlarmDescription": null, "AWSAccountId": "000000000000", "AlarmArn": ARN, "Region": "US East (N. Virginia)",
            "NewStateValue": self.state, "OldStateValue": self.previous(), "NewStateReason": self.reason(), "StateChangeTime": self.moment(),
            "Trigger": { "MetricName": "UnHealthyHostCount", "Namespace": "AWS/ApplicationELB", "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold" },
        });
        json!({ "Records": [{ "EventSource": "aws:sns", "Sns": {
            "TopicArn": "arn:aws:sns:us-east-1:000000000000:ci-alarms", "Message": message.to_string(),
        } }] })
    }
}

/// Waits until people were told this about the alarm, and nothing else.
async fn told(demo: &Demo, story: &mut Story, expected: &[&str]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut statuses = Vec::new();
    while statuses.len() < expected.len() {
        statuses.extend(of_alarm(demo, story).await?);
        if begun.elapsed() > PATIENCE {
            bail!("expected messages {expected:?}, got {statuses:?}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The other forms of it have to be heard as well before it can be said that nothing comes of them.
    statuses.extend(told_within(demo, story, Duration::from_secs(2)).await?);
    ensure!(statuses == expected, "expected messages {expected:?}, got {statuses:?}");
    Ok(())
}

/// What people are told about the alarm within a time.
async fn told_within(demo: &Demo, story: &mut Story, time: Duration) -> anyhow::Result<Vec<String>> {
    let begun = Instant::now();
    let mut statuses = Vec::new();
    while begun.elapsed() < time {
        statuses.extend(of_alarm(demo, story).await?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(statuses)
}

async fn of_alarm(demo: &Demo, story: &mut Story) -> anyhow::Result<Vec<String>> {
    story.go_on().await?;
    let documents = demo.told().await?;
    let of_alarm = documents.iter().filter(|document| document["kind"] == "alarm");
    of_alarm
        .map(|document| Ok(document["status"].as_str().context("a message without a status")?.to_owned()))
        .collect()
}
