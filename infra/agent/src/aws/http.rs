//! The client for HTTP.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use super::tries::Refusal;

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// How much of a file is read at a time.
const PIECE: usize = 128 * 1024;

/// What a request sends.
#[derive(Debug)]
pub enum Content {
    /// Bytes.
    Bytes(Bytes),
    /// A file, from where it is read next.
    File {
        /// The file.
        file: File,
        /// How much of it is left.
        left: u64,
        /// Counts what was sent.
        sent: Sent,
    },
}

/// How many bytes of a request were sent so far.
pub type Sent = Arc<AtomicU64>;

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match &mut *self {
            Self::Bytes(bytes) if bytes.is_empty() => None,
            Self::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Self::File { left: 0, .. } => None,
            Self::File { file, left, sent } => Some(read(file, left, sent).map(Frame::data)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

impl Content {
    /// How much of it is left to send, in bytes.
    #[must_use]
    pub fn left(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::File { left, .. } => *left,
        }
    }
}

fn read(file: &mut File, left: &mut u64, sent: &Sent) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(*left).unwrap_or(PIECE).min(PIECE)];
    let count = file.read(&mut piece)?;
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
    }
    piece.truncate(count);
    let count = u64::try_from(count).unwrap_or_default();
    *left = left.saturating_sub(count);
    sent.fetch_add(count, Ordering::Relaxed);
    Ok(piece.into())
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What came with it.
    pub body: Bytes,
}

/// A client. It keeps connections for the next request.
#[derive(Debug, Clone)]
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Content>);

impl Client {
    /// One that trusts the system's certificate authorities. It reads them only if it is to speak TLS, because that takes longer than a request.
    ///
    /// # Errors
    /// There are none. The text says what to do.
    pub fn new(with_tls: bool) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        if with_tls {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("no certificate authorities: install ca-certificates in the image, or set SSL_CERT_FILE".to_owned());
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request, and waits for the whole answer as long as something moves: bytes of the request, or of the answer.
    ///
    /// # Errors
    /// There is no answer, or one that is longer than that.
    pub async fn send(&self, request: http::Request<Content>, sent: &Sent, patience: Duration, longest: usize) -> Result<Answer, Refusal> {
        let place = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let mut response = pin!(self.0.request(request));
        let mut before = sent.load(Ordering::Relaxed);
        let response = loop {
            match timeout(patience, &mut response).await {
                Ok(Ok(response)) => break response,
                Ok(Err(error)) => return Err(Refusal::passing(format!("{place}: {}", chain(&error)))),
                Err(_) if sent.load(Ordering::Relaxed) == before => return Err(silent(&place, patience)),
                Err(_) => before = sent.load(Ordering::Relaxed),
            }
        };
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), longest).collect();
        match timeout(patience, body).await {
            Ok(Ok(body)) => Ok(Answer {
                status,
                body: body.to_bytes(),
            }),
            Ok(Err(error)) => Err(Refusal::passing(format!("{place}: {error}"))),
            Err(_) => Err(silent(&place, patience)),
        }
    }
}

fn silent(place: &str, patience: Duration) -> Refusal {
    Refusal::passing(format!("{place}: no answer within {} s", patience.as_secs()))
}

/// An error with what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn of_file(bytes: &[u8], left: u64) -> (Content, Sent) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let sent = Sent::default();
        let content = Content::File {
            file,
            left,
            sent: sent.clone(),
        };
        (content, sent)
    }

    #[tokio::test]
    async fn a_file_is_sent_in_pieces() {
        let bytes = vec![7; PIECE * 2 + 1];
        let length = u64::try_from(bytes.len()).unwrap();
        let (content, sent) = of_file(&bytes, length);
        assert_eq!(content.size_hint().exact(), Some(length));
        assert_eq!(content.collect().await.unwrap().to_bytes(), bytes);
        assert_eq!(sent.load(Ordering::Relaxed), length);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let (content, _) = of_file(b"abc", 5);
        assert!(content.collect().await.is_err());
    }
}
