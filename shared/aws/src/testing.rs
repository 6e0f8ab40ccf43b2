//! For the tests of this crate: a fake wire with prepared replies, which records requests.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use bellhop_domain::executor::{CodeBuildExecutor, EcsExecutor, Executor, Script};
use bellhop_domain::ids::AttemptId;
use bellhop_domain::inputs::Inputs;
use bellhop_domain::spec::{Bearing, BuildSpec, Relaunch, RetryPolicy, Successes};
use serde_json::{Value, json};

use crate::Aws;

/// A status and a body.
pub(crate) type Reply = (u16, String);

/// Headers of a reply, by their names.
pub(crate) type Headers = Vec<(&'static str, &'static str)>;

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    replies: VecDeque<(Reply, Headers)>,
    asked: Vec<(String, Value)>,
}

impl Wire {
    /// A fake AWS that returns these replies, one after the other, without retries.
    pub(crate) fn replying(replies: impl IntoIterator<Item = Reply>) -> (Aws, Self) {
        Self::with_headers(replies.into_iter().map(|reply| (reply, Vec::new())))
    }

    /// The same with headers.
    pub(crate) fn with_headers(replies: impl IntoIterator<Item = (Reply, Headers)>) -> (Aws, Self) {
        let wire = Self {
            shared: Arc::new(Mutex::new(State {
                replies: replies.into_iter().collect(),
                asked: Vec::new(),
            })),
        };
        let connector = SharedHttpConnector::new(wire.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        (Aws::new(config), wire)
    }

    /// The requested operations, with their bodies. An S3 operation is named by method and address, and has no body.
    ///
    /// Fails if some replies were not requested.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        let state = self.shared.lock().unwrap();
        assert!(
            state.replies.is_empty(),
            "{:?} not requested; requests: {:?}",
            state.replies,
            state.asked
        );
        state.asked.clone()
    }

    /// The names of the requested operations.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.asked().into_iter().map(|(operation, _)| operation).collect()
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let operation = match request.headers().get("x-amz-target") {
            Some(target) => target.split_once('.').unwrap().1.to_owned(),
            None => format!("{} {}", request.method(), request.uri()),
        };
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or(Value::Null);
        let mut state = self.shared.lock().unwrap();
        state.asked.push((operation, body));
        let none_left = ((599, "no reply is left".to_owned()), Vec::new());
        let ((status, text), headers) = state.replies.pop_front().unwrap_or(none_left);
        if (status, text.as_str()) == SILENCE {
            return HttpConnectorFuture::new(std::future::pending());
        }
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(text));
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

/// A success.
pub(crate) fn ok(body: &Value) -> Reply {
    (200, body.to_string())
}

/// An error of the caller.
pub(crate) fn refused(code: &str, message: &str) -> Reply {
    (400, json!({ "__type": code, "message": message }).to_string())
}

/// A fault of the service.
pub(crate) fn broken() -> Reply {
    (500, "{}".to_owned())
}

const SILENCE: (u16, &str) = (0, "silence");

/// No answer, ever.
pub(crate) fn silent() -> Reply {
    (SILENCE.0, SILENCE.1.to_owned())
}

/// A build for CodeBuild.
pub(crate) fn spec() -> BuildSpec {
    BuildSpec {
        id: "abcdefghij/image".parse().unwrap(),
        repository: "shop".parse().unwrap(),
        reference: "refs/heads/main".parse().unwrap(),
        commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        agent: "docker".parse().unwrap(),
        executor: Executor::CodeBuild(CodeBuildExecutor {
            project: "ci-docker".to_owned(),
            logs: None,
        }),
        script: Script::Inline("make image".to_owned()),
        environment: BTreeMap::from([("LEVEL".to_owned(), String::new())]),
        secrets: BTreeMap::new(),
        critical: false,
        timeout: Duration::from_secs(3600),
        queue_timeout: Duration::from_secs(7200),
        relaunch: Relaunch::Warning,
        retry: RetryPolicy::default(),
        needs: Vec::new(),
        successes: Successes::Changes,
        artifacts: Vec::new(),
        images: Vec::new(),
        inputs: Inputs::default(),
        limit: None,
        lock: None,
        pausable: false,
        role: None,
        bearing: Bearing::default(),
    }
}

/// The same for ECS.
pub(crate) fn ecs_spec() -> BuildSpec {
    BuildSpec {
        executor: Executor::Ecs(EcsExecutor {
            spot_cluster: None,
            on_demand_cluster: "ci".to_owned(),
            task_definition: "agent".to_owned(),
            container: "agent".to_owned(),
            subnets: vec!["subnet-0a".to_owned()],
            security_groups: Vec::new(),
            assign_public_ip: false,
            providers: None,
            logs: None,
        }),
        ..spec()
    }
}

pub(crate) fn attempt() -> AttemptId {
    AttemptId {
        build: spec().id,
        number: 2,
    }
}
