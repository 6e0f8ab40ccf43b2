//! What one object of interest must come to, and how values are read for it.

use serde_json::Value;

/// What one object of interest must come to.
#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    Push {
        trigger: Option<String>,
        repository: String,
        reference: String,
        commit: String,
        previous: Option<String>,
        by: Option<String>,
        at: Option<String>,
    },
    Agent {
        attempt: String,
        arn: String,
        version: Option<u64>,
        capacity: Option<&'static str>,
        status: String,
    },
    Unnamed(String),
    Instance {
        id: String,
        what: String,
    },
    Alarm {
        name: String,
        region: Option<String>,
        account: Option<String>,
        contributor: Option<String>,
        change: (Option<String>, String),
        at: Option<String>,
        threshold: Option<f64>,
        value: Option<f64>,
    },
    Job {
        words: String,
        resource: Option<String>,
        result: Option<String>,
        ended: String,
    },
    Schedule(String),
    Pipeline {
        id: String,
        asks: String,
    },
    Foreign(String),
    Malformed(String),
}

pub(super) fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn is_commit(id: &str) -> bool {
    [40, 64].contains(&id.len()) && id.chars().all(|c| "0123456789abcdef".contains(c)) && id.chars().any(|c| c != '0')
}

pub(super) fn last_part(arn: Option<String>) -> Option<String> {
    arn.map(|arn| arn[arn.rfind(['/', ':']).map_or(0, |at| at + 1)..].to_owned())
}

/// The number between two texts.
pub(super) fn between(text: &str, before: &str, after: &str) -> Option<f64> {
    let rest = &text[text.find(before)? + before.len()..];
    rest[..rest.find(after)?].parse().ok()
}

pub(super) fn without_blanks(at: &str) -> Option<String> {
    let at = seconds(&at.replace(' ', ""));
    (at.len() == 19).then_some(at)
}

/// Whether two numbers are equal, apart from digits that do not count.
pub(super) fn alike(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= other.abs() / 1000.0,
        (one, other) => one == other,
    }
}

/// A time as CodeBuild writes it, as the parser's are compared: `Jun 15, 2020 10:41:41 AM`.
pub(super) fn by_hand(time: &str) -> String {
    let words: Vec<&str> = time.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let [month, day, year, hour, minute, second, half] = words.as_slice() else {
        return String::new();
    };
    let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(month).unwrap() / 3 + 1;
    let hour = hour.parse::<u32>().unwrap() % 12 + if *half == "PM" { 12 } else { 0 };
    format!("{year}-{month:02}-{day:0>2}T{hour:02}:{minute}:{second}")
}

/// A time without its fraction, whose zeros at the end are written or not.
pub(super) fn seconds(time: &str) -> String {
    time.chars().take("2026-03-02T09:14:05".len()).collect()
}
