//! Texts of the document information.

use bellhop_pdf_index::pdf::text::{LONGEST, decode};

fn utf16_of(text: &str, big: bool) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    units
        .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
        .collect()
}

#[test]
fn texts_say_their_encoding() {
    let text = "Größe – 尺寸 🙂";
    assert_eq!(decode(&utf16_of(text, true)).as_deref(), Some(text));
    assert_eq!(decode(&utf16_of(text, false)).as_deref(), Some(text));
    assert_eq!(decode(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()).as_deref(), Some(text));
    // Without a mark, bytes are PDFDocEncoding, also those of UTF-8.
    assert_eq!(decode(b"Gr\xF6\xDFe \x85 \xA0 \x80 \x9E \x1F").as_deref(), Some("Größe – € • ž ˜"));
    assert_eq!(decode("é".as_bytes()).as_deref(), Some("Ã©"));
}

#[test]
fn what_is_invalid_is_replaced() {
    assert_eq!(decode(b"\xFE\xFF\x00a\xD8\x00\x00b\x00").as_deref(), Some("a\u{fffd}b\u{fffd}"));
    assert_eq!(decode(b"\xEF\xBB\xBFa\xFFb").as_deref(), Some("a\u{fffd}b"));
    assert_eq!(decode(b"a\x9Fb").as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn a_text_is_one_line_that_hides_nothing() {
    assert_eq!(decode(b" a\r\n\tb\x00\x07c  ").as_deref(), Some("a bc"));
    assert_eq!(
        decode(&utf16_of("in\u{202e}voice\u{200b}.pdf", true)).as_deref(),
        Some("invoice.pdf")
    );
    for empty in [&b""[..], b" \r\n ", b"\xFE\xFF", b"\xEF\xBB\xBF", b"\x00\x00"] {
        assert_eq!(decode(empty), None, "{empty:?}");
    }
}

#[test]
fn names_of_languages_are_no_part_of_a_text() {
    assert_eq!(
        decode(&utf16_of("\u{1b}en\u{1b}Size, \u{1b}de-CH\u{1b}Grösse", true)).as_deref(),
        Some("Size, Grösse")
    );
    assert_eq!(decode(&utf16_of("a\u{1b}bcdefghi", true)).as_deref(), Some("abcdefghi"));
    assert_eq!(decode(&utf16_of("a\u{1b}b", true)).as_deref(), Some("ab"));
}

#[test]
fn a_text_has_an_end() {
    let long = decode(&b"ab ".repeat(1_000_000)).unwrap_or_default();
    assert!(
        long.starts_with("ab ab ") && (LONGEST - 1..=LONGEST).contains(&long.chars().count()),
        "{}",
        long.len()
    );
    let wide = decode(&utf16_of(&"🙂".repeat(5_000), true)).unwrap_or_default();
    assert_eq!((wide.chars().count(), wide.len()), (LONGEST, 4 * LONGEST));
    assert_eq!(decode(&vec![b' '; 10_000_000]), None);
}
