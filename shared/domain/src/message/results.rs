//! Tests and artifacts in a message.

use crate::results::found::{Results, Tests};

/// The most artifacts that a message names.
pub(super) const ARTIFACTS_NAMED: usize = 20;

/// The counts of tests, as text.
pub(super) fn test_counts(tests: &Tests) -> String {
    let of = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    let unread = match tests.unread {
        0 => String::new(),
        1 => "; one report was counted only in part".to_owned(),
        unread => format!("; {unread} reports were counted only in part"),
    };
    format!(
        "{} tests{}{}{unread}",
        tests.run,
        of(tests.failed, "failed"),
        of(tests.skipped, "skipped")
    )
}

pub(super) fn artifact_rows(found: &Results) -> Vec<String> {
    let mut rows: Vec<String> = found
        .artifacts
        .iter()
        .take(ARTIFACTS_NAMED)
        .map(|artifact| artifact.path.clone())
        .collect();
    let others = found.count.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    if others > 0 {
        rows.push(format!("and {others} more"));
    }
    rows
}
