//! S3: one object at a time.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError, Length};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::http::Response;
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::config::{self, Lazy};
use crate::address::Address;

/// The largest object that one request can write (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>), in bytes. It is also the
/// largest whose SHA-256 S3 keeps: of an object in parts it keeps one over those of its parts
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>).
const ONE_REQUEST: u64 = 5 << 30;
/// The smallest part of a larger one, in bytes.
const PART: u64 = 512 << 20;
/// The most parts (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const MOST_PARTS: u64 = 10_000;
/// The longest object that is read into memory, in bytes: a script, or a list of artifacts.
const LONGEST: usize = 16 << 20;
/// How long nothing may move.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long S3 may take to put parts together: it documents some minutes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>).
const TO_COMPLETE: Duration = Duration::from_secs(900);
/// How slow an upload may be, in bytes a second, before it is taken for one that no longer moves.
const SLOWEST: u64 = 256 << 10;
/// How often a request is tried, in about half a minute.
const TRIES: u32 = 7;
/// How often an object is read from its start whose answer breaks off.
const READS: u32 = 5;
/// The pause after the first of these; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often the report is: there may be no more than the margin of a stop left.
const TRIES_IN_HASTE: u32 = 5;
/// How long each of these tries may take.
const PATIENCE_IN_HASTE: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// How much of a file is read at a time, in bytes.
const PIECE: usize = 128 * 1024;

/// Why a read of an object has no result.
#[derive(Debug)]
pub(super) enum Unread<E> {
    /// The answer broke off, which may not happen again.
    Broken(Refusal),
    /// It is over.
    Ended(E),
}

/// A request that was not answered as it should be. The text is for people, and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }
}

/// The buckets of a region.
#[derive(Debug)]
pub struct Store<'a> {
    aws: &'a Lazy<'a>,
    client: OnceCell<Client>,
}

impl<'a> Store<'a> {
    /// Those that this configuration leads to. Nothing is prepared before the first request.
    #[must_use]
    pub fn new(aws: &'a Lazy<'a>) -> Self {
        Self {
            aws,
            client: OnceCell::new(),
        }
    }

    pub(super) async fn client(&self) -> &Client {
        let make = || async {
            // Of another server than AWS's, the bucket's name is seldom a part of the host's.
            let elsewhere = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
                .iter()
                .find_map(|name| self.aws.variables.get(name));
            let stalled = StalledStreamProtectionConfig::enabled().grace_period(PATIENCE).build();
            let mut config = Builder::from(self.aws.get().await)
                .force_path_style(elsewhere.is_some())
                .stalled_stream_protection(stalled)
                .retry_config(self.retries(TRIES))
                // Else many files that fail would use up the tries of the others, and of the report.
                .retry_partition(RetryPartition::custom("agent").token_bucket(TokenBucket::unlimited()).build());
            // Without a slash at its end, the bucket's name would become a part of the last folder's.
            config.set_endpoint_url(elsewhere.map(|url| format!("{}/", url.trim_end_matches('/'))));
            Client::from_conf(config.build())
        };
        self.client.get_or_init(make).await
    }

    /// How often something is tried: as `AWS_MAX_ATTEMPTS` says (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>), else so
    /// many times.
    fn tries(&self, otherwise: u32) -> u32 {
        let asked = self.aws.variables.get("AWS_MAX_ATTEMPTS").and_then(|asked| asked.parse().ok());
        asked.filter(|tries| *tries > 0).unwrap_or(otherwise)
    }

    fn retries(&self, otherwise: u32) -> RetryConfig {
        RetryConfig::standard()
            .with_initial_backoff(Duration::from_millis(500))
            .with_max_backoff(LONGEST_PAUSE)
            .with_max_attempts(self.tries(otherwise))
    }

