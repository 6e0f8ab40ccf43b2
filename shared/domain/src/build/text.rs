//! Texts of services and agents, which are stored only in part.

use crate::text::is_unfit;

/// The most characters stored of a service's or an agent's message. It goes into messages, some of which contain many builds.
pub(super) const LONGEST_MESSAGE: usize = 300;

/// Shortens a text to one line of at most this many characters, without control characters and other characters that affect the text around them.
pub(super) fn truncate(text: &str, limit: usize) -> String {
    let line = text
        .split(|c: char| c.is_whitespace() || is_unfit(c))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() <= limit {
        line
    } else {
        line.chars().take(limit.saturating_sub(3)).chain("...".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_writes_is_one_line_that_a_terminal_shows_as_it_is() {
        assert_eq!(truncate(" a\r\nb\tc ", 100), "a b c");
        assert_eq!(truncate("a\u{1b}[31mb\u{9b}0m\u{202e}c\u{0}", 100), "a [31mb 0m c");
        assert_eq!(truncate("abcdef", 5), "ab...");
    }
}
