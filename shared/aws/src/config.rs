//! The configuration of every AWS client.

use std::env;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_dynamodb::config::{Credentials, IdentityCache, SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::app_name::AppName;
use aws_types::region::Region;
use aws_types::sdk_config::Builder as SdkConfigBuilder;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use bellhop_engine::ports::Executors;

use crate::roots::Trusted;
use crate::{
    AwsBackup, Bucket, CodeCommit, CodePipeline, DynamoLedger, EcsInstances, EcsServices, Registry, TimerQueue, Topic, WakeTopic, executors,
};

/// How long a connection may take: AWS endpoints in the same region connect quickly.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one try of a request may take. RunTask is the slowest, with a few seconds at worst.
const TRY: Duration = Duration::from_secs(8);
/// How long a request may take with all its tries, so that a function with a limit of 30 seconds can still report the error.
const REQUEST: Duration = Duration::from_secs(20);
/// How often a request is tried: throttling and service faults end soon, or are left to Lambda's retries and the sweep.
const TRIES: u32 = 3;

/// A client of a service, created at its first call. Creating one is a noticeable part of a cold start, mostly because the SDK parses its table of
/// partitions, and an event needs only a few of the services that its function may call.
pub(crate) type Lazy<Client> = Arc<LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>>;

/// Region, credentials, endpoints and retries: the common configuration of all clients.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
    ecs: Lazy<aws_sdk_ecs::Client>,
}

/// One endpoint for all services, with credentials: a local AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its base URL, such as `http://127.0.0.1:4566`.
    pub url: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key's id.
    pub access_key_id: String,
    /// The access key itself.
    pub secret_access_key: String,
}

impl Aws {
    /// Reads the environment of a Lambda function (<https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>): `AWS_REGION`, the
    /// credentials `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, `AWS_ENDPOINT_URL` and those of single services
    /// (`AWS_ENDPOINT_URL_S3`), `AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT` and `AWS_SDK_UA_APP_ID`; and `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, which name certificate authorities that replace Amazon's. Calls no service, and reads nothing else: Lambda has no profiles or
    /// other sources of credentials, and preparing for them took half of the remaining cold start.
    ///
    /// Without credentials every call fails with an error that says so.
    #[must_use]
    pub fn from_environment() -> Self {
        let lookup = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let wants = |name: &str| lookup(name).map(|value| value.eq_ignore_ascii_case("true"));
        let region = lookup("AWS_REGION");
        let trusted = Trusted::choose(region.as_deref(), lookup);
        let credentials = lookup("AWS_ACCESS_KEY_ID").zip(lookup("AWS_SECRET_ACCESS_KEY"));
        let credentials = credentials.map(|(id, key)| {
            let token = lookup("AWS_SESSION_TOKEN");
            SharedCredentialsProvider::new(Credentials::new(id, key, token, None, "environment"))
        });
        let mut config = defaults(trusted)
            .region(region.map(Region::new))
            .service_config(EndpointsOfServices);
        config
            .set_credentials_provider(credentials)
            .set_endpoint_url(lookup("AWS_ENDPOINT_URL"))
            .set_use_fips(wants("AWS_USE_FIPS_ENDPOINT"))
            .set_use_dual_stack(wants("AWS_USE_DUALSTACK_ENDPOINT"))
            // A name that is not a valid header value is ignored.
            .set_app_name(lookup("AWS_SDK_UA_APP_ID").and_then(|name| AppName::new(name).ok()));
        Self::new(config.build())
    }

    /// Sends everything to one endpoint, ignoring the environment, so that one process can use several. Calls no service.
    #[must_use]
    pub fn at(endpoint: &Endpoint) -> Self {
        let credentials = Credentials::new(&endpoint.access_key_id, &endpoint.secret_access_key, None, None, "endpoint");
        let config = defaults(Trusted::System)
            .region(Region::new(endpoint.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&endpoint.url);
        Self::new(config.build())
    }

    pub(crate) fn new(config: SdkConfig) -> Self {
        let ecs = lazy(&config, aws_sdk_ecs::Client::new);
        Self { config, ecs }
    }

    pub(crate) fn lazy<Client: 'static>(&self, new: fn(&SdkConfig) -> Client) -> Lazy<Client> {
        lazy(&self.config, new)
    }

