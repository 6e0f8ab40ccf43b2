//! Images in Amazon ECR (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html>).

use async_trait::async_trait;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::ImageIdentifier;
use bellhop_engine::Fault;
use bellhop_engine::ports::Images;

use crate::config::Lazy;
use crate::fault::{code_of, fault};

/// Error codes for an image that does not exist. A tag that ECR does not allow belongs to no image.
const NONE: [&str; 3] = ["ImageNotFoundException", "RepositoryNotFoundException", "InvalidParameterException"];

/// The account's registry.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Lazy<Client>,
}

impl Registry {
    pub(crate) fn new(client: Lazy<Client>) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Images for Registry {
    async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>, Fault> {
        let request = self.client.describe_images().repository_name(repository);
        let request = request.image_ids(ImageIdentifier::builder().image_tag(tag).build());
        match request.send().await {
            Ok(reply) => Ok(reply
                .image_details()
                .first()
                .and_then(|image| image.image_digest())
                .map(ToOwned::to_owned)),
            Err(error) if code_of(&error).is_some_and(|code| NONE.contains(&code)) => Ok(None),
            Err(error) => Err(fault(format_args!("look up the image {repository}:{tag}"), error)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Reply, Wire, broken, ok, refused};

    async fn digest(reply: Reply) -> Result<Option<String>, Fault> {
        let (aws, wire) = Wire::replying([reply]);
        let digest = aws.images().digest("ci/shop", "1").await;
        let asked = json!({ "repositoryName": "ci/shop", "imageIds": [{ "imageTag": "1" }] });
        assert_eq!(wire.asked(), [("DescribeImages".to_owned(), asked)]);
        digest
    }

    #[tokio::test]
    async fn an_image_has_a_digest_or_does_not_exist() {
        let found = ok(&json!({ "imageDetails": [{ "imageDigest": "sha256:0a1b" }] }));
        assert_eq!(digest(found).await.unwrap().as_deref(), Some("sha256:0a1b"));
        assert_eq!(digest(ok(&json!({ "imageDetails": [] }))).await.unwrap(), None);
        assert_eq!(digest(refused("ImageNotFoundException", "no")).await.unwrap(), None);
        assert_eq!(digest(refused("RepositoryNotFoundException", "no")).await.unwrap(), None);
        digest(broken()).await.unwrap_err();
        digest(refused("AccessDeniedException", "no")).await.unwrap_err();
    }
}
