//! A stand-in per test, and the requests that an SDK would send it.

use std::ops::Deref;
use std::time::Duration;

use bellhop_stand_in::{Options, StandIn};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longer than anything takes here, so that a slow machine fails no test.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A stand-in with folders of its own, and a client of it.
pub(crate) struct Setup {
    pub(crate) stand_in: StandIn,
    pub(crate) client: reqwest::Client,
    pub(crate) folder: TempDir,
}

impl Deref for Setup {
    type Target = StandIn;

    fn deref(&self) -> &StandIn {
        &self.stand_in
    }
}

/// A stand-in with scripted agents and no upstream.
pub(crate) async fn start() -> Setup {
    start_with(|_, _| {}).await
}

/// A stand-in with further options; the folder is the test's own.
pub(crate) async fn start_with(adapt: impl FnOnce(&mut Options, &TempDir)) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(folder.path().join("repositories"));
    adapt(&mut options, &folder);
    Setup {
        stand_in: StandIn::start(options).await.unwrap(),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        folder,
    }
}

impl Setup {
    /// A request as the SDKs send it, not sent yet.
    pub(crate) fn request(&self, service: &str, target: &str, body: &Value) -> reqwest::RequestBuilder {
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0");
        let version = if ["cloudcontrolapi", "monitoring", "states"].contains(&service) {
            "1.0"
        } else {
            "1.1"
        };
        self.client
            .post(self.endpoint())
            .header("authorization", authorization)
            .header("x-amz-target", target)
            .header("content-type", format!("application/x-amz-json-{version}"))
            .body(body.to_string())
    }

    /// The status and the body of the answer.
    pub(crate) async fn call(&self, service: &str, target: &str, body: &Value) -> (u16, Value) {
        let answer = self.request(service, target, body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    pub(crate) async fn ecs_call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.call("ecs", &target, body).await
    }

    pub(crate) async fn codebuild_call(&self, operation: &str, body: &Value) -> (u16, Value) {
        self.call("codebuild", &format!("CodeBuild_20161006.{operation}"), body).await
    }

    /// StartBuild, and the id of the build.
    pub(crate) async fn start_build(&self, request: &Value) -> String {
        let (status, body) = self.codebuild_call("StartBuild", request).await;
        assert_eq!(status, 200, "{body}");
        body["build"]["id"].as_str().unwrap().to_owned()
    }

    /// RunTask, and the ARN of the task.
    pub(crate) async fn launch(&self, request: &Value) -> String {
        let (status, body) = self.ecs_call("RunTask", request).await;
        assert_eq!(status, 200, "{body}");
        body["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }
}

/// A RunTask request on Spot.
pub(crate) fn on_spot(token: &str) -> Value {
    json!({
        "cluster": "ci-spot",
        "taskDefinition": "agent-small",
        "clientToken": token,
        "startedBy": "bellhop/abcdefghij/test/1",
        "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-0a"] } },
        "overrides": { "containerOverrides": [{
            "name": "agent",
            "command": ["cargo", "test"],
            "environment": [{ "name": "BELLHOP_ATTEMPT", "value": "1" }],
        }] },
    })
}

/// The last status, the desired status and the stop code of each event.
pub(crate) fn stages(events: &[Value]) -> Vec<String> {
    let stages = events.iter().map(|event| {
        let detail = &event["detail"];
        let words = ["lastStatus", "desiredStatus", "stopCode"];
        let words = words.iter().filter_map(|name| detail[*name].as_str());
        words.collect::<Vec<_>>().join(" ")
    });
    stages.collect()
}
