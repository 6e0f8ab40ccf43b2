//! Where something was measured: the processor, its load, and the programs beside.

use std::fmt;

use serde::Serialize;

/// Where something was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Of the last minute before the measurements, and after them.
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    /// The programs that were measured beside the functions.
    pub(crate) beside: Vec<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn now() -> anyhow::Result<Self> {
        Ok(Self {
            processor: processor()?,
            cores: std::thread::available_parallelism()?.get(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_before: load()?,
            load_after: String::new(),
            beside: Vec::new(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processor,
            cores,
            kernel,
            load_before,
            load_after,
            beside,
        } = self;
        write!(
            f,
            "{processor}, {cores} cores, Linux {kernel}, load {load_before} before and {load_after} after"
        )?;
        beside.iter().try_for_each(|program| write!(f, "; {program}"))
    }
}

fn processor() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    Ok(line
        .map_or("unnamed processor", |line| line.trim_start_matches([' ', '\t', ':']))
        .to_owned())
}

/// The load of the last minute.
pub(super) fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}
