//! Texts from outside, made fit for one line of a message, an error or a log.

/// Whether a character changes the line that shows it: a control character, a line break, or a change of the writing direction.
#[must_use]
pub fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text fit for one line: at most `limit` characters, with a space for every unfit one.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).map(|c| if is_unfit(c) { ' ' } else { c }).collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}
