//! The job's secrets: what `BELLHOP_SECRETS` names, and what becomes of the answers of the services that hold them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::mask::forms::{SHORTEST, is_shown_in_part};

/// The longest value of a variable, in bytes. Linux takes 128 KiB for a variable with its name (<https://man7.org/linux/man-pages/man2/execve.2.html>), and
/// Secrets Manager gives up to 64 KiB.
pub const LONGEST: usize = 32 << 10;
/// The longest values of all variables together, in bytes.
pub const LONGEST_IN_ALL: usize = 64 << 10;

/// The form of a line of `BELLHOP_SECRETS`.
pub const LINE: &str = "lines VARIABLE ssm NAME, or VARIABLE secretsmanager NAME KEY with or without the key";

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A parameter of Systems Manager Parameter Store, by its name.
    Parameter(String),
    /// A secret of Secrets Manager, by its name.
    Secret(String),
}

impl Place {
    /// The right that reads it.
    fn right(&self) -> &'static str {
        match self {
            Self::Parameter(_) => "ssm:GetParameters",
            Self::Secret(_) => "secretsmanager:GetSecretValue",
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "the parameter {name}"),
            Self::Secret(name) => write!(f, "the secret {name} of Secrets Manager"),
        }
    }
}

/// A variable that is to hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The variable.
    pub variable: String,
    /// Where the secret is.
    pub place: Place,
    /// The key of the value, where the secret is a JSON object.
    pub key: Option<String>,
}

/// Reads `BELLHOP_SECRETS`. None if a line is of another form.
#[must_use]
pub fn parse(text: &str) -> Option<Vec<Wanted>> {
    let line = |line: &str| {
        let parts: Vec<&str> = line.split(' ').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        let (variable, place, key) = match parts[..] {
            [variable, "ssm", name] => (variable, Place::Parameter(name.to_owned()), None),
            [variable, "secretsmanager", name] => (variable, Place::Secret(name.to_owned()), None),
            [variable, "secretsmanager", name, key] => (variable, Place::Secret(name.to_owned()), Some(key.to_owned())),
            _ => return None,
        };
        Some(Wanted {
            variable: variable.to_owned(),
            place,
            key,
        })
    };
    text.lines().map(line).collect()
}

/// The places to ask for, once each.
#[must_use]
pub fn places(wanted: &[Wanted]) -> BTreeSet<Place> {
    wanted.iter().map(|wanted| wanted.place.clone()).collect()
}

/// What a service answered about a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A text.
    Text(String),
    /// Bytes that are no text.
    Binary,
    /// There is no such parameter or secret.
    Missing,
    /// The agent's role may not read it, in the service's words.
    Denied(String),
    /// The service refuses to give it, in its words.
    Refused(String),
    /// The service could not be asked, or could not answer, in spite of all tries.
    Unavailable(String),
}

/// Why a job does not get its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whether another try would find the same: something is missing, denied, or no value for a variable.
    pub is_lasting: bool,
    /// What is wrong, for people, one text for each variable.
    pub texts: Vec<String>,
}

/// The values of the variables.
///
/// # Errors
/// At least one variable has none. If anything is lasting, only that is said: it has to be mended in any case.
pub fn values(wanted: &[Wanted], answers: &BTreeMap<Place, Answer>) -> Result<BTreeMap<String, String>, Trouble> {
    let (mut values, mut lasting, mut passing) = (BTreeMap::new(), Vec::new(), Vec::new());
    let mut in_all = 0;
    for wanted in wanted {
        let Wanted { variable, place, .. } = wanted;
        let text = match answers.get(place) {
            Some(Answer::Text(text)) => text,
            Some(Answer::Unavailable(why)) => {
                passing.push(format!("{variable}: {place} could not be read: {why}"));
                continue;
            }
            Some(answer) => {
                lasting.push(format!("{variable}: {}", refusal(place, answer)));
                continue;
            }
            None => {
                passing.push(format!("{variable}: nothing was answered about {place}"));
                continue;
            }
        };
        match value(wanted, text) {
            Ok(value) => {
                in_all += value.len();
                values.insert(variable.clone(), value);
            }
            Err(why) => lasting.push(format!("{variable}: {place} {why}")),
        }
    }
    if in_all > LONGEST_IN_ALL {
        let most = LONGEST_IN_ALL >> 10;
        lasting.push(format!(
            "the secrets have {in_all} bytes together: at most {most} KiB fit; a script can read a larger one itself"
        ));
    }
    let (is_lasting, texts) = if lasting.is_empty() { (false, passing) } else { (true, lasting) };
    if texts.is_empty() {
        Ok(values)
    } else {
        Err(Trouble { is_lasting, texts })
    }
}

