//! S3: objects of any size, as files. A file is written as it comes, and is known to be the one that was expected.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};

use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_smithy_runtime_api::http::Response;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Receiver, channel};

use super::s3::{PATIENCE, Refusal, Store, Unread, broken, refusal, within};
use crate::address::Address;

/// How many pieces of an answer may wait until they are written. The client reads less than half a MiB at a time.
const AHEAD: usize = 8;

/// The codes of refusals that another try does not change (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>): the key or the version is
/// not there, or only a mark that it was deleted, or it is archived. `InvalidArgument` is about the version, the only argument beside the key.
const LASTING: [&str; 5] = [
    "InvalidArgument",
    "InvalidObjectState",
    "MethodNotAllowed",
    "NoSuchKey",
    "NoSuchVersion",
];

/// An object as somebody has noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted<'a> {
    /// Where it is.
    pub address: Address,
    /// Its version, if the bucket has versions.
    pub version: Option<&'a str>,
    /// The SHA-256 of its content, in hexadecimal.
    pub sha256: &'a str,
    /// Its size in bytes.
    pub size: u64,
}

/// Why an object was not downloaded. The texts are for people, and hold nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It is gone, denied, or another one than was noted.
    #[error("{0}")]
    Lasting(String),
    /// It was not read or written after all tries.
    #[error("{0}")]
    Passing(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Passing(refusal.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Passing(error.to_string())
    }
}

impl Store<'_> {
    /// Writes an object into an empty file. After an error, there may be a part of it, or all of another one.
    ///
    /// # Errors
    /// It could not be read after all tries, is another one than was noted, or cannot be written.
    pub async fn get_file(&self, noted: &Noted<'_>, file: &File) -> Result<(), Failure> {
        let found = self.whole(async || self.copy(noted, file).await).await?;
        if found == noted.sha256 {
            return Ok(());
        }
        let expected = noted.sha256;
        Err(Failure::Lasting(format!(
            "its SHA-256 is {found}: expected {expected}, as when its job ended"
        )))
    }

    /// Writes an object into a file, from the start of both. Returns the SHA-256 of what was written, in hexadecimal.
    async fn copy(&self, noted: &Noted<'_>, file: &File) -> Result<String, Unread<Failure>> {
        let request = self
            .client()
            .await
            .get_object()
            .bucket(&noted.address.bucket)
            .key(&noted.address.key)
            .set_version_id(noted.version.map(ToOwned::to_owned));
        // The limit is for the beginning of the answer. Its content is compared with the noted hash, and S3 need not send another one.
        let limits = within(PATIENCE).response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let sent = request.customize().config_override(limits).send().await;
        let object = sent.map_err(|error| Unread::Ended(failure(error)))?;
        let other_size = |found: String| Unread::Ended(Failure::Lasting(format!("it has {found}: expected {}", noted.size)));
        if let Some(size) = object.content_length.and_then(|size| u64::try_from(size).ok())
            && size != noted.size
        {
            return Err(other_size(format!("{size} bytes")));
        }
        let of_file = |error: io::Error| Unread::Ended(Failure::from(error));
        let file = file.try_clone().map_err(of_file)?;
        let (pieces, received) = channel(AHEAD);
        let written = tokio::task::spawn_blocking(move || write(received, file));
        let (mut body, mut size) = (object.body, 0);
        let read = loop {
            match body.try_next().await {
                Err(error) => break Err(Unread::Broken(broken(&error))),
                Ok(None) => break Ok(()),
                Ok(Some(piece)) => {
                    size += u64::try_from(piece.len()).unwrap_or_default();
                    if size > noted.size {
                        break Err(other_size(format!("more than {} bytes", noted.size)));
                    }
                    // Without a receiver, the error is one of the file.
                    if pieces.send(piece).await.is_err() {
                        break Ok(());
                    }
                }
            }
        };
        drop(pieces);
        let written = written.await.map_err(io::Error::other).flatten();
        let found = written.map_err(of_file)?;
        read?;
        if size < noted.size {
            let text = format!("the answer of S3 ended after {size} of {} bytes", noted.size);
            return Err(Unread::Broken(Refusal::new(text)));
        }
        Ok(found)
    }
}

