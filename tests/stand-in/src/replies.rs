//! Answers in the form of the service that is asked.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::calls::{Call, Protocol};
use crate::cbor;
use crate::support::uuid;

/// The content type of CBOR.
pub(crate) const CBOR: &str = "application/cbor";

/// A successful answer of a service that is answered here.
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// What the journal adds to the request's summary.
    pub(crate) note: Option<String>,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { body, note: None }
    }
}

/// A successful answer of a service over REST, where not all answers have the same status and headers.
pub(crate) struct Reply {
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
    /// The body; none where it is null.
    body: Value,
    /// What the journal adds to the request's summary.
    pub(crate) note: Option<String>,
}

impl From<Value> for Reply {
    fn from(body: Value) -> Self {
        Self {
            status: StatusCode::OK,
            headers: Vec::new(),
            body,
            note: None,
        }
    }
}

impl Reply {
    /// The same with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with a further header.
    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same with a note for the journal.
    pub(crate) fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    pub(crate) fn respond(&self) -> Response<Body> {
        let body = if self.body.is_null() {
            String::new()
        } else {
            self.body.to_string()
        };
        let mut response = respond(self.status, "application/json", &uuid(), body);
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(*name, value);
            }
        }
        response
    }
}

/// An error as AWS services answer it.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct AwsError {
    status: StatusCode,
    code: String,
    message: String,
    /// Further members of the error's structure.
    details: Map<String, Value>,
}

impl AwsError {
    /// An error that is the caller's: 400.
    pub(crate) fn client(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            details: Map::new(),
        }
    }

    /// The same error with a further member.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.details.insert(name.to_owned(), value);
        self
    }

    /// An operation that the stand-in does not have.
    pub(crate) fn unknown_operation(call: &Call) -> Self {
        let message = format!("The stand-in has no {} {}", call.service, call.operation);
        Self::client("UnknownOperationException", message)
    }

    /// The throttling error of the service.
    pub(crate) fn throttle(call: &Call) -> Self {
        match (call.service.as_str(), call.protocol) {
            ("dynamodb", _) => Self::client(
                "ProvisionedThroughputExceededException",
                "The level of configured provisioned throughput for the table was exceeded.",
            ),
            // https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html
            ("lambda", _) => Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate exceeded")
                .with("Reason", "CallerRateLimitExceeded".into())
                .with("Type", "User".into()),
            (_, Protocol::S3) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate."),
            (_, Protocol::Query) => Self::client("Throttling", "Rate exceeded"),
            (_, Protocol::Json(_) | Protocol::RestJson | Protocol::Cbor) => Self::client("ThrottlingException", "Rate exceeded"),
        }
    }

    /// The internal error of the service.
    pub(crate) fn server(call: &Call) -> Self {
        let code = match (call.service.as_str(), call.protocol) {
            ("ecs", _) => "ServerException",
            ("dynamodb", _) => "InternalServerError",
            ("lambda", _) => "ServiceException",
            (_, Protocol::S3) => "InternalError",
            (_, Protocol::Query | Protocol::Json(_) | Protocol::RestJson | Protocol::Cbor) => "InternalFailure",
        };
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            code,
            "Service unavailable. Please try again later.",
        )
    }

    /// The error as the service's protocol has it.
    pub(crate) fn respond(&self, call: &Call) -> Response<Body> {
        let request_id = uuid();
        let (content_type, body) = match call.protocol {
            Protocol::Json(version) => (json_type(version), self.json(call).to_string().into()),
            Protocol::RestJson => ("application/json", self.json(call).to_string().into()),
            Protocol::Cbor => (CBOR, cbor::write(&self.json(call)).into()),
            Protocol::Query => (
                "text/xml",
                Body::from(format!(
                    "<ErrorResponse><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error>\
                     <RequestId>{request_id}</RequestId></ErrorResponse>",
                    if self.status.is_server_error() { "Receiver" } else { "Sender" },
                    escape(&self.code),
                    escape(&self.message),
                )),
            ),
            Protocol::S3 => (
                "application/xml",
                Body::from(format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{}</Message>\
                     <RequestId>{request_id}</RequestId></Error>",
                    escape(&self.code),
                    escape(&self.message),
                )),
            ),
        };
        let mut response = respond(self.status, content_type, &request_id, body);
        if let Ok(code) = HeaderValue::from_str(&self.code) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }

    fn json(&self, call: &Call) -> Value {
        let namespace = if call.service == "dynamodb" {
            "com.amazonaws.dynamodb.v20120810#"
        } else {
            ""
        };
        let mut body = self.details.clone();
        body.insert("__type".into(), format!("{namespace}{}", self.code).into());
        body.insert("message".into(), self.message.clone().into());
        Value::Object(body)
    }
}

/// A success in a protocol of JSON or of CBOR.
pub(crate) fn success(call: &Call, body: &Value) -> Response<Body> {
    let content_type = match call.protocol {
        Protocol::Cbor => return respond(StatusCode::OK, CBOR, &uuid(), cbor::write(body)),
        Protocol::Json(version) => json_type(version),
        Protocol::RestJson | Protocol::Query | Protocol::S3 => "application/json",
    };
    respond(StatusCode::OK, content_type, &uuid(), body.to_string())
}

/// A success in the query protocol.
pub(crate) fn xml(body: String) -> Response<Body> {
    respond(StatusCode::OK, "text/xml", &uuid(), body)
}

fn json_type(version: &str) -> &'static str {
    if version == "1.0" {
        "application/x-amz-json-1.0"
    } else {
        "application/x-amz-json-1.1"
    }
}

fn respond(status: StatusCode, content_type: &'static str, request_id: &str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if content_type == CBOR {
        // https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
