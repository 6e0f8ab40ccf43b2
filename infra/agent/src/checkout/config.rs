//! The text of a configuration of Git.

/// Settings of one section, as they are appended to `.git/config`.
#[must_use]
pub(super) fn section(heading: &str, settings: &[(&str, &str)]) -> String {
    let lines = settings.iter().map(|(name, value)| format!("\t{name} = {}\n", quote(value)));
    format!("[{heading}]\n{}", lines.collect::<String>())
}

/// A value in quotes (<https://git-scm.com/docs/git-config#_syntax>).
fn quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted() {
        let text = section("remote \"origin\"", &[("url", "https://x/$(a)\"b\\c\nd; e # f"), ("fetch", "+a:b")]);
        assert_eq!(
            text,
            "[remote \"origin\"]\n\turl = \"https://x/$(a)\\\"b\\\\c\\nd; e # f\"\n\tfetch = \"+a:b\"\n"
        );
    }
}
