//! The suite's bucket: its configuration, and what agents leave.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::AgentId;
use bellhop_domain::results::found::{Artifact, Seal};
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

    async fn folder(&self, place: &Place, agent: &AgentId) -> Result<Option<Folder>, Fault> {
        tokio::task::yield_now().await;
        Ok(Some(place.folder(&format!("AROAEXAMPLE:{}", agent.last()))))
    }

    async fn agent_report(&self, _: &Folder) -> Result<Option<Report>, Fault> {
        tokio::task::yield_now().await;
        self.reports_read.fetch_add(1, Ordering::SeqCst);
        Ok(self.report.lock().unwrap().clone())
    }

    async fn artifacts(&self, _: &Folder, limit: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        tokio::task::yield_now().await;
        if take(&self.unlistable) {
            return Err(Fault::transient("list artifacts: no reply"));
        }
        let artifacts = self.artifacts.lock().unwrap();
        let listed = *self.listed_size.lock().unwrap();
        let all = artifacts.iter().map(|(path, text)| Artifact {
            path: path.clone(),
            size: listed.unwrap_or_else(|| u64::try_from(text.len()).unwrap()),
            seal: Seal::default(),
        });
        Ok((all.take(limit).collect(), u64::try_from(artifacts.len()).unwrap()))
    }

    async fn seal(&self, key: &str, readable: Option<u64>) -> Result<Seal, Fault> {
        tokio::task::yield_now().await;
        let is_there = |path: &str| self.artifacts.lock().unwrap().contains_key(path);
        if !key.split_once("/artifacts/").is_some_and(|(_, path)| is_there(path)) {
            return Ok(Seal::default());
        }
        let sha256 = readable.map(|bytes| format!("hash of {bytes} bytes"));
        let version = Some(format!("version of {key}"));
        Ok(Seal { version, sha256 })
    }

    async fn object(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        tokio::task::yield_now().await;
        let limit = usize::try_from(limit).unwrap();
        let path = key.split_once("/artifacts/").unwrap().1;
        let text = self.artifacts.lock().unwrap().get(path).cloned();
        Ok(text.map(|text| text.into_bytes().into_iter().take(limit).collect()))
    }
}
