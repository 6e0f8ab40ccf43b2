//! AWS: S3, secrets, and credentials for CodeCommit.

pub mod codecommit;
pub mod config;
pub mod partition;
pub mod s3;
pub mod secrets;
