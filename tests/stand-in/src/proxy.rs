//! Forwarding to the local AWS.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use serde_json::Value;

use crate::Options;
use crate::replies::AwsError;

/// Headers of one connection, which are not the other connection's.
const OF_THE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // The body is complete by now, so nobody waits for leave to send it.
    header::EXPECT,
];

/// The local AWS behind the stand-in, if there is one.
#[derive(Clone)]
pub(crate) struct Upstream {
    base: Option<String>,
    client: reqwest::Client,
    /// The access key and the region in the signatures of requests of the stand-in's own.
    account: String,
    region: String,
}

impl Upstream {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            // Shorter than any server keeps an idle connection, so that no request is sent on one that is being
            // closed: such a request could not be repeated without knowing whether it took effect.
            .pool_idle_timeout(Duration::from_secs(1))
            .build()
            .context("cannot set up the HTTP client")?;
        let base = options.upstream.as_ref();
        Ok(Self {
            base: base.map(|base| base.trim_end_matches('/').to_owned()),
            client,
            account: options.account.clone(),
            region: options.region.clone(),
        })
    }

    /// Forwards a request as it is and returns the answer as it is.
    ///
    /// # Errors
    /// There is no upstream, or it does not answer.
    pub(crate) async fn forward(&self, parts: &Parts, body: Bytes) -> Result<Response<Body>, AwsError> {
        let Some(base) = &self.base else {
            return Err(AwsError::new(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "The stand-in has no upstream that would answer this",
            ));
        };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        strip(&mut headers);
        headers.remove(header::CONTENT_LENGTH);
        let mut request = self.client.request(parts.method.clone(), format!("{base}{path}")).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(unreachable)?;

        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        response.headers_mut().clone_from(answer.headers());
        strip(response.headers_mut());
        if parts.method != Method::HEAD {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(answer.bytes().await.map_err(unreachable)?);
        }
        Ok(response)
    }

    /// Puts events onto the upstream's default event bus. None without an upstream.
    ///
    /// # Errors
    /// The upstream cannot be reached or does not answer as EventBridge does.
    pub(crate) async fn put_events(&self, request: &Value) -> anyhow::Result<Option<Value>> {
        let Some(base) = &self.base else {
            return Ok(None);
        };
        let answer = self
            .client
            .post(base)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", "AWSEvents.PutEvents")
            .header(header::AUTHORIZATION, self.authorization("events"))
            .body(request.to_string())
            .send()
            .await?
            .error_for_status()?;
        Ok(Some(answer.json().await?))
    }

    /// Puts an object into a bucket of the upstream. Without an upstream it does nothing.
    ///
    /// # Errors
    /// The upstream cannot be reached, or it refuses.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, content: Vec<u8>) -> anyhow::Result<()> {
        let Some(base) = &self.base else {
            return Ok(());
        };
        let url = object_url(base, bucket, key)?;
        self.client
            .put(url)
            .header(header::AUTHORIZATION, self.authorization("s3"))
            .body(content)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Whether there is an upstream.
    pub(crate) fn is_there(&self) -> bool {
        self.base.is_some()
    }

    /// An object of a bucket of the upstream, or the body of the refusal, with the status. None without an upstream.
    ///
    /// # Errors
    /// The upstream cannot be reached.
    pub(crate) async fn get_object(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Option<(StatusCode, Vec<u8>)>, AwsError> {
        let Some(base) = &self.base else {
            return Ok(None);
        };
        let mut url =
            object_url(base, bucket, key).map_err(|error| AwsError::client("InvalidRequestContentException", error.to_string()))?;
        if let Some(version) = version {
            url.query_pairs_mut().append_pair("versionId", version);
        }
        let request = self.client.get(url).header(header::AUTHORIZATION, self.authorization("s3"));
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        Ok(Some((status, body.into())))
    }

    /// Invokes a function of the upstream without waiting for it, and returns the status. None without an upstream.
    ///
    /// # Errors
    /// The upstream cannot be reached.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Option<StatusCode>> {
        let Some(base) = &self.base else {
            return Ok(None);
        };
        let mut url = reqwest::Url::parse(base)?;
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the upstream has no paths"))?
            .extend(["2015-03-31", "functions", function, "invocations"]);
        let answer = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-amz-invocation-type", "Event")
            .header(header::AUTHORIZATION, self.authorization("lambda"))
            .body(event.to_string())
            .send()
            .await?;
        Ok(Some(answer.status()))
    }

    /// The Authorization header of a request of the stand-in's own. Local emulators read account, region and service
    /// out of the signature's scope; none verifies it.
    fn authorization(&self, service: &str) -> String {
        let (account, region) = (&self.account, &self.region);
        format!("AWS4-HMAC-SHA256 Credential={account}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0")
    }
}

fn object_url(base: &str, bucket: &str, key: &str) -> anyhow::Result<reqwest::Url> {
    let mut url = reqwest::Url::parse(base)?;
    url.path_segments_mut()
        .map_err(|()| anyhow::anyhow!("the upstream has no paths"))?
        .push(bucket)
        .extend(key.split('/'));
    Ok(url)
}

fn strip(headers: &mut HeaderMap) {
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn unreachable(error: reqwest::Error) -> AwsError {
    let message = format!("The upstream does not answer: {:#}", anyhow::Error::from(error));
    AwsError::new(StatusCode::BAD_GATEWAY, "BadGateway", message)
}
