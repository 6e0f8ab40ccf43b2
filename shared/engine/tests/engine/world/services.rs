//! Services that alarms restart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bellhop_engine::Fault;
use bellhop_engine::ports::{Restarted, Services};
use jiff::Timestamp;

use super::values::take;

/// Services that are restarted: how often, and the number of requests.
#[derive(Default)]
pub(crate) struct FakeServices {
    pub(crate) restarts: Mutex<Vec<(String, Timestamp)>>,
    pub(crate) asked: AtomicUsize,
    /// So many requests to come take place and get no reply.
    pub(crate) lost: AtomicUsize,
    /// So many requests to come get no reply, and nothing comes of them.
    pub(crate) refused: AtomicUsize,
}

#[async_trait]
impl Services for FakeServices {
    async fn restart(&self, cluster: &str, service: &str, since: Timestamp) -> Result<Restarted, Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if service != "jenkins" {
            return Ok(Restarted::No(format!("there is no service {service} in cluster {cluster}")));
        }
        if take(&self.refused) {
            return Err(Fault::transient("restart: the service is not available"));
        }
        let restart = (format!("{cluster}/{service}"), since);
        let mut restarts = self.restarts.lock().unwrap();
        if !restarts.contains(&restart) {
            restarts.push(restart);
        }
        if take(&self.lost) {
            return Err(Fault::transient("restart: no reply"));
        }
        Ok(Restarted::Yes)
    }
}
