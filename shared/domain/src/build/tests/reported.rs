//! Events about agents: which are believed.

use super::*;
use crate::decision::Misfit;
use crate::executor::Placement;

const ACCOUNT: &str = "123456789012";

fn task(name: &str) -> AgentId {
    format!("arn:aws:ecs:us-east-1:{ACCOUNT}:task/ci-spot/{name}").parse().unwrap()
}

fn fits() -> Placement {
    Placement {
        account: Some(ACCOUNT.to_owned()),
        place: Some(format!("arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/ci-spot")),
        definition: Some(format!("arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/bellhop-agent-small:7")),
    }
}

fn with(agent: AgentId, status: AgentStatus) -> Observation {
    Observation {
        agent,
        version: Some(9),
        capacity: None,
        status,
    }
}

fn report(build: &Build, observation: &Observation, placement: Placement) -> Decision<Build> {
    let event = BuildEvent::Reported {
        attempt: 1,
        observation: observation.clone(),
        placement,
    };
    build.decide(&event, t(30))
}

fn launched() -> Build {
    let story = Story::new(spec());
    let accepted = BuildEvent::LaunchAccepted {
        attempt: 1,
        capacity: Capacity::Spot,
        agent: task("1a"),
    };
    story.happens(&accepted).build
}

fn running() -> AgentStatus {
    AgentStatus::Running { since: None }
}

fn end_of(code: i32) -> AgentStatus {
    AgentStatus::Stopped(exited(code))
}

#[test]
fn an_event_that_fits_counts_for_the_agent_that_the_record_has() {
    for placement in [fits(), Placement::default()] {
        let decision = report(&launched(), &with(task("1a"), running()), placement);
        let Decision::Next(next) = decision else { panic!("{decision:?}") };
        assert_eq!(next.attempts[0].phase, Phase::Running);
    }
}

#[test]
fn an_event_that_does_not_fit_changes_nothing() {
    let own = task("1a");
    let other = |service: &str| -> AgentId { format!("arn:aws:{service}:us-east-1:{ACCOUNT}:task/ci-spot/1a").parse().unwrap() };
    let elsewhere: AgentId = format!("arn:aws:ecs:us-east-1:{ACCOUNT}:task/others/1a").parse().unwrap();
    let cases = [
        (
            own.clone(),
            Placement {
                account: Some("210987654321".to_owned()),
                ..fits()
            },
            Misfit::Account,
        ),
        (
            own.clone(),
            Placement {
                place: Some("others".to_owned()),
                ..fits()
            },
            Misfit::Place,
        ),
        (
            own.clone(),
            Placement {
                definition: Some("others:7".to_owned()),
                ..fits()
            },
            Misfit::Definition,
        ),
        (elsewhere, Placement { place: None, ..fits() }, Misfit::Place),
        (other("states"), fits(), Misfit::Place),
        (other("codebuild"), fits(), Misfit::Place),
    ];
    for (agent, placement, misfit) in cases {
        for status in [running(), AgentStatus::Interrupted, end_of(0), end_of(1)] {
            let seen = with(agent.clone(), status);
            let build = launched();
            assert!(!build.needs_proof(1, &seen, &placement), "{misfit:?}");
            assert_eq!(
                report(&build, &seen, placement.clone()),
                Decision::Ignored(Ignored::Misfit(misfit)),
                "{seen:?}"
            );
        }
    }
}

#[test]
fn an_event_gives_an_attempt_no_agent_and_stops_none() {
    let waiting = Story::new(spec()).build;
    for status in [running(), AgentStatus::Interrupted, end_of(0), end_of(1)] {
        let seen = with(task("x"), status);
        for build in [&waiting, &launched()] {
            assert_eq!(report(build, &seen, fits()), Decision::Ignored(Ignored::Unproven), "{seen:?}");
        }
        assert!(
            waiting.needs_proof(1, &seen, &fits()),
            "its launch may have started the agent: {seen:?}"
        );
        assert_eq!(
            launched().needs_proof(1, &seen, &fits()),
            seen.is_open(),
            "it could be a second agent: {seen:?}"
        );
        assert!(!launched().needs_proof(1, &with(task("1a"), running()), &fits()), "it is known");
    }
}

#[test]
fn an_agent_that_is_described_as_launched_is_adopted_or_stopped() {
    let seen = |build: &Build| {
        let observation = with(task("x"), running());
        build.decide(&BuildEvent::Agent { attempt: 1, observation }, t(30))
    };
    let Decision::Next(adopted) = seen(&Story::new(spec()).build) else {
        panic!("not adopted")
    };
    assert_eq!(adopted.attempts[0].agent, Some(task("x")));
    let Decision::Next(stopped) = seen(&launched()) else {
        panic!("not stopped")
    };
    assert_eq!(stopped.strays[0].agent, task("x"));
}

#[test]
fn an_event_about_an_attempt_that_is_over_is_past_only_if_it_fits() {
    let Decision::Next(ended) = report(&launched(), &with(task("1a"), end_of(0)), fits()) else {
        panic!("it counts")
    };
    let event = |placement| BuildEvent::Reported {
        attempt: 1,
        observation: with(task("1a"), end_of(1)),
        placement,
    };
    assert!(ended.is_past(&event(fits())));
    let foreign = Placement {
        account: Some("210987654321".to_owned()),
        ..fits()
    };
    assert!(!ended.is_past(&event(foreign)), "it is counted as one that does not fit");
}