/// Writes pieces into a file, from its start. Returns the SHA-256 of them all, in hexadecimal.
fn write(mut pieces: Receiver<impl AsRef<[u8]>>, mut file: File) -> io::Result<String> {
    file.set_len(0)?;
    file.rewind()?;
    let mut hasher = Sha256::new();
    while let Some(piece) = pieces.blocking_recv() {
        hasher.update(piece.as_ref());
        file.write_all(piece.as_ref())?;
    }
    Ok(HEXLOWER.encode(&hasher.finalize()))
}

/// What a client's error says about the object.
fn failure(error: SdkError<GetObjectError, Response>) -> Failure {
    let code = error.as_service_error().and_then(|error| error.code()).unwrap_or_default();
    // Without s3:ListBucket, S3 also answers so for a key that is not there (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
    let is_denied = code == "AccessDenied";
    let is_lasting = LASTING.contains(&code);
    let refusal = refusal(error);
    if is_denied {
        Failure::Lasting(format!("it is gone, or the agent's role may not read it: {refusal}"))
    } else if is_lasting {
        Failure::Lasting(format!("it is gone: {refusal}"))
    } else {
        refusal.into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::io::read_to_string;

    use super::super::config::Lazy;
    use super::super::s3::tests::wire;
    use super::*;
    use crate::settings::Variables;

    /// Downloads what was noted as `content`, with one try. Returns what the file has, and what was asked for.
    async fn download(content: &str, reply: (u16, &str)) -> (Result<(), Failure>, String, String) {
        let variables: Variables = [("AWS_MAX_ATTEMPTS", "1")].into_iter().collect();
        let aws = Lazy::new(&variables);
        let (client, wire) = wire(&[reply]);
        let mut file = tempfile::tempfile().unwrap();
        let noted = Noted {
            address: Address::parse("s3://bucket/runs/a").unwrap(),
            version: Some("v1"),
            sha256: &HEXLOWER.encode(&Sha256::digest(content)),
            size: content.len().try_into().unwrap(),
        };
        let end = Store::of(client, &aws).get_file(&noted, &file).await;
        file.rewind().unwrap();
        let asked = wire.asked.lock().unwrap()[0].0.clone();
        (end, read_to_string(file).unwrap(), asked)
    }

    #[tokio::test]
    async fn the_noted_version_is_written() {
        let (end, written, asked) = download("content", (200, "content")).await;
        assert_eq!((end, written.as_str()), (Ok(()), "content"));
        assert_eq!(asked, "GET runs/a?x-id=GetObject&versionId=v1");
    }

    #[tokio::test]
    async fn another_content_is_refused() {
        let (end, ..) = download("content", (200, "another content")).await;
        assert_eq!(end, Err(Failure::Lasting("it has more than 7 bytes: expected 7".to_owned())));
        let (end, ..) = download("content", (200, "CONTENT")).await;
        let (found, expected) = (
            HEXLOWER.encode(&Sha256::digest("CONTENT")),
            HEXLOWER.encode(&Sha256::digest("content")),
        );
        let text = format!("its SHA-256 is {found}: expected {expected}, as when its job ended");
        assert_eq!(end, Err(Failure::Lasting(text)));
        // The rest may come the next time.
        let (end, ..) = download("content", (200, "con")).await;
        assert_eq!(end, Err(Failure::Passing("the answer of S3 ended after 3 of 7 bytes".to_owned())));
    }

    #[tokio::test]
    async fn what_may_pass_is_told_from_what_lasts() {
        for (status, code, is_lasting) in [
            (404, "NoSuchKey", true),
            (404, "NoSuchVersion", true),
            (405, "MethodNotAllowed", true),
            (403, "InvalidObjectState", true),
            (400, "InvalidArgument", true),
            (403, "AccessDenied", true),
            (403, "ExpiredToken", false),
            (403, "RequestTimeTooSkewed", false),
            (404, "NoSuchBucket", false),
            (503, "SlowDown", false),
        ] {
            let (end, ..) = download(
                "content",
                (status, &format!("<Error><Code>{code}</Code><Message>no</Message></Error>")),
            )
            .await;
            let failure = end.unwrap_err();
            assert_eq!(matches!(failure, Failure::Lasting(_)), is_lasting, "{failure}");
            assert!(
                failure.to_string().ends_with(&format!("S3 answered {status} {code}: no")),
                "{failure}"
            );
            assert_eq!(
                failure.to_string().contains("the agent's role may not read it"),
                code == "AccessDenied"
            );
        }
    }
}
