//! The forms in which a secret is looked for in the log.
//!
//! A secret of several lines is looked for line by line, because the lines of a private key are seldom printed as one text. What encodes a text as a whole,
//! Base64, has both: the lines, and the whole.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64URL};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The shortest text that is looked for, in bytes. A shorter one would be found in much that is no secret, and what is left of the log would show it.
pub const SHORTEST: usize = 6;

/// What a percent-encoding leaves as it is: RFC 3986's unreserved characters (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, and the slash: what Python's `quote` leaves.
const OF_A_PATH: &AsciiSet = &UNRESERVED.remove(b'/');
/// What `encodeURIComponent` of JavaScript leaves.
const OF_A_COMPONENT: &AsciiSet = &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
/// What bash leaves where it quotes characters one by one.
const BARE: &[u8] = b"_@%+=:,./-";

/// All forms of a secret. None has a line break in it, or spaces around it.
#[must_use]
pub fn of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    for line in lines(value) {
        forms.extend(of_a_line(line));
        forms.extend(in_base64(line.as_bytes()));
    }
    if lines(value).nth(1).is_some() {
        forms.extend(in_base64(value.trim().as_bytes()));
    }
    forms
}

/// Whether a part of the secret is too short to be looked for.
#[must_use]
pub fn is_shown_in_part(value: &str) -> bool {
    value.lines().map(str::trim).any(|line| (1..SHORTEST).contains(&line.len()))
}

/// The lines that are looked for.
fn lines(value: &str) -> impl Iterator<Item = &str> {
    value.split(['\n', '\r']).map(str::trim).filter(|line| line.len() >= SHORTEST)
}

/// A line as it is, and as programs write it into other texts.
fn of_a_line(line: &str) -> impl IntoIterator<Item = Vec<u8>> {
    let percent = |set| utf8_percent_encode(line, set).to_string();
    [
        line.to_owned(),
        json(line, false),
        json(line, true),
        percent(UNRESERVED),
        percent(OF_A_PATH),
        percent(OF_A_COMPONENT),
        // A form of HTML.
        percent(UNRESERVED).replace("%20", "+"),
        // As `set -x`, `export -p` and `printf %q` show it.
        line.replace('\'', r"'\''"),
        escaped(line, |character| "\"$`\\".contains(character)),
        escaped(line, |character| {
            character.is_ascii() && !character.is_ascii_alphanumeric() && !BARE.contains(&(character as u8))
        }),
    ]
    .map(String::into_bytes)
}

/// The inside of a text of JSON, only in ASCII, or in UTF-8.
fn json(line: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(line).to_string();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted);
    let mut text = String::new();
    for character in inside.chars() {
        if character.is_ascii() || !ascii {
            text.push(character);
        } else {
            let units = character
                .encode_utf16(&mut [0; 2])
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect::<String>();
            text.push_str(&units);
        }
    }
    text
}

/// With a backslash before some characters.
fn escaped(line: &str, needs_it: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    for character in line.chars() {
        if needs_it(character) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Base64 of a text that has these bytes in it, in both alphabets: the characters that depend on these bytes and no others. Which these are depends on how
/// many bytes stand before, modulo 3.
fn in_base64(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
        // Three bytes are four characters. The first ones depend on what stands before, the last one on what follows, if it is not complete.
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoding in [&BASE64, &BASE64URL] {
            forms.extend(encoding.encode(&padded).as_bytes().get(from..to).map(<[u8]>::to_vec));
        }
    }
    forms
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(value: &str) -> Vec<String> {
        of(value).into_iter().map(|form| String::from_utf8(form).unwrap()).collect()
    }

    #[test]
    fn a_token_has_itself_and_base64() {
        assert_eq!(texts("token-1"), ["0b2tlbi0x", "Rva2VuLT", "dG9rZW4tM", "token-1"]);
    }

    #[test]
    fn other_texts_have_what_programs_make_of_them() {
        let forms = texts("p@ss 'w\"rd'\\é/");
        for form in [
            "p@ss 'w\"rd'\\é/",
            r#"p@ss 'w\"rd'\\é/"#,
            r#"p@ss 'w\"rd'\\\u00e9/"#,
            "p%40ss%20%27w%22rd%27%5C%C3%A9%2F",
            "p%40ss%20%27w%22rd%27%5C%C3%A9/",
            "p%40ss%20'w%22rd'%5C%C3%A9%2F",
            "p%40ss+%27w%22rd%27%5C%C3%A9%2F",
            r#"p@ss '\''w"rd'\''\é/"#,
            r#"p@ss\ \'w\"rd\'\\é/"#,
        ] {
            assert!(forms.iter().any(|other| other == form), "{form} is not among {forms:?}");
        }
    }

    #[test]
    fn lines_are_looked_for_one_by_one() {
        let forms = texts("-----BEGIN KEY-----\r\n  first-line\n\n}\nsecond-line\n");
        for line in ["-----BEGIN KEY-----", "first-line", "second-line"] {
            assert!(forms.iter().any(|form| form == line), "{line}");
        }
        assert!(forms.iter().all(|form| form.len() >= SHORTEST && !form.contains(['\n', '\r'])));
        assert!(is_shown_in_part("first-line\n}\n") && is_shown_in_part("12345"));
        assert!(!is_shown_in_part("first-line\n\n  second-line\n"));
        assert!(texts("12345").is_empty() && texts(" \n").is_empty());
    }

    proptest! {
        #[test]
        fn base64_is_found_wherever_it_stands(
            before in prop::collection::vec(any::<u8>(), 0..9),
            secret in prop::collection::vec(any::<u8>(), SHORTEST..40),
            after in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let whole = [before, secret.clone(), after].concat();
            for encoded in [BASE64.encode(&whole), BASE64URL.encode(&whole)] {
                let found = in_base64(&secret).into_iter().any(|form| encoded.contains(std::str::from_utf8(&form).unwrap()));
                prop_assert!(found, "{encoded}");
            }
        }
    }
}
