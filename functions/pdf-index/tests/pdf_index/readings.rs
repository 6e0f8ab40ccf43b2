//! What is read of good files.

use bellhop_pdf_index::pdf::{Metadata, Reading, read};

use crate::generate::Document;
use crate::ports::sandbox;

/// Encrypted with AES-128 and without a password for its readers, by pypdf.
pub(crate) const ENCRYPTED: &[u8] = include_bytes!("encrypted.pdf");
/// Encrypted with AES-256 and the password "secret", by pypdf.
const PROTECTED: &[u8] = include_bytes!("protected.pdf");

fn metadata(bytes: Vec<u8>) -> Metadata {
    match read(bytes) {
        Reading::Metadata(metadata) => *metadata,
        Reading::Unreadable { why } => panic!("{why}"),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn every_form_of_a_document_reads_the_same() {
    let expected = Metadata {
        title: text("A title with (brackets) and ä"),
        author: text("Anna Š"),
        producer: text("a test"),
        created: text("2026-03-02T10:15:30+01:00"),
        pages: Some(3),
        version: text("1.7"),
        ..Metadata::default()
    };
    let usual = Document::usual();
    assert_eq!(metadata(usual.plain()), expected);
    assert_eq!(metadata(usual.compressed()), expected);
    // A wrong table, no table, and no end: the parser looks for the objects itself.
    let plain = String::from_utf8(usual.plain()).unwrap();
    for damaged in [
        plain.replace("startxref\n", "startxref\n1"),
        plain.replace(" 00000 n", " 00007 n"),
        plain.split("startxref").next().unwrap().to_owned(),
    ] {
        assert_eq!(metadata(damaged.into_bytes()), expected);
    }
}

#[test]
fn what_is_missing_is_not_made_up() {
    let expected = Metadata {
        pages: Some(1),
        version: text("1.7"),
        ..Metadata::default()
    };
    assert_eq!(metadata(Document::new(1).plain()), expected);
    let empty = Document::new(1)
        .with_info("Title", "( \\r\\n)")
        .with_info("Author", "/NoText")
        .with_info("ModDate", "(yesterday)");
    assert_eq!(metadata(empty.plain()), expected);
}

#[test]
fn dates_are_rfc_3339() {
    for (date, expected) in [
        ("D:20260302101530Z", Some("2026-03-02T10:15:30+00:00")),
        ("D:20260302101530-03'30'", Some("2026-03-02T10:15:30-03:30")),
        ("D:20260302101530-03'30", Some("2026-03-02T10:15:30-03:30")),
        ("D:20260302101530", Some("2026-03-02T10:15:30+00:00")),
        ("D:20260302101530+05'45'", Some("2026-03-02T10:15:30+05:45")),
        ("20260302101530Z", None),
        ("D:2026", Some("2026-01-01T00:00:00+00:00")),
        ("D:20260230101530Z", None),
        ("March 2026", None),
        ("", None),
    ] {
        let document = Document::new(1).with_info("CreationDate", &format!("({date})"));
        assert_eq!(metadata(document.plain()).created.as_deref(), expected, "{date}");
    }
}

#[test]
fn encrypted_files_say_so() {
    let open = metadata(ENCRYPTED.to_vec());
    assert_eq!(
        (open.title.as_deref(), open.pages, open.encrypted),
        (Some("Größe – open"), Some(2), true)
    );
    let protected = metadata(PROTECTED.to_vec());
    let expected = Metadata {
        encrypted: true,
        ..Metadata::default()
    };
    assert_eq!(protected, expected);
}

#[tokio::test]
async fn a_child_gives_the_result_that_the_parser_gives_here() {
    for bytes in [
        Document::usual().plain(),
        Document::usual().compressed(),
        ENCRYPTED.to_vec(),
        PROTECTED.to_vec(),
        Vec::new(),
        b"no PDF".to_vec(),
        b"%PDF-1.4\n".to_vec(),
    ] {
        assert_eq!(sandbox().read(bytes.clone()).await.unwrap(), read(bytes));
    }
}

#[test]
fn what_is_no_pdf_is_unreadable() {
    for (bytes, expected) in [
        (&b""[..], "the file is empty"),
        (b"<!doctype html>", "the file is not a PDF"),
        (b"%PDF-1.4\n%%EOF", "the file is damaged"),
    ] {
        assert_eq!(read(bytes.to_vec()), Reading::unreadable(expected));
    }
}
