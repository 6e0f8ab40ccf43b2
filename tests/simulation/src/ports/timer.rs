//! SQS: messages that arrive after a delay.

use std::time::Duration;

use async_trait::async_trait;
use bellhop_domain::record::Key;
use bellhop_engine::Fault;
use bellhop_engine::ports::Timer;

use super::fate::Service;
use super::port::Port;
use crate::mutant::{self, Mutant};
use crate::world::{Invoke, Job, SECOND, Subject, World, millis};

#[async_trait]
impl Timer for Port {
    /// A delay has whole seconds, and the queue delivers at least once. Beyond what SQS does, a hostile world loses messages.
    async fn set(&self, timers: &[(Duration, Key)]) -> Result<(), Fault> {
        let timers = timers.to_vec();
        self.call(Service::Other, "SendMessageBatch", Subject::World, move |world| {
            for (wait, key) in &timers {
                go_off(world, millis(*wait).div_ceil(SECOND) * SECOND, key);
            }
        })
        .await
    }
}

fn go_off(world: &mut World, delay: u64, key: &Key) {
    let delay = match world.mutant {
        _ if mutant::drops_wake_up(world, key) => return,
        Some(Mutant::TIMERS_EARLY) => delay.saturating_sub(2 * SECOND),
        _ => delay,
    };
    let timed = || Invoke {
        job: Job::Timed(vec![key.clone()]),
        tries: 0,
    };
    let wait = delay + world.between_log(20, if world.calm() { 500 } else { 2 * SECOND });
    if !world.calm() && world.rng.u32(0..4) == 0 {
        let again = wait + world.between_log(1, 2 * SECOND);
        world.send(again, timed());
    }
    if world.calm() || world.rng.u32(0..10) > 0 {
        world.send(wait, timed());
    }
}
