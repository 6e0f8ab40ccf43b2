//! What an attempt left in the bucket, and what the test reports among that count.

use bellhop_domain::found::{Found, MOST_ARTIFACTS, Tests};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::junit;
use futures::future::try_join_all;

use crate::{Engine, Fault};

/// How many artifacts are looked through for test reports.
const LISTED: usize = 1000;
/// How many XML files are read.
const MOST_REPORTS: usize = 50;
/// The largest XML file that is read, in bytes.
const LARGEST_REPORT: u64 = 4 * 1024 * 1024;
/// How many are read side by side.
const SIDE_BY_SIDE: usize = 8;

/// Lists an attempt's artifacts, and counts the tests in those that are JUnit reports. XML files that are none are passed over.
pub(crate) async fn collect(engine: &Engine, attempt: &AttemptId) -> Result<Found, Fault> {
    let (mut artifacts, count) = engine.store.artifacts(attempt, LISTED).await?;
    let reports: Vec<String> = artifacts
        .iter()
        .filter(|artifact| artifact.size <= LARGEST_REPORT && artifact.path.ends_with(".xml"))
        .take(MOST_REPORTS)
        .map(|artifact| artifact.path.clone())
        .collect();
    let mut tests: Option<Tests> = None;
    // In their order, so that the same files always name the same failures.
    for portion in reports.chunks(SIDE_BY_SIDE) {
        let texts = try_join_all(portion.iter().map(|path| engine.store.artifact(attempt, path, LARGEST_REPORT))).await?;
        for counted in texts.into_iter().flatten().filter_map(|text| junit::count(&text).ok()) {
            tests.get_or_insert_default().add(counted);
        }
    }
    artifacts.truncate(MOST_ARTIFACTS);
    Ok(Found { artifacts, count, tests })
}
