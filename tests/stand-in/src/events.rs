//! EventBridge events: kept, handed to subscribers, and published through the upstream.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use crate::Options;
use crate::proxy::Upstream;
use crate::record::Recorder;
use crate::support::{lock, uuid};

/// How many events a slow subscriber may lag behind before it misses some.
const SUBSCRIBER_CAPACITY: usize = 16_384;
/// What PutEvents takes at once.
const BATCH: usize = 10;
/// How long an upstream that does not answer is tried again: it may just be starting.
const PATIENCE: Duration = Duration::from_secs(10);

/// The events of the stand-in's services. Clones are handles to the same events.
///
/// Events are delivered in the order in which they happened, once each, to [subscribers](Events::subscribe) and, where
/// [publishing](Events::set_publishing) is on, to the upstream's default event bus. EventBridge promises neither, so
/// both can be taken away.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    region: String,
    account: String,
    recorder: Option<Recorder>,
    state: Mutex<State>,
    delivered: broadcast::Sender<Value>,
    queue: mpsc::UnboundedSender<Outgoing>,
}

struct State {
    all: Vec<Value>,
    publishing: bool,
    copies: usize,
    drop_next: usize,
    held: Option<Vec<Outgoing>>,
}

/// An event on its way to the upstream.
#[derive(Clone)]
pub(crate) struct Outgoing {
    /// The event's place among all events.
    place: usize,
    envelope: Value,
}

/// The order in which held events are released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As they happened.
    Kept,
    /// The newest first.
    Reversed,
    /// At random, the same for the same seed.
    Shuffled(u64),
}

/// How events are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delivery {
    /// How many times each; 1 is the normal state.
    pub copies: usize,
    /// How many of the next are not delivered at all.
    pub drop_next: usize,
    /// How many deliveries are held back; None where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<usize>,
}

impl Events {
    pub(crate) fn new(options: &Options, recorder: Option<Recorder>) -> (Self, mpsc::UnboundedReceiver<Outgoing>) {
        let (delivered, _) = broadcast::channel(SUBSCRIBER_CAPACITY);
        let (queue, outgoing) = mpsc::unbounded_channel();
        let events = Self {
            inner: Arc::new(Inner {
                region: options.region.clone(),
                account: options.account.clone(),
                recorder,
                state: Mutex::new(State {
                    all: Vec::new(),
                    publishing: false,
                    copies: 1,
                    drop_next: 0,
                    held: None,
                }),
                delivered,
                queue,
            }),
        };
        (events, outgoing)
    }

    /// Every event that happened, delivered or not, as full envelopes in the order in which they happened.
    ///
    /// The upstream gives every event an id of its own; once an event is published, its envelope in here carries the
    /// id of its first copy.
    pub fn all(&self) -> Vec<Value> {
        lock(&self.inner.state).all.clone()
    }

    /// The events about one resource, by its ARN.
    pub fn about(&self, resource: &str) -> Vec<Value> {
        let state = lock(&self.inner.state);
        let of_resource = |event: &&Value| event["resources"][0] == resource;
        state.all.iter().filter(of_resource).cloned().collect()
    }

    /// Every delivery from now on: a dropped event is missing, a repeated one comes repeatedly with the same id.
    pub fn subscribe(&self) -> broadcast::Receiver<Value> {
        self.inner.delivered.subscribe()
    }

    /// Switches the publishing to the upstream on or off, for the events to come. It is off at first, and without an
    /// upstream it does nothing.
    pub fn set_publishing(&self, publishing: bool) {
        lock(&self.inner.state).publishing = publishing;
    }

    /// Delivers every event to come so many times; 1 is the normal state.
    pub fn repeat(&self, copies: usize) {
        lock(&self.inner.state).copies = copies;
    }

    /// Does not deliver the next so many events.
    pub fn drop_next(&self, count: usize) {
        lock(&self.inner.state).drop_next = count;
    }

    /// Holds all deliveries back until [`Events::release`].
    pub fn hold(&self) {
        lock(&self.inner.state).held.get_or_insert_default();
    }

