//! Objects in S3.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::event::Created;
use crate::failure::Failure;

/// Where objects are read.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Reads exactly the object of an event, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// If the object cannot be read for a reason that is not the object's own: no permission, throttling, a fault of the service.
    async fn read(&self, created: &Created, limit: usize) -> Result<Found, Failure>;
}

/// What was found at the place that an event names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The object's bytes.
    Bytes(Vec<u8>),
    /// More bytes than the limit; the rest was not read.
    TooLarge,
    /// The object is in a storage class from which it has to be restored first.
    Archived,
    /// The object was deleted since.
    Deleted,
    /// Another object was written to the key since, which has an event of its own.
    Overwritten,
}

/// S3.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
}

impl S3 {
    /// Reads with this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Objects for S3 {
    async fn read(&self, created: &Created, limit: usize) -> Result<Found, Failure> {
        let what = format!("read s3://{}/{}", created.bucket, created.key);
        // The version says exactly which object; where there are no versions, the ETag does
        // (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html>).
        let etag = created.etag.as_ref().filter(|_| created.version.is_none());
        let request = self
            .client
            .get_object()
            .bucket(&created.bucket)
            .key(&created.key)
            .set_version_id(created.version.clone())
            .set_if_match(etag.map(|etag| format!("\"{etag}\"")));
        let mut reply = match request.send().await {
            Ok(reply) => reply,
            Err(error) => return not_read(&error).ok_or_else(|| Failure::of(&what, &error)),
        };
        let length = reply.content_length().and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > limit) {
            return Ok(Found::TooLarge);
        }
        let mut bytes = Vec::with_capacity(length.unwrap_or_default());
        while let Some(more) = reply.body.next().await {
            let more = more.map_err(|error| Failure::transient(format!("failed to {what} to its end: {error}")))?;
            if bytes.len() + more.len() > limit {
                return Ok(Found::TooLarge);
            }
            bytes.extend_from_slice(&more);
        }
        Ok(Found::Bytes(bytes))
    }
}

/// Why there is nothing to read, if the reason is the object's own (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
fn not_read(error: &SdkError<GetObjectError, Response>) -> Option<Found> {
    // The answer to a failed condition may have no body, and then no code.
    if error.raw_response().is_some_and(|reply| reply.status().as_u16() == 412) {
        return Some(Found::Overwritten);
    }
    match error.as_service_error()?.code()? {
        "NoSuchKey" | "NoSuchVersion" => Some(Found::Deleted),
        "InvalidObjectState" => Some(Found::Archived),
        _ => None,
    }
}
