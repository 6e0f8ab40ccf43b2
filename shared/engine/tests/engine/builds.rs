//! Builds from their launch to their report, with replies and events that are lost, repeated or late.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellhop_domain::build::Refusal;
use bellhop_domain::decision::Ignored;
use bellhop_domain::executor::observation::{AgentStatus, ContainerEnd};
use bellhop_domain::ids::{AgentId, BuildId};
use bellhop_domain::outcome::Outcome;
use bellhop_engine::{FaultKind, Handled};
use futures::future::join_all;
use jiff::Timestamp;

use crate::world::{RUNNING, World, calls, exited, job, nothing, push, script_ended, taken_back};

async fn up(world: &World) -> BuildId {
    let id = job(&world.started("one").await, "test");
    world.seen(&id, RUNNING).await.unwrap();
    id
}

/// What AWS refuses for good may be there a moment later, such as a role that was just created.
#[tokio::test(start_paused = true)]
async fn a_launch_that_is_refused_for_good_is_sent_once_more() {
    let invalid = || Refusal::Invalid("ClusterNotFoundException: Cluster not found.".to_owned());
    let world = World::new();
    world.agents.refusals.lock().unwrap().push_back(invalid());
    let id = job(&world.started("one").await, "test");
    assert_eq!(world.agents.calls.lock().unwrap().len(), 2);
    assert_eq!(
        (world.agents.live(), world.build(&id).await.outcome()),
        (vec!["test/1 on spot".to_owned()], None)
    );

    let world = World::new();
    world.agents.refusals.lock().unwrap().extend([invalid(), invalid()]);
    let id = job(&world.started("one").await, "test");
    assert_eq!(world.agents.calls.lock().unwrap().len(), 2);
    assert!(world.agents.live().is_empty());
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::InfrastructureFailed));
}

#[tokio::test]
async fn a_build_from_push_to_report() {
    let world = World::new();
    let id = up(&world).await;
    assert_eq!(world.build(&id).await.status(), "running");
    world.exits(&id, 2).await;
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Failed));
    assert_eq!(world.run(&id.run).await.status(), "failed");
    assert_eq!(world.told("build"), ["failed"]);
    assert_eq!(world.told("run"), ["failed"]);
    let report = world.bucket.object(&format!("runs/{}/report.json", id.run)).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["builds"][0]["attempts"][0]["capacity"], "spot");
    assert_eq!(world.build(&id).await.due(), None);
    assert_eq!(world.run(&id.run).await.due(), None);
}

#[tokio::test]
async fn five_warnings_at_once_launch_one_replacement_and_tell_it_once() {
    let world = World::new();
    let id = up(&world).await;
    let handled = join_all((0..5).map(|_| world.seen(&id, AgentStatus::Interrupted))).await;
    let done = handled.iter().filter(|handled| matches!(handled, Ok(Handled::Done))).count();
    assert_eq!(done, 1);
    assert!(handled.iter().all(Result::is_ok));
    assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
    assert_eq!(world.told("build"), ["retrying"]);
    assert_eq!(world.build(&id).await.attempts.len(), 2);
}

#[tokio::test]
async fn no_spot_capacity_is_answered_on_demand_in_the_same_breath() {
    let world = World::new();
    let none = Refusal::NoCapacity("Capacity is unavailable at this time".to_owned());
    world.agents.refusals.lock().unwrap().push_back(none);
    let id = job(&world.started("one").await, "test");
    assert_eq!(calls(&world), ["test/1 on spot", "test/1 on on-demand"]);
    assert_eq!(world.build(&id).await.attempts.len(), 1);
}

#[tokio::test]
async fn a_throttled_launch_is_tried_again_by_the_sweep() {
    let world = World::new();
    let slow = Refusal::Throttled("Rate exceeded".to_owned());
    world.agents.refusals.lock().unwrap().push_back(slow);
    let id = job(&world.started("one").await, "test");
    assert_eq!(world.build(&id).await.status(), "queued");
    assert_eq!(world.sweep().await.unwrap().advanced, 1);
    assert_eq!(calls(&world), ["test/1 on spot", "test/1 on spot"]);
    assert_eq!(world.agents.live(), ["test/1 on spot"]);
}

