//! Texts of services and agents, which are stored only in part.

/// The most characters stored of a service's or an agent's message. It goes into messages, some of which contain many builds.
pub(super) const LONGEST_MESSAGE: usize = 300;

/// Shortens a text to one line of at most this many characters.
pub(super) fn truncate(text: &str, limit: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= limit {
        line
    } else {
        line.chars().take(limit.saturating_sub(3)).chain("...".chars()).collect()
    }
}
