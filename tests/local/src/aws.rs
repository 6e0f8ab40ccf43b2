//! The few calls of AWS that these commands make themselves, to the local AWS and nothing else. They are not signed: it does not look.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// The local AWS.
#[derive(Debug, Clone)]
pub(crate) struct LocalAws {
    http: reqwest::Client,
    url: String,
}

impl LocalAws {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
        }
    }

    /// Whether it answers.
    pub(crate) async fn is_up(&self) -> bool {
        let reply = self.http.get(format!("{}/_ministack/health", self.url)).send().await;
        reply.is_ok_and(|reply| reply.status().is_success())
    }

    async fn json(&self, service: &str, target: &str, body: &Value) -> anyhow::Result<Value> {
        let reply = self
            .http
            .post(&self.url)
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("Authorization", scope(service))
            .body(body.to_string())
            .send()
            .await?;
        let status = reply.status();
        let text = reply.text().await?;
        if !status.is_success() {
            bail!("{target} returned {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("the answer to {target} is not valid JSON: {text}"))
    }

    async fn form(&self, service: &str, fields: &[(&str, &str)]) -> anyhow::Result<String> {
        let reply = self
            .http
            .post(&self.url)
            .header("Authorization", scope(service))
            .form(fields)
            .send()
            .await?;
        let status = reply.status();
        let text = reply.text().await?;
        if !status.is_success() {
            bail!("{service} returned {status}: {text}");
        }
        Ok(text)
    }

    /// Takes every letter out of a function's dead-letter queue.
    pub(crate) async fn take_letters(&self, queue: &str) -> anyhow::Result<Vec<Value>> {
        let asked = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 });
        let mut letters = Vec::new();
        loop {
            let reply = self.json("sqs", "AmazonSQS.ReceiveMessage", &asked).await?;
            let messages = reply["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                return Ok(letters);
            }
            for message in messages {
                let receipt = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
                self.json("sqs", "AmazonSQS.DeleteMessage", &receipt).await?;
                letters
                    .push(serde_json::from_str(message["Body"].as_str().unwrap_or_default()).context("a dead letter is not valid JSON")?);
            }
        }
    }

    /// Creates a queue that gets everything that is told on a topic. Gives the queue's URL.
    pub(crate) async fn subscribe_queue(&self, topic: &str, name: &str) -> anyhow::Result<String> {
        let queue = self.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": name })).await?;
        let url = queue["QueueUrl"].as_str().context("CreateQueue returned no URL")?.to_owned();
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["QueueArn"] });
        let attributes = self.json("sqs", "AmazonSQS.GetQueueAttributes", &asked).await?;
        let arn = attributes["Attributes"]["QueueArn"].as_str().context("the queue has no ARN")?;
        self.form(
            "sns",
            &[
                ("Action", "Subscribe"),
                ("Version", "2010-03-31"),
                ("TopicArn", topic),
                ("Protocol", "sqs"),
                ("Endpoint", arn),
            ],
        )
        .await?;
        Ok(url)
    }

    /// The documents that have arrived in a queue of [`LocalAws::subscribe_queue`], each once.
    pub(crate) async fn receive(&self, queue: &str) -> anyhow::Result<Vec<Value>> {
        let asked = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10 });
        let reply = self.json("sqs", "AmazonSQS.ReceiveMessage", &asked).await?;
        let mut documents = Vec::new();
        for message in reply["Messages"].as_array().into_iter().flatten() {
            let receipt = json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] });
            self.json("sqs", "AmazonSQS.DeleteMessage", &receipt).await?;
            let body: Value = serde_json::from_str(message["Body"].as_str().unwrap_or_default())?;
            let document = body["Message"].as_str().context("a message of the topic has no text")?;
            documents.push(serde_json::from_str(document).with_context(|| format!("a message is not a JSON object: {document}"))?);
        }
        Ok(documents)
    }

    /// Calls a function and waits for its answer: whether that is an error, and what it says.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<(bool, Value)> {
        let reply = self.invocation(function, "RequestResponse", event).await?;
        let error = reply.headers().contains_key("x-amz-function-error");
        let text = reply.text().await?;
        Ok((
            error,
            serde_json::from_str(&text).with_context(|| format!("the answer of {function} is not valid JSON: {text}"))?,
        ))
    }

    /// Hands an event to a function and does not wait.
    pub(crate) async fn invoke_later(&self, function: &str, event: &Value) -> anyhow::Result<()> {
        self.invocation(function, "Event", event).await?;
        Ok(())
    }

    async fn invocation(&self, function: &str, kind: &str, event: &Value) -> anyhow::Result<reqwest::Response> {
        let reply = self
            .http
            .post(format!("{}/2015-03-31/functions/{function}/invocations", self.url))
            .header("Authorization", scope("lambda"))
            .header("X-Amz-Invocation-Type", kind)
            .body(event.to_string())
            .send()
            .await?;
        if !reply.status().is_success() {
            bail!("invoking {function} returned {}", reply.status());
        }
        Ok(reply)
    }

    /// Whether a queue has nothing to give.
    pub(crate) async fn is_empty(&self, queue: &str) -> anyhow::Result<bool> {
        let asked = json!({ "QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let attributes = self.json("sqs", "AmazonSQS.GetQueueAttributes", &asked).await?;
        Ok(attributes["Attributes"]["ApproximateNumberOfMessages"] == "0")
    }

    /// All items of a table.
    pub(crate) async fn scan(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut asked = json!({ "TableName": table, "ConsistentRead": true });
        loop {
            let mut page = self.json("dynamodb", "DynamoDB_20120810.Scan", &asked).await?;
            if let Some(found) = page["Items"].as_array_mut() {
                items.append(found);
            }
            match page["LastEvaluatedKey"].take() {
                Value::Null => return Ok(items),
                key => asked["ExclusiveStartKey"] = key,
            }
        }
    }

    /// Writes an item over whatever has its key.
    pub(crate) async fn put_item(&self, table: &str, item: &Value) -> anyhow::Result<()> {
        let asked = json!({ "TableName": table, "Item": item });
        self.json("dynamodb", "DynamoDB_20120810.PutItem", &asked).await?;
        Ok(())
    }

    /// Writes an item over the one that has its key, if that has this version. Gives whether it had.
    pub(crate) async fn replace_item(&self, table: &str, item: &Value, version: &Value) -> anyhow::Result<bool> {
        let asked = json!({
            "TableName": table,
            "Item": item,
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": { ":version": version },
        });
        match self.json("dynamodb", "DynamoDB_20120810.PutItem", &asked).await {
            Ok(_) => Ok(true),
            Err(error) if error.to_string().contains("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Log lines of a log group since a moment (in milliseconds), oldest first, each with its time.
    pub(crate) async fn log_lines(&self, group: &str, since: i64) -> anyhow::Result<Vec<(i64, String)>> {
        let asked = json!({ "logGroupName": group, "startTime": since });
        let reply = self.json("logs", "Logs_20140328.FilterLogEvents", &asked).await?;
        let lines = reply["events"].as_array().into_iter().flatten();
        Ok(lines
            .map(|line| {
                (
                    line["timestamp"].as_i64().unwrap_or_default(),
                    line["message"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect())
    }

    /// Stores a secret in Parameter Store.
    pub(crate) async fn put_parameter(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let asked = json!({ "Name": name, "Value": value, "Type": "SecureString" });
        self.json("ssm", "AmazonSSM.PutParameter", &asked).await?;
        Ok(())
    }

    /// Writes an object.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, text: String) -> anyhow::Result<()> {
        let url = format!("{}/{bucket}/{key}", self.url);
        let reply = self.http.put(url).header("Authorization", scope("s3")).body(text).send().await?;
        if !reply.status().is_success() {
            bail!("writing s3://{bucket}/{key} returned {}", reply.status());
        }
        Ok(())
    }

    /// Takes an object away.
    pub(crate) async fn delete_object(&self, bucket: &str, key: &str) -> anyhow::Result<()> {
        let url = format!("{}/{bucket}/{key}", self.url);
        let reply = self.http.delete(url).header("Authorization", scope("s3")).send().await?;
        if !reply.status().is_success() {
            bail!("deleting s3://{bucket}/{key} returned {}", reply.status());
        }
        Ok(())
    }

    /// Whether there is an object.
    pub(crate) async fn has_object(&self, bucket: &str, key: &str) -> anyhow::Result<bool> {
        let url = format!("{}/{bucket}/{key}", self.url);
        let reply = self.http.head(url).header("Authorization", scope("s3")).send().await?;
        match reply.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            status => bail!("a request for s3://{bucket}/{key} returned {status}"),
        }
    }

    /// Reads an object, if it is there.
    pub(crate) async fn get_object(&self, bucket: &str, key: &str) -> anyhow::Result<Option<String>> {
        let url = format!("{}/{bucket}/{key}", self.url);
        let reply = self.http.get(url).header("Authorization", scope("s3")).send().await?;
        match reply.status().as_u16() {
            200 => Ok(Some(reply.text().await?)),
            404 => Ok(None),
            status => bail!("reading s3://{bucket}/{key} returned {status}"),
        }
    }
}

/// What says which service is meant.
fn scope(service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=none")
}
