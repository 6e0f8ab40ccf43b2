//! Answers in the form of the service that is asked.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::calls::{Call, Protocol};
use crate::support::uuid;

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
            (_, Protocol::S3) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate."),
            (_, Protocol::Query) => Self::client("Throttling", "Rate exceeded"),
            (_, Protocol::Json(_) | Protocol::RestJson) => Self::client("ThrottlingException", "Rate exceeded"),
        }
    }

    /// The internal error of the service.
    pub(crate) fn server(call: &Call) -> Self {
        let code = match (call.service.as_str(), call.protocol) {
            ("ecs", _) => "ServerException",
            ("dynamodb", _) => "InternalServerError",
            (_, Protocol::S3) => "InternalError",
            (_, Protocol::Query | Protocol::Json(_) | Protocol::RestJson) => "InternalFailure",
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
            Protocol::Json(version) => (json_type(version), self.json(call)),
            Protocol::RestJson => ("application/json", self.json(call)),
            Protocol::Query => (
                "text/xml",
                format!(
                    "<ErrorResponse><Error><Type>{}</Type><Code>{}</Code><Message>{}</Message></Error>\
                     <RequestId>{request_id}</RequestId></ErrorResponse>",
                    if self.status.is_server_error() { "Receiver" } else { "Sender" },
                    escape(&self.code),
                    escape(&self.message),
                ),
            ),
            Protocol::S3 => (
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{}</Code><Message>{}</Message>\
                     <RequestId>{request_id}</RequestId></Error>",
                    escape(&self.code),
                    escape(&self.message),
                ),
            ),
        };
        let mut response = respond(self.status, content_type, &request_id, body);
        if let Ok(code) = HeaderValue::from_str(&self.code) {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    }

    fn json(&self, call: &Call) -> String {
        let namespace = if call.service == "dynamodb" {
            "com.amazonaws.dynamodb.v20120810#"
        } else {
            ""
        };
        let mut body = self.details.clone();
        body.insert("__type".into(), format!("{namespace}{}", self.code).into());
        body.insert("message".into(), self.message.clone().into());
        Value::Object(body).to_string()
    }
}

/// A success in the JSON protocol.
pub(crate) fn success(call: &Call, body: &Value) -> Response<Body> {
    let content_type = match call.protocol {
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

fn respond(status: StatusCode, content_type: &'static str, request_id: &str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
