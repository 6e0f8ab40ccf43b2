//! From an input to its events.

use bellhop_domain::measure::Measure;
use bellhop_engine::Fault;
use bellhop_engine::ports::Meter;
use bellhop_events::{Event, Reason};
use serde_json::{Value, json};

/// Passes every event of an input to `each`, one after the other, and returns the result of each part. `each` returns `None` for an event of another
/// function. Such events, and those that cannot be parsed, are logged and acknowledged, because a retry would not help. Records that may have been
/// meant for Bellhop are counted, and logged as a warning.
///
/// # Errors
/// The first fault, after every event was tried.
pub async fn each_event<Each, Answer>(meter: &dyn Meter, input: &Value, each: Each) -> Result<Value, Fault>
where
    Each: Fn(Event) -> Answer,
    Answer: Future<Output = Option<Result<Value, Fault>>>,
{
    let parsed = bellhop_events::parse(input);
    let mut answers = Vec::new();
    let mut fault = None;
    for skipped in &parsed.skipped {
        match skipped.why {
            Reason::Foreign(_) => tracing::info!(what = skipped.what, why = %skipped.why, "acknowledged"),
            Reason::Malformed(_) | Reason::Excessive(_) => {
                tracing::warn!(what = skipped.what, why = %skipped.why, "acknowledged, although it cannot be parsed");
                meter.count(None, &[Measure::Dropped]);
            }
        }
        answers.push(json!({ "skipped": skipped.to_string() }));
    }
    for event in parsed.events {
        match each(event).await {
            Some(Ok(answer)) => answers.push(answer),
            // The first fault is returned for the invocation and logged with it.
            Some(Err(first)) if fault.is_none() => fault = Some(first),
            Some(Err(other)) => tracing::error!(error = %other, "an event could not be processed"),
            None => {
                tracing::info!("acknowledged: an event for another function");
                answers.push(json!({ "skipped": "an event for another function" }));
            }
        }
    }
    fault.map_or(Ok(Value::Array(answers)), Err)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use std::sync::Mutex;

    use bellhop_domain::ids::RepositoryName;

    use super::*;

    #[derive(Default)]
    struct Counter(Mutex<Vec<Measure>>);

    impl Meter for Counter {
        fn count(&self, _: Option<&RepositoryName>, measures: &[Measure]) {
            self.0.lock().unwrap().extend(measures);
        }
    }

    #[tokio::test]
    async fn what_may_have_been_meant_is_counted_and_what_was_not_is_not() {
        let push = |reference: &str| {
            json!({ "source": "aws.codecommit", "detail-type": "CodeCommit Repository State Change", "id": "e-1", "detail": {
                "event": "referenceUpdated", "repositoryName": "shop", "referenceFullName": reference, "commitId": "ab".repeat(20),
            } })
        };
        for (input, dropped) in [
            (push("refs/heads/main"), 0),
            (push("refs/heads/full\u{3000}width"), 0),
            (push("refs/notes/commits"), 0),
            (json!({ "source": "aws.ec2", "detail-type": "other" }), 0),
            (push("refs/heads/a..b"), 1),
            (json!({ "Type": "Notification", "Message": "{\"detail-type\": " }), 1),
        ] {
            let counter = Counter::default();
            each_event(&counter, &input, async |_| Some(Ok(Value::Null))).await.unwrap();
            assert_eq!(*counter.0.lock().unwrap(), vec![Measure::Dropped; dropped], "{input}");
        }
    }
}
