//! CBOR, as Smithy's RPC protocol has it, to and from JSON (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>).
//!
//! JSON has no times. In CBOR they are tagged, and here they are the numbers of members whose names end like those of CloudWatch's times.

use ciborium::Value as Cbor;
use data_encoding::BASE64;
use serde_json::{Map, Number, Value};

/// The tag of seconds since 1970 (<https://www.rfc-editor.org/rfc/rfc8949.html#section-3.4.2>).
const EPOCH: u64 = 1;
/// How the names of times end.
const TIME: &str = "Timestamp";

/// Reads a body. None where it is not CBOR, or has what JSON cannot have. No body has no members.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    if body.is_empty() {
        return Some(Value::Object(Map::new()));
    }
    to_json(ciborium::from_reader(body).ok()?)
}

/// Writes a body.
pub(crate) fn write(body: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Memory takes everything, and a value that comes from JSON can be written.
    let _ = ciborium::into_writer(&to_cbor(body), &mut bytes);
    bytes
}

fn to_json(value: Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(value) => value.into(),
        Cbor::Integer(value) => i64::try_from(value)
            .map(Number::from)
            .or_else(|_| u64::try_from(value).map(Number::from))
            .ok()?
            .into(),
        Cbor::Float(value) => Number::from_f64(value)?.into(),
        Cbor::Text(value) => value.into(),
        Cbor::Bytes(value) => BASE64.encode(&value).into(),
        Cbor::Tag(_, value) => to_json(*value)?,
        Cbor::Array(items) => Value::Array(items.into_iter().map(to_json).collect::<Option<_>>()?),
        Cbor::Map(members) => {
            let members = members
                .into_iter()
                .map(|(name, value)| Some((name.into_text().ok()?, to_json(value)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn to_cbor(value: &Value) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(value) => Cbor::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => whole.into(),
            (_, Some(whole), _) => whole.into(),
            (_, _, fraction) => fraction.map_or(Cbor::Null, Cbor::Float),
        },
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Array(items) => Cbor::Array(items.iter().map(to_cbor).collect()),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let is_time = value.is_number() && name.ends_with(TIME);
                let value = to_cbor(value);
                let value = if is_time { Cbor::Tag(EPOCH, Box::new(value)) } else { value };
                (Cbor::Text(name.clone()), value)
            });
            Cbor::Map(members.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_has_comes_back() {
        let body = json!({
            "Name": "shop", "Empty": [], "Nested": { "Flags": [true, false, null], "Whole": [-1, 0, u64::MAX], "Fraction": 0.5 },
            "StateUpdatedTimestamp": 1790000000.125,
        });
        assert_eq!(read(&write(&body)), Some(body));
    }

    /// As the SDK writes a request: maps and lists with no length before them.
    #[test]
    fn a_request_of_the_sdk_is_read() {
        let body = b"\xbf\x6aAlarmNames\x82\x61a\x61b\x6aMaxRecords\x18\x64\xff";
        assert_eq!(read(body), Some(json!({ "AlarmNames": ["a", "b"], "MaxRecords": 100 })));
        assert_eq!(read(b""), Some(json!({})));
        assert_eq!(read(b"\xbf"), None);
    }

    #[test]
    fn times_are_tagged() {
        assert_eq!(write(&json!({ "XTimestamp": 1 })), b"\xa1\x6aXTimestamp\xc1\x01");
        assert_eq!(write(&json!({ "X": 1 })), b"\xa1\x61X\x01");
    }
}
