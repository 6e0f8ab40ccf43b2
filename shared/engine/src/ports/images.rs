//! Images of containers.

use async_trait::async_trait;

use crate::Fault;

/// The registry of images.
#[async_trait]
pub trait Images: Send + Sync {
    /// The digest of an image by its repository and tag, `sha256:…`; `None` if there is no such image.
    async fn digest(&self, repository: &str, tag: &str) -> Result<Option<String>, Fault>;
}
