//! S3: one object at a time.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use tokio::time::sleep;

use super::credentials::Provider;
use super::http::{Answer, Client, Content, Sent};
use super::partition;
use super::tries::{self, Again, Refusal, TRIES, TRIES_IN_HASTE};
use crate::address::Address;
use crate::settings::{Variables, region};

/// The largest object that one request can write (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>), in bytes.
const LARGEST: u64 = 5 << 30;
/// The longest object that is read: a script.
const LONGEST: usize = 16 * 1024 * 1024;
/// How long nothing may move.
const PATIENCE: Duration = Duration::from_secs(60);
/// The variable for the number of tries.
const MAX_ATTEMPTS: &str = "AWS_MAX_ATTEMPTS";
/// What the log of S3 knows the agent by.
const PROGRAM: &str = concat!("bellhop-agent/", env!("CARGO_PKG_VERSION"));
/// The characters of a key that are encoded in an address: all that AWS does not call unreserved, but not the slash.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What to upload.
#[derive(Debug, Clone, Copy)]
pub enum Upload<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A file.
    File(&'a Path),
}

/// The buckets of a region.
#[derive(Debug)]
pub struct Store {
    endpoint: Endpoint,
    credentials: Provider,
    client: OnceCell<Result<Client, String>>,
    patience: Duration,
    tries: u32,
}

impl Store {
    /// Those that the environment leads to. Nothing is asked before the first request.
    #[must_use]
    pub fn new(variables: &Variables) -> Self {
        Self {
            endpoint: Endpoint::of(variables),
            credentials: Provider::new(variables),
            client: OnceCell::new(),
            patience: PATIENCE,
            tries: tries::tries(variables.get(MAX_ATTEMPTS), TRIES),
        }
    }

    /// The same, for requests that have less time.
    #[must_use]
    pub fn in_haste(variables: &Variables, patience: Duration) -> Self {
        Self {
            patience,
            tries: tries::tries(variables.get(MAX_ATTEMPTS), TRIES_IN_HASTE),
            ..Self::new(variables)
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// It could not be read after all tries, or never can be.
    pub async fn get(&self, address: &Address) -> Result<Bytes, Refusal> {
        self.tried(|| async {
            let request = http::Request::get(self.endpoint.url(address));
            let answer = self
                .send(request, Content::Bytes(Bytes::new()), &hash(b""), &Sent::default())
                .await?;
            Ok(answer.body)
        })
        .await
    }

    /// Writes an object.
    ///
    /// # Errors
    /// It could not be written after all tries, or never can be.
    pub async fn put(&self, address: &Address, upload: Upload<'_>, media_type: &str) -> Result<(), Refusal> {
        self.tried(|| async {
            let sent = Sent::default();
            let (content, digest) = match upload {
                Upload::Bytes(bytes) => (Content::Bytes(Bytes::copy_from_slice(bytes)), hash(bytes)),
                Upload::File(path) => {
                    let path = path.to_owned();
                    let read = tokio::task::spawn_blocking(move || open(&path))
                        .await
                        .map_err(io::Error::other)
                        .flatten();
                    let (file, left, digest) = read.map_err(|error| Refusal::lasting(error.to_string()))?;
                    let sent = sent.clone();
                    (Content::File { file, left, sent }, digest)
                }
            };
            // S3 wants the length of an empty object as well, which a client leaves out.
            let request = http::Request::put(self.endpoint.url(address))
                .header(http::header::CONTENT_LENGTH, content.left())
                .header(http::header::CONTENT_TYPE, media_type)
                .header("x-amz-checksum-sha256", BASE64.encode(&digest));
            self.send(request, content, &digest, &sent).await.map(drop)
        })
        .await
    }

    async fn tried<T, F: Future<Output = Result<T, Refusal>>>(&self, request: impl Fn() -> F) -> Result<T, Refusal> {
        let mut made = 1;
        loop {
            match request().await {
                Err(refusal) if made < self.tries && refusal.again != Again::Never => {
                    if refusal.again == Again::WithNewCredentials {
                        self.credentials.forget();
                    }
                    sleep(tries::pause(made, fastrand::f64())).await;
                    made += 1;
                }
                end => return end,
            }
        }
    }

    async fn send(&self, request: http::request::Builder, content: Content, digest: &[u8], sent: &Sent) -> Result<Answer, Refusal> {
        let credentials = self.credentials.get().await?;
        let client = self.client.get_or_init(|| Client::new(self.endpoint.has_tls()));
        let client = client.as_ref().map_err(Refusal::lasting)?;
        let request = request.header(http::header::USER_AGENT, PROGRAM);
        let request = request.body(content).map_err(|error| Refusal::lasting(error.to_string()))?;
        let request = signed(request, &self.endpoint.region, &credentials, digest, SystemTime::now())
            .map_err(|error| Refusal::lasting(format!("the request cannot be signed: {error}")))?;
        let answer = client.send(request, sent, self.patience, LONGEST).await?;
        match answer.status {
            200..300 => Ok(answer),
            status => Err(Refusal::of_s3(status, &answer.body)),
        }
    }
}

/// Opens a file, and computes length and hash of what is in it.
fn open(path: &Path) -> io::Result<(File, u64, Vec<u8>)> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::Error::other("larger than 5 GiB, which is the most that one request can upload"));
    }
    let (mut hasher, mut piece, mut length) = (Sha256::new(), vec![0; 256 * 1024], 0);
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        hasher.update(read);
        length += u64::try_from(count).map_err(io::Error::other)?;
    }
    file.rewind()?;
    Ok((file, length, hasher.finalize().to_vec()))
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// The request with a signature over its address, its headers and the hash of its content.
fn signed<B>(
    mut request: http::Request<B>,
    region: &str,
    credentials: &Credentials,
    digest: &[u8],
    time: SystemTime,
) -> Result<http::Request<B>, Box<dyn std::error::Error>> {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(time)
        .settings(settings)
        .build()?
        .into();
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = SignableBody::Precomputed(HEXLOWER.encode(digest));
    let signable = SignableRequest::new(request.method().as_str(), request.uri().to_string(), headers, body)?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// Where a region's buckets are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    region: String,
    /// An address in place of AWS's, without a slash at its end.
    instead: Option<String>,
    host: String,
}

