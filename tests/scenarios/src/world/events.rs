//! What AWS sends: the events of pushes, tasks, builds, instances and alarms, in the order in which they came.

use std::time::Duration;

use bellhop_engine::Fault;
use serde_json::Value;

use super::World;

/// Longer than a push takes to be seen, on a slow machine too.
pub(super) const SOON: Duration = Duration::from_secs(20);

// The way in.
impl World {
    /// EventBridge's event of the repository's first push, to branch `main`.
    #[must_use]
    pub fn push_event(&self) -> Value {
        self.first_push.clone()
    }

    /// Commits these files, pushes to branch `main`, and gives EventBridge's event of it.
    pub async fn commit(&self, files: &[(&str, &str)], message: &str) -> Value {
        self.repository.commit(files, message).await;
        self.push_to("refs/heads/main").await
    }

    /// Pushes what was committed last to a branch or tag, and gives EventBridge's event of it.
    pub async fn push_to(&self, reference: &str) -> Value {
        self.push_refspec(&format!("HEAD:{reference}")).await
    }

    /// Makes a branch or tag point at an earlier commit, and gives EventBridge's event of it.
    pub async fn rewind(&self, reference: &str, commit: &str) -> Value {
        self.push_refspec(&format!("{commit}:{reference}")).await
    }

    /// Deletes a branch or tag, and gives EventBridge's event of it.
    pub async fn delete(&self, reference: &str) -> Value {
        self.push_refspec(&format!(":{reference}")).await
    }

    async fn push_refspec(&self, refspec: &str) -> Value {
        let mut deliveries = self.stand_in.events().subscribe();
        self.repository.push(refspec).await;
        let arrival = async {
            loop {
                let event = deliveries.recv().await.expect("the stand-in lives as long as the test");
                if event["source"] == "aws.codecommit" {
                    return event;
                }
            }
        };
        tokio::time::timeout(SOON, arrival).await.expect("a push is an event soon")
    }
}

// The functions. Where nothing else is said, an invocation is like a cold start: nothing is remembered from the one before.
impl World {
    /// Invokes `task-state`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn task_event(&self, event: &Value) -> Result<Value, Fault> {
        bellhop_task_state::handle(&self.engine(), event).await
    }

    /// Invokes `task-state` with one event after the other, all in one process.
    ///
    /// # Panics
    /// The handler gives an error.
    pub async fn task_events(&self, events: &[Value]) {
        let engine = self.engine();
        for event in events {
            if let Err(fault) = bellhop_task_state::handle(&engine, event).await {
                panic!("{fault}: {event}");
            }
        }
    }

    /// Invokes `build-state`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn build_event(&self, event: &Value) -> Result<Value, Fault> {
        bellhop_build_state::handle(&self.engine(), event).await
    }

    /// Invokes `build-state` with one event after the other, all in one process.
    ///
    /// # Panics
    /// The handler gives an error.
    pub async fn build_events(&self, events: &[Value]) {
        let engine = self.engine();
        for event in events {
            if let Err(fault) = bellhop_build_state::handle(&engine, event).await {
                panic!("{fault}: {event}");
            }
        }
    }

    /// Invokes `spot-interruption`.
    ///
    /// # Errors
    /// The handler's.
    pub async fn instance_event(&self, event: &Value) -> Result<Value, Fault> {
        self.spot_watch().handle(event).await
    }
}