    /// Reads an object, again from its start if the answer breaks off: the client repeats a request only until the answer begins.
    pub(super) async fn whole<T, E: From<Refusal>>(&self, read: impl AsyncFn() -> Result<T, Unread<E>>) -> Result<T, E> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..self.tries(READS) {
            match read().await {
                Ok(result) => return Ok(result),
                Err(Unread::Ended(error)) => return Err(error),
                Err(Unread::Broken(_)) => sleep(pause).await,
            }
            pause *= 2;
        }
        read().await.map_err(|error| match error {
            Unread::Ended(error) => error,
            Unread::Broken(refusal) => refusal.into(),
        })
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It could not be read after all tries, or never can be.
    pub async fn get(&self, address: &Address) -> Result<Vec<u8>, Refusal> {
        self.whole(async || {
            let request = self.client().await.get_object().bucket(&address.bucket).key(&address.key);
            let sent = request.customize().config_override(within(PATIENCE)).send().await;
            let object = sent.map_err(|error| Unread::Ended(refusal(error)))?;
            let (mut body, mut bytes) = (object.body, Vec::new());
            while let Some(piece) = body.try_next().await.map_err(|error| Unread::Broken(broken(&error)))? {
                if bytes.len() + piece.len() > LONGEST {
                    return Err(Unread::Ended(Refusal(format!("longer than {} MiB", LONGEST >> 20))));
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes)
        })
        .await
    }

    /// Writes an object with these bytes, for which there may not be much time.
    ///
    /// # Errors
    /// It could not be written after all tries, or never can be.
    pub async fn put(&self, address: &Address, bytes: Vec<u8>, media_type: &str) -> Result<(), Refusal> {
        let request = self
            .client()
            .await
            .put_object()
            .bucket(&address.bucket)
            .key(&address.key)
            .content_type(media_type)
            .checksum_sha256(BASE64.encode(&Sha256::digest(&bytes)))
            .body(bytes.into());
        let haste = within(PATIENCE_IN_HASTE).retry_config(self.retries(TRIES_IN_HASTE));
        request.customize().config_override(haste).send().await.map_err(refusal)?;
        Ok(())
    }

    /// Writes an object with what is in a file.
    ///
    /// # Errors
    /// It could not be written after all tries, or never can be.
    pub async fn put_file(&self, address: &Address, file: &Path, media_type: &str) -> Result<(), Refusal> {
        let length = file.metadata().map_err(|error| Refusal(error.to_string()))?.len();
        let upload = Upload {
            client: self.client().await,
            address,
            file,
            media_type,
        };
        if length > ONE_REQUEST {
            upload.in_parts(length, PART.max(length.div_ceil(MOST_PARTS))).await
        } else {
            upload.at_once(length).await
        }
    }
}

/// A file that is being uploaded.
struct Upload<'a> {
    client: &'a Client,
    address: &'a Address,
    file: &'a Path,
    media_type: &'a str,
}

