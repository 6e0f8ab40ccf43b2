//! The proxy and its journal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use axum::{Json, Router};
use bellhop_stand_in::{Fault, Rule};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{SOON, Setup, on_spot, start, start_with};

/// What an upstream has been asked: each request's line, headers and body.
type Received = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// An upstream that keeps what it is asked and answers as EventBridge does.
async fn upstream() -> (String, Received) {
    let received = Received::default();
    let app = Router::new().fallback(echo).with_state(received.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (base, received)
}

async fn echo(State(received): State<Received>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let events = request["Entries"].as_array().map_or(0, Vec::len);
    let mut received = received.lock().unwrap();
    received.push((format!("{method} {uri}"), headers, body));
    if method == Method::HEAD {
        let response = Response::builder().header("content-length", 1234);
        return response.body(Body::empty()).unwrap();
    }
    let ids: Vec<_> = (0..events)
        .map(|event| json!({ "EventId": format!("{}-{event}", received.len()) }))
        .collect();
    let answer = Json(json!({ "FailedEntryCount": 0, "Entries": ids })).0.to_string();
    let response = Response::builder().status(201).header("x-from", "upstream");
    response.body(Body::from(answer)).unwrap()
}

async fn before(upstream: &str) -> Setup {
    let upstream = format!("{upstream}/");
    start_with(|options, _| {
        options.upstream = Some(upstream);
        // What is sent to this upstream is nothing that AWS would take.
        options.record = None;
    })
    .await
}

fn signed(request: reqwest::RequestBuilder, service: &str) -> reqwest::RequestBuilder {
    let scope = format!("AWS4-HMAC-SHA256 Credential=a/b/us-east-1/{service}/aws4_request, Signature=0");
    request.header("authorization", scope)
}

#[tokio::test]
async fn requests_are_forwarded_as_they_are_and_entered() {
    let (base, received) = upstream().await;
    let setup = before(&base).await;
    let body = json!({ "TableName": "bellhop" });
    let request = setup.request("dynamodb", "DynamoDB_20120810.PutItem", &body);
    let agent = "aws-sdk-rust/1.3 os/linux app/push";
    let answer = request.header("user-agent", agent).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["x-from"], "upstream");
    assert!(answer.text().await.unwrap().contains("FailedEntryCount"));

    let url = |path: &str| format!("{}{path}", setup.endpoint());
    let chunks = "5;chunk-signature=0\r\nhello\r\n0;chunk-signature=0\r\n\r\n";
    let put = setup.client.put(url("/bucket/a%20b?x-id=PutObject")).body(chunks);
    let put = put.header("content-encoding", "aws-chunked").header("host", "bucket.local");
    signed(put, "s3").send().await.unwrap();
    let head = signed(setup.client.head(url("/bucket/key")), "s3").send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "1234");
    let form = setup.client.post(url("/")).body("Version=1&Action=CreateStack&StackName=x");
    signed(form, "cloudformation").send().await.unwrap();
    let invoke = setup.client.post(url("/2015-03-31/functions/push/invocations"));
    signed(invoke, "lambda").send().await.unwrap();
    setup.client.get(url("/health")).send().await.unwrap();

    let received = received.lock().unwrap();
    let (line, headers, bytes) = &received[0];
    assert_eq!(line, "POST /");
    assert_eq!(headers["x-amz-target"], "DynamoDB_20120810.PutItem");
    assert_eq!(*bytes, body.to_string());
    let (line, headers, bytes) = &received[1];
    assert_eq!(line, "PUT /bucket/a%20b?x-id=PutObject");
    assert_eq!(headers["host"], "bucket.local");
    assert_eq!(headers["content-encoding"], "aws-chunked");
    assert_eq!(*bytes, chunks);

    let entries = setup.journal().entries();
    let operations: Vec<_> = entries
        .iter()
        .map(|entry| format!("{} {}", entry.service, entry.operation))
        .collect();
    let expected = [
        "dynamodb PutItem",
        "s3 PutObject",
        "s3 HeadObject",
        "cloudformation CreateStack",
        "lambda Invoke",
        "other GET /health",
    ];
    assert_eq!(operations, expected);
    assert_eq!(entries[0].caller.as_deref(), Some("push"));
    assert_eq!(entries[0].status, Some(201));
    assert_eq!(entries[0].summary, "bellhop");
    assert_eq!(entries[0].request, Some(json!({ "TableName": "bellhop" })));
    assert_eq!(entries[1].request, None);
    assert!(entries.iter().enumerate().all(|(place, entry)| entry.seq == place as u64));
}

