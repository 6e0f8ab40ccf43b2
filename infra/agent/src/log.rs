//! The agent's own lines in the log of a build.
//!
//! Each begins with `bellhop: `, by which people and programs tell them from the script's. A line is one line: what comes from outside cannot begin another
//! one. It stays far below the 256 KB that CloudWatch Logs takes as one event.

use std::io::Write as _;

/// What the agent's own lines begin with.
pub const MARK: &str = "bellhop: ";
/// The longest line, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// A line: marked, without control characters, cut where it is too long.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(MARK.len() + text.len() + 1);
    line.push_str(MARK);
    for character in text.chars() {
        if line.len() > LONGEST - 8 {
            line.push('…');
            break;
        }
        line.push(match character {
            '\n' | '\r' => ' ',
            '\t' => '\t',
            other if other.is_control() => char::REPLACEMENT_CHARACTER,
            other => other,
        });
    }
    line.push('\n');
    line
}

/// Writes a line to standard output. A log that is gone is no reason to stop.
pub fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(line(text).as_bytes());
}

/// Writes a line to standard error.
pub fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(line(text).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("exit code 1"), "bellhop: exit code 1\n");
        assert_eq!(line("a\nbellhop: b\x1b[31m"), "bellhop: a bellhop: b\u{fffd}[31m\n");
    }

    proptest! {
        #[test]
        fn any_text_is_one_short_line(text in "\\PC*[\n\r\u{1b}]?.{0,80}", times in 1_usize..400) {
            let line = line(&text.repeat(times));
            prop_assert!(line.len() <= LONGEST);
            prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        }
    }
}
