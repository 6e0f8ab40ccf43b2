//! From events to items.

use std::sync::Arc;

use bellhop_pdf_index::Indexer;
use bellhop_pdf_index::sandbox::LARGEST_FILE;
use serde_json::{Value, json};

use crate::generate::Document;
use crate::ports::{Memory, indexer};

async fn results(indexer: &Indexer, input: &Value) -> Vec<String> {
    let answers = indexer.handle(input).await.unwrap();
    let answers = answers.as_array().unwrap();
    answers.iter().map(|answer| answer["result"].as_str().unwrap().to_owned()).collect()
}

fn titled(title: &str) -> Vec<u8> {
    Document::new(1).with_info("Title", &format!("({title})")).plain()
}

#[tokio::test]
async fn events_that_are_repeated_or_late_change_nothing() {
    let memory = Arc::new(Memory::default());
    let indexer = indexer(&memory);
    let (first, second) = (
        memory.store("a.pdf", 1, titled("first")),
        memory.store("a.pdf", 2, titled("second")),
    );
    assert_eq!(results(&indexer, &first).await, ["indexed"]);
    assert_eq!(results(&indexer, &first).await, ["stale"]);
    assert_eq!(memory.text("a.pdf", "title").as_deref(), Some("first"));
    assert_eq!(results(&indexer, &second).await, ["indexed"]);
    assert_eq!(results(&indexer, &first).await, ["stale"]);
    assert_eq!(memory.text("a.pdf", "title").as_deref(), Some("second"));
    assert_eq!(memory.text("a.pdf", "version_id").as_deref(), Some("2"));
}

#[tokio::test]
async fn the_later_event_wins_in_every_order() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let memory = Arc::new(Memory::default());
        let indexer = indexer(&memory);
        for version in order {
            let event = memory.store("a.pdf", version, titled(&format!("version {version}")));
            indexer.handle(&event).await.unwrap();
        }
        assert_eq!(memory.text("a.pdf", "title").as_deref(), Some("version 3"), "{order:?}");
    }
}

#[tokio::test]
async fn a_deleted_object_leaves_the_index_as_it_is() {
    let memory = Arc::new(Memory::default());
    let indexer = indexer(&memory);
    let event = memory.store("a.pdf", 1, titled("gone"));
    memory.objects.lock().unwrap().clear();
    assert_eq!(results(&indexer, &event).await, ["deleted"]);
    assert!(memory.items.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_unreadable_file_is_an_item_that_a_readable_one_replaces() {
    let memory = Arc::new(Memory::default());
    let indexer = indexer(&memory);
    let broken = memory.store("a.pdf", 1, b"%PDF-1.7 and nothing more".to_vec());
    assert_eq!(results(&indexer, &broken).await, ["unreadable"]);
    assert_eq!(memory.text("a.pdf", "status").as_deref(), Some("unreadable"));
    assert_eq!(memory.text("a.pdf", "why").as_deref(), Some("the file is damaged"));
    let repaired = memory.store("a.pdf", 2, titled("repaired"));
    assert_eq!(results(&indexer, &repaired).await, ["indexed"]);
    assert_eq!(memory.text("a.pdf", "why"), None);
    assert_eq!(memory.text("a.pdf", "pages").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_large_file_is_not_read() {
    let memory = Arc::new(Memory::default());
    let indexer = indexer(&memory);
    let mut event = memory.store("a.pdf", 1, Vec::new());
    memory.objects.lock().unwrap().clear();
    event["detail"]["object"]["size"] = json!(LARGEST_FILE + 1);
    assert_eq!(results(&indexer, &event).await, ["unreadable"]);
    assert_eq!(memory.text("a.pdf", "why").as_deref(), Some("the file has more than 64 MiB"));
}

#[tokio::test]
async fn a_fault_of_aws_is_an_error_and_a_retry_succeeds() {
    for faults in 1..=2 {
        let memory = Arc::new(Memory::default());
        let indexer = indexer(&memory);
        let event = memory.store("a.pdf", 1, titled("late"));
        *memory.faults.lock().unwrap() = faults;
        for _ in 0..faults {
            assert!(indexer.handle(&event).await.unwrap_err().is_transient);
        }
        assert_eq!(results(&indexer, &event).await, ["indexed"]);
    }
}

#[tokio::test]
async fn a_failure_of_one_object_does_not_keep_others_out() {
    let memory = Arc::new(Memory::default());
    let indexer = indexer(&memory);
    let record = |key: &str, sequencer: Value| {
        json!({ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {
            "bucket": { "name": "files" }, "object": { "key": key, "versionId": "1", "sequencer": sequencer } } })
    };
    memory.store("b c.pdf", 1, titled("kept"));
    let failure = indexer
        .handle(&json!({ "Records": [record("a.pdf", Value::Null), record("b+c.pdf", json!("0A"))] }))
        .await
        .unwrap_err();
    assert!(!failure.is_transient);
    assert_eq!(
        failure.what,
        "the event cannot be parsed: Records[0]: /s3/object/sequencer is missing: expected a text"
    );
    assert_eq!(memory.text("b c.pdf", "title").as_deref(), Some("kept"));
}
