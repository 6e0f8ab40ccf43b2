//! HTTP requests to the [function URL](https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads) of `control`, in payload format
//! 2.0. The URL has the authentication type `AWS_IAM`, so that Lambda verifies the signature and writes the caller into the event.
//!
//! A principal that may invoke the function itself can write every event, also one that looks like this. Such an event cannot have the id of its own
//! invocation: Lambda makes the id after it has taken the event, and a function URL writes it into `requestContext.requestId`.

use bellhop_domain::ids::Arn;
use bellhop_domain::request::Submitted;
use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::control;

/// The longest body that is read, in bytes. The longest request has less than 2 KiB.
const LONGEST_BODY: usize = 16 * 1024;

/// A request with its verified sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The principal that signed the HTTP request.
    pub caller: Arn,
    /// The request.
    pub submitted: Submitted,
}

/// Why an HTTP request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The reason, in one line.
    pub message: String,
}

impl Rejection {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

/// Whether an object looks like an HTTP request that a function URL, or an API, has passed on.
#[must_use]
pub fn is_http(object: &Map<String, Value>) -> bool {
    object.contains_key("requestContext")
}

/// Parses the event of an HTTP request. `invocation` is the id of the invocation that the event came with.
///
/// # Errors
/// The HTTP status, and one line that says what was expected.
pub fn call(event: &Value, invocation: &str) -> Result<Call, Rejection> {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str);
    if text("/version") != Some("2.0") || text("/requestContext/http/method").is_none() {
        return Err(Rejection::new(400, "expected an HTTP request to the function URL"));
    }
    // Before anything else is believed.
    if text("/requestContext/requestId") != Some(invocation) {
        return Err(Rejection::new(
            403,
            "the event does not have the id of its invocation, so the function URL did not write it",
        ));
    }
    let caller = text("/requestContext/authorizer/iam/userArn").and_then(|arn| arn.parse().ok());
    let Some(caller) = caller else {
        return Err(Rejection::new(
            403,
            "IAM did not verify the caller: the function URL needs the authentication type AWS_IAM",
        ));
    };
    if text("/requestContext/http/method") != Some("POST") {
        return Err(Rejection::new(405, "expected the method POST"));
    }
    let request = body(event)?;
    let submitted = control::submitted(&request).map_err(|message| Rejection::new(400, message))?;
    Ok(Call { caller, submitted })
}

