//! From what was measured, what the templates make, and what AWS asks, to dollars.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bellhop_domain::backup::Definition;

use crate::cost::input::{Measured, Prices};
use crate::cost::inventory::{self, Choice, DEFAULT, Inventory, Keys, Types};
use crate::cost::usage::{Meter, Usage};

/// Builds that the first bill is for.
pub(super) const BUILDS: f64 = 1000.0;
/// AWS's gigabyte.
pub(super) const GB: f64 = 1024.0 * 1024.0 * 1024.0;
/// What SNS bills as one request.
const MESSAGE: u64 = 64 * 1024;

/// A line of a bill.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) what: String,
    pub(super) amount: f64,
    /// The price's name.
    pub(super) price: String,
    pub(super) usd: f64,
}

/// The sum of some lines in US dollars.
pub(super) fn total(lines: &[Line]) -> f64 {
    lines.iter().map(|line| line.usd).sum()
}

/// Which messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notify {
    /// As measured: what fails, and the first success after it.
    Changes,
    /// Every success too: `notify: { successes: all }`.
    All,
}

/// Everything from which bills are computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bills<'a> {
    pub(super) measured: &'a Measured,
    pub(super) inventory: &'a Inventory,
    pub(super) types: &'a Types,
    pub(super) prices: &'a Prices,
}

impl<'a> Bills<'a> {
    /// # Errors
    /// The templates have a type of resource of which is not known how it is billed.
    pub(super) fn of(measured: &'a Measured, inventory: &'a Inventory, types: &'a Types, prices: &'a Prices) -> anyhow::Result<Self> {
        inventory::check(inventory, types)?;
        Ok(Self {
            measured,
            inventory,
            types,
            prices,
        })
    }

