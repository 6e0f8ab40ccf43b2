//! Lengths of texts, and names from outside made fit for one line.

use jiff::Timestamp;

use crate::ids::{Reference, RepositoryName};
use crate::outcome::Outcome;
use crate::text::is_unfit;

/// The longest SMS text, in characters.
pub const SMS_LIMIT: usize = 140;
/// The longest subject that SNS takes, in ASCII characters: "must be less than 100 characters long"
/// (<https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>).
pub const SUBJECT_LIMIT: usize = 99;
/// The most characters of a repository's or a branch's name in a title.
pub(super) const NAME_LIMIT: usize = 30;

/// Repository and branch or tag. Long names are cut, to leave room in a subject and an SMS; the document has them in full.
pub(super) fn place(repository: &RepositoryName, reference: &Reference) -> String {
    format!(
        "{} {}",
        truncate(repository.as_str(), NAME_LIMIT),
        truncate(reference.name(), NAME_LIMIT)
    )
}

/// A time for people, to the minute.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%H:%M UTC").to_string()
}

pub(super) fn predicate(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Skipped => "was skipped",
        Outcome::Superseded => "was superseded by a newer push",
        Outcome::Cancelled => "was cancelled",
        Outcome::Interrupted => "was interrupted",
        Outcome::InfrastructureFailed => "had an infrastructure failure",
        Outcome::TimedOut => "timed out",
        Outcome::Failed => "failed",
    }
}

/// The label of a link in an e-mail.
pub(super) fn label_of_link(link: &str) -> &'static str {
    match link {
        "logs" => "Logs",
        "report" => "Report",
        _ => "Agent",
    }
}

pub(super) fn printable_ascii(text: &str) -> String {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            '…' => ascii.push_str("..."),
            _ if c.is_whitespace() => ascii.push(' '),
            _ => ascii.push('?'),
        }
    }
    ascii
}

/// A text for people, with spaces for control characters and others that affect the lines around them; line breaks stay.
pub(super) fn sanitise(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && is_unfit(c) { ' ' } else { c }).collect()
}

pub(super) fn truncate(text: &str, limit: usize) -> String {
    let text = text.replace(is_unfit, " ");
    if text.chars().count() <= limit {
        text
    } else {
        let mut short: String = text.chars().take(limit - 3).collect();
        short.push_str("...");
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_for_ascii_keeps_its_spaces_and_ellipses() {
        assert_eq!(printable_ascii("a…b\u{a0}c\td é~"), "a...b c d ?~");
    }
}
