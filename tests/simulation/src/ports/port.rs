//! One invocation's view of the world, and its requests: each awaits virtual time twice, while it is on the way and while its reply is. Between the two it takes
//! effect.

use std::sync::Arc;

use bellhop_engine::{Fault, Recent};

use super::fate::{Answer, Effect, Fate, Service, fate, struck};
use super::wait::Wait;
use crate::guarded::Way;
use crate::plan;
use crate::world::{Happening, Millis, SECOND, Shared, Subject, World, lock};

/// How often the SDK sends a request.
const SDK_TRIES: u32 = 3;

/// What one invocation of a function sees of the world.
#[derive(Clone)]
pub(crate) struct Port {
    pub(super) world: Shared,
    /// What its execution environment has met before.
    pub(crate) recent: Arc<Recent>,
    /// How far its clock is from the world's.
    pub(super) skew: i64,
    /// Whether it is the minute's sweep.
    pub(crate) is_sweep: bool,
    /// How the run is asked for that it may start.
    pub(crate) way: Option<Way>,
}

impl Port {
    /// A port for an invocation, with a clock of its own.
    pub(crate) fn new(shared: &Shared) -> Self {
        let mut world = lock(shared);
        let most = if world.calm() {
            0
        } else {
            i64::try_from(world.hostility.skew).unwrap_or(0)
        };
        let skew = world.rng.i64(-most..=most) / 2;
        let recent = world.environments.take();
        drop(world);
        Self {
            world: shared.clone(),
            recent,
            skew,
            is_sweep: false,
            way: None,
        }
    }

    pub(super) fn wait(&self, wait: Millis) -> Wait {
        Wait {
            world: self.world.clone(),
            wait,
            until: None,
        }
    }

    fn latency(&self) -> Millis {
        let mut world = lock(&self.world);
        if world.script.is_some() {
            return plan::HALF;
        }
        if world.calm() {
            return world.rng.u64(1..20);
        }
        let slow = world.hostility.slow;
        if world.chance(slow) {
            world.between_log(500, 20 * SECOND)
        } else {
            world.between_log(1, 80)
        }
    }

    /// A request to a service, with the SDK's own retries. Its effect takes place any number of times, even if the caller gets a fault.
    pub(super) async fn call<T>(
        &self,
        service: Service,
        what: &'static str,
        about: impl Into<Subject>,
        effect: impl Fn(&mut World) -> T + Send + Sync + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
    {
        self.send(service, what, about, SDK_TRIES, effect).await
    }

    /// The same without the SDK's retries.
    pub(super) async fn call_once<T>(
        &self,
        service: Service,
        what: &'static str,
        about: impl Into<Subject>,
        effect: impl Fn(&mut World) -> T + Send + Sync + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
    {
        self.send(service, what, about, 1, effect).await
    }

    async fn send<T>(
        &self,
        service: Service,
        what: &'static str,
        about: impl Into<Subject>,
        most: u32,
        effect: impl Fn(&mut World) -> T + Send + Sync + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
    {
        let about = about.into();
        let effect: Effect<T> = Arc::new(effect);
        let mut tries = 0;
        loop {
            tries += 1;
            self.wait(self.latency()).await;
            // Whatever happens from here on happens while the answer is on the way.
            let (wait, answer) = self.serve(service, what, &about, &effect, tries < most);
            self.wait(wait).await;
            match answer {
                Answer::Reply(reply) => return Ok(reply),
                Answer::TryAgain => {}
                Answer::Denied => {
                    lock(&self.world).note("denied", about, || what.to_owned());
                    let words = "AccessDeniedException: the suite is not authorized to do that";
                    return Err(Fault::permanent(format!("failed to call {what}: {words}")));
                }
                Answer::Fault => {
                    lock(&self.world).note("fault", about, || what.to_owned());
                    return Err(Fault::transient(format!("{what}: the service does not answer")));
                }
            }
        }
    }

    /// A request arrives, or does not. With how long it takes until its sender knows.
    fn serve<T: 'static>(
        &self,
        service: Service,
        what: &'static str,
        about: &Subject,
        effect: &Effect<T>,
        may_retry: bool,
    ) -> (Millis, Answer<T>) {
        let mut world = lock(&self.world);
        if let Some(kind) = world.strike(what) {
            return struck(&mut world, kind, service, effect);
        }
        // A launch is a question of its own: it is answered with a refusal.
        if service != Service::Launches && world.denied(what) {
            world.statistics.denials += 1;
            drop(world);
            return (self.latency(), Answer::Denied);
        }
        match fate(&mut world, service) {
            Fate::Served => {
                let reply = effect(&mut world);
                drop(world);
                return (self.latency(), Answer::Reply(reply));
            }
            Fate::Refused => world.note("refused", about.clone(), || what.to_owned()),
            Fate::ReplyLost => {
                world.note("reply will be lost", about.clone(), || what.to_owned());
                effect(&mut world);
            }
            Fate::Late(wait) => {
                world.note("request delayed", about.clone(), || format!("{what}, by {wait} ms"));
                let effect = effect.clone();
                world.schedule_in(
                    wait,
                    Happening::Late(Box::new(move |world| {
                        effect(world);
                    })),
                );
            }
        }
        world.statistics.faults += 1;
        let pause = world.between_log(20, 3 * SECOND);
        let retries = world.hostility.sdk_retries;
        let answer = if may_retry && world.chance(retries) {
            Answer::TryAgain
        } else {
            Answer::Fault
        };
        (pause, answer)
    }
}
