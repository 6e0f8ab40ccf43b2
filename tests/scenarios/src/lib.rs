//! A suite of its own for every scenario: its table, bucket, topic and repository, with ECS and CodeCommit played by the stand-in.
//!
//! The functions' handlers run in the test's process, over the real adapters: every request to AWS is one, over HTTP, to the stand-in, which answers
//! it or passes it on to a local AWS. What the tests themselves ask of the local AWS does not go through the stand-in, so that its journal holds what
//! the functions did and nothing else.
#![expect(clippy::panic, clippy::expect_used, reason = "what is wrong here ends the test that relies on it")]

mod clock;
mod environment;
mod local_aws;
mod repository;
mod world;

pub use clock::SteppableClock;
pub use environment::Environment;
pub use local_aws::{ACCOUNT, LocalAws, REGION};
pub use repository::Repository;
pub use world::{Message, SUITE_TABLE, World, script_report};
