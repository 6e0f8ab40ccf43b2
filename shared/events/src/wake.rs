//! Wake-ups: Bellhop's own messages, by which a function asks the performer of an effect to process records.

use bellhop_domain::record::Key;
use serde_json::{Map, Value, json};

use crate::decode::expected;
use crate::{Event, Reason};

/// The key of the list of records.
const WAKE: &str = "wake";

/// The message that asks for these records.
#[must_use]
pub fn wake_up(records: &[Key]) -> Value {
    json!({ WAKE: records })
}

/// Whether an object is a wake-up, valid or not.
pub(crate) fn is_wake_up(object: &Map<String, Value>) -> bool {
    object.contains_key(WAKE)
}

/// Parses a wake-up.
pub(crate) fn parse(object: &Map<String, Value>) -> Result<Event, Reason> {
    let records = object.get(WAKE).cloned().unwrap_or_default();
    match serde_json::from_value(records) {
        Ok(records) => Ok(Event::WakeUp(records)),
        Err(_) => Err(expected(WAKE, "a list of keys")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn a_wake_up_comes_back_as_it_was() {
        let records = vec![Key::new("BACKUP#jenkins-home", "BACKUP"), Key::new("ALARM#a/b/c#d", "ALARM")];
        let message = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": { "Message": wake_up(&records).to_string() } }] });
        assert_eq!(parse(&message).events, [Event::WakeUp(records)]);
    }

    #[test]
    fn a_malformed_wake_up_wakes_nothing() {
        for wrong in [json!("BACKUP#x"), json!([{ "partition": "BACKUP#x" }]), json!(null)] {
            let parsed = parse(&json!({ WAKE: wrong }));
            assert_eq!(parsed.events, []);
            let skipped: Vec<String> = parsed.skipped.iter().map(ToString::to_string).collect();
            assert_eq!(skipped, ["wake-up: malformed: wake: expected a list of keys"]);
        }
    }
}
