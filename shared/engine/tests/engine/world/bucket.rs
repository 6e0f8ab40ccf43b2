//! The suite's bucket: its configuration, and what agents leave.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::ids::AttemptId;
use bellhop_domain::results::found::Artifact;
use bellhop_engine::Fault;
use bellhop_engine::ports::Store;
use jiff::Timestamp;

use super::values::take;

/// The suite's bucket.
#[derive(Default)]
pub(crate) struct FakeBucket {
    pub(crate) configuration: Mutex<Option<String>>,
    pub(crate) objects: Mutex<BTreeMap<String, String>>,
    /// What every agent leaves.
    pub(crate) report: Mutex<Option<Report>>,
    /// How often a report was asked for.
    pub(crate) reports_read: AtomicUsize,
    /// The versions of the configuration before the one that is there, oldest first.
    pub(crate) earlier: Mutex<Vec<String>>,
    /// What every agent leaves as artifacts.
    pub(crate) artifacts: Mutex<BTreeMap<String, String>>,
    /// So many looks at artifacts to come fail.
    pub(crate) unlistable: AtomicUsize,
    /// What is listed as the size of each artifact, where that is not its text's.
    pub(crate) listed_size: Mutex<Option<u64>>,
    /// Versions of the configuration may not be listed.
    pub(crate) versions_denied: AtomicBool,
}

impl FakeBucket {
    pub(crate) fn object(&self, key: &str) -> Option<String> {
        self.objects.lock().unwrap().get(key).cloned()
    }
}

#[async_trait]
impl Store for FakeBucket {
    fn bucket(&self) -> &'static str {
        "suite"
    }

    fn configuration_place(&self) -> String {
        "s3://suite/config/bellhop.yaml".to_owned()
    }

    async fn configuration(&self) -> Result<Option<String>, Fault> {
        tokio::task::yield_now().await;
        Ok(self.configuration.lock().unwrap().clone())
    }

    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault> {
        tokio::task::yield_now().await;
        if self.versions_denied.load(Ordering::SeqCst) {
            return Err(Fault::permanent("AccessDenied: not authorized to perform: s3:ListBucketVersions"));
        }
        let earlier = self.earlier.lock().unwrap().len();
        let since = |version: usize| Timestamp::from_second(i64::try_from(version).unwrap()).unwrap();
        Ok((0..earlier).rev().map(|version| (since(version), version.to_string())).collect())
    }

    async fn earlier_configuration(&self, id: &str) -> Result<Option<String>, Fault> {
        tokio::task::yield_now().await;
        Ok(self.earlier.lock().unwrap().get(id.parse::<usize>().unwrap()).cloned())
    }

    async fn put(&self, key: &str, _: &str, text: String) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.objects.lock().unwrap().insert(key.to_owned(), text);
        Ok(())
    }

    async fn agent_report(&self, _: &AttemptId) -> Result<Option<Report>, Fault> {
        tokio::task::yield_now().await;
        self.reports_read.fetch_add(1, Ordering::SeqCst);
        Ok(self.report.lock().unwrap().clone())
    }

    async fn artifacts(&self, _: &AttemptId, limit: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        tokio::task::yield_now().await;
        if take(&self.unlistable) {
            return Err(Fault::transient("list artifacts: no reply"));
        }
        let artifacts = self.artifacts.lock().unwrap();
        let listed = *self.listed_size.lock().unwrap();
        let all = artifacts.iter().map(|(path, text)| Artifact {
            path: path.clone(),
            size: listed.unwrap_or_else(|| u64::try_from(text.len()).unwrap()),
        });
        Ok((all.take(limit).collect(), u64::try_from(artifacts.len()).unwrap()))
    }

    async fn artifact(&self, _: &AttemptId, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        tokio::task::yield_now().await;
        let limit = usize::try_from(limit).unwrap();
        let text = self.artifacts.lock().unwrap().get(path).cloned();
        Ok(text.map(|text| text.into_bytes().into_iter().take(limit).collect()))
    }
}
