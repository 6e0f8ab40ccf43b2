//! Deployments of Lambda functions, asked for by AWS's own SDK: code, versions and aliases.

mod aliases;
mod by_hand;
mod code;
mod faults;
mod versions;

use std::ops::Deref;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::operation::update_alias::UpdateAliasOutput;
use aws_sdk_lambda::types::AliasRoutingConfiguration;
use aws_smithy_http_client::Builder;
use bellhop_stand_in::{Options, StandIn};

use crate::support::{SOON, Setup, start_with};

const FUNCTION: &str = "shop";
const BUCKET: &str = "packages";
/// Two packages: a zip file begins like this.
const FIRST: &[u8] = b"PK\x03\x04 the first";
const SECOND: &[u8] = b"PK\x03\x04 the second";
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3600);

/// A stand-in with a function of the first package, the second one in S3 as `second.zip`, and the SDK's client, which tries nothing again. Updates take no time, and
/// new versions are active at once.
struct Deployment {
    setup: Setup,
    sdk: Client,
}

impl Deref for Deployment {
    type Target = StandIn;

    fn deref(&self) -> &StandIn {
        &self.setup
    }
}

async fn deployment() -> Deployment {
    deployment_with(|_| {}).await
}

/// For requests that the SDK sends and AWS's model does not have: they are not to be in the record.
async fn unrecorded() -> Deployment {
    deployment_with(|options| options.record = None).await
}

async fn deployment_with(adapt: impl FnOnce(&mut Options)) -> Deployment {
    let setup = start_with(|options, _| adapt(options)).await;
    setup.lambda().create_function(FUNCTION, FIRST);
    setup.lambda().put_object(BUCKET, "second.zip", None, SECOND);
    setup.lambda().set_times(Duration::ZERO, Duration::ZERO);
    let config = aws_sdk_lambda::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("id", "key", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(Builder::new().build_http())
        .endpoint_url(setup.endpoint());
    let sdk = Client::from_conf(config.build());
    Deployment { setup, sdk }
}

impl Deployment {
    /// The request that brings the second package.
    fn update(&self) -> aws_sdk_lambda::operation::update_function_code::builders::UpdateFunctionCodeFluentBuilder {
        let request = self.sdk.update_function_code().function_name(FUNCTION);
        request.s3_bucket(BUCKET).s3_key("second.zip")
    }

    async fn configuration(&self) -> GetFunctionConfigurationOutput {
        let request = self.sdk.get_function_configuration().function_name(FUNCTION);
        request.send().await.unwrap()
    }

    /// The configuration once it is as it should be.
    async fn configuration_when(&self, is_so: impl Fn(&GetFunctionConfigurationOutput) -> bool) -> GetFunctionConfigurationOutput {
        let search = async {
            loop {
                let found = self.configuration().await;
                if is_so(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, search).await.unwrap()
    }

    /// Publishes what there is, and returns the version's number.
    async fn publish(&self) -> String {
        let published = self.sdk.publish_version().function_name(FUNCTION).send().await.unwrap();
        published.version.unwrap()
    }

    /// Versions 1 and 2 of the two packages, and the alias `live` at version 1.
    async fn with_two_versions(self) -> Self {
        assert_eq!(self.publish().await, "1");
        self.update().send().await.unwrap();
        assert_eq!(self.publish().await, "2");
        self.lambda().change(FUNCTION, to("1", &[])).unwrap();
        self
    }

    async fn set_alias(&self, version: &str, weights: &[(&str, f64)]) -> Result<UpdateAliasOutput, (String, u16)> {
        let request = self
            .sdk
            .update_alias()
            .function_name(FUNCTION)
            .name("live")
            .function_version(version);
        request.routing_config(routing(weights)).send().await.map_err(refusal)
    }

    fn effects(&self) -> Vec<bellhop_stand_in::EffectKind> {
        let function = self.lambda().function(FUNCTION).unwrap();
        function.effects().into_iter().cloned().collect()
    }
}

fn routing(weights: &[(&str, f64)]) -> AliasRoutingConfiguration {
    let routing = AliasRoutingConfiguration::builder();
    let weights = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight));
    routing.set_additional_version_weights(Some(weights.collect())).build()
}

/// Somebody else's change of the alias.
fn to(version: &str, weights: &[(&str, f64)]) -> bellhop_stand_in::Change {
    bellhop_stand_in::Change::Alias {
        name: "live".to_owned(),
        version: version.to_owned(),
        weights: weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect(),
    }
}

/// The code and the status of a refusal.
fn refusal<E: ProvideErrorMetadata>(error: SdkError<E, aws_sdk_lambda::config::http::HttpResponse>) -> (String, u16) {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    (error.code().unwrap_or_default().to_owned(), status)
}

/// What a refusal says.
fn words<E: ProvideErrorMetadata>(error: &SdkError<E, aws_sdk_lambda::config::http::HttpResponse>) -> &str {
    error.message().unwrap_or_default()
}

fn refused(code: &str, status: u16) -> (String, u16) {
    (code.to_owned(), status)
}
