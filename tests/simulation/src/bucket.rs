//! The bucket and the topic: what was put, and what was said.

use std::collections::BTreeMap;

use bellhop_domain::observation::Report;

#[derive(Default)]
pub(crate) struct Bucket {
    /// Texts by key.
    pub(crate) texts: BTreeMap<String, String>,
    /// Agents' reports by key, as [`bellhop_domain::agent::result_key`] names them.
    pub(crate) reports: BTreeMap<String, Report>,
    /// How often each message was sent, by its id.
    pub(crate) messages: BTreeMap<String, u32>,
}
