//! S3 and DynamoDB in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use bellhop_pdf_index::Indexer;
use bellhop_pdf_index::event::Created;
use bellhop_pdf_index::failure::Failure;
use bellhop_pdf_index::index::{Index, Item, Written, item};
use bellhop_pdf_index::objects::{Found, Objects};
use bellhop_pdf_index::pdf::Reading;
use bellhop_pdf_index::sandbox::{Limits, Sandbox};
use serde_json::{Value, json};

/// Objects by their keys and versions, and the items by their keys.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) objects: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    pub(crate) items: Mutex<BTreeMap<String, Item>>,
    /// How many reads and writes fail from now on.
    pub(crate) faults: Mutex<usize>,
}

impl Memory {
    /// Stores a version of an object, and returns its event.
    pub(crate) fn store(&self, key: &str, version: u64, bytes: Vec<u8>) -> Value {
        let size = bytes.len();
        self.objects.lock().unwrap().insert((key.to_owned(), version.to_string()), bytes);
        json!({ "source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-02T10:02:17Z", "detail": {
            "bucket": { "name": "files" },
            "object": { "key": key, "version-id": version.to_string(), "size": size, "etag": "0a", "sequencer": format!("{version:08X}") },
        } })
    }

    /// An attribute of the item of a key.
    pub(crate) fn text(&self, key: &str, attribute: &str) -> Option<String> {
        let items = self.items.lock().unwrap();
        match items.get(key)?.get(attribute)? {
            AttributeValue::S(text) | AttributeValue::N(text) => Some(text.clone()),
            AttributeValue::Bool(bool) => Some(bool.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn fail(&self) -> Result<(), Failure> {
        let mut faults = self.faults.lock().unwrap();
        if *faults == 0 {
            return Ok(());
        }
        *faults -= 1;
        Err(Failure::transient("SlowDown".to_owned()))
    }
}

#[async_trait]
impl Objects for Memory {
    async fn read(&self, created: &Created, limit: usize) -> Result<Found, Failure> {
        self.fail()?;
        let place = (created.key.clone(), created.version.clone().unwrap());
        let objects = self.objects.lock().unwrap();
        Ok(match objects.get(&place) {
            None => Found::Deleted,
            Some(bytes) if bytes.len() > limit => Found::TooLarge,
            Some(bytes) => Found::Bytes(bytes.clone()),
        })
    }
}

#[async_trait]
impl Index for Memory {
    async fn write(&self, created: &Created, reading: &Reading) -> Result<Written, Failure> {
        self.fail()?;
        let item = item(created, reading);
        let sequencer = |item: &Item| item["sequencer"].as_s().unwrap().clone();
        let mut items = self.items.lock().unwrap();
        if items.get(&created.key).is_some_and(|there| sequencer(there) >= sequencer(&item)) {
            return Ok(Written::Stale);
        }
        items.insert(created.key.clone(), item);
        Ok(Written::Done)
    }
}

/// Children of the binary that cargo built for these tests. Its libraries are not optimised, so the parser is slower than on Lambda, and has less to do.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox {
        program: PathBuf::from(env!("CARGO_BIN_EXE_pdf-index")),
        limits: Limits {
            seconds: 2,
            patience: Duration::from_secs(120),
            ..Limits::default()
        },
    }
}

pub(crate) fn indexer(memory: &Arc<Memory>) -> Indexer {
    Indexer {
        objects: Arc::clone(memory) as Arc<dyn Objects>,
        sandbox: sandbox(),
        index: Arc::clone(memory) as Arc<dyn Index>,
    }
}
