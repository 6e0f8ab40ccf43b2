//! The bucket and the topic: what was put, and what was said.

use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::executor::observation::Report;
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::{AttemptId, BuildId};
use bellhop_domain::results::found::{Artifact, Seal};

/// The one file that a script leaves.
const LEFT: &str = "target/junit.xml";

#[derive(Default)]
pub(crate) struct Bucket {
    /// Texts by key.
    pub(crate) texts: BTreeMap<String, String>,
    /// What agents left, by their folders.
    pub(crate) left: BTreeMap<Folder, Left>,
    /// How often each message was sent, by its id.
    pub(crate) messages: BTreeMap<String, u32>,
    /// How often looking at a build's artifacts was in vain.
    pub(crate) vain_looks: BTreeMap<BuildId, u32>,
}

/// What an agent left in its folder.
pub(crate) struct Left {
    /// The place at which the folder is.
    pub(crate) above: String,
    /// The folder's own name.
    pub(crate) name: String,
    /// The attempt that it belongs to.
    pub(crate) attempt: AttemptId,
    /// The agent's report.
    pub(crate) report: Option<Report>,
    /// Whether there are artifacts.
    pub(crate) artifacts: bool,
    /// Whether an agent left it for another one's attempt.
    pub(crate) forged: bool,
}

impl Bucket {
    /// What is in the folder of this name.
    pub(crate) fn open(&mut self, place: &Place, name: &str, attempt: &AttemptId) -> &mut Left {
        self.left.entry(place.folder(name)).or_insert_with(|| Left {
            above: place.above.clone(),
            name: name.to_owned(),
            attempt: attempt.clone(),
            report: None,
            artifacts: false,
            forged: false,
        })
    }

    /// The names of the folders at a place, each once.
    pub(crate) fn folders_at(&self, place: &Place) -> BTreeSet<&str> {
        let at = self.left.values().filter(|left| left.above == place.above);
        at.map(|left| left.name.as_str()).collect()
    }

    /// The attempts whose agents have left artifacts.
    pub(crate) fn with_artifacts(&self) -> impl Iterator<Item = &AttemptId> {
        let genuine = self.left.values().filter(|left| left.artifacts && !left.forged);
        genuine.map(|left| &left.attempt)
    }

    /// The artifacts in a folder, and how many there are.
    pub(crate) fn artifacts_in(&self, folder: &Folder) -> (Vec<Artifact>, u64) {
        let left = self.left.get(folder).filter(|left| left.artifacts);
        let artifact = left.map(|_| Artifact {
            path: LEFT.to_owned(),
            size: 100,
            seal: Seal::default(),
        });
        let count = u64::from(artifact.is_some());
        (artifact.into_iter().collect(), count)
    }

    /// The text of one of these: a test report, in which a test that is named like the attempt has failed.
    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        let (_, left) = self
            .left
            .iter()
            .find(|(folder, left)| left.artifacts && key == format!("{}{LEFT}", folder.artifacts()))?;
        let attempt = &left.attempt;
        Some(format!("<testsuite><testcase name='{attempt}'><failure/></testcase></testsuite>").into_bytes())
    }

    /// The attempt to whose folder a key belongs.
    pub(crate) fn attempt_of(&self, key: &str) -> Option<&AttemptId> {
        let mut folders = self.left.iter();
        folders.find_map(|(folder, left)| key.starts_with(&folder.artifacts()).then_some(&left.attempt))
    }
}
