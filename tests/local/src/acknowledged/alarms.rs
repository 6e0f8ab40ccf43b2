//! Alarms, and faults on the way to people and to what is done about them.

use bellhop_stand_in::{Fault, Times};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::inputs::sample;
use super::table::Table;
use crate::stack::CONFIGURATION;

/// A service that an alarm restarts.
pub(super) const SERVICE: &str = "jenkins";
/// What to do about alarms.
const ALARMS: &str = r#"
jobs:
  clean: { agent: small, repository: shop, branch: main, run: "true" }
alarms:
  - { name: "jenkins-*", run-job: clean }
  - { name: controller, restart-service: { cluster: ci-main, service: jenkins } }
"#;

impl Table<'_> {
    /// Alarms, and what goes wrong on the way to people and to what is done about them.
    pub(super) async fn alarms(&self) -> anyhow::Result<()> {
        self.stack.stand_in.ecs().add_service("ci-main", SERVICE, Timestamp::UNIX_EPOCH);
        self.configure_with(ALARMS).await?;
        for (key, event, part) in [
            ("alarm", "alarm", "done"),
            ("repeated", "in-sns", "ignored: a duplicate"),
            ("repeated", "action", "ignored: a duplicate"),
            ("alarm", "contributor", "done"),
            ("alarm", "insufficient-data", "done"),
        ] {
            let event = sample(&format!("alarm/{event}.json"))?;
            self.row(key, "an alarm", "alarm", event, part).await?;
        }
        let mut broken = sample("alarm/alarm.json")?;
        broken["detail"]["state"]["value"] = json!("RED");
        self.row("unknown", "an alarm in no known state", "alarm", broken, "state.value")
            .await?;
        let push = sample("codecommit/push.json")?;
        self.row("foreign", "a push", "alarm", push, "another function").await?;

        let named = |name: &str| -> anyhow::Result<Value> {
            let mut event = sample("alarm/alarm.json")?;
            event["detail"]["alarmName"] = json!(name);
            Ok(event)
        };
        for (key, service, operation, part) in [
            ("alarm-ledger", "dynamodb", "GetItem", "failed to read"),
            ("alarm-bucket", "s3", "GetObject", "failed to read"),
            ("alarm-remedy", "ecs", "UpdateService", "failed to restart"),
            ("alarm-tell", "sns", "Publish", "failed to publish"),
        ] {
            let rule = self.inject("alarm", service, operation, Fault::ServerError, Times::Always);
            let name = if key == "alarm-remedy" { "controller" } else { key };
            let what = format!("{service}: a 5xx");
            self.failing(key, &what, "alarm", named(name)?, part).await?;
            self.stack.stand_in.faults().remove(rule);
        }
        self.configure_with("alarms: [{ name: x }]\n").await?;
        self.row("alarm", "one beside a bad configuration", "alarm", named("unconfigured")?, "done")
            .await?;
        self.stack.configure(CONFIGURATION).await
    }
}
