//! What a build waits for, the message about that, and the message that an agent has stopped after its build.

use super::*;

const NONE: &str = "Capacity is unavailable at this time";

fn none() -> Refusal {
    Refusal::NoCapacity(NONE.to_owned())
}

/// Neither Spot nor on-demand has capacity.
fn without_capacity() -> Story {
    Story::new(spec()).refused(1, SPOT, none()).refused(1, ON_DEMAND, none())
}

impl Story {
    fn waits(&self) -> (Option<String>, Option<i64>) {
        let next = self.build.next_try();
        (self.build.waits_because(), next.map(|next| next.as_second() - t(0).as_second()))
    }

    /// The build is processed whenever it is due, up to a second, and every launch is refused.
    fn refused_until(mut self, second: i64) -> Self {
        while self.build.due().is_some_and(|due| due < t(second)) {
            self = self.tick_when_due().refused(1, ON_DEMAND, none());
        }
        self
    }

    fn announced(&self, kind: fn(&BuildNews) -> bool) -> Vec<BuildNews> {
        let news = self.build.outbox.pending().iter().filter_map(|pending| match &pending.effect {
            BuildEffect::Announce(news) => Some(news.clone()),
            _ => None,
        });
        news.filter(kind).collect()
    }
}

fn is_waiting(news: &BuildNews) -> bool {
    matches!(news, BuildNews::Waiting { .. })
}

fn is_stopped(news: &BuildNews) -> bool {
    matches!(news, BuildNews::Stopped { .. })
}

#[test]
fn a_waiting_build_says_why_and_until_when() {
    let mut needing = spec();
    needing.needs = vec!["lint".parse().unwrap()];
    assert_eq!(
        Story::of(Build::blocked(needing, t(0))).waits(),
        (Some("it needs lint".to_owned()), None)
    );

    let mut limited = spec();
    limited.limit = Some(2);
    let cause = "all 2 slots of the agent `small` are in use";
    assert_eq!(Story::new(limited).waits(), (Some(cause.to_owned()), None));

    let (because, next) = without_capacity().waits();
    assert_eq!(because.as_deref(), Some(NONE));
    assert!(matches!(next, Some(11..=15)), "{next:?}");

    let lost = stop(StopCause::Other, "lost", None);
    let (because, next) = Story::new(spec()).up().at(50).stopped("1a", lost).waits();
    assert_eq!(because.as_deref(), Some("attempt 2 starts after the backoff of its retry rule"));
    assert!(next.is_some_and(|next| next > 50));

    let patient = BuildSpec {
        relaunch: Relaunch::Stopped,
        ..spec()
    };
    let warned = Story::new(patient).up().at(60).warned("1a");
    let because = "Bellhop waits until attempt 1 has stopped";
    assert_eq!(warned.waits(), (Some(because.to_owned()), None));

    assert_eq!(Story::new(spec()).up().waits(), (None, None));
    assert_eq!(Story::new(spec()).up().stopped("1a", exited(0)).waits(), (None, None));
}

#[test]
fn a_build_that_waits_for_ten_minutes_is_reported_once() {
    let story = without_capacity().refused_until(600);
    assert_eq!(story.announced(is_waiting), []);
    let story = story.tick(600);
    let news = story.announced(is_waiting);
    let [BuildNews::Waiting { cause, since, until, .. }] = news.as_slice() else {
        panic!("{news:?}")
    };
    assert_eq!((cause.as_str(), *since, *until), (NONE, t(0), t(7200)));
    assert_eq!(story.performed().refused_until(7000).announced(is_waiting), []);
}

#[test]
fn a_build_that_waits_for_a_slot_is_reported_unless_it_times_out_first() {
    let mut limited = spec();
    limited.limit = Some(1);
    let story = Story::new(limited.clone()).performed();
    assert_eq!(story.build.due(), Some(t(600)));
    assert_eq!(story.tick(600).announced(is_waiting).len(), 1);
    limited.queue_timeout = Duration::from_secs(300);
    let story = Story::new(limited).performed().tick(300);
    assert_eq!(
        (story.announced(is_waiting).len(), story.build.outcome()),
        (0, Some(Outcome::TimedOut))
    );
}

#[test]
fn an_agent_that_stops_long_after_its_build_was_cancelled_is_reported() {
    let ended = |at: i64| {
        let mut stop = exited(143);
        stop.at = Some(t(at));
        Story::new(spec())
            .up()
            .at(100)
            .happens(cancelled(Outcome::Cancelled))
            .at(300)
            .stopped("1a", stop)
    };
    let news = ended(190).announced(is_stopped);
    let [BuildNews::Stopped { outcome, after, at, .. }] = news.as_slice() else {
        panic!("{news:?}")
    };
    assert_eq!((*outcome, *after, *at), (Outcome::Cancelled, Duration::from_secs(90), t(190)));
    assert_eq!(ended(105).announced(is_stopped).len(), 1, "people wait for it");
    let superseded = Story::new(spec()).up().at(100).happens(cancelled(Outcome::Superseded));
    assert_eq!(superseded.at(200).stopped("1a", exited(143)).announced(is_stopped), []);
}

/// Found by the simulation: the search for the agent of a second launch ended last, and nothing was reported.
#[test]
fn the_end_of_an_agent_is_reported_after_the_search_for_another_one() {
    let mut stop = exited(143);
    stop.at = Some(t(40));
    let mut story = Story::new(spec())
        .up()
        .warned("1a")
        .performed()
        .at(20)
        .happens(cancelled(Outcome::Cancelled))
        .at(50)
        .stopped("1a", stop)
        .performed();
    assert_eq!(story.announced(is_stopped), [], "another agent may still run");
    for minute in 1..=6 {
        story = story.performed().tick(50 + minute * MINUTE);
    }
    let news = story.announced(is_stopped);
    let [BuildNews::Stopped { attempt, after, .. }] = news.as_slice() else {
        panic!("{news:?}")
    };
    assert_eq!((*attempt, *after), (1, Duration::from_secs(20)));
}
