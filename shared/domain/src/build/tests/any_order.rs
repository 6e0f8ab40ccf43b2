//! The same events in every order have the same result.

use super::*;

/// Applies the events of one agent in every order. Returns each of the stories, with the launch of the replacement accepted if there is one.
fn in_every_order(spec: &BuildSpec, events: &[(&str, AgentStatus)]) -> Vec<Story> {
    orders(events.len())
        .into_iter()
        .map(|order| {
            let mut story = Story::new(spec.clone()).accepted(SPOT, "1a");
            for index in order {
                let (agent, status) = events[index].clone();
                story = story.seen(agent, None, status);
            }
            if story.build.attempts.len() > 1 {
                story = story.accepted(ON_DEMAND, "2a");
            }
            story
        })
        .collect()
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    orders(count - 1)
        .into_iter()
        .flat_map(|order| {
            (0..count).map(move |place| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

fn course(last: Stop) -> Vec<(&'static str, AgentStatus)> {
    vec![
        ("1a@1", AgentStatus::Starting),
        ("1a@2", AgentStatus::Running { since: Some(t(0)) }),
        ("1a@3", AgentStatus::Interrupted),
        ("1a@4", AgentStatus::Stopping),
        ("1a@5", AgentStatus::Stopped(last)),
    ]
}

#[test]
fn an_interruption_ends_the_same() {
    for spec in [spec(), relaunched_when_stopped()] {
        let stories = in_every_order(&spec, &course(taken_back()));
        assert_eq!(stories.len(), 120);
        for story in stories {
            story
                .expect_live(&["2a"])
                .expect_attempts(&[SPOT, ON_DEMAND])
                .expect_retries(&[1, 0])
                .expect_status("launching");
        }
    }
}

#[test]
fn a_success_in_the_window_ends_the_same() {
    for story in in_every_order(&spec(), &course(reporting(finished_in_time(), script_ended(0)))) {
        // Whether a replacement was launched depends on the order. It is stopped in any case.
        let story = story.expect_finished(Outcome::Succeeded, "").performed();
        let replaced = story.build.attempts.len() > 1;
        let story = story.stopped("2a", stopped_by_a_person());
        assert_eq!(story.ignored.is_none(), replaced);
        story.expect_live(&[]).expect_rest();
    }
}

#[test]
fn an_ordinary_end_is_the_same() {
    for (last, outcome) in [(exited(0), Outcome::Succeeded), (exited(1), Outcome::Failed)] {
        let mut events = course(last);
        events.remove(2);
        for story in in_every_order(&spec(), &events) {
            assert_eq!(story.build.outcome(), Some(outcome));
            story.expect_attempts(&[SPOT]).expect_live(&[]).expect_rest();
        }
    }
}

#[test]
fn an_agent_without_capacity_is_followed_by_the_same() {
    let events = [
        ("1a@1", AgentStatus::Starting),
        ("1a@2", AgentStatus::Stopping),
        ("1a@3", AgentStatus::Stopped(without_capacity())),
    ];
    for story in in_every_order(&spec(), &events) {
        story
            .expect_attempts(&[ON_DEMAND])
            .expect_todo(&["launch 1 on on-demand"])
            .expect_live(&["1?"]);
    }
}
