//! Objects that people write. Nothing is guessed: an unknown key is an error, and each error is one line that names the field and the expected value.

use std::str::FromStr;

use bellhop_domain::config::nearest;
use bellhop_domain::ids::{InvalidId, Reference};
use serde_json::{Map, Value};

use crate::decode::clean;

/// The most characters of a key that an error quotes.
const LONGEST_KEY: usize = 50;

/// An object and its allowed keys.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    path: &'static str,
}

impl<'a> Fields<'a> {
    /// Takes an object at `path` (empty for the input itself). All its keys must be among the `known` ones.
    pub(crate) fn of(value: &'a Value, path: &'static str, known: &[&str]) -> Result<Self, String> {
        let Some(object) = value.as_object() else {
            let place = if path.is_empty() { "the input" } else { path };
            return Err(format!("{place}: expected an object with the keys {}", known.join(", ")));
        };
        let fields = Self { object, path };
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(fields),
            Some(key) => {
                let hint = nearest(key, known).map_or_else(String::new, |name| format!("; did you mean {name}?"));
                Err(format!(
                    "{}: unknown key{hint} (known: {})",
                    fields.place(&clean(key, LONGEST_KEY)),
                    known.join(", ")
                ))
            }
        }
    }

    /// The full name of a field, for messages.
    pub(crate) fn place(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key; `null` counts as missing.
    pub(crate) fn value(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A non-empty string.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(_) => Err(format!("{}: expected a non-empty string", self.place(key))),
        }
    }

    /// One of the domain's identifiers.
    pub(crate) fn id<T: FromStr<Err = InvalidId>>(&self, key: &str) -> Result<Option<T>, String> {
        self.text(key)?
            .map(|text| text.parse().map_err(|error| format!("{}: {error}", self.place(key))))
            .transpose()
    }

    /// One of the domain's identifiers, which is required.
    pub(crate) fn required<T: FromStr<Err = InvalidId>>(&self, key: &str) -> Result<T, String> {
        self.id(key)?.ok_or_else(|| format!("{}: required, but missing", self.place(key)))
    }

    /// The short name of a branch.
    pub(crate) fn branch(&self, key: &str) -> Result<Option<String>, String> {
        let Some(name) = self.text(key)? else {
            return Ok(None);
        };
        let valid = !name.starts_with("refs/") && format!("refs/heads/{name}").parse::<Reference>().is_ok();
        if valid {
            Ok(Some(name.to_owned()))
        } else {
            Err(format!(
                "{}: expected the name of a branch as Git allows it, without refs/heads/",
                self.place(key)
            ))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use bellhop_domain::ids::JobName;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_known_one() {
        let error = |value: Value| Fields::of(&value, "start", &["repository", "branch"]).unwrap_err();
        for misspelt in ["repositry", "Repository", "repo_sitory"] {
            assert_eq!(
                error(json!({ misspelt: 1 })),
                format!("start.{misspelt}: unknown key; did you mean repository? (known: repository, branch)")
            );
        }
        assert_eq!(
            error(json!({ "fork\nbomb": 1 })),
            "start.fork bomb: unknown key (known: repository, branch)"
        );
        assert_eq!(error(json!("x")), "start: expected an object with the keys repository, branch");
        assert_eq!(
            Fields::of(&json!([]), "", &["start"]).unwrap_err(),
            "the input: expected an object with the keys start"
        );
    }

    #[test]
    fn values_are_texts_that_fit() {
        let object = json!({ "none": null, "empty": " ", "number": 5, "job": "Test", "branch": "release/1" });
        let fields = Fields::of(&object, "", &["none", "empty", "number", "job", "branch"]).unwrap();
        assert_eq!(fields.text("none"), Ok(None));
        assert_eq!(fields.text("absent"), Ok(None));
        assert_eq!(fields.text("empty"), Err("empty: expected a non-empty string".into()));
        assert_eq!(fields.text("number"), Err("number: expected a non-empty string".into()));
        assert!(
            fields
                .id::<JobName>("job")
                .unwrap_err()
                .starts_with("job: \"Test\" is not a valid job name: expected")
        );
        assert_eq!(fields.required::<JobName>("none").unwrap_err(), "none: required, but missing");
        assert_eq!(fields.branch("branch"), Ok(Some("release/1".into())));
    }

    #[test]
    fn a_branch_is_named_shortly() {
        for name in ["refs/heads/main", "refs/tags/v1", "a b", "a..b", ".x", "a\nb"] {
            let object = json!({ "branch": name });
            let error = Fields::of(&object, "start", &["branch"]).unwrap().branch("branch").unwrap_err();
            assert_eq!(
                error, "start.branch: expected the name of a branch as Git allows it, without refs/heads/",
                "{name}"
            );
        }
    }
}
