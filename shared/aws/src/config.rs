//! How every client of an AWS service is made.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::{
    AwsBackup, Bucket, CodeBuildAgents, CodeCommit, CodePipeline, DynamoLedger, EcsAgents, EcsHosts, EcsServices, Executors, Topic,
};

/// How long a connection may take: AWS answers in the same region, or something is wrong.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one try of a request may take. RunTask is the slowest, with a few seconds at the worst.
const TRY: Duration = Duration::from_secs(8);
/// How long a request may take with all its tries, so that a function of 30 seconds can still say what went wrong.
const REQUEST: Duration = Duration::from_secs(20);
/// How often a request is tried: throttles and faults of a service pass within moments, or are left to Lambda's own retries and the sweep.
const TRIES: u32 = 3;

/// Region, credentials, endpoints and retries: what every client is made with.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) config: SdkConfig,
}

/// One place that answers for all services, with what it takes to be let in: a local AWS.
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
    /// Reads the SDK's own environment variables (`AWS_REGION`, credentials, `AWS_ENDPOINT_URL…`, `AWS_SDK_UA_APP_ID`). Calls no service.
    pub async fn from_environment() -> Self {
        Self {
            config: defaults().load().await,
        }
    }

    /// Sends everything to one endpoint, whatever the environment says, so that one process can use several. Calls no service.
    pub async fn at(endpoint: &Endpoint) -> Self {
        let credentials = Credentials::new(&endpoint.access_key_id, &endpoint.secret_access_key, None, None, "endpoint");
        let config = defaults()
            .region(Region::new(endpoint.region.clone()))
            .credentials_provider(credentials)
            .endpoint_url(&endpoint.url)
            .load()
            .await;
        Self { config }
    }

    /// The ledger in a DynamoDB table.
    #[must_use]
    pub fn ledger(&self, table: &str) -> DynamoLedger {
        DynamoLedger::new(aws_sdk_dynamodb::Client::new(&self.config), table)
    }

    /// Agents on ECS and CodeBuild. `bucket` is the suite's, which agents are told.
    #[must_use]
    pub fn agents(&self, bucket: &str) -> Executors {
        let region = self.config.region().map(AsRef::as_ref);
        Executors::new(
            EcsAgents::new(aws_sdk_ecs::Client::new(&self.config), bucket),
            CodeBuildAgents::new(aws_sdk_codebuild::Client::new(&self.config), bucket, region),
        )
    }

    /// The instances that agents run on.
    #[must_use]
    pub fn hosts(&self) -> EcsHosts {
        EcsHosts::new(aws_sdk_ecs::Client::new(&self.config))
    }

    /// Pipelines of CodePipeline that wait for runs.
    #[must_use]
    pub fn pipelines(&self) -> CodePipeline {
        CodePipeline::new(aws_sdk_codepipeline::Client::new(&self.config))
    }

    /// Services of ECS that can be restarted.
    #[must_use]
    pub fn services(&self) -> EcsServices {
        EcsServices::new(aws_sdk_ecs::Client::new(&self.config))
    }

    /// Jobs of AWS Backup.
    #[must_use]
    pub fn backups(&self) -> AwsBackup {
        AwsBackup::new(
            aws_sdk_backup::Client::new(&self.config),
            aws_sdk_cloudcontrol::Client::new(&self.config),
        )
    }

    /// Code in CodeCommit.
    #[must_use]
    pub fn codecommit(&self) -> CodeCommit {
        CodeCommit::new(aws_sdk_codecommit::Client::new(&self.config))
    }

    /// The suite's bucket, with the suite configuration under this key.
    #[must_use]
    pub fn bucket(&self, name: &str, config_key: &str) -> Bucket {
        Bucket::new(aws_sdk_s3::Client::new(&self.config), name, config_key)
    }

    /// The topic that people are told on.
    #[must_use]
    pub fn topic(&self, arn: &str) -> Topic {
        Topic::new(aws_sdk_sns::Client::new(&self.config), arn)
    }
}

fn defaults() -> ConfigLoader {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    aws_config::defaults(BehaviorVersion::latest())
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
