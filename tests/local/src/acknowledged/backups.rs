//! Schedules, requests and events for backups: of the suite's own table, which every stack has.

use anyhow::{Context as _, ensure};
use bellhop_stand_in::{Fault, Times};
use serde_json::{Value, json};

use super::inputs::sample;
use super::table::Table;

impl Table<'_> {
    /// Schedules, requests and events for backups: of the suite's own table, which every stack has.
    pub(super) async fn backups(&self) -> anyhow::Result<()> {
        let jobs = || self.stack.stand_in.backup().jobs();
        let at = |time: &str| -> anyhow::Result<Value> {
            let mut schedule = sample("schedule/backups.json")?;
            schedule["time"] = json!(time);
            Ok(schedule)
        };
        let before = jobs().len();
        let throttled = self.inject("backup", "dynamodb", "*", Fault::Throttle, Times::Always);
        let schedule = at("2026-03-02T03:00:00Z")?;
        self.failing("backup-ledger", "a throttle of the ledger", "backup", schedule, "failed to")
            .await?;
        self.stack.stand_in.faults().remove(throttled);

        let started = "\"suite-table\":\"started\"";
        for (row, what, input, part) in [
            ("backup", "a schedule", at("2026-03-03T03:00:00Z")?, started),
            ("repeated", "the schedule again", at("2026-03-03T03:00:00Z")?, "already known"),
            ("backup", "a check", sample("backup/check.json")?, "\"suite-table\":{"),
            (
                "backup-mistake",
                "a backup that there is not",
                sample("backup/start.json")?,
                "there is no backup with that name",
            ),
            (
                "backup-mistake",
                "a misspelt key",
                sample("backup/misspelt.json")?,
                "did you mean time?",
            ),
            (
                "unknown-build",
                "a job of somebody else's",
                sample("backup/failed.json")?,
                "this suite did not start the job",
            ),
        ] {
            self.row(row, what, "backup", input, part).await?;
        }
        let all = jobs();
        ensure!(
            all.len() == before + 1,
            "a schedule that was delivered twice should have started one job: {all:?}"
        );
        let job = all.last().context("no job")?;
        let event = self.stack.stand_in.backup().ends(&job.id, "FAILED", Some("Access denied"))?;
        self.row("backup", "a job that failed", "backup", event.clone(), "done").await?;
        self.row("repeated", "its event again", "backup", event, "already over").await?;

        let refused = Fault::Error {
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: "not allowed to pass the role".to_owned(),
        };
        let rule = self.inject("backup", "backup", "StartBackupJob", refused, Times::Always);
        self.row(
            "backup-refused",
            "a missing permission",
            "backup",
            at("2026-03-04T03:00:00Z")?,
            started,
        )
        .await?;
        self.stack.stand_in.faults().remove(rule);

        for (what, time, fault) in [
            ("a throttle of AWS Backup", "2026-03-05T03:00:00Z", Fault::Throttle),
            ("a 5xx of AWS Backup", "2026-03-06T03:00:00Z", Fault::ServerError),
            ("a lost reply of AWS Backup", "2026-03-07T03:00:00Z", Fault::LoseReply),
        ] {
            let rule = self.inject("backup", "backup", "StartBackupJob", fault, Times::Always);
            self.failing("backup-start", what, "backup", at(time)?, "failed to").await?;
            self.stack.stand_in.faults().remove(rule);
        }
        self.state.borrow_mut().backups = before + 4;
        Ok(())
    }
}
