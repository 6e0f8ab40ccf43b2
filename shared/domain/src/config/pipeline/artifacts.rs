//! The patterns of a job's artifacts.

use super::listed::listed;
use crate::yaml::{FieldPath, FileError, OneOrMany, Source, quoted};

/// The most patterns of a job's artifacts. Together with [`LONGEST_ARTIFACT`] it keeps them small enough for the overrides of a task.
const MOST_ARTIFACTS: usize = 20;
/// The longest pattern of a job's artifacts, in characters.
const LONGEST_ARTIFACT: usize = 200;

/// The patterns of a job's artifacts. The agent expands them; this refuses only patterns that cannot match.
pub(super) fn artifacts(source: &Source, at: &FieldPath, patterns: Option<OneOrMany<String>>) -> Result<Vec<String>, FileError> {
    listed(source, at, patterns, ("pattern", "patterns"), MOST_ARTIFACTS, artifact)
}

/// Whether a text is the path of one file: a pattern without wildcards.
pub(super) fn is_path(text: &str) -> bool {
    artifact(text).is_ok() && !text.contains(['*', '?', '[', ']', '\\'])
}

/// Checks one pattern.
fn artifact(pattern: &str) -> Result<(), String> {
    if pattern.is_empty() {
        return Err("an empty pattern: expected one such as target/report.xml or dist/**".to_owned());
    }
    if pattern.chars().count() > LONGEST_ARTIFACT {
        return Err(format!("{} is longer than {LONGEST_ARTIFACT} characters", quoted(pattern)));
    }
    if pattern.chars().any(char::is_control) {
        return Err(format!(
            "{} has a line break or another control character, which no artifact's name may have",
            quoted(pattern)
        ));
    }
    // In the filters of a push, `!` excludes. Here it would be part of a name, and match nothing without an error.
    if pattern.contains('!') {
        return Err(format!("{} has a `!`: artifacts can only be listed, not left out", quoted(pattern)));
    }
    if pattern.contains(['{', '}']) {
        return Err(format!("{} has a brace: write one pattern for each alternative", quoted(pattern)));
    }
    if pattern.starts_with('/') {
        return Err(format!(
            "{} begins with a slash: expected a path from the repository's root, such as dist/**",
            quoted(pattern)
        ));
    }
    if pattern.ends_with('/') {
        return Err(format!(
            "{} names a directory: expected files, such as {}",
            quoted(pattern),
            quoted(&format!("{pattern}**"))
        ));
    }
    if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!(
            "{} has an empty, `.` or `..` part: expected a path from the repository's root, such as dist/**",
            quoted(pattern)
        ));
    }
    Ok(())
}
