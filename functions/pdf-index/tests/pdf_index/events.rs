//! The samples of `events/s3`, and what is wrong or foreign.

use std::path::Path;

use bellhop_pdf_index::event::{Created, Parsed, Sequencer, parse};
use serde_json::{Value, json};

pub(crate) fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/s3").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn one(input: &Value) -> Created {
    let Parsed {
        objects,
        ignored,
        malformed,
    } = parse(input);
    assert_eq!((ignored, malformed), (vec![], vec![]));
    <[Created; 1]>::try_from(objects).unwrap()[0].clone()
}

fn refused(input: &Value) -> String {
    let parsed = parse(input);
    assert_eq!((parsed.objects, parsed.ignored), (vec![], vec![]));
    let [malformed] = parsed.malformed.try_into().unwrap();
    malformed.to_string()
}

#[test]
fn both_forms_of_an_event_name_one_object() {
    let expected = |at: &str| Created {
        bucket: "pdf-index-bucket-1a2b3c4d5e6f".to_owned(),
        key: "invoices/2026/März + April.pdf".to_owned(),
        version: Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY".to_owned()),
        etag: Some("9b2cf535f27731c974343645a3985328".to_owned()),
        size: Some(48_213),
        sequencer: Sequencer::new("0065E2F8A9D1B3C4E5").unwrap(),
        at: Some(at.to_owned()),
    };
    assert_eq!(one(&sample("object-created.json")), expected("2026-03-02T10:02:17Z"));
    assert_eq!(one(&sample("notification.json")), expected("2026-03-02T10:02:17.418Z"));
    let created = one(&sample("notification-unversioned.json"));
    assert_eq!((created.version, created.size), (None, Some(31_457_280)));
    assert_eq!(created.etag.as_deref(), Some("5f363e0e58a95f06cbe9bbc662c5dfb6-4"));
}

#[test]
fn what_is_not_about_a_created_object_is_ignored() {
    for name in ["notification-removed.json", "object-deleted.json", "test-event.json"] {
        let parsed = parse(&sample(name));
        assert_eq!(
            (parsed.objects.len(), parsed.ignored.len(), parsed.malformed.len()),
            (0, 1, 0),
            "{name}"
        );
    }
    for input in [
        json!(null),
        json!([]),
        json!("Object Created"),
        json!({ "Records": 5 }),
        json!({ "source": "aws.s3" }),
    ] {
        assert_eq!(parse(&input).ignored.len(), 1, "{input}");
    }
    let foreign = json!({ "Records": [{ "eventSource": "aws:sqs", "body": "x\ny" }, {}, null] });
    assert_eq!(parse(&foreign).ignored.len(), 3);
    assert_eq!(parse(&json!({ "Records": [] })), Parsed::default());
    let name = "line\nbreak".repeat(1000);
    let [ignored] = parse(&json!({ "detail-type": name })).ignored.try_into().unwrap();
    assert!(ignored.len() < 200 && !ignored.contains('\n'));
}

#[test]
fn an_event_that_cannot_be_parsed_is_told_field_by_field() {
    let expected = "Records[0]: /s3/object/sequencer is missing: expected a text";
    assert_eq!(refused(&sample("notification-without-sequencer.json")), expected);
    for (field, value, expected) in [
        (
            "/detail/bucket/name",
            json!(null),
            "/detail/bucket/name is missing: expected a text",
        ),
        ("/detail/object/key", json!(""), "/detail/object/key is missing: expected a text"),
        (
            "/detail/object/key",
            json!("k".repeat(1025)),
            "the key has 1025 bytes: expected 1 to 1,024",
        ),
        (
            "/detail/object/sequencer",
            json!("not hexadecimal"),
            "/detail/object/sequencer is not valid: expected 1 to 64 hexadecimal digits",
        ),
    ] {
        let mut event = sample("object-created.json");
        *event.pointer_mut(field).unwrap() = value;
        assert_eq!(refused(&event), expected);
    }
    let mut event = sample("notification.json");
    event["Records"][0]["s3"]["object"]["key"] = json!("%FF.pdf");
    assert_eq!(refused(&event), "Records[0]: /s3/object/key is not UTF-8 after URL decoding");
}

#[test]
fn a_malformed_record_does_not_affect_the_others() {
    let good = sample("notification.json")["Records"][0].clone();
    let bad = sample("notification-without-sequencer.json")["Records"][0].clone();
    let removed = sample("notification-removed.json")["Records"][0].clone();
    let parsed = parse(&json!({ "Records": [bad, good, removed] }));
    assert_eq!((parsed.objects.len(), parsed.malformed.len(), parsed.ignored.len()), (1, 1, 1));
}

#[test]
fn sequencers_are_compared_as_s3_says() {
    let sequencer = |text: &str| Sequencer::new(text).unwrap();
    // The shorter one is padded at its end.
    assert!(sequencer("0065E2F8") > sequencer("0065E2F7FFFF"));
    assert!(sequencer("0065E2F8") < sequencer("0065E2F80001"));
    assert!(sequencer("0065E2F9") > sequencer("0065E2F8FFFFFFFFFF"));
    assert_eq!(sequencer("0065e2f8"), sequencer("0065E2F80000"));
    for wrong in ["", "x", "00 65", "-1", &"0".repeat(65)] {
        assert_eq!(Sequencer::new(wrong), None, "{wrong}");
    }
}

#[test]
fn any_input_is_parsed_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(4);
    let whole = sample("notification.json").to_string();
    for _ in 0..20_000 {
        let mut text = whole.clone().into_bytes();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..text.len());
            text[at] = random.u8(..);
        }
        if let Ok(input) = serde_json::from_slice(&text) {
            let parsed = parse(&input);
            assert!(parsed.objects.len() + parsed.ignored.len() + parsed.malformed.len() >= 1 || input["Records"] == json!([]));
        }
    }
}
