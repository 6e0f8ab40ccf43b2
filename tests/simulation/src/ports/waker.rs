//! SNS: wake-ups of functions.

use async_trait::async_trait;
use bellhop_domain::record::{Key, Performer};
use bellhop_engine::Fault;
use bellhop_engine::ports::Waker;

use super::fate::Service;
use super::port::Port;
use crate::mutant::Mutant;
use crate::world::{Invoke, Job, SECOND, Subject};

#[async_trait]
impl Waker for Port {
    /// SNS delivers at least once, in any order. A function that is woken in vain, or not at all, is woken by the next sweep.
    async fn wake(&self, performer: Performer, records: &[Key]) -> Result<(), Fault> {
        let records = records.to_vec();
        self.call(Service::Other, "WakeUp", Subject::World, move |world| {
            if world.is(Mutant::WAKE_UPS_DROPPED) {
                return;
            }
            let job = Job::WakeUp(performer, records.clone());
            let wait = world.between_log(20, 2 * SECOND);
            if !world.calm() && world.rng.bool() {
                let again = wait + world.between_log(1, 2 * SECOND);
                world.send(
                    again,
                    Invoke {
                        job: job.clone(),
                        tries: 0,
                    },
                );
            }
            if world.calm() || world.rng.u32(0..10) > 0 {
                world.send(wait, Invoke { job, tries: 0 });
            }
        })
        .await
    }
}