#[tokio::test]
async fn a_launch_whose_reply_is_lost_is_repeated_without_a_second_agent() {
    let world = World::new();
    world.agents.lost_replies.store(1, Ordering::SeqCst);
    let fault = world.starter().push(&push("one")).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
    let run = world.records().runs_of(&push("one").repository, None, 1).await.unwrap();
    let id = job(&run[0].run, "test");
    assert_eq!(world.build(&id).await.attempts[0].agent, None);
    // The function that performs it has one minute.
    assert_eq!(world.engine().sweep(Timestamp::MAX).await.unwrap().due, 0);
    assert_eq!(world.sweep().await.unwrap().advanced, 1);
    assert_eq!(calls(&world), ["test/1 on spot", "test/1 on spot"]);
    assert_eq!(world.agents.live(), ["test/1 on spot"]);
    assert_eq!(world.build(&id).await.attempts[0].agent, Some(world.agents.all()[0].clone()));
}

#[tokio::test]
async fn an_agent_whose_launch_was_never_answered_is_known_by_its_first_event() {
    let world = World::new();
    world.agents.lost_replies.store(1, Ordering::SeqCst);
    world.starter().push(&push("one")).await.unwrap_err();
    let run = world.records().runs_of(&push("one").repository, None, 1).await.unwrap();
    let id = job(&run[0].run, "test");
    world.seen_of(&id, 1, world.agents.all()[0].clone(), RUNNING).await.unwrap();
    world.exits(&id, 0).await;
    assert_eq!(world.run(&id.run).await.status(), "succeeded");
    world.sweep().await.unwrap();
    assert_eq!(calls(&world), ["test/1 on spot"]);
}

#[tokio::test]
async fn an_agent_that_stopped_before_its_launch_was_answered_is_described_and_decides() {
    let world = World::new();
    world.agents.lost_replies.store(1, Ordering::SeqCst);
    world.starter().push(&push("one")).await.unwrap_err();
    let run = world.records().runs_of(&push("one").repository, None, 1).await.unwrap();
    let id = job(&run[0].run, "test");
    let agent = world.agents.all()[0].clone();
    // What a function remembers is read again after a fault.
    world.agents.silent.store(2, Ordering::SeqCst);
    let end = || AgentStatus::Stopped(exited(0));
    let unanswered = world.seen_of(&id, 1, agent.clone(), end()).await;
    assert_eq!(unanswered.unwrap_err().kind, FaultKind::Transient, "Lambda sends the event again");
    assert_eq!(world.seen_of(&id, 1, agent, end()).await.unwrap(), Handled::Done);
    assert_eq!(world.run(&id.run).await.status(), "succeeded");
    assert_eq!(calls(&world), ["test/1 on spot"]);
}

#[tokio::test]
async fn an_agent_that_bellhop_did_not_launch_is_neither_adopted_nor_stopped() {
    let world = World::new();
    world.agents.lost_replies.store(1, Ordering::SeqCst);
    world.starter().push(&push("one")).await.unwrap_err();
    let run = world.records().runs_of(&push("one").repository, None, 1).await.unwrap();
    let id = job(&run[0].run, "test");
    let other: AgentId = "arn:aws:ecs:us-east-1:123456789012:task/ci-spot/imitated".parse().unwrap();
    let unproven = Handled::Ignored(Ignored::Unproven);
    for status in [RUNNING, AgentStatus::Interrupted, AgentStatus::Stopped(exited(0))] {
        assert_eq!(world.seen_of(&id, 1, other.clone(), status).await.unwrap(), unproven);
    }
    assert_eq!(world.build(&id).await.attempts[0].agent, None);
    world.sweep().await.unwrap();
    assert_eq!(world.seen_of(&id, 1, other, RUNNING).await.unwrap(), unproven);
    assert!(world.build(&id).await.strays.is_empty());
    assert!(world.agents.stops.lock().unwrap().is_empty());
    assert_eq!(world.agents.live(), ["test/1 on spot"]);
}

#[tokio::test]
async fn the_replacement_on_the_wire_is_found_and_stopped_when_the_first_attempt_succeeds() {
    let world = World::new();
    let id = up(&world).await;
    world.agents.lost_replies.store(1, Ordering::SeqCst);
    world.seen(&id, AgentStatus::Interrupted).await.unwrap_err();
    let first = world.build(&id).await.attempts[0].agent.clone().unwrap();
    *world.bucket.report.lock().unwrap() = Some(script_ended(0));
    world
        .seen_of(&id, 1, first.clone(), AgentStatus::Stopped(taken_back()))
        .await
        .unwrap();
    assert_eq!(world.build(&id).await.outcome(), Some(Outcome::Succeeded));
    let second = world.agents.all().into_iter().find(|agent| *agent != first).unwrap();
    assert_eq!(*world.agents.stops.lock().unwrap(), [second]);
}

