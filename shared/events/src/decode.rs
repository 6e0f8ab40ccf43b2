//! Lenient parsing of single values. The same field may arrive as an integer, a float or a string, and may be null or missing.

use std::str::FromStr;

use bellhop_domain::ids::InvalidId;
use bellhop_domain::text::is_unfit;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Reason;

/// Above this limit, floats cannot represent every integer.
const LARGEST_EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Parses an object. The error names the field's path and the expected value, but not the actual one, which may be unsuitable for logs.
pub(crate) fn object<'a, T: Deserialize<'a>>(value: &'a Value, path: &str) -> Result<T, Reason> {
    if !value.is_object() {
        return Err(expected(path, "an object"));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = match error.path().to_string().as_str() {
            "." => path.to_owned(),
            inner => format!("{path}.{inner}"),
        };
        let message = error.inner().to_string();
        if let Some(field) = message.strip_prefix("missing field ") {
            Reason::Malformed(format!("{path}.{}: required, but missing", field.trim_matches('`')))
        } else {
            let what = message.rsplit_once("expected ").map_or("another value", |(_, what)| what);
            expected(&path, what)
        }
    })
}

/// The reason for an invalid field.
pub(crate) fn expected(path: &str, what: &str) -> Reason {
    Reason::Malformed(format!("{path}: expected {what}"))
}

/// Parses one of the domain's identifiers.
pub(crate) fn id<T: FromStr<Err = InvalidId>>(text: &str, path: &str) -> Result<T, Reason> {
    text.parse().map_err(|error| Reason::Malformed(format!("{path}: {error}")))
}

/// A foreign text for one line: without control characters, line breaks and changes of the writing direction, at most `limit` characters.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let mut rest = text.chars().map(|c| if is_unfit(c) || c.is_whitespace() { ' ' } else { c });
    let mut clean: String = rest.by_ref().take(limit).collect();
    if rest.next().is_some() {
        clean.push_str("...");
    }
    clean
}

/// For optional details: a value that is not a string counts as missing.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// The account that sent an event, from its envelope (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>).
pub(crate) fn account(event: &Value) -> Option<String> {
    event.get("account")?.as_str().map(ToOwned::to_owned)
}

/// For times, which are optional details: a value that is not a timestamp counts as missing.
pub(crate) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().and_then(timestamp))
}

/// Parses a time in one of AWS's two formats: `2026-03-02T09:14:03Z` with or without a fraction and with any offset, and CodeBuild's `Mar 2, 2026
/// 9:14:03 AM`, which is UTC.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let of_codebuild = || {
        // Newer formatters put a narrow no-break space before AM or PM.
        let text = text.replace(|c: char| c.is_whitespace(), " ");
        let local = DateTime::strptime("%b %d, %Y %I:%M:%S %p", text).ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse().ok().or_else(of_codebuild)
}

/// For integers that arrive as integer, float or string.
pub(crate) fn whole<'de, D: Deserializer<'de>, N: TryFrom<i64>>(deserializer: D) -> Result<Option<N>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exact)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(exact))
        }
        _ => None,
    };
    match number.and_then(|number| N::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(D::Error::custom("expected a whole number in range")),
    }
}

fn exact(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= LARGEST_EXACT_FLOAT).then_some(number as i64)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[serde(default, deserialize_with = "whole")]
        version: Option<u64>,
        #[serde(default, deserialize_with = "whole")]
        code: Option<i32>,
        #[serde(default, deserialize_with = "time")]
        at: Option<Timestamp>,
        #[serde(default, deserialize_with = "text")]
        note: Option<String>,
        #[serde(default)]
        list: Vec<String>,
    }

    #[test]
    fn numbers_come_as_integer_float_and_text() {
        for version in [json!(7), json!(7.0), json!("7"), json!("7.0")] {
            assert_eq!(object::<Sample>(&json!({ "version": version }), "x").unwrap().version, Some(7));
        }
        assert_eq!(object::<Sample>(&json!({ "code": -1 }), "x").unwrap().code, Some(-1));
        assert_eq!(object::<Sample>(&json!({ "code": null }), "x").unwrap().code, None);
        assert_eq!(object::<Sample>(&json!({}), "x").unwrap().code, None);
        for version in [json!(7.5), json!(-1), json!("seven"), json!([7]), json!(1e300)] {
            assert_eq!(
                object::<Sample>(&json!({ "version": version }), "x").unwrap_err(),
                Reason::Malformed("x.version: expected a whole number in range".into())
            );
        }
        assert!(object::<Sample>(&json!({ "code": 3_000_000_000_u32 }), "x").is_err());
    }

    #[test]
    fn what_only_tells_more_does_not_fail() {
        let sample: Sample = object(&json!({ "at": "some day", "note": 5 }), "x").unwrap();
        assert_eq!((sample.at, sample.note), (None, None));
        let sample: Sample = object(&json!({ "at": "2026-03-02T09:14:05.3Z", "note": "n" }), "x").unwrap();
        assert_eq!(sample.at.unwrap().to_string(), "2026-03-02T09:14:05.3Z");
        assert_eq!(sample.note.as_deref(), Some("n"));
    }

    #[test]
    fn times_are_written_in_two_ways() {
        for (text, time) in [
            ("2026-03-02T09:14:05Z", "2026-03-02T09:14:05Z"),
            ("2026-03-02T09:14:05.250+0000", "2026-03-02T09:14:05.25Z"),
            ("2026-03-02T10:14:05+01:00", "2026-03-02T09:14:05Z"),
            ("Mar 2, 2026 9:14:05 AM", "2026-03-02T09:14:05Z"),
            ("Nov 12, 2026 12:04:05\u{202f}PM", "2026-11-12T12:04:05Z"),
            ("Sep 30, 2026 12:00:00 AM", "2026-09-30T00:00:00Z"),
        ] {
            assert_eq!(timestamp(text).unwrap().to_string(), time, "{text}");
        }
        for text in [
            "",
            "Mar 32, 2026 9:14:05 AM",
            "Mar 2, 2026",
            "Mar 2, 9999999 9:14:05 AM",
            "1772442845",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn errors_give_path_and_expectation_but_not_the_value() {
        let error = object::<Sample>(&json!({ "list": ["a", { "s3cret": 1 }] }), "detail").unwrap_err();
        assert_eq!(error.to_string(), "malformed: detail.list[1]: expected a string");
        let error = object::<Sample>(&json!({ "list": "s3cret, expected nothing" }), "detail").unwrap_err();
        assert_eq!(error.to_string(), "malformed: detail.list: expected a sequence");
        let error = object::<Sample>(&json!("s3cret"), "detail").unwrap_err();
        assert_eq!(error.to_string(), "malformed: detail: expected an object");
        assert!(object::<Sample>(&json!({ "list": ["a"] }), "detail").unwrap().list == ["a"]);
    }

    #[test]
    fn foreign_text_becomes_one_short_line() {
        assert_eq!(clean("a\nb\u{2028}c\u{1b}[0m", 100), "a b c [0m");
        assert_eq!(clean("a\u{202e}b\u{9b}0m", 100), "a b 0m");
        assert_eq!(clean("abcdef", 3), "abc...");
        assert_eq!(clean("abc", 3), "abc");
    }
}
