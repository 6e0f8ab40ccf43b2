//! Where agents leave files in the bucket.

use crate::ids::AgentId;

/// Where the agents of an attempt leave files in the bucket: each in a folder of its own, which AWS names.
///
/// A task's folder is `ROLE-ID:TASK-ID`, the `aws:userid` of its credentials
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable>), and its role may write in the folder of that name
/// only. In front of it stand as many characters as the policy has, so that no folder can pass for another one inside it. The folder of another agent is named
/// after the last part of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The beginning of the keys, up to the folder. Ends in a slash.
    pub above: String,
    /// What follows the folder: empty, or it ends in a slash.
    pub below: String,
}

impl Place {
    /// The place in a folder.
    #[must_use]
    pub fn folder(&self, name: &str) -> Folder {
        Folder(format!("{}{name}/{}", self.above, self.below))
    }

    /// The place of an agent, out of all the folders that there are. Folders of other agents may be among them. None if the agent left nothing, or if two
    /// folders could be its own: then somebody's credentials have a name that only the agent's should have.
    pub fn folder_of<'a>(&self, agent: &AgentId, folders: impl IntoIterator<Item = &'a str>) -> Option<Folder> {
        let id = agent.last();
        let mut own = folders
            .into_iter()
            .filter(|name| name.strip_suffix(id).is_some_and(|rest| rest.is_empty() || rest.ends_with(':')));
        let name = own.next()?;
        own.next().is_none().then(|| self.folder(name))
    }
}

/// The place of one agent's files. Ends in a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder(String);

impl Folder {
    /// The key of the agent's report.
    #[must_use]
    pub fn report(&self) -> String {
        format!("{}result.json", self.0)
    }

    /// The beginning of the artifacts' keys; their paths in the checkout follow it. Ends in a slash.
    #[must_use]
    pub fn artifacts(&self) -> String {
        format!("{}artifacts/", self.0)
    }
}
