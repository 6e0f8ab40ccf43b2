//! What the tests themselves ask of the local AWS: to make a suite's table, bucket, topic and queue, and to look into them.

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// The account that a local AWS takes callers for who do not name one.
pub const ACCOUNT: &str = "000000000000";
/// The region of everything.
pub const REGION: &str = "us-east-1";

/// A caller of the local AWS.
#[derive(Debug, Clone)]
pub struct LocalAws {
    url: String,
    client: Client,
}

impl LocalAws {
    /// A caller of the local AWS at this base URL.
    ///
    /// # Panics
    /// No HTTP client can be set up.
    #[must_use]
    pub fn at(url: &str) -> Self {
        let client = Client::builder().no_proxy().build().expect("an HTTP client");
        Self {
            url: url.trim_end_matches('/').to_owned(),
            client,
        }
    }

    /// Makes a table with the keys and indexes of another.
    pub async fn copy_table(&self, from: &str, name: &str) {
        let described = self.dynamodb("DescribeTable", json!({ "TableName": from })).await;
        let table = &described["Table"];
        let indexes: Vec<Value> = table["GlobalSecondaryIndexes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|index| {
                json!({
                    "IndexName": index["IndexName"],
                    "KeySchema": index["KeySchema"],
                    "Projection": index["Projection"],
                })
            })
            .collect();
        let definition = json!({
            "AttributeDefinitions": table["AttributeDefinitions"],
            "KeySchema": table["KeySchema"],
            "GlobalSecondaryIndexes": indexes,
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.create_table(definition, name).await;
    }

    /// Makes a table of this definition: a request without the table's name.
    pub async fn create_table(&self, definition: Value, name: &str) {
        let mut request = definition;
        request["TableName"] = name.into();
        self.dynamodb("CreateTable", request).await;
    }

    /// Every item of a table.
    pub async fn items(&self, table: &str) -> Vec<Value> {
        let reply = self.dynamodb("Scan", json!({ "TableName": table, "ConsistentRead": true })).await;
        assert!(reply["LastEvaluatedKey"].is_null(), "more items than one page holds");
        reply["Items"].as_array().cloned().unwrap_or_default()
    }

    /// Puts an item into a table.
    pub async fn put_item(&self, table: &str, item: &Value) {
        self.dynamodb("PutItem", json!({ "TableName": table, "Item": item })).await;
    }

    /// Makes a bucket.
    pub async fn create_bucket(&self, name: &str) {
        self.s3(self.client.put(format!("{}/{name}", self.url))).await;
    }

    /// Puts an object into a bucket.
    pub async fn put(&self, bucket: &str, key: &str, text: &str) {
        let request = self.client.put(format!("{}/{bucket}/{key}", self.url)).body(text.to_owned());
        self.s3(request).await;
    }

    /// Takes an object out of a bucket.
    pub async fn delete(&self, bucket: &str, key: &str) {
        self.s3(self.client.delete(format!("{}/{bucket}/{key}", self.url))).await;
    }

    /// An object's text; `None` if it is not there.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<String> {
        self.s3(self.client.get(format!("{}/{bucket}/{key}", self.url))).await
    }

    /// Makes a topic, and gives its ARN.
    pub async fn create_topic(&self, name: &str) -> String {
        let reply = self.sns(&[("Action", "CreateTopic"), ("Name", name)]).await;
        let arn = reply
            .split_once("<TopicArn>")
            .and_then(|(_, rest)| rest.split_once("</TopicArn>"))
            .map(|(arn, _)| arn.to_owned());
        arn.unwrap_or_else(|| panic!("CreateTopic: {reply}"))
    }

    /// Makes a queue that gets whatever is published to a topic, and gives its URL.
    pub async fn subscribe_queue(&self, topic: &str, name: &str) -> String {
        let url = self.create_queue(name).await;
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        self.sns(&[
            ("Action", "Subscribe"),
            ("TopicArn", topic),
            ("Protocol", "sqs"),
            ("Endpoint", &arn),
        ])
        .await;
        url
    }

    /// Makes a queue, and gives its URL.
    ///
    /// # Panics
    /// The local AWS refuses.
    pub async fn create_queue(&self, name: &str) -> String {
        let created = self.sqs("CreateQueue", json!({ "QueueName": name })).await;
        created["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
    }

    /// Takes everything out of a queue: each message's body, in the order of arrival.
    pub async fn receive_all(&self, queue: &str) -> Vec<Value> {
        let mut bodies = Vec::new();
        loop {
            let request = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 });
            let reply = self.sqs("ReceiveMessage", request).await;
            let messages = reply["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return bodies;
            }
            for message in messages {
                let request = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
                self.sqs("DeleteMessage", request).await;
                let body = message["Body"].as_str().unwrap_or_default();
                bodies.push(serde_json::from_str(body).expect("every message here is JSON"));
            }
        }
    }

    async fn dynamodb(&self, operation: &str, request: Value) -> Value {
        self.ask("dynamodb", &format!("DynamoDB_20120810.{operation}"), request).await
    }

    async fn sqs(&self, operation: &str, request: Value) -> Value {
        self.ask("sqs", &format!("AmazonSQS.{operation}"), request).await
    }

    /// Asks a service with a JSON protocol. `target` is what the protocol calls the operation, such as `DynamoDB_20120810.Scan`.
    ///
    /// # Panics
    /// The answer is an error.
    pub async fn ask(&self, service: &str, target: &str, request: Value) -> Value {
        let answer = self.try_to_ask(service, target, request).await;
        answer.unwrap_or_else(|error| panic!("{target}: {error}"))
    }

    /// Asks DynamoDB, which may refuse.
    ///
    /// # Errors
    /// The status and the text of the refusal.
    pub async fn try_dynamodb(&self, operation: &str, request: Value) -> Result<Value, String> {
        self.try_to_ask("dynamodb", &format!("DynamoDB_20120810.{operation}"), request)
            .await
    }

    async fn try_to_ask(&self, service: &str, target: &str, request: Value) -> Result<Value, String> {
        let version = if ["dynamodb", "sqs"].contains(&service) { "1.0" } else { "1.1" };
        let request = self
            .client
            .post(&self.url)
            .header("x-amz-target", target)
            .header("content-type", format!("application/x-amz-json-{version}"))
            .body(request.to_string());
        let (status, body) = send(signed(request, service)).await;
        if !status.is_success() {
            return Err(format!("{status} {body}"));
        }
        // DeleteMessage has nothing to say.
        if body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {body}")))
    }

    async fn sns(&self, fields: &[(&str, &str)]) -> String {
        let (status, body) = send(signed(self.client.post(&self.url).form(fields), "sns")).await;
        assert!(status.is_success(), "{fields:?}: {status} {body}");
        body
    }

    /// The body of the answer; `None` for what is not there.
    async fn s3(&self, request: RequestBuilder) -> Option<String> {
        let (status, body) = send(signed(request, "s3")).await;
        if status == StatusCode::NOT_FOUND {
            return None;
        }
        assert!(status.is_success(), "S3: {status} {body}");
        Some(body)
    }
}

/// With the signature's scope and date, which is all that a local AWS reads of it.
fn signed(request: RequestBuilder, service: &str) -> RequestBuilder {
    let scope = format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0");
    request.header("authorization", scope).header("x-amz-date", "20260101T000000Z")
}

async fn send(request: RequestBuilder) -> (StatusCode, String) {
    let reply = request.send().await.expect("the local AWS answers");
    let status = reply.status();
    (status, reply.text().await.expect("the local AWS answers to the end"))
}
