//! What the ledger's requests cost by an implementation that counts it, against what the benchmarks and the cost page say.
//!
//! dynalite does not count what indexes cost, so writes are compared as they would be without. It counts letters in place of a text's bytes, so there is
//! one letter for each byte; and it takes nothing for a query that finds nothing, so those are left out.

use bellhop_scenarios::LocalAws;
use bellhop_stand_in::Entry;
use bellhop_stand_in::request_units::Table;
use serde_json::Value;

/// What came of the comparison.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// How many requests cost the same.
    pub(crate) alike: usize,
    /// Those that do not, and how.
    pub(crate) wrong: Vec<String>,
}

/// Sends recorded requests once more, to a table of their own, and compares.
pub(crate) async fn compare(aws: &LocalAws, entries: &[Entry], definition: &Value) -> Counted {
    let name = format!("units-{:016x}", fastrand::u64(..));
    aws.create_table(definition.clone(), &name).await;
    let (mut whole, mut alone) = (Table::default(), Table::default());
    let mut counted = Counted::default();
    for entry in entries {
        let Some(request) = entry.request.as_ref().filter(|_| is_compared(entry)) else {
            continue;
        };
        let request = &in_letters_of_a_byte(request);
        let mut sent = request.clone();
        sent["TableName"] = name.as_str().into();
        sent["ReturnConsumedCapacity"] = "TOTAL".into();
        let answer = aws.try_dynamodb(&entry.operation, sent).await;
        let refused = answer.is_err();
        let ours = whole.take_request(&entry.operation, request, refused);
        let without_indexes = alone.take_request(&entry.operation, &without_places(request), refused);
        // The answer to a request that is refused does not tell. Of several pages, ours are the units of all.
        let Some(answer) = answer
            .ok()
            .filter(|answer| answer["LastEvaluatedKey"].is_null() && answer["Count"] != 0)
        else {
            continue;
        };
        let theirs = answer["ConsumedCapacity"]["CapacityUnits"].as_f64();
        let ours = match (ours, without_indexes) {
            (Ok(_), Ok(units)) if entry.operation == "PutItem" => Some(units.write),
            (Ok(units), Ok(_)) => Some(units.read),
            _ => None,
        };
        if ours == theirs && ours.is_some() {
            counted.alike += 1;
        } else {
            counted.wrong.push(format!(
                "{} is said to cost {ours:?} units and costs {theirs:?}: {request}",
                entry.operation
            ));
        }
    }
    counted
}

/// Reads and writes of single items, and queries. The units of the lists of runs are counted nowhere.
fn is_compared(entry: &Entry) -> bool {
    let request = entry.request.as_ref();
    match entry.operation.as_str() {
        "PutItem" | "GetItem" => true,
        "Query" => {
            let is_list = |request: &Value| request["IndexName"] == "by-repository" || request["IndexName"] == "by-class";
            request.is_some_and(|request| !is_list(request) && request["ExclusiveStartKey"].is_null())
        }
        _ => false,
    }
}

/// A request whose item is as large and has no place in an index.
fn without_places(request: &Value) -> Value {
    let mut request = request.clone();
    if let Some(item) = request.get_mut("Item").and_then(Value::as_object_mut) {
        for (name, as_long) in [("due_shard", "not_shard"), ("list_key", "not_key_"), ("list_class", "not_class_")] {
            if let Some(value) = item.remove(name) {
                item.insert(as_long.to_owned(), value);
            }
        }
    }
    request
}

/// A request whose texts have one letter for each of their bytes.
fn in_letters_of_a_byte(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let letters = text
                .chars()
                .map(|c| if c.is_ascii() { c.to_string() } else { "x".repeat(c.len_utf8()) });
            Value::String(letters.collect())
        }
        Value::Array(list) => list.iter().map(in_letters_of_a_byte).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, inner)| (name.clone(), in_letters_of_a_byte(inner)))
            .collect(),
        other => other.clone(),
    }
}
