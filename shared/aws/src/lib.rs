//! Implements the ports of `bellhop-engine` with AWS. Only this crate names an SDK; it has one file per service, and a folder for the executors.

mod backup;
mod bucket;
mod clock;
mod codecommit;
mod codepipeline;
mod config;
mod dynamodb;
mod ecr;
mod ecs_instances;
mod ecs_services;
mod executors;
mod fault;
mod roots;
mod sns;
mod sqs;
#[cfg(test)]
mod testing;

pub use backup::AwsBackup;
pub use bucket::Bucket;
pub use clock::SystemClock;
pub use codecommit::CodeCommit;
pub use codepipeline::CodePipeline;
pub use config::{Aws, Endpoint};
pub use dynamodb::DynamoLedger;
pub use ecr::Registry;
pub use ecs_instances::EcsInstances;
pub use ecs_services::EcsServices;
pub use sns::{Topic, WakeTopic};
pub use sqs::TimerQueue;
