//! Implements the ports of `bellhop-engine` with AWS. Only this crate names an SDK; it has one file per service.

mod backup;
mod bucket;
mod clock;
mod codebuild;
mod codecommit;
mod codepipeline;
mod config;
mod dynamodb;
mod ecs;
mod executors;
mod fault;
mod hosts;
mod roots;
mod services;
mod sns;
#[cfg(test)]
mod testing;

pub use backup::AwsBackup;
pub use bucket::Bucket;
pub use clock::SystemClock;
pub use codebuild::CodeBuildAgents;
pub use codecommit::CodeCommit;
pub use codepipeline::CodePipeline;
pub use config::{Aws, Endpoint};
pub use dynamodb::DynamoLedger;
pub use ecs::EcsAgents;
pub use executors::Executors;
pub use hosts::EcsHosts;
pub use services::EcsServices;
pub use sns::Topic;