#[tokio::test]
async fn what_people_could_not_be_told_is_told_by_the_sweep() {
    let world = World::new();
    let id = up(&world).await;
    world.inbox.closed.store(1, Ordering::SeqCst);
    assert!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.is_err());
    assert_eq!(world.told("build"), nothing());
    // The rest was not held up by it.
    assert_eq!(world.run(&id.run).await.status(), "failed");
    assert_eq!(world.told("run"), ["failed"]);
    world.sweep().await.unwrap();
    assert_eq!(world.told("build"), ["failed"]);
    assert_eq!(world.build(&id).await.due(), None);
    assert_eq!(world.sweep().await.unwrap().due, 0);
    assert_eq!(world.told("build"), ["failed"]);
}

#[tokio::test]
async fn a_failed_effect_is_performed_when_the_same_event_comes_again_a_minute_later() {
    let world = World::new();
    let id = up(&world).await;
    world.inbox.closed.store(1, Ordering::SeqCst);
    assert!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.is_err());
    world.clock.pass(Duration::from_secs(61));
    assert_eq!(world.seen(&id, AgentStatus::Stopped(exited(1))).await.unwrap(), Handled::Done);
    assert_eq!(world.told("build"), ["failed"]);
}

#[tokio::test]
async fn a_conflict_is_decided_anew() {
    let world = World::new();
    let id = up(&world).await;
    world.ledger.conflicts.store(8, Ordering::SeqCst);
    assert_eq!(world.seen(&id, AgentStatus::Interrupted).await.unwrap(), Handled::Done);
    assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
}

#[tokio::test]
async fn conflicts_without_end_are_a_fault_and_nothing_is_done() {
    let world = World::new();
    let id = up(&world).await;
    world.ledger.conflicts.store(9, Ordering::SeqCst);
    let fault = world.seen(&id, AgentStatus::Interrupted).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(calls(&world), ["test/1 on spot"]);
    assert_eq!(world.told("build"), nothing());
}

#[tokio::test]
async fn a_write_that_conflicts_with_itself_is_followed_by_its_effects_at_once() {
    let world = World::new();
    let id = up(&world).await;
    world.ledger.lost_replies.store(1, Ordering::SeqCst);
    assert_eq!(world.seen(&id, AgentStatus::Interrupted).await.unwrap(), Handled::Done);
    assert_eq!(calls(&world), ["test/1 on spot", "test/2 on on-demand"]);
    assert_eq!(world.told("build"), ["retrying"]);
    world.ledger.lost_replies.store(100, Ordering::SeqCst);
    world.exits(&id, 0).await;
    world.ledger.lost_replies.store(0, Ordering::SeqCst);
    assert_eq!(world.run(&id.run).await.status(), "succeeded");
    assert!(world.bucket.object(&format!("runs/{}/report.json", id.run)).is_some());
}

#[tokio::test]
async fn what_is_not_of_this_suite_is_unknown() {
    let world = World::new();
    let id: BuildId = "aaaaaaaaaa/test".parse().unwrap();
    let agent = "arn:aws:ecs:us-east-1:123456789012:task/ci/x".parse().unwrap();
    assert_eq!(world.seen_of(&id, 1, agent, RUNNING).await.unwrap(), Handled::Unknown);
}

#[tokio::test]
async fn an_agents_report_is_read_only_where_the_exit_code_leaves_something_to_ask() {
    let reads = |world: &World| world.bucket.reports_read.load(Ordering::SeqCst);
    let mut beside_another = exited(0);
    beside_another.containers.push(ContainerEnd {
        name: "router".to_owned(),
        exit_code: Some(0),
        reason: None,
    });
    for (stop, expected) in [(exited(0), 0), (exited(1), 1), (taken_back(), 1), (beside_another, 1)] {
        let world = World::new();
        let id = up(&world).await;
        world.seen(&id, AgentStatus::Stopped(stop.clone())).await.unwrap();
        assert_eq!(reads(&world), expected, "{stop:?}");
        world
            .seen_of(&id, 1, world.agents.all()[0].clone(), AgentStatus::Stopped(stop))
            .await
            .unwrap();
        assert_eq!(reads(&world), expected, "an attempt that is over");
    }
}

#[tokio::test]
async fn a_success_under_a_warning_counts_if_the_report_proves_it() {
    for (report, outcome) in [(None, None), (Some(script_ended(0)), Some(Outcome::Succeeded))] {
        let world = World::new();
        let id = up(&world).await;
        let first = world.agents.all()[0].clone();
        world.seen(&id, AgentStatus::Interrupted).await.unwrap();
        *world.bucket.report.lock().unwrap() = report;
        world.seen_of(&id, 1, first, AgentStatus::Stopped(exited(0))).await.unwrap();
        assert_eq!(world.build(&id).await.outcome(), outcome);
    }
}
