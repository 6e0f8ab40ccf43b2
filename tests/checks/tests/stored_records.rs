//! Records that earlier versions stored: this version reads them, and stores them again without a loss.
//!
//! `tests/checks/stored-records/` has a file for each kind of record in the ledger, with one record a line, in the form in which DynamoDB stores it.
//! [`records_are_stored_again_as_they_were`] reads each record as the engine does and writes it again. The result must equal the stored record. It may
//! have more fields: a field that is newer than a record appears in it with its default. It may lack a field that is null, and a number of tries that is 0. Any
//! other field or variant that is lost or renamed fails. So the version before reads what this version stores, too: it ignores fields that it does not know. Only a
//! new variant is beyond it.
//!
//! [`every_field_and_variant_occurs`] demands that every field and every variant of a record's types occurs in the file of its kind. It learns them from
//! the types themselves, because serde names them to the deserializer that reads a record.
//!
//! If that test names a new field or variant, add a record that has it, as a new line at the end of its file: print the record in a test of the domain
//! with `serde_json::to_string`, and copy the line. Names in it are invented, and no line has a secret. Never change or remove a line: deployed tables
//! have such records. If a line fails, fix the type: give a new field `#[serde(default)]`, and a renamed one `#[serde(rename = "OLD-NAME")]`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check may stop at what should not be")]

use std::any::type_name;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bellhop_domain::alarm::{Alarm, Claim, Pauses};
use bellhop_domain::backup::Backup;
use bellhop_domain::build::Build;
use bellhop_domain::configuration::Configuration;
use bellhop_domain::instance::Instance;
use bellhop_domain::queue::launcher::Launcher;
use bellhop_domain::queue::line::Waiting;
use bellhop_domain::queue::pool::Pool;
use bellhop_domain::run::Run;
use bellhop_domain::run::branch::Branch;
use bellhop_domain::run::standing::Standing;
use bellhop_engine::records::Stored;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value, json};

/// A kind of record, with the records that earlier versions stored.
struct Kind {
    name: &'static str,
    record: &'static str,
    file: &'static str,
    store_again: fn(&str) -> Result<Value, Error>,
    observe: fn(Value, &Observed) -> Result<(), Error>,
}

impl Kind {
    fn of<T: Stored>(name: &'static str, file: &'static str) -> Self {
        Self {
            name,
            record: type_name::<T>().rsplit("::").next().unwrap(),
            file,
            store_again: |stored| serde_json::to_value(T::from_parts(stored, None)?),
            observe: |stored, observed| T::deserialize(Observer { value: stored, observed }).map(drop),
        }
    }

    /// The records of the file, each with the number of its line.
    fn records(&self) -> Vec<(usize, &str)> {
        let lines = self.file.lines().map(|line| line.strip_suffix(',').unwrap_or(line));
        lines
            .zip(1..)
            .filter(|(line, _)| line.starts_with('{'))
            .map(|(line, number)| (number, line))
            .collect()
    }
}

fn kinds() -> [Kind; 13] {
    [
        Kind::of::<Run>("run", include_str!("../stored-records/run.json")),
        Kind::of::<Build>("build", include_str!("../stored-records/build.json")),
        Kind::of::<Pool>("pool", include_str!("../stored-records/pool.json")),
        Kind::of::<Waiting>("waiting", include_str!("../stored-records/waiting.json")),
        Kind::of::<Branch>("branch", include_str!("../stored-records/branch.json")),
        Kind::of::<Instance>("instance", include_str!("../stored-records/instance.json")),
        Kind::of::<Alarm>("alarm", include_str!("../stored-records/alarm.json")),
        Kind::of::<Backup>("backup", include_str!("../stored-records/backup.json")),
        Kind::of::<Claim>("claim", include_str!("../stored-records/claim.json")),
        Kind::of::<Pauses>("pauses", include_str!("../stored-records/pauses.json")),
        Kind::of::<Launcher>("launcher", include_str!("../stored-records/launcher.json")),
        Kind::of::<Standing>("standing", include_str!("../stored-records/standing.json")),
        Kind::of::<Configuration>("configuration", include_str!("../stored-records/configuration.json")),
    ]
}

