//! What becomes of a request: served, refused, late, or its reply lost; and what a planned fault does to it.

use std::sync::Arc;

use bellhop_domain::build::Refusal;
use bellhop_model::ecs::NO_CAPACITY;

use crate::hostility::Spell;
use crate::plan::{self, Kind};
use crate::world::{Happening, Millis, SECOND, World};

/// A service, as far as its faults differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Ledger,
    Launches,
    Other,
}

/// What becomes of one request.
pub(super) enum Fate {
    Served,
    Refused,
    ReplyLost,
    Late(Millis),
}

pub(super) type Effect<T> = Arc<dyn Fn(&mut World) -> T + Send + Sync>;

/// What the sender of a request learns in the end.
pub(super) enum Answer<T> {
    Reply(T),
    /// Nothing, and the SDK repeats the request.
    TryAgain,
    /// Nothing, and that is that.
    Fault,
    /// That it may not do that.
    Denied,
}

/// What becomes of a request with which something is to go wrong.
pub(super) fn struck<T: 'static>(world: &mut World, kind: Kind, service: Service, effect: &Effect<T>) -> (Millis, Answer<T>) {
    let refusal = match kind {
        Kind::Throttled => Refusal::Throttled("ThrottlingException: Rate exceeded".to_owned()),
        Kind::Denied => Refusal::Unknown("AccessDeniedException: not authorized to perform: ecs:RunTask".to_owned()),
        _ => Refusal::NoCapacity(NO_CAPACITY.to_owned()),
    };
    let answer = match kind {
        Kind::Throttled | Kind::Denied | Kind::NoCapacity if service == Service::Launches => {
            world.refuse_launch(refusal);
            Answer::Reply(effect(world))
        }
        Kind::Conflict => {
            world.overtake();
            Answer::Reply(effect(world))
        }
        Kind::DiesBefore => {
            world.dead = true;
            Answer::Fault
        }
        Kind::DiesAfter => {
            effect(world);
            world.dead = true;
            Answer::Fault
        }
        Kind::ReplyLost => {
            effect(world);
            Answer::Fault
        }
        Kind::Late => {
            let effect = effect.clone();
            let late = Happening::Late(Box::new(move |world| {
                effect(world);
            }));
            world.schedule_in(plan::LATE, late);
            Answer::Fault
        }
        Kind::Denied => Answer::Denied,
        // Those of events are none of a request's.
        Kind::Throttled | Kind::NoCapacity | Kind::EventLost | Kind::EventTwice | Kind::EventLate => Answer::Fault,
    };
    world.statistics.faults += 1;
    (plan::HALF, answer)
}

pub(super) fn fate(world: &mut World, service: Service) -> Fate {
    if world.calm() {
        return Fate::Served;
    }
    if service == Service::Ledger && world.spell(Spell::LedgerThrottled) && world.rng.u32(0..3) == 0 {
        return Fate::Refused;
    }
    if service != Service::Ledger && world.spell(Spell::Outage) && world.rng.u32(0..10) > 0 {
        return Fate::Refused;
    }
    let hostility = &world.hostility;
    let (refused, lost) = (hostility.refused, hostility.reply_lost);
    let late = match service {
        Service::Launches => hostility.launch_late,
        Service::Ledger | Service::Other => hostility.late,
    };
    let drawn = world.rng.f64();
    if drawn < refused {
        Fate::Refused
    } else if drawn < refused + lost {
        Fate::ReplyLost
    } else if drawn < refused + lost + late {
        Fate::Late(world.between_log(100, 20 * SECOND))
    } else {
        Fate::Served
    }
}
