//! A part of a CPU for a process, as Lambda gives one to each size of memory.
//!
//! It is the kernel's own limit (<https://docs.kernel.org/scheduler/sched-bwc.html>): the processes of a control group get so much time in each period,
//! and wait for the next one when it is spent. Where no group can be made (it takes root), nothing is limited.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The memory at which Lambda gives a whole CPU (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
pub(crate) const WHOLE_MB: u32 = 1769;
/// The length of a period. AWS documents none.
const PERIOD_MICROSECONDS: u32 = 20_000;
/// Where the first version of control groups is mounted, and the second.
const FIRST: [&str; 2] = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
const SECOND: &str = "/sys/fs/cgroup";

/// A control group. Removed when it is dropped, for which it has to be empty.
#[derive(Debug)]
pub(crate) struct Share {
    group: PathBuf,
}

impl Share {
    /// A group with the share of a size of memory; `None` where this process may make none.
    pub(crate) fn of(mb: u32) -> Option<Self> {
        let quota = quota_microseconds(mb);
        let name = format!("bellhop-bench-{}-{mb}", std::process::id());
        let first = FIRST.iter().map(Path::new).find(|folder| folder.join("cpu.cfs_quota_us").exists());
        let group = first.unwrap_or(Path::new(SECOND)).join(name);
        std::fs::create_dir(&group).ok()?;
        let share = Self { group };
        let limits = match first {
            Some(_) => vec![
                ("cpu.cfs_period_us", PERIOD_MICROSECONDS.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ],
            None => vec![("cpu.max", format!("{quota} {PERIOD_MICROSECONDS}"))],
        };
        let set = limits
            .iter()
            .all(|(file, text)| std::fs::write(share.group.join(file), text).is_ok());
        set.then_some(share)
    }

    /// Limits a process, with all its threads, from now on.
    pub(crate) fn limit(&self, process: u32) -> anyhow::Result<()> {
        std::fs::write(self.group.join("cgroup.procs"), process.to_string())
            .with_context(|| format!("cannot move a process to {}", self.group.display()))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // What is left of an empty group harms nobody.
        let _ = std::fs::remove_dir(&self.group);
    }
}

/// The part of a CPU that goes with a size of memory.
pub(crate) fn part(mb: u32) -> f64 {
    f64::from(mb) / f64::from(WHOLE_MB)
}

fn quota_microseconds(mb: u32) -> u32 {
    mb * PERIOD_MICROSECONDS / WHOLE_MB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_goes_with_the_memory() {
        assert_eq!(quota_microseconds(1769), PERIOD_MICROSECONDS);
        assert_eq!(quota_microseconds(128), 1_447);
        assert!((part(256) - 0.1447).abs() < 0.0001);
    }
}
