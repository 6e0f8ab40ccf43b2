//! Restarts Amazon ECS services: `UpdateService` with `forceNewDeployment`
//! (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html>), which replaces a service's tasks according to its deployment
//! settings.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::Service;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use bellhop_engine::ports::{Restarted, Services};
use bellhop_engine::{Fault, FaultKind};
use jiff::Timestamp;

use crate::clock::timestamp;
use crate::config::Lazy;
use crate::fault::fault;

/// How far the clock of ECS may be behind this one.
const SKEW: Duration = Duration::from_secs(5);

/// Services of Amazon ECS.
#[derive(Debug, Clone)]
pub struct EcsServices {
    client: Lazy<Client>,
}

impl EcsServices {
    pub(crate) fn new(client: Lazy<Client>) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Services for EcsServices {
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault> {
        let described = self.client.describe_services().cluster(cluster).services(service).send().await;
        let services = match described {
            Ok(reply) => reply.services.unwrap_or_default(),
            Err(error) => return refused(format_args!("describe service {service} of cluster {cluster}"), error),
        };
        let Some(found) = services.first().filter(|found| found.status() == Some("ACTIVE")) else {
            return Ok(Restarted::No(format!("there is no active service {service} in cluster {cluster}")));
        };
        if newest_deployment(found).is_some_and(|at| at >= since.checked_sub(SKEW).unwrap_or(since)) {
            return Ok(Restarted::Yes);
        }
        let updated = self
            .client
            .update_service()
            .cluster(cluster)
            .service(service)
            .force_new_deployment(true)
            .customize()
            // UpdateService has no token: a retry by the SDK would start a second deployment. The caller checks first whether one has begun.
            .config_override(aws_sdk_ecs::config::Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await;
        match updated {
            Ok(_) => Ok(Restarted::Yes),
            Err(error) => refused(format_args!("restart service {service} of cluster {cluster}"), error),
        }
    }
}

fn newest_deployment(service: &Service) -> Option<Timestamp> {
    service
        .deployments()
        .iter()
        .filter_map(|deployment| deployment.created_at().and_then(timestamp))
        .max()
}

/// A temporary error is a fault and retried. An error that a person must fix is reported, because the service is theirs.
fn refused<E>(what: std::fmt::Arguments<'_>, error: SdkError<E, Response>) -> Result<Restarted, Fault>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let fault = fault(what, error);
    match fault.kind {
        FaultKind::Transient => Err(fault),
        FaultKind::Permanent => Ok(Restarted::No(fault.what)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Reply, Wire, broken, ok, refused};

    fn service(status: &str, deployed: f64) -> Reply {
        ok(&json!({ "services": [{ "status": status, "deployments": [
            { "status": "ACTIVE", "createdAt": 1_700_000_000.0 },
            { "status": "PRIMARY", "createdAt": deployed },
        ] }] }))
    }

    async fn restart(replies: impl IntoIterator<Item = Reply>) -> (Result<Restarted, Fault>, Vec<(String, Value)>) {
        let (aws, wire) = Wire::replying(replies);
        let since = Timestamp::from_second(1_790_000_000).unwrap();
        let restarted = aws.services().restart("ci-main", "jenkins", since).await;
        (restarted, wire.asked())
    }

    #[tokio::test]
    async fn a_service_gets_a_new_deployment() {
        let (restarted, asked) = restart([service("ACTIVE", 1_789_999_990.0), ok(&json!({ "service": {} }))]).await;
        assert_eq!(restarted.unwrap(), Restarted::Yes);
        assert_eq!(
            asked,
            [
                (
                    "DescribeServices".to_owned(),
                    json!({ "cluster": "ci-main", "services": ["jenkins"] })
                ),
                (
                    "UpdateService".to_owned(),
                    json!({ "cluster": "ci-main", "service": "jenkins", "forceNewDeployment": true })
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_service_that_has_been_deployed_since_is_left_alone() {
        for deployed in [1_789_999_996.0, 1_790_000_100.0] {
            let (restarted, asked) = restart([service("ACTIVE", deployed)]).await;
            assert_eq!((restarted.unwrap(), asked.len()), (Restarted::Yes, 1));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_restarted_is_told() {
        let none = ok(&json!({ "services": [], "failures": [{ "reason": "MISSING" }] }));
        let lost = || refused("ClusterNotFoundException", "Cluster not found.");
        let denied = || refused("AccessDeniedException", "not authorized");
        for (replies, words) in [
            (vec![none], "there is no active service jenkins in cluster ci-main"),
            (vec![service("INACTIVE", 0.0)], "there is no active service"),
            (
                vec![lost()],
                "failed to describe service jenkins of cluster ci-main: ClusterNotFoundException: Cluster not found.",
            ),
            (
                vec![service("ACTIVE", 0.0), denied()],
                "failed to restart service jenkins of cluster ci-main: AccessDeniedException",
            ),
        ] {
            let Restarted::No(why) = restart(replies).await.0.unwrap() else {
                unreachable!("{words}")
            };
            assert!(why.starts_with(words), "{why}");
        }
    }

    #[tokio::test]
    async fn what_passes_is_tried_again() {
        for replies in [
            vec![broken()],
            vec![service("ACTIVE", 0.0), refused("ThrottlingException", "Rate exceeded")],
        ] {
            assert_eq!(restart(replies).await.0.unwrap_err().kind, FaultKind::Transient);
        }
    }
}
