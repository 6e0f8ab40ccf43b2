//! The record: every request with its answer, and every event, as lines of JSON in a file, for those who hold them against AWS's own models.
//!
//! A process writes one file, and each kind of exchange once: what differs in ids and times alone is the same kind. Secrets are not written: no signature,
//! no session token, no value of a variable, nothing of what stands in the ledger, in objects or in files of a repository.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::calls::{Call, Protocol};
use crate::support::lock;
use crate::{cbor, lambda, replies};

/// Names the folder of the record.
pub(crate) const VARIABLE: &str = "BELLHOP_RECORD";

/// Headers that are parameters of no operation, or secrets.
const UNWRITTEN: [&str; 4] = ["x-amz-security-token", "x-amz-date", "x-amz-user-agent", "x-amz-content-sha256"];
/// Headers of requests that may be parameters of S3's, beside all that begin with `x-amz-`.
const WRITTEN: [&str; 8] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-md5",
    "content-type",
    "if-match",
    "if-none-match",
    "range",
];
/// What is told in a line, and not asked.
const LOOSE: [&str; 2] = ["answer", "event"];
/// Up to this length, two texts of requests with other lengths are two kinds of text: most bounds are below.
const BOUNDED: usize = 256;
/// Up to this length, the order of a text's characters counts.
const SHORT: usize = 64;
/// A text of letters up to this length may be a word of an enumeration.
const WORD: usize = 32;
/// Up to this, two numbers are two kinds of number.
const SMALL: u64 = 4096;

/// The files that are open in this process, by folder: stand-ins of one process share one.
static OPEN: Mutex<BTreeMap<PathBuf, Arc<Mutex<Open>>>> = Mutex::new(BTreeMap::new());

struct Open {
    file: File,
    kinds: HashSet<u64>,
}

/// Writes the record. Clones write to the same file.
#[derive(Clone)]
pub(crate) struct Recorder {
    open: Arc<Mutex<Open>>,
}

/// A request and what became of it.
pub(crate) struct Exchange<'a> {
    pub(crate) call: &'a Call,
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a Bytes,
    /// The name of the fault that was injected.
    pub(crate) fault: Option<&'a str>,
    /// None where the connection was cut.
    pub(crate) status: Option<StatusCode>,
    /// What the stand-in itself answered.
    pub(crate) answer: Option<(&'a HeaderMap, &'a Bytes)>,
}

#[derive(Serialize)]
struct Line<'a> {
    service: &'a str,
    operation: &'a str,
    method: &'a str,
    path: String,
    headers: Map<String, Value>,
    body: Value,
    /// The program's name in its User-Agent, such as `aws-sdk-rust`.
    client: Option<&'a str>,
    caller: Option<&'a str>,
    fault: Option<&'a str>,
    status: Option<u16>,
    answer: Option<Value>,
}

impl Recorder {
    /// The recorder of this process for a folder, which is created where it is missing.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        let mut all = lock(&OPEN);
        if let Some(open) = all.get(folder) {
            return Ok(Self { open: open.clone() });
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let path = file(folder);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let open = Arc::new(Mutex::new(Open {
            file,
            kinds: HashSet::new(),
        }));
        all.insert(folder.to_owned(), open.clone());
        Ok(Self { open })
    }

    /// Writes a request with its answer, if there was none of its kind.
    pub(crate) fn exchange(&self, exchange: &Exchange<'_>) {
        let Exchange { call, parts, .. } = exchange;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let answer = exchange.answer.map(|(headers, body)| {
            let headers: Map<String, Value> = ["content-type", "x-amzn-errortype", "x-amzn-requestid"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.into())))
                .collect();
            let body = match headers.get("content-type").and_then(Value::as_str) {
                Some(replies::CBOR) => cbor::read(body).map_or(Value::Null, masked),
                _ => written(body),
            };
            json!({ "headers": headers, "body": body })
        });
        self.write(&Line {
            service: &call.service,
            operation: &call.operation,
            method: parts.method.as_str(),
            path: path.to_owned(),
            headers: headers(&parts.headers),
            body: body_of(call, parts, exchange.body),
            client: client(&parts.headers),
            caller: call.caller.as_deref(),
            fault: exchange.fault,
            status: exchange.status.map(|status| status.as_u16()),
            answer,
        });
    }

    /// Writes an event, if there was none of its kind.
    pub(crate) fn event(&self, envelope: &Value) {
        let mut event = envelope.clone();
        mask(&mut event, false);
        self.write(&json!({ "event": event }));
    }

    fn write(&self, line: &impl Serialize) {
        let Ok(line) = serde_json::to_value(line) else {
            return;
        };
        let mut kind = DefaultHasher::new();
        likeness(&line, true, &mut kind);
        let mut open = lock(&self.open);
        if open.kinds.insert(kind.finish())
            && let Err(error) = open.file.write_all(format!("{line}\n").as_bytes())
        {
            tracing::error!("the record cannot be written: {error}");
        }
    }
}

