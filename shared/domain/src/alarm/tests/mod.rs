//! An alarm's story in events, and what it sends and does. The helpers are here, the tests below.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod changes;
mod claims;
mod pauses;
mod remedies;

use std::time::Duration;

use super::*;
use crate::decision::{Decision, Ignored};
use crate::outbox::EffectId;
use crate::record::{Decides, Step};
use crate::testing::t;
use crate::time::later;

fn id() -> AlarmId {
    AlarmId {
        region: Some("us-east-1".to_owned()),
        account: Some("123456789012".to_owned()),
        name: "jenkins-unhealthy".to_owned(),
        contributor: None,
    }
}

fn change(state: AlarmState, at: i64) -> AlarmChange {
    AlarmChange {
        id: id(),
        state,
        at: Some(t(at)),
        previous: None,
        quiet: None,
        facts: AlarmFacts::default(),
    }
}

fn changed(change: AlarmChange, wanted: ConfiguredRemedy) -> AlarmEvent {
    let change = Box::new(change);
    AlarmEvent::Changed { change, wanted }
}

fn restart() -> Remedy {
    Remedy {
        action: RemedyAction::RestartService {
            cluster: "ci-main".to_owned(),
            service: "jenkins".to_owned(),
        },
        at_most_every: Duration::from_secs(1800),
        dry_run: false,
    }
}

fn pause() -> Remedy {
    Remedy {
        action: RemedyAction::PauseStarts,
        at_most_every: Duration::ZERO,
        dry_run: false,
    }
}

fn take(alarm: &Alarm, event: impl Into<Step<AlarmEvent>>, at: i64) -> Alarm {
    let step = event.into();
    match alarm.take(&step, t(at)) {
        Decision::Next(next) => *next,
        Decision::Ignored(reason) => panic!("{step:?}: {reason}"),
    }
}

/// An alarm that changes. Its messages are performed at once.
struct Story {
    alarm: Alarm,
    remedy: ConfiguredRemedy,
    notified: Vec<String>,
}

impl Story {
    fn new(remedy: ConfiguredRemedy) -> Self {
        Self {
            alarm: Alarm::new(id()),
            remedy,
            notified: Vec::new(),
        }
    }

    fn changes(&mut self, state: AlarmState, at: i64) -> &mut Self {
        self.receives(change(state, at), at)
    }

    fn receives(&mut self, change: AlarmChange, at: i64) -> &mut Self {
        let wanted = self.remedy.clone();
        self.takes(changed(change, wanted), at)
    }

    fn takes(&mut self, event: impl Into<Step<AlarmEvent>>, at: i64) -> &mut Self {
        self.alarm = take(&self.alarm, event, at);
        self.notifies(at)
    }

    fn ignores(&mut self, change: AlarmChange, at: i64) -> &mut Self {
        let wanted = self.remedy.clone();
        let decision = self.alarm.decide(&changed(change, wanted), t(at));
        assert_eq!(decision, Decision::Ignored(Ignored::Stale));
        self
    }

    fn notifies(&mut self, at: i64) -> &mut Self {
        while let Some((id, news)) = self.alarm.outbox.pending().iter().find_map(|pending| match &pending.effect {
            AlarmEffect::Notify(news) => Some((pending.id, news.clone())),
            _ => None,
        }) {
            let remedy = match news.remedy.map(|news| news.outcome) {
                None => String::new(),
                Some(RemedyOutcome::Done(_)) => " done".to_owned(),
                Some(RemedyOutcome::CoolingDown { .. }) => " held".to_owned(),
                Some(RemedyOutcome::Failed(_)) => " failed".to_owned(),
                Some(other) => format!(" {other:?}"),
            };
            self.notified.push(format!("{:?} {}{remedy}", news.what, news.transition.state));
            self.alarm = take(&self.alarm, Step::Performed(id), at);
        }
        self
    }

    fn remedies(&self) -> Vec<EffectId> {
        let pending = self.alarm.outbox.pending().iter();
        pending
            .filter(|pending| matches!(pending.effect, AlarmEffect::Remedy { .. }))
            .map(|pending| pending.id)
            .collect()
    }

    fn remedied(&mut self, outcome: RemedyOutcome, at: i64) -> &mut Self {
        let [effect] = self.remedies()[..] else {
            panic!("not one remedy: {:?}", self.alarm.outbox)
        };
        self.takes(&AlarmEvent::Remedied { effect, outcome }, at)
    }

    fn notified(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notified)
    }
}

use AlarmState::{Alarm as ALARM, InsufficientData as UNCLEAR, Ok as FINE};
