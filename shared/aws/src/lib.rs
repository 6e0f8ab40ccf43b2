//! The ports of `bellhop-engine` on AWS. This is the only crate that names an SDK; one file per service.

mod bucket;
mod clock;
mod codecommit;
mod config;
mod dynamodb;
mod ecs;
mod fault;
mod sns;

pub use bucket::Bucket;
pub use clock::SystemClock;
pub use codecommit::CodeCommit;
pub use config::{Aws, Endpoint};
pub use dynamodb::DynamoLedger;
pub use ecs::EcsAgents;
pub use sns::Topic;