/// The file of this process in a folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_stem).and_then(|name| name.to_str());
    folder.join(format!("{}-{}.jsonl", program.unwrap_or("unnamed"), std::process::id()))
}

fn headers(all: &HeaderMap) -> Map<String, Value> {
    let parameters = all.iter().filter(|(name, _)| {
        let name = name.as_str();
        (name.starts_with("x-amz-") || WRITTEN.contains(&name)) && !UNWRITTEN.contains(&name) && !name.contains("customer-key")
    });
    parameters
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect()
}

fn client(headers: &HeaderMap) -> Option<&str> {
    let agent = headers.get("user-agent")?.to_str().ok()?;
    agent.split(['/', ' ']).next()
}

/// The body of a request: the fields of a form as pairs, JSON as it is, CBOR as JSON, XML as text, and of an object, and of what a function gets or is made
/// of, only how long it is.
fn body_of(call: &Call, parts: &Parts, body: &Bytes) -> Value {
    match call.protocol {
        Protocol::Query => form_urlencoded::parse(body).map(|(name, value)| json!([name, value])).collect(),
        Protocol::S3 if matches!(call.operation.as_str(), "PutObject" | "UploadPart") => json!({ "bytes": body.len() }),
        Protocol::S3 => String::from_utf8_lossy(body).into(),
        Protocol::RestJson if call.service == "lambda" && parts.method != Method::GET && !lambda::has_parameters(&call.operation) => {
            json!({ "bytes": body.len() })
        }
        Protocol::Cbor => call.body.clone().map_or(Value::Null, masked),
        Protocol::Json(_) | Protocol::RestJson => written(body),
    }
}

/// JSON without its secrets, or a text.
fn written(body: &Bytes) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    match serde_json::from_slice(body) {
        Ok(body) => masked(body),
        Err(_) => String::from_utf8_lossy(body).into(),
    }
}

/// The same without its secrets.
fn masked(mut body: Value) -> Value {
    mask(&mut body, false);
    body
}

/// Takes out what may be secret, and leaves how long it was: the values of variables, the texts of items, and the contents of files.
fn mask(value: &mut Value, of_variables: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, of_variables)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("value", Value::String(text)) if of_variables => *text = "x".repeat(text.len()),
                    ("S", Value::String(text)) => *text = "x".repeat(text.len().min(SHORT)),
                    ("input", Value::String(text)) => *text = masked_input(text),
                    ("fileContent" | "ZipFile", Value::String(text)) => *text = text.replace(|character| character != '=', "A"),
                    (name, member) => mask(member, name.to_ascii_lowercase().contains("environment")),
                }
            }
        }
        _ => {}
    }
}

/// The input of an execution, whose `environment` has the values of variables.
fn masked_input(input: &str) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str(input) else {
        return "x".repeat(input.len());
    };
    for value in members.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let length = value.as_str().map_or(0, str::len);
        *value = "x".repeat(length).into();
    }
    Value::Object(members).to_string()
}

/// What two values of the same kind have in common: the members of structures, words, how long texts are and what stands in them beside letters and digits.
/// Of a request, whose parameters have bounds, the lengths and small numbers are exact.
fn likeness(value: &Value, exact: bool, kind: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(kind),
        Value::Bool(value) => value.hash(kind),
        Value::Number(number) => match number.as_u64() {
            Some(small) if exact && small <= SMALL => small.hash(kind),
            Some(large) => (1_u8, large.checked_ilog2()).hash(kind),
            None => (2_u8, number.is_i64()).hash(kind),
        },
        Value::String(text) => likeness_of_text(text, exact, kind),
        Value::Array(items) => {
            let kinds = items.iter().map(|item| {
                let mut kind = DefaultHasher::new();
                likeness(item, exact, &mut kind);
                kind.finish()
            });
            let kinds: BTreeSet<u64> = kinds.collect();
            (3_u8, items.len().next_power_of_two(), kinds).hash(kind);
        }
        Value::Object(members) => {
            (4_u8, members.len()).hash(kind);
            for (name, member) in members {
                name.hash(kind);
                likeness(member, exact && !LOOSE.contains(&name.as_str()), kind);
            }
        }
    }
}

