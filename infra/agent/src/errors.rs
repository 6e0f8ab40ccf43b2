//! What programs and the agent itself say about a failure: a file that is shown in the log, and whose last lines are the report's message.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::log::{MARK, pass_on, say};

/// The most that is shown at a time, in bytes. CloudWatch Logs takes events of up to 256 KB.
const SHOWN: usize = 64 * 1024;

/// A file of errors.
#[derive(Debug)]
pub struct Errors {
    path: PathBuf,
    shown: usize,
}

impl Errors {
    /// An empty one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path)?;
        Ok(Self {
            path: path.to_owned(),
            shown: 0,
        })
    }

    /// The file, for the standard error of a program.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn writer(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).open(&self.path)
    }

    /// Adds a line of the agent's own, which is in the log at once.
    pub fn add(&mut self, message: &str) {
        self.show();
        say(&format!("checkout: {message}"));
        self.add_bytes(format!("{message}\n").as_bytes());
        self.shown = self.all().len();
    }

    /// Adds lines of a program's.
    pub fn add_bytes(&mut self, lines: &[u8]) {
        // On a full disk the log says less.
        let _ = self.writer().and_then(|mut file| file.write_all(lines));
    }

    /// Shows in the log what it does not show yet. No line of a program looks like one of the agent's.
    pub fn show(&mut self) {
        let all = self.all();
        let new = all.get(self.shown..).unwrap_or_default();
        let last = new.get(new.len().saturating_sub(SHOWN)..).unwrap_or_default();
        let lines = last.split_inclusive(|byte| *byte == b'\n');
        let indent = |line: &[u8]| {
            if line.starts_with(MARK.as_bytes()) {
                b" ".to_vec()
            } else {
                Vec::new()
            }
        };
        let lines: Vec<u8> = lines.flat_map(|line| [indent(line), line.to_vec()].concat()).collect();
        pass_on(&lines);
        self.shown = all.len();
    }

    /// The last lines.
    #[must_use]
    pub fn tail(&self, lines: usize) -> Vec<u8> {
        tail(&self.all(), lines)
    }

    fn all(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap_or_default()
    }
}

/// The last lines of a text, without the line break at the end.
fn tail(text: &[u8], lines: usize) -> Vec<u8> {
    let text = text.trim_ascii_end();
    let all: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join(&b'\n')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    #[test]
    fn tails() {
        assert_eq!(tail(b"", 5), b"");
        assert_eq!(tail(b"a\nb\nc\n", 2), b"b\nc");
        assert_eq!(tail(b"a\n", 5), b"a");
    }

    #[test]
    fn programs_and_the_agent_write_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let mut errors = Errors::create(&folder.path().join("errors")).unwrap();
        errors.writer().unwrap().write_all(b"git: no\n").unwrap();
        errors.add("the fetch failed");
        assert_eq!(errors.tail(5), b"git: no\nthe fetch failed");
    }
}
