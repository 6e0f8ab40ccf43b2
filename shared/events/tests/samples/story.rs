//! What the samples tell together: the push, the run that it starts, and the form of a sample's row.

use bellhop_domain::ids::RunId;
use bellhop_events::Event;

pub(super) const PUSHED: &str = "2a4c6e8091b3d5f7092b4d6f8193a5c7e9fb0d1e";

pub(super) const MAIN: &str = "refs/heads/main";
/// The name of the suite whose runs the samples are about, which is the local one's.
pub(super) const SUITE: &str = "bellhop";
pub(super) const PUSH_ID: &str = "7c1f0e52-3b7a-4d0e-9a51-2f6f0f1f8a3d";

/// A sample, the events it holds, and how what was skipped in it reads.
pub(super) type Row = (&'static str, Vec<Event>, Vec<String>);

/// The run that the first push starts.
pub(super) fn first_run() -> RunId {
    RunId::derive(SUITE, PUSH_ID, &MAIN.parse().unwrap())
}
