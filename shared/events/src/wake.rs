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

/// The records of an input that consists of messages of the suite's timer queue; `None` for any other input. A message of another kind has none.
#[must_use]
pub fn timers(input: &Value) -> Option<Vec<Key>> {
    let records = input.get("Records")?.as_array()?;
    let bodies = records.iter().filter_map(|record| record.get("body")?.as_str());
    let messages = bodies.filter_map(|body| serde_json::from_str::<Map<String, Value>>(body).ok());
    let woken = messages.filter_map(|message| match parse(&message) {
        Ok(Event::WakeUp(keys)) => Some(keys),
        _ => None,
    });
    Some(woken.flatten().collect())
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
    fn the_messages_of_the_timer_queue_are_read_together() {
        let keys = [Key::new("RUN#abcdefghij", "BUILD#test"), Key::new("RUN#abcdefghij", "RUN")];
        let record = |body: Value| json!({ "eventSource": "aws:sqs", "messageId": "m-1", "body": body });
        let sent = |keys: &[Key]| record(wake_up(keys).to_string().into());
        let input = json!({ "Records": [sent(&keys[..1]), record("no JSON".into()), record(json!(null)), sent(&keys[1..])] });
        assert_eq!(timers(&input), Some(keys.to_vec()));
        assert_eq!(timers(&json!({ "Records": [] })), Some(Vec::new()));
        assert_eq!(timers(&json!({ "source": "aws.events" })), None);
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
