//! What the checks of all sections need.

use std::collections::BTreeMap;

use crate::config::agents::Agent;
use crate::config::error::{FieldPath, FileError, suggestion};
use crate::config::source::Source;
use crate::ids::AgentName;

/// Checks sections that name agents and jobs of the same file.
pub(super) struct Check<'a> {
    pub(super) source: &'a Source,
    pub(super) agents: &'a BTreeMap<AgentName, Agent>,
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
