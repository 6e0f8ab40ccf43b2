//! AWS: S3, the agent's own identity, secrets, and credentials for CodeCommit.

pub mod codecommit;
pub mod config;
pub mod download;
pub mod identity;
pub mod partition;
pub mod s3;
pub mod secrets;
