//! What the agent does when ECS stops it: decisions, without clocks, signals and processes.
//!
//! ECS sends SIGTERM to the agent only, and SIGKILL `stopTimeout` seconds later. Checkout, script and the upload of artifacts are *work*: processes in a
//! group of their own, or requests of the agent itself. The agent decides when the work gets to know:
//!
//! - on-demand: Bellhop or a person stops the build. SIGTERM is forwarded at once.
//! - spot: AWS reclaims the machine. The job may still finish, and its result counts: SIGTERM is forwarded when only the margin is left.
//!
//! The margin, 20 seconds or a third of a short timeout, is for the script's cleanup (half of it, then SIGKILL) and the report. Time that the script does
//! not use for its cleanup is left for its artifacts.

use std::time::Duration;

/// The margin of a long timeout.
const MARGIN: Duration = Duration::from_secs(20);
/// How long before the end of a long timeout the agent ends.
const LAST: Duration = Duration::from_secs(1);

/// When what is due after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Time from SIGTERM until it is forwarded; zero is at once.
    pub forward_after: Duration,
    /// Time from then until the work is killed.
    pub kill_after: Duration,
    /// Time from SIGTERM until the agent ends, with or without a report: its exit code counts more than that of SIGKILL.
    pub end_after: Duration,
}

impl Plan {
    /// The plan for a container with this `stopTimeout`.
    #[must_use]
    pub fn new(stop_timeout: Duration, on_spot: bool) -> Self {
        let margin = (stop_timeout / 3).min(MARGIN);
        Self {
            forward_after: if on_spot {
                stop_timeout.saturating_sub(margin)
            } else {
                Duration::ZERO
            },
            kill_after: if on_spot {
                margin / 2
            } else {
                stop_timeout.saturating_sub(margin / 2)
            },
            end_after: stop_timeout.saturating_sub((stop_timeout / 12).min(LAST)),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM arrived.
    Terminate,
    /// The time that [`Action::SetTimer`] asked for is over.
    TimeOver,
    /// Work began.
    Began,
    /// The work has ended by itself, or was ended.
    Ended,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write a line to the log.
    Say(String),
    /// Send SIGTERM to the work's processes, or give up its requests.
    Forward,
    /// Send SIGKILL to the work's processes, or give up its requests.
    Kill,
    /// Report [`Event::TimeOver`] after this time. It replaces an earlier timer.
    SetTimer(Duration),
    /// The agent has so long from now.
    EndAfter(Duration),
}

/// How far the stopping is.
#[derive(Debug, Clone)]
pub struct Stopping {
    plan: Plan,
    stopping: bool,
    due: bool,
    signalled: bool,
    overdue: bool,
    killed: bool,
    at_work: bool,
}

impl Stopping {
    /// Of an agent that was not asked to stop yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            stopping: false,
            due: false,
            signalled: false,
            overdue: false,
            killed: false,
            at_work: false,
        }
    }

    /// Whether SIGTERM has arrived.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether no further work may begin, except the upload of the artifacts of a script that was stopped.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// Whether SIGTERM was forwarded to work that had not ended.
    #[must_use]
    pub fn was_signalled(&self) -> bool {
        self.signalled
    }

