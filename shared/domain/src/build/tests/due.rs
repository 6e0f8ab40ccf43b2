//! When a build is due, and which agents are polled.

use super::*;

#[test]
fn a_throttled_launch_waits_for_its_turn_and_any_other_has_a_timer() {
    let waits_for = |story: &Story| (story.build.is_due_for_paced_launch(), story.build.timer() == story.build.due());
    let launching = Story::new(spec());
    assert_eq!(waits_for(&launching), (false, false));
    let queued = launching.refused(1, SPOT, throttled());
    assert_eq!(waits_for(&queued), (true, false));
    let running = queued.tick_when_due().accepted(SPOT, "1a").running("1a").performed();
    assert_eq!(waits_for(&running), (false, false), "the next poll comes before its timeout");
    // The first attempt is polled after a minute, and the replacement is launched before that.
    let replaced = running.warned("1a").refused(2, ON_DEMAND, throttled());
    assert_eq!(waits_for(&replaced), (true, false));
    let waits_longer = replaced.tick_when_due().refused(2, ON_DEMAND, no_capacity());
    assert_eq!(waits_for(&waits_longer), (false, true));
    assert_eq!(
        waits_for(&waits_longer.tick_when_due().refused(2, ON_DEMAND, throttled())),
        (true, false)
    );
}

#[test]
fn the_ends_of_waits_and_timeouts_have_timers() {
    let timers = |story: &Story| story.build.timer().map(|at| at.as_second() - t(0).as_second());
    let starting = Story::new(spec()).accepted(SPOT, "1a").performed();
    let launch_timeout = starting.build.launch_timeout(SPOT).as_secs();
    assert_eq!(timers(&starting), i64::try_from(launch_timeout).ok());
    let running = starting.at(10).running("1a");
    assert_eq!(timers(&running), Some(10 + HOUR));
    let stopped = running.stopped("1a", exited(0));
    assert_eq!(timers(&stopped), None);
}

#[test]
fn nothing_happens_before_something_is_due() {
    Story::new(spec())
        .tick(MINUTE - 1)
        .expect_ignored(Ignored::NotDue)
        .accepted(SPOT, "1a")
        .running("1a")
        .tick(2 * MINUTE)
        .expect_ignored(Ignored::NotDue)
        .stopped("1a", exited(0))
        .performed()
        .tick(24 * HOUR)
        .expect_ignored(Ignored::NotDue);
}

#[test]
fn silent_agents_are_polled() {
    let asked = |story: &Story, second: i64| -> Vec<String> {
        let agents = story.build.agents_to_check(t(second));
        agents.iter().map(|(attempt, agent)| format!("{attempt}:{}", name(agent))).collect()
    };
    let launching = Story::new(spec()).accepted(SPOT, "1a");
    assert_eq!(asked(&launching, MINUTE - 1), [""; 0]);
    assert_eq!(asked(&launching, MINUTE), ["1:1a"]);
    let running = launching.running("1a");
    assert_eq!(asked(&running, 5 * MINUTE - 1), [""; 0]);
    assert_eq!(asked(&running, 5 * MINUTE), ["1:1a"]);
    let crowded = running.at(MINUTE).warned("1a").accepted(ON_DEMAND, "2a").running("2b");
    assert_eq!(asked(&crowded, 2 * MINUTE), ["1:1a", "2:2a", "2:2b"]);
}

#[test]
fn an_agent_is_polled_at_its_deadline_however_short_ago_that_was_done() {
    let asked = |story: &Story, second: i64| story.build.agents_to_check(t(second)).len();
    let launching = Story::new(spec()).accepted(SPOT, "1a").performed();
    let launch_timeout = i64::try_from(launching.build.launch_timeout(SPOT).as_secs()).unwrap();
    for (story, deadline) in [(launching.clone(), launch_timeout), (launching.running("1a"), HOUR)] {
        let polled = story.tick(deadline - 30);
        assert_eq!(polled.build.due(), Some(t(deadline)));
        assert_eq!((asked(&polled, deadline - 1), asked(&polled, deadline)), (0, 1));
    }
}

#[test]
fn a_pending_effect_is_due_after_a_minute() {
    let story = Story::new(spec()).up().stopped("1a", exited(0));
    assert_eq!(story.build.due(), Some(t(MINUTE)));
    let story = story.performed();
    assert_eq!(story.build.due(), None);
}