/// Why a place gives nothing, and what to do.
fn refusal(place: &Place, answer: &Answer) -> String {
    match answer {
        Answer::Missing => format!("{place} does not exist in this region: create it, or correct its name in `secrets`"),
        Answer::Denied(why) => format!(
            "the agent's role may not read {place}: it needs {} for it, and kms:Decrypt where a key of your own encrypts it: {why}",
            place.right()
        ),
        Answer::Refused(why) => format!("{place} cannot be read: {why}"),
        Answer::Binary => format!("{place} is binary: expected a text; a script can read it itself, or store it in Base64"),
        Answer::Text(_) | Answer::Unavailable(_) => format!("{place} cannot be read"),
    }
}

/// The value of a variable.
fn value(wanted: &Wanted, text: &str) -> Result<String, String> {
    let value = match &wanted.key {
        Some(key) => of_key(text, key)?,
        None => text.to_owned(),
    };
    if value.is_empty() {
        return Err("is empty: expected a value".to_owned());
    }
    if value.contains('\0') {
        return Err("has a NUL character, which no variable can hold: store it in Base64".to_owned());
    }
    if value.len() > LONGEST {
        let (length, most) = (value.len(), LONGEST >> 10);
        return Err(format!(
            "has {length} bytes: at most {most} KiB fit into a variable; a script can read it itself"
        ));
    }
    Ok(value)
}

/// The value of a key. What is wrong with it is said without anything that the secret holds.
fn of_key(text: &str, key: &str) -> Result<String, String> {
    let object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => object,
        _ => {
            return Err(format!(
                "is no JSON object: expected one with the key {key:?}, or no `key` in `secrets`"
            ));
        }
    };
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err(format!(
            "has no text under the key {key:?}: expected a text, a number, true or false"
        )),
        None => Err(format!("has no key {key:?}: add it, or correct `key` in `secrets`")),
    }
}

