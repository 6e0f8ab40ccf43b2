//! The suite's S3 bucket: the suite configuration, scripts too large for a task's overrides, agents' reports and artifacts, and reports of finished
//! runs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ChecksumType};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bellhop_domain::executor::observation::Report;
use bellhop_domain::executor::{Folder, Place};
use bellhop_domain::ids::AgentId;
use bellhop_domain::results::found::{Artifact, Seal};
use bellhop_engine::Fault;
use bellhop_engine::ports::Store;
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

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

    /// The seal of an object of which S3 keeps no SHA-256. It is read up to so many bytes; a longer one has none.
    async fn hashed(&self, key: &str, limit: u64) -> Result<Seal, Fault> {
        let mut reply = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(reply) => reply,
            Err(error) if is_missing(&error) => return Ok(Seal::default()),
            Err(error) => return Err(fault(format_args!("read s3://{}/{key}", self.name), error)),
        };
        let version = reply.version_id().map(ToOwned::to_owned);
        let (mut hash, mut length) = (Sha256::new(), 0_u64);
        while let Some(more) = reply.body.next().await {
            let more =
                more.map_err(|error| Fault::transient(format!("failed to read all of s3://{}/{key}", self.name)).caused_by(error))?;
            length = length.saturating_add(u64::try_from(more.len()).unwrap_or(u64::MAX));
            if length > limit {
                return Ok(Seal { version, sha256: None });
            }
            hash.update(&more);
        }
        let sha256 = Some(HEXLOWER.encode(&hash.finalize()));
        Ok(Seal { version, sha256 })
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

    async fn folder(&self, place: &Place, agent: &AgentId) -> Result<Option<Folder>, Fault> {
        let above = &place.above;
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(above)
            .delimiter("/")
            .into_paginator()
            .send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault(format_args!("list s3://{}/{above}", self.name), error))?;
            let names = page
                .common_prefixes()
                .iter()
                .filter_map(|common| common.prefix()?.strip_prefix(above.as_str()));
            folders.extend(names.map(|name| name.trim_end_matches('/').to_owned()));
        }
        let own = place.folder_of(agent, folders.iter().map(String::as_str));
        if own.is_none() && folders.iter().any(|name| name.ends_with(agent.last())) {
            tracing::warn!(%agent, above, "several folders have the agent's id, or one is named like it: nothing there is believed");
        }
        Ok(own)
    }

    async fn agent_report(&self, folder: &Folder) -> Result<Option<Report>, Fault> {
        let key = folder.report();
        let reply = match self.client.get_object().bucket(&self.name).key(&key).send().await {
            Ok(reply) => reply,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(fault(format_args!("read s3://{}/{key}", self.name), error)),
        };
        if reply.content_length().is_some_and(|length| length > REPORT_LIMIT) {
            tracing::warn!(key, "the agent's report is too large");
            return Ok(None);
        }
        let text = self.text_of(&key, reply.body).await?;
        Ok(match serde_json::from_str(&text) {
            Ok(report) => Some(report),
            Err(error) => {
                // The exit code still decides; the owner of the agent finds this line in the log.
                tracing::warn!(key, %error, "the agent's report cannot be read");
                None
            }
        })
    }

    async fn artifacts(&self, folder: &Folder, limit: usize) -> Result<(Vec<Artifact>, u64), Fault> {
        let prefix = folder.artifacts();
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
                        seal: Seal::default(),
                    });
                }
                if count == COUNTED_ARTIFACTS {
                    return Ok((artifacts, count));
                }
            }
        }
        Ok((artifacts, count))
    }

    async fn seal(&self, key: &str, readable: Option<u64>) -> Result<Seal, Fault> {
        let request = self.client.head_object().bucket(&self.name).key(key);
        let head = match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => head,
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => return Ok(Seal::default()),
            Err(error) => return Err(fault(format_args!("look at s3://{}/{key}", self.name), error)),
        };
        // Of an object that was uploaded in parts, it is one over the checksums of the parts.
        let whole = head.checksum_type() != Some(&ChecksumType::Composite);
        let kept = head.checksum_sha256().filter(|text| whole && !text.contains('-'));
        match (kept.and_then(|text| BASE64.decode(text.as_bytes()).ok()), readable) {
            (None, Some(limit)) => self.hashed(key, limit).await,
            (hash, _) => Ok(Seal {
                version: head.version_id().map(ToOwned::to_owned),
                sha256: hash.map(|hash| HEXLOWER.encode(&hash)),
            }),
        }
    }

    async fn object(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, Fault> {
        let mut reply = match self.client.get_object().bucket(&self.name).key(key).send().await {
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
    use crate::testing::{Headers, Reply, Wire};

    const PREFIX: &str = "runs/abcdefghij/AROA1:0a1b/image/2/artifacts/";

    fn place() -> Place {
        Place {
            above: "runs/abcdefghij/".to_owned(),
            below: "image/2/".to_owned(),
        }
    }

    fn own_folder() -> Folder {
        place().folder("AROA1:0a1b")
    }

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
        Artifact {
            path: path.to_owned(),
            size,
            seal: Seal::default(),
        }
    }

    async fn listed(replies: Vec<Reply>, limit: usize) -> ((Vec<Artifact>, u64), usize) {
        let (aws, wire) = Wire::replying(replies);
        let found = aws.bucket("suite", "x").artifacts(&own_folder(), limit).await.unwrap();
        let asked = wire.operations();
        let prefix = "prefix=runs%2Fabcdefghij%2FAROA1%3A0a1b%2Fimage%2F2%2Fartifacts%2F";
        assert!(
            asked.iter().all(|asked| asked.starts_with("GET ") && asked.contains(prefix)),
            "{asked:?}"
        );
        (found, asked.len())
    }

    async fn begin(reply: Reply, limit: u64) -> Option<Vec<u8>> {
        let (aws, wire) = Wire::replying([reply]);
        let key = format!("{PREFIX}a/b c.xml");
        let bytes = aws.bucket("suite", "x").object(&key, limit).await.unwrap();
        let asked = wire.operations().join(" ");
        assert!(
            asked.contains("/runs/abcdefghij/AROA1%3A0a1b/image/2/artifacts/a/b%20c.xml"),
            "{asked}"
        );
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

    async fn folder_among(folders: &[&str]) -> Option<Folder> {
        let common: String = folders
            .iter()
            .map(|name| format!("<CommonPrefixes><Prefix>runs/abcdefghij/{name}/</Prefix></CommonPrefixes>"))
            .collect();
        let (aws, wire) = Wire::replying([(
            200,
            format!("<ListBucketResult><IsTruncated>false</IsTruncated>{common}</ListBucketResult>"),
        )]);
        let agent = "arn:aws:ecs:us-east-1:123456789012:task/ci/0a1b".parse().unwrap();
        let found = aws.bucket("suite", "x").folder(&place(), &agent).await.unwrap();
        let asked = wire.operations().join(" ");
        assert!(
            asked.contains("delimiter=%2F") && asked.contains("prefix=runs%2Fabcdefghij%2F"),
            "{asked}"
        );
        found
    }

    #[tokio::test]
    async fn an_agents_folder_is_found_among_others() {
        assert_eq!(folder_among(&["AROA0:ffff", "AROA1:0a1b"]).await, Some(own_folder()));
        assert_eq!(folder_among(&["AROA0:ffff"]).await, None);
        assert_eq!(folder_among(&[]).await, None);
    }

    async fn sealed(replies: Vec<(Reply, Headers)>, readable: Option<u64>) -> Seal {
        let (aws, _) = Wire::with_headers(replies);
        aws.bucket("suite", "x").seal("key", readable).await.unwrap()
    }

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[tokio::test]
    async fn a_seal_is_what_s3_keeps_or_else_read() {
        let none = || (200, String::new());
        let kept = vec![
            ("x-amz-version-id", "v1"),
            ("x-amz-checksum-sha256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
        ];
        let seal = |version: &str, hash: Option<&str>| Seal {
            version: Some(version.to_owned()),
            sha256: hash.map(ToOwned::to_owned),
        };
        assert_eq!(sealed(vec![(none(), kept)], None).await, seal("v1", Some(HASH)));
        let in_parts = vec![
            ("x-amz-version-id", "v1"),
            ("x-amz-checksum-sha256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=-3"),
            ("x-amz-checksum-type", "COMPOSITE"),
        ];
        assert_eq!(sealed(vec![(none(), in_parts.clone())], None).await, seal("v1", None));
        let read = || ((200, "abc".to_owned()), vec![("x-amz-version-id", "v2")]);
        assert_eq!(
            sealed(vec![(none(), in_parts.clone()), read()], Some(3)).await,
            seal("v2", Some(HASH))
        );
        assert_eq!(sealed(vec![(none(), in_parts), read()], Some(2)).await, seal("v2", None));
        assert_eq!(sealed(vec![((404, String::new()), Vec::new())], Some(3)).await, Seal::default());
    }
}
