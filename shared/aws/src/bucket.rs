//! The suite's S3 bucket: the suite configuration, scripts too large for a task's overrides, agents' reports and artifacts, and reports of finished
//! runs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::agent::{artifacts_prefix, result_key};
use bellhop_domain::executor::observation::Report;
use bellhop_domain::ids::AttemptId;
use bellhop_domain::results::found::Artifact;
use bellhop_engine::Fault;
use bellhop_engine::ports::Store;
use jiff::Timestamp;

use crate::clock::timestamp;
use crate::config::Lazy;
use crate::fault::fault;

/// The largest agent report that is read. Everything that an agent writes is untrusted input.
const REPORT_LIMIT: i64 = 64 * 1024;

/// The largest configuration that is read; the parser's limit is lower and has its own error message.
const CONFIGURATION_LIMIT: i64 = 4 * 1024 * 1024;

/// How many versions of the configuration are searched for a valid one.
const EARLIER_CONFIGURATIONS: i32 = 50;

/// The most artifacts of an attempt that are counted: ten pages of S3's maximum size.
const COUNTED_ARTIFACTS: u64 = 10_000;

/// The suite's bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Lazy<Client>,
    name: String,
    config_key: String,
    configuration: Arc<Mutex<Option<Cached>>>,
}

/// The last configuration that was read. It is kept while the function's environment lives, and revalidated at each use.
#[derive(Debug, Clone)]
struct Cached {
    etag: String,
    text: String,
}

