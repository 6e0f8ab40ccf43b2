//! Changes of what waits in a record's outbox, for the mistakes of any subject.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Moves what is pending into a future that never comes.
pub(super) fn forget_outbox<T: Serialize + DeserializeOwned>(record: &mut T) {
    change_effects(record, |effect| {
        for time in ["since", "retry"] {
            effect.insert(time.to_owned(), Value::from("9000-01-01T00:00:00Z"));
        }
    });
}

/// Changes each pending effect of a record.
pub(super) fn change_effects<T: Serialize + DeserializeOwned>(record: &mut T, change: impl Fn(&mut Map<String, Value>)) {
    let Ok(mut value) = serde_json::to_value(&*record) else { return };
    if let Some(pending) = value.pointer_mut("/outbox/pending").and_then(Value::as_array_mut) {
        pending.iter_mut().filter_map(Value::as_object_mut).for_each(change);
    }
    if let Ok(forgetful) = serde_json::from_value(value) {
        *record = forgetful;
    }
}