#[tokio::test]
async fn a_lost_reply_reached_the_upstream_and_a_refused_request_did_not() {
    let (base, received) = upstream().await;
    let setup = before(&base).await;
    setup.faults().inject(Rule::new("dynamodb", "PutItem", Fault::LoseReply));
    setup.faults().inject(Rule::new("dynamodb", "PutItem", Fault::Refuse));
    setup.faults().inject(Rule::new("dynamodb", "PutItem", Fault::Throttle));

    let put = || setup.request("dynamodb", "DynamoDB_20120810.PutItem", &json!({})).send();
    assert!(put().await.is_err());
    assert!(put().await.is_err());
    assert_eq!(put().await.unwrap().status(), 400);
    assert_eq!(put().await.unwrap().status(), 201);

    assert_eq!(received.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_journal_can_be_read_from_a_mark_on() {
    let setup = start().await;
    let mut answered = setup.journal().subscribe();
    setup.launch(&on_spot("a")).await;
    let mark = setup.journal().mark();
    setup.launch(&on_spot("b")).await;

    assert_eq!(setup.journal().entries().len(), 2);
    let since = setup.journal().since(mark);
    assert_eq!(since.len(), 1);
    assert_eq!(answered.recv().await.unwrap().status, Some(200));
    assert_eq!(answered.recv().await.unwrap(), since[0]);
    setup.journal().clear();
    assert!(setup.journal().entries().is_empty());
    setup.launch(&on_spot("c")).await;
    assert_eq!(setup.journal().since(mark).len(), 1);
}

#[tokio::test]
async fn events_are_published_in_their_order() {
    let (base, received) = upstream().await;
    let setup = before(&base).await;
    setup.ecs().set_run_at_once(true);
    setup.launch(&on_spot("unpublished")).await;
    setup.events().set_publishing(true);
    let task = setup.launch(&on_spot("published")).await;
    setup.ecs().exit(&task, 0).unwrap();

    let mut published = Vec::new();
    let arrival = async {
        while published.len() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let requests = std::mem::take(&mut *received.lock().unwrap());
            for (_, headers, body) in requests {
                assert_eq!(headers["x-amz-target"], "AWSEvents.PutEvents");
                let body: Value = serde_json::from_slice(&body).unwrap();
                published.extend(body["Entries"].as_array().unwrap().clone());
            }
        }
    };
    tokio::time::timeout(SOON, arrival).await.unwrap();

    let versions: Vec<_> = published
        .iter()
        .map(|entry| {
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            detail["version"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(published[0]["Source"], "aws.ecs");
    assert_eq!(published[0]["DetailType"], "ECS Task State Change");
    assert_eq!(published[0]["Resources"], json!([task]));
    assert!(published[0]["Time"].is_i64());
    // The upstream's ids are the ones that the functions see.
    let adopted = async {
        while setup
            .ecs()
            .events_of(&task)
            .iter()
            .any(|event| event["id"].as_str().unwrap().len() == 36)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, adopted).await.unwrap();
}

#[tokio::test]
async fn without_an_upstream_there_is_an_answer_too() {
    let setup = start().await;
    let (status, body) = setup.call("dynamodb", "DynamoDB_20120810.PutItem", &json!({})).await;
    assert_eq!(status, 501);
    assert!(body["message"].as_str().unwrap().contains("no upstream"));
    let gone = before("http://127.0.0.1:1").await;
    let (status, _) = gone.call("dynamodb", "DynamoDB_20120810.PutItem", &json!({})).await;
    assert_eq!(status, 502);
}

#[tokio::test]
async fn people_can_look_at_tasks_and_journal() {
    let setup = start().await;
    let task = setup.launch(&on_spot("token")).await;
    let get = async |path: &str| -> Value {
        let url = format!("{}/_stand-in/{path}", setup.endpoint());
        setup.client.get(url).send().await.unwrap().json().await.unwrap()
    };
    let tasks = get("tasks").await;
    assert_eq!(tasks[0]["arn"], task.as_str());
    assert_eq!(tasks[0]["lastStatus"], "PROVISIONING");
    let journal = get("journal").await;
    assert_eq!(journal.as_array().unwrap().len(), 1);
    assert_eq!(journal[0]["operation"], "RunTask");

    let url = format!("{}/_stand-in/reclaim-spot?task={task}", setup.endpoint());
    let answer = setup.client.post(url).send().await.unwrap();
    assert_eq!(answer.status(), 409, "it does not run yet");

    setup.stop().await;
    let url = format!("{}/_stand-in/tasks", setup.endpoint());
    assert!(setup.client.get(url).send().await.is_err());
}
