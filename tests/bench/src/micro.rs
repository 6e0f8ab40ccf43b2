//! What criterion measured (`benches/decide.rs`), from the files that it leaves.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One micro-benchmark.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Micro {
    /// Such as `decide` or `read`.
    pub(crate) group: String,
    pub(crate) name: String,
    /// The mean time of one, and the bounds that it lies between with 95 % confidence, in nanoseconds.
    pub(crate) mean_ns: f64,
    pub(crate) lower_ns: f64,
    pub(crate) upper_ns: f64,
    /// So many a second on one core: the reciprocal of the mean.
    pub(crate) per_second: f64,
}

#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: String,
}

#[derive(Deserialize)]
struct Estimates {
    mean: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    confidence_interval: Interval,
    point_estimate: f64,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Reads what is in a folder of criterion's, by group and, within one, the fastest first.
pub(crate) fn estimates(folder: &Path) -> anyhow::Result<Vec<Micro>> {
    let mut all = Vec::new();
    for group in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let group = group?.path();
        if !group.is_dir() {
            continue;
        }
        for benchmark in std::fs::read_dir(&group)? {
            let newest = benchmark?.path().join("new");
            if newest.is_dir() {
                all.push(estimate(&newest)?);
            }
        }
    }
    anyhow::ensure!(!all.is_empty(), "criterion left nothing in {}", folder.display());
    all.sort_by(|one: &Micro, other| one.group.cmp(&other.group).then(one.mean_ns.total_cmp(&other.mean_ns)));
    Ok(all)
}

fn estimate(folder: &Path) -> anyhow::Result<Micro> {
    let Benchmark { group_id, function_id } = read(&folder.join("benchmark.json"))?;
    let Estimates { mean } = read(&folder.join("estimates.json"))?;
    Ok(Micro {
        group: group_id,
        name: function_id,
        mean_ns: mean.point_estimate,
        lower_ns: mean.confidence_interval.lower_bound,
        upper_ns: mean.confidence_interval.upper_bound,
        per_second: 1e9 / mean.point_estimate,
    })
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not what criterion writes", file.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    /// As criterion 0.8 writes it, with the fields that nothing here asks for left out.
    fn leave(folder: &Path, place: &str, name: &str, mean: f64) {
        let newest = folder.join(place).join("new");
        std::fs::create_dir_all(&newest).unwrap();
        let benchmark = format!(r#"{{"group_id":"decide","function_id":"{name}","value_str":null,"title":"decide/{name}"}}"#);
        let interval = r#"{"confidence_level":0.95,"lower_bound":1.0,"upper_bound":9.0}"#;
        let estimates = format!(r#"{{"mean":{{"confidence_interval":{interval},"point_estimate":{mean:?},"standard_error":1.0}}}}"#);
        std::fs::write(newest.join("benchmark.json"), benchmark).unwrap();
        std::fs::write(newest.join("estimates.json"), estimates).unwrap();
    }

    #[test]
    fn the_estimates_are_criterions() {
        let folder = tempfile::tempdir().unwrap();
        assert!(estimates(folder.path()).is_err());
        leave(folder.path(), "decide/slow_ one", "slow: one", 1000.0);
        leave(folder.path(), "decide/fast", "fast", 5.0);
        std::fs::create_dir_all(folder.path().join("decide/report")).unwrap();
        let all = estimates(folder.path()).unwrap();
        let names: Vec<&str> = all.iter().map(|micro| micro.name.as_str()).collect();
        assert_eq!(names, ["fast", "slow: one"]);
        assert_eq!(
            (all[0].mean_ns, all[0].lower_ns, all[0].upper_ns, all[0].per_second),
            (5.0, 1.0, 9.0, 2e8)
        );
    }
}