    /// Whether SIGKILL had to follow.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.killed
    }

    /// Says what to do.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Terminate if self.stopping => {}
            Event::Terminate => {
                self.stopping = true;
                actions.push(Action::EndAfter(self.plan.end_after));
                if self.plan.forward_after.is_zero() {
                    actions.push(Action::Say("stop: SIGTERM".to_owned()));
                    self.forward(&mut actions);
                } else {
                    let seconds = self.plan.forward_after.as_secs();
                    actions.push(Action::Say(format!(
                        "stop: SIGTERM on Spot capacity, the job may run for {seconds} more s"
                    )));
                    actions.push(Action::SetTimer(self.plan.forward_after));
                }
            }
            Event::TimeOver if self.signalled => self.kill(&mut actions),
            Event::TimeOver => self.forward(&mut actions),
            Event::Began => {
                self.at_work = true;
                // Either may have been due before there was work.
                if self.due {
                    self.forward(&mut actions);
                }
                if self.overdue {
                    self.kill(&mut actions);
                }
            }
            Event::Ended => self.at_work = false,
        }
        actions
    }

    fn forward(&mut self, actions: &mut Vec<Action>) {
        self.due = true;
        if self.at_work && !self.signalled {
            self.signalled = true;
            actions.push(Action::Forward);
            actions.push(Action::Say("stop: SIGTERM is passed on".to_owned()));
            actions.push(Action::SetTimer(self.plan.kill_after));
        }
    }

    fn kill(&mut self, actions: &mut Vec<Action>) {
        self.overdue = true;
        if self.at_work && !self.killed {
            self.killed = true;
            let seconds = self.plan.kill_after.as_secs();
            actions.push(Action::Say(format!("stop: still running {seconds} s later, SIGKILL")));
            actions.push(Action::Kill);
        } else if self.at_work {
            actions.push(Action::Kill);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ON_DEMAND: Plan = Plan {
        forward_after: Duration::ZERO,
        kill_after: Duration::from_secs(25),
        end_after: Duration::from_secs(29),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn timers(actions: &[Action]) -> Vec<Duration> {
        let timer = |action: &Action| match action {
            Action::SetTimer(time) => Some(*time),
            _ => None,
        };
        actions.iter().filter_map(timer).collect()
    }

    #[test]
    fn the_times_of_the_documented_timeouts() {
        let plan = |timeout, on_spot| {
            let plan = Plan::new(seconds(timeout), on_spot);
            [plan.forward_after, plan.kill_after, plan.end_after].map(|time| time.as_millis())
        };
        assert_eq!(plan(120, true), [100_000, 10_000, 119_000]);
        assert_eq!(plan(120, false), [0, 110_000, 119_000]);
        assert_eq!(plan(30, true), [20_000, 5000, 29_000]);
        assert_eq!(plan(30, false), [0, 25_000, 29_000]);
        assert_eq!(plan(3, true), [2000, 500, 2750]);
    }

    #[test]
    fn on_demand_forwards_at_once_and_kills_later() {
        let mut stopping = Stopping::new(ON_DEMAND);
        assert_eq!(stopping.on(Event::Began), []);
        let actions = stopping.on(Event::Terminate);
        assert!(actions.contains(&Action::Forward) && stopping.was_signalled());
        assert_eq!(timers(&actions), [seconds(25)]);
        let actions = stopping.on(Event::TimeOver);
        assert!(actions.contains(&Action::Kill) && stopping.was_killed());
    }

    #[test]
    fn spot_waits_until_the_margin() {
        let mut stopping = Stopping::new(Plan::new(seconds(120), true));
        stopping.on(Event::Began);
        let actions = stopping.on(Event::Terminate);
        assert_eq!(timers(&actions), [seconds(100)]);
        assert!(!stopping.is_due() && !stopping.was_signalled());
        assert_eq!(stopping.on(Event::Terminate), []);
        assert!(stopping.on(Event::TimeOver).contains(&Action::Forward));
    }

    #[test]
    fn a_signal_between_two_pieces_of_work_meets_the_next() {
        let mut stopping = Stopping::new(ON_DEMAND);
        stopping.on(Event::Began);
        stopping.on(Event::Ended);
        assert!(!stopping.on(Event::Terminate).contains(&Action::Forward));
        assert!(stopping.is_due() && !stopping.was_signalled());
        assert!(stopping.on(Event::Began).contains(&Action::Forward));
        assert!(stopping.was_signalled());
    }

    #[test]
    fn artifacts_of_a_stopped_script_have_what_is_left_of_its_time() {
        let mut stopping = Stopping::new(ON_DEMAND);
        stopping.on(Event::Began);
        stopping.on(Event::Terminate);
        stopping.on(Event::Ended);
        assert_eq!(stopping.on(Event::Began), []);
        assert!(stopping.on(Event::TimeOver).contains(&Action::Kill));
    }

    proptest! {
        #[test]
        fn events_in_any_order(on_spot in any::<bool>(), events in prop::collection::vec(
            prop::sample::select(vec![Event::Terminate, Event::TimeOver, Event::Began, Event::Ended]), 0..30)
        ) {
            let mut stopping = Stopping::new(Plan::new(seconds(120), on_spot));
            let (mut forwarded, mut at_work, mut terminated) = (0, false, false);
            for event in events {
                // A timer is over only where one was set.
                if event == Event::TimeOver && !terminated {
                    continue;
                }
                terminated |= event == Event::Terminate;
                at_work = match event { Event::Began => true, Event::Ended => false, _ => at_work };
                let actions = stopping.on(event);
                let acts = actions.iter().any(|action| matches!(action, Action::Forward | Action::Kill));
                prop_assert!(!acts || at_work, "a signal to nothing");
                forwarded += actions.iter().filter(|action| **action == Action::Forward).count();
                prop_assert!(forwarded <= 1 && (forwarded == 1) == stopping.was_signalled());
                prop_assert!(!stopping.was_killed() || stopping.was_signalled());
                prop_assert!(!stopping.is_due() || stopping.is_stopping());
            }
        }
    }
}
