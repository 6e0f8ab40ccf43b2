//! The suite's S3 bucket: the suite configuration, scripts too large for a task's overrides, agents' reports, and reports of finished runs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::agent::result_key;
use bellhop_domain::ids::AttemptId;
use bellhop_domain::observation::Report;
use bellhop_engine::Fault;
use bellhop_engine::ports::Store;

use crate::fault::fault;

/// The largest report of an agent's that is read. Anything an agent writes is foreign input.
const REPORT_LIMIT: i64 = 64 * 1024;

/// The largest configuration that is read; the parser refuses less than this with words of its own.
const CONFIGURATION_LIMIT: i64 = 4 * 1024 * 1024;

/// The suite's bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
    config_key: String,
    configuration: Arc<Mutex<Option<Cached>>>,
}

/// The configuration as it was read last, kept as long as the function's environment lives and revalidated with each use.
#[derive(Debug, Clone)]
struct Cached {
    etag: String,
    text: String,
}

impl Bucket {
    pub(crate) fn new(client: Client, name: &str, config_key: &str) -> Self {
        Self {
            client,
            name: name.to_owned(),
            config_key: config_key.to_owned(),
            configuration: Arc::new(Mutex::new(None)),
        }
    }

    fn cached(&self) -> Option<Cached> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn text_of(&self, key: &str, body: ByteStream) -> Result<String, Fault> {
        let bytes = body
            .collect()
            .await
            .map_err(|error| Fault::passing(format!("failed to read s3://{}/{key} to its end", self.name)).caused_by(error))?;
        // What is no UTF-8 becomes text that no parser takes for something valid.
        Ok(String::from_utf8_lossy(&bytes.to_vec()).into_owned())
    }
}

#[async_trait]
impl Store for Bucket {
    fn bucket(&self) -> &str {
        &self.name
    }

    fn configuration_place(&self) -> String {
        format!("s3://{}/{}", self.name, self.config_key)
    }

    async fn configuration(&self) -> Result<Option<String>, Fault> {
        let cached = self.cached();
        let request = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(&self.config_key)
            .set_if_none_match(cached.as_ref().map(|cached| cached.etag.clone()));
        let reply = match request.send().await {
            Ok(reply) => reply,
            Err(error) if is_unchanged(&error) => return Ok(cached.map(|cached| cached.text)),
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(fault(format_args!("read {}", self.configuration_place()), error)),
        };
        if reply.content_length().is_some_and(|length| length > CONFIGURATION_LIMIT) {
            return Err(Fault::lasting(format!(
                "{} is larger than {CONFIGURATION_LIMIT} bytes",
                self.configuration_place()
            )));
        }
        let etag = reply.e_tag().map(ToOwned::to_owned);
        let text = self.text_of(&self.config_key, reply.body).await?;
        if let Some(etag) = etag {
            let fresh = Cached { etag, text: text.clone() };
            *self.configuration.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        }
        Ok(Some(text))
    }

    async fn put(&self, key: &str, content_type: &str, text: String) -> Result<(), Fault> {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(text.into_bytes()))
            .send()
            .await
            .map_err(|error| fault(format_args!("write s3://{}/{key}", self.name), error))?;
        Ok(())
    }

    async fn agent_report(&self, attempt: &AttemptId) -> Result<Option<Report>, Fault> {
        let key = result_key(attempt);
        let reply = match self.client.get_object().bucket(&self.name).key(&key).send().await {
            Ok(reply) => reply,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(fault(format_args!("read s3://{}/{key}", self.name), error)),
        };
        if reply.content_length().is_some_and(|length| length > REPORT_LIMIT) {
            tracing::warn!(%attempt, key, "the agent's report is too large to be one");
            return Ok(None);
        }
        let text = self.text_of(&key, reply.body).await?;
        Ok(match serde_json::from_str(&text) {
            Ok(report) => Some(report),
            Err(error) => {
                // The exit code still decides; the agent's owner finds this line.
                tracing::warn!(%attempt, key, %error, "the agent's report cannot be read");
                None
            }
        })
    }
}

fn is_unchanged<E>(error: &SdkError<E, Response>) -> bool {
    error.raw_response().is_some_and(|reply| reply.status().as_u16() == 304)
}

fn is_missing(error: &SdkError<GetObjectError, Response>) -> bool {
    error
        .as_service_error()
        .is_some_and(|error| error.is_no_such_key() || error.code() == Some("NotFound"))
}