#[test]
fn every_kind_that_the_engine_stores_has_a_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/engine/src/records");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let stored = |text: String| {
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("impl Stored for ")?.strip_suffix(" {"));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let stored = BTreeSet::from_iter(files.flat_map(stored));
    assert_eq!(stored, BTreeSet::from_iter(kinds().map(|kind| kind.record.to_owned())));
}

/// What no record has: the default origin, which its type skips, and the outcome of a job that no run can have.
const NEVER_STORED: [&str; 3] = [
    "run.json: Origin::pipeline-file",
    "build.json: Origin::pipeline-file",
    "run.json: Outcome::skipped",
];

#[test]
fn records_are_stored_again_as_they_were() {
    for kind in kinds() {
        for (line, stored) in kind.records() {
            let again = (kind.store_again)(stored).unwrap_or_else(|error| panic!("{}.json, line {line}: {error}", kind.name));
            let mut expected = serde_json::from_str(stored).unwrap();
            renew(&mut expected);
            (kind.store_again)(&again.to_string()).unwrap_or_else(|error| panic!("{}.json, line {line}, stored again: {error}", kind.name));
            if let Some(path) = lost(&expected, &again) {
                panic!("{}.json, line {line}: {path} is not stored again as it was", kind.name);
            }
        }
    }
}

#[test]
fn every_field_and_variant_occurs() {
    let mut missing = Vec::new();
    for kind in kinds() {
        let observed = Observed::default();
        for (_, stored) in kind.records() {
            (kind.observe)(serde_json::from_str(stored).unwrap(), &observed).unwrap();
        }
        let mut observed = observed.into_inner();
        observed.entry("a record".to_owned()).or_insert(!kind.records().is_empty());
        let names = observed.into_iter().filter(|(_, occurs)| !occurs).map(|(name, _)| name);
        missing.extend(names.map(|name| format!("{}.json: {name}", kind.name)));
    }
    missing.retain(|name| !NEVER_STORED.contains(&name.as_str()));
    assert!(
        missing.is_empty(),
        "add records that have these, with a value:\n{}",
        missing.join("\n")
    );
}

#[test]
fn a_file_is_an_array_with_a_record_a_line() {
    for kind in kinds() {
        let records: Vec<Value> = serde_json::from_str(kind.file).unwrap();
        assert_eq!(records.len(), kind.records().len(), "{}.json", kind.name);
    }
}

#[test]
fn a_lost_or_changed_value_is_found() {
    let stored = serde_json::json!({"a": {"b": [1, {"c": null, "d": 2}]}});
    let lost = |again| lost(&stored, &again);
    assert_eq!(
        lost(serde_json::json!({"a": {"b": [1, {"c": null, "d": 2, "newer": 0}], "newer": 0}})),
        None
    );
    assert_eq!(lost(serde_json::json!({"a": {"b": [1, {"d": 2}]}})), None);
    assert_eq!(
        lost(serde_json::json!({"a": {"b": [1, {"c": null}]}})).as_deref(),
        Some(".a.b[1].d")
    );
    assert_eq!(
        lost(serde_json::json!({"a": {"b": [2, {"c": null, "d": 2}]}})).as_deref(),
        Some(".a.b[0]")
    );
    assert_eq!(
        lost(serde_json::json!({"a": {"b": [1, {"c": null, "d": 2}, 2]}})).as_deref(),
        Some(".a.b")
    );
}

