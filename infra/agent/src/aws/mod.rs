//! AWS: S3, the agent's own identity, and credentials for CodeCommit.

pub mod codecommit;
pub mod config;
pub mod identity;
pub mod partition;
pub mod s3;
