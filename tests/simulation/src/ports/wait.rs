//! A wait in virtual time. It is at these points that others act, and that an invocation dies.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::world::{Happening, Millis, Shared, lock};

/// A wait in virtual time. It is at these points that others act, and that an invocation dies.
pub(super) struct Wait {
    pub(super) world: Shared,
    pub(super) wait: Millis,
    pub(super) until: Option<Millis>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = self.world.clone();
        let mut world = lock(&shared);
        if world.dead {
            return Poll::Pending;
        }
        match self.until {
            None => {
                let until = world.now + self.wait;
                world.schedule(until, Happening::Wake(context.waker().clone()));
                self.until = Some(until);
                Poll::Pending
            }
            Some(until) if world.now < until => Poll::Pending,
            Some(_) => {
                if let Some(left) = world.dies_in {
                    if left == 0 {
                        world.dead = true;
                        return Poll::Pending;
                    }
                    world.dies_in = Some(left - 1);
                }
                Poll::Ready(())
            }
        }
    }
}