    fn meter(&self) -> Meter<'a> {
        Meter {
            prices: self.prices,
            memory_mb: self.inventory.memory_mb,
            init_cpu_ms: &self.measured.init_cpu_ms,
        }
    }

    pub(super) fn line(&self, what: impl Into<String>, amount: f64, price: &str) -> anyhow::Result<Line> {
        Ok(Line {
            what: what.into(),
            amount,
            price: price.to_owned(),
            usd: amount * self.prices.of(price)?,
        })
    }

    /// The choice that changes nothing.
    pub(super) fn default(&self) -> anyhow::Result<&'a Choice> {
        self.inventory.choice(DEFAULT)
    }

    /// The lines of what functions use, without what is nothing.
    fn lines(&self, usage: Usage, keys: Keys, of: &str) -> anyhow::Result<Vec<Line>> {
        let gb_seconds = usage.milliseconds / 1000.0 * self.inventory.memory_mb / 1024.0;
        let log_gb = usage.log_bytes / GB;
        let requests = |is_used: bool, amount: f64, each: &str| -> anyhow::Result<f64> {
            Ok(if is_used { amount * self.prices.assumed(each)? } else { 0.0 })
        };
        let objects = usage.puts + usage.gets;
        let all = [
            ("calls of functions", usage.invocations, "lambda-request"),
            ("time of functions", gb_seconds, "lambda-gb-second-arm64"),
            ("writes to the table", usage.write_units, "dynamodb-write"),
            ("reads of the table", usage.read_units, "dynamodb-read"),
            ("writes and lists of the bucket", usage.puts, "s3-put"),
            ("reads of the bucket", usage.gets, "s3-get"),
            ("messages", usage.messages, "sns-publish"),
            ("timers", usage.timers * self.prices.assumed("requests-a-timer")?, "sqs-request"),
            ("e-mails", usage.messages * self.prices.assumed("emails")?, "sns-email"),
            (
                "the topic's key",
                requests(keys.topic, usage.messages, "kms-requests-a-message")?,
                "kms-request",
            ),
            (
                "the bucket's key",
                requests(keys.bucket, objects, "kms-requests-an-object")?,
                "kms-request",
            ),
            ("logs written", log_gb, "logs-ingestion"),
            ("logs kept", log_gb * self.prices.assumed("log-months")?, "logs-storage"),
        ];
        all.into_iter()
            .filter(|(_, amount, _)| *amount > 0.0)
            .map(|(what, amount, price)| self.line(format!("{of}{what}"), amount, price))
            .collect()
    }

    /// What a message for every success adds to what was measured: one for the build and one for its run.
    fn successes(&self, builds: f64) -> anyhow::Result<Usage> {
        let measured = self.measured;
        let notified = measured.failed + measured.repaired;
        ensure!(notified <= measured.builds, "more builds had messages than there were");
        let silent = builds * f64::from(measured.builds - notified) / f64::from(measured.builds);
        Ok(Usage {
            messages: 2.0 * silent,
            milliseconds: 2.0 * silent * self.meter().latency("sns")?,
            ..Usage::default()
        })
    }

    /// [`BUILDS`] builds, of whose calls so large a share meets a cold start.
    pub(super) fn builds(&self, keys: Keys, notify: Notify, cold: f64) -> anyhow::Result<Vec<Line>> {
        let left = &self.measured.left;
        ensure!(
            left.largest_message_bytes <= MESSAGE,
            "a message of {} bytes is more than one request",
            left.largest_message_bytes
        );
        let meter = self.meter();
        let mut usage = meter.usage(&self.measured.build, BUILDS, cold)?;
        let invocations = usage.invocations;
        // The sweep's looks at running agents: it reads the build, asks ECS, and notes when it has to look again, which moves the build in the index.
        let looks = BUILDS * self.prices.assumed("looks")?;
        usage.read_units += looks * (left.build_item_bytes / 4096.0).ceil();
        usage.write_units += looks * ((left.build_item_bytes / 1024.0).ceil() + 2.0);
        usage.milliseconds += looks * (2.0 * meter.latency("dynamodb")? + meter.latency("ecs")?);
        if notify == Notify::All {
            usage = usage.and(self.successes(BUILDS)?);
        }
        let mut lines = self.lines(usage, keys, "")?;
        if keys.table {
            // At most one for each call: the cache is each caller's.
            lines.push(self.line("the table's key", invocations, "kms-request")?);
        }
        lines.push(self.line("events", invocations, "eventbridge-event")?);
        let kept = BUILDS / f64::from(self.measured.builds) * self.prices.assumed("keep-months")? / GB;
        let table = left.table_bytes as f64 * kept;
        lines.push(self.line("runs and builds kept", table, "dynamodb-storage")?);
        lines.push(self.line("their recovery to any point in time", table, "dynamodb-recovery")?);
        lines.push(self.line("backups of runs and builds", table * self.copies()?, "backup-dynamodb")?);
        lines.push(self.line("reports kept", left.object_bytes as f64 * kept, "s3-storage")?);
        Ok(lines)
    }

    /// [`BUILDS`] builds of the default, in US dollars.
    pub(super) fn builds_usd(&self) -> anyhow::Result<f64> {
        let cold = self.prices.assumed("cold-share")?;
        Ok(total(&self.builds(self.default()?.keys, Notify::Changes, cold)?))
    }

    /// How many backups of the table are kept: those that the function starts, and those of the plan.
    pub(super) fn copies(&self) -> anyhow::Result<f64> {
        let kept: Duration = Definition::of_suite_table("", "", "")
            .delete_after
            .context("the suite's backups of its table are kept for ever")?;
        Ok(kept.as_secs_f64() / 86_400.0 / self.inventory.backup_every_days + self.inventory.plan_copies)
    }

    /// What the resources of a choice cost a month for being there, used or not.
    fn standing(&self, choice: &Choice) -> anyhow::Result<Vec<Line>> {
        let mut all: BTreeMap<&str, Line> = BTreeMap::new();
        for (name, times) in self.inventory.resources(choice) {
            let charge = self.types.get(name).with_context(|| format!("{name} has no price"))?;
            let Some(month) = &charge.month else { continue };
            let each = month.each.as_ref().map_or(Ok(1.0), |each| self.prices.assumed(each))?;
            let line = self.line(&month.what, times * each, &month.price)?;
            ensure!(all.insert(&month.what, line).is_none(), "two types have the line {}", month.what);
        }
        Ok(all.into_values().collect())
    }

    /// A month without builds.
    pub(super) fn rest(&self, choice: &Choice) -> anyhow::Result<Vec<Line>> {
        let hours = self.prices.assumed("hours")?;
        let meter = self.meter();
        let sweeps = meter.usage(&self.measured.sweep, hours * 60.0, self.prices.assumed("cold-share-sweep")?)?;
        let mut lines = self.lines(sweeps, choice.keys, "sweep each minute: ")?;
        let check = meter.usage(&self.measured.check, hours / 6.0, 1.0)?;
        let backup = meter.usage(&self.measured.backup, hours / 24.0 / self.inventory.backup_every_days, 1.0)?;
        lines.extend(self.lines(check.and(backup), choice.keys, "backups and their checks: ")?);
        if choice.keys.table {
            let minutes = self.prices.assumed("kms-table-minutes")?;
            lines.push(self.line("sweep each minute: the table's key", hours * 60.0 / minutes, "kms-request")?);
        }
        let at_rest = self.prices.assumed("metrics-at-rest")?;
        if at_rest > 0.0 {
            lines.push(self.line("sweep each minute: metrics", at_rest, "cloudwatch-metric")?);
        }
        lines.extend(self.standing(choice)?);
        Ok(lines)
    }

    /// What a month in which builds run costs in addition, however many: CloudWatch bills a metric by the hours in which it was written.
    pub(super) fn metrics(&self) -> anyhow::Result<Line> {
        let share = self.prices.assumed("busy-hours")? / self.prices.assumed("hours")?;
        self.line(
            "metrics of builds",
            self.prices.assumed("busy-metrics")? * share,
            "cloudwatch-metric",
        )
    }

    /// US dollars for a month with so many builds, without agents.
    pub(super) fn month_with(&self, builds: f64) -> anyhow::Result<f64> {
        let busy = if builds > 0.0 { self.metrics()?.usd } else { 0.0 };
        Ok(total(&self.rest(self.default()?)?) + busy + builds / BUILDS * self.builds_usd()?)
    }

    /// The most builds a month with which the suite costs no more than so many dollars.
    pub(super) fn break_even(&self, usd: f64) -> anyhow::Result<f64> {
        let left = usd - self.month_with(0.0)? - self.metrics()?.usd;
        Ok((left / self.builds_usd()? * BUILDS).floor().max(0.0))
    }

    /// What controllers that are always there cost a month, line by line.
    pub(super) fn controllers(&self) -> anyhow::Result<Vec<(&'static str, Vec<Line>)>> {
        let hours = self.prices.assumed("hours")?;
        Ok(vec![
            (
                "Fargate, as in the blog post",
                vec![
                    self.line("2 vCPU", self.prices.assumed("fargate-vcpu")? * hours, "fargate-vcpu-hour")?,
                    self.line("4 GB", self.prices.assumed("fargate-gb")? * hours, "fargate-gb-hour")?,
                    self.line("load balancer", hours, "alb-hour")?,
                    self.line("EFS", self.prices.assumed("efs-gb")?, "efs-storage")?,
                ],
            ),
            (
                "m4.large, as in the whitepaper",
                vec![self.line("m4.large", hours, "m4-large-hour")?],
            ),
        ])
    }
}
