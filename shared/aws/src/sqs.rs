//! The suite's timer: a queue of SQS, whose messages invoke the function `sweep` after a delay.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use bellhop_domain::record::Key;
use bellhop_engine::Fault;
use bellhop_engine::ports::{CLOCKS, Timer};
use futures::future::try_join_all;

use crate::config::Lazy;
use crate::fault::fault;

/// How many messages a request may have (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
const MESSAGES: usize = 10;
/// How many records share a message if their timers go off in the same second: as many as a sweep polls together, far below the size of a message.
const RECORDS: usize = 100;

/// The suite's timer queue.
#[derive(Debug, Clone)]
pub struct TimerQueue {
    client: Lazy<Client>,
    url: Option<String>,
}

impl TimerQueue {
    pub(crate) fn new(client: Lazy<Client>, url: Option<&str>) -> Self {
        Self {
            client,
            url: url.map(ToOwned::to_owned),
        }
    }
}

#[async_trait]
impl Timer for TimerQueue {
    async fn set(&self, timers: &[(Duration, Key)]) -> Result<(), Fault> {
        // Without a queue, the sweep comes by itself.
        let Some(url) = &self.url else { return Ok(()) };
        let messages = messages(timers)?;
        let requests = messages.chunks(MESSAGES).map(async |entries| {
            let request = self.client.send_message_batch().queue_url(url).set_entries(Some(entries.to_vec()));
            let reply = request.send().await.map_err(|error| fault("set timers", error))?;
            match reply.failed.first() {
                None => Ok(()),
                Some(failed) => {
                    let message = failed.message.as_deref().unwrap_or_default();
                    Err(Fault::transient(format!("failed to set timers: {}: {message}", failed.code)))
                }
            }
        });
        try_join_all(requests).await.map(|_| ())
    }
}

/// One message for the records of each second, which comes late enough for every clock. A delay has whole seconds, up to 900
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-timers.html>).
fn messages(timers: &[(Duration, Key)]) -> Result<Vec<SendMessageBatchRequestEntry>, Fault> {
    let mut seconds: BTreeMap<i32, Vec<Key>> = BTreeMap::new();
    for (wait, key) in timers {
        let delay = match wait.is_zero() {
            true => 0,
            false => i32::try_from((*wait + CLOCKS).as_millis().div_ceil(1000)).map_or(900, |delay| delay.min(900)),
        };
        seconds.entry(delay).or_default().push(key.clone());
    }
    let shares = seconds
        .iter()
        .flat_map(|(delay, keys)| keys.chunks(RECORDS).map(|keys| (*delay, keys)));
    shares
        .enumerate()
        .map(|(number, (delay, keys))| {
            SendMessageBatchRequestEntry::builder()
                .id(number.to_string())
                .delay_seconds(delay)
                .message_body(bellhop_events::wake_up(keys).to_string())
                .build()
                .map_err(|error| Fault::permanent("a timer could not be built".to_owned()).caused_by(error))
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{Reply, Wire, ok};

    const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/ci-timers";

    fn timer(milliseconds: u64, number: usize) -> (Duration, Key) {
        (Duration::from_millis(milliseconds), Key::new(format!("RUN#{number}"), "BUILD#test"))
    }

    async fn set(timers: &[(Duration, Key)], replies: Vec<Reply>) -> (Result<(), Fault>, Vec<Value>) {
        let (aws, wire) = Wire::replying(replies);
        let result = aws.timer_queue(Some(QUEUE)).set(timers).await;
        (result, wire.asked().into_iter().map(|(_, body)| body).collect())
    }

    #[tokio::test]
    async fn a_wake_up_comes_with_the_next_whole_second_and_never_early() {
        let done = ok(&json!({ "Successful": [], "Failed": [] }));
        let timers = [
            timer(1_950, 1),
            timer(1, 2),
            timer(0, 6),
            timer(1_500, 3),
            timer(1_900, 4),
            timer(1_000_000_000, 5),
        ];
        let (result, asked) = set(&timers, vec![done]).await;
        assert!(result.is_ok());
        let delays: Vec<(i64, &str)> = asked[0]["Entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["DelaySeconds"].as_i64().unwrap(), entry["MessageBody"].as_str().unwrap()))
            .collect();
        let body = |numbers: &[usize]| {
            let keys: Vec<Key> = numbers.iter().map(|number| timer(0, *number).1).collect();
            bellhop_events::wake_up(&keys).to_string()
        };
        assert_eq!(
            delays,
            [
                (0, &*body(&[6])),
                (1, &*body(&[2])),
                (2, &*body(&[3, 4])),
                (3, &*body(&[1])),
                (900, &*body(&[5]))
            ]
        );
        assert_eq!(asked[0]["QueueUrl"], QUEUE);
    }

    #[tokio::test]
    async fn many_timers_take_few_requests_and_a_failed_message_is_a_fault() {
        let timers: Vec<_> = (0..1_500).map(|number| timer(1_000 * (number as u64 % 15), number)).collect();
        let done = || ok(&json!({ "Successful": [], "Failed": [] }));
        let (result, asked) = set(&timers, vec![done(), done()]).await;
        assert!(result.is_ok());
        assert_eq!(
            asked.iter().map(|body| body["Entries"].as_array().unwrap().len()).sum::<usize>(),
            15
        );
        let failed =
            json!({ "Successful": [], "Failed": [{ "Id": "0", "Code": "InternalError", "SenderFault": false, "Message": "try again" }] });
        let (result, _) = set(&timers[..1], vec![ok(&failed)]).await;
        assert_eq!(result.unwrap_err().what, "failed to set timers: InternalError: try again");
    }

    #[tokio::test]
    async fn without_a_queue_nothing_is_sent() {
        let (aws, wire) = Wire::replying([]);
        aws.timer_queue(None).set(&[timer(0, 1)]).await.unwrap();
        assert_eq!(wire.operations(), [""; 0]);
    }
}
