//! When a build is due, and which agents are polled.

use super::*;

#[test]
fn a_build_is_due_for_a_launch_only_while_that_is_the_first_thing_it_waits_for() {
    let due_for_launch = |story: &Story| story.build.is_due_for_launch();
    let launching = Story::new(spec());
    assert!(!due_for_launch(&launching));
    let queued = launching.refused(1, SPOT, throttled());
    assert!(due_for_launch(&queued));
    let running = queued.tick_when_due().accepted(SPOT, "1a").running("1a").performed();
    assert!(!due_for_launch(&running));
    // The first attempt is polled after a minute, and the replacement is launched before that.
    let replaced = running.warned("1a").refused(2, ON_DEMAND, throttled());
    assert!(due_for_launch(&replaced));
    let waits_longer = replaced.tick_when_due().refused(2, ON_DEMAND, no_capacity());
    assert!(due_for_launch(&waits_longer));
    let long = (0..5).fold(waits_longer, |story, _| story.tick_when_due().refused(2, ON_DEMAND, no_capacity()));
    assert!(
        !due_for_launch(&long),
        "the message is overdue before the next try: {:?}",
        long.build
    );
    assert!(due_for_launch(&long.performed().stopped("1a", taken_back())));
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
fn a_pending_effect_is_due_after_a_minute() {
    let story = Story::new(spec()).up().stopped("1a", exited(0));
    assert_eq!(story.build.due(), Some(t(MINUTE)));
    let story = story.performed();
    assert_eq!(story.build.due(), None);
}
