//! What must not get worse: each target with what was measured, and whether it is reached.

use serde::Serialize;

use crate::measure::{Figures, Kind, Reaction};
use crate::statistics::Summary;

/// What a figure should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) wanted: String,
    /// The worst of all functions.
    pub(crate) measured: String,
    pub(crate) reached: bool,
}

/// The functions' figures beside the targets.
pub(crate) fn targets(figures: &[Figures], reactions: &[Reaction]) -> Vec<Target> {
    let cold = |name: &str| {
        figures
            .iter()
            .find(|each| each.name == name)
            .map_or(f64::NAN, |each| median(each.cold_ms))
    };
    let worst = |value: fn(&Figures) -> f64| {
        let functions = figures.iter().filter(|each| each.kind == Kind::Function);
        functions
            .map(|each| (value(each), each.name.as_str()))
            .max_by(|one, other| one.0.total_cmp(&other.0))
            .unwrap_or((f64::NAN, ""))
    };
    let (slowest, name) = worst(|each| median(each.cold_ms));
    let (cpu, cpu_name) = worst(|each| median(each.cpu_per_event_ms));
    let (peak, peak_name) = worst(|each| each.peak_mib);
    let (zip, zip_name) = worst(|each| each.zip_mib.unwrap_or(f64::NAN));
    let (over_empty, under_python, under_node) = (slowest / cold("empty"), cold("Python") / slowest, cold("Node.js") / slowest);
    let mut all = vec![
        target(
            "cold start beside an empty function",
            "at most 3 times",
            format!("{over_empty:.1} times ({name})"),
            over_empty <= 3.0,
        ),
        target(
            "cold start beside Python",
            "15 times faster",
            format!("{under_python:.1} times ({name})"),
            under_python >= 15.0,
        ),
        target(
            "cold start beside Node.js",
            "25 times faster",
            format!("{under_node:.1} times ({name})"),
            under_node >= 25.0,
        ),
        target("CPU of an event", "below 1 ms", format!("{cpu:.2} ms ({cpu_name})"), cpu < 1.0),
        target(
            "peak memory",
            "at most 20 MiB",
            format!("{peak:.1} MiB ({peak_name})"),
            peak <= 20.0,
        ),
        target("zip", "at most 5 MiB", format!("{zip:.2} MiB ({zip_name})"), zip <= 5.0),
    ];
    if let Some(warning) = reactions.first() {
        let writes = warning.before.iter().filter(|call| !call.contains("Get")).count();
        all.push(target(
            "round trips from a warning to RunTask",
            "2, one of them a write",
            format!("{}, {writes} of them a write", warning.round_trips),
            warning.round_trips == 2 && warning.before.len() == 2 && writes == 1,
        ));
    }
    all
}

pub(super) fn median(summary: Option<Summary>) -> f64 {
    summary.map_or(f64::NAN, |summary| summary.median)
}

fn target(what: &str, wanted: &str, measured: String, reached: bool) -> Target {
    Target {
        what: what.to_owned(),
        wanted: wanted.to_owned(),
        measured,
        reached,
    }
}
