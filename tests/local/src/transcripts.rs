//! The output of the demo's stories, as docs/tutorials/demo.md shows it: each line of the page is one that a story prints.
//!
//! `cargo xtask test` writes down what the stories print, and starts this when the last one is over.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use xtask::workspace::root;

const PAGE: &str = "docs/tutorials/demo.md";

/// Checks the page against what all stories printed, which is in a file.
///
/// # Errors
/// The page or the file cannot be read, or the page has lines that no story printed.
pub(crate) fn check(printed: &Path) -> anyhow::Result<()> {
    let printed = std::fs::read_to_string(printed).with_context(|| format!("cannot read {}", printed.display()))?;
    let printed: Vec<&str> = printed.lines().collect();
    let page = std::fs::read_to_string(root().join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let unknown = unknown(&page, &printed);
    ensure!(
        unknown.is_empty(),
        "no story printed these lines of {PAGE}:\n{}",
        unknown.join("\n")
    );
    Ok(())
}

/// Lines of the page's transcripts that were not printed.
fn unknown(page: &str, printed: &[&str]) -> Vec<String> {
    let printed: HashSet<String> = printed.iter().map(|line| shape(line)).collect();
    let mut fence = None;
    let mut unknown = Vec::new();
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = fence.xor(Some(language));
        } else if fence == Some("text") && line.contains(char::is_alphanumeric) && !printed.contains(&shape(line)) {
            unknown.push(line.to_owned());
        }
    }
    unknown
}

/// A line without what differs from run to run: words with a digit, and words that may hold a run's id.
fn shape(line: &str) -> String {
    let is_id = |part: &str| part.len() == 10 && part.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'2'..=b'7'));
    let words = line.split_whitespace().map(|word| {
        let differs = word.contains(|c: char| c.is_ascii_digit()) || word.split(|c: char| !c.is_ascii_alphanumeric()).any(is_id);
        if differs { "#" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_no_story_printed_is_found() {
        let page =
            "A line.\n```text\n  0.10 s  push  starts abcdefghij\n\n└───┘\n  0.20 s  push  stops\n```\n```sh\ncargo xtask demo\n```\n";
        let printed = ["   0.33 s  push        starts klmnopqrst"];
        assert_eq!(unknown(page, &printed), ["  0.20 s  push  stops"]);
    }
}