    /// Delivers what was held back, in this order, and holds nothing back any more.
    pub fn release(&self, order: Order) {
        let mut state = lock(&self.inner.state);
        let mut held = state.held.take().unwrap_or_default();
        match order {
            Order::Kept => {}
            Order::Reversed => held.reverse(),
            Order::Shuffled(seed) => fastrand::Rng::with_seed(seed).shuffle(&mut held),
        }
        for outgoing in held {
            self.deliver(&state, outgoing);
        }
    }

    /// How events are delivered at this moment.
    pub fn delivery(&self) -> Delivery {
        let state = lock(&self.inner.state);
        Delivery {
            copies: state.copies,
            drop_next: state.drop_next,
            held: state.held.as_ref().map(Vec::len),
        }
    }

    /// Lets an event happen, and returns its envelope.
    pub fn publish(&self, source: &str, detail_type: &str, resources: &[&str], detail: Value) -> Value {
        let envelope = json!({
            "version": "0",
            "id": uuid(),
            "detail-type": detail_type,
            "source": source,
            "account": self.inner.account,
            "time": format!("{:.0}", Timestamp::now()),
            "region": self.inner.region,
            "resources": resources,
            "detail": detail,
        });
        if let Some(recorder) = &self.inner.recorder {
            recorder.event(&envelope);
        }
        let mut state = lock(&self.inner.state);
        let place = state.all.len();
        state.all.push(envelope.clone());
        if state.drop_next > 0 {
            state.drop_next -= 1;
            return envelope;
        }
        for _ in 0..state.copies {
            let outgoing = Outgoing {
                place,
                envelope: envelope.clone(),
            };
            match &mut state.held {
                Some(held) => held.push(outgoing),
                None => self.deliver(&state, outgoing),
            }
        }
        envelope
    }

    fn deliver(&self, state: &State, outgoing: Outgoing) {
        // Errors only say that nobody listens any more.
        let _ = self.inner.delivered.send(outgoing.envelope.clone());
        if state.publishing {
            let _ = self.inner.queue.send(outgoing);
        }
    }

    /// Enters the ids that the upstream gave.
    fn adopt_ids(&self, batch: &[Outgoing], entries: &[Value]) {
        let mut state = lock(&self.inner.state);
        for (outgoing, entry) in batch.iter().zip(entries) {
            let Some(kept) = state.all.get_mut(outgoing.place) else {
                continue;
            };
            let first_copy = kept["id"] == outgoing.envelope["id"];
            if first_copy && let Some(id) = entry["EventId"].as_str() {
                kept["id"] = id.into();
            }
        }
    }
}

/// Publishes the queued events, in order, a batch at a time.
pub(crate) async fn deliver(events: Events, mut queue: mpsc::UnboundedReceiver<Outgoing>, upstream: Upstream) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        match put(&upstream, &batch).await {
            Ok(Some(answer)) => {
                if answer["FailedEntryCount"] != 0 {
                    tracing::warn!(%answer, "the upstream refused events");
                }
                let entries = answer["Entries"].as_array();
                events.adopt_ids(&batch, entries.map_or(&[], Vec::as_slice));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(count = batch.len(), "events are lost: {error:#}");
            }
        }
        batch.clear();
    }
}

async fn put(upstream: &Upstream, batch: &[Outgoing]) -> anyhow::Result<Option<Value>> {
    let entries: Vec<_> = batch.iter().map(|outgoing| entry(&outgoing.envelope)).collect();
    let request = json!({ "Entries": entries });
    let start = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        match upstream.put_events(&request).await {
            Err(_) if start.elapsed() < PATIENCE => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            answer => return answer,
        }
    }
}

fn entry(envelope: &Value) -> Value {
    let time = envelope["time"].as_str().and_then(|time| time.parse().ok());
    let time = time.unwrap_or_else(Timestamp::now).as_second();
    json!({
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": envelope["detail"].to_string(),
        "Resources": envelope["resources"],
        "Time": time,
    })
}