impl Upload<'_> {
    async fn at_once(&self, length: u64) -> Result<(), Refusal> {
        let (checksum, body) = self.piece(0, length).await?;
        let request = self
            .client
            .put_object()
            .bucket(&self.address.bucket)
            .key(&self.address.key)
            .content_type(self.media_type)
            .content_length(signed(length))
            .checksum_sha256(checksum)
            .body(body);
        request
            .customize()
            .config_override(within(time_for(length)))
            .send()
            .await
            .map_err(refusal)?;
        Ok(())
    }

    async fn in_parts(&self, length: u64, part: u64) -> Result<(), Refusal> {
        let (bucket, key) = (&self.address.bucket, &self.address.key);
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .content_type(self.media_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256);
        let begun = begun.customize().config_override(within(PATIENCE)).send().await.map_err(refusal)?;
        let upload = begun.upload_id.unwrap_or_default();
        let done = match self.parts(&upload, length, part).await {
            Ok(parts) => {
                let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
                let complete = self.client.complete_multipart_upload().bucket(bucket).key(key).upload_id(&upload);
                let complete = complete.multipart_upload(parts).customize().config_override(within(TO_COMPLETE));
                complete.send().await.map(drop).map_err(refusal)
            }
            Err(refusal) => Err(refusal),
        };
        if done.is_err() {
            // What is left of it, if this fails as well, the bucket's rules for unfinished uploads remove.
            let abort = self.client.abort_multipart_upload().bucket(bucket).key(key).upload_id(&upload);
            let _ = abort.customize().config_override(within(PATIENCE)).send().await;
        }
        done
    }

    async fn parts(&self, upload: &str, length: u64, part: u64) -> Result<Vec<CompletedPart>, Refusal> {
        let mut parts = Vec::new();
        let mut from = 0;
        for number in 1.. {
            let size = part.min(length - from);
            let (checksum, body) = self.piece(from, size).await?;
            let request = self
                .client
                .upload_part()
                .bucket(&self.address.bucket)
                .key(&self.address.key)
                .upload_id(upload)
                .part_number(number)
                .content_length(signed(size))
                .checksum_sha256(&checksum)
                .body(body);
            let answer = request
                .customize()
                .config_override(within(time_for(size)))
                .send()
                .await
                .map_err(refusal)?;
            let written = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .checksum_sha256(checksum);
            parts.push(written.build());
            from += size;
            if from == length {
                break;
            }
        }
        Ok(parts)
    }

    /// A piece of the file as a request's body, with its SHA-256 in Base64.
    async fn piece(&self, from: u64, length: u64) -> Result<(String, ByteStream), Refusal> {
        let path = self.file.to_owned();
        let checksum = tokio::task::spawn_blocking(move || checksum(path, from, length)).await;
        let checksum = checksum
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| Refusal(error.to_string()))?;
        let body = ByteStream::read_from()
            .path(self.file)
            .offset(from)
            .length(Length::Exact(length))
            .buffer_size(PIECE)
            .build()
            .await;
        Ok((checksum, body.map_err(|error| Refusal(config::describe(&error)))?))
    }
}

fn checksum(path: PathBuf, from: u64, length: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(from))?;
    let mut file = file.take(length);
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(read) if count > 0 => hasher.update(read),
            _ => return Ok(BASE64.encode(&hasher.finalize())),
        }
    }
}

/// Each try of a request has so long.
pub(super) fn within(time: Duration) -> Builder {
    Builder::new().timeout_config(TimeoutConfig::builder().operation_attempt_timeout(time).build())
}

/// How long the upload of so many bytes may take.
fn time_for(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / SLOWEST)
}

fn signed(length: u64) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// What an answer says that broke off.
pub(super) fn broken(error: &ByteStreamError) -> Refusal {
    Refusal(format!("the answer of S3 broke off: {}", config::describe(error)))
}

/// What a client's error says.
pub(super) fn refusal<E: ProvideErrorMetadata + std::error::Error + 'static>(error: SdkError<E, Response>) -> Refusal {
    Refusal(match &error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().map(|code| format!(" {code}")).unwrap_or_default();
            let message = answer.err().message().map(|message| format!(": {message}")).unwrap_or_default();
            // It comes with the answer of a bucket that is in another region.
            let region = answer
                .raw()
                .headers()
                .get("x-amz-bucket-region")
                .filter(|_| matches!(status, 301 | 400));
            let remedy = region.map(|region| format!(" (AWS_REGION: expected {region}, where the bucket is)"));
            format!("S3 answered {status}{code}{message}{}", remedy.unwrap_or_default())
        }
        error => config::describe(error),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