impl Endpoint {
    fn of(variables: &Variables) -> Self {
        let region = region(variables).unwrap_or("us-east-1");
        let instead = variables.get("AWS_ENDPOINT_URL_S3").or_else(|| variables.get("AWS_ENDPOINT_URL"));
        let is_on = |name| variables.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let fips = if is_on("AWS_USE_FIPS_ENDPOINT") { "-fips" } else { "" };
        let dual = if is_on("AWS_USE_DUALSTACK_ENDPOINT") { ".dualstack" } else { "" };
        Self {
            region: region.to_owned(),
            instead: instead.map(|url| url.trim_end_matches('/').to_owned()),
            host: format!("s3{fips}{dual}.{region}.{}", partition::domain(region)),
        }
    }

    fn has_tls(&self) -> bool {
        self.instead.as_ref().is_none_or(|url| !url.starts_with("http:"))
    }

    fn url(&self, address: &Address) -> String {
        let Address { bucket, key } = address;
        let key = utf8_percent_encode(key, ENCODED);
        // A certificate of S3 holds for one label in place of the bucket.
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match &self.instead {
            Some(url) => format!("{url}/{bucket}/{key}"),
            None if bucket.bytes().all(is_label) => format!("https://{bucket}.{}/{key}", self.host),
            None => format!("https://{}/{bucket}/{key}", self.host),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    fn url(pairs: &[(&str, &str)], address: &str) -> String {
        Endpoint::of(&pairs.iter().copied().collect()).url(&Address::parse(address).unwrap())
    }

    #[test]
    fn addresses() {
        let region = ("AWS_REGION", "eu-west-1");
        assert_eq!(
            url(&[region], "s3://ci/a b/ü?#.txt"),
            "https://ci.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%3F%23.txt"
        );
        assert_eq!(
            url(&[region], "s3://ci.example/a"),
            "https://s3.eu-west-1.amazonaws.com/ci.example/a"
        );
        assert_eq!(
            url(&[("AWS_REGION", "cn-north-1")], "s3://ci/a"),
            "https://ci.s3.cn-north-1.amazonaws.com.cn/a"
        );
        let both = [region, ("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_USE_DUALSTACK_ENDPOINT", "TRUE")];
        assert_eq!(url(&both, "s3://ci/a"), "https://ci.s3-fips.dualstack.eu-west-1.amazonaws.com/a");
        let general = ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/");
        assert_eq!(url(&[region, general], "s3://ci/a"), "http://127.0.0.1:4566/ci/a");
        let own = ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000");
        assert_eq!(url(&[region, general, own], "s3://ci/a"), "http://127.0.0.1:9000/ci/a");
    }

    /// The example "GET Object" of <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    #[test]
    fn a_signature_of_aws_s_documentation() {
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "test",
        );
        let request = http::Request::get("https://examplebucket.s3.amazonaws.com/test.txt")
            .header("range", "bytes=0-9")
            .body(())
            .unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let request = signed(request, "us-east-1", &credentials, &hash(b""), time).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{authorization}");
    }

    #[test]
    fn files_are_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let (_, length, digest) = open(&path).unwrap();
        assert_eq!((length, digest), (3, hash(b"abc")));
        // It takes no room on the disk.
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("5 GiB"));
    }
}