impl Bucket {
    pub(crate) fn new(client: Lazy<Client>, name: &str, config_key: &str) -> Self {
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
            .map_err(|error| Fault::transient(format!("failed to read all of s3://{}/{key}", self.name)).caused_by(error))?;
        // Invalid UTF-8 becomes replacement characters, which no parser accepts.
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
            return Err(Fault::permanent(format!(
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

    async fn earlier_configurations(&self) -> Result<Vec<(Timestamp, String)>, Fault> {
        let what = || format!("list the versions of {}", self.configuration_place());
        // S3 lists the versions of one key newest first
        // (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html>).
        let listed = self
            .client
            .list_object_versions()
            .bucket(&self.name)
            .prefix(&self.config_key)
            .max_keys(EARLIER_CONFIGURATIONS)
            .send()
            .await
            .map_err(|error| fault(format_args!("{}", what()), error))?;
        let earlier = listed.versions().iter().filter(|version| {
            let fits = version.size().is_some_and(|size| size <= CONFIGURATION_LIMIT);
            fits && version.key() == Some(&self.config_key) && version.is_latest() != Some(true)
        });
        let named = earlier.filter_map(|version| {
            let since = version.last_modified().and_then(timestamp).unwrap_or_default();
            Some((since, version.version_id()?.to_owned()))
        });
        Ok(named.collect())
    }

    async fn earlier_configuration(&self, id: &str) -> Result<Option<String>, Fault> {
        let request = self.client.get_object().bucket(&self.name).key(&self.config_key).version_id(id);
        match request.send().await {
            Ok(reply) => self.text_of(&self.config_key, reply.body).await.map(Some),
            // It has just expired.
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(fault(format_args!("read an earlier {}", self.configuration_place()), error)),
        }
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
            tracing::warn!(%attempt, key, "the agent's report is too large");
            return Ok(None);
        }
        let text = self.text_of(&key, reply.body).await?;
        Ok(match serde_json::from_str(&text) {
            Ok(report) => Some(report),
            Err(error) => {
                // The exit code still decides; the owner of the agent finds this line in the log.
                tracing::warn!(%attempt, key, %error, "the agent's report cannot be read");
                None
            }
        })
    }

    async fn artifacts(&self, attempt: &AttemptId, limit: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        let prefix = artifacts_prefix(attempt);
        // S3 lists keys in the order of their bytes.
        let mut objects = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(&prefix)
            .into_paginator()
            .send();
        let (mut artifacts, mut count) = (Vec::new(), 0);
        while let Some(page) = objects.next().await {
            let page = page.map_err(|error| fault(format_args!("list s3://{}/{prefix}", self.name), error))?;
            for object in page.contents() {
                // The console's folder objects are not files.
                let file = |path: &&str| !path.is_empty() && !path.ends_with('/');
                let Some(path) = object.key().and_then(|key| key.strip_prefix(&prefix)).filter(file) else {
                    continue;
                };
                count += 1;
                if artifacts.len() < limit {
                    artifacts.push(Artifact {
                        path: path.to_owned(),
                        size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                    });
                }
                if count == COUNTED_ARTIFACTS {
                    return Ok((artifacts, count));
                }
            }
        }
        Ok((artifacts, count))
    }

    async fn artifact(&self, attempt: &AttemptId, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let key = format!("{}{path}", artifacts_prefix(attempt));
        let mut reply = match self.client.get_object().bucket(&self.name).key(&key).send().await {
            Ok(reply) => reply,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(fault(format_args!("read s3://{}/{key}", self.name), error)),
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        // The rest of the body is not read. A ranged request would fail for an empty object.
        while bytes.len() < limit
            && let Some(more) = reply.body.next().await
        {
            let more =
                more.map_err(|error| Fault::transient(format!("failed to read all of s3://{}/{key}", self.name)).caused_by(error))?;
            bytes.extend_from_slice(&more);
        }
        bytes.truncate(limit);
        Ok(Some(bytes))
    }
}

fn is_unchanged<E>(error: &SdkError<E, Response>) -> bool {
    error.raw_response().is_some_and(|reply| reply.status().as_u16() == 304)
}

fn is_missing(error: &SdkError<GetObjectError, Response>) -> bool {
    error
        .as_service_error()
        .is_some_and(|error| error.is_no_such_key() || matches!(error.code(), Some("NotFound" | "NoSuchVersion")))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::testing::{Reply, Wire, attempt};

    const PREFIX: &str = "runs/abcdefghij/image/2/artifacts/";

    fn page(keys: &[String], next: Option<&str>) -> Reply {
        let mut contents = String::new();
        for (size, key) in keys.iter().enumerate() {
            write!(contents, "<Contents><Key>{PREFIX}{key}</Key><Size>{size}</Size></Contents>").unwrap();
        }
        let more = match next {
            Some(token) => format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"),
            None => "<IsTruncated>false</IsTruncated>".to_owned(),
        };
        (200, format!("<ListBucketResult>{more}{contents}</ListBucketResult>"))
    }

    fn keys(of: &[&str]) -> Vec<String> {
        of.iter().map(|key| (*key).to_owned()).collect()
    }

    fn artifact(path: &str, size: u64) -> Artifact {
        let path = path.to_owned();
        Artifact { path, size }
    }

    async fn listed(replies: Vec<Reply>, limit: usize) -> ((Vec<Artifact>, u64), usize) {
        let (aws, wire) = Wire::replying(replies);
        let found = aws.bucket("suite", "x").artifacts(&attempt(), limit).await.unwrap();
        let asked = wire.operations();
        let prefix = "prefix=runs%2Fabcdefghij%2Fimage%2F2%2Fartifacts%2F";
        assert!(
            asked.iter().all(|asked| asked.starts_with("GET ") && asked.contains(prefix)),
            "{asked:?}"
        );
        (found, asked.len())
    }

    async fn begin(reply: Reply, limit: u64) -> Option<Vec<u8>> {
        let (aws, wire) = Wire::replying([reply]);
        let bytes = aws.bucket("suite", "x").artifact(&attempt(), "a/b c.xml", limit).await.unwrap();
        let asked = wire.operations().join(" ");
        assert!(asked.contains("/runs/abcdefghij/image/2/artifacts/a/b%20c.xml"), "{asked}");
        bytes
    }

    #[tokio::test]
    async fn the_versions_before_the_configuration_that_is_there_are_found_newest_first() {
        let version = |key: &str, id: &str, latest: bool| {
            format!(
                "<Version><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>{latest}</IsLatest>\
                 <LastModified>2026-03-02T09:14:03.000Z</LastModified><Size>10</Size></Version>"
            )
        };
        let listed = [
            version("x", "c", true),
            version("x", "b", false),
            version("x", "a", false),
            version("x.bak", "z", false),
        ]
        .concat();
        let gone = "<Error><Code>NoSuchVersion</Code><Message>no</Message></Error>";
        let (aws, wire) = Wire::replying([
            (200, format!("<ListVersionsResult>{listed}</ListVersionsResult>")),
            (200, "version: 1".to_owned()),
            (404, gone.to_owned()),
        ]);
        let bucket = aws.bucket("suite", "x");
        let since = "2026-03-02T09:14:03Z".parse().unwrap();
        let found = bucket.earlier_configurations().await.unwrap();
        assert_eq!(found, [(since, "b".to_owned()), (since, "a".to_owned())]);
        assert_eq!(bucket.earlier_configuration("b").await.unwrap().as_deref(), Some("version: 1"));
        assert_eq!(bucket.earlier_configuration("a").await.unwrap(), None);
        let asked = wire.operations();
        assert!(
            asked[0].contains("versions") && asked[1].contains("versionId=b") && asked[2].contains("versionId=a"),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn artifacts_are_listed_over_all_pages_and_named_up_to_the_limit() {
        let pages = || vec![page(&keys(&["", "a", "b/"]), Some("more")), page(&keys(&["b/c", "d"]), None)];
        let all = vec![artifact("a", 1), artifact("b/c", 0), artifact("d", 1)];
        assert_eq!(listed(pages(), 9).await, ((all.clone(), 3), 2));
        assert_eq!(listed(pages(), 2).await, ((all[..2].to_vec(), 3), 2));
        assert_eq!(listed(vec![page(&[], None)], 9).await, ((Vec::new(), 0), 1));
    }

    #[tokio::test]
    async fn very_many_artifacts_are_not_counted_to_the_end() {
        let full: Vec<String> = (0..1000).map(|index| format!("f{index}")).collect();
        let pages = (0..10).map(|index| page(&full, Some(&format!("page-{index}")))).collect();
        let ((named, count), asked) = listed(pages, 1).await;
        assert_eq!((named.len(), count, asked), (1, 10_000, 10));
    }

    #[tokio::test]
    async fn an_artifact_is_read_up_to_a_limit() {
        let missing = "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
        assert_eq!(begin((200, "larger".to_owned()), 8).await.as_deref(), Some(&b"larger"[..]));
        assert_eq!(begin((200, "larger".to_owned()), 3).await.as_deref(), Some(&b"lar"[..]));
        assert_eq!(begin((200, String::new()), 3).await.as_deref(), Some(&b""[..]));
        assert_eq!(begin((404, missing.to_owned()), 8).await, None);
    }
}
