//! AWS: S3, and credentials for CodeCommit.

pub mod codecommit;
pub mod config;
pub mod partition;
pub mod s3;
