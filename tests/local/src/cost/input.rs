//! Two of the files from which the costs are computed: what was measured, and AWS's prices.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xtask::workspace::root;

/// What was measured on a local AWS. `cargo xtask cost` writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// The day, as `2026-11-22`.
    pub(super) date: String,
    /// Processor, cores and architecture of the machine.
    pub(super) machine: String,
    /// How the functions were built.
    pub(super) profile: String,
    /// How many builds there were, one a run.
    pub(super) builds: u32,
    /// How many of them lost their Spot capacity once.
    pub(super) interrupted: u32,
    /// How many failed. The others succeeded.
    pub(super) failed: u32,
    /// How many succeeded after a failure of the same branch, so that a message was sent.
    pub(super) repaired: u32,
    /// The script of each build.
    pub(super) script: String,
    /// Processor time from a process's start until it asks for its first event, in milliseconds, by function.
    pub(super) init_cpu_ms: BTreeMap<String, f64>,
    /// Everything for the builds, without what a sweep does when there are none.
    pub(super) build: Phase,
    /// Sweeps while nothing is due.
    pub(super) sweep: Phase,
    /// Checks of the backups, of which there is one: the table's.
    pub(super) check: Phase,
    /// Daily backups of the table, from the schedule to the job's end.
    pub(super) backup: Phase,
    /// What the builds left.
    pub(super) left: Left,
}

/// Something that was done so many times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phase {
    /// How many times. Everything else is of all of them together.
    pub(super) times: u32,
    /// By function.
    pub(super) functions: BTreeMap<String, Work>,
    /// Requests of the agents, by service and operation.
    pub(super) agents: BTreeMap<String, u64>,
    /// DynamoDB's write request units.
    pub(super) write_units: f64,
    /// DynamoDB's read request units.
    pub(super) read_units: f64,
}

/// What a function did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Work {
    /// How often it was called.
    pub(super) invocations: u64,
    /// How many processes were started for that.
    pub(super) processes: u64,
    /// The processes' processor time, their starts among it, in milliseconds.
    pub(super) cpu_ms: f64,
    /// Lines that it logged.
    pub(super) log_lines: u64,
    /// Their bytes.
    pub(super) log_bytes: u64,
    /// Its requests, by service and operation.
    pub(super) calls: BTreeMap<String, u64>,
}

/// What the builds left in table and bucket.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Left {
    /// Bytes of items, of their copies in the indexes, and what DynamoDB adds to each.
    pub(super) table_bytes: u64,
    /// The mean size of a build's item in bytes.
    pub(super) build_item_bytes: f64,
    /// Objects in the bucket.
    pub(super) objects: u64,
    /// Their bytes.
    pub(super) object_bytes: u64,
    /// The largest message's bytes.
    pub(super) largest_message_bytes: u64,
}

/// What AWS asks, and what could not be measured. Kept by hand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    /// The region of all prices.
    pub(super) region: String,
    /// By name.
    pub(super) prices: BTreeMap<String, Price>,
    /// By name.
    pub(super) assumptions: BTreeMap<String, Assumption>,
    /// The teams whose month is computed, the smallest first.
    pub(super) teams: Vec<Team>,
}

/// A team whose month is computed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Team {
    pub(super) developers: u32,
}

/// A price.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    /// US dollars, without tax.
    pub(super) usd: f64,
    /// For so many units.
    pub(super) per: f64,
    /// What is counted.
    pub(super) unit: String,
    /// Where it was read, or where it is to be read where it was not.
    pub(super) source: String,
    /// When.
    pub(super) seen: String,
    /// Whether the source, as it was read, says it.
    pub(super) confirmed: bool,
    /// What else is to be known.
    #[serde(default)]
    pub(super) note: String,
}

/// A number that was not measured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Assumption {
    pub(super) value: f64,
    pub(super) unit: String,
    /// Why this number.
    pub(super) why: String,
}

impl Prices {
    /// Of one unit, in US dollars.
    pub(super) fn of(&self, name: &str) -> anyhow::Result<f64> {
        let price = self.prices.get(name).with_context(|| format!("there is no price {name}"))?;
        Ok(price.usd / price.per)
    }

    pub(super) fn assumed(&self, name: &str) -> anyhow::Result<f64> {
        let assumption = self
            .assumptions
            .get(name)
            .with_context(|| format!("there is no assumption {name}"))?;
        Ok(assumption.value)
    }
}

/// The file of what was measured.
pub(super) fn measured_file() -> PathBuf {
    root().join("docs/explanation/cost/measured.json")
}

/// The file of the prices.
pub(super) fn prices_file() -> PathBuf {
    root().join("docs/explanation/cost/prices.json")
}

/// Reads a file.
pub(super) fn read<T: DeserializeOwned>(file: &PathBuf) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} does not fit", file.display()))
}
