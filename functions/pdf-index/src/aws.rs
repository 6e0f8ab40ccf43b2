//! The configuration of the two clients.

use std::env;
use std::time::Duration;

use aws_sdk_dynamodb::config::{Credentials, IdentityCache, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one try of a request may take until its answer begins. The body of an object has no limit of its own; the SDK gives up on one that stands still.
const TRY: Duration = Duration::from_secs(5);
/// How long a request may take with all its tries.
const REQUEST: Duration = Duration::from_secs(12);
/// How often a request is tried, before Lambda's own retries.
const TRIES: u32 = 3;

/// Reads the environment of a Lambda function: `AWS_REGION`, the credentials `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, and
/// `AWS_ENDPOINT_URL` for another AWS, such as a local one. Calls no service. Without credentials, every call fails with an error that says so.
pub(crate) fn from_environment() -> SdkConfig {
    let lookup = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = lookup("AWS_ACCESS_KEY_ID").zip(lookup("AWS_SECRET_ACCESS_KEY"));
    let credentials = credentials.map(|(id, key)| {
        let credentials = Credentials::new(id, key, lookup("AWS_SESSION_TOKEN"), None, "environment");
        SharedCredentialsProvider::new(credentials)
    });
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(TRY)
        .operation_timeout(REQUEST);
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        // The credentials of a function do not change during the life of its process.
        .identity_cache(IdentityCache::no_cache())
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts.build())
        .region(lookup("AWS_REGION").map(Region::new));
    config
        .set_credentials_provider(credentials)
        .set_endpoint_url(lookup("AWS_ENDPOINT_URL"));
    config.build()
}
