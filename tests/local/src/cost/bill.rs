//! From what was measured, and what AWS asks, to dollars.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

use crate::cost::input::{Measured, Phase, Prices, Work};

/// Builds that the first bill is for.
pub(super) const BUILDS: f64 = 1000.0;
/// AWS's gigabyte.
const GB: f64 = 1024.0 * 1024.0 * 1024.0;
/// What SNS bills as one request.
const MESSAGE: u64 = 64 * 1024;

/// What the template says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Template {
    pub(super) memory_mb: f64,
    pub(super) alarms: f64,
    pub(super) dashboards: f64,
    pub(super) keys: f64,
}

impl Template {
    /// Reads what costs something out of the template's text.
    ///
    /// # Errors
    /// It does not give the functions' memory, or not one for all.
    pub(super) fn of(text: &str) -> anyhow::Result<Self> {
        let count = |kind: &str| text.lines().filter(|line| line.trim() == format!("Type: {kind}")).count() as f64;
        let sizes: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("MemorySize: ")).collect();
        ensure!(
            sizes.len() == 1,
            "the template should give all functions one memory size: {sizes:?}"
        );
        let memory = sizes.first().context("no memory size")?;
        Ok(Self {
            memory_mb: memory.parse().with_context(|| format!("{memory} is no memory size"))?,
            alarms: count("AWS::CloudWatch::Alarm"),
            dashboards: count("AWS::CloudWatch::Dashboard"),
            keys: count("AWS::KMS::Key"),
        })
    }
}

/// A line of a bill.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) what: String,
    pub(super) amount: f64,
    /// The price's name.
    pub(super) price: &'static str,
    pub(super) usd: f64,
}

/// What the suite costs, and what a controller does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Costs {
    /// [`BUILDS`] builds.
    pub(super) builds: Vec<Line>,
    /// The same in all if no call for a build met a cold start.
    pub(super) warm_usd: f64,
    /// A month without any build.
    pub(super) month: Vec<Line>,
    /// What a month costs in addition in which builds run, however many.
    pub(super) busy: Vec<Line>,
    /// A month of a controller, by its name.
    pub(super) controllers: Vec<(&'static str, Vec<Line>)>,
}

impl Costs {
    /// Computes everything.
    ///
    /// # Errors
    /// A price or an assumption is missing, or something was measured that has none.
    pub(super) fn of(measured: &Measured, template: Template, prices: &Prices) -> anyhow::Result<Self> {
        let rates = Rates {
            template,
            prices,
            init_cpu_ms: &measured.init_cpu_ms,
        };
        let cold = prices.assumed("cold-share")?;
        Ok(Self {
            builds: rates.builds(measured, cold)?,
            warm_usd: total(&rates.builds(measured, 0.0)?),
            month: rates.month(measured)?,
            busy: rates.busy()?,
            controllers: rates.controllers()?,
        })
    }

    /// US dollars for one build more.
    pub(super) fn a_build(&self) -> f64 {
        total(&self.builds) / BUILDS
    }

    /// US dollars for a month with so many builds.
    pub(super) fn month_with(&self, builds: f64) -> f64 {
        let busy = if builds > 0.0 { total(&self.busy) } else { 0.0 };
        total(&self.month) + busy + builds * self.a_build()
    }

    /// The most builds a month with which the suite costs no more than so many dollars.
    pub(super) fn break_even(&self, usd: f64) -> f64 {
        ((usd - total(&self.month) - total(&self.busy)) / self.a_build()).floor().max(0.0)
    }
}

/// The sum of some lines in US dollars.
pub(super) fn total(lines: &[Line]) -> f64 {
    lines.iter().map(|line| line.usd).sum()
}

/// What is billed of the functions' work.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Usage {
    invocations: f64,
    milliseconds: f64,
    write_units: f64,
    read_units: f64,
    puts: f64,
    gets: f64,
    messages: f64,
    log_bytes: f64,
}

