//! The patterns that select pushes: branches, tags and paths.

use super::raw::{RawJob, RawOn, RawPush};
use crate::config::filter::PushFilter;
use crate::ids::JobName;
use crate::patterns::{Globs, Pattern};
use crate::yaml::Source;
use crate::yaml::{FieldPath, FileError, quoted};
use crate::yaml::{Id, OneOrMany};

/// The most patterns of one list.
const MOST_PATTERNS: usize = 50;
/// The most patterns of a file: each becomes a small automaton.
const MOST_PATTERNS_IN_ALL: usize = 1_000;

/// Checks the number of all patterns before any of them is compiled.
pub(super) fn check_size(source: &Source, jobs: &[(Id<JobName>, RawJob)]) -> Result<(), FileError> {
    let patterns: usize = jobs
        .iter()
        .filter_map(|(_, job)| match job.on.as_ref()? {
            RawOn::Events(events) => events.push.as_ref(),
            RawOn::Manual => None,
        })
        .flat_map(|push| [&push.branches, &push.tags, &push.paths])
        .map(|list| list.as_ref().map_or(0, |list| list.0.len()))
        .sum();
    if patterns > MOST_PATTERNS_IN_ALL {
        return Err(source.error(
            &FieldPath::top("jobs"),
            format!("the filters have {patterns} patterns in all: at most {MOST_PATTERNS_IN_ALL} are possible"),
        ));
    }
    Ok(())
}

pub(super) fn push_filter(source: &Source, at: &FieldPath, raw: RawPush) -> Result<PushFilter, FileError> {
    // Such patterns match no path, so the job would never start, and no error would say why.
    for (i, pattern) in raw.paths.iter().flat_map(|paths| &paths.0).enumerate() {
        let body = pattern.text.trim_start_matches('!');
        let path = || at.clone().key("paths").index(i);
        if body.starts_with('/') {
            return Err(source.error(
                &path(),
                format!(
                    "{} begins with a slash: expected a path from the repository's root, such as src/**",
                    quoted(&pattern.text)
                ),
            ));
        }
        if body.ends_with('/') {
            return Err(source.error(
                &path(),
                format!(
                    "{} names a directory: expected files, such as {}",
                    quoted(&pattern.text),
                    quoted(&format!("{}**", pattern.text))
                ),
            ));
        }
    }
    Ok(PushFilter {
        never: false,
        branches: globs(source, &at.clone().key("branches"), raw.branches)?,
        tags: globs(source, &at.clone().key("tags"), raw.tags)?,
        paths: globs(source, &at.clone().key("paths"), raw.paths)?,
    })
}

pub(super) fn globs(source: &Source, at: &FieldPath, patterns: Option<OneOrMany<Pattern>>) -> Result<Option<Globs>, FileError> {
    let Some(OneOrMany(patterns)) = patterns else {
        return Ok(None);
    };
    if patterns.is_empty() {
        return Err(source.error(at, "an empty list: expected at least one pattern; to have none, remove the key"));
    }
    if patterns.len() > MOST_PATTERNS {
        return Err(source.error(at, format!("{} patterns: at most {MOST_PATTERNS} are possible", patterns.len())));
    }
    Globs::new(patterns).map(Some).map_err(|message| source.error(at, message))
}
