//! Metrics in the embedded metric format: CloudWatch creates them from log lines, so counting calls no service
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use std::io::Write;

use bellhop_domain::ids::RepositoryName;
use bellhop_domain::measure::Measure;
use bellhop_engine::ports::Meter;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of all metrics.
const NAMESPACE: &str = "Bellhop";

/// Writes metrics to standard output, among the log lines.
pub(crate) struct Metrics {
    /// The value of the dimension `Suite`; without it nothing is written.
    suite: String,
}

impl Metrics {
    pub(crate) fn new(suite: &str) -> Self {
        Self { suite: suite.to_owned() }
    }
}

impl Meter for Metrics {
    fn count(&self, repository: Option<&RepositoryName>, measures: &[Measure]) {
        let suite = &self.suite;
        let now = Timestamp::now();
        let lines: String = measures.iter().map(|measure| line(suite, repository, measure, now)).collect();
        // A metric that cannot be written must not affect builds.
        let _ = std::io::stdout().lock().write_all(lines.as_bytes());
    }
}

/// One measurement, as a line.
///
/// AWS bills every combination of dimensions as a metric. So only builds have the repository as a dimension.
fn line(suite: &str, repository: Option<&RepositoryName>, measure: &Measure, now: Timestamp) -> String {
    let (name, unit, value) = match measure {
        Measure::Build(_) => ("Builds", "Count", json!(1)),
        Measure::Attempt => ("Attempts", "Count", json!(1)),
        Measure::Retry => ("Retries", "Count", json!(1)),
        Measure::Interruption => ("Interruptions", "Count", json!(1)),
        Measure::Queued(waited) => ("QueueSeconds", "Seconds", json!(waited.as_secs_f64())),
        Measure::Relaunched(took) => ("RelaunchMilliseconds", "Milliseconds", json!(took.as_secs_f64() * 1000.0)),
        Measure::Agent(_, took) => ("AgentSeconds", "Seconds", json!(took.as_secs_f64())),
        Measure::Abandoned(count) => ("Abandoned", "Count", json!(count)),
        Measure::Dropped => ("DroppedEvents", "Count", json!(1)),
        Measure::Overdue(since) => ("OldestOverdueSeconds", "Seconds", json!(since.as_secs_f64())),
    };
    let mut own: Vec<(&str, &str)> = Vec::new();
    match measure {
        Measure::Build(outcome) => {
            own.extend(repository.map(|repository| ("Repository", repository.as_str())));
            own.push(("Outcome", outcome.as_str()));
        }
        Measure::Agent(capacity, _) => own.push(("Capacity", capacity.as_str())),
        _ => {}
    }
    let sets: Vec<Vec<&str>> = std::iter::once(vec!["Suite"])
        .chain(own.iter().map(|(dimension, _)| vec!["Suite", *dimension]))
        .collect();
    let mut document = Map::new();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": sets, "Metrics": [{ "Name": name, "Unit": unit }] });
    document.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive] }),
    );
    document.insert("Suite".to_owned(), Value::from(suite));
    for (dimension, value) in own {
        document.insert(dimension.to_owned(), Value::from(value));
    }
    document.insert(name.to_owned(), value);
    format!("{}\n", Value::Object(document))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::time::Duration;

    use bellhop_domain::executor::Capacity;
    use bellhop_domain::outcome::Outcome;

    use super::*;

    fn read(measure: &Measure) -> Value {
        let repository = "shop".parse().unwrap();
        let text = line(
            "ci",
            Some(&repository),
            measure,
            Timestamp::from_millisecond(1_790_000_000_123).unwrap(),
        );
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_builds_end_is_counted_by_repository_and_by_outcome() {
        assert_eq!(
            read(&Measure::Build(Outcome::TimedOut)),
            json!({
                "_aws": {
                    "Timestamp": 1_790_000_000_123_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Bellhop",
                        "Dimensions": [["Suite"], ["Suite", "Repository"], ["Suite", "Outcome"]],
                        "Metrics": [{ "Name": "Builds", "Unit": "Count" }],
                    }],
                },
                "Suite": "ci",
                "Repository": "shop",
                "Outcome": "timed-out",
                "Builds": 1,
            })
        );
    }

    #[test]
    fn every_dimension_and_metric_of_a_line_has_a_value_in_it() {
        let second = Duration::from_millis(1500);
        let page = include_str!("../../../docs/reference/metrics.md");
        let listed = page.split("\n## Metrics\n").nth(1).unwrap().split("\n### ").next().unwrap();
        let mut known = 0;
        for (measure, name, value) in [
            (Measure::Build(Outcome::Succeeded), "Builds", json!(1)),
            (Measure::Attempt, "Attempts", json!(1)),
            (Measure::Retry, "Retries", json!(1)),
            (Measure::Interruption, "Interruptions", json!(1)),
            (Measure::Queued(second), "QueueSeconds", json!(1.5)),
            (Measure::Relaunched(second), "RelaunchMilliseconds", json!(1500.0)),
            (Measure::Agent(Capacity::Spot, second), "AgentSeconds", json!(1.5)),
            (Measure::Abandoned(2), "Abandoned", json!(2)),
            (Measure::Dropped, "DroppedEvents", json!(1)),
            (Measure::Overdue(second), "OldestOverdueSeconds", json!(1.5)),
        ] {
            let document = read(&measure);
            assert_eq!(document[name], value, "{document}");
            let directive = &document["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Metrics"][0]["Name"], name);
            let unit = directive["Metrics"][0]["Unit"].as_str().unwrap();
            assert!(
                listed.contains(&format!("\n| `{name}` | {unit} |")),
                "metrics.md has no {name} in {unit}"
            );
            known += 1;
            for set in directive["Dimensions"].as_array().unwrap() {
                for dimension in set.as_array().unwrap() {
                    assert!(document[dimension.as_str().unwrap()].is_string(), "{dimension} in {document}");
                }
            }
        }
        assert_eq!(listed.matches("\n| `").count(), known, "metrics.md has another metric");
    }
}
