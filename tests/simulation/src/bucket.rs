//! The bucket and the topic: what was put, and what was said.

use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::agent::result_key;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::ids::{AttemptId, BuildId};
use bellhop_domain::results::found::Artifact;

/// The one file that a script leaves.
const LEFT: &str = "target/junit.xml";

#[derive(Default)]
pub(crate) struct Bucket {
    /// Texts by key.
    pub(crate) texts: BTreeMap<String, String>,
    /// Agents' reports by key, as [`bellhop_domain::agent::result_key`] names them.
    pub(crate) reports: BTreeMap<String, Report>,
    /// How often each message was sent, by its id.
    pub(crate) messages: BTreeMap<String, u32>,
    /// The attempts whose agents have left artifacts.
    pub(crate) left: BTreeSet<AttemptId>,
    /// How often looking at a build's artifacts was in vain.
    pub(crate) vain_looks: BTreeMap<BuildId, u32>,
}

impl Bucket {
    /// `PutObject` of a report by the agent of an attempt, in the place of one: the policy of agents' roles lets each write in its own place alone. Returns
    /// whether it was written.
    pub(crate) fn put_report(&mut self, writer: &AttemptId, place: &AttemptId, report: Report) -> bool {
        let allowed = writer == place;
        if allowed {
            self.reports.insert(result_key(place), report);
        }
        allowed
    }

    /// What an attempt's agent has left, and how much that is.
    pub(crate) fn artifacts_of(&self, attempt: &AttemptId) -> (Vec<Artifact>, u64) {
        let artifact = self.left.contains(attempt).then(|| Artifact {
            path: LEFT.to_owned(),
            size: 100,
        });
        let count = u64::from(artifact.is_some());
        (artifact.into_iter().collect(), count)
    }

    /// The text of one of these: a test report, in which a test that is named like the attempt has failed.
    pub(crate) fn artifact(&self, attempt: &AttemptId, path: &str) -> Option<Vec<u8>> {
        let is_there = path == LEFT && self.left.contains(attempt);
        is_there.then(|| format!("<testsuite><testcase name='{attempt}'><failure/></testcase></testsuite>").into_bytes())
    }
}
