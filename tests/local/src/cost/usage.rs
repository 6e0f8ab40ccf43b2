//! What is billed of the functions' work.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

use crate::cost::input::{Phase, Prices, Work};

/// What is billed of the functions' work.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) invocations: f64,
    pub(super) milliseconds: f64,
    pub(super) write_units: f64,
    pub(super) read_units: f64,
    pub(super) puts: f64,
    pub(super) gets: f64,
    pub(super) messages: f64,
    pub(super) timers: f64,
    pub(super) log_bytes: f64,
}

impl Usage {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            invocations: self.invocations + other.invocations,
            milliseconds: self.milliseconds + other.milliseconds,
            write_units: self.write_units + other.write_units,
            read_units: self.read_units + other.read_units,
            puts: self.puts + other.puts,
            gets: self.gets + other.gets,
            messages: self.messages + other.messages,
            timers: self.timers + other.timers,
            log_bytes: self.log_bytes + other.log_bytes,
        }
    }

    /// So many times that.
    fn times(self, factor: f64) -> Self {
        Self {
            invocations: self.invocations * factor,
            milliseconds: self.milliseconds * factor,
            write_units: self.write_units * factor,
            read_units: self.read_units * factor,
            puts: self.puts * factor,
            gets: self.gets * factor,
            messages: self.messages * factor,
            timers: self.timers * factor,
            log_bytes: self.log_bytes * factor,
        }
    }
}

/// Turns what was measured into what is billed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter<'a> {
    pub(super) prices: &'a Prices,
    pub(super) memory_mb: f64,
    pub(super) init_cpu_ms: &'a BTreeMap<String, f64>,
}

impl Meter<'_> {
    /// How many milliseconds a millisecond of processor time takes.
    fn stretch(&self) -> anyhow::Result<f64> {
        Ok((self.prices.assumed("vcpu-mb")? / self.memory_mb).max(1.0))
    }

    /// How many milliseconds a call of a service takes.
    pub(super) fn latency(&self, call: &str) -> anyhow::Result<f64> {
        self.prices.assumed(match call.split(' ').next() {
            Some("dynamodb") => "latency-dynamodb-ms",
            Some("s3") => "latency-s3-ms",
            Some("sns" | "sqs") => "latency-sns-ms",
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

    /// The bytes of a function's logs, those of Lambda's own lines among them.
    fn log_bytes(&self, work: &Work, cold: f64) -> anyhow::Result<f64> {
        let overhead = self.prices.assumed("log-line-overhead")?;
        let call = self.prices.assumed("platform-log-bytes")? + self.prices.assumed("platform-log-lines")? * overhead;
        let start = self.prices.assumed("platform-start-log-bytes")? + overhead;
        Ok(work.log_bytes as f64 + work.log_lines as f64 * overhead + work.invocations as f64 * (call + cold * start))
    }

    /// What a phase uses when it is done so many times.
    pub(super) fn usage(&self, phase: &Phase, times: f64, cold: f64) -> anyhow::Result<Usage> {
        let mut all = Usage {
            write_units: phase.write_units,
            read_units: phase.read_units,
            ..Usage::default()
        };
        for (function, work) in &phase.functions {
            all.invocations += work.invocations as f64;
            all.milliseconds += self.milliseconds(function, work, cold)?;
            all.log_bytes += self.log_bytes(work, cold)?;
        }
        let calls = phase.functions.values().flat_map(|work| &work.calls).chain(&phase.agents);
        for (call, count) in calls {
            let count = *count as f64;
            match call.split_once(' ') {
                Some(("s3", operation)) if operation.starts_with("Get") || operation.starts_with("Head") => all.gets += count,
                Some(("s3", _)) => all.puts += count,
                Some(("sns", "Publish")) => all.messages += count,
                Some(("sqs", "SendMessageBatch")) => all.timers += count,
                _ => {}
            }
        }
        ensure!(phase.times > 0, "nothing was measured");
        Ok(all.times(times / f64::from(phase.times)))
    }
}
