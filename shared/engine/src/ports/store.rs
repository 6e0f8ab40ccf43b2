//! The suite's bucket.

use async_trait::async_trait;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::AgentId;
use bellhop_domain::results::found::{Artifact, Seal};
use jiff::Timestamp;

use crate::Fault;

/// The suite's bucket.
#[async_trait]
pub trait Store: Send + Sync {
    /// The bucket's name, for the agents' environment.
    fn bucket(&self) -> &str;

    /// The location of the suite configuration, for people: `s3://…`.
    fn configuration_place(&self) -> String;

    /// The text of the suite configuration; `None` if it does not exist. It is only read again after a change.
    async fn configuration(&self) -> Result<Option<String>, Fault>;

    /// The previous versions of the suite configuration, newest first, each with the time when it was stored, and its id. Only the newest of them;
    /// none if the bucket has no versioning.
    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault>;

    /// The text of such a version; `None` if it no longer exists.
    async fn earlier_configuration(&self, id: &str) -> Result<Option<String>, Fault>;

    /// Stores a text under a key.
    async fn put(&self, key: &str, content_type: &str, text: String) -> Result<(), Fault>;

    /// The folder of an agent at a place; `None` if the agent left nothing.
    async fn folder(&self, place: &Place, agent: &AgentId) -> Result<Option<Folder>, Fault>;

    /// The report of an agent, if it exists and can be parsed.
    async fn agent_report(&self, folder: &Folder) -> Result<Option<Report>, Fault>;

    /// The artifacts in a folder: up to `limit` of them by path, without their seals, and their total number (counted up to 10,000).
    async fn artifacts(&self, folder: &Folder, limit: usize) -> Result<(Vec<Artifact>, u64), Fault>;

    /// The seal of an object that is not written any more: its version and its SHA-256. If S3 keeps none, the object is read if it has no more than
    /// `readable` bytes. Empty if it does not exist.
    async fn seal(&self, key: &str, readable: Option<u64>) -> Result<Seal, Fault>;

    /// The first `limit` bytes of an object; `None` if it does not exist.
    async fn object(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault>;
}