impl Usage {
    /// Both together.
    fn and(self, other: Self) -> Self {
        Self {
            invocations: self.invocations + other.invocations,
            milliseconds: self.milliseconds + other.milliseconds,
            write_units: self.write_units + other.write_units,
            read_units: self.read_units + other.read_units,
            puts: self.puts + other.puts,
            gets: self.gets + other.gets,
            messages: self.messages + other.messages,
            log_bytes: self.log_bytes + other.log_bytes,
        }
    }
}

struct Rates<'a> {
    template: Template,
    prices: &'a Prices,
    init_cpu_ms: &'a BTreeMap<String, f64>,
}

impl Rates<'_> {
    fn line(&self, what: impl Into<String>, amount: f64, price: &'static str) -> anyhow::Result<Line> {
        Ok(Line {
            what: what.into(),
            amount,
            price,
            usd: amount * self.prices.of(price)?,
        })
    }

    /// How many milliseconds a millisecond of processor time takes.
    fn stretch(&self) -> anyhow::Result<f64> {
        Ok((self.prices.assumed("vcpu-mb")? / self.template.memory_mb).max(1.0))
    }

    fn latency(&self, call: &str) -> anyhow::Result<f64> {
        self.prices.assumed(match call.split(' ').next() {
            Some("dynamodb") => "latency-dynamodb-ms",
            Some("s3") => "latency-s3-ms",
            Some("sns") => "latency-sns-ms",
            Some("ecs") => "latency-ecs-ms",
            Some("codecommit") => "latency-codecommit-ms",
            _ => "latency-other-ms",
        })
    }

    /// The billed milliseconds of a function's work: its own time, its calls one after the other, a millisecond each for rounding up, and the cold
    /// starts, which so large a share of its calls meets.
    fn milliseconds(&self, function: &str, work: &Work, cold: f64) -> anyhow::Result<f64> {
        let init = *self
            .init_cpu_ms
            .get(function)
            .with_context(|| format!("the start of {function} was not measured"))?;
        let invocations = work.invocations as f64;
        let own = (work.cpu_ms - work.processes as f64 * init).max(0.0) * self.stretch()?;
        let mut calls = 0.0;
        for (call, count) in &work.calls {
            calls += *count as f64 * self.latency(call)?;
        }
        let services: BTreeSet<_> = work.calls.keys().filter_map(|call| call.split(' ').next()).collect();
        let start =
            init * self.stretch()? + self.prices.assumed("load-ms")? + services.len() as f64 * self.prices.assumed("connection-ms")?;
        Ok(own + calls + invocations + invocations * cold * start)
    }

    /// What a phase uses when it is done so many times.
    fn usage(&self, phase: &Phase, times: f64, cold: f64) -> anyhow::Result<Usage> {
        let mut all = Usage {
            write_units: phase.write_units,
            read_units: phase.read_units,
            ..Usage::default()
        };
        let lines = self.prices.assumed("platform-log-lines")?;
        let overhead = self.prices.assumed("log-line-overhead")?;
        for (function, work) in &phase.functions {
            let invocations = work.invocations as f64;
            all.invocations += invocations;
            all.milliseconds += self.milliseconds(function, work, cold)?;
            all.log_bytes += work.log_bytes as f64
                + work.log_lines as f64 * overhead
                + invocations * (self.prices.assumed("platform-log-bytes")? + lines * overhead);
        }
        let calls = phase.functions.values().flat_map(|work| &work.calls).chain(&phase.agents);
        for (call, count) in calls {
            let count = *count as f64;
            match call.split_once(' ') {
                Some(("s3", operation)) if operation.starts_with("Get") || operation.starts_with("Head") => all.gets += count,
                Some(("s3", _)) => all.puts += count,
                Some(("sns", "Publish")) => all.messages += count,
                _ => {}
            }
        }
        ensure!(phase.times > 0, "nothing was measured");
        let scale = times / f64::from(phase.times);
        Ok(Usage {
            invocations: all.invocations * scale,
            milliseconds: all.milliseconds * scale,
            write_units: all.write_units * scale,
            read_units: all.read_units * scale,
            puts: all.puts * scale,
            gets: all.gets * scale,
            messages: all.messages * scale,
            log_bytes: all.log_bytes * scale,
        })
    }

    /// The lines of what functions use, without what is nothing.
    fn lines(&self, usage: Usage, of: &str) -> anyhow::Result<Vec<Line>> {
        let gb_seconds = usage.milliseconds / 1000.0 * self.template.memory_mb / 1024.0;
        let log_gb = usage.log_bytes / GB;
        let kms = usage.messages * self.prices.assumed("kms-requests-a-message")?;
        let all = [
            ("calls of functions", usage.invocations, "lambda-request"),
            ("time of functions", gb_seconds, "lambda-gb-second-arm64"),
            ("writes to the table", usage.write_units, "dynamodb-write"),
            ("reads of the table", usage.read_units, "dynamodb-read"),
            ("writes and lists of the bucket", usage.puts, "s3-put"),
            ("reads of the bucket", usage.gets, "s3-get"),
            ("messages", usage.messages, "sns-publish"),
            ("e-mails", usage.messages * self.prices.assumed("emails")?, "sns-email"),
            ("the messages' key", kms, "kms-request"),
            ("logs written", log_gb, "logs-ingestion"),
            ("logs kept", log_gb * self.prices.assumed("log-months")?, "logs-storage"),
        ];
        all.into_iter()
            .filter(|(_, amount, _)| *amount > 0.0)
            .map(|(what, amount, price)| self.line(format!("{of}{what}"), amount, price))
            .collect()
    }

    /// [`BUILDS`] builds.
    fn builds(&self, measured: &Measured, cold: f64) -> anyhow::Result<Vec<Line>> {
        let left = &measured.left;
        ensure!(
            left.largest_message_bytes <= MESSAGE,
            "a message of {} bytes is more than one request",
            left.largest_message_bytes
        );
        let mut usage = self.usage(&measured.build, BUILDS, cold)?;
        let invocations = usage.invocations;
        // The sweep's looks at running agents: it reads the build, asks ECS, and notes when it has to look again, which moves the build in the index.
        let looks = BUILDS * self.prices.assumed("looks")?;
        usage.read_units += looks * (left.build_item_bytes / 4096.0).ceil();
        usage.write_units += looks * ((left.build_item_bytes / 1024.0).ceil() + 2.0);
        usage.milliseconds += looks * (2.0 * self.latency("dynamodb")? + self.latency("ecs")?);
        let mut lines = self.lines(usage, "")?;
        // At most one for each call: the cache is each caller's.
        lines.push(self.line("the table's key", invocations, "kms-request")?);
        lines.push(self.line("events", invocations, "eventbridge-event")?);
        let kept = BUILDS / f64::from(measured.builds) * self.prices.assumed("keep-months")? / GB;
        let table = left.table_bytes as f64 * kept;
        lines.push(self.line("runs and builds kept", table, "dynamodb-storage")?);
        lines.push(self.line("their recovery to any point in time", table, "dynamodb-recovery")?);
        lines.push(self.line("their backups", table * self.prices.assumed("table-backups")?, "backup-dynamodb")?);
        lines.push(self.line("reports kept", left.object_bytes as f64 * kept, "s3-storage")?);
        Ok(lines)
    }

    /// A month without builds.
    fn month(&self, measured: &Measured) -> anyhow::Result<Vec<Line>> {
        let hours = self.prices.assumed("hours")?;
        let cold = self.prices.assumed("cold-share-sweep")?;
        let sweeps = self.usage(&measured.sweep, hours * 60.0, cold)?;
        let mut lines = self.lines(sweeps, "sweep each minute: ")?;
        let check = self.usage(&measured.check, hours / 6.0, 1.0)?;
        let backup = self.usage(&measured.backup, hours / 24.0, 1.0)?;
        lines.extend(self.lines(check.and(backup), "backups and their checks: ")?);
        let minutes = self.prices.assumed("kms-table-minutes")?;
        lines.push(self.line("the table's key, for the sweep", hours * 60.0 / minutes, "kms-request")?);
        lines.push(self.line("the topic's key", self.template.keys, "kms-key")?);
        lines.push(self.line("alarms", self.template.alarms, "cloudwatch-alarm")?);
        lines.push(self.line("the metric that each sweep writes", 1.0, "cloudwatch-metric")?);
        if self.template.dashboards > 0.0 {
            lines.push(self.line("dashboards", self.template.dashboards, "cloudwatch-dashboard")?);
        }
        Ok(lines)
    }

    /// A month in which builds run: CloudWatch bills a metric by the hours in which it was written.
    fn busy(&self) -> anyhow::Result<Vec<Line>> {
        let share = self.prices.assumed("busy-hours")? / self.prices.assumed("hours")?;
        let metrics = self.prices.assumed("busy-metrics")?;
        Ok(vec![self.line("metrics of builds", metrics * share, "cloudwatch-metric")?])
    }

    /// What controllers that are always there cost a month, line by line.
    fn controllers(&self) -> anyhow::Result<Vec<(&'static str, Vec<Line>)>> {
        let hours = self.prices.assumed("hours")?;
        Ok(vec![
            (
                "Fargate, as in the blog post",
                vec![
                    self.line("2 vCPU", hours * self.prices.assumed("fargate-vcpu")?, "fargate-vcpu-hour")?,
                    self.line("4 GB", hours * self.prices.assumed("fargate-gb")?, "fargate-gb-hour")?,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cost::input;

    fn template() -> Template {
        Template {
            memory_mb: 256.0,
            alarms: 9.0,
            dashboards: 0.0,
            keys: 1.0,
        }
    }

    /// The names of the real file, with numbers of the test's own, so that the file may change.
    fn prices() -> Prices {
        let mut prices: Prices = input::read(&input::prices_file()).unwrap();
        let assumed = [
            ("hours", 730.0),
            ("vcpu-mb", 1024.0),
            ("cold-share", 1.0),
            ("cold-share-sweep", 0.01),
            ("load-ms", 30.0),
            ("connection-ms", 10.0),
            ("latency-dynamodb-ms", 10.0),
            ("latency-sns-ms", 40.0),
            ("latency-ecs-ms", 500.0),
            ("platform-log-lines", 2.0),
            ("platform-log-bytes", 448.0),
            ("log-line-overhead", 26.0),
            ("looks", 1.0),
            ("busy-hours", 146.0),
            ("busy-metrics", 10.0),
            ("kms-requests-a-message", 2.0),
            ("kms-table-minutes", 5.0),
            ("emails", 1.0),
            ("keep-months", 3.0),
            ("log-months", 1.0),
            ("table-backups", 35.0),
            ("efs-gb", 10.0),
            ("fargate-vcpu", 2.0),
            ("fargate-gb", 4.0),
        ];
        for (name, value) in assumed {
            prices.assumptions.get_mut(name).unwrap().value = value;
        }
        let asked = [
            ("lambda-request", 0.2, 1e6),
            ("lambda-gb-second-arm64", 0.000_013_333_4, 1.0),
            ("dynamodb-write", 0.625, 1e6),
            ("dynamodb-read", 0.125, 1e6),
            ("dynamodb-storage", 0.25, 1.0),
            ("dynamodb-recovery", 0.2, 1.0),
            ("backup-dynamodb", 0.1, 1.0),
            ("s3-put", 0.005, 1e3),
            ("s3-get", 0.0004, 1e3),
            ("s3-storage", 0.023, 1.0),
            ("sns-publish", 0.5, 1e6),
            ("sns-email", 2.0, 1e5),
            ("kms-request", 0.03, 1e4),
            ("kms-key", 1.0, 1.0),
            ("cloudwatch-alarm", 0.1, 1.0),
            ("cloudwatch-metric", 0.3, 1.0),
            ("logs-ingestion", 0.5, 1.0),
            ("logs-storage", 0.03, 1.0),
            ("eventbridge-event", 0.0, 1.0),
            ("fargate-vcpu-hour", 0.04048, 1.0),
            ("fargate-gb-hour", 0.004445, 1.0),
            ("alb-hour", 0.0225, 1.0),
            ("efs-storage", 0.3, 1.0),
            ("m4-large-hour", 0.1, 1.0),
        ];
        for (name, usd, per) in asked {
            let price = prices.prices.get_mut(name).unwrap();
            (price.usd, price.per) = (usd, per);
        }
        prices
    }

    fn measured() -> Measured {
        serde_json::from_value(json!({
            "date": "2026-01-01", "machine": "m", "profile": "release", "builds": 10, "interrupted": 0, "script": "true",
            "init_cpu_ms": { "push": 5.0, "sweep": 5.0, "backup": 5.0 },
            "build": {
                "times": 10,
                "functions": { "push": {
                    "invocations": 20, "processes": 2, "cpu_ms": 110.0, "log_lines": 10, "log_bytes": 740,
                    "calls": { "dynamodb PutItem": 30, "sns Publish": 10 },
                } },
                "agents": { "s3 PutObject": 10, "s3 GetObject": 20 },
                "write_units": 60.0, "read_units": 15.0,
            },
            "sweep": {
                "times": 2,
                "functions": { "sweep": { "invocations": 2, "processes": 0, "cpu_ms": 1.0, "log_lines": 0, "log_bytes": 0,
                    "calls": { "dynamodb Query": 8 } } },
                "agents": {}, "write_units": 0.0, "read_units": 4.0,
            },
            "check": { "times": 2, "functions": {}, "agents": {}, "write_units": 12.0, "read_units": 0.0 },
            "backup": { "times": 1, "functions": {}, "agents": {}, "write_units": 24.0, "read_units": 0.0 },
            "left": { "table_bytes": 40960, "build_item_bytes": 1500.0, "objects": 20, "object_bytes": 10240, "largest_message_bytes": 4000 },
        }))
        .unwrap()
    }

    fn amount(lines: &[Line], what: &str) -> f64 {
        lines.iter().find(|line| line.what == what).unwrap().amount
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= expected.abs() * 1e-9, "{found} instead of {expected}");
    }

    /// Reckoned by hand. 100 times what was measured, since ten builds were and a thousand are asked for.
    #[test]
    fn a_thousand_builds_by_hand() {
        let costs = Costs::of(&measured(), template(), &prices()).unwrap();
        let lines = &costs.builds;
        near(amount(lines, "calls of functions"), 2000.0);
        // Own time: 110 ms less two starts of 5 ms, four times as long with a quarter of a vCPU: 400 ms. Calls: 30 × 10 + 10 × 40 = 700 ms. Rounding: 20 ms.
        // Cold starts: 20 × (5 × 4 + 30 + 2 × 10) = 1,400 ms. Together 2,520 ms, and 252,000 ms for a thousand builds.
        // One look each: 1,000 × (2 × 10 + 500) = 520,000 ms. 772 s at a quarter of a GB.
        near(amount(lines, "time of functions"), 193.0);
        // 6 a build, and for the look 2 for an item of 1,500 bytes and 2 of the index.
        near(amount(lines, "writes to the table"), 10_000.0);
        // 1.5 a build, and 1 for the look.
        near(amount(lines, "reads of the table"), 2500.0);
        near(amount(lines, "writes and lists of the bucket"), 1000.0);
        near(amount(lines, "reads of the bucket"), 2000.0);
        near(amount(lines, "messages"), 1000.0);
        near(amount(lines, "e-mails"), 1000.0);
        near(amount(lines, "the messages' key"), 2000.0);
        near(amount(lines, "the table's key"), 2000.0);
        // 740 + 10 × 26 + 20 × (448 + 2 × 26) = 11,000 bytes of ten builds.
        near(amount(lines, "logs written"), 1_100_000.0 / GB);
        near(amount(lines, "runs and builds kept"), 4096.0 * 1000.0 * 3.0 / GB);
        near(amount(lines, "their backups"), 35.0 * 4096.0 * 1000.0 * 3.0 / GB);
        near(amount(lines, "reports kept"), 1024.0 * 1000.0 * 3.0 / GB);
        // Writes, at 0.625 a million.
        near(lines.iter().find(|line| line.price == "dynamodb-write").unwrap().usd, 0.00625);
        // Without cold starts 1,400 ms less of ten builds: 35 GB-seconds less of a thousand.
        near(total(lines) - costs.warm_usd, 35.0 * 0.000_013_333_4);
        // Nothing was left out of the sum.
        let sum = 2000.0 * 0.2e-6
            + 193.0 * 0.000_013_333_4
            + 0.00625
            + 2500.0 * 0.125e-6
            + 1000.0 * 0.005e-3
            + 2000.0 * 0.0004e-3
            + 1000.0 * 0.5e-6
            + 1000.0 * 2e-5
            + 4000.0 * 3e-6
            + 1.1e6 / GB * 0.53
            + 12_288_000.0 / GB * (0.25 + 0.20 + 35.0 * 0.10)
            + 3_072_000.0 / GB * 0.023;
        near(total(lines), sum);
        near(costs.a_build(), sum / 1000.0);
    }

    #[test]
    fn a_month_without_builds_by_hand() {
        let costs = Costs::of(&measured(), template(), &prices()).unwrap();
        let lines = &costs.month;
        near(amount(lines, "sweep each minute: calls of functions"), 43_800.0);
        near(amount(lines, "sweep each minute: reads of the table"), 87_600.0);
        // A sweep: half a millisecond four times as long, four queries of 10 ms, 1 ms, and for one in a hundred 5 × 4 + 30 + 10 ms.
        near(
            amount(lines, "sweep each minute: time of functions"),
            43_800.0 * (2.0 + 40.0 + 1.0 + 0.6) / 1000.0 / 4.0,
        );
        // 730 / 6 checks with 6 units each, and 730 / 24 backups with 24.
        near(amount(lines, "backups and their checks: writes to the table"), 730.0 + 730.0);
        near(amount(lines, "the table's key, for the sweep"), 8760.0);
        near(amount(lines, "alarms"), 9.0);
        near(amount(lines, "the metric that each sweep writes"), 1.0);
        assert!(total(lines) > 2.20 && total(lines) < 2.40, "{}", total(lines));
    }

    /// Ten metrics in a fifth of the hours.
    #[test]
    fn a_month_with_builds_by_hand() {
        let costs = Costs::of(&measured(), template(), &prices()).unwrap();
        near(total(&costs.busy), 10.0 / 5.0 * 0.3);
        near(costs.month_with(0.0), total(&costs.month));
        near(costs.month_with(1.0), total(&costs.month) + 0.6 + costs.a_build());
    }

    #[test]
    fn a_month_of_a_controller_by_hand() {
        let costs = Costs::of(&measured(), template(), &prices()).unwrap();
        let [(_, fargate), (_, instance)] = costs.controllers.as_slice() else {
            panic!("two controllers")
        };
        near(total(fargate), 730.0 * (2.0 * 0.04048 + 4.0 * 0.004445 + 0.0225) + 10.0 * 0.30);
        near(total(instance), 73.0);
    }

    #[test]
    fn at_the_break_even_one_build_more_costs_more() {
        let costs = Costs::of(&measured(), template(), &prices()).unwrap();
        let builds = costs.break_even(73.0);
        assert!(builds > 0.0);
        assert!(costs.month_with(builds) <= 73.0);
        assert!(costs.month_with(builds + 1.0) > 73.0);
        assert_eq!(costs.break_even(0.5), 0.0);
    }

    #[test]
    fn the_template_is_counted() {
        let text = "Globals:\n  MemorySize: 256\nA:\n    Type: AWS::CloudWatch::Alarm\nB:\n    Type: AWS::CloudWatch::Alarm\nC:\n    Type: AWS::KMS::Key\n";
        let expected = Template {
            memory_mb: 256.0,
            alarms: 2.0,
            dashboards: 0.0,
            keys: 1.0,
        };
        assert_eq!(Template::of(text).unwrap(), expected);
        assert!(Template::of(&text.replace("MemorySize: 256", "")).is_err());
        assert!(Template::of(&format!("{text}\nMemorySize: 512")).is_err());
    }
}