    /// The ledger in a DynamoDB table. Every event needs it, so its client is created at once: Lambda gives a function more CPU during its start than
    /// later.
    #[must_use]
    pub fn ledger(&self, table: &str) -> DynamoLedger {
        let client = self.lazy(aws_sdk_dynamodb::Client::new);
        LazyLock::force(&client);
        DynamoLedger::new(client, table)
    }

    /// The client of ECS, which several ports share.
    pub(crate) fn ecs(&self) -> Lazy<aws_sdk_ecs::Client> {
        Arc::clone(&self.ecs)
    }

    /// The region, if it is known.
    pub(crate) fn region(&self) -> Option<&str> {
        self.config.region().map(AsRef::as_ref)
    }

    /// The executors of agents. `bucket` is the suite's bucket, for the agents' environment.
    #[must_use]
    pub fn executors(&self, bucket: &str) -> Executors {
        executors::all(self, bucket)
    }

    /// The instances of the agents.
    #[must_use]
    pub fn instances(&self) -> EcsInstances {
        EcsInstances::new(self.ecs())
    }

    /// The registry of images.
    #[must_use]
    pub fn images(&self) -> Registry {
        Registry::new(self.lazy(aws_sdk_ecr::Client::new))
    }

    /// CodePipeline, for pipelines that wait for runs.
    #[must_use]
    pub fn pipelines(&self) -> CodePipeline {
        CodePipeline::new(self.lazy(aws_sdk_codepipeline::Client::new))
    }

    /// ECS services that can be restarted.
    #[must_use]
    pub fn services(&self) -> EcsServices {
        EcsServices::new(self.ecs())
    }

    /// Jobs of AWS Backup.
    #[must_use]
    pub fn backups(&self) -> AwsBackup {
        AwsBackup::new(self.lazy(aws_sdk_backup::Client::new), self.lazy(aws_sdk_cloudcontrol::Client::new))
    }

    /// Code in CodeCommit.
    #[must_use]
    pub fn codecommit(&self) -> CodeCommit {
        CodeCommit::new(self.lazy(aws_sdk_codecommit::Client::new))
    }

    /// The suite's bucket, with the suite configuration under this key.
    #[must_use]
    pub fn bucket(&self, name: &str, config_key: &str) -> Bucket {
        Bucket::new(self.lazy(aws_sdk_s3::Client::new), name, config_key)
    }

    /// The topic for messages.
    #[must_use]
    pub fn topic(&self, arn: &str) -> Topic {
        Topic::new(self.lazy(aws_sdk_sns::Client::new), arn)
    }

    /// The internal topic for wake-ups; without an ARN, every wake-up fails with an error that says so.
    #[must_use]
    pub fn wake_topic(&self, arn: Option<&str>) -> WakeTopic {
        WakeTopic::new(self.lazy(aws_sdk_sns::Client::new), arn)
    }

    /// The queue for timers; without a URL, no timers are set.
    #[must_use]
    pub fn timer_queue(&self, url: Option<&str>) -> TimerQueue {
        TimerQueue::new(self.lazy(aws_sdk_sqs::Client::new), url)
    }
}

fn lazy<Client: 'static>(config: &SdkConfig, new: fn(&SdkConfig) -> Client) -> Lazy<Client> {
    let config = config.clone();
    Arc::new(LazyLock::new(Box::new(move || new(&config))))
}

/// The name of the endpoint variable of a service, such as `AWS_ENDPOINT_URL_DYNAMODB`.
#[derive(Debug)]
struct EndpointsOfServices;

impl LoadServiceConfig for EndpointsOfServices {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().replace(' ', "_").to_uppercase();
        env::var(format!("{}_{service}", key.env())).ok().filter(|value| !value.is_empty())
    }
}

fn defaults(trusted: Trusted) -> SdkConfigBuilder {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(trusted.context())
        .build_https();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        // Lambda's credentials do not change during the life of the process.
        .identity_cache(IdentityCache::no_cache())
        .http_client(http)
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(TRIES)
                .with_initial_backoff(Duration::from_millis(200)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(TRY)
                .operation_timeout(REQUEST)
                .build(),
        )
}
