//! The check of sections that name an agent: the file has to define it.

use std::collections::BTreeMap;

use crate::executor::AgentTemplate;
use crate::ids::AgentName;
use crate::yaml::Source;
use crate::yaml::{FieldPath, FileError, suggestion};

/// Checks sections that name agents and jobs of the same file.
pub(super) struct Check<'a> {
    pub(super) source: &'a Source,
    pub(super) agents: &'a BTreeMap<AgentName, AgentTemplate>,
}

impl Check<'_> {
    pub(super) fn defined(&self, at: &FieldPath, name: &AgentName) -> Result<(), FileError> {
        if self.agents.contains_key(name) {
            return Ok(());
        }
        let known = suggestion(name.as_str(), self.agents.keys().map(AgentName::as_str));
        Err(self.source.error(at, format!("there is no agent `{name}`{known}")))
    }
}