/// The JSON in the body. Lambda encodes a body in Base64 unless its content type says that it is text or JSON.
fn body(event: &Value) -> Result<Value, Rejection> {
    let body = event.get("body").and_then(Value::as_str).unwrap_or_default();
    let too_long = || Rejection::new(413, format!("the body: expected at most {LONGEST_BODY} bytes"));
    let bytes = match event.get("isBase64Encoded") {
        // What is longer than this is too long when it is decoded.
        Some(Value::Bool(true)) if body.len() > LONGEST_BODY.div_ceil(3) * 4 => return Err(too_long()),
        Some(Value::Bool(true)) => BASE64
            .decode(body.as_bytes())
            .map_err(|_| Rejection::new(400, "the body: expected Base64, as isBase64Encoded says"))?,
        _ => body.as_bytes().to_vec(),
    };
    if bytes.len() > LONGEST_BODY {
        return Err(too_long());
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        Rejection::new(
            400,
            format!(
                "the body: expected a request as JSON, but it is invalid at line {}, column {}",
                error.line(),
                error.column()
            ),
        )
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::request::Request;
    use serde_json::json;

    use super::*;

    const ID: &str = "c2ebafd0-93fa-4042-af9d-a30e9019293d";
    const ANNA: &str = "arn:aws:sts::123456789012:assumed-role/dev/anna";
    const SHOW: &str = r#"{ "show": { "run": "abcdefghij" } }"#;

    fn event() -> Value {
        json!({
            "version": "2.0",
            "requestContext": {
                "authorizer": { "iam": { "userArn": ANNA, "userId": "AROAEXAMPLE:anna" } },
                "http": { "method": "POST", "path": "/" },
                "requestId": ID,
            },
            "body": SHOW,
            "isBase64Encoded": false,
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut event = event();
        *event.pointer_mut(path).unwrap() = value;
        event
    }

    fn refused(event: &Value) -> (u16, String) {
        let Rejection { status, message } = call(event, ID).unwrap_err();
        assert!(!message.contains('\n'), "{message:?}");
        (status, message)
    }

    #[test]
    fn a_signed_request_has_its_caller() {
        let expected = Call {
            caller: ANNA.parse().unwrap(),
            submitted: Request::Show("abcdefghij".parse().unwrap()).into(),
        };
        assert_eq!(call(&event(), ID), Ok(expected.clone()));
        let mut encoded = with("/body", BASE64.encode(SHOW.as_bytes()).into());
        encoded["isBase64Encoded"] = json!(true);
        assert_eq!(call(&encoded, ID), Ok(expected));
    }

    #[test]
    fn a_schedule_in_the_body_does_not_replace_the_caller() {
        let schedule = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly";
        let body = json!({ "start": { "repository": "shop" }, "schedule": schedule }).to_string();
        let call = call(&with("/body", body.into()), ID).unwrap();
        assert_eq!(call.caller, ANNA.parse().unwrap());
        assert_eq!(call.submitted.schedule, Some(schedule.parse().unwrap()));
    }

    #[test]
    fn an_event_that_the_url_did_not_write_names_nobody() {
        let another = "the event does not have the id of its invocation, so the function URL did not write it";
        for id in [json!(null), json!(""), json!("c2ebafd0-93fa-4042-af9d-a30e9019293e"), json!([ID])] {
            assert_eq!(refused(&with("/requestContext/requestId", id)), (403, another.to_owned()));
        }
        let unsigned = "IAM did not verify the caller: the function URL needs the authentication type AWS_IAM";
        for (path, value) in [
            ("/requestContext/authorizer", json!(null)),
            ("/requestContext/authorizer", json!({ "lambda": { "userArn": ANNA } })),
            ("/requestContext/authorizer/iam", json!(null)),
            ("/requestContext/authorizer/iam/userArn", json!(null)),
            ("/requestContext/authorizer/iam/userArn", json!("anna")),
            ("/requestContext/authorizer/iam/userArn", json!(format!("{ANNA}\n{ANNA}"))),
        ] {
            assert_eq!(refused(&with(path, value)), (403, unsigned.to_owned()), "{path}");
        }
    }

    #[test]
    fn what_is_no_http_request_is_refused() {
        let expected = "expected an HTTP request to the function URL";
        for event in [
            json!({ "start": { "repository": "shop" } }),
            json!([]),
            json!("x"),
            with("/version", json!("1.0")),
            with("/requestContext/http", json!(null)),
        ] {
            assert_eq!(refused(&event), (400, expected.to_owned()));
        }
        assert!(is_http(event().as_object().unwrap()));
        assert!(!is_http(json!({ "start": {} }).as_object().unwrap()));
    }

    #[test]
    fn the_status_says_what_is_wrong_with_the_request() {
        for (path, value, status, words) in [
            ("/requestContext/http/method", json!("GET"), 405, "expected the method POST"),
            ("/requestContext/http/method", json!("post"), 405, "expected the method POST"),
            (
                "/body",
                json!(null),
                400,
                "the body: expected a request as JSON, but it is invalid at line 1, column 0",
            ),
            ("/body", json!("{ \"start\": "), 400, "the body: expected a request as JSON"),
            ("/body", json!("[]"), 400, "the input: expected an object with the keys start,"),
            ("/body", json!("{}"), 400, "expected exactly one of the keys start,"),
            ("/body", json!(r#"{ "strat": {} }"#), 400, "strat: unknown key; did you mean start?"),
            ("/body", json!("[".repeat(10_000)), 400, "the body: expected a request as JSON"),
            (
                "/body",
                json!(" ".repeat(LONGEST_BODY + 1)),
                413,
                "the body: expected at most 16384 bytes",
            ),
            ("/isBase64Encoded", json!(true), 400, "the body: expected Base64"),
        ] {
            let (found, message) = refused(&with(path, value));
            assert!(found == status && message.starts_with(words), "{path}: {found} {message}");
        }
        for (length, status) in [(LONGEST_BODY, 400), (LONGEST_BODY + 1, 413), (1024 * 1024, 413)] {
            let mut event = with("/body", BASE64.encode(&vec![b' '; length]).into());
            event["isBase64Encoded"] = json!(true);
            assert_eq!(refused(&event).0, status, "{length}");
        }
        let mut latin = with("/body", BASE64.encode(b"{\"show\":\"\xe9\"}").into());
        latin["isBase64Encoded"] = json!(true);
        assert_eq!(refused(&latin).0, 400);
    }
}
