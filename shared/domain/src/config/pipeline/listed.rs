//! What the lists of a job's keys have in common.

use crate::yaml::{FieldPath, FileError, OneOrMany, Source, quoted};

/// Checks a list of texts: it is not empty and not too long, each text is right, and none is there twice. Without the key it is empty. `one` names an entry,
/// and `several` names some.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn listed(
    source: &Source,
    at: &FieldPath,
    texts: Option<OneOrMany<String>>,
    (one, several): (&str, &str),
    most: usize,
    check: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, FileError> {
    let Some(OneOrMany(texts)) = texts else {
        return Ok(Vec::new());
    };
    if texts.is_empty() {
        return Err(source.error(
            at,
            format!("an empty list: expected at least one {one}; to have none, remove the key"),
        ));
    }
    if texts.len() > most {
        return Err(source.error(at, format!("{} {several}: at most {most} are possible", texts.len())));
    }
    for (i, text) in texts.iter().enumerate() {
        let wrong = match check(text) {
            Err(message) => message,
            Ok(()) if texts.iter().take(i).any(|other| other == text) => format!("{} appears twice", quoted(text)),
            Ok(()) => continue,
        };
        return Err(source.error(&at.clone().index(i), wrong));
    }
    Ok(texts)
}
