//! A suite of a test's own, and what happens to it.
//!
//! [`World`] is the suite; one file adds one side of it: how it is made, what AWS sends, what the functions answer, whom they wake, what is to be seen
//! afterwards, and what becomes of its agents.

mod agents;
mod creation;
mod events;
mod functions;
mod message;
mod services;
mod state;
mod wake_ups;

use std::sync::{Arc, Mutex};

use bellhop_domain::ids::RunId;
use bellhop_runtime::{Settings, Suite};
use bellhop_stand_in::StandIn;
use serde_json::Value;
use tempfile::TempDir;

use crate::{LocalAws, Repository, SteppableClock};
pub use agents::script_report;
pub use message::Message;

/// The ARN of the suite's own table.
pub const SUITE_TABLE: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/suite";

/// A suite of a test's own, with one repository.
pub struct World {
    /// ECS, CodeCommit, and the way to everything else.
    pub stand_in: StandIn,
    /// The functions' time.
    pub clock: Arc<SteppableClock>,
    /// The tests' own way to the local AWS.
    pub local_aws: LocalAws,
    /// A clone of the repository.
    pub repository: Repository,
    suite: Suite,
    settings: Settings,
    queue: String,
    wake_queue: String,
    timer_queue: String,
    first_push: Value,
    newest_run: Mutex<Option<RunId>>,
    _folder: TempDir,
}
