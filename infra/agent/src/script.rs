//! How a script is run.
//!
//! A script without an interpreter line is run by bash, with errors ending it, and with a note of the command that did. bash reads the file that `BASH_ENV`
//! names before a script; programs that the script starts do not get to see it.

use std::path::Path;

/// What bash reads before the script.
const PRELUDE: &str = include_str!("prelude.sh");

/// Whether the script names its interpreter.
#[must_use]
pub fn has_interpreter(script: &[u8]) -> bool {
    script.starts_with(b"#!")
}

/// The prelude for a script, with the file in which it notes the command that failed.
#[must_use]
pub fn prelude(script: &Path, note: &Path) -> String {
    let quoted = |path: &Path| quote(&path.to_string_lossy());
    PRELUDE.replace("@SCRIPT@", &quoted(script)).replace("@NOTE@", &quoted(note))
}

/// A word for a shell that stands for this text.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The variables that add settings to Git's configuration for all processes with this environment. Settings that are there already stay.
#[must_use]
pub fn git_settings(count: Option<&str>, settings: &[(String, String)]) -> Vec<(String, String)> {
    let there: usize = count.and_then(|count| count.parse().ok()).unwrap_or_default();
    let mut all = vec![("GIT_CONFIG_COUNT".to_owned(), (there + settings.len()).to_string())];
    for (index, (name, value)) in (there..).zip(settings) {
        all.push((format!("GIT_CONFIG_KEY_{index}"), name.clone()));
        all.push((format!("GIT_CONFIG_VALUE_{index}"), value.clone()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prelude_holds_quoted_paths() {
        let prelude = prelude(Path::new("/it's/script"), Path::new("/work/failure"));
        assert!(prelude.contains(r"done <'/it'\''s/script'"));
        assert!(prelude.contains(r">'/work/failure'"));
        assert!(!prelude.contains('@') || !prelude.contains("@SCRIPT@") && !prelude.contains("@NOTE@"));
    }

    #[test]
    fn interpreters() {
        assert!(has_interpreter(b"#!/bin/sh\n"));
        assert!(!has_interpreter(b"# a comment\n"));
        assert!(!has_interpreter(b"#"));
    }

    #[test]
    fn settings_of_git_are_added() {
        let one = [("a.b".to_owned(), "c".to_owned())];
        let pairs = |count| {
            git_settings(count, &one)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(pairs(None), ["GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=a.b", "GIT_CONFIG_VALUE_0=c"]);
        assert_eq!(
            pairs(Some("2")),
            ["GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_2=a.b", "GIT_CONFIG_VALUE_2=c"]
        );
        assert_eq!(pairs(Some("x"))[0], "GIT_CONFIG_COUNT=1");
    }
}