/// Brings a stored record into today's form. A run's record had its jobs with their names, their causes and their tests; today it has a letter for each
/// of them, and causes and tests are only in their builds. So a build tells its run no more than its outcome.
fn renew(stored: &mut Value) {
    let Some(record) = stored.as_object_mut() else { return };
    let is_run = record.contains_key("trigger");
    if is_run && let Some(jobs) = record.remove("jobs") {
        let jobs = jobs.as_array().unwrap();
        let letter = |job: &Value| match (job["state"].as_str(), job["state"]["finished"]["outcome"].as_str()) {
            (Some("blocked"), _) => 'b',
            (Some("released"), _) if job["cancelled"] == true => 'c',
            (Some("released"), _) => 'r',
            (_, Some("succeeded")) => 'S',
            (_, Some("skipped")) => 'K',
            (_, Some("superseded")) => 'P',
            (_, Some("cancelled")) => 'C',
            (_, Some("interrupted")) => 'I',
            (_, Some("infrastructure-failed")) => 'N',
            (_, Some("timed-out")) => 'T',
            (_, Some("failed")) => 'F',
            _ => panic!("an unknown state: {job}"),
        };
        let planned = |job: &Value| match job["needs"].as_array().unwrap().is_empty() {
            true => json!({ "name": job["name"] }),
            false => json!({ "name": job["name"], "needs": job["needs"] }),
        };
        let states: String = jobs.iter().map(letter).collect();
        let mut plan = json!({ "jobs": jobs.iter().map(planned).collect::<Vec<_>>() });
        if let Some(others) = record.remove("others") {
            plan["others"] = others;
        }
        record.insert("states".to_owned(), states.into());
        record.insert("plan".to_owned(), plan);
    }
    if record.get("action") == Some(&Value::Null) {
        record.remove("action");
    }
    for pending in record
        .get_mut("outbox")
        .and_then(|outbox| outbox["pending"].as_array_mut())
        .into_iter()
        .flatten()
    {
        if let Some(told) = pending.pointer_mut("/effect/tell-run").and_then(Value::as_object_mut) {
            told.retain(|field, _| field == "outcome");
        }
    }
}

/// The path of the first value of a stored record that is not in the record as it is stored again. A field that says nothing may be left out.
fn lost(stored: &Value, again: &Value) -> Option<String> {
    match (stored, again) {
        (Value::Object(stored), Value::Object(again)) => stored.iter().find_map(|(name, value)| {
            let says_nothing = value.is_null() || name == "tries" && *value == json!(0);
            let left_out = || (!says_nothing).then(String::new);
            let within = again.get(name).map_or_else(left_out, |again| lost(value, again));
            within.map(|path| format!(".{name}{path}"))
        }),
        (Value::Array(stored), Value::Array(again)) if stored.len() == again.len() => {
            let within = |(index, (stored, again))| lost(stored, again).map(|path| format!("[{index}]{path}"));
            stored.iter().zip(again).enumerate().find_map(within)
        }
        _ => (stored != again).then(String::new),
    }
}

/// The fields (`Run.created`, `End::failed.cause`) and variants (`End::failed`) of the types that were read, and whether each occurs. A field occurs if
/// it has a value that is not empty.
type Observed = RefCell<BTreeMap<String, bool>>;

/// Reads a value as `serde_json` does, and notes the fields and variants that the types ask for.
struct Observer<'a> {
    value: Value,
    observed: &'a Observed,
}

impl<'a> Observer<'a> {
    fn note(&self, name: String, occurs: bool) {
        *self.observed.borrow_mut().entry(name).or_default() |= occurs;
    }

    fn note_fields(&self, of: &str, fields: &[&str]) {
        for field in fields {
            let occurs = match self.value.get(field) {
                None | Some(Value::Null) => false,
                Some(Value::Array(values)) => !values.is_empty(),
                Some(Value::Object(values)) => !values.is_empty(),
                Some(_) => true,
            };
            self.note(format!("{of}.{field}"), occurs);
        }
    }

    fn with(&self, value: Value) -> Observer<'a> {
        Observer { value, ..*self }
    }
}

impl<'de> Deserializer<'de> for Observer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.value.take() {
            Value::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(|value| self.with(value)))),
            Value::Object(values) => {
                let entries = values.into_iter().map(|(key, value)| (self.with(key.into()), self.with(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.value.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note_fields(name, fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (tag, content) = match &self.value {
            Value::String(tag) => (tag.clone(), Value::Null),
            Value::Object(values) if values.len() == 1 => {
                values.iter().next().map(|(tag, content)| (tag.clone(), content.clone())).unwrap()
            }
            other => return Err(Error::custom(format!("{other} is not a variant of {name}"))),
        };
        for variant in variants {
            self.note(format!("{name}::{variant}"), tag == *variant);
        }
        let full_name = format!("{name}::{tag}");
        let content = self.with(content);
        visitor.visit_enum(Variant { tag, full_name, content })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
        ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for Observer<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A variant of an enum, and its content.
struct Variant<'a> {
    tag: String,
    full_name: String,
    content: Observer<'a>,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Error> {
        let tag: serde::de::value::StrDeserializer<'_, Error> = self.tag.as_str().into_deserializer();
        Ok((seed.deserialize(tag)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.content)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.content.note_fields(&self.full_name, fields);
        self.content.deserialize_any(visitor)
    }
}
