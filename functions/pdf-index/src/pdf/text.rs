//! Text strings of PDF: from bytes to what people read.
//!
//! A text string is in UTF-16BE or UTF-8, which it says by its first bytes, or else in PDFDocEncoding (ISO 32000-2, 7.9.2.2 and annex D). UTF-16LE is in no
//! standard, but programs write it.

use std::char::REPLACEMENT_CHARACTER;

/// The most characters of a text that are kept.
pub const LONGEST: usize = 1_000;

/// PDFDocEncoding from 0x18 to 0x1F.
const ACCENTS: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];
/// PDFDocEncoding from 0x80 to 0xA0.
const SIGNS: [char; 33] = [
    '•',
    '†',
    '‡',
    '…',
    '—',
    '–',
    'ƒ',
    '⁄',
    '‹',
    '›',
    '−',
    '‰',
    '„',
    '“',
    '”',
    '‘',
    '’',
    '‚',
    '™',
    'ﬁ',
    'ﬂ',
    'Ł',
    'Œ',
    'Š',
    'Ÿ',
    'Ž',
    'ı',
    'ł',
    'œ',
    'š',
    'ž',
    REPLACEMENT_CHARACTER,
    '€',
];
/// Begins and ends the name of a language inside a text in Unicode.
const ESCAPE: char = '\u{1b}';

/// A text of the document information, in one line: without control characters, at most [`LONGEST`] characters, blanks combined. `None` if nothing is left.
///
/// Invalid parts become U+FFFD. Reads no more of a long text than it keeps.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<String> {
    match bytes {
        [0xFE, 0xFF, rest @ ..] => tidy(without_languages(utf16(rest, u16::from_be_bytes))),
        [0xFF, 0xFE, rest @ ..] => tidy(without_languages(utf16(rest, u16::from_le_bytes))),
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            let chars = rest.utf8_chunks().flat_map(|chunk| {
                let invalid = (!chunk.invalid().is_empty()).then_some(REPLACEMENT_CHARACTER);
                chunk.valid().chars().chain(invalid)
            });
            tidy(without_languages(chars))
        }
        _ => tidy(bytes.iter().map(|byte| from_pdf_doc_encoding(*byte))),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> impl Iterator<Item = char> {
    let units = bytes.chunks(2).map(move |pair| match pair {
        [first, second] => unit([*first, *second]),
        // Half a unit, which is as invalid as half a pair of surrogates.
        _ => 0xD800,
    });
    char::decode_utf16(units).map(|decoded| decoded.unwrap_or(REPLACEMENT_CHARACTER))
}

fn from_pdf_doc_encoding(byte: u8) -> char {
    let from = |table: &[char], first: u8| table.get(usize::from(byte.wrapping_sub(first))).copied();
    from(&ACCENTS, 0x18).or(from(&SIGNS, 0x80)).unwrap_or(char::from(byte))
}

/// A text without the names of its languages, each between two escapes. An escape without a second one close to it only loses itself.
fn without_languages(chars: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut chars = chars.fuse();
    let mut held = std::collections::VecDeque::new();
    std::iter::from_fn(move || {
        loop {
            let next = held.pop_front().or_else(|| chars.next())?;
            if next != ESCAPE {
                return Some(next);
            }
            // A language and a country have two letters each, and a hyphen may be between them.
            while held.len() < 6 && !held.contains(&ESCAPE) {
                let Some(next) = chars.next() else { break };
                held.push_back(next);
            }
            if let Some(end) = held.iter().position(|held| *held == ESCAPE) {
                held.drain(..=end);
            }
        }
    })
}

/// The beginning of a text, in one line that hides nothing.
fn tidy(chars: impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::new();
    let (mut count, mut gap) = (0, false);
    // A text of nothing but blanks is not read to its end.
    for char in chars.take(8 * LONGEST) {
        if char.is_whitespace() {
            gap = count > 0;
        } else if !char.is_control() && !is_hidden(char) {
            let needed = if gap { 2 } else { 1 };
            if count + needed > LONGEST {
                break;
            }
            if gap {
                text.push(' ');
            }
            text.push(char);
            count += needed;
            gap = false;
        }
    }
    (count > 0).then_some(text)
}

/// Characters without a shape, and those that turn the direction of what follows: with them a text can look like another.
fn is_hidden(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}
