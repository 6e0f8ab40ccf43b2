//! The journal of all AWS requests.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::calls::Call;
use crate::support::lock;

/// How many answered requests a slow subscriber may lag behind before it misses some.
const SUBSCRIBER_CAPACITY: usize = 4096;

/// Every AWS request that came to the stand-in, in the order of arrival. Clones are handles to the same journal.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    records: Mutex<Records>,
    answered: broadcast::Sender<Entry>,
}

#[derive(Default)]
struct Records {
    entries: Vec<Entry>,
    next: u64,
}

/// One AWS request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The place in the order of arrival, counted from 0; [`Journal::clear`] does not reset it.
    pub seq: u64,
    /// When the whole request had arrived.
    pub at: Timestamp,
    /// The service's signing name, such as `ecs`, `dynamodb` or `events`; `other` where the request names none.
    pub service: String,
    /// The operation, such as `RunTask`; where it cannot be told, the method and the path.
    pub operation: String,
    /// The application id (`AWS_SDK_UA_APP_ID`) in the caller's User-Agent.
    pub caller: Option<String>,
    /// The HTTP status of the answer. None while the answer is not out, and for good where the connection was cut
    /// instead of an answer.
    pub status: Option<u16>,
    /// The name of the fault that was injected.
    pub fault: Option<String>,
    /// What it was about, for people.
    pub summary: String,
    /// The body of a request to DynamoDB, ECS, CodeCommit, CodeBuild, Step Functions, CodePipeline, AWS Backup, Cloud Control, CloudWatch, SNS or SQS, or of a
    /// deployment with Lambda.
    pub request: Option<Value>,
}

/// A point in the journal: see [`Journal::mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Journal {
    pub(crate) fn new() -> Self {
        let (answered, _) = broadcast::channel(SUBSCRIBER_CAPACITY);
        Self {
            inner: Arc::new(Inner {
                records: Mutex::default(),
                answered,
            }),
        }
    }

    /// Every request since the start, or since the last [`Journal::clear`].
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.inner.records).entries.clone()
    }

    /// The requests of one operation of one service.
    pub fn of(&self, service: &str, operation: &str) -> Vec<Entry> {
        let records = lock(&self.inner.records);
        let wanted = |entry: &&Entry| entry.service == service && entry.operation == operation;
        records.entries.iter().filter(wanted).cloned().collect()
    }

    /// Every request from now on, each at the moment it is answered (so not in the order of arrival).
    pub fn subscribe(&self) -> broadcast::Receiver<Entry> {
        self.inner.answered.subscribe()
    }

    /// This moment, to ask for what came [since](Journal::since).
    pub fn mark(&self) -> Mark {
        Mark(lock(&self.inner.records).next)
    }

    /// The requests that arrived after the mark.
    pub fn since(&self, mark: Mark) -> Vec<Entry> {
        let records = lock(&self.inner.records);
        let first = records.entries.partition_point(|entry| entry.seq < mark.0);
        records.entries.iter().skip(first).cloned().collect()
    }

    /// Forgets all requests so far. One that is being answered is not entered any more, but subscribers get it.
    pub fn clear(&self) {
        lock(&self.inner.records).entries.clear();
    }

    /// Enters a request that has arrived.
    pub(crate) fn arrived(&self, call: &Call) -> Entry {
        let mut records = lock(&self.inner.records);
        let keeps_body = matches!(
            call.service.as_str(),
            "dynamodb"
                | "ecs"
                | "codecommit"
                | "codebuild"
                | "states"
                | "codepipeline"
                | "backup"
                | "cloudcontrolapi"
                | "lambda"
                | "monitoring"
                | "sns"
                | "sqs"
        );
        let entry = Entry {
            seq: records.next,
            at: Timestamp::now(),
            service: call.service.clone(),
            operation: call.operation.clone(),
            caller: call.caller.clone(),
            status: None,
            fault: None,
            summary: call.summary(),
            request: call.body.clone().filter(|_| keeps_body),
        };
        records.next += 1;
        records.entries.push(entry.clone());
        entry
    }

    /// Completes an entry.
    pub(crate) fn answered(&self, entry: Entry) {
        {
            let mut records = lock(&self.inner.records);
            let place = records.entries.binary_search_by_key(&entry.seq, |entry| entry.seq);
            if let Ok(place) = place
                && let Some(kept) = records.entries.get_mut(place)
            {
                kept.clone_from(&entry);
            }
        }
        // An error only says that nobody listens.
        let _ = self.inner.answered.send(entry);
    }
}