fn likeness_of_text(text: &str, exact: bool, kind: &mut DefaultHasher) {
    if text.len() <= WORD && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
        text.hash(kind);
        return;
    }
    let class = |character: char| match character {
        _ if character.is_ascii_alphanumeric() => 'x',
        _ if character.is_ascii() => character,
        _ => 'u',
    };
    let length = if exact && text.len() <= BOUNDED {
        text.len()
    } else {
        text.len().next_power_of_two()
    };
    if text.len() <= SHORT {
        let mut classes: Vec<char> = text.chars().map(class).collect();
        classes.dedup();
        (length, classes).hash(kind);
    } else {
        let classes: BTreeSet<char> = text.chars().map(class).collect();
        (length, classes).hash(kind);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::http::Request;

    use super::*;

    fn recorder() -> (tempfile::TempDir, Recorder) {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::of(folder.path()).unwrap();
        (folder, recorder)
    }

    fn lines(folder: &tempfile::TempDir) -> Vec<Value> {
        let text = std::fs::read_to_string(file(folder.path())).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Records a request with its answer.
    fn record(recorder: &Recorder, service: &str, target: &str, body: &Value, answer: &Value) {
        let request = Request::post("/")
            .header("x-amz-target", target)
            .header("x-amz-security-token", "a-session-token")
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential=a/b/c/{service}/aws4_request, Signature=a-signature"),
            )
            .header("user-agent", "aws-sdk-rust/1.3.10 os/linux app/bellhop-push")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let body = Bytes::from(body.to_string());
        recorder.exchange(&Exchange {
            call: &Call::identify(&parts, &body),
            parts: &parts,
            body: &body,
            fault: None,
            status: Some(StatusCode::OK),
            answer: Some((&HeaderMap::new(), &Bytes::from(answer.to_string()))),
        });
    }

    #[test]
    fn a_line_has_what_a_model_speaks_of() {
        let (folder, recorder) = recorder();
        let asked = json!({ "cluster": "ci", "tasks": ["1"] });
        let target = "AmazonEC2ContainerServiceV20141113.DescribeTasks";
        record(&recorder, "ecs", target, &asked, &json!({ "tasks": [], "failures": [] }));
        let [line]: [Value; 1] = lines(&folder).try_into().unwrap();
        let expected = json!({
            "service": "ecs", "operation": "DescribeTasks", "method": "POST", "path": "/", "headers": { "x-amz-target": target },
            "body": asked, "client": "aws-sdk-rust", "caller": "bellhop-push", "fault": null, "status": 200,
            "answer": { "headers": {}, "body": { "tasks": [], "failures": [] } },
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn no_secret_is_written() {
        let (folder, recorder) = recorder();
        let secret = "correct-horse-battery-staple";
        let variables = json!([{ "name": "TOKEN", "value": secret }]);
        let overrides = json!({ "containerOverrides": [{ "name": "agent", "environment": variables }] });
        for (service, target, body, answer) in [
            (
                "ecs",
                "E.RunTask",
                json!({ "overrides": overrides }),
                json!({ "tasks": [{ "overrides": overrides }] }),
            ),
            (
                "codebuild",
                "C.StartBuild",
                json!({ "environmentVariablesOverride": variables }),
                json!({ "build": { "environment": { "environmentVariables": variables }, "exportedEnvironmentVariables": variables } }),
            ),
            (
                "dynamodb",
                "DynamoDB_20120810.PutItem",
                json!({ "Item": { "doc": { "S": format!("{{\"TOKEN\":\"{secret}\"}}") } } }),
                json!({}),
            ),
            (
                "states",
                "AWSStepFunctions.StartExecution",
                json!({ "input": json!({ "environment": { "TOKEN": secret } }).to_string() }),
                json!({ "input": secret }),
            ),
            (
                "codecommit",
                "C.GetFile",
                json!({}),
                json!({ "fileContent": "Y29ycmVjdC1ob3JzZQ==" }),
            ),
        ] {
            record(&recorder, service, target, &body, &answer);
        }
        recorder.event(&json!({ "detail": { "overrides": overrides } }));
        recorder.event(&json!({ "detail": { "additional-information": { "environment": { "environment-variables": variables } } } }));
        let lines = lines(&folder);
        assert_eq!(lines.len(), 7);
        let text = format!("{lines:?}");
        for secret in [secret, "a-session-token", "a-signature", "Y29ycmVjdC1ob3JzZQ"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("AAAAAAAAAAAAAAAAAA=="), "{text}");
    }

    /// Records a request of a service without `X-Amz-Target`.
    fn record_rest(recorder: &Recorder, service: &str, request: axum::http::request::Builder, body: Vec<u8>) {
        let scope = format!("AWS4-HMAC-SHA256 Credential=a/b/c/{service}/aws4_request, Signature=a-signature");
        let (parts, ()) = request.header("authorization", scope).body(()).unwrap().into_parts();
        let body = Bytes::from(body);
        let headers = HeaderMap::from_iter([(axum::http::header::CONTENT_TYPE, replies::CBOR.parse().unwrap())]);
        recorder.exchange(&Exchange {
            call: &Call::identify(&parts, &body),
            parts: &parts,
            body: &body,
            fault: None,
            status: Some(StatusCode::OK),
            answer: Some((&headers, &Bytes::from(cbor::write(&json!({ "Answered": true }))))),
        });
    }

    #[test]
    fn of_a_deployment_everything_but_the_package_is_written() {
        let (folder, recorder) = recorder();
        let functions = "/2015-03-31/functions/shop";
        let update = json!({ "ZipFile": "UEsDBHNlY3JldA==", "RevisionId": "r" }).to_string().into_bytes();
        record_rest(&recorder, "lambda", Request::put(format!("{functions}/code")), update);
        record_rest(
            &recorder,
            "lambda",
            Request::post(format!("{functions}/invocations")),
            b"secret".to_vec(),
        );
        record_rest(
            &recorder,
            "lambda",
            Request::post("/2015-03-31/functions"),
            b"{\"Code\":\"secret\"}".to_vec(),
        );
        let bodies: Vec<Value> = lines(&folder).into_iter().map(|mut line| line["body"].take()).collect();
        let package = json!({ "ZipFile": "AAAAAAAAAAAAAA==", "RevisionId": "r" });
        assert_eq!(bodies, [package, json!({ "bytes": 6 }), json!({ "bytes": 17 })]);
    }

    #[test]
    fn cbor_is_written_as_json() {
        let (folder, recorder) = recorder();
        let request = Request::post("/service/GraniteServiceVersion20100801/operation/DescribeAlarms");
        let asked = json!({ "AlarmNames": ["errors"] });
        let request = request.header("smithy-protocol", "rpc-v2-cbor");
        record_rest(&recorder, "monitoring", request, cbor::write(&asked));
        let [line]: [Value; 1] = lines(&folder).try_into().unwrap();
        assert_eq!((&line["operation"], &line["body"]), (&json!("DescribeAlarms"), &asked));
        assert_eq!(line["answer"]["body"], json!({ "Answered": true }));
    }

    #[test]
    fn each_kind_is_written_once() {
        let (folder, recorder) = recorder();
        let ask = |task: &str, status: &str| {
            let body = json!({ "task": task });
            record(
                &recorder,
                "ecs",
                "E.StopTask",
                &body,
                &json!({ "task": { "taskArn": task, "lastStatus": status } }),
            );
        };
        ask("0123456789abcdef0123456789abcdef", "RUNNING");
        ask("fedcba9876543210fedcba9876543210", "RUNNING");
        assert_eq!(lines(&folder).len(), 1);
        for (task, status) in [
            // Another word, another length, another character.
            ("0123456789abcdef0123456789abcdef", "STOPPED"),
            ("0123456789abcdef0123456789abcde", "RUNNING"),
            ("0123456789abcdef-123456789abcdef", "RUNNING"),
        ] {
            let before = lines(&folder).len();
            ask(task, status);
            assert_eq!(lines(&folder).len(), before + 1, "{task} {status}");
        }
    }

    #[test]
    fn stand_ins_of_one_process_write_one_file() {
        let (folder, recorder) = recorder();
        let other = Recorder::of(folder.path()).unwrap();
        for recorder in [recorder, other] {
            recorder.event(&json!({ "source": "aws.ecs" }));
        }
        assert_eq!(lines(&folder).len(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