/// The lines of the log about values that are not masked in full.
#[must_use]
pub fn remarks(values: &BTreeMap<String, String>) -> Vec<String> {
    let shown = values.iter().filter(|(_, value)| is_shown_in_part(value));
    shown
        .map(|(variable, value)| {
            let what = if value.trim().contains('\n') { "has lines" } else { "is" };
            format!("{variable} {what} shorter than {SHORTEST} bytes, which the log does not mask")
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "TOKEN ssm /bellhop/shop/token\nDB secretsmanager /bellhop/shop/db password\nALL secretsmanager /bellhop/shop/db";

    fn token() -> Place {
        Place::Parameter("/bellhop/shop/token".to_owned())
    }

    fn db() -> Place {
        Place::Secret("/bellhop/shop/db".to_owned())
    }

    fn answered(token_is: Answer, db_is: &str) -> Result<BTreeMap<String, String>, Trouble> {
        let answers = BTreeMap::from([(token(), token_is), (db(), Answer::Text(db_is.to_owned()))]);
        values(&parse(TEXT).unwrap(), &answers)
    }

    fn refused(token_is: Answer, db_is: &str) -> Vec<String> {
        let trouble = answered(token_is, db_is).unwrap_err();
        assert!(trouble.is_lasting, "{trouble:?}");
        trouble.texts
    }

    fn text(text: &str) -> Answer {
        Answer::Text(text.to_owned())
    }

    #[test]
    fn each_place_is_asked_for_once() {
        let wanted = parse(TEXT).unwrap();
        assert_eq!(places(&wanted).into_iter().collect::<Vec<_>>(), [token(), db()]);
        for wrong in [
            "TOKEN",
            "TOKEN ssm",
            "TOKEN ssm a b",
            "TOKEN vault a",
            "TOKEN  a",
            "TOKEN secretsmanager a b c",
            "\nTOKEN ssm a",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn variables_have_the_whole_secret_or_the_value_of_a_key() {
        let json = r#"{"password":"a \"b\"","port":5432}"#;
        let values = answered(text("t0ken"), json).unwrap();
        let expected = [("ALL", json), ("DB", r#"a "b""#), ("TOKEN", "t0ken")];
        assert!(values.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
        let port = Wanted {
            variable: "PORT".to_owned(),
            place: db(),
            key: Some("port".to_owned()),
        };
        assert_eq!(value(&port, json), Ok("5432".to_owned()));
    }

    #[test]
    fn what_is_wrong_names_variable_and_secret_and_what_to_do() {
        let good = r#"{"password":"p"}"#;
        assert_eq!(
            refused(Answer::Missing, good),
            ["TOKEN: the parameter /bellhop/shop/token does not exist in this region: create it, or correct its name in `secrets`"]
        );
        assert_eq!(
            refused(Answer::Denied("no".to_owned()), good),
            [
                "TOKEN: the agent's role may not read the parameter /bellhop/shop/token: it needs ssm:GetParameters for it, and kms:Decrypt \
                 where a key of your own encrypts it: no"
            ]
        );
        for (answer, expected) in [
            (Answer::Binary, "is binary: expected a text"),
            (
                Answer::Refused("scheduled for deletion".to_owned()),
                "cannot be read: scheduled for deletion",
            ),
            (text(""), "is empty: expected a value"),
            (text("a\0b"), "has a NUL character"),
            (
                text(&"x".repeat(LONGEST + 1)),
                "has 32769 bytes: at most 32 KiB fit into a variable",
            ),
        ] {
            let [refused]: [String; 1] = refused(answer, good).try_into().unwrap();
            assert!(
                refused.starts_with("TOKEN: the parameter /bellhop/shop/token ") && refused.contains(expected),
                "{refused}"
            );
        }
        for (json, expected) in [
            ("s3cret", "is no JSON object: expected one with the key \"password\""),
            (r#"{"s3cret":1}"#, "has no key \"password\": add it"),
            (r#"{"password":["s3cret"]}"#, "has no text under the key \"password\""),
        ] {
            let [refused]: [String; 1] = refused(text("t0ken"), json).try_into().unwrap();
            assert!(
                refused.starts_with("DB: the secret /bellhop/shop/db of Secrets Manager "),
                "{refused}"
            );
            assert!(refused.contains(expected) && !refused.contains("s3cret"), "{refused}");
        }
        assert_eq!(refused(Answer::Missing, "none").len(), 2);
        let large = "x".repeat(LONGEST);
        let both = format!("{{\"password\":\"{}\"}}", "y".repeat(LONGEST - 20));
        assert!(refused(text(&large), &both)[0].starts_with("the secrets have "));
    }

    #[test]
    fn what_may_pass_is_no_fault_of_the_job_unless_something_else_is() {
        let down = || Answer::Unavailable("SSM answered 503".to_owned());
        let trouble = answered(down(), r#"{"password":"p"}"#).unwrap_err();
        assert!(!trouble.is_lasting);
        assert_eq!(
            trouble.texts,
            ["TOKEN: the parameter /bellhop/shop/token could not be read: SSM answered 503"]
        );
        assert_eq!(refused(down(), "none").len(), 1);
        assert!(!values(&parse(TEXT).unwrap(), &BTreeMap::new()).unwrap_err().is_lasting);
    }

    #[test]
    fn short_values_are_remarked() {
        let values = [("PIN", "1234"), ("KEY", "a long line\n}\n"), ("TOKEN", "t0ken-t0ken\n")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(
            remarks(&values),
            [
                "KEY has lines shorter than 6 bytes, which the log does not mask",
                "PIN is shorter than 6 bytes, which the log does not mask"
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([A-Z]{0,3} ?(ssm|secretsmanager)? ?\\PC{0,9}\n?){0,4}") {
            let _ = parse(&text);
        }
    }
}
