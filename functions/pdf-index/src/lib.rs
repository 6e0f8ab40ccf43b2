//! Writes the metadata of PDF files in S3 to a table in DynamoDB.
//!
//! A sample application that Bellhop builds, tests and deploys. It is not a part of Bellhop, and uses nothing of it.
//!
//! For each object that S3 created, the handler reads exactly that object, has a child process read the PDF ([`sandbox`]), and writes an item ([`index`]).
//! Every file ends as an item, also one that cannot be read. An invocation fails only for what a retry or a person can change.

mod aws;
pub mod event;
pub mod failure;
pub mod index;
mod logging;
pub mod objects;
pub mod pdf;
pub mod sandbox;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::event::Created;
use crate::failure::Failure;
use crate::index::{DynamoDb, Index, Written};
use crate::objects::{Found, Objects, S3};
use crate::pdf::Reading;
use crate::sandbox::{LARGEST_FILE, Limits, Sandbox};

/// The variable with the table's name.
const TABLE: &str = "PDF_TABLE";

/// The handler of all invocations.
#[derive(Clone)]
pub struct Indexer {
    /// Where objects are read.
    pub objects: Arc<dyn Objects>,
    /// Reads PDFs.
    pub sandbox: Sandbox,
    /// Where items are written.
    pub index: Arc<dyn Index>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its metadata is in the index.
    Indexed,
    /// It cannot be read, and the index says why.
    Unreadable,
    /// The index has this event already, or a later one of the same key.
    Stale,
    /// It was deleted since; nothing is written.
    Deleted,
    /// Another object was written to the key since, which has an event of its own; nothing is written.
    Overwritten,
}

impl Outcome {
    /// The word in logs and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Unreadable => "unreadable",
            Self::Stale => "stale",
            Self::Deleted => "deleted",
            Self::Overwritten => "overwritten",
        }
    }
}

impl Indexer {
    /// Indexes every object of an input, and returns the outcomes. Logs one line for each object. Retrying an input changes nothing twice.
    ///
    /// Input that is not about created objects is logged and acknowledged.
    ///
    /// # Errors
    /// The first failure, after every object was tried. An event about a created object that cannot be parsed is a failure, too: acknowledged, its document
    /// would be missing in the index without a trace. So it ends in the dead-letter queue, where a person finds it.
    pub async fn handle(&self, input: &Value) -> Result<Value, Failure> {
        let parsed = event::parse(input);
        for what in &parsed.ignored {
            tracing::info!(what, "ignored");
        }
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        for created in &parsed.objects {
            match self.take(created).await {
                Ok(outcome) => answers.push(json!({ "bucket": created.bucket, "key": created.key, "result": outcome.as_str() })),
                Err(failure) => {
                    tracing::error!(bucket = created.bucket, key = created.key, error = %failure, "object");
                    failures.push(failure);
                }
            }
        }
        for malformed in &parsed.malformed {
            tracing::error!(error = %malformed, "an event cannot be parsed");
            failures.push(Failure::permanent(format!("the event cannot be parsed: {malformed}")));
        }
        failures.into_iter().next().map_or(Ok(Value::Array(answers)), Err)
    }

    /// Indexes one object.
    async fn take(&self, created: &Created) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let (outcome, why) = self.index(created).await?;
        tracing::info!(
            bucket = created.bucket,
            key = created.key,
            version = created.version,
            bytes = created.size,
            result = outcome.as_str(),
            why,
            milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "object"
        );
        Ok(outcome)
    }

    async fn index(&self, created: &Created) -> Result<(Outcome, Option<String>), Failure> {
        let is_larger = |size: u64| usize::try_from(size).is_ok_and(|size| size > LARGEST_FILE);
        let found = if created.size.is_some_and(is_larger) {
            Found::TooLarge
        } else {
            self.objects.read(created, LARGEST_FILE).await?
        };
        let reading = match found {
            Found::Bytes(bytes) => self.sandbox.read(bytes).await?,
            Found::TooLarge => Reading::unreadable(format!("the file has more than {} MiB", LARGEST_FILE >> 20)),
            Found::Archived => Reading::unreadable("the object is archived, and has to be restored before it can be read".to_owned()),
            Found::Deleted => return Ok((Outcome::Deleted, None)),
            Found::Overwritten => return Ok((Outcome::Overwritten, None)),
        };
        Ok(match (self.index.write(created, &reading).await?, reading) {
            (Written::Stale, _) => (Outcome::Stale, None),
            (Written::Done, Reading::Metadata(_)) => (Outcome::Indexed, None),
            (Written::Done, Reading::Unreadable { why }) => (Outcome::Unreadable, Some(why)),
        })
    }
}

/// Runs the function until Lambda shuts it down.
///
/// The process exits with a failure, after a log line with the reason, if `PDF_TABLE` is missing or the runtime API cannot be reached.
pub async fn serve() -> ExitCode {
    logging::start();
    let indexer = match from_environment() {
        Ok(indexer) => indexer,
        Err(why) => {
            tracing::error!(why, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let service = service_fn(|LambdaEvent { payload, .. }: LambdaEvent<Value>| {
        let indexer = indexer.clone();
        async move { indexer.handle(&payload).await }
    });
    match lambda_runtime::run(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime failed");
            ExitCode::FAILURE
        }
    }
}

fn from_environment() -> Result<Indexer, String> {
    let table = env::var(TABLE).ok().filter(|table| !table.is_empty());
    let table = table.ok_or_else(|| format!("missing environment variable: {TABLE}"))?;
    let program = env::current_exe().map_err(|error| format!("the program does not know its own path: {error}"))?;
    let config = aws::from_environment();
    Ok(Indexer {
        objects: Arc::new(S3::new(aws_sdk_s3::Client::new(&config))),
        sandbox: Sandbox {
            program,
            limits: Limits::default(),
        },
        index: Arc::new(DynamoDb::new(aws_sdk_dynamodb::Client::new(&config), table)),
    })
}
