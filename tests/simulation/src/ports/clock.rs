//! The clock, a little off from the world's, and the meter.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::ids::RepositoryName;
use bellhop_domain::measure::Measure;
use bellhop_engine::ports::{Clock, Meter};
use jiff::Timestamp;

use super::port::Port;
use crate::world::{self, Millis, lock, timestamp};

#[async_trait]
impl Clock for Port {
    fn now(&self) -> Timestamp {
        let now = lock(&self.world).now;
        timestamp(now.saturating_add_signed(self.skew))
    }

    async fn pause(&self, about: Duration) {
        self.wait(Millis::try_from(about.as_millis()).unwrap_or(world::MINUTE)).await;
    }
}

impl Meter for Port {
    /// Nothing here depends on what is counted, and nothing may.
    fn count(&self, _: Option<&RepositoryName>, _: &[Measure]) {}
}
