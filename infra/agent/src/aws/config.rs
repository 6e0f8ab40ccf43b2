//! The configuration of AWS's clients.
//!
//! Region, endpoints, retries and credentials are found as every program with AWS's SDK finds them
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>): in the environment, a profile, at the address that ECS names, or at
//! that of a virtual machine.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{SharedHttpClient, SharedHttpConnector, http_client_fn};
use aws_types::SdkConfig;
use aws_types::region::Region;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::log::say;
use crate::settings::{Variables, region};

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// How long Git waits for credentials.
const PATIENCE: Duration = Duration::from_secs(20);
/// What to do where there are no credentials.
const NO_CREDENTIALS: &str = "no credentials: expected AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, which ECS sets for a task with a task role, \
     or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
/// What to do where a server's certificate is of an authority that the image does not have.
const UNKNOWN_AUTHORITY: &str = ": the image's certificate authorities do not know it; install ca-certificates, or set SSL_CERT_FILE";

/// The configuration that the environment leads to, for all clients. It is loaded when it is first needed.
#[derive(Debug)]
pub struct Lazy<'a> {
    /// The environment.
    pub variables: &'a Variables,
    loaded: OnceCell<SdkConfig>,
}

impl<'a> Lazy<'a> {
    /// The configuration of this environment.
    #[must_use]
    pub fn new(variables: &'a Variables) -> Self {
        Self {
            variables,
            loaded: OnceCell::new(),
        }
    }

    /// The configuration.
    pub async fn get(&self) -> &SdkConfig {
        self.loaded.get_or_init(|| load(self.variables)).await
    }
}

/// The configuration that an environment leads to. Its clients share their credentials.
async fn load(variables: &Variables) -> SdkConfig {
    // A region that is not known would be asked for at the address of a virtual machine, which a container does not have.
    let region = region(variables).unwrap_or("us-east-1").to_owned();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http(variables))
        .region(Region::new(region))
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .load()
        .await
}

/// A pool of connections for all requests with the same limits, through a proxy if the environment names one.
fn http(variables: &Variables) -> SharedHttpClient {
    let proxy = proxy(variables);
    let pools = Mutex::new(HashMap::new());
    http_client_fn(move |settings, _| {
        // Who asks for credentials has less patience than an upload.
        let limits = (settings.connect_timeout(), settings.read_timeout());
        let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(limits).or_insert_with(|| {
            let mut connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .connector_settings(settings.clone());
            connector.set_proxy_config(proxy.clone());
            SharedHttpConnector::new(connector.build())
        });
        pool.clone()
    })
}

/// The proxy for requests with TLS. Others lead to an address of credentials, which belongs to this machine and is behind no proxy.
fn proxy(variables: &Variables) -> Option<ProxyConfig> {
    let either = |lower, upper| variables.get(lower).or_else(|| variables.get(upper));
    let Ok(proxy) = ProxyConfig::https(either("https_proxy", "HTTPS_PROXY")?) else {
        // Without the value, which may hold a password.
        say("HTTPS_PROXY is not the address of a proxy: expected http://HOST:PORT; requests to AWS go without one");
        return None;
    };
    Some(proxy.no_proxy(either("no_proxy", "NO_PROXY").unwrap_or_default()))
}

/// The credentials, for what no client signs.
///
/// # Errors
/// There are none. The text says what was expected, and holds nothing secret.
pub async fn credentials(variables: &Variables) -> Result<Credentials, String> {
    let config = load(variables).await;
    let provider = config.credentials_provider().ok_or_else(|| NO_CREDENTIALS.to_owned())?;
    let credentials = timeout(PATIENCE, provider.provide_credentials()).await;
    credentials
        .map_err(|_| format!("no credentials within {} s", PATIENCE.as_secs()))?
        .map_err(|error| describe(&error))
}

/// An error of a client for people, with its causes.
#[must_use]
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut without_credentials) = (error.to_string(), false);
    let mut next = Some(error);
    while let Some(error) = next {
        without_credentials |= error.downcast_ref::<CredentialsError>().is_some();
        next = error.source();
        // Some errors repeat the text of their cause.
        if let Some(cause) = next.map(ToString::to_string).filter(|cause| !text.ends_with(cause.as_str())) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    if without_credentials {
        text = format!("{NO_CREDENTIALS}: {text}");
    }
    if text.contains("UnknownIssuer") {
        text.push_str(UNKNOWN_AUTHORITY);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("dispatch failure")]
    struct Outer(#[source] Box<dyn Error + Send + Sync>);

    fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> String {
        describe(&Outer(error.into()))
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        assert_eq!(of("no route to host"), "dispatch failure: no route to host");
        assert_eq!(of(io::Error::other("closed")), "dispatch failure: closed");
        assert!(of(CredentialsError::not_loaded("nothing")).starts_with(NO_CREDENTIALS));
        assert!(of("invalid peer certificate: UnknownIssuer").ends_with("SSL_CERT_FILE"));
    }

    fn proxied(pairs: &[(&str, &str)]) -> bool {
        proxy(&pairs.iter().copied().collect()).is_some()
    }

    #[test]
    fn a_proxy_is_for_requests_with_tls() {
        assert!(proxied(&[("HTTPS_PROXY", "http://proxy:3128")]));
        assert!(proxied(&[("https_proxy", "http://user:word@proxy:3128"), ("NO_PROXY", ".local")]));
        assert!(!proxied(&[("HTTP_PROXY", "http://proxy:3128")]));
        assert!(!proxied(&[("HTTPS_PROXY", "not an address")]));
    }
}