pub(super) mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
    use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};

    use super::*;
    use crate::settings::Variables;

    /// Method and address of a request, and the checksum that it names.
    pub(in crate::aws) type Asked = (String, Option<String>);

    /// A wire with prepared replies, which notes requests.
    #[derive(Debug, Clone, Default)]
    pub(in crate::aws) struct Wire {
        replies: Arc<Mutex<VecDeque<(u16, String)>>>,
        pub(in crate::aws) asked: Arc<Mutex<Vec<Asked>>>,
    }

    impl HttpConnector for Wire {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let address = request.uri().split_once(".com/").unwrap().1.to_owned();
            let checksum = request.headers().get("x-amz-checksum-sha256").map(ToOwned::to_owned);
            self.asked
                .lock()
                .unwrap()
                .push((format!("{} {address}", request.method()), checksum));
            let (status, body) = self.replies.lock().unwrap().pop_front().unwrap();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body.into())))
        }
    }

    pub(in crate::aws) fn wire(replies: &[(u16, impl ToString)]) -> (Client, Wire) {
        let wire = Wire::default();
        let replies = replies.iter().map(|(status, body)| (*status, body.to_string()));
        wire.replies.lock().unwrap().extend(replies);
        let connector = SharedHttpConnector::new(wire.clone());
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "key", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));
        (Client::from_conf(config.build()), wire)
    }

    /// Uploads 25 bytes in parts of ten.
    async fn in_parts(replies: &[(u16, &str)]) -> (Result<(), Refusal>, Vec<Asked>) {
        let (client, wire) = wire(replies);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large");
        std::fs::write(&file, "a234567890b234567890c2345").unwrap();
        let address = Address::parse("s3://bucket/large").unwrap();
        let upload = Upload {
            client: &client,
            address: &address,
            file: &file,
            media_type: "text/plain",
        };
        let end = upload.in_parts(25, 10).await;
        let asked = wire.asked.lock().unwrap().clone();
        (end, asked)
    }

    const BEGUN: (u16, &str) = (
        200,
        "<InitiateMultipartUploadResult><UploadId>it</UploadId></InitiateMultipartUploadResult>",
    );
    const DONE: (u16, &str) = (200, "");
    const WHOLE: (u16, &str) = (200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");

    fn sha256(text: &str) -> String {
        BASE64.encode(&Sha256::digest(text))
    }

    #[tokio::test]
    async fn a_file_above_the_limit_of_a_request_is_uploaded_in_parts() {
        let (end, asked) = in_parts(&[BEGUN, DONE, DONE, DONE, WHOLE]).await;
        assert_eq!(end, Ok(()));
        let part = |number, text| {
            let address = format!("PUT large?x-id=UploadPart&partNumber={number}&uploadId=it");
            (address, Some(sha256(text)))
        };
        assert_eq!(asked[1..4], [part(1, "a234567890"), part(2, "b234567890"), part(3, "c2345")]);
        assert_eq!(
            (asked[0].0.as_str(), asked[4].0.as_str()),
            ("POST large?uploads", "POST large?uploadId=it")
        );
    }

    #[tokio::test]
    async fn an_upload_in_parts_that_fails_leaves_nothing() {
        let denied = (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>");
        let (end, asked) = in_parts(&[BEGUN, DONE, denied, DONE]).await;
        assert_eq!(end.unwrap_err().to_string(), "S3 answered 403 AccessDenied: no");
        assert_eq!(asked.last().unwrap().0, "DELETE large?x-id=AbortMultipartUpload&uploadId=it");
    }

    async fn get(reply: (u16, String)) -> Result<usize, String> {
        let (client, _) = wire(&[reply]);
        let variables = Variables::default();
        let aws = Lazy::new(&variables);
        let read = Store::of(client, &aws).get(&Address::parse("s3://bucket/script").unwrap()).await;
        read.map(|bytes| bytes.len()).map_err(|refusal| refusal.to_string())
    }

    impl<'a> Store<'a> {
        /// With this client.
        pub(in crate::aws) fn of(client: Client, aws: &'a Lazy<'a>) -> Self {
            Self {
                aws,
                client: OnceCell::new_with(Some(client)),
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_script_is_not_read() {
        assert_eq!(get((200, "x".repeat(LONGEST))).await, Ok(LONGEST));
        assert_eq!(get((200, "x".repeat(LONGEST + 1))).await, Err("longer than 16 MiB".to_owned()));
        assert_eq!(get((500, String::new())).await, Err("S3 answered 500".to_owned()));
    }

    #[test]
    fn pieces_have_checksums_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abcdef").unwrap();
        assert_eq!(checksum(path.clone(), 0, 6).unwrap(), sha256("abcdef"));
        assert_eq!(checksum(path, 2, 3).unwrap(), sha256("cde"));
    }
}
