//! AWS, as far as the agent speaks to it: credentials, S3, and passwords for CodeCommit.

pub mod codecommit;
pub mod credentials;
pub mod http;
pub mod partition;
pub mod s3;
pub mod tries;
